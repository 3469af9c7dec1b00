--- The circuit of a step: whether it is worth asking.
--
-- It opens after five failures in a row, for ten seconds, or at once for as long
-- as a 429 asks for; then one call probes while the others still go elsewhere.
-- Calls that were let in and wait for leave to ask (a slot, a rate, a pause) when it
-- opens go on no more; those that are on the wire may end.
-- One of the few things that hold state: it belongs to the step and is shared by
-- all fallbacks that begin with that same object, unless they want another one.
local errors = require "moonpipe.error"
local native = require "moonpipe.native"
local scheduler = require "moonpipe.scheduler"
local tree = require "moonpipe.tree"

local join = require("moonpipe.task").join
local now = native.c.now

---@class moonpipe.Circuit  in the context of a call that was let in
---@field breaker moonpipe.Breaker
---@field outer moonpipe.Circuit?  that of the fallbacks around
---@field over boolean?            nobody else can answer any more

---@class moonpipe.Breaker
---@field failures integer   in a row that open it
---@field seconds number     for which it stays open
---@field row integer        failures in a row so far
---@field open_until number? while it is not closed
---@field probing boolean
---@field last moonpipe.Error?  the last failure
---@field switched boolean?  others answer instead, and that was told
---@field waiting table<moonpipe.Task, moonpipe.Circuit>  who waits for leave to ask
local Breaker = {}
local mt = { __name = "moonpipe.Breaker", __index = Breaker }

local breaker = { FAILURES = 5, SECONDS = 10 }

local MAX_ASKED = 120 -- seconds for which a server can keep it open

-- Failures that are the input's or the answer's, not the service's.
local OTHERS = {}
for kind in ([[cancelled content_filter context_length input limit refused_request schema
  too_large tool unsupported]]):gmatch("%S+") do
  OTHERS[kind] = true
end

---@param failures integer?
---@param seconds number?
---@return moonpipe.Breaker
function breaker.new(failures, seconds)
  return setmetatable({
    failures = failures or breaker.FAILURES,
    seconds = seconds or breaker.SECONDS,
    row = 0,
    probing = false,
    waiting = {},
  }, mt)
end

local shared = setmetatable({}, { __mode = "k" }) -- by step

---The breaker that all share who ask [step].
---@param step moonpipe.Runnable
---@return moonpipe.Breaker
function breaker.of(step)
  local one = shared[step]
  if not one then
    one = breaker.new()
    shared[step] = one
  end
  return one
end

---Whether a failure says that the service is down, rather than that it does not
---like the input.
---@param err moonpipe.Error
---@return boolean
function breaker.is_outage(err)
  return not OTHERS[err.kind]
end

---@return "closed"|"open"|"half-open"
function Breaker:state()
  if not self.open_until then return "closed" end
  return now() < self.open_until and "open" or "half-open"
end

---Lets a call go on, which has to say by `leave` how it went; false while it is
---open, or somebody probes.
---@return boolean
function Breaker:enter()
  if not self.open_until then return true end
  if self.probing or now() < self.open_until then return false end
  self.probing = true
  return true
end

local not_asked = setmetatable({}, { __mode = "k" }) -- errors of calls that were not made

-- Nobody was asked, so nobody failed: the kind is that of the failure which opened it.
local function refusal(self)
  local last = self.last
  local err = errors.new {
    kind = last.kind,
    message = "not asked, as too many calls before failed: " .. last.message,
    provider = last.provider,
    model = last.model,
    status = last.status,
    retryable = false,
    cause = last,
  }
  not_asked[err] = true
  return err
end

---Whether [err] is of a call that was not made, as a circuit was open.
---@param err moonpipe.Error
---@return boolean
function breaker.was_not_asked(err)
  return not_asked[err] == true
end

local function open(self, seconds)
  self.open_until = now() + seconds
  local waiting = self.waiting
  self.waiting = {}
  for task, circuit in pairs(waiting) do
    if circuit.over then
      self.waiting[task] = circuit
    else
      tree.cancel(task, refusal(self))
    end
  end
end

-- What a circuit around says of a call that is going to ask.
local function check(circuit)
  while circuit do
    if not circuit.over and circuit.breaker:state() == "open" then
      error(refusal(circuit.breaker), 0)
    end
    circuit = circuit.outer
  end
end

local function enlist(circuit, task, yes)
  while circuit do
    circuit.breaker.waiting[task] = yes and circuit or nil
    circuit = circuit.outer
  end
end

---Calls fn(a), which waits for leave to ask a service. Where a circuit around the
---call is open, or opens meanwhile, it raises at once.
---@async
---@param ctx moonpipe.Context?
---@param fn fun(a: any): any
---@param undo fun(value: any)?  what fn gave comes too late
function breaker.wait(ctx, fn, a, undo)
  local circuit = ctx and ctx.circuit
  if not circuit then return fn(a) end
  scheduler.raise_if_cancelled(scheduler.current())
  check(circuit)
  local task = scheduler.spawn(ctx, nil, fn, a)
  if task.state ~= "ended" then
    enlist(circuit, task, true)
    join(task)
    enlist(circuit, task, false)
  end
  local refused = not_asked[task.cancelled]
  if task.err == nil and not refused then return task.value end
  if task.err == nil and undo then undo(task.value) end
  error(refused and task.cancelled or task.err, 0)
end

local function note_failure(self, err)
  self.last, self.row = err, self.row + 1
  if self.failures == math.huge then return end -- there is none
  local asked = err.kind == "rate_limit" and err.retry_after or 0
  if asked > 0 then
    open(self, math.min(asked, MAX_ASKED))
  elseif self.row >= self.failures then
    open(self, self.seconds)
  end
end

---Says how a call went that was let in. An error that is no outage says nothing, and
---so does that of a call which was not made.
---@param err moonpipe.Error?
function Breaker:leave(err)
  self.probing = false
  if err and (not_asked[err] or not breaker.is_outage(err)) then return end
  if err then return note_failure(self, err) end
  self.row, self.open_until = 0, nil
end

---Reads the option `circuit`: true or nil for the shared one of each step, false
---for none, `{ failures, seconds }` for one of its own.
---@param option boolean|table|nil
---@param step moonpipe.Runnable
---@return moonpipe.Breaker
function breaker.option(option, step)
  if option == nil or option == true then return breaker.of(step) end
  if option == false then return breaker.new(math.huge) end
  errors.options(option, { "failures", "seconds" }, "circuit of with_fallbacks")
  for name, value in pairs(option) do
    if type(value) ~= "number" or value ~= value or value <= 0 then
      errors.usage(("circuit.%s of with_fallbacks must be a number above 0, got %s"):format(name,
        errors.shape(value)))
    end
  end
  return breaker.new(option.failures, option.seconds)
end

return breaker
