#!/usr/bin/env moonpipe
--: args "one", "two words", "it's", ""
print(#arg, select("#", ...))                   --> 4	4
print(arg[0])                                   --> FILE
for i, value in ipairs(arg) do print(i, "[" .. value .. "]") end
--> 1	[one]
--> 2	[two words]
--> 3	[it's]
--> 4	[]
print((select(2, ...)))                         --> two words
