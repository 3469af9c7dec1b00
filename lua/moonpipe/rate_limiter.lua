--- How many requests and tokens a minute: mp.RateLimiter, shared by the models that
--- are given the same one.
--
-- Two buckets that start full and fill evenly; a call takes a request and the tokens
-- that it is thought to need, and waits, in the order of arrival, until both are
-- there. What it really used is settled later. What a server says of its own limits
-- is heeded: a bucket holds no more than the server has left, and one that the user
-- did not limit takes the server's limit. A refusal pauses all who wait, not one.
local errors = require "moonpipe.error"
local jobs = require "moonpipe.jobs"
local native = require "moonpipe.native"
local scheduler = require "moonpipe.scheduler"

local now = native.c.now

---@class moonpipe.Bucket
---@field size number    what it holds when full
---@field rate number    of filling, a second
---@field level number   what it held at `at`; less than 0 where more was used than there was
---@field at number
---@field given boolean  by the user, not learnt

---@class moonpipe.RateLimiter
---@field requests moonpipe.Bucket?
---@field tokens moonpipe.Bucket?
---@field paused_until number
---@field waiters table[]  from `first` to `last`; some have given up
---@field waiting integer  those that have not
---@field timer integer?
local RateLimiter = {}
local mt = { __name = "moonpipe.RateLimiter", __index = RateLimiter }

local rate_limiter = {}

local OPTIONS = { "burst", "requests_per_minute", "tokens_per_minute" }

local function bucket(size, per_second, given)
  return { size = size, rate = per_second, level = size, at = now(), given = given }
end

local function check(opts, name)
  local value = opts[name]
  if value == nil or type(value) == "number" and value > 0 and value < math.huge then
    return value
  end
  errors.usage(("%s of RateLimiter must be a number above 0, got %s"):format(name,
    errors.shape(value)))
end

---RateLimiter{ requests_per_minute =, tokens_per_minute =, burst = }: what is left
---out is not limited, unless the server tells its limit. burst: how many requests
---may begin at once; default: all of a minute.
---@param opts { requests_per_minute: number?, tokens_per_minute: number?, burst: number? }?
---@return moonpipe.RateLimiter
function rate_limiter.RateLimiter(opts)
  opts = errors.options(opts, OPTIONS, "RateLimiter")
  for _, name in ipairs(OPTIONS) do check(opts, name) end
  local requests, tokens = opts.requests_per_minute, opts.tokens_per_minute
  return setmetatable({
    requests = requests and bucket(opts.burst or math.max(requests, 1), requests / 60, true),
    tokens = tokens and bucket(tokens, tokens / 60, true),
    paused_until = 0,
    waiters = {},
    first = 1,
    last = 0,
    waiting = 0,
  }, mt)
end

---@return boolean
function rate_limiter.is(value)
  return getmetatable(value) == mt
end

-- ---- buckets ---------------------------------------------------------------------

local function fill(one)
  local at = now()
  one.level = math.min(one.size, one.level + (at - one.at) * one.rate)
  one.at = at
end

-- Seconds until [cost] can be taken; what is more than a full bucket needs a full one.
local function seconds_until(one, cost)
  if not one then return 0 end
  fill(one)
  local missing = math.min(cost, one.size) - one.level
  return missing > 1e-9 and missing / one.rate or 0
end

local function take(one, cost)
  if one then one.level = one.level - cost end
end

local function ready_in(self, tokens)
  return math.max(self.paused_until - now(), seconds_until(self.requests, 1),
    seconds_until(self.tokens, tokens))
end

local function charge(self, requests, tokens)
  take(self.requests, requests)
  take(self.tokens, tokens)
end

-- ---- waiting ---------------------------------------------------------------------

local pump

local function arm(self, seconds)
  if self.timer then jobs.forget(self.timer) end
  self.timer = jobs.timer(seconds, function()
    self.timer = nil
    pump(self)
  end)
end

-- Lets go on who may; sets the timer for the next.
function pump(self)
  while self.waiting > 0 do
    local waiter = self.waiters[self.first]
    if not waiter.gone then
      local seconds = ready_in(self, waiter.tokens)
      if seconds > 0 then return arm(self, seconds) end
      charge(self, 1, waiter.tokens)
      waiter.granted = true
      self.waiting = self.waiting - 1
      scheduler.unpark(waiter.task)
    end
    self.waiters[self.first] = nil
    self.first = self.first + 1
  end
  if self.timer then jobs.forget(self.timer) end
  self.timer = nil
end

local function park_until_granted(waiter)
  while not waiter.granted do scheduler.park() end
end

-- Who was let go on and is cancelled then has used nothing.
local function give_back(self, waiter)
  if waiter.granted then
    charge(self, -1, -waiter.tokens)
  else
    waiter.gone = true
    self.waiting = self.waiting - 1
  end
  pump(self)
end

---Waits until a request of [tokens] may begin; gives the seconds it waited. Raises if
---the running task is cancelled meanwhile.
---@async
---@param tokens number
---@return number
function RateLimiter:take(tokens)
  if self.waiting == 0 and ready_in(self, tokens) <= 0 then
    charge(self, 1, tokens)
    return 0
  end
  local waiter, begun = { task = scheduler.current(), tokens = tokens }, now()
  self.last = self.last + 1
  self.waiters[self.last] = waiter
  self.waiting = self.waiting + 1
  if self.waiting == 1 then pump(self) end
  local ok, err = pcall(park_until_granted, waiter)
  if not ok then
    give_back(self, waiter)
    error(err, 0)
  end
  return now() - begun
end

-- ---- what is learnt --------------------------------------------------------------

---Says that a call that took [tokens] has used so many.
function RateLimiter:settle(tokens, used)
  if not self.tokens then return end
  take(self.tokens, used - tokens)
  if self.waiting > 0 then pump(self) end
end

---Lets nobody begin for [seconds].
---@param seconds number
function RateLimiter:pause(seconds)
  self.paused_until = math.max(self.paused_until, now() + seconds)
  if self.waiting > 0 then pump(self) end
end

---Heeds what a server says of its limit.
---@param what "requests"|"tokens"
---@param remaining number
---@param limit number?
---@param reset number?  seconds until all of it is there again
function RateLimiter:learn(what, remaining, limit, reset)
  local one = self[what]
  if limit and limit > 0 and reset and reset > 0 and remaining < limit
    and not (one and one.given) then
    one = bucket(limit, (limit - remaining) / reset, false)
    self[what] = one
  end
  if not one then return end
  fill(one)
  one.level = math.min(one.level, remaining)
end

return rate_limiter
