--: exit 124
local mp = require "moonpipe"

local slow = mp.RunnableLambda(function(x)
  mp.sleep(60)
  return x
end)
print "before"                                  --> before
slow:invoke("x", { timeout = 0.02 })            --! timeout_total
