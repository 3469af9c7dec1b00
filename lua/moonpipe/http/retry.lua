--- When a failed request is made again: what servers ask for, and the budget of
--- each origin. The formula and the loop are those of steps/attempts.lua.
local after = require "moonpipe.http.retry_after"
local attempts = require "moonpipe.steps.attempts"

local retry = {
  MAX_RETRIES = 2,
  give_up = attempts.give_up,
  is_failure = attempts.is_failure,
  run = attempts.run,
}

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

local budgets = {} -- by origin

---The budget that all calls to [origin] share.
---@param origin string
---@return moonpipe.RetryBudget
function retry.budget_of(origin)
  local budget = budgets[origin]
  if not budget then
    budget = attempts.budget()
    budgets[origin] = budget
  end
  return budget
end

return retry
