--- What a user holds of a stream: an iterator that can be closed.
--
-- A stream belongs to the task that opened it, or to the stream that this one
-- reads then. What its branches start hangs below its scope, and is cancelled
-- when the stream is closed, when its owner ends, or when nobody holds the stream
-- any more. LuaJIT cannot see a `break`:
-- until one of these the transfer is merely paused.
local chunk = require "moonpipe.chunk"
local context = require "moonpipe.context"
local errors = require "moonpipe.error"
local jobs = require "moonpipe.jobs"
local run = require "moonpipe.run"
local scheduler = require "moonpipe.scheduler"
local tree = require "moonpipe.tree"

---@class moonpipe.Stream
---@field pull fun(): any
---@field scope moonpipe.Node
---@operator call(): any
local Stream = {}
local mt = { __name = "moonpipe.Stream", __index = Stream }

local stream = {}

-- Those of userdata. A locked-in VM loses all three behind this module (cell/boot.lua).
local getfenv, setfenv, newproxy = debug.getfenv, debug.setfenv, newproxy

-- Tables have no __gc here; a userdata beside them does, whose environment is the
-- scope: so all share one metatable. A finalizer may run inside of any allocation,
-- so it only leaves a note.
local watcher = newproxy(true)
getmetatable(watcher).__gc = function(guard)
  if guard ~= watcher then tree.abandon(getfenv(guard)) end
end

local function watch(scope)
  return setfenv(newproxy(watcher), scope)
end

-- What hangs on a scope: its timer, its run where it is traced, and the task that
-- reads.
local function wake(scope)
  local timer, left = scope.timer, scope.left
  if timer then
    scope.timer = nil
    jobs.forget(timer)
  end
  if left then
    scope.left = nil
    left(scope.cancelled)
  end
  if scope.user then scope.user:wake() end
end

local scope_mt = { __index = { wake = wake } }

local function start_timer(scope, seconds)
  scope.timer = jobs.timer(seconds, function(kind)
    scope.timer = nil
    if kind ~= jobs.DONE then return end
    tree.cancel(scope, errors.new {
      kind = "timeout_total",
      message = ("the stream did not end within %g s"):format(seconds),
      elapsed = seconds,
    })
  end)
end

---The stream of what pull() gives: chunks, then nil. What pull starts hangs below
---the stream.
---@param pull fun(): any
---@param timeout number?  seconds
---@param left fun(err: moonpipe.Error)?  called where it is left before its end
---@return moonpipe.Stream
function stream.new(pull, timeout, left)
  local scope = tree.scope(scheduler.owner() or tree.root, scope_mt)
  if left then scope.left = left end
  if timeout and not scope.cancelled then start_timer(scope, timeout) end
  return setmetatable({ pull = pull, scope = scope, guard = watch(scope) }, mt)
end

---Opens run.stream(step, input) or run.transform(step, source) as a stream.
---@return moonpipe.Stream
function stream.open(step, method, input, config)
  if config ~= nil or not scheduler.current() then config = context.check(config) end
  local ctx = context.derive(context.current(), config)
  local pull, left = run[method](step, input, ctx.outer or ctx)
  return stream.new(pull, config and config.timeout, left)
end

-- A chunk that had arrived when the time was over is one too late.
local function check_open(self)
  local scope = self.scope
  if scope.user then errors.usage("this stream is being read already") end
  if not scope.cancelled then return end
  self:close()
  error(tree.own(scope.cancelled), 0)
end

---The next chunk, or nil at the end. Raises what the chain raises.
---@async
---@return any
function Stream:next()
  if self.closed then return nil end
  local task = scheduler.current()
  if not task then return scheduler.call(self.next, self) end
  check_open(self)
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
