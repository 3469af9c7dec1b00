--- The limiter of a run: how many of its network calls are in flight.
--
-- One for a whole run, whatever its nesting; it is made where a config says
-- `max_concurrency` and handed down in the context. A slot is held by one
-- native call from its start to its end: not in backoff, not by lambdas or
-- local jobs. Waiters are served in their order.
--
-- A stream holds its slot while it is open, so a call made by the reader of a
-- stream could wait for ever. Therefore, as soon as anybody waits, the open
-- streams of the run are told to drain: they are read into memory whether their
-- reader is ready or not, end, and free their slots.
--
-- A limit inside a limited run narrows it: its calls hold a slot of both, taken
-- from the inside out.
local native = require "moonpipe.native"
local scheduler = require "moonpipe.scheduler"

local now = native.c.now

---@class moonpipe.Limiter
---@field limit integer
---@field used integer              slots that are held
---@field outer moonpipe.Limiter?   that of the run around it
---@field waiters table[]           from `first` to `last`, the oldest first; some have given up
---@field waiting integer           those that have not
---@field streams table<table, fun()>  slot -> what makes its stream drain
local Limiter = {}
local mt = { __name = "moonpipe.Limiter", __index = Limiter }

---@class moonpipe.Slot
---@field limiter moonpipe.Limiter
---@field outer moonpipe.Slot?
---@field waited number  seconds that it was waited for
local Slot = {}
local slot_mt = { __name = "moonpipe.Slot", __index = Slot }

local limiter = {}

---The limiter of a run with [limit] inside that of [outer].
---@param limit integer
---@param outer moonpipe.Limiter?
---@return moonpipe.Limiter
function limiter.new(limit, outer)
  if outer and outer.limit <= limit then return outer end
  return setmetatable({
    limit = limit,
    outer = outer,
    used = 0,
    waiters = {},
    first = 1,
    last = 0,
    waiting = 0,
    streams = {},
  }, mt)
end

-- Gives a slot that has become free to the oldest waiter.
local function pass_on(self)
  while self.first <= self.last do
    local waiter = self.waiters[self.first]
    self.waiters[self.first] = nil
    self.first = self.first + 1
    if not waiter.gone then
      waiter.granted = true
      self.waiting = self.waiting - 1
      return scheduler.unpark(waiter.task)
    end
  end
  self.used = self.used - 1
end

local function park_until_granted(waiter)
  while not waiter.granted do scheduler.park() end
end

-- What drains once drains to its end, so each stream is told once.
local function drain_streams(self)
  local streams = self.streams
  self.streams = {}
  for _, drain in pairs(streams) do drain() end
end

-- A waiter that is cancelled leaves the queue, or passes on what it was given.
local function wait(self)
  local waiter = { task = scheduler.current() }
  self.last = self.last + 1
  self.waiters[self.last] = waiter
  self.waiting = self.waiting + 1
  drain_streams(self)
  local ok, err = pcall(park_until_granted, waiter)
  if ok then return end
  if waiter.granted then
    pass_on(self)
  else
    waiter.gone = true
    self.waiting = self.waiting - 1
  end
  error(err, 0)
end

local function take(self)
  local slot = setmetatable({ limiter = self, waited = 0 }, slot_mt)
  if self.used < self.limit then
    self.used = self.used + 1
    return slot
  end
  local begun = now()
  wait(self)
  slot.waited = now() - begun
  return slot
end

---Waits for a slot. Raises if the running task is cancelled meanwhile.
---@async
---@return moonpipe.Slot
function Limiter:take()
  local slot = take(self)
  if not self.outer then return slot end
  local ok, outer = pcall(self.outer.take, self.outer)
  if not ok then
    slot:free()
    error(outer, 0)
  end
  slot.outer, slot.waited = outer, slot.waited + outer.waited
  return slot
end

---Gives the slot back. Idempotent.
function Slot:free()
  local owner = self.limiter
  if not owner then return end
  self.limiter = nil
  owner.streams[self] = nil
  pass_on(owner)
  if self.outer then self.outer:free() end
end

---Calls drain() as soon as somebody waits for a slot, at once where somebody
---does: the slot is that of a stream. drain may not wait, and may be called twice.
---@param drain fun()
function Slot:on_wanted(drain)
  local owner = self.limiter
  if not owner then return end
  if owner.waiting > 0 then return drain() end
  owner.streams[self] = drain
  if self.outer then self.outer:on_wanted(drain) end
end

---Waits for a slot of the run of [ctx]; nil where nothing limits it.
---@async
---@param ctx moonpipe.Context
---@return moonpipe.Slot?
function limiter.take(ctx)
  local owner = ctx.limiter
  return owner and owner:take()
end

return limiter
