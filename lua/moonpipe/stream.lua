--- What a user holds of a stream: an iterator that can be closed.
--
-- A stream belongs to the task that opened it. What its branches start hangs
-- below its scope, and is cancelled when the stream is closed, when that task
-- ends, or when nobody holds the stream any more. LuaJIT cannot see a `break`:
-- until one of these the transfer is merely paused.
local chunk = require "moonpipe.chunk"
local context = require "moonpipe.context"
local errors = require "moonpipe.error"
local jobs = require "moonpipe.jobs"
local scheduler = require "moonpipe.scheduler"
local tree = require "moonpipe.tree"

---@class moonpipe.Stream
---@field pull fun(): any
---@field scope moonpipe.Node
---@operator call(): any
local Stream = {}
local mt = { __name = "moonpipe.Stream", __index = Stream }

local stream = {}

-- Tables have no __gc here; a userdata beside them does. A finalizer may run
-- inside of any allocation, so it only leaves a note.
local function watch(scope)
  local guard = newproxy(true)
  getmetatable(guard).__gc = function() tree.abandon(scope) end
  return guard
end

local function wake_user(scope)
  if scope.user then scope.user:wake() end
end

local function stop_timer(self)
  if self.timer then jobs.forget(self.timer) end
  self.timer = nil
end

-- The scope, not the stream, is what the timer holds.
local function start_timer(seconds)
  local scope = tree.scope(scheduler.current() or tree.root)
  scope.wake = wake_user
  if not seconds then return scope end
  local timer = jobs.timer(seconds, function(kind)
    if kind ~= jobs.DONE then return end
    tree.cancel(scope, errors.new {
      kind = "timeout_total",
      message = ("the stream did not end within %g s"):format(seconds),
      elapsed = seconds,
    })
  end)
  return scope, timer
end

---The stream of what pull() gives: chunks, then nil. What pull starts hangs below
---the stream.
---@param pull fun(): any
---@param timeout number?  seconds
---@return moonpipe.Stream
function stream.new(pull, timeout)
  local scope, timer = start_timer(timeout)
  return setmetatable({ pull = pull, scope = scope, timer = timer, guard = watch(scope) }, mt)
end

---Opens step:_stream(input) or step:_transform(source) as a stream.
---@return moonpipe.Stream
function stream.open(step, method, input, config)
  config = context.check(config)
  local ctx = context.derive(context.current(), config)
  return stream.new(step[method](step, input, ctx.outer or ctx), config.timeout)
end

---The next chunk, or nil at the end. Raises what the chain raises.
---@async
---@return any
function Stream:next()
  if self.closed then return nil end
  local task = scheduler.current()
  if not task then return scheduler.call(self.next, self) end
  local saved = task.scope
  task.scope, self.scope.user = self.scope, task
  local ok, value = pcall(self.pull)
  task.scope, self.scope.user = saved, nil
  if not ok then
    self:close()
    error(value, 0)
  end
  if value == nil then self:close() end
  return value
end

function mt.__call(self)
  return self:next()
end

---Ends the stream: what is in flight is cancelled. Idempotent.
function Stream:close()
  if self.closed then return end
  self.closed = true
  stop_timer(self)
  tree.close(self.scope)
end

---Calls fn(chunk) for each chunk; however it is left, the stream is closed.
---@async
---@param fn fun(chunk: any)
function Stream:each(fn)
  local ok, err = pcall(function()
    for value in self do fn(value) end
  end)
  self:close()
  if not ok then error(err, 0) end
end

---The rest of the stream, merged.
---@async
---@return any
function Stream:collect()
  return (chunk.collect(self))
end

function mt.__tostring(self)
  return self.closed and "stream (closed)" or "stream (open)"
end

return stream
