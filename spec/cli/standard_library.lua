-- A main script is plain Lua first.
local words = {}
for word in ("b c a"):gmatch("%a") do words[#words + 1] = word end
table.sort(words)
print(table.concat(words, " "))                 --> a b c
print(select("#", nil, nil), pcall(error, "x")) --> 2	false	x
print(require("bit").bor(1, 6))                 --> 7
print(1 | 6)                                    --> 7
local wrapped = coroutine.wrap(function(x)
  coroutine.yield(x + 1)
  return x + 2
end)
print(wrapped(1), wrapped())                    --> 2	3
