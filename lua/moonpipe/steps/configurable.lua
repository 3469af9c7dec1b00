--- Steps of which a call may choose another form: `config.configurable[id]`.
--
-- `configurable_fields` makes a step anew with other options; alternatives are
-- other steps in its place.
local coerce = require "moonpipe.coerce"
local context = require "moonpipe.context"
local errors = require "moonpipe.error"
local json = require "moonpipe.json"
local members = require "moonpipe.members"
local run = require "moonpipe.run"
local runnable = require "moonpipe.steps.runnable"

local configurable = {}

-- ---- what can be chosen ------------------------------------------------------

local SPEC = { "annotation", "description", "id", "is_shared", "name" }
local spec_mt = { __name = "moonpipe.ConfigurableField" }

---Names what a call may choose: `mp.ConfigurableField{ id = "temperature" }`.
---@param spec { id: string, name: string?, description: string? }
function configurable.ConfigurableField(spec)
  if getmetatable(spec) == spec_mt then return spec end
  local out = {}
  for key, value in pairs(errors.options(spec, SPEC, "ConfigurableField")) do out[key] = value end
  if type(out.id) ~= "string" or out.id == "" then
    errors.usage("id of ConfigurableField takes a string, got " .. errors.shape(out.id))
  end
  return setmetatable(out, spec_mt)
end

-- What a schema says of it.
local function described(spec, more)
  local out = more or {}
  out.title, out.description, out.is_shared = spec.name, spec.description, spec.is_shared
  if type(spec.annotation) == "string" then out.type = spec.annotation end
  return out
end

-- The part of both classes that is the same: what runs is self:_choice(ctx), a
-- step and its context.
function configurable.chooses(methods)
  methods.transparent = true

  function methods:_invoke(input, ctx)
    local step, inner = self:_choice(ctx)
    return run.invoke(step, input, inner)
  end

  function methods:_stream(input, ctx)
    local step, inner = self:_choice(ctx)
    return run.stream(step, input, inner)
  end

  function methods:_transform(source, ctx)
    local step, inner = self:_choice(ctx)
    return run.transform(step, source, inner)
  end
end

-- ---- fields ------------------------------------------------------------------

---@class moonpipe.RunnableConfigurableFields: moonpipe.Runnable
---@field bound moonpipe.Runnable
---@field fields table<string, { id: string }>
local Fields, fields = runnable.class("RunnableConfigurableFields")
configurable.chooses(fields)

---@param step moonpipe.Runnable
---@param given table<string, { id: string }>  by the name of the option
---@return moonpipe.RunnableConfigurableFields
function configurable.fields(step, given)
  local names = step:_options()
  if not names then
    errors.usage(("%s has no fields that can be configured; configurable_alternatives puts another"
      .. " step in its place"):format(step:_label()))
  end
  local specs = {}
  for name, spec in pairs(errors.options(given, names, step:get_name())) do
    specs[name] = configurable.ConfigurableField(spec)
  end
  if next(specs) == nil then errors.usage "configurable_fields takes at least one field" end
  return runnable.instance(Fields, { bound = step, fields = specs })
end

-- What the call chooses; nil where it is nothing.
local function chosen(self, ctx)
  local out
  for name, spec in pairs(self.fields) do
    local value = ctx.configurable[spec.id]
    if value ~= nil then
      out = out or {}
      out[name] = value
    end
  end
  return out
end

function fields:_choice(ctx)
  local changes = chosen(self, ctx)
  if not changes then return self.bound, ctx end
  local ok, step = pcall(self.bound._with_options, self.bound, changes)
  if ok then return step, ctx end
  return errors.raise("config", ("%s cannot be configured so: %s"):format(self:get_name(),
    errors.text(step)))
end

function fields:_begins_with_user_code()
  return self.bound:_begins_with_user_code()
end

function fields:_takes_kwargs()
  return self.bound:_takes_kwargs()
end

function fields:_check_keys(keys)
  return self.bound:_check_keys(keys)
end

function fields:_output_keys(keys)
  return self.bound:_output_keys(keys)
end

function fields:_choices()
  local out = {}
  for _, spec in pairs(self.fields) do out[spec.id] = described(spec) end
  return out
end

-- So that fields of fields add up.
function fields:_options()
  return self.bound:_options()
end

function fields:_with_options(changes)
  return runnable.instance(Fields, {
    bound = self.bound:_with_options(changes),
    fields = self.fields,
  })
end

function fields:_parts()
  return { shape = "same", items = { { step = self.bound } } }
end

function fields:get_name()
  return self.bound:get_name()
end

function fields:_label()
  return self.bound:_label()
end

-- ---- alternatives ------------------------------------------------------------

---@class moonpipe.RunnableConfigurableAlternatives: moonpipe.Runnable
---@field default moonpipe.Runnable
---@field default_key string
---@field alternatives table<string, moonpipe.Runnable|fun(): any>  a function makes the step
---@field keys string[]  all keys, sorted
---@field id string
---@field spec { id: string, name: string?, description: string? }
---@field prefix_keys boolean?
local Alternatives, alternatives = runnable.class("RunnableConfigurableAlternatives")
configurable.chooses(alternatives)

-- A function without parameters could not look at its input: it makes the step.
local function is_factory(value)
  if type(value) ~= "function" then return false end
  local info = debug.getinfo(value, "uS")
  return info.what ~= "C" and info.nparams == 0 and not info.isvararg
end

local function check_alternatives(given, default_key, where)
  if type(given) ~= "table" or getmetatable(given) ~= nil or next(given) == nil then
    errors.usage("configurable_alternatives takes a table of steps, got " .. errors.shape(given),
      where)
  end
  local out, keys = {}, { default_key }
  for key, value in pairs(given) do
    if type(key) ~= "string" or key == default_key then
      errors.usage(("keys of alternatives are strings besides '%s', got %s"):format(default_key,
        type(key) == "string" and ("'%s'"):format(key) or errors.shape(key)), where)
    end
    keys[#keys + 1] = key
    out[key] = is_factory(value) and value
      or coerce.step(value, nil, where, ("alternative '%s'"):format(key))
  end
  table.sort(keys)
  return out, keys
end

---@param step moonpipe.Runnable  the default
---@param spec { id: string }
---@param given table<string, any>  steps by key; a function without parameters makes its step
---@param opts { default_key: string?, prefix_keys: boolean? }?
---@return moonpipe.RunnableConfigurableAlternatives
function configurable.alternatives(step, spec, given, opts)
  local where = errors.caller()
  spec = configurable.ConfigurableField(spec)
  opts = errors.options(opts, { "default_key", "prefix_keys" }, "configurable_alternatives")
  local default_key = opts.default_key or "default"
  local out, keys = check_alternatives(given, default_key, where)
  return runnable.instance(Alternatives, {
    default = step,
    default_key = default_key,
    alternatives = out,
    keys = keys,
    id = spec.id,
    spec = spec,
    prefix_keys = opts.prefix_keys,
    where = where,
  })
end

-- The step of [key], made at its first use. That is no state of a call.
local function alternative(self, key)
  if key == self.default_key then return self.default end
  local step = self.alternatives[key]
  if step == nil then
    errors.raise("config", ("unknown alternative %s of '%s'; there are {%s}%s"):format(
      type(key) == "string" and ("'%s'"):format(key) or errors.shape(key), self.id,
      table.concat(self.keys, ", "), errors.hint(key, self.keys)))
  end
  if type(step) == "function" then
    step = coerce.step(step(), nil, self.where, ("alternative '%s'"):format(key))
    self.alternatives[key] = step
  end
  return step
end

-- With prefix_keys an id within alternative `b` of `a` is `a==b/id`.
local function prefix_of(self, key)
  return ("%s==%s/"):format(self.id, key)
end

local function unprefixed(self, key, ctx)
  local prefix, found = prefix_of(self, key), {}
  for id, value in pairs(ctx.configurable) do
    if type(id) == "string" and id:sub(1, #prefix) == prefix then
      found[id:sub(#prefix + 1)] = value
    end
  end
  if next(found) == nil then return ctx end
  return context.with(ctx, { configurable = context.merged(ctx.configurable, found) })
end

function alternatives:_choice(ctx)
  local key = ctx.configurable[self.id]
  if key == nil then key = self.default_key end
  local step = alternative(self, key)
  return step, self.prefix_keys and unprefixed(self, key, ctx) or ctx
end

-- Of those that are made at their first use nothing is known yet.
local function known(self)
  local list, all = { self.default }, true
  for _, step in pairs(self.alternatives) do
    if type(step) == "function" then all = false else list[#list + 1] = step end
  end
  return list, all
end

function alternatives:_begins_with_user_code()
  local list, all = known(self)
  return not all or members.begin_with_user_code(list)
end

function alternatives:_takes_kwargs()
  local list, all = known(self)
  return not all or members.take_kwargs(list)
end

function alternatives:_check_keys(keys)
  for _, key in ipairs(self.keys) do
    local step = key == self.default_key and self.default or self.alternatives[key]
    local problem = type(step) ~= "function" and step:_check_keys(keys)
    if problem then return ("in alternative '%s': %s"):format(key, problem) end
  end
end

function alternatives:_output_keys(keys)
  local list, all = known(self)
  return all and members.output_keys(list, keys) or nil
end

function alternatives:_parts()
  local items = {}
  for i, key in ipairs(self.keys) do
    local step = key == self.default_key and self.default or self.alternatives[key]
    if type(step) == "function" then step = nil end
    items[i] = { step = step, label = ("%s = %s"):format(self.id, key),
      prefix = self.prefix_keys and prefix_of(self, key) or nil }
  end
  return { shape = "choice", items = items }
end

function alternatives:_choices()
  return { [self.id] = described(self.spec, { enum = json.array { unpack(self.keys) },
    default = self.default_key }) }
end

-- As the default does: others may do otherwise.
function alternatives:_flow()
  return require("moonpipe.explain").describe(self.default).flow
end

function alternatives:get_name()
  return self.default:get_name()
end

function alternatives:_label()
  return self.default:_label()
end

return configurable
