--- Steps that must answer in time.
--
-- `total` is a deadline for all that is below, also while nobody reads;
-- `first_chunk` and `idle` run only while somebody waits for a chunk. What the
-- step itself waits for, the chunks of the step before it, is not its time. A
-- timer is not made for each chunk: one that fires too early is set anew.
local chunk = require "moonpipe.chunk"
local coerce = require "moonpipe.coerce"
local context = require "moonpipe.context"
local errors = require "moonpipe.error"
local jobs = require "moonpipe.jobs"
local native = require "moonpipe.native"
local partial = require "moonpipe.steps.partial"
local run = require "moonpipe.run"
local runnable = require "moonpipe.steps.runnable"
local scheduler = require "moonpipe.scheduler"
local stream = require "moonpipe.stream"
local task = require "moonpipe.task"
local tree = require "moonpipe.tree"
local wrapping = require "moonpipe.steps.wrapping"

local now = native.c.now

local timeout = {}

---@class moonpipe.Limits  in seconds
---@field total number?
---@field first_chunk number?
---@field idle number?

local WHAT = {
  total = { "timeout_total", "no answer within %g s" },
  first_chunk = { "timeout_first_byte", "no chunk within %g s" },
  idle = { "timeout_idle", "no further chunk within %g s" },
}

-- The error of a limit. Another attempt may be in time.
local function passed(which, limits, name, begun)
  return errors.new {
    kind = WHAT[which][1],
    message = WHAT[which][2]:format(limits[which]),
    step = name,
    elapsed = now() - begun,
    retryable = true,
  }
end

-- ---- streams ---------------------------------------------------------------------

---@class moonpipe.TimeWatch
---@field limits moonpipe.Limits
---@field name string
---@field opened moonpipe.Stream
---@field begun number      when it was first read
---@field since number?     since when somebody waits for a chunk, and we for nobody
---@field waited number     for the next chunk, before `since`
---@field given boolean     a chunk was
---@field elsewhere number  spent in the source
---@field in_source boolean?
---@field outer moonpipe.Node?  to which belongs what the source opens
---@field timer integer?
---@field fires number      when the timer does
local Watch = {}
local watch_mt = { __index = Watch }

-- Which limit is next, and in how many seconds; nil where none runs.
function Watch:next_limit()
  local limits, at = self.limits, now()
  local which, left
  if limits.total and not self.in_source then
    which, left = "total", self.begun + self.elsewhere + limits.total - at
  end
  local waiting = self.given and "idle" or "first_chunk"
  if self.since and limits[waiting] then
    local more = limits[waiting] - self.waited - (at - self.since)
    if not left or more < left then which, left = waiting, more end
  end
  return which, left
end

-- What arrived in time wakes its reader before the timer is told of.
local function is_waiting(self)
  local reader = self.opened.scope.user
  return reader and reader.state == "parked"
end

function Watch:fire()
  local which, left = self:next_limit()
  if not which then return end
  if left > 0 then return self:arm(left) end
  if which ~= "total" and not is_waiting(self) then return self:arm(0) end
  tree.cancel(self.opened.scope, passed(which, self.limits, self.name, self.begun))
end

-- What is cancelled already is not told again, so it would keep its timer.
function Watch:arm(seconds)
  if self.opened.scope.cancelled then return end
  self.fires = now() + seconds
  self.timer = jobs.timer(seconds, function(kind)
    self.timer = nil
    if kind == jobs.DONE then self:fire() end
  end)
end

-- Sees to a timer that fires no later than the next limit.
function Watch:look()
  local which, left = self:next_limit()
  if not which or self.timer and self.fires <= now() + left then return end
  if self.timer then jobs.forget(self.timer) end
  self:arm(left)
end

function Watch:resume()
  self.since = now()
  self:look()
end

function Watch:pause()
  if not self.since then return end
  self.waited = self.waited + now() - self.since
  self.since = nil
end

function Watch:next()
  self.waited, self.outer = 0, scheduler.owner()
  self:resume()
  local ok, value = pcall(self.opened.next, self.opened)
  self:pause()
  if not ok then error(value, 0) end
  self.given = true
  return value
end

-- The source of the step that is watched: its time is not the step's.
function Watch:source(source)
  return function()
    local reader = scheduler.current()
    local scope, begun = reader.scope, now()
    self:pause()
    self.in_source, reader.scope = true, self.outer
    local ok, value = pcall(source)
    self.in_source, reader.scope = false, scope
    self.elsewhere = self.elsewhere + now() - begun
    if not ok then error(value, 0) end
    self:resume()
    return value
  end
end

local function begin(limits, name, open)
  local self = setmetatable({
    limits = limits, name = name, begun = now(), waited = 0, elsewhere = 0, given = false,
  }, watch_mt)
  local pull, left = open(self)
  self.opened = stream.new(pull, nil, function(err)
    if self.timer then jobs.forget(self.timer) end
    self.timer = nil
    if left then left(err) end
  end)
  return self
end

-- The stream of what open(watch) gives, which is called at the first pull: there
-- the time begins.
local function watched(limits, name, open)
  local self
  return partial.kept(function()
    self = self or begin(limits, name, open)
    return self:next()
  end)
end

-- ---- any step --------------------------------------------------------------------

-- The context within a limit, made when it begins.
local function within(ctx, limits)
  if not limits.total then return ctx end
  local deadline = now() + limits.total
  if ctx.deadline and ctx.deadline <= deadline then return ctx end
  return context.with(ctx, { deadline = deadline })
end

---run.stream(step, input, ctx) within the limits.
---@return fun(): any
function timeout.stream(limits, name, step, input, ctx)
  return watched(limits, name, function()
    return run.stream(step, input, within(ctx, limits))
  end)
end

---run.transform(step, source, ctx) within the limits, which are the step's own.
---@return fun(): any
function timeout.transform(limits, name, step, source, ctx)
  return watched(limits, name, function(watch)
    return run.transform(step, watch:source(source), ctx)
  end)
end

---run.invoke(step, input, ctx) within the limits. Where they name chunks it is the
---stream, gathered.
---@async
---@return any
function timeout.invoke(limits, name, step, input, ctx)
  if limits.first_chunk or limits.idle then
    return (chunk.collect(timeout.stream(limits, name, step, input, ctx)))
  end
  local begun = now()
  return task.within(limits.total, function() return passed("total", limits, name, begun) end,
    within(ctx, limits), run.invoke, step, input)
end

-- ---- the class -------------------------------------------------------------------

---@class moonpipe.RunnableTimeout: moonpipe.Runnable
---@field bound moonpipe.Runnable
---@field limits moonpipe.Limits
local RunnableTimeout, methods = runnable.class("RunnableTimeout")
wrapping.delegate(methods)
timeout.RunnableTimeout = RunnableTimeout
methods.transparent = true

local LIMITS = { "first_chunk", "idle", "total" }

local function limits_of(given)
  if type(given) == "number" then given = { total = given } end
  if type(given) ~= "table" then
    errors.usage("with_timeout takes seconds or { total, first_chunk, idle }, got "
      .. errors.shape(given))
  end
  errors.options(given, LIMITS, "with_timeout")
  local limits = {}
  for name, seconds in pairs(given) do
    if type(seconds) ~= "number" or seconds ~= seconds or seconds < 0 then
      errors.usage(("%s of with_timeout must be seconds, got %s"):format(name,
        errors.shape(seconds)))
    end
    limits[name] = seconds
  end
  if next(limits) == nil then errors.usage("with_timeout needs total, first_chunk or idle") end
  return limits
end

---[step], which must answer within [limits].
---@param step any  coerced
---@param limits number|moonpipe.Limits
---@return moonpipe.RunnableTimeout
function RunnableTimeout.new(step, limits)
  return runnable.instance(RunnableTimeout, {
    bound = coerce.step(step),
    limits = limits_of(limits),
  })
end

function methods:_invoke(input, ctx)
  return timeout.invoke(self.limits, self:get_name(), self.bound, input, ctx)
end

function methods:_stream(input, ctx)
  return timeout.stream(self.limits, self:get_name(), self.bound, input, ctx)
end

function methods:_transform(source, ctx)
  return timeout.transform(self.limits, self:get_name(), self.bound, source, ctx)
end

function methods:_parts()
  return { shape = "same", items = { { step = self.bound } } }
end

return timeout
