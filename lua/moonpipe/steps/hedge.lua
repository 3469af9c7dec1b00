--- A step that is run a second time where the first is slow: the first to answer wins.
--
-- The second attempt begins when `after` seconds have gone by without an answer
-- (of a stream: without a chunk). The one that loses is cancelled, its connection
-- closed, before the answer is given. A failure of the first before that is the
-- step's failure; later the other one is waited for. The requests of the second
-- count as repeats in the budgets of their origins (attempts.lua), so where many
-- hedge, fewer retry.
local coerce = require "moonpipe.coerce"
local context = require "moonpipe.context"
local errors = require "moonpipe.error"
local jobs = require "moonpipe.jobs"
local partial = require "moonpipe.steps.partial"
local run = require "moonpipe.run"
local runnable = require "moonpipe.steps.runnable"
local scheduler = require "moonpipe.scheduler"
local task = require "moonpipe.task"
local tree = require "moonpipe.tree"
local wrapping = require "moonpipe.steps.wrapping"

---@class moonpipe.RunnableHedge: moonpipe.Runnable
---@field bound moonpipe.Runnable
---@field after number  seconds
local RunnableHedge, methods = runnable.class("RunnableHedge")
wrapping.delegate(methods)

---[step], which is run a second time where it takes longer than opts.after seconds.
---@param step any  coerced
---@param opts { after: number }
---@return moonpipe.RunnableHedge
function RunnableHedge.new(step, opts)
  opts = errors.options(opts, { "after" }, "with_hedge")
  local after = opts.after
  if type(after) ~= "number" or after ~= after or after < 0 then
    errors.usage("after of with_hedge must be seconds, got " .. errors.shape(after))
  end
  return runnable.instance(RunnableHedge, { bound = coerce.step(step), after = after })
end

-- ---- the race --------------------------------------------------------------------

---@class moonpipe.Race  two attempts of one call
---@field tasks moonpipe.Task[]
---@field leader integer?   of a stream: who gave the first chunk
---@field waiter moonpipe.Task
local Race = {}
Race.__index = Race

function Race:ended()
  scheduler.unpark(self.waiter)
end

-- Starts an attempt as fn(race, number, ctx).
local function start(self, number, fn)
  local ctx = self.ctx
  if number > 1 then ctx = context.with(ctx, { credit = {} }) end
  local one = scheduler.spawn(ctx, nil, fn, self, number, ctx)
  self.tasks[number] = one
  if one.state ~= "ended" then one.group = self end
end

-- The attempt that has decided the race: has given something, or ended well; or
-- the first one, when all that were begun have failed.
local function decided(self)
  if self.leader then return self.leader end
  local running = false
  for number, one in ipairs(self.tasks) do
    if one.state ~= "ended" then
      running = true
    elseif one.err == nil then
      return number
    end
  end
  return not running and 1 or nil
end

local function wait_until_due(self, after)
  local due = false
  local timer = jobs.timer(after, function()
    due = true
    scheduler.unpark(self.waiter)
  end)
  local ok, err = pcall(function()
    while not due and not decided(self) do scheduler.park() end
  end)
  if not due then jobs.forget(timer) end
  if not ok then error(err, 0) end
end

local function stop(one, reason)
  if not one or one.state == "ended" then return end
  tree.cancel(one, tree.cancelled(reason))
  task.join(one)
end

-- Cancelled, perhaps as the time is over: so are the attempts, which know what they were
-- doing.
local function interrupted(self, err)
  for _, one in ipairs(self.tasks) do
    stop(one, "the hedge was ended")
    if one.err ~= nil and one.err.kind == err.kind then error(one.err, 0) end
  end
  error(err, 0)
end

local function run_both(self, after, fn)
  start(self, 1, fn)
  if not decided(self) then wait_until_due(self, after) end
  if not decided(self) then start(self, 2, fn) end
  while not decided(self) do scheduler.park() end
end

-- The number of the attempt that wins; the other has ended.
local function compete(self, after, fn)
  local ok, err = pcall(run_both, self, after, fn)
  if not ok then interrupted(self, err) end
  local winner = decided(self)
  stop(self.tasks[3 - winner], "the other attempt was faster")
  return winner
end

local function new_race(self, input, ctx)
  return setmetatable({
    tasks = {}, step = self.bound, input = input, ctx = ctx, waiter = scheduler.current(),
  }, Race)
end

-- Raises what both have failed with.
local function fail(race)
  local err, other = errors.wrap(race.tasks[1].err), race.tasks[2]
  if other and err.siblings == nil then err.siblings = { ["attempt 2"] = other.err } end
  error(err, 0)
end

-- ---- running ---------------------------------------------------------------------

local function attempt_invoke(race, number, ctx)
  return run.invoke(race.step, race.input, ctx, number > 1 and "hedge:" or nil,
    number > 1 and number or nil)
end

function methods:_invoke(input, ctx)
  local race = new_race(self, input, ctx)
  local winner = compete(race, self.after, attempt_invoke)
  if race.tasks[winner].err ~= nil then fail(race) end
  return race.tasks[winner].value
end

-- Reads its stream in a task of its own, which holds one chunk until that is taken:
-- what it opened belongs to that task.
local function attempt_stream(race, number, ctx)
  local pull = run.stream(race.step, race.input, ctx, number > 1 and "hedge:" or nil,
    number > 1 and number or nil)
  while true do
    local value = pull()
    if value == nil then return end
    race.leader = race.leader or number
    while race.leader ~= number do scheduler.park() end -- until it is cancelled
    race.chunk = value
    scheduler.unpark(race.waiter)
    while race.chunk ~= nil do scheduler.park() end
  end
end

local function take(race)
  local winner = race.tasks[race.winner]
  race.waiter = scheduler.current()
  while race.chunk == nil and winner.state ~= "ended" do scheduler.park() end
  local value = race.chunk
  race.chunk = nil
  if value ~= nil then
    scheduler.unpark(winner)
    return value
  end
  if winner.err == nil then return nil end
  if race.leader then error(winner.err, 0) end
  fail(race)
end

function methods:_stream(input, ctx)
  local race
  return partial.kept(function()
    if not race then
      race = new_race(self, input, ctx)
      race.winner = compete(race, self.after, attempt_stream)
    end
    return take(race)
  end)
end

-- ---- what others ask -----------------------------------------------------------

function methods:_parts()
  local title = ("again after %g s"):format(self.after)
  return { shape = "frame", title = title, items = { { step = self.bound } } }
end

function methods:_label()
  return self.name or wrapping.operand(self.bound) .. ":with_hedge()"
end

return { RunnableHedge = RunnableHedge }
