--- The circuit of a step: whether it is worth asking.
--
-- It opens after five failures in a row, for ten seconds, or at once for as long
-- as a 429 asks for; then one call probes while the others still go elsewhere.
-- One of the few things that hold state: it belongs to the step and is shared by
-- all fallbacks that begin with that same object, unless they want another one.
local errors = require "moonpipe.error"
local native = require "moonpipe.native"

local now = native.c.now

---@class moonpipe.Breaker
---@field failures integer   in a row that open it
---@field seconds number     for which it stays open
---@field row integer        failures in a row so far
---@field open_until number? while it is not closed
---@field probing boolean
---@field last moonpipe.Error?  the last failure
---@field switched boolean?  others answer instead, and that was told
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

local function open(self, seconds)
  self.open_until = now() + seconds
end

local function note_failure(self, err)
  self.last, self.row = err, self.row + 1
  local asked = err.kind == "rate_limit" and err.retry_after or 0
  if asked > 0 then
    open(self, math.min(asked, MAX_ASKED))
  elseif self.row >= self.failures then
    open(self, self.seconds)
  end
end

---Says how a call went that was let in. An error that is no outage says nothing.
---@param err moonpipe.Error?
function Breaker:leave(err)
  if err and not breaker.is_outage(err) then
    self.probing = false
    return
  end
  self.probing = false
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
