--- The context of a running call: what a config says, inherited downward.
--
-- A context is immutable; steps hand it on explicitly. Where a call gives no
-- config the context of the caller is used as it is, so that a step costs no
-- table. `run_name`, `run_id` and what concerns one batch are of one call only.
local errors = require "moonpipe.error"
local native = require "moonpipe.native"
local scheduler = require "moonpipe.scheduler"

---@class moonpipe.Context
---@field tags string[]
---@field metadata table
---@field configurable table
---@field callbacks table[]
---@field on_error "cancel"|"wait"|"collect"
---@field recursion_limit integer
---@field max_concurrency integer?
---@field limiter moonpipe.Limiter?  of the whole run
---@field deadline number?     absolute, in seconds of the monotonic clock
---@field retries { failed: integer }?  the budget of the run (attempts.lua)
---@field credit moonpipe.Credit?  of a repeat
---@field falls_over boolean?  a fallback is ready: no waiting for a service
---@field circuit moonpipe.Circuit?  of the fallbacks around (breaker.lua)
---@field held table<any, table>?  conversations in whose turn it is (history_runnable.lua)
---@field kwargs table?        what RunnableBinding gives to the steps it binds
---@field tracer table?        where there are callbacks: moonpipe.trace
---@field run moonpipe.Run?    of the step around, where traced
---@field place string?        what a binding is to its parent, where traced
---@field outer moonpipe.Context?  the context without kwargs, for user code
local Context = {}

local mt = { __name = "moonpipe.Context", __index = Context }
local context = {}

local KEYS = {
  "callbacks", "configurable", "max_concurrency", "metadata", "on_error", "on_progress",
  "recursion_limit", "return_exceptions", "run_id", "run_name", "tags", "timeout",
}
context.KEYS = KEYS

-- Tasks that began before this module was loaded hold the root too.
context.root = setmetatable(scheduler.root_context, mt)
for key, value in pairs {
  tags = {},
  metadata = {},
  configurable = {},
  callbacks = {},
  on_error = "cancel",
  recursion_limit = 25,
} do
  context.root[key] = value
end

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
function context.keys_and(more)
  local keys = { unpack(KEYS) }
  for _, key in ipairs(more) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

---Checks the keys and types of a config; raises a usage error.
---@param config table?
---@return table config
function context.check(config)
  if getmetatable(config) == mt then return config end
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

local function merged(base, over)
  if not over or next(over) == nil then return base end
  local out = {}
  for key, value in pairs(base) do out[key] = value end
  for key, value in pairs(over) do out[key] = value end
  return out
end

context.merged = merged

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
---@param config table|moonpipe.Context|nil
---@return moonpipe.Context
function context.derive(parent, config)
  if config == nil then return parent end
  if getmetatable(config) == mt then return config.outer or config end
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

---Traces every call from here on that is no part of one that runs.
---@param callback table
function context.add_callback(callback)
  context.root.callbacks = joined(context.root.callbacks, { callback })
  context.root.tracer = context.find_tracer()
end

---Whether [config] is the context that a function was given.
---@return boolean
function context.is(config)
  return getmetatable(config) == mt
end

---[parent] with other fields, bound arguments and all.
---@param parent moonpipe.Context
---@param fields table
---@return moonpipe.Context
function context.with(parent, fields)
  local out = merged(parent, fields)
  if parent.outer then out.outer = context.with(parent.outer, fields) end
  return setmetatable(out, mt)
end

---The context in which the step of a binding runs. What was bound further out, and
---so later, wins.
---@param parent moonpipe.Context
---@param kwargs table
---@return moonpipe.Context
function context.bind(parent, kwargs)
  local out = {}
  for key, value in pairs(parent) do out[key] = value end
  out.kwargs = merged(kwargs, parent.kwargs)
  out.outer = parent.outer or parent
  return setmetatable(out, mt)
end

---One level deeper: for a function that returned a step.
---@return moonpipe.Context
function context.deeper(parent)
  return context.with(parent, { recursion_limit = parent.recursion_limit - 1 })
end

---The running config, anywhere; outside of a task the empty one.
---@return moonpipe.Context
function context.current()
  local task = scheduler.current()
  return task and task.ctx or context.root
end

local function back_in(task, ctx, ok, ...)
  task.ctx = ctx
  if not ok then error((...), 0) end
  return ...
end

---Calls fn(...), a function of the user's that is no step, with [ctx] as the running
---config.
---@param ctx moonpipe.Context
---@param fn function
function context.within(ctx, fn, ...)
  local task = scheduler.current()
  local saved = task.ctx
  task.ctx = ctx.outer or ctx
  return back_in(task, saved, pcall(fn, ...))
end

---Seconds until the deadline, or nil where there is none.
---@return number?
function Context:remaining()
  return self.deadline and self.deadline - native.c.now()
end

return context
