--- A step with arguments or a config of its own.
local chunk = require "moonpipe.chunk"
local context = require "moonpipe.context"
local errors = require "moonpipe.error"
local run = require "moonpipe.run"
local runnable = require "moonpipe.runnable"
local task = require "moonpipe.task"

---@class moonpipe.RunnableBinding: moonpipe.Runnable
---@field bound moonpipe.Runnable
---@field kwargs table   given to every call
---@field config table   merged into that of every call
local RunnableBinding, methods = runnable.class("RunnableBinding")
methods.transparent = true

local binding = { RunnableBinding = RunnableBinding }

local function overlay(a, b)
  local out = {}
  for key, value in pairs(a) do out[key] = value end
  for key, value in pairs(b) do out[key] = value end
  return out
end

-- A binding of a binding is one binding, the newer winning.
local function make(bound, kwargs, config)
  if getmetatable(bound) == RunnableBinding.mt then
    kwargs, config = overlay(bound.kwargs, kwargs), overlay(bound.config, config)
    bound = bound.bound
  end
  return runnable.instance(RunnableBinding, {
    bound = bound,
    kwargs = kwargs,
    config = config,
    name = config.run_name,
    sync = bound.sync and not config.timeout,
  })
end

---@param step moonpipe.Runnable
---@param kwargs table
---@return moonpipe.RunnableBinding
function binding.bind(step, kwargs)
  if type(kwargs) ~= "table" then
    errors.usage("bind takes a table of arguments, got " .. errors.shape(kwargs))
  end
  if not step:_takes_kwargs() then
    errors.usage(("nothing in %s takes bound arguments, so %s would be lost"):format(
      step:_label(), errors.shape(kwargs)))
  end
  return make(step, kwargs, {})
end

---@param step moonpipe.Runnable
---@param config table
---@return moonpipe.RunnableBinding
function binding.with_config(step, config)
  return make(step, {}, context.check(config))
end

local function derive(self, ctx)
  if next(self.config) then ctx = context.derive(ctx, self.config) end
  if next(self.kwargs) then ctx = context.bind(ctx, self.kwargs) end
  return ctx
end

local function timed_out(self)
  return errors.new {
    kind = "timeout_total",
    message = ("no answer within %g s"):format(self.config.timeout),
    step = self:get_name(),
    elapsed = self.config.timeout,
  }
end

-- Calls fn(bound, input, ctx) within the timeout, if there is one.
local function limited(self, fn, input, ctx)
  ctx = derive(self, ctx)
  if not self.config.timeout then return fn(self.bound, input, ctx) end
  return task.within(self.config.timeout, timed_out(self), ctx, fn, self.bound, input)
end

function methods:_invoke(input, ctx)
  return limited(self, run.invoke, input, ctx)
end

-- With a timeout the stream is gathered within it.
local function gathered(step, input, ctx)
  return (chunk.collect(run.stream(step, input, ctx)))
end

function methods:_stream(input, ctx)
  if not self.config.timeout then return run.stream(self.bound, input, derive(self, ctx)) end
  local asked = false
  return function()
    if asked then return nil end
    asked = true
    return limited(self, gathered, input, ctx)
  end
end

function methods:_transform(source, ctx)
  if self.config.timeout then return runnable.base._transform(self, source, ctx) end
  return run.transform(self.bound, source, derive(self, ctx))
end

function methods:_begins_with_user_code()
  return self.bound:_begins_with_user_code()
end

function methods:_takes_kwargs()
  return self.bound:_takes_kwargs()
end

function methods:_check_keys(keys)
  return self.bound._check_keys and self.bound:_check_keys(keys)
end

function methods:_output_keys(keys)
  return self.bound._output_keys and self.bound:_output_keys(keys)
end

function methods:_parts()
  return { shape = "same", items = { { step = self.bound } } }
end

function methods:get_name()
  return self.name or self.bound:get_name()
end

function methods:_label()
  return self.name or self.bound:_label()
end

return binding
