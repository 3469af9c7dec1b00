--- A map: every branch is run on the same input, all at once.
--
-- A branch that cannot wait is run in place; others are child tasks. Keys are
-- run, listed and drawn sorted: integers ascending, then strings by bytes.
local coerce = require "moonpipe.coerce"
local errors = require "moonpipe.error"
local interleave = require "moonpipe.interleave"
local members = require "moonpipe.members"
local merge = require "moonpipe.merge"
local run = require "moonpipe.run"
local runnable = require "moonpipe.steps.runnable"
local scheduler = require "moonpipe.scheduler"
local tree = require "moonpipe.tree"
local watch = require "moonpipe.watch"

local pcall, spawn, invoke = pcall, scheduler.spawn, run.invoke
local locate = interleave.locate

---@class moonpipe.RunnableParallel: moonpipe.Runnable
---@field steps table<string|integer, moonpipe.Runnable>  by key
---@field keys (string|integer)[]                         sorted
---@field list moonpipe.Runnable[]                        in the order of keys
local RunnableParallel, methods = runnable.class("RunnableParallel")

local parallel = { RunnableParallel = RunnableParallel, finished = interleave.finished }

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

local PATH_MAX = 2000 -- bytes of the keys around a map; what is deeper holds itself

-- A table as a value is a map of its own; `a.b` is the path of key b in it.
local function coerce_value(value, key, path, origin)
  path = path and (path .. "." .. key) or tostring(key)
  local where = origin and (origin.keys and origin.keys[key] or origin.where)
  if #path > PATH_MAX and type(value) == "table" then
    errors.usage(("in map key '%s…': the map is nested too deep; does it hold itself?"):format(
      path:sub(1, 20)), where)
  end
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
  local by_key, spans = origin and origin.spans or {}, {}
  for key in pairs(map) do
    check_key(key, origin and origin.where)
    keys[#keys + 1] = key
  end
  table.sort(keys, by_kind)
  for i, key in ipairs(keys) do
    list[i], wheres[i] = coerce_value(map[key], key, path, origin)
    steps[key], spans[i] = list[i], by_key[key] or false
  end
  local copies, user_code = copies_of(list)
  return runnable.instance(RunnableParallel, {
    keys = keys,
    list = list,
    steps = steps,
    wheres = wheres,
    spans = spans,
    copies = copies,
    user_code = user_code,
    count = #keys,
    array = #keys > 0 and type(keys[#keys]) == "number" and keys[#keys],
    sync = members.are_sync(list),
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

---@class moonpipe.Group  the branches of one call of a map, once one waits or fails
---@field map moonpipe.RunnableParallel
---@field mode string             what a failure does to the others
---@field tasks moonpipe.Task[]   by index, of those that did not end at once
---@field errs table<integer, any>  by index, of those that failed at once
---@field pending integer
---@field failed integer?         index of the branch that failed first
---@field begun integer           index of the last branch that was begun
local Group = {}
Group.__index = Group

local function new_group(map, mode)
  return setmetatable({
    map = map, mode = mode, tasks = {}, errs = {}, pending = 0, waiter = scheduler.current(),
  }, Group)
end

local function index_of(self, task)
  for i, one in pairs(self.tasks) do
    if one == task then return i end
  end
end

local function cancel_others(self)
  local reason = ("map key '%s' failed"):format(tostring(self.map.keys[self.failed]))
  for _, task in pairs(self.tasks) do
    if task.state ~= "ended" then tree.cancel(task, tree.cancelled(reason)) end
  end
end

-- The others are cancelled at once: one that is ready to run, perhaps with the slot
-- that the failed one left, must not begin a call before the map hears of it.
function Group:ended(task)
  self.pending = self.pending - 1
  if task.err ~= nil and not self.failed then
    self.failed = index_of(self, task)
    if self.mode == "cancel" then cancel_others(self) end
  end
  if self.failed or self.pending == 0 then scheduler.unpark(self.waiter) end
end

function Group:add(i, task)
  task.group = self
  self.tasks[i] = task
  self.pending = self.pending + 1
end

function Group:fail(i, err)
  self.errs[i] = err
  self.failed = self.failed or i
end

-- What became of the others, beside an error.
local function siblings_of(self, group)
  local siblings = {}
  for i, key in ipairs(self.keys) do
    local task = group.tasks[i]
    if i > group.begun then
      siblings[key] = "not started"
    elseif i ~= group.failed then
      siblings[key] = interleave.fate(group.errs[i] or task and task.err)
    end
  end
  return siblings
end

-- Ends a map that has failed: cancels what runs, joins, raises.
local function fail(self, group)
  local failed = group.failed
  cancel_others(group)
  while group.pending > 0 do scheduler.park_raw() end
  local err = errors.wrap(group.errs[failed] or group.tasks[failed].err)
  err.siblings = err.siblings or self.count > 1 and siblings_of(self, group) or nil
  error(locate(self, failed, err), 0)
end

local function wait(group, mode)
  while group.pending > 0 and not (group.failed and mode == "cancel") do scheduler.park() end
end

-- Cancelled, perhaps as its time is over: so are the branches, which end before it.
local function interrupted(self, group, err)
  while group.pending > 0 do scheduler.park_raw() end
  local fates = {}
  for i, key in ipairs(self.keys) do
    local task = group.tasks[i]
    fates[i] = { key = key, begun = i <= group.begun, err = group.errs[i] or task and task.err }
  end
  interleave.interrupted(err, fates, function(i, own) return locate(self, i, own) end)
end

-- Waits for the branches that did not end at once and gathers their values.
local function gather(self, group, out, mode)
  local ok, err = pcall(wait, group, mode)
  if not ok then interrupted(self, group, err) end
  if group.failed and mode ~= "collect" then fail(self, group) end
  for i, task in pairs(group.tasks) do
    out[self.keys[i]] = task.err ~= nil and locate(self, i, task.err) or task.value
  end
end

local function as_branch(key)
  return function(step, input, ctx) return invoke(step, input, ctx, "map:key:", key) end
end

-- Begins branch i; gives ok, value, or the task if it has not ended.
local function begin(self, i, input, ctx)
  local step = self.list[i]
  if self.copies and self.copies[i] then input = shallow_copy(input) end
  if step.sync then return pcall(invoke, step, input, ctx, "map:key:", self.keys[i]) end
  local fn = ctx.tracer and as_branch(self.keys[i]) or step._invoke
  local task = spawn(ctx, nil, fn, step, input, ctx)
  if task.state ~= "ended" then return nil, task end
  if task.err ~= nil then return false, task.err end
  return true, task.value
end

function methods:_invoke(input, ctx)
  local keys, out, mode, group = self.keys, {}, ctx.on_error, nil
  for i = 1, self.count do
    local ok, value = begin(self, i, input, ctx)
    if ok then
      out[keys[i]] = value
    elseif ok == false and mode == "collect" then
      out[keys[i]] = locate(self, i, value)
    else
      group = group or new_group(self, mode)
      if ok == nil then group:add(i, value) else group:fail(i, value) end
    end
    if group then
      group.begun = i
      if group.failed and mode == "cancel" then break end
    end
  end
  if group then gather(self, group, out, mode) end
  if self.array then out.n = self.array end
  return out
end

if watch.on then methods._invoke = watch.watched(methods._invoke) end

-- ---- stream ------------------------------------------------------------------

function methods:_stream(input, ctx)
  local copies = self.copies
  return interleave.stream(self, function(i, step)
    local own = copies and copies[i] and shallow_copy(input) or input
    return run.stream(step, own, ctx, "map:key:", self.keys[i])
  end, ctx)
end

---The source whose chunks are copies: each as whole as the one it is made of.
---@param source fun(): any
---@return fun(): any
function parallel.copying(source)
  local chunk = require "moonpipe.chunk" -- not at the start: most maps are invoked
  return function()
    local value = source()
    local copy = shallow_copy(value)
    return chunk.is_whole(value) and chunk.mark_whole(copy) or copy
  end
end

function methods:_transform(source, ctx)
  local copies, tee = self.copies, merge.tee(source)
  local readers = {}
  for i = 1, self.count do
    readers[i] = copies and copies[i] and parallel.copying(tee:reader()) or tee:reader()
  end
  return interleave.stream(self, function(i, step)
    local reader = readers[i]
    readers[i] = nil -- the branch alone holds it, and lets go at its end
    return run.transform(step, reader, ctx, "map:key:", self.keys[i])
  end, ctx, tee)
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
    local message = step:_check_keys(keys)
    if message then return ("in map key '%s': %s"):format(tostring(self.keys[i]), message) end
  end
end

function methods:_takes_kwargs()
  return members.take_kwargs(self.list)
end

function methods:_parts()
  local items = {}
  for i, step in ipairs(self.list) do items[i] = { step = step, label = tostring(self.keys[i]) } end
  return { shape = "map", items = items }
end

function methods:get_name()
  return ("RunnableParallel<%s>"):format(table.concat(self:_output_keys(), ","))
end

function methods:_label()
  return ("{%s}"):format(table.concat(self:_output_keys(), ", "))
end

return parallel
