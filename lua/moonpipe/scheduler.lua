--- Tasks: who runs, who waits.
--
-- A task is a coroutine of ours with a place in a tree (tree.lua). `park` is
-- the only yield of the library, of the private WAIT; everything that waits (a
-- native job, children, a channel) parks and is unparked.
--
--     running --park--> parked --unpark--> ready --resume--> running --> ended
--
-- Where the running coroutine is not the task's own, or C stands in between
-- (table.sort, gsub, a guest's main thread), park pumps: it runs the others
-- until its turn has come. Coroutines whose resumer passes WAIT outward
-- (coroutines.lua) may be waited in like the task's own.
local errors = require "moonpipe.error"
local jobs = require "moonpipe.jobs"
local native = require "moonpipe.native"
local threads = require "moonpipe.threads"
local tree = require "moonpipe.tree"

local c = native.c
local take_thread, give_thread = threads.take, threads.give
local resume_thread, yieldable_thread, IDLE = threads.resume, threads.yieldable, threads.IDLE
local link, unlink = tree.link, tree.unlink
local yield = coroutine.yield -- the original: hosts replace the library

local WAIT = {} -- yielded by park

---@class moonpipe.Task: moonpipe.Node
---@field state "pending"|"ready"|"running"|"parked"|"ended"
---@field value any
---@field err moonpipe.Error?
---@field ctx table?                the running config
---@field scope moonpipe.Node?      where children are linked, if not below the task itself
---@field job integer?              the native job it waits for
---@field pumping boolean?          it waits by running the others
local Task = {}

local scheduler = { Task = Task, WAIT = WAIT, mt = { __name = "moonpipe.Task", __index = Task } }
local task_mt = scheduler.mt

---The context of tasks that are given none; context.lua fills it.
scheduler.root_context = {}

local current      -- the running task
local live = 0     -- tasks not ended
local ready, head, tail = {}, 1, 0
local passing = setmetatable({}, { __mode = "k" })
local all_pass = false

---The running task, or nil on a foreign thread.
---@return moonpipe.Task?
function scheduler.current()
  return current
end

---Tasks not ended, besides the running one, and native jobs not answered.
---@return integer
function scheduler.pending()
  return live - (current and 1 or 0) + c.live()
end

-- ---- ready and resumed -------------------------------------------------------

local function enqueue(task)
  task.state = "ready"
  tail = tail + 1
  ready[tail] = task
end

---Lets a parked task go on at the next turn. Others are left as they are.
local function unpark(task)
  if task.state ~= "parked" then return end
  if task.pumping then task.state = "running" else enqueue(task) end
end
scheduler.unpark = unpark

-- A cancelled task that waits for a native job is woken by the job's answer.
function Task:wake()
  if self.job then jobs.cancel(self.job) else unpark(self) end
end

-- The result of a cancelled task is dropped; where a deadline went by, what
-- arrived in time counts.
local function finish(task, ok, value)
  local cancelled = task.cancelled
  if ok and cancelled and cancelled.kind == "cancelled" then ok, value = false, cancelled end
  task.state = "ended"
  live = live - 1
  if ok then task.value = value else task.err = errors.wrap(value) end
  unlink(task)
  task.fn, task.a, task.b, task.c, task.co = nil, nil, nil, nil, nil
  if task.group then task.group:ended(task) end
  local waiters = task.waiters
  if waiters then for i = 1, #waiters do unpark(waiters[i]) end end
end

-- A task ends after its children: open streams are closed, after an error all
-- the rest is cancelled too.
local function join_children(task, ok)
  tree.wind_up(task, not ok and tree.cancelled("the step that started it failed") or nil)
  task.joining = true
  while task.first do scheduler.park_raw() end
  task.joining = false
end

-- The life of a pooled coroutine: one task after the other.
local function worker(task)
  while true do
    local ok, value = pcall(task.fn, task.a, task.b, task.c)
    if task.first then join_children(task, ok) end
    finish(task, ok, value)
    task = yield(IDLE)
  end
end

-- The coroutine stays suspended for ever: nobody resumes a stranger's yield.
local function end_foreign_yield(task, co, value)
  finish(task, false, errors.new {
    kind = "lua",
    message = ("%s: a step yielded %s, but nobody is there to take it"):format(threads.place(co),
      errors.shape(value)),
    traceback = debug.traceback(co),
  })
end

local function resume(task)
  local previous, co = current, task.co
  current = task
  task.state = "running"
  local ok, yielded = resume_thread(co, task)
  current = previous
  if yielded == IDLE then
    give_thread(co)
  elseif not ok then
    finish(task, false, yielded)
  elseif yielded ~= WAIT then
    end_foreign_yield(task, co, yielded)
  end
end

-- One ready task; false if there is none.
local function run_one()
  if head > tail then return false end
  local task = ready[head]
  ready[head] = nil
  head = head + 1
  if head > tail then head, tail = 1, 0 end
  if task.state == "ready" then resume(task) end
  return true
end

-- ---- the loop ----------------------------------------------------------------

---What Ctrl-C does: set by the command line and the REPL.
function scheduler.on_interrupt() end

local function turn()
  if c.interrupted() then scheduler.on_interrupt() end
  tree.sweep()
  jobs.drain()
  return run_one()
end

-- Runs what is ready, else blocks, until done(subject).
local function pump(done, subject)
  while not done(subject) do
    if not turn() and not done(subject) then
      if c.live() == 0 then
        errors.raise("internal", "nothing is left that could wake what waits here")
      end
      c.wait()
    end
  end
end

---Runs what is ready, at most [seconds] long, and never blocks. For hosts, once
---per frame.
---@param seconds number?  default: all that is ready
---@return integer ready   tasks that are still ready
function scheduler.update(seconds)
  local limit = seconds and c.now() + seconds
  repeat
    local ran = turn()
  until not ran or limit and c.now() >= limit
  return tail - head + 1
end

-- ---- waiting -----------------------------------------------------------------

local function cancelled(task)
  local scope = task.scope
  return task.cancelled or scope and scope.cancelled
end

local function raise_if_cancelled(task)
  local err = cancelled(task)
  if err then error(err, 0) end
end

-- True where yielding WAIT reaches a resumer of ours.
local function can_yield(task)
  local co = yieldable_thread()
  return co and (co == task.co or all_pass or passing[co])
end

local function is_awake(task)
  return task.state ~= "parked"
end

---Waits, in the place of a coroutine that cannot yield, until the running task
---is unparked.
function scheduler.pump_current()
  local task = current
  task.pumping = true
  pump(is_awake, task)
  task.pumping, current = false, task
end

---Stops the running task until it is unparked, cancelled or not.
function scheduler.park_raw()
  local task = current
  task.state = "parked"
  if not can_yield(task) then return scheduler.pump_current() end
  repeat yield(WAIT) until task.state ~= "parked"
end
local park_raw = scheduler.park_raw

---Stops the running task until it is unparked; raises if it is cancelled. May
---return early: the caller asks again for what it waits for.
---@async
function scheduler.park()
  raise_if_cancelled(current)
  park_raw()
  raise_if_cancelled(current)
end

---Waits for the terminal event of native job [id] and gives its cargo and head;
---raises what the job failed with. A cancel that comes after the answer is raised
---at the next await: what arrived in time counts, however late somebody looks.
---@async
---@return string? cargo
---@return string? head
function scheduler.await(id)
  local task = current
  local kind, cargo, error_kind, head, too_late
  jobs.listen(id, function(...)
    kind, cargo, error_kind, head = ...
    task.job, too_late = nil, cancelled(task)
    unpark(task)
  end)
  task.job = id
  if cancelled(task) then jobs.cancel(id) end
  while task.job do park_raw() end
  if too_late then error(too_late, 0) end
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

-- ---- making tasks ------------------------------------------------------------

local function new_task(parent, ctx, group, fn, a, b, x)
  live = live + 1
  return setmetatable({
    parent = parent,
    ctx = ctx or scheduler.root_context,
    group = group,
    fn = fn,
    a = a,
    b = b,
    c = x,
    co = take_thread(worker),
    cancelled = parent and parent.cancelled,
    state = "pending",
  }, task_mt)
end

---Starts fn(a, b, x) as a child of the running task, at once, until it first
---waits. A child that then lives is linked below its parent.
---@return moonpipe.Task
function scheduler.spawn(ctx, group, fn, a, b, x)
  local parent = current.scope or current
  local task = new_task(parent, ctx, group, fn, a, b, x)
  resume(task)
  if task.state ~= "ended" then
    link(task)
    if parent.cancelled then tree.cancel(task, parent.cancelled) end
  end
  return task
end

---Makes fn(a, b, x) a task that begins at the next turn: a child of the running
---task, or the root of a tree of its own.
---@return moonpipe.Task
function scheduler.start(ctx, fn, a, b, x)
  local task = new_task(current, ctx, nil, fn, a, b, x)
  if current then link(task) end
  enqueue(task)
  task.unbegun = true
  return task
end

local function has_ended(task)
  return task.state == "ended"
end

---Runs tasks, as a thread that is no task, until [task] has ended.
function scheduler.run_until(task)
  pump(has_ended, task)
end

---Calls fn(...) as a task: in place if one runs, else in one of its own, for
---whose end it waits.
function scheduler.call(fn, ...)
  if current then return fn(...) end
  local arguments, count = { ... }, select("#", ...)
  local task = scheduler.start(nil, function() return fn(unpack(arguments, 1, count)) end)
  pump(has_ended, task)
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
  if not current then return scheduler.call(scheduler.sleep, seconds) end
  raise_if_cancelled(current)
  scheduler.await(jobs.submit(c.timer, seconds))
end

-- ---- for coroutines.lua ------------------------------------------------------

---Whether the running coroutine can hand WAIT to its resumer.
function scheduler.can_yield()
  return current and can_yield(current)
end

---Marks a coroutine whose resumer passes WAIT outward; nil marks all.
function scheduler.mark_passing(co)
  if co then passing[co] = true else all_pass = true end
end

return scheduler
