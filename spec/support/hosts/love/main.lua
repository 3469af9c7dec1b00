-- Eight streams in a LÖVE game; arguments: base URL. Frames are counted.
local mp = require "moonpipe"
local host = require "moonpipe.host.love"
local eight = require "spec.support.hosts.eight"

local frames = 0

function love.load(arguments)
  host.install()
  eight.start(mp, arguments[1], function(text)
    print(text)
    print(frames > 3 and "frames went on" or "no frames")
    love.event.quit()
  end)
end

function love.update()
  frames = frames + 1
end
