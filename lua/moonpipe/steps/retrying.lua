--- A step that is run again where it fails.
--
-- What is worth another attempt is judged by the failure (attempts.lua), unless
-- `retry_if` says otherwise. A stream is begun again until its first chunk; what
-- breaks later is the reader's to see, with what had come in `partial`. A batch
-- repeats the items that fail, each on its own.
local attempts = require "moonpipe.steps.attempts"
local coerce = require "moonpipe.coerce"
local context = require "moonpipe.context"
local errors = require "moonpipe.error"
local partial = require "moonpipe.steps.partial"
local run = require "moonpipe.run"
local runnable = require "moonpipe.steps.runnable"
local stream = require "moonpipe.stream"
local task = require "moonpipe.task"
local wrapping = require "moonpipe.steps.wrapping"

---@class moonpipe.RunnableRetry: moonpipe.Runnable
---@field bound moonpipe.Runnable
---@field attempts integer  at most
---@field retry_if (fun(err: moonpipe.Error): boolean)?
---@field wait moonpipe.Wait|false|nil
---@field on_retry (fun(err: moonpipe.Error, attempt: integer, seconds: number))?
local RunnableRetry, methods = runnable.class("RunnableRetry")
wrapping.delegate(methods)

-- ---- options ---------------------------------------------------------------------

local OPTIONS = { "on_retry", "retry_if", "stop_after_attempt", "wait_exponential_jitter" }
local WAIT = { "exp_base", "initial", "jitter", "max" }

local function refuse(name, what, value)
  errors.usage(("%s of with_retry must be %s, got %s"):format(name, what, errors.shape(value)))
end

local function is_function(value)
  return value == nil or type(value) == "function"
end

local function attempts_of(opts)
  local value = opts.stop_after_attempt
  if value == nil then return 3 end
  if type(value) ~= "number" or value < 1 or value ~= math.floor(value) then
    refuse("stop_after_attempt", "a whole number from 1", value)
  end
  return value
end

local function wait_of(opts)
  local given = opts.wait_exponential_jitter
  if given == nil or given == true then return nil end
  if given == false then return false end
  if type(given) ~= "table" then
    refuse("wait_exponential_jitter", "true, false or a table", given)
  end
  errors.options(given, WAIT, "wait_exponential_jitter of with_retry")
  local wait = { jitter = given.jitter }
  for name, seconds in pairs(attempts.WAIT) do wait[name] = given[name] or seconds end
  for name, seconds in pairs(wait) do
    if type(seconds) ~= "number" or seconds ~= seconds or seconds < 0 then
      refuse("wait_exponential_jitter." .. name, "a number from 0", seconds)
    end
  end
  return wait
end

---A step that runs [step] again where it fails.
---@param step any  coerced
---@param opts { stop_after_attempt: integer?, retry_if: function|string|string[]|nil,
---  wait_exponential_jitter: boolean|moonpipe.Wait|nil, on_retry: function? }?
---@return moonpipe.RunnableRetry
function RunnableRetry.new(step, opts)
  opts = errors.options(opts, OPTIONS, "with_retry")
  if not is_function(opts.on_retry) then refuse("on_retry", "a function", opts.on_retry) end
  return runnable.instance(RunnableRetry, {
    bound = coerce.step(step),
    attempts = attempts_of(opts),
    retry_if = errors.predicate(opts.retry_if, "retry_if of with_retry"),
    wait = wait_of(opts),
    on_retry = opts.on_retry,
  })
end

-- ---- running ---------------------------------------------------------------------

local function on_delay(call, err, seconds)
  local made = call.number
  run.note(call.ctx, "retry", { attempt = made + 1, error = err, seconds = seconds })
  local on_retry = call.step.on_retry
  if on_retry then context.within(call.ctx, on_retry, err, made, seconds) end
end

-- All repeats of a run share one budget; that of a call without a config begins here.
local function call_of(self, ctx)
  if not ctx.retries then ctx = context.with(ctx, { retries = { failed = 0 } }) end
  return {
    step = self,
    ctx = ctx,
    max_retries = self.attempts - 1,
    retry_if = self.retry_if,
    wait = self.wait,
    on_delay = on_delay,
    number = 0,
  }
end

-- The context of the next attempt; a repeat's tells that it is one.
local function next_ctx(call)
  call.number = call.number + 1
  if call.number == 1 then return call.ctx end
  return context.with(call.ctx, { credit = call.credit })
end

local function as_repeat(number)
  return function(step, input, ctx)
    return run.invoke(step, input, ctx, "retry:attempt:", number)
  end
end

local function attempt_invoke(call, input)
  local ctx = next_ctx(call)
  local fn = call.number > 1 and as_repeat(call.number) or run.invoke
  return task.attempt(ctx, fn, call.step.bound, input)
end

function methods:_invoke(input, ctx)
  return attempts.run(call_of(self, ctx), attempt_invoke, input)
end

-- An attempt of a stream: as far as its first chunk. What it opened hangs below a
-- scope of its own, and has ended where it fails.
local function attempt_stream(call, input)
  local ctx = next_ctx(call)
  local number = call.number > 1 and call.number or nil
  local pull, left = run.stream(call.step.bound, input, ctx, number and "retry:attempt:", number)
  local opened = stream.new(pull, nil, left)
  local ok, value = pcall(opened.next, opened)
  if not ok then error(errors.wrap(value), 0) end
  opened.first = value
  return opened
end

function methods:_stream(input, ctx)
  local rest
  return function()
    if rest then return rest() end
    local opened = attempts.run(call_of(self, ctx), attempt_stream, input)
    rest = partial.kept(opened, opened.first)
    return opened.first
  end
end

-- ---- what others ask -----------------------------------------------------------

function methods:_parts()
  local title = ("%d attempts"):format(self.attempts)
  return { shape = "frame", title = title, items = { { step = self.bound } } }
end

function methods:_label()
  return self.name or wrapping.operand(self.bound) .. ":with_retry()"
end

return { RunnableRetry = RunnableRetry }
