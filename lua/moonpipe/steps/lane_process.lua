--- A lane in a process of its own (bind_lane_main.c): a kill ends it wherever it is.
local child = require "moonpipe.child"
local errors = require "moonpipe.error"
local lock = require "moonpipe.lock"
local native = require "moonpipe.native"
local scheduler = require "moonpipe.scheduler"

local c = native.c

local processes = {}

local slots = {}   -- locks, one for each processor
local waiting = {} -- tasks that have or want each

local function command_of(jit)
  local program, own, processors = c.sandbox_program()
  if not program then errors.raise("unsupported", own) end
  return { program, "lane", jit and "1" or "0", ("%d"):format(own) }, processors
end

-- Runs fn(...) with one of [count] places.
local function in_a_place(count, fn, ...)
  local best = 1
  for i = 2, count do
    if (waiting[i] or 0) < (waiting[best] or 0) then best = i end
  end
  waiting[best] = (waiting[best] or 0) + 1
  local hold
  local ok, result = pcall(function(...)
    hold = lock.take(slots, best, "a lane waits for itself")
    return fn(...)
  end, ...)
  if hold then hold:free() end
  waiting[best] = waiting[best] - 1
  if not ok then error(result, 0) end
  return result
end

local function on_end(self)
  if self.task then scheduler.unpark(self.task) end
end

local function wait_for_end(self)
  self:write_later(native.check(c.frame(self.given)))
  self.given = nil
  while not self.ended do scheduler.park() end
end

local function answer_of(self)
  local good, done, text, kind = c.unframe(table.concat(self.pieces))
  if not good then
    local ended = self.ended
    errors.raise(ended.kind == "closed" and "internal" or ended.kind,
      "the process of a lane ended: " .. ended.message)
  end
  if not done then errors.raise(kind, text) end
  return text
end

local function run(command, given)
  local self = child.start(command, { raw = true, worthless = true, familiar = true }, {
    task = scheduler.current(), given = given, pieces = {},
    on_line = function(self, bytes) self.pieces[#self.pieces + 1] = bytes end,
    on_end = on_end,
  })
  local ok, err = pcall(wait_for_end, self)
  self.task = nil
  if not ok then
    self:close()
    error(err, 0)
  end
  return answer_of(self)
end

---What lane_main.lua answers to [given]. Cancelled, it is gone when this raises.
---@async
---@param given string
---@param jit boolean
---@return string
function processes.run(given, jit)
  local command, processors = command_of(jit)
  return in_a_place(processors, run, command, given)
end

return processes
