--- What a user holds of a started call: poll, wait, cancel, status.
local errors = require "moonpipe.error"
local jobs = require "moonpipe.jobs"
local native = require "moonpipe.native"
local scheduler = require "moonpipe.scheduler"
local tree = require "moonpipe.tree"

local now = native.c.now
local Task = scheduler.Task

---`pending`, `running`, `done`, `failed` or `cancelled`.
---@return string
function Task:status()
  if self.state ~= "ended" then return self.state == "pending" and "pending" or "running" end
  if self.err == nil then return "done" end
  return self.cancelled and self.cancelled.kind == self.err.kind and "cancelled" or "failed"
end

---Runs what is ready, without blocking, and says whether the task has ended.
---@return boolean
function Task:poll()
  if not scheduler.current() then scheduler.update() end
  return self.state == "ended"
end

---Asks the task and all below it to end: sockets close, awaits raise. Nothing
---happens to a task that has ended.
---@param reason string?
function Task:cancel(reason)
  if self.state == "ended" then return end
  tree.cancel(self, tree.cancelled(reason or "the task was cancelled"))
end

local function add_waiter(task, me)
  task.waiters = task.waiters or {}
  table.insert(task.waiters, me)
end

local function remove_waiter(task, me)
  for i, one in ipairs(task.waiters) do
    if one == me then return table.remove(task.waiters, i) end
  end
end

-- Parks the running task until [task] ends or [seconds] went by.
local function wait_inside(task, seconds)
  local me, timer = scheduler.current(), nil
  add_waiter(task, me)
  if seconds then
    timer = jobs.timer(seconds, function()
      timer = nil
      scheduler.unpark(me)
    end)
  end
  while task.state ~= "ended" and (timer or not seconds) and not scheduler.cancelled(me) do
    scheduler.park_raw()
  end
  if timer then jobs.forget(timer) end
  remove_waiter(task, me)
  scheduler.raise_if_cancelled(me)
end

-- A task ends after its children, so these cannot wait for it.
local function check_outside(task)
  local node = scheduler.current()
  if node == task then errors.usage("a task cannot wait for itself") end
  while node do
    if node == task then errors.usage("a task cannot wait for the one that started it") end
    node = node.parent
  end
end

---Waits until the task ends. Gives its value, or nil and the error; after
---[seconds] nil and an error of kind `timeout_total`, and the task goes on.
---@async
---@param seconds number?
---@return any value
---@return moonpipe.Error? err
function Task:wait(seconds)
  if seconds ~= nil and (type(seconds) ~= "number" or seconds ~= seconds) then
    errors.usage("wait takes a number of seconds, got " .. errors.shape(seconds))
  end
  if self.state ~= "ended" then
    check_outside(self)
    scheduler.call(wait_inside, self, seconds)
  end
  if self.state ~= "ended" then
    return nil, errors.new {
      kind = "timeout_total",
      message = ("the task did not end within %g s"):format(seconds),
    }
  end
  if self.err ~= nil then return nil, self.err end
  return self.value
end

function scheduler.mt.__tostring(task)
  return "task (" .. task:status() .. ")"
end

local task = {}

---Waits until [child] has ended, cancelled or not: cancelling the running task
---cancels its children, so for those the wait is short.
---@async
function task.join(child)
  if child.state == "ended" then return end
  add_waiter(child, scheduler.current())
  repeat scheduler.park_raw() until child.state == "ended"
end

---Waits until [other], which is no child of the running task, has ended; raises where the running
---one is cancelled before that.
---@async
function task.await(other)
  local me = scheduler.current()
  if other.state == "ended" then return end
  add_waiter(other, me)
  while other.state ~= "ended" and not scheduler.cancelled(me) do scheduler.park_raw() end
  if other.state == "ended" then return end
  remove_waiter(other, me)
  scheduler.raise_if_cancelled(me)
end

---Calls fn(a, b, ctx) in a child task: where it fails, what it leaves behind (open
---streams, tasks) has ended before its error is raised.
---@async
function task.attempt(ctx, fn, a, b)
  local child = scheduler.spawn(ctx, nil, fn, a, b, ctx)
  task.join(child)
  if child.err ~= nil then error(child.err, 0) end
  return child.value
end

---Calls fn(a, b, ctx) in a child task that is cancelled with passed() when
---[seconds] have gone by; what arrived in time is a success.
---@async
function task.within(seconds, passed, ctx, fn, a, b)
  local limit, timer = now() + seconds, nil
  local child = scheduler.spawn(ctx, nil, fn, a, b, ctx, function(waiting)
    timer = jobs.timer(limit - now(), function(kind)
      timer = nil
      if kind == jobs.DONE then tree.cancel(waiting, passed()) end
    end)
  end)
  task.join(child)
  if timer then jobs.forget(timer) end
  if child.err ~= nil then error(child.err, 0) end
  return child.value
end

return task
