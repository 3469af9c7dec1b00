--- Chains in a LÖVE game: they go on while frames are drawn.
--
--   local host = require "moonpipe.host.love"
--   function love.load() host.install() end
--
-- Then `chain:start(input, { on_token = … })` anywhere; `invoke` would hold up the frame.
local errors = require "moonpipe.error"
local scheduler = require "moonpipe.scheduler"

local host = {}

local BUDGET = 0.002 -- seconds of a frame: an eighth of one at 60 a second

--- What is called once a frame, where love.update is not wrapped.
---@param seconds number?  of thread time at most, about
---@return integer ready   tasks that wait for the next frame
function host.update(seconds)
  return scheduler.update(seconds or BUDGET)
end

--- Wraps love.update, as it is now: for love.load, or behind its definition.
---@param opts { budget: number? }?  seconds a frame
function host.install(opts)
  opts = errors.options(opts, { "budget" }, "install")
  local love = rawget(_G, "love") or errors.usage("install needs LÖVE: there is no global 'love'")
  local update = love.update
  function love.update(dt)
    host.update(opts.budget)
    if update then return update(dt) end
  end
end

return host
