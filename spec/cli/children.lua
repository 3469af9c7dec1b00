-- The process ends after the tasks that the script started.
local mp = require "moonpipe"

local function later(seconds, text)
  return mp.RunnableLambda(function()
    mp.sleep(seconds)
    print(text)
  end)
end
later(0.04, "second"):start "x"
later(0.01, "first"):start "x"
print "the script ends"                         --> the script ends
--> first
--> second
