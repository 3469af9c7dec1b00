--: options "--jit=off"
print((require("jit").status()))                --> false
