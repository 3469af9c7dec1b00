--- Several streams read at once, their chunks as they arrive.
--
-- Each stream is pulled by a child task that holds one chunk until the consumer
-- has taken it, so a slow consumer holds back every branch. A `Tee` gives one
-- source to several readers; what all have read is garbage.
local errors = require "moonpipe.error"
local scheduler = require "moonpipe.scheduler"
local tree = require "moonpipe.tree"

local join = require("moonpipe.task").join

local merge = {}

---@class moonpipe.Merge
---@field arrived table[]  branches whose chunk waits to be taken, oldest first
---@field running integer
---@field by_task table<moonpipe.Task, table>  the branches that have begun and not ended
---@field on_failure fun(branch: table)?  called when a branch has failed, before the
---  consumer hears of it; may not wait. What has not begun then does not begin
local Merge = {}
Merge.__index = Merge

-- The life of a branch's task.
local function read(branch, owner)
  while true do
    local value = branch.pull()
    if value == nil then return end
    branch.slot = value
    owner:announce(branch)
    while branch.slot ~= nil do scheduler.park() end
  end
end

function Merge:announce(branch)
  self.last = self.last + 1
  self.arrived[self.last] = branch
  if self.consumer then scheduler.unpark(self.consumer) end
end

-- Called by the scheduler when a branch's task has ended.
function Merge:ended(task)
  local branch = self.by_task[task]
  self.by_task[task], self.running = nil, self.running - 1
  branch.err = task.err
  branch.pull = nil -- or what it has not read of a Tee would stay for ever
  self:announce(branch)
  if branch.err ~= nil and self.on_failure then self.on_failure(branch) end
end

local function begin_branch(self, branch)
  self.running = self.running + 1
  local task = scheduler.spawn(self.ctx, nil, read, branch, self)
  branch.task, self.by_task[task] = task, branch
  if task.state == "ended" then self:ended(task) else task.group = self end
end

local function begin(self)
  self.begun = true
  if self.tee then self.tee.owner = scheduler.owner() end
  for i = 1, #self.branches do
    local branch = self.branches[i]
    begin_branch(self, branch)
    if branch.err ~= nil and self.on_failure then return end
  end
end

---Merges one more stream. Called by the consumer, between two chunks.
---@param branch { pull: fun(): any }
function Merge:add(branch)
  if self.begun then return begin_branch(self, branch) end
  table.insert(self.branches, branch)
end

---Merges streams.
---@param branches { pull: fun(): any }[]  further fields are the caller's
---@param tee moonpipe.Tee?  that the branches read
---@return fun(): any chunk, table branch  the next chunk with its branch; chunk nil
---  when that branch has ended (branch.err says how), both nil at the end of all
---@return moonpipe.Merge
function merge.streams(branches, ctx, tee)
  local self = setmetatable({
    branches = branches,
    ctx = ctx,
    tee = tee,
    arrived = {},
    first = 1,
    last = 0,
    running = 0,
    by_task = {},
  }, Merge)
  return function() return self:take() end, self
end

function Merge:take()
  if not self.begun then begin(self) end
  self.consumer = scheduler.current()
  while self.first > self.last do
    if self.running == 0 then return nil, nil end
    scheduler.park()
  end
  local branch = self.arrived[self.first]
  self.arrived[self.first] = nil
  self.first = self.first + 1
  local value = branch.slot
  branch.slot = nil
  if value ~= nil then scheduler.unpark(branch.task) end
  return value, branch
end

---Cancels the branches that run: all of them, before one can take what another
---has left.
---@return moonpipe.Task[]
function Merge:cancel(reason)
  local tasks = {}
  for task in pairs(self.by_task) do tasks[#tasks + 1] = task end
  for _, task in ipairs(tasks) do tree.cancel(task, tree.cancelled(reason)) end
  return tasks
end

---Cancels the branches that run and waits until they have ended.
function Merge:stop(reason)
  for _, task in ipairs(self:cancel(reason)) do join(task) end
end

-- ---- tee -----------------------------------------------------------------------

---@class moonpipe.Task
---@field asker moonpipe.Task?  who waits for what it pulls of a shared source

---@class moonpipe.Tee
---@field err any  what the source raised: not the fault of a reader
---@field owner moonpipe.Node?  to which belongs what the source opens
local Tee = {}
Tee.__index = Tee

---Makes one source readable by several.
---@param source fun(): any
---@return moonpipe.Tee
function merge.tee(source)
  return setmetatable({ source = source, tail = {}, sleepers = {} }, Tee)
end

-- The life of the task that pulls: it belongs to the consumer, so it goes on when the
-- reader that began it is cancelled or has ended.
local function pull(self, node, asker)
  local task = scheduler.current()
  task.scope, task.asker = self.owner, asker.asker or asker
  local ok, value = pcall(self.source)
  self.busy = false
  if not ok then
    self.err, node.failed = errors.wrap(value), true
  elseif value == nil then
    node.ended = true
  else
    node.value, node.next = value, {}
    self.tail = node.next
  end
  local sleepers = self.sleepers
  self.sleepers = {}
  for _, sleeper in ipairs(sleepers) do scheduler.unpark(sleeper) end
end

-- The source is pulled for all readers that wait for it, once.
local function advance(self, node)
  local task = scheduler.current()
  scheduler.raise_if_cancelled(task)
  if not self.busy then
    self.busy = true
    local scope = task.scope
    task.scope = self.owner or scope
    scheduler.spawn(task.ctx, nil, pull, self, node, task)
    task.scope = scope
  end
  if not self.busy then return end
  self.sleepers[#self.sleepers + 1] = task
  scheduler.park()
end

---A reader from the source's present place on.
---@return fun(): any
function Tee:reader()
  local node = self.tail
  return function()
    while not (node.next or node.ended or node.failed) do advance(self, node) end
    if node.failed then error(self.err, 0) end
    if node.ended then return nil end
    local value = node.value
    node = node.next
    return value
  end
end

return merge
