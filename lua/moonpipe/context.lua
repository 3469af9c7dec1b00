--- The context of a running call: what a config says, inherited downward.
--
-- A context is immutable; steps hand it on explicitly. Where a call gives no
-- config the context of the caller is used as it is, so that a step costs no
-- table. `run_name`, `run_id` and what concerns one batch are of one call only.
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
---@field retries { failed: integer }?  the budget of the run (steps/attempts.lua)
---@field credit moonpipe.Credit?  of a repeat
---@field falls_over boolean?  a fallback is ready: no waiting for a service
---@field circuit moonpipe.Circuit?  of the fallbacks around (steps/breaker.lua)
---@field held table<any, table>?  conversations in whose turn it is (histories/runnable.lua)
---@field kwargs table?        what RunnableBinding gives to the steps it binds
---@field tracer table?        where there are callbacks: moonpipe.trace
---@field run moonpipe.Run?    of the step around, where traced
---@field place string?        what a binding is to its parent, where traced
---@field outer moonpipe.Context?  the context without kwargs, for user code
local Context = {}

local mt = { __name = "moonpipe.Context", __index = Context }
local context = {}

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

local loaded

-- Configs that users give are read by a module of its own.
local function configs()
  loaded = loaded or require "moonpipe.context_config"
  return loaded
end

---Checks the keys and types of a config; raises a usage error.
---@param config table?
---@return table config
function context.check(config)
  if config == nil then return {} end
  if getmetatable(config) == mt then return config end
  return configs().check(config)
end

local function merged(base, over)
  if not over or next(over) == nil then return base end
  local out = {}
  for key, value in pairs(base) do out[key] = value end
  for key, value in pairs(over) do out[key] = value end
  return out
end

context.merged = merged

---The context of a call with [config] made in [parent].
---@param parent moonpipe.Context
---@param config table|moonpipe.Context|nil
---@return moonpipe.Context
function context.derive(parent, config)
  if config == nil then return parent end
  if getmetatable(config) == mt then return config.outer or config end
  return configs().derive(parent, config)
end

---Traces every call from here on that is no part of one that runs.
---@param callback table
function context.add_callback(callback)
  local callbacks = { unpack(context.root.callbacks) }
  callbacks[#callbacks + 1] = callback
  context.root.callbacks = callbacks
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
