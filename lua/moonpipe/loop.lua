--- Tasks: who runs, who is ready, who has ended.
--
-- A task is a coroutine of ours with a place in a tree (tree.lua). `park_raw` is
-- the only yield of the library, of the private WAIT; everything that waits (a
-- native job, children, a channel) parks and is unparked; see scheduler.lua.
--
--     pending --resume--> running --park--> parked --unpark--> ready --resume--> …
--
-- Where the running coroutine is not the task's own, or C stands in between
-- (table.sort, gsub, a guest's main thread), park pumps: it runs the others
-- until its turn has come. Coroutines whose resumer passes WAIT outward
-- (coroutines.lua) may be waited in like the task's own.
--
-- A child runs at once, inside of its parent, and hangs loose until it first waits: most never do.
local errors = require "moonpipe.error"
local jobs = require "moonpipe.jobs"
local native = require "moonpipe.native"
local threads = require "moonpipe.threads"
local tidy = require "moonpipe.tidy"
local tree = require "moonpipe.tree"

local c = native.c
local take_thread, give_thread = threads.take, threads.give
local resume_thread, yieldable_thread, IDLE = threads.resume, threads.yieldable, threads.IDLE
local link, unlink, own = tree.link, tree.unlink, tree.own
local yield = coroutine.yield -- the original: hosts replace the library

local WAIT = {} -- yielded by park_raw
-- How many coroutines of ours may run inside one another: each takes up to 9 kB
-- of C stack. What is deeper begins at the next turn.
local DEPTH_MAX = 100

local LEVEL_MAX = 10000 -- of the tree; what is deeper is taken for an endless recursion
local UNASKED = 1 -- seconds of an update without a budget: two tasks may feed each other for ever

---@class moonpipe.Task: moonpipe.Node
---@field state "pending"|"ready"|"running"|"parked"|"ended"
---@field level integer          how deep in the tree it is
---@field value any
---@field err moonpipe.Error?
---@field ctx table?             the running config
---@field scope moonpipe.Node?   the stream that it reads: children are linked there
---@field loose boolean|function|nil  not in the tree yet; called when it first waits
---@field started boolean?       by the user: it lives until it ends, read or not
---@field job integer?           the native job it waits for
---@field pumping boolean?       it waits by running the others
local Task = {}

local loop = { Task = Task, WAIT = WAIT, mt = { __name = "moonpipe.Task", __index = Task } }
local task_mt = loop.mt

---The context of tasks that are given none; context.lua fills it.
loop.root_context = {}

local current      -- the running task
local depth = 0    -- coroutines that run inside one another
local live = 0     -- tasks not ended
local ready, head, tail = {}, 1, 0
local passing = setmetatable({}, { __mode = "k" })
local all_pass = false

---The running task, or nil on a foreign thread.
---@return moonpipe.Task?
function loop.current()
  return current
end

---Where what the running task opens belongs: the stream that it reads, or itself.
---@return moonpipe.Node?
function loop.owner()
  return current and (current.scope or current)
end

---Tasks not ended, besides the running one, and native jobs not answered.
---@return integer
function loop.pending()
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
loop.unpark = unpark

-- A cancelled task that waits for a native job is woken by the job's answer.
function Task:wake()
  if self.job then jobs.cancel(self.job) else unpark(self) end
end

---The error in whose favour the result of [task] is dropped, as it is cancelled.
---Where a deadline went by, what arrived in time counts.
---@return moonpipe.Error?
local function dropped(task)
  local cancelled = task.cancelled
  return cancelled and cancelled.kind == "cancelled" and own(cancelled) or nil
end
loop.dropped = dropped

local function finish(task, ok, value)
  local err = ok and task.cancelled and dropped(task)
  if err then ok, value = false, err end
  if ok then task.value = value else task.err = errors.wrap(value) end
  task.state = "ended"
  live = live - 1
  unlink(task)
  task.fn, task.a, task.b, task.c, task.co = nil, nil, nil, nil, nil
  if task.group then task.group:ended(task) end
  local waiters = task.waiters
  if waiters then for i = 1, #waiters do unpark(waiters[i]) end end
end

-- A task ends after its children: open streams are closed, what nobody reads any
-- more is cancelled, after an error all the rest too.
local function join_children(task, ok)
  tree.wind_up(task, not ok and tree.cancelled("the step that started it failed") or nil)
  task.joining = true
  while task.first do loop.park_raw() end
  task.joining = false
end

-- The life of a pooled coroutine: one task after the other.
local function worker(task)
  while true do
    local ok, value = pcall(task.fn, task.a, task.b, task.c)
    current = task -- Ctrl-C breaks a loop anywhere, even in resume
    if task.first then join_children(task, ok) end
    finish(task, ok, value)
    task = yield(IDLE)
  end
end

local resume

-- The coroutine stays suspended for ever, as nobody resumes a stranger's yield:
-- the task fails, and joins its children, in another one.
local function end_foreign_yield(task, co, value)
  task.fn, task.a, task.b, task.c = error, threads.foreign_yield(co, value), 0, nil
  task.co = take_thread(worker)
  resume(task)
end

function resume(task)
  local previous, co = current, task.co
  current = task
  task.state = "running"
  depth = depth + 1
  local ok, yielded = resume_thread(co, task)
  depth = depth - 1
  current = previous
  if yielded == IDLE then
    give_thread(co)
  elseif not ok then
    finish(task, false, yielded)
  elseif yielded ~= WAIT then
    end_foreign_yield(task, co, yielded)
  end
end

-- One ready task; false if there is none, or no room for it.
local function run_one()
  if head > tail or depth >= DEPTH_MAX then return false end
  local task = ready[head]
  ready[head] = nil
  head = head + 1
  if head > tail then head, tail = 1, 0 end
  resume(task)
  return true
end

-- ---- the loop ----------------------------------------------------------------

---What Ctrl-C does: set by the command line and the REPL.
function loop.on_interrupt() end

local function turn(limit)
  if c.interrupted() then loop.on_interrupt() end
  tree.sweep()
  local left = jobs.drain(limit)
  return run_one() or left, left
end

-- [subject] waits, and nothing can run: raises if that would be for ever.
local function check_hope(subject)
  if head <= tail and not subject.job then
    errors.raise("limit", "too many tasks wait inside of one another, in sort, gsub or the like")
  end
  if c.live() > 0 then return end
  if c.closed() then errors.raise("closed", "the engine is closed") end
  errors.raise("internal", "nothing is left that could wake what waits here")
end

-- Runs what is ready, else blocks, until done(subject).
local function pump(done, subject)
  while not done(subject) do
    if not turn() and not done(subject) then
      check_hope(subject)
      tidy.idle()
      c.wait()
    end
  end
end

local function has_ended(task)
  return task.state == "ended"
end

---Runs tasks, as a thread that is no task, until [task] has ended.
function loop.run_until(task)
  pump(has_ended, task)
end

---Runs what is ready, at most [seconds] long, without blocking: for hosts.
---@param seconds number?  default: all that is ready, at most a second long
---@return integer ready   tasks that are still ready, and one for events that wait
function loop.update(seconds)
  local limit = c.now() + (seconds or UNASKED)
  if seconds then tidy.frame(seconds) end
  local ran, left
  repeat ran, left = turn(limit) until not ran or c.now() >= limit
  local waiting = tail - head + (left and 2 or 1)
  if waiting > 0 then c.wake() end -- no event tells of it
  return waiting
end

-- ---- parking -----------------------------------------------------------------

-- Puts a task that is going to wait into the tree; true if it is cancelled there.
local function adopt(task)
  local on_wait, parent = task.loose, task.parent
  task.loose = nil
  link(task)
  if on_wait ~= true then on_wait(task) end
  if not parent.cancelled or task.cancelled then return false end
  tree.cancel(task, parent.cancelled)
  return true
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
function loop.pump_current()
  local task = current
  task.pumping = true
  local ok, err = pcall(pump, is_awake, task)
  task.pumping, task.state, current = false, "running", task
  if not ok then error(err, 0) end
end

---Stops the running task until it is unparked, cancelled or not. May return
---early: the caller asks again for what it waits for.
function loop.park_raw()
  local task = current
  if task.loose and adopt(task) then return end
  task.state = "parked"
  if not can_yield(task) then return loop.pump_current() end
  repeat yield(WAIT) until task.state ~= "parked"
end

-- ---- making tasks ------------------------------------------------------------

local function new_task(parent, ctx, group, fn, a, b, x, loose)
  local co = take_thread(worker)
  live = live + 1
  return setmetatable({
    parent = parent,
    level = parent and parent.level + 1 or 1,
    ctx = ctx or loop.root_context,
    group = group,
    fn = fn, a = a, b = b, c = x,
    co = co,
    loose = loose,
    cancelled = parent and parent.cancelled,
    state = "pending",
  }, task_mt)
end

---Starts fn(a, b, x) as a child of the running task, at once, until it first
---waits; then on_wait(task) is called.
---@return moonpipe.Task
function loop.spawn(ctx, group, fn, a, b, x, on_wait)
  local parent = current.scope or current
  if parent.level >= LEVEL_MAX then
    errors.raise("limit", ("steps are nested %d deep: an endless recursion?"):format(LEVEL_MAX))
  end
  local task = new_task(parent, ctx, group, fn, a, b, x, on_wait or true)
  if depth < DEPTH_MAX then
    resume(task)
  else
    adopt(task)
    enqueue(task)
  end
  return task
end

---Makes fn(a, b, x) a task that begins at the next turn: a child of the running
---task, or the root of a tree of its own.
---@return moonpipe.Task
function loop.start(ctx, fn, a, b, x)
  local task = new_task(current, ctx, nil, fn, a, b, x)
  if current then link(task) else c.wake() end
  enqueue(task)
  task.started, task.state = true, "pending"
  return task
end

---Calls fn(...), which may not wait, as if no task ran: what it starts is the
---root of a tree of its own. For callbacks of a C host.
function loop.outside(fn, ...)
  local task = current
  current = nil
  local ok, value = pcall(fn, ...)
  current = task
  if not ok then error(value, 0) end
  return value
end

-- ---- for coroutines.lua ------------------------------------------------------

---Whether the running coroutine can hand WAIT to its resumer.
function loop.can_yield()
  return current and can_yield(current)
end

---Marks a coroutine whose resumer passes WAIT outward; nil marks all.
function loop.mark_passing(co)
  if co then passing[co] = true else all_pass = true end
end

return loop
