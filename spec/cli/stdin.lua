--: stdin "first\nsecond line\n"
print(io.read())                                --> first
print(io.read("*a"))                            --> second line
-->
