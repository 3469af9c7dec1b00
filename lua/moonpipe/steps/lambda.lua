--- A function of the user's as a step.
--
-- It is called with the input alone, or with (input, config) if it declares two
-- or more parameters. Only its first result counts; nil with a non-nil second
-- result is a failure. A returned step is run with the same input.
local context = require "moonpipe.context"
local errors = require "moonpipe.error"
local run = require "moonpipe.run"
local runnable = require "moonpipe.steps.runnable"
local scheduler = require "moonpipe.scheduler"
local tree = require "moonpipe.tree"

local current = scheduler.current
local handler = errors.handler
local is_runnable = runnable.is
local own = tree.own

---@class moonpipe.RunnableLambda: moonpipe.Runnable
---@field fn function
---@field two boolean  it wants the config too
local RunnableLambda, methods = runnable.class("RunnableLambda")

local lambda = { RunnableLambda = RunnableLambda }

-- Where a function was defined: `rag.lua:7`, or what C calls itself.
local function place_of(fn)
  local info = debug.getinfo(fn, "S")
  if info.what == "C" then return "of C" end
  return info.short_src .. ":" .. info.linedefined
end

---The function to call, and how many parameters it declares.
---@param value function|table  a table or userdata with __call counts as one
---@return function fn
---@return integer parameters
---@return string place
function lambda.inspect(value)
  if type(value) == "function" then
    local info = debug.getinfo(value, "u")
    return value, info.nparams or 1, place_of(value)
  end
  return function(input) return value(input) end, 1, "of " .. errors.shape(value)
end

---@param value function
---@param opts { name: string? }?
function RunnableLambda.new(value, opts)
  local mt = getmetatable(value)
  if type(value) ~= "function" and not (type(mt) == "table" and mt.__call) then
    errors.usage("RunnableLambda takes a function, got " .. errors.shape(value))
  end
  opts = errors.options(opts, { "name" }, "RunnableLambda")
  local fn, parameters, place = lambda.inspect(value)
  return runnable.instance(RunnableLambda, {
    fn = fn,
    two = parameters >= 2,
    name = opts.name,
    place = place,
  })
end

---A function that may call steps, as a step: `mp.chain(fn)`, or with a name
---`mp.chain("answer", fn)`. A step that it returns is run on the same input, and
---streamed where the chain is.
---@param name string?
---@param fn function
---@return moonpipe.RunnableLambda
function lambda.chain(name, fn)
  if type(name) == "string" then return RunnableLambda(fn, { name = name }) end
  return RunnableLambda(name)
end

local function protected(self, input, ctx)
  if self.two then return xpcall(self.fn, handler, input, ctx) end
  return xpcall(self.fn, handler, input)
end

-- Where the stack has run over, there may be no room for the handler either: LuaJIT then
-- gives a text of its own.
local function failure_of(value)
  if value == "error in error handling" then value = "stack overflow, too deep to say where" end
  local err = errors.wrap(value)
  -- One that the user keeps and raises again and again gets its places in a copy.
  return err == value and err.path == nil and own(err) or err
end
lambda.failure_of = failure_of

-- Calls the function with its context as the running one. The second result is of
-- interest to tools alone.
local function call(self, input, ctx)
  local task = current()
  local saved = task.ctx
  task.ctx = ctx
  local ok, value, failure = protected(self, input, ctx)
  task.ctx = saved
  if not ok then error(failure_of(value):given(input), 0) end
  if value == nil and failure ~= nil then error(failure_of(failure):given(input), 0) end
  return value, failure
end
lambda.call = call

-- The context for a step that the function returned.
local function deeper(self, ctx, input)
  if ctx.recursion_limit <= 1 then
    errors.raise("limit", ("recursion limit reached: %s went on returning steps for %s"):format(
      self:get_name(), errors.shape(input)))
  end
  return context.deeper(ctx.outer or ctx)
end
lambda.deeper = deeper

function methods:_invoke(input, ctx)
  local value = call(self, input, ctx)
  if is_runnable(value) then return run.invoke(value, input, deeper(self, ctx, input)) end
  return value
end

function methods:_stream(input, ctx)
  local inner
  return function()
    if inner then return inner() end
    local value = call(self, input, ctx)
    if is_runnable(value) then
      inner = run.stream(value, input, deeper(self, ctx, input))
      return inner()
    end
    inner = function() end
    return value
  end
end

function methods:_begins_with_user_code()
  return true
end

function methods:_takes_kwargs()
  return self.two
end

-- Its answer is one piece, unless it returns a step.
function methods:_flow()
  return "whole"
end

function methods:get_name()
  return self.name or ("function " .. self.place)
end

methods._label = methods.get_name

return lambda
