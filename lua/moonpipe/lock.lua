--- Locks that tasks take in the order in which they ask.
--
-- A lock is a key in a space, a plain table; it is there while somebody holds it.
local errors = require "moonpipe.error"
local scheduler = require "moonpipe.scheduler"

---@class moonpipe.Hold
---@field space table?  nil once it is free
---@field key any
---@field reader moonpipe.Task?  it is held until this task has read a stream to its end
local Hold = {}
local mt = { __name = "moonpipe.Hold", __index = Hold }

local lock = {}

-- Gives the lock to the oldest waiter, or does away with it.
local function pass_on(space, key)
  local line = space[key]
  line.holder = nil
  while line.first <= line.last do
    local waiter = line[line.first]
    line[line.first] = nil
    line.first = line.first + 1
    if not waiter.gone then
      waiter.granted = true
      return scheduler.unpark(waiter.task)
    end
  end
  space[key] = nil
end

local function park_until_granted(waiter)
  while not waiter.granted do scheduler.park() end
end

-- A waiter that is cancelled leaves the line, or passes on what it was given.
local function wait(space, key, forever)
  local line, waiter = space[key], { task = scheduler.current() }
  if line.holder and line.holder.reader == waiter.task then errors.raise("limit", forever) end
  line.last = line.last + 1
  line[line.last] = waiter
  local ok, err = pcall(park_until_granted, waiter)
  if ok then return end
  if waiter.granted then pass_on(space, key) else waiter.gone = true end
  error(err, 0)
end

---Waits until nobody else holds [key] in [space]. Raises if the running task is cancelled
---meanwhile.
---@async
---@param space table
---@param key any
---@param forever string  says what is wrong where the running task would wait for itself
---@return moonpipe.Hold
function lock.take(space, key, forever)
  if space[key] then wait(space, key, forever) else space[key] = { first = 1, last = 0 } end
  local hold = setmetatable({ space = space, key = key }, mt)
  space[key].holder = hold
  return hold
end

---Gives the lock to the next. Idempotent; never waits.
function Hold:free()
  local space = self.space
  self.space = nil
  if space then pass_on(space, self.key) end
end

return lock
