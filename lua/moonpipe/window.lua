--- Items that run at once, a bounded number of them, given back as they end.
--
-- Items are begun only while somebody asks for the next one that has ended, so
-- that a million of them cost no more memory than those under way.
local scheduler = require "moonpipe.scheduler"
local tree = require "moonpipe.tree"

local join = require("moonpipe.task").join

---@class moonpipe.Window
---@field begin fun(i: integer): moonpipe.Task|false|nil  begins item i; nil: there are no more,
---       false: there is none before `wake` is called
---@field limit integer
---@field stop_early string?  why the others are cancelled once an item has failed
---@field eager boolean?   fills up even where items have ended already
---@field running table<moonpipe.Task, integer>  the index of each that has not ended
---@field order { task: moonpipe.Task, index: integer }[]  ended, not yet given back
---@field begun integer    how many were begun
---@field under integer    how many have not ended
local Window = {}
Window.__index = Window

local window = {}

-- As many calls as the engine holds in flight with ease; of inputs that are read
-- one by one, whose number nobody knows, fewer.
local LIMIT, READ_AHEAD = 10000, 1000

-- Under a limit of calls so many items for each: those that wait for other things
-- than a call (a backoff, an index) leave no slot empty.
local FOR_EACH_CALL = 4

---How many items may be under way in a run.
---@param max_concurrency integer?  the run's limit of calls
---@param lazy boolean?             they are read one by one
---@return integer
function window.limit_of(max_concurrency, lazy)
  local limit = lazy and READ_AHEAD or LIMIT
  return max_concurrency and math.min(limit, FOR_EACH_CALL * max_concurrency) or limit
end

---@param limit integer
---@param begin fun(i: integer): moonpipe.Task|false|nil  what it returns may have ended
---@return moonpipe.Window
function window.new(limit, begin)
  return setmetatable({
    begin = begin,
    limit = limit,
    running = {},
    order = {},
    first = 1,
    last = 0,
    begun = 0,
    under = 0,
  }, Window)
end

function Window:note(task, index)
  self.last = self.last + 1
  self.order[self.last] = { task = task, index = index }
end

---Lets who waits for the next item look whether more can be begun.
function Window:wake()
  if self.waiter then scheduler.unpark(self.waiter) end
end

---Begins no more.
function Window:close()
  self.over = true
  self:wake()
end

-- Cancels what runs; begins no more.
local function cancel(self, reason)
  self.over, self.stopping = true, true
  local list = {}
  for task in pairs(self.running) do list[#list + 1] = task end
  for _, task in ipairs(list) do tree.cancel(task, tree.cancelled(reason)) end
  return list
end

-- Called by the scheduler when an item has ended. Where one failure is that of all,
-- the others are cancelled at once: one that is ready to run must not begin a call
-- before anybody hears of it.
function Window:ended(task)
  local index = self.running[task]
  self.running[task], self.under = nil, self.under - 1
  self:note(task, index)
  if self.stop_early and task.err ~= nil and not self.stopping then
    cancel(self, self.stop_early)
  end
  self:wake()
end

---How many more may be under way, or wait to be given back.
---@return integer
function Window:room()
  return self.limit - self.under - (self.last - self.first + 1)
end

-- Begins items until there are enough of them, or one has ended at once: whoever
-- asks for it need not wait for the others.
function Window:fill()
  while not self.over and self:room() > 0 do
    local index = self.begun + 1
    local task = self.begin(index)
    if not task then
      self.over = task == nil
      return
    end
    self.begun = index
    if task.state == "ended" then
      self:note(task, index)
      if not self.eager then return end
    else
      self.running[task], self.under = index, self.under + 1
      task.group = self
    end
  end
end

---The next item of those that have ended already; nil where none has. Begins no other.
---@return moonpipe.Task? task
---@return integer? index
function Window:take()
  local ended = self.order[self.first]
  if not ended then return nil end
  self.order[self.first] = nil
  self.first = self.first + 1
  return ended.task, ended.index
end

---Waits for the next item that has ended; nil when all have.
---@async
---@return moonpipe.Task? task
---@return integer? index
function Window:next()
  self.waiter = scheduler.current()
  self:fill()
  while self.first > self.last do
    if self.under == 0 and self.over then return nil end
    scheduler.park()
    if self.first > self.last then self:fill() end
  end
  return self:take()
end

---Those that have ended and were not given back.
---@return fun(): moonpipe.Task?, integer?
function Window:rest()
  local at = self.first - 1
  return function()
    at = at + 1
    local ended = self.order[at]
    if ended then return ended.task, ended.index end
  end
end

---Cancels what runs; begins no more.
---@param reason string
function Window:cancel(reason)
  cancel(self, reason)
end

---Cancels what runs and waits for its end.
---@async
---@param reason string
function Window:stop(reason)
  for _, task in ipairs(cancel(self, reason)) do join(task) end
end

return window
