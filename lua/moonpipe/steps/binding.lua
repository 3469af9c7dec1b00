--- A step with arguments or a config of its own.
local context = require "moonpipe.context"
local errors = require "moonpipe.error"
local run = require "moonpipe.run"
local runnable = require "moonpipe.steps.runnable"
local timeout = require "moonpipe.steps.timeout"
local wrapping = require "moonpipe.steps.wrapping"

---@class moonpipe.RunnableBinding: moonpipe.Runnable
---@field bound moonpipe.Runnable
---@field kwargs table   given to every call
---@field config table   merged into that of every call
---@field inherited table  of it, all but the timeout
---@field limits moonpipe.Limits?  the timeout
---@field input_type table?   a JSON schema: what the user says that it takes
---@field output_type table?
local RunnableBinding, methods = runnable.class("RunnableBinding")
wrapping.delegate(methods)
methods.transparent = true

local binding = { RunnableBinding = RunnableBinding }

local function overlay(a, b)
  local out = {}
  for key, value in pairs(a) do out[key] = value end
  for key, value in pairs(b) do out[key] = value end
  return out
end

-- A binding of a binding is one binding, the newer winning.
local function make(bound, kwargs, config, given)
  given = given or {}
  local is_binding = getmetatable(bound) == RunnableBinding.mt
  kwargs = overlay(is_binding and bound.kwargs or {}, kwargs)
  config = overlay(is_binding and bound.config or {}, config)
  if is_binding then
    given = overlay({ input_type = bound.input_type, output_type = bound.output_type }, given)
    bound = bound.bound
  end
  local inherited = overlay(config, {})
  inherited.timeout = nil
  return runnable.instance(RunnableBinding, {
    bound = bound,
    kwargs = kwargs,
    config = config,
    inherited = inherited,
    limits = config.timeout and { total = config.timeout },
    input_type = given.input_type,
    output_type = given.output_type,
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

---@param step moonpipe.Runnable
---@param given { input_type: any, output_type: any }
---@return moonpipe.RunnableBinding
function binding.with_types(step, given)
  local types, schemas = require "moonpipe.types", {}
  for name, value in pairs(errors.options(given, { "input_type", "output_type" }, "with_types")) do
    schemas[name] = types.schema(value, name .. " of with_types")
  end
  return make(step, {}, {}, schemas)
end

-- What a call chooses and tells wins over what the step has of its own.
local function config_in(self, ctx)
  local config = self.inherited
  if not (config.configurable or config.metadata) then return config end
  return overlay(config, {
    configurable = overlay(config.configurable or {}, ctx.configurable),
    metadata = overlay(config.metadata or {}, ctx.metadata),
  })
end

local function derive(self, ctx)
  local outer = ctx.kwargs
  if next(self.inherited) then
    ctx = context.derive(ctx, config_in(self, ctx))
    if outer then ctx = context.bind(ctx, outer) end
  end
  if next(self.kwargs) then ctx = context.bind(ctx, self.kwargs) end
  return ctx
end

function methods:_invoke(input, ctx)
  ctx = derive(self, ctx)
  if not self.limits then return run.invoke(self.bound, input, ctx) end
  return timeout.invoke(self.limits, self:get_name(), self.bound, input, ctx)
end

function methods:_stream(input, ctx)
  ctx = derive(self, ctx)
  if not self.limits then return run.stream(self.bound, input, ctx) end
  return timeout.stream(self.limits, self:get_name(), self.bound, input, ctx)
end

function methods:_transform(source, ctx)
  ctx = derive(self, ctx)
  if not self.limits then return run.transform(self.bound, source, ctx) end
  return timeout.transform(self.limits, self:get_name(), self.bound, source, ctx)
end

function methods:_check_keys(keys)
  local problem = self.input_type and require("moonpipe.types").problem(self.input_type, keys)
  if problem then return self:_label() .. ": " .. problem end
  return self.bound:_check_keys(keys)
end

function methods:_output_keys(keys)
  if self.output_type then return require("moonpipe.types").keys(self.output_type) end
  return self.bound:_output_keys(keys)
end

function methods:_input_schema()
  return self.input_type
end

function methods:_output_schema()
  return self.output_type
end

function methods:_parts()
  return { shape = "same", items = { { step = self.bound } } }
end

return binding
