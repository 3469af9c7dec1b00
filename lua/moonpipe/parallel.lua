--- A map: every branch is run on the same input, all at once.
--
-- A branch that cannot wait is run in place; others are child tasks. Keys are
-- run, listed and drawn sorted: integers ascending, then strings by bytes.
local coerce = require "moonpipe.coerce"
local errors = require "moonpipe.error"
local merge = require "moonpipe.merge"
local runnable = require "moonpipe.runnable"
local scheduler = require "moonpipe.scheduler"
local tree = require "moonpipe.tree"

local pcall, spawn = pcall, scheduler.spawn

---@class moonpipe.RunnableParallel: moonpipe.Runnable
---@field steps table<string|integer, moonpipe.Runnable>  by key
---@field keys (string|integer)[]                         sorted
---@field list moonpipe.Runnable[]                        in the order of keys
local RunnableParallel, methods = runnable.class("RunnableParallel")

local parallel = { RunnableParallel = RunnableParallel }

-- ---- making ------------------------------------------------------------------

local function by_kind(a, b)
  local ta, tb = type(a), type(b)
  if ta ~= tb then return ta == "number" end
  return a < b
end

local function check_key(key, where)
  local integer = type(key) == "number" and key >= 1 and key == math.floor(key)
  if type(key) ~= "string" and not integer then
    errors.usage(("map keys are strings or positive integers, got %s"):format(errors.shape(key)),
      where)
  end
end

-- A table as a value is a map of its own; `a.b` is the path of key b in it.
local function coerce_value(value, key, path, origin)
  path = path and (path .. "." .. key) or tostring(key)
  local where = origin and (origin.keys and origin.keys[key] or origin.where)
  return coerce.step(value, path, where or errors.caller()), where
end

-- Branches that begin with user code get a copy of a plain table each, where
-- there is more than one such branch.
local function copies_of(list)
  local copies, count = {}, 0
  for i, step in ipairs(list) do
    copies[i] = step:_begins_with_user_code()
    if copies[i] then count = count + 1 end
  end
  return count > 1 and copies or nil, count > 0
end

---The map of a plain table.
---@param map table
---@param path string?   its own key path, for messages
---@param where string?
---@return moonpipe.RunnableParallel
function parallel.from_table(map, path, where)
  local origin = coerce.origin(map) or where and { where = where }
  local keys, list, steps, wheres = {}, {}, {}, {}
  for key in pairs(map) do
    check_key(key, origin and origin.where)
    keys[#keys + 1] = key
  end
  table.sort(keys, by_kind)
  local sync = true
  for i, key in ipairs(keys) do
    list[i], wheres[i] = coerce_value(map[key], key, path, origin)
    steps[key] = list[i]
    sync = sync and list[i].sync or false
  end
  local copies, user_code = copies_of(list)
  return runnable.instance(RunnableParallel, {
    keys = keys,
    list = list,
    steps = steps,
    wheres = wheres,
    copies = copies,
    user_code = user_code,
    count = #keys,
    array = #keys > 0 and type(keys[#keys]) == "number" and keys[#keys],
    sync = sync,
  })
end

---RunnableParallel{ key = step }.
function RunnableParallel.new(map)
  if type(map) ~= "table" or getmetatable(map) ~= nil then
    errors.usage("RunnableParallel takes a table of steps, got " .. errors.shape(map))
  end
  return parallel.from_table(map, nil, errors.caller())
end

-- ---- invoke ------------------------------------------------------------------

local function shallow_copy(input)
  if type(input) ~= "table" or getmetatable(input) ~= nil then return input end
  local copy = {}
  for key, value in pairs(input) do copy[key] = value end
  return copy
end
parallel.shallow_copy = shallow_copy

local function locate(self, i, err)
  err = errors.wrap(err)
  err.step = err.step or self.list[i]:get_name()
  return err:at("map." .. tostring(self.keys[i]), self.wheres[i])
end

---@class moonpipe.Group  what the branches of one call of a map share
---@field pending integer
---@field failed integer?  index of the branch that failed first
local Group = {}
Group.__index = Group

function Group:ended(task)
  self.pending = self.pending - 1
  if task.err ~= nil and not self.failed then self.failed = task end
  if self.failed or self.pending == 0 then scheduler.unpark(self.waiter) end
end

-- What became of the others, beside an error.
local function siblings_of(self, failed, tasks, out)
  local siblings = {}
  for i, key in ipairs(self.keys) do
    local task = tasks[i]
    if i == failed then
      siblings[key] = nil
    elseif not task then
      siblings[key] = out[key] ~= nil and "done" or "not started"
    elseif task.err == nil then
      siblings[key] = "done"
    else
      siblings[key] = task.err.kind == "cancelled" and "cancelled" or task.err
    end
  end
  return siblings
end

local function cancel_rest(self, failed, tasks, group)
  local reason = ("map key '%s' failed"):format(tostring(self.keys[failed]))
  for i = 1, self.count do
    local task = tasks[i]
    if task and task.state ~= "ended" then tree.cancel(task, tree.cancelled(reason)) end
  end
  while group and group.pending > 0 do scheduler.park_raw() end
end

-- Ends a map of which branch [failed] has failed: cancels, joins, raises.
local function fail(self, failed, err, tasks, group, out)
  cancel_rest(self, failed, tasks, group)
  err = errors.wrap(err)
  err.siblings = err.siblings or self.count > 1 and siblings_of(self, failed, tasks, out) or nil
  error(locate(self, failed, err), 0)
end

local function index_of(self, tasks, task)
  for i = 1, self.count do
    if tasks[i] == task then return i end
  end
end

-- Waits for the branches that did not end at once and gathers their values.
local function gather(self, tasks, group, out, mode)
  while group.pending > 0 and not (group.failed and mode == "cancel") do scheduler.park() end
  if group.failed and mode ~= "collect" then
    fail(self, index_of(self, tasks, group.failed), group.failed.err, tasks, group, out)
  end
  for i = 1, self.count do
    local task = tasks[i]
    if task then
      out[self.keys[i]] = task.err ~= nil and locate(self, i, task.err) or task.value
    end
  end
end

-- Begins branch i; gives ok, value, or the task if it has not ended.
local function begin(self, i, input, ctx)
  local step = self.list[i]
  if self.copies and self.copies[i] then input = shallow_copy(input) end
  if step.sync then return pcall(step._invoke, step, input, ctx) end
  local task = spawn(ctx, nil, step._invoke, step, input, ctx)
  if task.state ~= "ended" then return nil, task end
  if task.err ~= nil then return false, task.err end
  return true, task.value
end

local function join_group(group, task)
  group = group or setmetatable({ pending = 0, waiter = scheduler.current() }, Group)
  task.group = group
  group.pending = group.pending + 1
  return group
end

function methods:_invoke(input, ctx)
  local keys, out, mode = self.keys, {}, ctx.on_error
  local tasks, group, late = nil, nil, nil
  for i = 1, self.count do
    local ok, value = begin(self, i, input, ctx)
    if ok then
      out[keys[i]] = value
    elseif ok == nil then
      tasks = tasks or {}
      tasks[i] = value
      group = join_group(group, value)
    elseif mode == "cancel" then
      fail(self, i, value, tasks or {}, group, out)
    elseif mode == "collect" then
      out[keys[i]] = locate(self, i, value)
    else
      late = late or { i, value }
    end
  end
  if group then gather(self, tasks, group, out, late and "wait" or mode) end
  if late then fail(self, late[1], late[2], tasks or {}, group, out) end
  if self.array then out.n = out.n or self.array end
  return out
end

-- ---- stream ------------------------------------------------------------------

local finished = setmetatable({}, { __mode = "k" })

---The key whose branch ended with this chunk of a map's stream, or nil.
---@param chunk any
---@return string|integer?
function parallel.finished(chunk)
  if type(chunk) ~= "table" then return nil end
  return finished[chunk]
end

local function end_mark(key)
  local mark = {}
  finished[mark] = key
  return mark
end

-- The chunks of an array carry `n`: they merge by slot, not one behind another.
local function chunk_of(self, branch, value)
  return { [branch.key] = value, n = self.array or nil }
end

-- What the consumer gets when [branch] has ended.
local function ended_chunk(self, branch, state, ctx)
  local err = branch.err
  if err == nil then return end_mark(branch.key) end
  if state.tee and err == state.tee.err then error(err, 0) end
  if ctx.on_error == "collect" then
    state.marks[#state.marks + 1] = end_mark(branch.key)
    return chunk_of(self, branch, locate(self, branch.index, err))
  end
  if ctx.on_error == "wait" then
    state.failed = state.failed or locate(self, branch.index, err)
    return end_mark(branch.key)
  end
  state.merge:stop(("map key '%s' failed"):format(tostring(branch.key)))
  error(locate(self, branch.index, err), 0)
end

local function interleave(self, branches, ctx, tee)
  local state = { marks = {}, tee = tee }
  local take
  take, state.merge = merge.streams(branches, ctx)
  return function()
    local mark = table.remove(state.marks)
    if mark then return mark end
    local value, branch = take()
    if value ~= nil then return chunk_of(self, branch, value) end
    if branch then return ended_chunk(self, branch, state, ctx) end
    if state.failed then error(state.failed, 0) end
  end
end

local function branches_of(self, open)
  local branches = {}
  for i, key in ipairs(self.keys) do
    branches[i] = { key = key, index = i, pull = open(i, self.list[i]) }
  end
  return branches
end

-- Opens the stream inside of its branch's task, so that no branch waits for
-- another's beginning.
local function lazily(open)
  local inner
  return function()
    inner = inner or open()
    return inner()
  end
end

function methods:_stream(input, ctx)
  return interleave(self, branches_of(self, function(i, step)
    local given = self.copies and self.copies[i] and shallow_copy(input) or input
    return lazily(function() return step:_stream(given, ctx) end)
  end), ctx)
end

function methods:_transform(source, ctx)
  local tee = merge.tee(source)
  return interleave(self, branches_of(self, function(_, step)
    local reader = tee:reader()
    return lazily(function() return step:_transform(reader, ctx) end)
  end), ctx, tee)
end

-- ---- what others ask -----------------------------------------------------------

function methods:_begins_with_user_code()
  return self.user_code
end

function methods:_output_keys()
  local keys = {}
  for i, key in ipairs(self.keys) do keys[i] = tostring(key) end
  return keys
end

function methods:_check_keys(keys)
  for i, step in ipairs(self.list) do
    local message = step._check_keys and step:_check_keys(keys)
    if message then return ("in map key '%s': %s"):format(tostring(self.keys[i]), message) end
  end
end

function methods:_takes_kwargs()
  for _, step in ipairs(self.list) do
    if step:_takes_kwargs() then return true end
  end
  return false
end

local function key_list(self)
  local names = {}
  for i, key in ipairs(self.keys) do names[i] = tostring(key) end
  return table.concat(names, ", ")
end

function methods:get_name()
  return self.name or ("RunnableParallel<" .. key_list(self):gsub(", ", ",") .. ">")
end

function methods:_label()
  return self.name or ("{" .. key_list(self) .. "}")
end

return parallel
