-- A chain may wait inside the user's own coroutines and iterators.
local mp = require "moonpipe"

local slow = mp.RunnableLambda(function(x)
  mp.sleep(0.001)
  return x * 10
end)
local function tens(count)
  return coroutine.wrap(function()
    for i = 1, count do coroutine.yield(slow:invoke(i)) end
  end)
end
for value in tens(3) do print(value) end
--> 10
--> 20
--> 30
table.sort({ 3, 1, 2 }, function(a, b) return slow:invoke(a) < slow:invoke(b) end)
print "sorted"                                  --> sorted
