--- A step that is listened to: `chain:with_listeners(on_start, on_end, on_error)`.
--
-- A listener is a callback for the run of this step alone: it is called with that
-- moonpipe.Run, and with the config if it declares two parameters. What it raises
-- is a warning in the log, and no failure of the chain.
local context = require "moonpipe.context"
local errors = require "moonpipe.error"
local lambda = require "moonpipe.steps.lambda"
local log = require "moonpipe.log"
local run = require "moonpipe.run"
local runnable = require "moonpipe.steps.runnable"
local scheduler = require "moonpipe.scheduler"
local tree = require "moonpipe.tree"
local wrapping = require "moonpipe.steps.wrapping"

---@class moonpipe.RunnableListeners: moonpipe.Runnable
---@field bound moonpipe.Runnable
---@field handlers table<string, { fn: function, two: boolean }>
local RunnableListeners, methods = runnable.class("RunnableListeners")
wrapping.delegate(methods)
methods.transparent = true

local listeners = {}

local NAMES = { "on_end", "on_error", "on_start" }

local function handlers_of(given)
  local handlers = {}
  for _, name in ipairs(NAMES) do
    local fn = given[name]
    if fn ~= nil then
      if type(fn) ~= "function" then
        errors.usage(("%s of with_listeners takes a function, got %s"):format(name,
          errors.shape(fn)))
      end
      local _, parameters = lambda.inspect(fn)
      handlers[name] = { fn = fn, two = parameters >= 2 }
    end
  end
  if next(handlers) == nil then errors.usage "with_listeners takes at least one function" end
  return handlers
end

---@param step moonpipe.Runnable
---@param on_start function|{ on_start: function?, on_end: function?, on_error: function? }|nil
---@param on_end function?
---@param on_error function?
---@return moonpipe.RunnableListeners
function listeners.with(step, on_start, on_end, on_error)
  local given = { on_start = on_start, on_end = on_end, on_error = on_error }
  if type(on_start) == "table" then
    given = errors.options(on_start, NAMES, "with_listeners")
  end
  return runnable.instance(RunnableListeners, { bound = step, handlers = handlers_of(given) })
end

-- ---- telling -----------------------------------------------------------------

local function tell(self, name, one, ctx)
  local handler = self.handlers[name]
  if not handler then return end
  local ok, err
  if handler.two then
    ok, err = xpcall(handler.fn, errors.handler, one, ctx)
  else
    ok, err = xpcall(handler.fn, errors.handler, one)
  end
  if not ok then
    log.warn(("listener %s of %s failed: %s"):format(name, one.name, errors.text(err)))
  end
end

-- The context in which the first run that begins is listened to: that of the step.
local function heard(self, ctx)
  local mine
  local function note(name)
    return function(one)
      mine = mine or one
      if one == mine then tell(self, name, one, ctx) end
    end
  end
  local callbacks = { unpack(ctx.callbacks) }
  callbacks[#callbacks + 1] = {
    on_start = note "on_start", on_end = note "on_end", on_error = note "on_error",
  }
  return context.with(ctx, { callbacks = callbacks, tracer = context.find_tracer() })
end

function methods:_invoke(input, ctx)
  return run.invoke(self.bound, input, heard(self, ctx))
end

-- The node is where it is read: it hears of it where that is left before its end.
local function node_of(left)
  local node = tree.scope(scheduler.owner())
  function node.wake()
    if left then left(node.cancelled) end -- what keeps a node of its own gives none
  end
  return node
end

-- What open() gives, which begins when the first chunk is asked for.
local function watched(open)
  local inner, left, node
  return function()
    if not inner then
      inner, left = open()
      node = node_of(left)
    end
    local ok, value = pcall(inner)
    if not ok or value == nil then tree.close(node) end
    if not ok then error(value, 0) end
    return value
  end
end

function methods:_stream(input, ctx)
  return watched(function() return run.stream(self.bound, input, heard(self, ctx)) end)
end

function methods:_transform(source, ctx)
  return watched(function() return run.transform(self.bound, source, heard(self, ctx)) end)
end

-- ---- what others ask -----------------------------------------------------------

-- Listeners get the input too.
function methods:_begins_with_user_code()
  return true
end

function methods:_parts()
  return { shape = "same", items = { { step = self.bound } } }
end

return listeners
