--: exit 1
local mp = require "moonpipe"

local chain = mp.RunnablePassthrough() | {
  good = mp.RunnablePassthrough(),
  bad = function(x) return x.missing.field end, --! FILE:6: attempt to index
}
print "before" --> before
chain:invoke {} --! map key 'bad', composed at FILE:
print "never reached"
