--- A step on each item of a list, all at once: `chain:map()`.
--
-- Its stream is that of an array map: chunks `{ [i] = chunk, n = }` as they come,
-- and a mark at the end of each item. Where the list itself comes as a stream of
-- lists (a list parser's does) items are begun as they come, and no list is read while
-- as many are under way as a run may have: what comes may be endless.
local chunk = require "moonpipe.chunk"
local coerce = require "moonpipe.coerce"
local errors = require "moonpipe.error"
local interleave = require "moonpipe.interleave"
local json = require "moonpipe.json"
local merge = require "moonpipe.merge"
local run = require "moonpipe.run"
local runnable = require "moonpipe.runnable"
local scheduler = require "moonpipe.scheduler"
local window = require "moonpipe.window"

local ARRAY = getmetatable(json.array({}))
local spawn, invoke = scheduler.spawn, run.invoke

---@class moonpipe.RunnableEach: moonpipe.Runnable
---@field bound moonpipe.Runnable
---@field return_exceptions boolean?  a failed item leaves its mp.Error in the slot
---@field where string?
local RunnableEach, methods = runnable.class("RunnableEach")

---@param step any  what can be a step
---@param opts { return_exceptions: boolean? }?
function RunnableEach.new(step, opts)
  local where = errors.caller()
  opts = errors.options(opts, { "return_exceptions" }, "RunnableEach")
  local bound = coerce.step(step, nil, where, "RunnableEach")
  return runnable.instance(RunnableEach, {
    bound = bound,
    return_exceptions = opts.return_exceptions,
    where = where,
    sync = bound.sync,
  })
end

-- ---- what is common ----------------------------------------------------------

local function is_object(value)
  local mt = getmetatable(value)
  return type(mt) == "table" and mt.__name ~= nil and mt ~= ARRAY
end

-- How many items the list has: it says so by `n`, or has no holes.
local function count_of(self, input)
  local n
  if type(input) == "table" and not is_object(input) then
    n = rawget(input, "n") or (next(input) == nil or chunk.is_list(input)) and #input
  end
  if type(n) ~= "number" then
    errors.raise("input", ("%s takes a list, got %s"):format(self:get_name(), errors.shape(input)))
  end
  return n
end

local function mode_of(self, ctx)
  return self.return_exceptions and "collect" or ctx.on_error
end

local function locate(self, i, err)
  err = errors.wrap(err)
  err.step = err.step or self.bound:get_name()
  return err:at(("each[%d]"):format(i), self.where)
end

-- ---- invoke ------------------------------------------------------------------

local function as_item(i)
  return function(step, input, ctx) return invoke(step, input, ctx, "each:item:", i) end
end

-- A step that never waits needs no task.
local function in_place(step, input, ctx, i)
  local ok, value = pcall(invoke, step, input, ctx, "each:item:", i)
  if ok then return { state = "ended", value = value } end
  return { state = "ended", err = errors.wrap(value) }
end

local function items_of(self, input, ctx, n)
  local step = self.bound
  return window.new(window.limit_of(ctx.max_concurrency), function(i)
    if i > n then return nil end
    if step.sync then return in_place(step, input[i], ctx, i) end
    local fn = ctx.tracer and as_item(i) or step._invoke
    return spawn(ctx, nil, fn, step, input[i], ctx)
  end)
end

-- What became of the others; fates are those of items that ended before.
local function siblings_of(items, fates, failed, n)
  local siblings = {}
  for i = 1, n do
    if i ~= failed then
      siblings[i] = fates[i] or (i > items.begun and "not started" or "cancelled")
    end
  end
  return siblings
end

local function fail(self, items, failed, fates, n)
  items:stop(("item %d failed"):format(failed))
  local err = errors.wrap(fates[failed])
  err.siblings = err.siblings or n > 1 and siblings_of(items, fates, failed, n) or nil
  error(locate(self, failed, err), 0)
end

function methods:_invoke(input, ctx)
  local n, mode = count_of(self, input), mode_of(self, ctx)
  local items, out, fates, failed = items_of(self, input, ctx, n), { n = n }, {}, nil
  items.stop_early = mode == "cancel" and "another item of the list failed" or nil
  for task, i in items.next, items do
    fates[i] = interleave.fate(task.err)
    if task.err == nil then
      out[i] = task.value
    elseif mode == "collect" then
      out[i] = locate(self, i, task.err)
    else
      failed = failed or i
      fates[i] = task.err
      if mode == "cancel" then break end
    end
  end
  if failed then fail(self, items, failed, fates, n) end
  return out
end

-- ---- stream ------------------------------------------------------------------

---@class moonpipe.EachStream
---@field each moonpipe.RunnableEach
---@field n integer        items that have come
---@field begun integer
---@field under integer    items begun whose end was not told yet
---@field limit integer    of those
---@field queue table<integer, any>    items that have come and not begun
---@field items table<integer, table>  branches of those that have begun, not ended well
---@field feeder moonpipe.Task?  it reads no list while items wait
---@field told integer?    the `n` of the last chunk
---@field mark table?      to be given next
---@field failed table?    the first item that failed, of those that are waited for
---@field broken boolean?  one has failed, and ends them all: no more are begun
local Items = {}
Items.__index = Items

local function reason_of(branch)
  if branch.feeds then return "the list of items failed" end
  return ("item %d failed"):format(branch.index)
end

local function open(each, ctx, is_lazy)
  local self = setmetatable({
    each = each,
    ctx = ctx,
    mode = mode_of(each, ctx),
    limit = window.limit_of(ctx.max_concurrency, is_lazy),
    n = 0, begun = 0, under = 0, queue = {}, items = {},
  }, Items)
  self.take, self.merge = merge.streams({}, ctx)
  if self.mode == "cancel" then
    function self.merge.on_failure(branch)
      self.broken = true
      self.merge:cancel(reason_of(branch))
    end
  end
  return self
end

local function begin(self, index)
  local item, branch, inner = self.queue[index], { index = index }, nil
  branch.pull = function()
    inner = inner or run.stream(self.each.bound, item, self.ctx, "each:item:", index)
    return inner()
  end
  self.queue[index], self.items[index] = nil, branch
  self.begun, self.under = index, self.under + 1
  self.merge:add(branch)
end

-- Begins items, as many as may be under way; when none waits the next list is read.
function Items:fill()
  while self.begun < self.n and self.under < self.limit and not self.broken do
    begin(self, self.begun + 1)
  end
  if self.feeder and self.begun == self.n then scheduler.unpark(self.feeder) end
end

function Items:add(list, count)
  for i = 1, count do self.queue[self.n + i] = list[i] end
  self.n, self.fed = self.n + count, true
  self:fill()
end

function Items:chunk_of(index, value)
  self.told = self.n
  return { [index] = value, n = self.n }
end

local SIBLINGS_MAX = 1000 -- of more items, those that ended well are not told

function Items:failure(branch)
  local err, siblings = errors.wrap(branch.err), {}
  for i, other in pairs(self.items) do
    if other ~= branch then
      siblings[i] = other.task and interleave.fate(other.err) or "not started"
    end
  end
  for i = 1, self.n <= SIBLINGS_MAX and self.n or 0 do
    if i ~= branch.index and siblings[i] == nil then
      siblings[i] = i > self.begun and "not started" or "done"
    end
  end
  err.siblings = err.siblings or next(siblings) and siblings or nil
  return locate(self.each, branch.index, err)
end

function Items:ended(branch)
  local mark = interleave.end_mark(branch.index)
  self.under = self.under - 1
  if branch.err == nil or self.mode == "collect" then self.items[branch.index] = nil end
  self:fill()
  if branch.err == nil then return mark end
  if self.mode == "collect" then
    self.mark = mark
    return self:chunk_of(branch.index, locate(self.each, branch.index, branch.err))
  end
  self.failed = self.failed or branch
  if self.mode == "wait" then return mark end
  self.merge:stop(reason_of(branch))
  error(self:failure(branch), 0)
end

-- After the last item: what was not told yet is how many there are.
function Items:over()
  if self.failed then error(self:failure(self.failed), 0) end
  if not self.fed or self.told == self.n then return nil end
  self.told = self.n
  return { n = self.n }
end

-- The source's own failure is no item's.
function Items:feed(list, branch)
  if list ~= nil then
    self:add(list, count_of(self.each, list))
  elseif branch.err ~= nil then
    self.merge:stop(reason_of(branch))
    error(branch.err, 0)
  end
end

function Items:next()
  local mark = self.mark
  self.mark = nil
  if mark then return mark end
  while true do
    local value, branch = self.take()
    if branch == nil then return self:over() end
    if branch.feeds then
      self:feed(value, branch)
    elseif value ~= nil then
      return self:chunk_of(branch.index, value)
    else
      return self:ended(branch)
    end
  end
end

function methods:_stream(input, ctx)
  local items
  return function()
    if not items then
      items = open(self, ctx)
      items:add(input, count_of(self, input))
    end
    return items:next()
  end
end

-- A chunk, then the rest.
local function prefixed(first, source)
  return function()
    local value = first
    if value == nil then return source() end
    first = nil
    return value
  end
end

-- Lists of whole items. Lists append to one another; any other chunk is part of a
-- value that is whole at the end.
local function feeder(self, source)
  return function()
    self.feeder = scheduler.current()
    while self.begun < self.n do scheduler.park() end
    local value = source()
    if type(value) ~= "table" or chunk.is_list(value) and not chunk.is_whole(value) then
      return value
    end
    return (chunk.collect(prefixed(value, source)))
  end
end

function methods:_transform(source, ctx)
  local items = open(self, ctx, true)
  items.merge:add({ pull = feeder(items, source), feeds = true })
  return function() return items:next() end
end

-- ---- what others ask -----------------------------------------------------------

-- Its list is only read; what is in it is shared as nested tables are.
function methods:_takes_kwargs()
  return self.bound:_takes_kwargs()
end

function methods:_check_keys(keys)
  for _, key in ipairs(keys) do
    if not key:find("^%d+$") then
      return ("%s takes a list, not a table with keys {%s}"):format(self:get_name(),
        table.concat(keys, ", "))
    end
  end
end

function methods:_parts()
  return { shape = "frame", title = "for each item", items = { { step = self.bound } } }
end

function methods:_input_schema()
  return { type = "array", items = require("moonpipe.schemas").input(self.bound) }
end

function methods:_output_schema()
  return { type = "array", items = require("moonpipe.schemas").output(self.bound) }
end

function methods:get_name()
  return self.name or ("RunnableEach<%s>"):format(self.bound:get_name())
end

function methods:_label()
  if self.name then return self.name end
  local label = self.bound:_label()
  return (label:find(" ", 1, true) and "(%s):map()" or "%s:map()"):format(label)
end

return { RunnableEach = RunnableEach }
