--- A line of things between tasks: bounded, so that who puts waits for those who take.
local scheduler = require "moonpipe.scheduler"

---@class moonpipe.Queue
---@field limit integer
---@field first integer
---@field last integer
---@field closed boolean
---@field putter moonpipe.Task?
---@field takers moonpipe.Task[]
local Queue = {}
Queue.__index = Queue

local queue = {}

---@param limit integer
---@return moonpipe.Queue
function queue.new(limit)
  return setmetatable({ limit = limit, first = 1, last = 0, closed = false, takers = {} }, Queue)
end

local function wake(self)
  local takers = self.takers
  self.takers = {}
  for _, task in ipairs(takers) do scheduler.unpark(task) end
end

---@async
---@param thing any  not nil
function Queue:put(thing)
  self.putter = scheduler.current()
  while self.last - self.first + 1 >= self.limit do scheduler.park() end
  self.last = self.last + 1
  self[self.last] = thing
  wake(self)
end

--- Says that nothing more will come.
function Queue:close()
  self.closed = true
  wake(self)
end

--- The next thing; nil when there will be none.
---@async
---@return any
function Queue:take()
  while self.first > self.last do
    if self.closed then return nil end
    self.takers[#self.takers + 1] = scheduler.current()
    scheduler.park()
  end
  local thing = self[self.first]
  self[self.first] = nil
  self.first = self.first + 1
  if self.putter then scheduler.unpark(self.putter) end
  return thing
end

return queue
