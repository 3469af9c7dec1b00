--- The stream of a step on each item: `chain:map()`, whose class is in each.lua.
--
-- Chunks are those of an array map, `{ [i] = chunk, n = }`, as they come, with a mark at
-- the end of each item. Where lists come as a stream no list is read while as many items
-- are under way as a run may have: what comes may be endless.
local chunk = require "moonpipe.chunk"
local errors = require "moonpipe.error"
local interleave = require "moonpipe.interleave"
local merge = require "moonpipe.merge"
local run = require "moonpipe.run"
local scheduler = require "moonpipe.scheduler"
local window = require "moonpipe.window"

local each_stream = {}

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
    mode = each:_mode(ctx),
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
  return self.each:_locate(branch.index, err)
end

function Items:ended(branch)
  local mark = interleave.end_mark(branch.index)
  self.under = self.under - 1
  if branch.err == nil or self.mode == "collect" then self.items[branch.index] = nil end
  self:fill()
  if branch.err == nil then return mark end
  if self.mode == "collect" then
    self.mark = mark
    return self:chunk_of(branch.index, self.each:_locate(branch.index, branch.err))
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
    self:add(list, self.each:_count(list))
  elseif branch.err ~= nil then
    self.merge:stop(reason_of(branch))
    error(branch.err, 0)
  end
end

-- Cancelled, perhaps as its time is over: so are the items, which end before it.
function Items:interrupted(err)
  self.merge:stop("the list of items was ended")
  local fates = {}
  for i = 1, self.n <= SIBLINGS_MAX and self.n or 0 do
    local branch = self.items[i]
    fates[i] = { key = i, begun = i <= self.begun, err = branch and branch.err }
  end
  interleave.interrupted(err, fates, function(i, own) return self.each:_locate(i, own) end)
end

function Items:next()
  local mark = self.mark
  self.mark = nil
  if mark then return mark end
  while true do
    local ok, value, branch = pcall(self.take)
    if not ok then self:interrupted(value) end
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

---The stream of the items of a list.
---@param each moonpipe.RunnableEach
---@param input any[]
---@return fun(): table?
function each_stream.of_list(each, input, ctx)
  local items
  return function()
    if not items then
      items = open(each, ctx)
      items:add(input, each:_count(input))
    end
    return items:next()
  end
end

---The stream of the items of all lists that a source gives.
---@param source fun(): any
---@return fun(): table?
function each_stream.of_lists(each, source, ctx)
  local items = open(each, ctx, true)
  items.merge:add({ pull = feeder(items, source), feeds = true })
  return function() return items:next() end
end

return each_stream
