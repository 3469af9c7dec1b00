--- Calls that are started and looked after later: chain:start(input, options).
local context = require "moonpipe.context"
local chunk = require "moonpipe.chunk"
local errors = require "moonpipe.error"
local run = require "moonpipe.run"
local runnable = require "moonpipe.steps.runnable"
local scheduler = require "moonpipe.scheduler"
require "moonpipe.task" -- the methods of what is given

local start = {}

local CALLBACKS = { "on_done", "on_error", "on_token" }
-- on_error is a key of any config
local OPTIONS = require("moonpipe.context_config").keys_and { "on_done", "on_token" }

-- Pulls, and tells each chunk. After a cancel, which the callback may make too, nothing is told any
-- more. A function of its own: upvalues of one that is running are looked at in each cycle's pause.
local function telling(pull, on_token, task)
  return function()
    local value = pull()
    scheduler.raise_if_cancelled(task)
    if value ~= nil then on_token(value) end
    return value
  end
end

-- Streams, tells each chunk, and gives them merged.
local function told(on_token)
  return function(step, input, ctx)
    return (chunk.collect(telling(run.stream(step, input, ctx), on_token, scheduler.current())))
  end
end

-- `on_error` is a policy of maps where it is a string, and a callback where it is
-- a function: it has the name that everybody expects of either.
local function split(options)
  local config, callbacks = {}, {}
  if context.is(options) then return options, callbacks end
  errors.options(options, OPTIONS, "start")
  for key, value in pairs(options or {}) do config[key] = value end
  for _, name in ipairs(CALLBACKS) do
    local fn = config[name]
    if type(fn) == "function" then
      callbacks[name], config[name] = fn, nil
    elseif fn ~= nil and name ~= "on_error" then
      errors.usage(("%s takes a function, got %s"):format(name, errors.shape(fn)))
    end
  end
  return context.check(config), callbacks
end

-- What was cancelled before it began does not begin; what was cancelled later has
-- no result. One frame for it all: a thousand of these wait at once, and their
-- stacks grow by doubling.
local function body(step, input, plan)
  local task, callbacks = scheduler.current(), plan.callbacks
  local ok, value = pcall(scheduler.raise_if_cancelled, task)
  if ok then
    ok, value = xpcall(runnable.run_with, errors.handler, plan.fn, step, input, plan.config)
  end
  local err = ok and scheduler.dropped(task)
  if err then ok, value = false, err end
  if not ok then
    if callbacks.on_error then callbacks.on_error(value) end
    error(value, 0)
  end
  if callbacks.on_done then callbacks.on_done(value) end
  return value
end

local PLAIN = { fn = run.invoke, callbacks = {} } -- of a call without options

---@param step moonpipe.Runnable
---@param input any
---@param options table?  a config, and on_token(chunk), on_done(value), on_error(err)
---@return moonpipe.Task
function start.start(step, input, options)
  if options == nil then return scheduler.start(context.current(), body, step, input, PLAIN) end
  local config, callbacks = split(options)
  local fn = callbacks.on_token and told(callbacks.on_token) or run.invoke
  local plan = { fn = fn, config = config, callbacks = callbacks }
  return scheduler.start(context.current(), body, step, input, plan)
end

return start
