--- What limits the calls to an endpoint: the gate of its key and model, and the rate
--- limiter that its options name.
--
-- A server that refuses a call, or says that nothing is left, means all who call it
-- with that key: the gate, or the limiter, is held for all of them. Time in a queue is
-- not time of the call.
local errors = require "moonpipe.error"
local http = require "moonpipe.http.http"
local rate_limiter = require "moonpipe.rate_limiter"
local retry_after = require "moonpipe.http.retry_after"

local limits = {}

local MAX_HOLD = 120      -- seconds for which a gate is held at most
local BYTES_PER_TOKEN = 4 -- of a request

---The option `rate_limiter` of a class.
function limits.option(value, class)
  if value == nil or rate_limiter.is(value) then return value end
  errors.usage(("rate_limiter of %s must be an mp.RateLimiter, got %s"):format(class,
    errors.shape(value)))
end

-- ---- holding ---------------------------------------------------------------------

-- Servers that are played from a cassette need no consideration.
local function is_played()
  local tape = http.tape()
  return tape and tape.hurries
end

local function hold(call, seconds)
  if seconds > MAX_HOLD or is_played() then return end
  http.gate(call.plan.gate, { not_before = seconds })
  if call.rate_limiter then call.rate_limiter:pause(seconds) end
end

-- How providers name the headers of a limit: what is left, how much it is, and when
-- it is whole again (Anthropic by a time of RFC 3339).
local FORMS = {
  {
    mark = "\nx-ratelimit-remaining-",
    name = function(what, field) return ("x-ratelimit-%s-%s"):format(field, what) end,
  },
  {
    mark = "\nanthropic-ratelimit-",
    name = function(what, field) return ("anthropic-ratelimit-%s-%s"):format(what, field) end,
  },
}

local function heed_limit(call, form, what, header, is_success)
  local function said(field)
    return header(form.name(what, field))
  end
  local remaining = tonumber(said "remaining")
  if not remaining then return end
  local reset = said "reset"
  local seconds = reset and retry_after.duration(reset, os.time())
  if call.rate_limiter then
    call.rate_limiter:learn(what, remaining, tonumber(said "limit"), seconds)
  end
  if is_success and remaining <= 0 and seconds and seconds > 0 then hold(call, seconds) end
end

---Heeds what an answer says of the limits of its key. A refusal says better how long
---to wait.
---@param call moonpipe.Attempts
---@param answer { head: string, header: fun(name: string): string? }
---@param is_success boolean
function limits.heed_answer(call, answer, is_success)
  -- most say nothing: asking for a header would make a function for it
  if not answer.head:find("-ratelimit-", 1, true) then return end
  for _, form in ipairs(FORMS) do
    if answer.head:find(form.mark, 1, true) then
      heed_limit(call, form, "requests", answer.header, is_success)
      heed_limit(call, form, "tokens", answer.header, is_success)
    end
  end
end

---A server that names a time means all who call it, not this call alone.
function limits.heed_refusal(call, err)
  if err.retry_after and err.kind ~= "quota" then hold(call, err.retry_after) end
end

---So does a 429 without a time: the others wait with the one that is repeated.
function limits.on_delay(call, err, seconds)
  if err.kind == "rate_limit" and not err.retry_after then hold(call, seconds) end
end

-- ---- the rate --------------------------------------------------------------------

-- The tokens that a call is thought to need: those of its text, and of the longest
-- answer where that is said. A quote inside of a text is escaped, so the name of the
-- option cannot stand there.
local function estimate(body)
  local longest = body:match('[,{]"max_completion_tokens":(%d+)')
    or body:match('[,{]"max_tokens":(%d+)')
  return math.ceil(#body / BYTES_PER_TOKEN) + (tonumber(longest) or 0)
end

---Waits until the rate allows the next attempt of a call.
---@async
function limits.admit(call)
  local limiter = call.rate_limiter
  call.tokens = nil
  if is_played() then return end
  call.tokens = limiter.tokens and estimate(call.body or "") or 0
  call.begun = call.begun + limiter:take(call.tokens)
end

---Says what a call has used, where its answer says it.
---@param call moonpipe.Attempts
---@param usage { total_tokens: number? }?
function limits.settle(call, usage)
  local total = type(usage) == "table" and usage.total_tokens
  if type(total) == "number" and call.tokens then call.rate_limiter:settle(call.tokens, total) end
end

return limits
