print((require("jit").status()))                --> true
print(type(require("ffi").new))                 --> function
