--- Chains in a LÖVE game: they go on while frames are drawn.
--
--   local host = require "moonpipe.host.love"
--   function love.load() host.install() end
--
-- Then `chain:start(input, { on_token = … })` anywhere; `invoke` would hold up the frame.
local errors = require "moonpipe.error"
local native = require "moonpipe.native"
local scheduler = require "moonpipe.scheduler"

local now, thread_cpu = native.c.now, native.c.thread_cpu

local host = {}

local BUDGET = 0.002  -- seconds of a frame: an eighth of one at 60 a second
local LATE = 0.0002   -- seconds above its budget that a frame may take

---@class moonpipe.Frames  what was taken of frames until now
---@field count integer
---@field late integer         frames that more than the budget and 0.2 ms were taken of
---@field longest number       seconds of this thread's CPU time
---@field longest_wall number  seconds of the clock, in which other programs ran too
host.frames = { count = 0, late = 0, longest = 0, longest_wall = 0 }

local function note(budget, cpu, wall)
  local frames = host.frames
  frames.count = frames.count + 1
  if cpu > budget + LATE then frames.late = frames.late + 1 end
  frames.longest = math.max(frames.longest, cpu)
  frames.longest_wall = math.max(frames.longest_wall, wall)
end

--- What is called once a frame, where love.update is not wrapped.
---@param seconds number?  of thread time at most, about
---@return integer ready   tasks that wait for the next frame
function host.update(seconds)
  local budget, wall, cpu = seconds or BUDGET, now(), thread_cpu()
  local ready = scheduler.update(budget)
  note(budget, thread_cpu() - cpu, now() - wall)
  return ready
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
