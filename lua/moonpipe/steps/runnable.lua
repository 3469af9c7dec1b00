--- What every step of a chain is, and how classes of steps are made.
--
-- A class object holds constructors and statics only; methods live in the
-- instances' __index. Instances are immutable and hold no state of a call. A
-- class gives `_invoke`, and `_stream` and `_transform` where it can do better
-- than the defaults: a stream is a function that gives the next chunk, or nil
-- at its end, and may wait inside.
local context = require "moonpipe.context"
local errors = require "moonpipe.error"
local run = require "moonpipe.run"
local scheduler = require "moonpipe.scheduler"

local current = scheduler.current
local run_invoke = run.invoke

---@class moonpipe.Runnable
---@field run_kind string   of its runs: "chain", "prompt", "chat_model", …
---@field transparent boolean?  it has no run of its own
---@field sync boolean?    never waits: a map runs it in place
---@field hands_on boolean?  what it gives is the very input that it got
---@field option_names string[]?  of its class: calls may choose these (configurable.lua)
---@field _flow (fun(self): string)?  what it does with a stream (explain.lua)
---@field _invoke fun(self, input, ctx): any
---@operator call(any): any
---@operator bor(any): moonpipe.Runnable
local base = require "moonpipe.steps.runnable_methods" -- those of composition; here are the others
base.run_kind = "chain"

local runnable = { base = base }

local class_mt = { __name = "moonpipe.class" }

-- ---- classes -----------------------------------------------------------------

-- What instances were made of, where options can be configured later: beside them,
-- for there may be a key among the options.
local made_of = setmetatable({}, { __mode = "k" })

local function copy(options)
  local out = {}
  for name, value in pairs(options or {}) do out[name] = value end
  return out
end

function class_mt.__call(class, ...)
  local step = class.new(...)
  if rawget(class, "methods").option_names then made_of[step] = copy((...)) end
  return step
end

function class_mt.__tostring(class)
  return "class " .. rawget(class, "name")
end

-- A method asked of the class is the mistake of a missing `()`.
function class_mt.__index(class, key)
  local name = rawget(class, "name")
  if key == "new" or type(key) ~= "string" then return nil end
  if rawget(class, "methods")[key] ~= nil then
    errors.usage(("%s is a class; write %s()"):format(name, name))
  end
  local statics = {}
  for static in pairs(class) do
    if static ~= "methods" and static ~= "name" and static ~= "mt" then
      statics[#statics + 1] = static
    end
  end
  table.sort(statics)
  errors.usage(("%s has no '%s'%s"):format(name, key, errors.hint(key, statics)))
end

local function instance_call(self, input, config)
  return self:invoke(input, config)
end

local function instance_tostring(self)
  return self:_label()
end

local function instance_concat(a, b)
  return errors.text(a) .. errors.text(b)
end

-- For a Lua that has the operator; in ours the translator's P asks first.
local function instance_bor(a, b)
  return require("moonpipe.compose").join(a, b)
end

---Makes a class of steps.
---@param name string
---@param opts { base: table?, label: string? }?  label: how a chain shows it
---@return table Class    constructors and statics; calling it calls Class.new
---@return table methods  of its instances
function runnable.class(name, opts)
  opts = opts or {}
  local parent = opts.base and opts.base.methods or base
  local methods = setmetatable({ class_name = name, label = opts.label }, { __index = parent })
  local mt = {
    __name = "moonpipe." .. name,
    __index = methods,
    __call = instance_call,
    __tostring = instance_tostring,
    __concat = instance_concat,
    __bor = instance_bor,
    runnable = true,
  }
  local class = setmetatable({ name = name, methods = methods, mt = mt }, class_mt)
  mt.class = class
  return class, methods
end

---Makes [fields], which it takes, an instance of [class].
function runnable.instance(class, fields)
  return setmetatable(fields, class.mt)
end

---@return boolean
function runnable.is(value)
  if type(value) ~= "table" then return false end
  local mt = getmetatable(value)
  return type(mt) == "table" and mt.runnable == true
end

---@return boolean
function runnable.is_class(value)
  return getmetatable(value) == class_mt
end

---@return string
function runnable.class_name(class)
  return rawget(class, "name")
end

-- ---- running -----------------------------------------------------------------

-- What makes the error of a call that took too long.
local function timed_out(self, seconds)
  return function()
    return errors.new {
      kind = "timeout_total",
      message = ("no answer within %g s"):format(seconds),
      step = self:get_name(),
      elapsed = seconds,
      retryable = true,
    }
  end
end

-- Runs fn(self, a, ctx) in the context that [config] makes of the running one.
local function run_with(fn, self, a, config)
  local running = current()
  if not running then return scheduler.call(run_with, fn, self, a, config) end
  if config == nil then return fn(self, a, running.ctx.outer or running.ctx) end
  config = context.check(config)
  local ctx = context.derive(running.ctx, config)
  if not config.timeout then return fn(self, a, ctx) end
  return require("moonpipe.task").within(config.timeout, timed_out(self, config.timeout), ctx, fn,
    self, a)
end
runnable.run_with = run_with

-- A method that was called by a dot takes its input for the step.
local function check_self(self, method)
  if type(self) == "table" and self._invoke then return end
  errors.usage(("write step:%s(…), with a colon: %s is no step"):format(method,
    errors.shape(self)))
end

---Runs the step on [input]. In a task it waits, elsewhere it runs the loop until
---the answer is there. Raises mp.Error.
---@async
---@param input any
---@param config table?
---@return any
function base:invoke(input, config)
  check_self(self, "invoke")
  local running = current()
  if running and config == nil then
    local ctx = running.ctx
    return run_invoke(self, input, ctx.outer or ctx)
  end
  return run_with(run_invoke, self, input, config)
end

---Like invoke, but gives nil and the error instead of raising. It has failed
---exactly when the second result is not nil.
---@async
---@return any value
---@return moonpipe.Error? err
function base:try_invoke(input, config)
  local ok, value = xpcall(self.invoke, errors.handler, self, input, config)
  if ok then return value end
  return nil, value
end

---Starts the step on [input] and gives its Task at once. [options] is a config
---plus `on_token`, `on_done`, `on_error`.
---@param input any
---@param options table?
---@return moonpipe.Task
function base:start(input, options)
  return require("moonpipe.start").start(self, input, options)
end

---Gives the chunks of the answer as they come: `for chunk in chain:stream(x)`.
---@param input any
---@param config table?
---@return moonpipe.Stream
function base:stream(input, config)
  check_self(self, "stream")
  return require("moonpipe.stream").open(self, "stream", input, config)
end

---The chunks of the answer to a stream of input chunks.
---@param source fun(): any  gives the next chunk or nil
---@param config table?
---@return moonpipe.Stream
function base:transform(source, config)
  local mt = getmetatable(source)
  if type(source) ~= "function" and not (type(mt) == "table" and mt.__call) then
    errors.usage("transform takes a function that gives chunks, got " .. errors.shape(source))
  end
  return require("moonpipe.stream").open(self, "transform", source, config)
end

---What happens in the call, as events `{ event, name, run_id, parent_ids, tags,
---metadata, data }`: `for event in chain:stream_events(x)`. [options] is a config
---plus `include_names`, `include_types`, `include_tags` and the same with exclude.
---@param input any
---@param options table?
---@return moonpipe.Stream
function base:stream_events(input, options)
  return require("moonpipe.events").open(self, input, options)
end

---Runs the step on each input, all at once; gives the values by index, and `n`.
---@async
---@param inputs any[]
---@param config table?
---@return any[]
function base:batch(inputs, config)
  check_self(self, "batch")
  return require("moonpipe.steps.batch").batch(self, inputs, config)
end

---`for i, record in chain:batch_as_completed(inputs)`: records
---`{ index, ok, value, error }` in the order in which they end.
---@param inputs any[]
---@param config table?
function base:batch_as_completed(inputs, config)
  return require("moonpipe.steps.batch").as_completed(self, inputs, config)
end

-- ---- defaults of classes -------------------------------------------------------

-- One chunk: the whole answer.
function base:_stream(input, ctx)
  local asked = false
  return function()
    if asked then return nil end
    asked = true
    return self:_invoke(input, ctx)
  end
end

local function nothing() end

-- Takes the whole input first; no input, no call.
function base:_transform(source, ctx)
  local inner
  return function()
    if not inner then
      local input, count = require("moonpipe.chunk").collect(source)
      inner = count == 0 and nothing or self:_stream(input, ctx)
    end
    return inner()
  end
end

-- Whether it begins with a function of the user's, which may write to its input.
function base:_begins_with_user_code()
  return false
end

-- What it is made of, for graphs: see graphs/graph.lua. nil: nothing but itself.
function base:_parts()
  return nil
end

-- What is wrong with a table of these keys as its input; nil where nothing is known.
function base:_check_keys()
  return nil
end

-- The keys of the table that it gives for one of these keys; nil where they are not known.
function base:_output_keys()
  return nil
end

-- Whether arguments given by bind reach anything in it.
function base:_takes_kwargs()
  return false
end

-- The options that it may be made anew with: `option_names` of its class.
function base:_options()
  return made_of[self] and self.option_names
end

-- The same step, made with some options changed.
function base:_with_options(changes)
  local options = copy(made_of[self])
  for name, value in pairs(changes) do options[name] = value end
  return getmetatable(self).class(options)
end

-- ---- names ---------------------------------------------------------------------

---The name in errors and traces.
---@return string
function base:get_name()
  return self.name or self.class_name
end

-- How tostring of a chain shows it.
function base:_label()
  return self.name or self.label or self.class_name
end

return runnable
