--- What a user holds of a started call: poll, wait, cancel, status.
local errors = require "moonpipe.error"
local jobs = require "moonpipe.jobs"
local scheduler = require "moonpipe.scheduler"
local tree = require "moonpipe.tree"

local Task = scheduler.Task

---`pending`, `running`, `done`, `failed` or `cancelled`.
---@return string
function Task:status()
  if self.state ~= "ended" then
    return self.unbegun and self.state == "ready" and "pending" or "running"
  end
  if self.err == nil then return "done" end
  return self.err == self.cancelled and "cancelled" or "failed"
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

-- Parks the running task until [task] ends or [seconds] went by.
local function wait_inside(task, seconds)
  local me, timer = scheduler.current(), nil
  local waiters = task.waiters or {}
  task.waiters = waiters
  waiters[#waiters + 1] = me
  if seconds then
    timer = jobs.timer(seconds, function()
      timer = nil
      scheduler.unpark(me)
    end)
  end
  while task.state ~= "ended" and (timer or not seconds) and not me.cancelled do
    scheduler.park_raw()
  end
  if timer then jobs.forget(timer) end
  if me.cancelled then error(me.cancelled, 0) end
end

---Waits until the task ends. Gives its value, or nil and the error; after
---[seconds] nil and an error of kind `timeout_total`, and the task goes on.
---@async
---@param seconds number?
---@return any value
---@return moonpipe.Error? err
function Task:wait(seconds)
  if self.state ~= "ended" then
    if scheduler.current() == self then errors.usage("a task cannot wait for itself") end
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
  local waiters = child.waiters or {}
  child.waiters = waiters
  waiters[#waiters + 1] = scheduler.current()
  while child.state ~= "ended" do scheduler.park_raw() end
end

---Calls fn(a, b, ctx) in a child task that is cancelled with [err] when
---[seconds] have gone by; what arrived in time is a success.
---@async
function task.within(seconds, err, ctx, fn, a, b)
  local child = scheduler.spawn(ctx, nil, fn, a, b, ctx)
  if child.state ~= "ended" then
    local timer
    timer = jobs.timer(seconds, function(kind)
      timer = nil
      if kind == jobs.DONE then tree.cancel(child, err) end
    end)
    task.join(child)
    if timer then jobs.forget(timer) end
  end
  if child.err ~= nil then error(child.err, 0) end
  return child.value
end

return task
