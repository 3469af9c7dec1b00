--- A function of the user's that sees the stream itself.
--
-- `function(chunks, emit)`: chunks() gives the next input chunk or nil; emit(v)
-- passes one on and waits while the consumer is slow. The function runs in a
-- coroutine of its own, and only while somebody pulls.
local chunk = require "moonpipe.chunk"
local coroutines = require "moonpipe.coroutines"
local errors = require "moonpipe.error"
local lambda = require "moonpipe.steps.lambda"
local partial = require "moonpipe.steps.partial"
local runnable = require "moonpipe.steps.runnable"
local scheduler = require "moonpipe.scheduler"
local threads = require "moonpipe.threads"

---@class moonpipe.RunnableGenerator: moonpipe.Runnable
local RunnableGenerator, methods = runnable.class("RunnableGenerator")

---@param fn fun(chunks: (fun(): any), emit: fun(chunk: any), config: moonpipe.Context)
---@param opts { name: string? }?
function RunnableGenerator.new(fn, opts)
  if type(fn) ~= "function" then
    errors.usage("RunnableGenerator takes a function(chunks, emit), got " .. errors.shape(fn))
  end
  opts = errors.options(opts, { "name" }, "RunnableGenerator")
  local _, parameters, place = lambda.inspect(fn)
  return runnable.instance(RunnableGenerator, {
    fn = fn,
    name = opts.name,
    place = place,
    three = parameters >= 3,
  })
end

local EMIT = {} -- what emit yields to the puller, before the chunk

-- The raw yield: in a user's coroutine around emit it would reach the wrong one.
local function emitter(owner)
  return function(value)
    if coroutine.running() ~= owner.co then
      errors.usage("emit was called outside of its generator function")
    end
    if value ~= nil then coroutines.yield(EMIT, value) end
  end
end

local function body(fn, source, emit, ctx)
  return xpcall(fn, errors.handler, source, emit, ctx)
end

local function pull(owner, ctx, ...)
  local task = scheduler.current()
  local saved = task.ctx
  task.ctx = ctx
  local alive, first, value = coroutines.resume(owner.co, ...)
  task.ctx = saved
  if first == EMIT then return value end
  owner.done = true
  if coroutine.status(owner.co) ~= "dead" then
    errors.raise("lua", ("%s: a generator yielded %s; use emit(value)"):format(
      threads.place(owner.co), errors.shape(first)))
  end
  if not alive then error(errors.wrap(first), 0) end
  if not first then error(lambda.failure_of(value), 0) end
end

function methods:_transform(source, ctx)
  local owner = {}
  owner.co = coroutines.create(body)
  local begun = false
  return partial.kept(function()
    if owner.done then return nil end
    if begun then return pull(owner, ctx) end
    begun = true
    return pull(owner, ctx, self.fn, source, emitter(owner), ctx)
  end)
end

-- A stream of one chunk: the input.
local function once(value)
  local given = false
  return function()
    if given then return nil end
    given = true
    return value
  end
end

function methods:_stream(input, ctx)
  return self:_transform(once(input), ctx)
end

function methods:_invoke(input, ctx)
  return (chunk.collect(self:_stream(input, ctx)))
end

function methods:_begins_with_user_code()
  return true
end

-- They are in the config, its third parameter.
function methods:_takes_kwargs()
  return self.three
end

function methods:get_name()
  return self.name or ("generator " .. self.place)
end

methods._label = methods.get_name

return { RunnableGenerator = RunnableGenerator }
