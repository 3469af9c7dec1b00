--- When a failed call is made again: the formula of the official SDKs, and what
--- servers ask for.
--
-- Two more attempts by default, after min(0.5 * 2^n, 8) seconds less up to a
-- quarter of that, or after what the server asks for; if that is more than two
-- minutes the call fails at once. All calls to one origin share a budget: among
-- its last 100 requests, at most one repeat for ten others (and at least three),
-- so that a storm is not fed. No retry begins that a deadline would not let end.
local after = require "moonpipe.retry_after"
local errors = require "moonpipe.error"
local native = require "moonpipe.native"
local scheduler = require "moonpipe.scheduler"

local c = native.c

local retry = {}

retry.MAX_RETRIES = 2

local FIRST, LONGEST, JITTER = 0.5, 8, 0.25 -- seconds, seconds, share
local MAX_ASKED = 120                       -- seconds that a server may ask for

-- Failures of the transport, and answers that were not whole.
local TRANSIENT = {}
for kind in ([[dns connect timeout_connect timeout_first_byte timeout_idle reset truncated
  decode rate_limit]]):gmatch("%S+") do
  TRANSIENT[kind] = true
end

-- ---- one failure -----------------------------------------------------------------

---Seconds that the server asks to wait for, nil where it says nothing that can be
---waited for (0, less, or no time at all).
---@param header fun(name: string): string?
---@param wall number?  the Unix time now; default: the server's own, else ours
---@return number?
function retry.asked(header, wall)
  local text = header("retry-after-ms")
  local seconds = text and after.milliseconds(text)
  text = header("retry-after")
  if not seconds and text then
    local date = header("date")
    seconds = after.seconds(text, wall or date and after.date(date) or os.time())
  end
  if seconds and seconds > 0 then return seconds end
end

---Whether a status is worth another attempt.
---@param status integer
---@param header fun(name: string): string?
---@return boolean
function retry.is_transient(status, header)
  local said = header("x-should-retry")
  if said == "true" then return true end
  if said == "false" then return false end
  return status == 408 or status == 409 or status == 429 or status >= 500
end

---Whether a failure is worth another attempt: what its maker says in `retryable`,
---else by its kind. A proxy that wants a password wants it the next time too.
---@param err moonpipe.Error
---@return boolean
function retry.is_retryable(err)
  if err.retryable ~= nil then return err.retryable end
  if err.kind == "connect" and err.message:find("refused the tunnel: 407$") then return false end
  return TRANSIENT[err.kind] == true
end

---Seconds before the next attempt; nil where the server asks for more than can be
---waited for.
---@param attempt integer                 retries made already, from 0
---@param response { retry_after: number? }?  what the server asked for
---@param rand number                     from 0 to 1
---@return number?
function retry.delay(attempt, response, rand)
  local asked = response and response.retry_after
  if asked and asked > MAX_ASKED then return nil end
  if asked and asked > 0 then return asked end
  return math.min(FIRST * 2 ^ attempt, LONGEST) * (1 - JITTER * rand)
end

-- ---- the budget of an origin -------------------------------------------------------

local WINDOW, SHARE, LEAST = 100, 0.1, 3
local FORGET = 300 -- seconds, after which a retry no longer counts

---@class moonpipe.RetryBudget
---@field count integer    requests in the window
---@field at integer       place of the newest
---@field repeats table<integer, number>  place -> when, for those that are retries
local Budget = {}
local budget_mt = { __name = "moonpipe.RetryBudget", __index = Budget }

---@return moonpipe.RetryBudget
function retry.budget()
  return setmetatable({ count = 0, at = 0, repeats = {} }, budget_mt)
end

---Notes a request.
---@param is_retry boolean
function Budget:note(is_retry)
  local at = self.at % WINDOW + 1
  self.at = at
  if self.count < WINDOW then self.count = self.count + 1 end
  self.repeats[at] = is_retry and c.now() or nil
end

---Whether one more retry is within it; then it is noted at once, though it will be
---made after a pause: others decide meanwhile.
---@return boolean
function Budget:take()
  local repeats, since = 0, c.now() - FORGET
  for _, at in pairs(self.repeats) do
    if at > since then repeats = repeats + 1 end
  end
  if repeats >= math.max(LEAST, math.floor(SHARE * (self.count - repeats))) then return false end
  self:note(true)
  return true
end

local budgets = {} -- by origin

---The budget that all calls to [origin] share.
---@param origin string
---@return moonpipe.RetryBudget
function retry.budget_of(origin)
  local budget = budgets[origin]
  if not budget then
    budget = retry.budget()
    budgets[origin] = budget
  end
  return budget
end

-- ---- a call ----------------------------------------------------------------------

-- A generator of our own: math.random is the user's, who may have seeded it.
local state = math.floor(c.now() * 1e6) % 2147483646 + 1

local function rand()
  state = state * 16807 % 2147483647
  return state / 2147483647
end

---@class moonpipe.Attempts  a call that may need several
---@field max_retries integer
---@field origin string
---@field budget moonpipe.RetryBudget
---@field ctx moonpipe.Context
---@field total number        seconds for all of it, queues not counted
---@field begun number?       when the first attempt began; the attempt may move it on
---@field attempts integer?   made so far
---@field on_delay fun(call, err: moonpipe.Error, seconds: number)?  a pause is going to be made
---@field on_failure fun(call, err: moonpipe.Error)?  the error is going to be raised

-- The delay before the next attempt, or nil and perhaps why not.
local function next_delay(call, err, attempt)
  if attempt >= call.max_retries or not retry.is_retryable(err) then return nil end
  local delay = retry.delay(attempt, err, rand())
  if not delay then return nil end
  local at, deadline = c.now() + delay, call.ctx.deadline
  if at >= call.begun + call.total or deadline and at >= deadline then
    return nil, "no time is left for another attempt"
  end
  if not call.budget:take() then
    return nil, "not tried again: too many calls to " .. call.origin .. " fail"
  end
  return delay
end

---Raises a failure that is to stay, with what its call knows of it.
---@param call moonpipe.Attempts
---@param err moonpipe.Error
---@param why string?  why no other attempt is made, where it could be
function retry.give_up(call, err, why)
  err.attempts = call.attempts
  err.elapsed = c.now() - call.begun
  if why then err.message = err.message .. " (" .. why .. ")" end
  if call.on_failure then call.on_failure(call, err) end
  error(err, 0)
end

---What cancels the running task, its deadline included, is no failure of a call.
---@param err any
---@return boolean
function retry.is_failure(err)
  if not errors.is(err) or err.kind == "cancelled" then return false end
  local task = scheduler.current()
  return err ~= task.cancelled and not (task.scope and err == task.scope.cancelled)
end

---Calls attempt(call, a, b) until it succeeds, or its failure is to stay; raises
---that with the number of attempts and the time they took.
---@async
---@param call moonpipe.Attempts
---@param attempt function
---@return any
function retry.run(call, attempt, a, b)
  call.begun = c.now()
  call.budget:note(false)
  for n = 0, math.huge do
    call.attempts = n + 1
    local ok, value = pcall(attempt, call, a, b)
    if ok then return value end
    if not retry.is_failure(value) then error(value, 0) end
    local delay, why = next_delay(call, value, n)
    if not delay then retry.give_up(call, value, why) end
    if call.on_delay then call.on_delay(call, value, delay) end
    scheduler.sleep(delay)
  end
end

return retry
