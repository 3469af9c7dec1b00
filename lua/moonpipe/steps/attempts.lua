--- Making a failed attempt again: whether, after how long, and when no more.
--
-- The formula is that of the official SDKs: min(0.5 * 2^n, 8) seconds less up to a
-- quarter of that, or what the server asks for; if that is more than two minutes
-- the failure stays. No attempt begins that a deadline would not let end.
--
-- Two budgets keep a storm from being fed. All requests to one origin share one:
-- among the last 100, at most one repeat for ten others (and at least three),
-- whoever repeats: the model's own retries, RunnableRetry around it, a hedge. A 429
-- needs no leave: the pause it brings holds all calls. And all repeats of one run
-- share one: when 50 more have failed than have helped, the run repeats no more.
local breaker = require "moonpipe.steps.breaker"
local errors = require "moonpipe.error"
local native = require "moonpipe.native"
local scheduler = require "moonpipe.scheduler"
local tree = require "moonpipe.tree"

local c = native.c

local attempts = {
  --- False while answers come from a cassette: then no server needs a pause, or to be spared.
  patient = true,
}

---@class moonpipe.Wait  the times between attempts, in seconds
---@field initial number
---@field max number
---@field exp_base number
---@field jitter number?  added, up to so much; nil: up to a quarter is taken off

---@type moonpipe.Wait
local WAIT = { initial = 0.5, max = 8, exp_base = 2 }
attempts.WAIT = WAIT

local SHARE_OFF = 0.25
local MAX_ASKED = 120 -- seconds that a server may ask for

-- Failures of the transport, and answers that were not whole.
local TRANSIENT = {}
for kind in ([[dns connect timeout_connect timeout_first_byte timeout_idle reset truncated
  decode rate_limit]]):gmatch("%S+") do
  TRANSIENT[kind] = true
end

-- What a step does not wait for that has another one behind it.
local FALLS_OVER = {
  rate_limit = true, timeout_connect = true, timeout_first_byte = true, timeout_idle = true,
}

-- ---- one failure -----------------------------------------------------------------

---Whether a failure is worth another attempt: what its maker says in `retryable`,
---else by its kind. A proxy that wants a password wants it the next time too.
---@param err moonpipe.Error
---@return boolean
function attempts.is_retryable(err)
  if err.retryable ~= nil then return err.retryable end
  if err.kind == "connect" and err.message:find("refused the tunnel: 407$") then return false end
  return TRANSIENT[err.kind] == true
end

---Whether a failure is that of a service that was asked, not of a function.
---@param err moonpipe.Error
---@return boolean
function attempts.is_service(err)
  return err.provider ~= nil or err.status ~= nil or TRANSIENT[err.kind] == true
    or err.kind == "timeout_total"
end

---What cancels the running task, its deadline included, is no failure of a call.
---@param err any
---@return boolean
function attempts.is_failure(err)
  if not errors.is(err) or err.kind == "cancelled" then return false end
  local task = scheduler.current()
  return err ~= task.cancelled and not (task.scope and err == task.scope.cancelled)
end

---Whether, after [err], something else may be tried: not where the running task
---is ended.
---@param err any
---@return boolean
function attempts.may_go_on(err)
  return errors.is(err) and err.kind ~= "cancelled"
    and not scheduler.cancelled(scheduler.current())
end

---Seconds before the next attempt; nil where the server asks for more than can be
---waited for.
---@param attempt integer                 retries made already, from 0
---@param response { retry_after: number? }?  what the server asked for
---@param rand number                     from 0 to 1
---@param wait moonpipe.Wait?
---@return number?
function attempts.delay(attempt, response, rand, wait)
  local asked = response and response.retry_after
  if asked and asked > MAX_ASKED then return nil end
  if asked and asked > 0 then return asked end
  wait = wait or WAIT
  local seconds = wait.initial * wait.exp_base ^ attempt
  if wait.jitter then return math.min(seconds + wait.jitter * rand, wait.max) end
  return math.min(seconds, wait.max) * (1 - SHARE_OFF * rand)
end

-- A generator of our own: math.random is the user's, who may have seeded it.
local state = math.floor(c.now() * 1e6) % 2147483646 + 1

local function random()
  state = state * 16807 % 2147483647
  return state / 2147483647
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
function attempts.budget()
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

---@class moonpipe.Credit  in the context of a repeat: its requests are repeats
---@field budget moonpipe.RetryBudget?  in which the first of them is noted already

-- The call that failed with an error: whose budget a repeat from above is charged to.
---@type table<moonpipe.Error, { budget: moonpipe.RetryBudget, origin: string }>
local failed_at = tree.noted

-- Notes the first request of a call.
local function note_first(call)
  local credit = call.ctx and call.ctx.credit
  if credit and credit.budget == call.budget then
    credit.budget = nil
  else
    call.budget:note(credit ~= nil)
  end
end

-- ---- the budget of a run -----------------------------------------------------------

local RUN_LEAST = 50 -- repeats that may fail more often than others help

-- Notes how a repeat went.
local function note_repeat(ctx, ok)
  local run = ctx and ctx.retries
  if not run then return end
  run.failed = ok and math.max(run.failed - 1, 0) or run.failed + 1
end

-- ---- a call ----------------------------------------------------------------------

---@class moonpipe.Attempts  a call that may need several
---@field max_retries integer
---@field ctx moonpipe.Context
---@field origin string?      who is called, where the call is a request
---@field budget moonpipe.RetryBudget?  of the origin
---@field total number?       seconds for all of it, queues not counted
---@field retry_if (fun(err: moonpipe.Error): boolean)?  default: is_retryable
---@field wait moonpipe.Wait|false|nil  false: as long as a server asks, else at once
---@field begun number?       when the first attempt began; the attempt may move it on
---@field attempts integer?   made so far
---@field on_delay fun(call, err: moonpipe.Error, seconds: number)?  a pause is going to be made
---@field on_failure fun(call, err: moonpipe.Error)?  the error is going to be raised

local function pause_after(call, err, attempt)
  if call.wait == false and (err.retry_after or 0) <= 0 then return 0 end
  return attempts.delay(attempt, err, random(), call.wait or nil)
end

-- Whether the budgets allow a repeat; why not.
local function take_leave(call, err)
  if not attempts.patient then return true end
  local run = call.ctx and call.ctx.retries
  if run and run.failed >= RUN_LEAST then
    return nil, "not tried again: too many repeats of this run fail"
  end
  local owner = call.budget and call or failed_at[err]
  call.credit = { budget = owner and owner.budget }
  if not owner or err.kind == "rate_limit" or owner.budget:take() then return true end
  return nil, "not tried again: too many calls to " .. owner.origin .. " fail"
end

-- The delay before the next attempt, or nil and perhaps why not.
local function next_delay(call, err, attempt)
  if attempt >= call.max_retries or scheduler.cancelled(scheduler.current()) then return nil end
  if not (call.retry_if or attempts.is_retryable)(err) then return nil end
  if call.budget and call.ctx.falls_over and FALLS_OVER[err.kind] then return nil end
  local delay = pause_after(call, err, attempt)
  if not delay then return nil end
  local at, deadline = c.now() + delay, call.ctx.deadline
  if call.total and at >= call.begun + call.total or deadline and at >= deadline then
    return nil, "no time is left for another attempt"
  end
  local ok, why = take_leave(call, err)
  return ok and delay, why
end

-- One is what most calls have, and is known before (http/endpoint.lua).
local function count(call, made)
  if call.attempts ~= made then call.attempts = made end
end

---Raises a failure that is to stay, with what its call knows of it.
---@param call moonpipe.Attempts
---@param err moonpipe.Error
---@param why string?  why no other attempt is made, where it could be
function attempts.give_up(call, err, why)
  err.attempts = call.attempts
  err.elapsed = c.now() - call.begun
  if call.budget then failed_at[err] = { budget = call.budget, origin = call.origin } end
  if why then err.message = err.message .. " (" .. why .. ")" end
  if call.on_failure then call.on_failure(call, err) end
  error(err, 0)
end

-- The pause before the next attempt; false where a circuit opens meanwhile.
local function pause(call, seconds)
  if seconds <= 0 or not attempts.patient then return true end
  local ok, err = pcall(breaker.wait, call.ctx, scheduler.sleep, seconds)
  if ok then return true end
  if not breaker.was_not_asked(err) then error(err, 0) end
  return false
end

---Calls attempt(call, a, b) until it succeeds, or its failure is to stay; raises
---that with the number of attempts and the time they took.
---@async
---@param call moonpipe.Attempts
---@param attempt function
---@return any
function attempts.run(call, attempt, a, b)
  call.begun = c.now()
  if call.budget then note_first(call) end
  local n, below = 0, 0 -- repeats made; attempts that steps below made for theirs
  while true do
    count(call, n + 1 + below)
    local ok, value = pcall(attempt, call, a, b)
    if n > 0 then note_repeat(call.ctx, ok) end
    if ok then return value end
    if not attempts.is_failure(value) then error(value, 0) end
    below = below + (value.attempts or 1) - 1
    count(call, n + 1 + below)
    local delay, why = next_delay(call, value, n)
    if not delay then attempts.give_up(call, value, why) end
    if call.on_delay then call.on_delay(call, value, delay) end
    if not pause(call, delay) then
      attempts.give_up(call, value, "not tried again: too many other calls failed")
    end
    n = n + 1
  end
end

return attempts
