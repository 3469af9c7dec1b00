-- Eight streams in a libuv loop; arguments: base URL. A timer of the loop's is counted.
local mp = require "moonpipe"
local uv = require "luv"
local host = require "moonpipe.host.luv"
local eight = require "spec.support.hosts.eight"

local stop, beats, timer = host.install(uv), 0, uv.new_timer()
timer:start(1, 1, function() beats = beats + 1 end)

eight.start(mp, arg[1], function(text)
  print(text)
  print(beats > 3 and "the loop went on" or "no loop")
  stop()
  timer:close()
end)
uv.run()
