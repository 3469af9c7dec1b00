--- A step, and what answers instead where it fails.
--
-- Where all fail, the error of the first is raised and the others' are beside it.
-- Each step but the last has a circuit (breaker.lua): one that is down is not asked
-- again for a while. A switch is told once, and so is the way back. A stream falls
-- back until its first chunk; an empty one is no failure.
local attempts = require "moonpipe.steps.attempts"
local breaker = require "moonpipe.steps.breaker"
local coerce = require "moonpipe.coerce"
local context = require "moonpipe.context"
local errors = require "moonpipe.error"
local log = require "moonpipe.log"
local members = require "moonpipe.members"
local partial = require "moonpipe.steps.partial"
local run = require "moonpipe.run"
local runnable = require "moonpipe.steps.runnable"
local scheduler = require "moonpipe.scheduler"
local stream = require "moonpipe.stream"
local task = require "moonpipe.task"
local tree = require "moonpipe.tree"
local wrapping = require "moonpipe.steps.wrapping"

---@class moonpipe.RunnableWithFallbacks: moonpipe.Runnable
---@field bound moonpipe.Runnable
---@field fallbacks moonpipe.Runnable[]
---@field list moonpipe.Runnable[]      all of them, in their order
---@field breakers moonpipe.Breaker[]   of each but the last
---@field handles (fun(err: moonpipe.Error): any)?
---@field exception_key string?
---@field on_switch fun(switch: table)?
---@field where string?
local RunnableWithFallbacks, methods = runnable.class("RunnableWithFallbacks")

-- ---- making ----------------------------------------------------------------------

local OPTIONS = { "circuit", "exception_key", "exceptions_to_handle", "on_switch" }

local function is_step(value)
  return type(value) == "function" or getmetatable(value) ~= nil
end

local function list_of(step, others, where)
  if is_step(others) then others = { others } end
  if type(others) ~= "table" or others[1] == nil then
    errors.usage("with_fallbacks takes a list of steps, got " .. errors.shape(others), where)
  end
  local list = { coerce.step(step, nil, where) }
  for i = 1, #others do
    list[i + 1] = coerce.step(others[i], nil, where, "fallback " .. i)
  end
  return list
end

local function check(opts)
  local key, on_switch = opts.exception_key, opts.on_switch
  if key ~= nil and type(key) ~= "string" then
    errors.usage("exception_key of with_fallbacks must be a string, got " .. errors.shape(key))
  elseif on_switch ~= nil and type(on_switch) ~= "function" then
    errors.usage("on_switch of with_fallbacks must be a function, got " .. errors.shape(on_switch))
  elseif opts.circuit ~= nil and type(opts.circuit) ~= "boolean"
    and type(opts.circuit) ~= "table" then
    errors.usage("circuit of with_fallbacks must be a boolean or { failures, seconds }, got "
      .. errors.shape(opts.circuit))
  end
end

---[step], or where it fails the first of [others] that does not.
---@param step any      coerced, as each of the others
---@param others any[]
---@param opts { exceptions_to_handle: function|string|string[]|nil, exception_key: string?,
---  circuit: boolean|table|nil, on_switch: function? }?
---@return moonpipe.RunnableWithFallbacks
function RunnableWithFallbacks.new(step, others, opts)
  opts = errors.options(opts, OPTIONS, "with_fallbacks")
  check(opts)
  local where = errors.caller()
  local list = list_of(step, others, where)
  local breakers = {}
  for i = 1, #list - 1 do breakers[i] = breaker.option(opts.circuit, list[i]) end
  return runnable.instance(RunnableWithFallbacks, {
    bound = list[1],
    fallbacks = { unpack(list, 2) },
    list = list,
    breakers = breakers,
    handles = errors.predicate(opts.exceptions_to_handle, "exceptions_to_handle of with_fallbacks"),
    exception_key = opts.exception_key,
    on_switch = opts.on_switch,
    where = where,
  })
end

-- ---- one call --------------------------------------------------------------------

local function part(i)
  return i == 1 and "primary" or "fallback " .. i - 1
end

local function located(self, i, err)
  err.step = err.step or self.list[i]:get_name()
  return err:at(part(i) .. " " .. self.list[i]:get_name(), self.where)
end

-- What became of the others, beside the error that is raised.
local function siblings_of(self, errs, raised)
  local siblings = {}
  for i = 1, #self.list do
    if i ~= raised then siblings[part(i)] = errs[i] or "not tried" end
  end
  return siblings
end

-- Raises the first error of those that were tried.
local function fail_all(self, errs, tried)
  local first = 1 -- where circuits further out are open nobody was asked
  while first < #self.list and not tried[first] do first = first + 1 end
  local err = errs[first]
  err.siblings = err.siblings or siblings_of(self, errs, first)
  error(err, 0)
end

local function check_input(self, input)
  if self.exception_key and (type(input) ~= "table" or getmetatable(input) ~= nil) then
    errors.raise("input", ("with exception_key the input of %s must be a table, got %s"):format(
      self:get_name(), errors.shape(input)))
  end
end

-- The input of step i: the caller's, or a copy that has the error too.
local function input_for(self, input, err)
  if not self.exception_key or not err then return input end
  local copy = {}
  for key, value in pairs(input) do copy[key] = value end
  copy[self.exception_key] = err
  return copy
end

-- One that fails has another behind it: it does not wait for what that can answer.
local function ctx_for(self, i, ctx)
  if i == #self.list then return ctx end
  local circuit = { breaker = self.breakers[i], outer = ctx.circuit }
  return context.with(ctx, { falls_over = true, circuit = circuit })
end

-- What the service did is told once, until it is back.
local function tell_switch(self, i, err, ctx)
  local circuit, from, to = self.breakers[i], self.list[i], self.list[i + 1]
  run.note(ctx, "fallback", { from = from, to = to, error = err })
  if self.on_switch then
    context.within(ctx, self.on_switch, { from = from, to = to, error = err })
  end
  if circuit.switched or not attempts.is_service(err) then return end
  circuit.switched = true
  log.notice(("%s fails (%s); %s answers instead"):format(from:get_name(), errors.brief(err),
    to:get_name()))
end

local function tell_return(self, i)
  local circuit = self.breakers[i]
  if not circuit or not circuit.switched then return end
  circuit.switched = nil
  log.notice(("%s answers again"):format(self.list[i]:get_name()))
end

-- Raises what ended the run, and not a failure behind which another had answered.
local function give_up(self, i, err)
  local ended = scheduler.cancelled(scheduler.current())
  if not ended or err.kind == ended.kind then error(err, 0) end
  ended = tree.own(ended)
  ended.cause = located(self, i, err)
  error(ended, 0)
end

-- Calls try(i, input, ctx) for one step after the other, until one succeeds.
local function first_of(self, try, input, ctx)
  check_input(self, input)
  local errs, tried = {}, {}
  for i = 1, #self.list do
    local circuit = self.breakers[i]
    if circuit and not circuit:enter() then
      errs[i] = circuit.last
    else
      local inner = ctx_for(self, i, ctx)
      local ok, value = pcall(try, self, i, input_for(self, input, errs[i - 1]), inner)
      local err = not ok and errors.wrap(value) or nil
      if circuit then
        circuit:leave(err)
        inner.circuit.over = true -- of a stream no other can give the rest
      end
      if ok then
        tell_return(self, i)
        return value
      end
      if not attempts.may_go_on(err) then give_up(self, i, err) end
      located(self, i, err)
      if self.handles and not self.handles(err) then error(err, 0) end
      errs[i], tried[i] = err, not breaker.was_not_asked(err)
    end
    if circuit then tell_switch(self, i, errs[i], ctx) end
  end
  fail_all(self, errs, tried)
end

-- ---- running ---------------------------------------------------------------------

local function kind_of(i)
  if i == 1 then return "primary", nil end
  return "fallback:", i - 1
end

local function as_part(i)
  return function(step, input, ctx) return run.invoke(step, input, ctx, kind_of(i)) end
end

local function try_invoke(self, i, input, ctx)
  return task.attempt(ctx, ctx.tracer and as_part(i) or run.invoke, self.list[i], input)
end

function methods:_invoke(input, ctx)
  return first_of(self, try_invoke, input, ctx)
end

-- As far as the first chunk; what it opened has ended where it fails.
local function try_stream(self, i, input, ctx)
  local pull, left = run.stream(self.list[i], input, ctx, kind_of(i))
  local opened = stream.new(pull, nil, left)
  opened.first, opened.place = opened:next(), i
  return opened
end

local function placed(self, opened)
  return function()
    local ok, value = pcall(opened)
    if ok then return value end
    error(located(self, opened.place, errors.wrap(value)), 0)
  end
end

function methods:_stream(input, ctx)
  local rest
  return function()
    if rest then return rest() end
    local opened = first_of(self, try_stream, input, ctx)
    rest = partial.kept(placed(self, opened), opened.first)
    return opened.first
  end
end

-- ---- what others ask -----------------------------------------------------------

function methods:_begins_with_user_code()
  return members.begin_with_user_code(self.list)
end

function methods:_takes_kwargs()
  return members.take_kwargs(self.list)
end

function methods:_check_keys(keys)
  return self.bound:_check_keys(keys)
end

function methods:_output_keys(keys)
  return members.output_keys(self.list, keys)
end

function methods:_parts()
  local items = {}
  for i, step in ipairs(self.list) do items[i] = { step = step, label = part(i) } end
  return { shape = "choice", items = items }
end

function methods:_label()
  if self.name then return self.name end
  local labels = {}
  for i, step in ipairs(self.fallbacks) do labels[i] = step:_label() end
  return ("%s:with_fallbacks{%s}"):format(wrapping.operand(self.bound), table.concat(labels, ", "))
end

return { RunnableWithFallbacks = RunnableWithFallbacks }
