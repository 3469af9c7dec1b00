--: exit 1
print("on stdout")                              --> on stdout
error("it broke")                               --! FILE:3: it broke
