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
local current, park_raw, unpark = scheduler.current, scheduler.park_raw, scheduler.unpark

---A descriptor that is readable while `update` has something to do, for the poll of a host; never
---read from it. -1 when the VM is closed. It is another one after a fork.
---@return integer
function scheduler.fd()
  return c.fd()
end

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

---@class moonpipe.Answer: moonpipe.Listener  one task waits for the end of one job
---@field task moonpipe.Task
---@field kind integer
---@field cargo any
---@field error_kind string?
---@field head string?
---@field together integer?  jobs that were done as one with it
---@field too_late moonpipe.Error?  what cancelled the task before the answer came
---@field undo fun(cargo: string?)?  takes back what was done too late
local Answer = {}
local answer_mt = { __name = "moonpipe.Answer", __index = Answer }

---Lets the task of [answer] go on, whose job has been answered.
---@param answer moonpipe.Answer
local function answered(answer)
  local task = answer.task
  local too_late = cancelled(task)
  if too_late then answer.too_late = too_late end
  task.job = nil
  unpark(task)
end
scheduler.answered = answered

function Answer:on_event(kind, cargo, error_kind, head, _, together)
  self.kind, self.cargo, self.error_kind, self.head = kind, cargo, error_kind, head
  self.together = together
  answered(self)
end

---Waits until [answer], whose `task` is the running one, has been told what job
---[id] answered. A cancel that comes after the answer is raised at the next
---await: what arrived in time counts, however late somebody looks.
---@async
---@param id integer
---@param answer moonpipe.Answer
function scheduler.await_answer(id, answer)
  local task = answer.task
  jobs.listen(id, answer)
  task.job = id
  if cancelled(task) then jobs.cancel(id) end
  while task.job do park_raw() end
  if answer.too_late then
    if answer.undo and answer.kind == jobs.DONE then answer.undo(answer.cargo) end
    error(tree.own(answer.too_late), 0)
  end
end

---Waits for the terminal event of native job [id] and gives its cargo and head;
---raises what the job failed with. Where the task is cancelled, but the job was faster,
---[undo] is called with the cargo.
---@async
---@param id integer
---@param undo fun(cargo: string?)?
---@return string? cargo
---@return string? head
---@return integer? together  how many jobs were done as one, where that is told
function scheduler.await(id, undo)
  local answer = setmetatable({ task = current(), undo = undo }, answer_mt)
  scheduler.await_answer(id, answer)
  jobs.check(answer.kind, answer.cargo, answer.error_kind)
  return answer.cargo, answer.head, answer.together
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
