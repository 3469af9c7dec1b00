--- The tree of what can be cancelled: tasks, and scopes of streams.
--
-- Cancelling marks a node and all below it and wakes them; each raises at its
-- next await. A node leaves the tree when it has ended, and ends after its
-- children.
local errors = require "moonpipe.error"
local jobs = require "moonpipe.jobs"

---@class moonpipe.Node
---@field parent moonpipe.Node?
---@field level integer?
---@field first moonpipe.Node?        youngest child
---@field cancelled moonpipe.Error?   why
---@field untold boolean?             it was, before it was there: nobody has woken it
---@field closed boolean?             a scope whose stream has ended
---@field joining boolean?            waits for its children
---@field wake fun(node)              lets it notice that it is cancelled

local function nothing() end

---@type moonpipe.Node  above what no task of ours has opened
local root = { level = 0, wake = nothing }

local tree = { root = root }

-- A nil that is written takes a place in a table too, and nodes are many.

---Puts [node] below node.parent.
function tree.link(node)
  local parent = node.parent
  local first = parent.first
  if first then node.next, first.previous = first, node end
  parent.first = node
end

---Takes [node] out, if it is there. A parent that waited for its last child is woken.
function tree.unlink(node)
  local parent, before, after = node.parent, node.previous, node.next
  if before then
    before.next, node.previous = after, nil
  elseif parent and parent.first == node then
    parent.first = after
  else
    return
  end
  if after then after.previous, node.next = before, nil end
  if parent.first then return end
  if parent.closed then tree.unlink(parent) elseif parent.joining then parent:wake() end
end

---@param message string
---@return moonpipe.Error
function tree.cancelled(message)
  return errors.new { kind = "cancelled", message = message }
end

---What is noted of an error beside its fields, for its copies too.
---@type table<moonpipe.Error, any>
local noted = setmetatable({}, { __mode = "k" })
tree.noted = noted

---An error for one who raises it: each gives it a path of its own.
---@param err moonpipe.Error
---@return moonpipe.Error
function tree.own(err)
  local copy, note = {}, noted[err]
  for key, value in pairs(err) do copy[key] = value end
  if note then noted[copy] = note end
  return setmetatable(copy, errors.mt)
end

-- Marks [node] and all below, but for what is cancelled already; gives them,
-- parents first. No recursion: a tree may be deeper than the stack.
local function mark(node, err)
  local list, count, i = { node }, 1, 1
  node.cancelled = err
  while i <= count do
    local child = list[i].first
    while child do
      if not child.cancelled then
        child.cancelled = err
        count = count + 1
        list[count] = child
      end
      child = child.next
    end
    i = i + 1
  end
  return list
end

---Marks [node] and all below as cancelled with [err] and wakes them.
---@param node moonpipe.Node
---@param err moonpipe.Error
function tree.cancel(node, err)
  if node.cancelled then return end
  local list = mark(node, err)
  for i = #list, 1, -1 do list[i]:wake() end
end

local scope_mt = { __index = { wake = nothing } }

---A node without a coroutine: the scope of a stream.
---@param parent moonpipe.Node
---@param mt table?  where it has `wake`
---@return moonpipe.Node
function tree.scope(parent, mt)
  -- four fields while it is open
  local node = { parent = parent, level = parent.level, first = nil, user = nil }
  setmetatable(node, mt or scope_mt)
  if parent.cancelled then node.cancelled, node.untold = parent.cancelled, true end
  tree.link(node)
  return node
end

---Cancels what is below a scope, and takes it out when that has ended.
function tree.close(scope)
  if scope.closed then return end
  scope.closed = true
  if scope.untold then scope:wake() end
  tree.cancel(scope, tree.cancelled("the stream was closed"))
  tree.wind_up(scope)
  if not scope.first then tree.unlink(scope) end
end

local function cancel_job(node)
  if not node.done then jobs.cancel(node.id) end
end

local job_mt = { __index = { state = "job", wake = cancel_job } }

---A node for a native job that nobody may be waiting for: cancelling it asks the
---job to end, and its parent ends after it has.
---@param parent moonpipe.Node
---@param id integer
---@return moonpipe.Node
function tree.job_node(parent, id)
  local node = setmetatable({ parent = parent, id = id, done = false }, job_mt)
  tree.link(node)
  if parent.cancelled then tree.cancel(node, parent.cancelled) end
  return node
end

---Says that a job has been answered: its node leaves the tree.
function tree.finished(node)
  node.done = true
  tree.unlink(node)
end

local abandoned -- scopes whose stream was collected, linked by next_abandoned

---Notes that nobody holds the stream of [scope] any more. For finalizers, which
---run inside of any allocation: it allocates nothing and touches no list.
function tree.abandon(scope)
  scope.next_abandoned = abandoned
  abandoned = scope
end

---Closes the scopes that were abandoned; called by the loop.
function tree.sweep()
  while abandoned do
    local scope = abandoned
    abandoned = scope.next_abandoned
    tree.close(scope)
  end
end

---Closes the scopes and ends the jobs right below [node], and cancels the tasks
---that are left behind: those that the user did not start, or with [err] all.
function tree.wind_up(node, err)
  local child = node.first
  while child do
    local after = child.next
    if child.state == "job" then
      cancel_job(child)
    elseif not child.state then
      tree.close(child)
    elseif err or not child.started then
      tree.cancel(child, err or tree.cancelled("nobody waits for it any more"))
    end
    child = after
  end
end

return tree
