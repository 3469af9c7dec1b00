--- Waiting: for native jobs, for time, for what others do.
--
-- What runs and is run is in loop.lua, whose table this one is: with waiting
-- added. A task that is cancelled raises at each await; what the answer's time
-- was is judged before, in the loop.
local errors = require "moonpipe.error"
local jobs = require "moonpipe.jobs"
local native = require "moonpipe.native"
local scheduler = require "moonpipe.loop"
local tree = require "moonpipe.tree"

local c = native.c
local current, park_raw = scheduler.current, scheduler.park_raw

---Why [task], or the stream that it reads, is cancelled.
---@return moonpipe.Error?
local function cancelled(task)
  local scope = task.scope
  return task.cancelled or scope and scope.cancelled
end

---Raises if [task], the running one, or the stream that it reads is cancelled.
local function raise_if_cancelled(task)
  local err = cancelled(task)
  if err then error(tree.own(err), 0) end
end

scheduler.cancelled, scheduler.raise_if_cancelled = cancelled, raise_if_cancelled

---Stops the running task until it is unparked; raises if it is cancelled. May
---return early: the caller asks again for what it waits for.
---@async
function scheduler.park()
  local task = current()
  raise_if_cancelled(task)
  park_raw()
  raise_if_cancelled(task)
end

---Waits for the terminal event of native job [id] and gives its cargo and head;
---raises what the job failed with. A cancel that comes after the answer is raised
---at the next await: what arrived in time counts, however late somebody looks.
---@async
---@return string? cargo
---@return string? head
function scheduler.await(id)
  local task = current()
  local kind, cargo, error_kind, head, too_late
  jobs.listen(id, function(...)
    kind, cargo, error_kind, head = ...
    task.job, too_late = nil, cancelled(task)
    scheduler.unpark(task)
  end)
  task.job = id
  if cancelled(task) then jobs.cancel(id) end
  while task.job do park_raw() end
  if too_late then error(tree.own(too_late), 0) end
  jobs.check(kind, cargo, error_kind)
  return cargo, head
end

---Parks [task], the running one, until an event of its job has come; raises if it
---is cancelled.
---@async
function scheduler.await_job(task)
  if cancelled(task) then jobs.cancel(task.job) end
  while task.job do park_raw() end
  raise_if_cancelled(task)
end

---Calls fn(...) as a task: in place if one runs, else in one of its own, for
---whose end it waits.
function scheduler.call(fn, ...)
  if current() then return fn(...) end
  local arguments, count = { ... }, select("#", ...)
  local task = scheduler.start(nil, function() return fn(unpack(arguments, 1, count)) end)
  scheduler.run_until(task)
  if task.err ~= nil then error(task.err, 0) end
  return task.value
end

---Stops the running task for [seconds]; others run meanwhile.
---@async
---@param seconds number
function scheduler.sleep(seconds)
  if type(seconds) ~= "number" or seconds ~= seconds then
    errors.usage("sleep takes a number of seconds, got " .. errors.shape(seconds))
  end
  local task = current()
  if not task then return scheduler.call(scheduler.sleep, seconds) end
  raise_if_cancelled(task)
  scheduler.await(jobs.submit(c.timer, seconds))
end

---Seconds since some moment in the past: for measuring how long something takes.
---@return number
function scheduler.now()
  return c.now()
end

return scheduler
