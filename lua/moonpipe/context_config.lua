--- The configs that users give to calls: what is in them, and the context that one makes.
local context = require "moonpipe.context"
local errors = require "moonpipe.error"
local native = require "moonpipe.native"

local configs = {}

local mt = getmetatable(context.root)
local merged = context.merged

local KEYS = {
  "callbacks", "configurable", "max_concurrency", "metadata", "on_error", "on_progress",
  "recursion_limit", "return_exceptions", "run_id", "run_name", "tags", "timeout",
}

local ON_ERROR = { cancel = true, wait = true, collect = true }

local function of_type(name, what)
  return { holds = function(value) return type(value) == name end, what = what or "a " .. name }
end

local function is_count(value)
  return type(value) == "number" and value >= 1 and value == math.floor(value)
end

local function are_tags(value)
  if type(value) ~= "table" then return false end
  for _, tag in ipairs(value) do
    if type(tag) ~= "string" then return false end
  end
  return true
end

local function is_duration(value)
  return type(value) == "number" and value >= 0
end

local function is_mode(value)
  return ON_ERROR[value] == true
end

local COUNT = { holds = is_count, what = "a whole number from 1" }

-- What each key takes.
local TAKES = {
  callbacks = of_type "table",
  configurable = of_type "table",
  max_concurrency = COUNT,
  metadata = of_type "table",
  on_error = { holds = is_mode, what = "'cancel', 'wait' or 'collect'" },
  on_progress = of_type "function",
  recursion_limit = COUNT,
  return_exceptions = of_type "boolean",
  run_id = of_type "string",
  run_name = of_type "string",
  tags = { holds = are_tags, what = "a list of strings" },
  timeout = { holds = is_duration, what = "seconds" },
}

---The keys of a config and [more], sorted.
---@param more string[]
---@return string[]
function configs.keys_and(more)
  local keys = { unpack(KEYS) }
  for _, key in ipairs(more) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

---Checks the keys and types of a config; raises a usage error.
---@param config table
---@return table config
function configs.check(config)
  config = errors.options(config, KEYS, "config")
  for _, key in ipairs(KEYS) do
    local value = config[key]
    if value ~= nil and not TAKES[key].holds(value) then
      errors.usage(("config %s takes %s, got %s"):format(key, TAKES[key].what,
        errors.shape(value)))
    end
  end
  if config.callbacks then context.find_tracer().check(config.callbacks) end
  return config
end

local function union(base, more)
  if not more or #more == 0 then return base end
  local out, seen = {}, {}
  for _, list in ipairs { base, more } do
    for _, tag in ipairs(list) do
      if not seen[tag] then
        seen[tag] = true
        out[#out + 1] = tag
      end
    end
  end
  table.sort(out)
  return out
end

local function joined(base, more)
  if not more or #more == 0 then return base end
  local out = { unpack(base) }
  for _, item in ipairs(more) do out[#out + 1] = item end
  return out
end

-- One limiter for a run; loaded at the first limit.
local function limiter_of(parent, config)
  if not config.max_concurrency then return parent.limiter end
  return require("moonpipe.limiter").new(config.max_concurrency, parent.limiter)
end

-- The nearer of two deadlines.
local function deadline_of(parent, config)
  local mine = config.timeout and native.c.now() + config.timeout
  if not mine then return parent.deadline end
  return parent.deadline and math.min(parent.deadline, mine) or mine
end

---The context of a call with [config] made in [parent].
---@param parent moonpipe.Context
---@param config table
---@return moonpipe.Context
function configs.derive(parent, config)
  local callbacks = joined(parent.callbacks, config.callbacks)
  return setmetatable({
    tags = union(parent.tags, config.tags),
    metadata = merged(parent.metadata, config.metadata),
    configurable = merged(parent.configurable, config.configurable),
    callbacks = callbacks,
    tracer = callbacks[1] and context.find_tracer(),
    run = parent.run,
    place = parent.place,
    on_error = config.on_error or parent.on_error,
    recursion_limit = config.recursion_limit or parent.recursion_limit,
    max_concurrency = config.max_concurrency or parent.max_concurrency,
    limiter = limiter_of(parent, config),
    deadline = deadline_of(parent, config),
    retries = parent.retries or { failed = 0 },
    credit = parent.credit,
    falls_over = parent.falls_over,
    circuit = parent.circuit,
    held = parent.held,
    run_name = config.run_name,
    run_id = config.run_id,
  }, mt)
end

return configs
