--- The stream of a map: the chunks of its branches as they come.
--
-- A chunk has exactly one key of data; the end of a branch is an empty table, for
-- which `finished` gives the key.
local errors = require "moonpipe.error"
local merge = require "moonpipe.merge"

local interleave = {}

local finished = setmetatable({}, { __mode = "k" })

---The key whose branch ended with this chunk of a map's stream, or nil.
---@param chunk any
---@return string|integer?
function interleave.finished(chunk)
  if type(chunk) ~= "table" then return nil end
  return finished[chunk]
end

---The chunk that says that the branch of [key] has ended.
---@return table
function interleave.end_mark(key)
  local mark = {}
  finished[mark] = key
  return mark
end
local end_mark = interleave.end_mark

---The error of branch [i], which knows then where it happened.
---@param map moonpipe.RunnableParallel
---@return moonpipe.Error
local function locate(map, i, err)
  err = errors.wrap(err)
  err.step = err.step or map.list[i]:get_name()
  return err:at("map." .. tostring(map.keys[i]), map.wheres[i], map.spans[i] or nil)
end

interleave.locate = locate

---What became of a branch, in the error of another.
---@param err moonpipe.Error?
function interleave.fate(err)
  if err == nil then return "done" end
  return err.kind == "cancelled" and "cancelled" or err
end

---@class moonpipe.Fate  what became of a branch or an item
---@field key string|integer
---@field begun boolean
---@field err moonpipe.Error?

---Raises [err], with which steps that ran at once were ended from outside, and what
---became of each; the error of the only one that ran, where it was one alone.
---@param err any
---@param fates moonpipe.Fate[]
---@param locate_at fun(i: integer, err: moonpipe.Error): moonpipe.Error
function interleave.interrupted(err, fates, locate_at)
  if not errors.is(err) then error(err, 0) end
  local siblings, count, only = {}, 0, nil
  for i, one in ipairs(fates) do
    siblings[one.key] = one.begun and interleave.fate(one.err) or "not started"
    if one.err ~= nil and one.err.kind == err.kind then count, only = count + 1, i end
  end
  if count == 1 then
    siblings[fates[only].key] = nil
    err = locate_at(only, fates[only].err)
  end
  err.siblings = err.siblings or next(siblings) and siblings or nil
  error(err, 0)
end

-- The chunks of an array carry `n`: they merge by slot, not one behind another.
local function chunk_of(map, branch, value)
  return { [branch.key] = value, n = map.array or nil }
end

-- The error that the map raises, once all branches have ended.
local function failure(self, branch)
  local siblings = {}
  for _, other in ipairs(self.branches) do
    if other ~= branch then
      siblings[other.key] = other.task and interleave.fate(other.err) or "not started"
    end
  end
  local err = errors.wrap(branch.err)
  err.siblings = err.siblings or next(siblings) ~= nil and siblings or nil
  return locate(self.map, branch.index, err)
end

local function reason_of(branch)
  return ("map key '%s' failed"):format(tostring(branch.key))
end

-- What the consumer gets when [branch] has ended.
local function ended_chunk(self, branch)
  local err, mode = branch.err, self.mode
  if err == nil then return end_mark(branch.key) end
  if self.tee and err == self.tee.err then error(err, 0) end
  if mode == "collect" then
    self.mark = end_mark(branch.key)
    return chunk_of(self.map, branch, locate(self.map, branch.index, err))
  end
  self.failed = self.failed or branch
  if mode == "wait" then return end_mark(branch.key) end
  self.merge:stop(reason_of(branch))
  error(failure(self, branch), 0)
end

-- Opens the stream inside of its branch's task, so that no branch waits for
-- another's beginning.
local function lazily(open, i, step)
  local inner
  return function()
    inner = inner or open(i, step)
    return inner()
  end
end

-- Cancelled, perhaps as its time is over: so are the branches, which end before it.
local function interrupted(self, err)
  self.merge:stop("the map was ended")
  local fates = {}
  for i, branch in ipairs(self.branches) do
    fates[i] = { key = branch.key, begun = branch.task ~= nil, err = branch.err }
  end
  interleave.interrupted(err, fates, function(i, own) return locate(self.map, i, own) end)
end

---The stream of [map] whose branch i is open(i, step).
---@param map moonpipe.RunnableParallel
---@param open fun(i: integer, step: moonpipe.Runnable): fun(): any
---@param tee moonpipe.Tee?  what the branches read: its failure is none of theirs
---@return fun(): table?
function interleave.stream(map, open, ctx, tee)
  local self = { map = map, branches = {}, mode = ctx.on_error, tee = tee }
  for i, key in ipairs(map.keys) do
    self.branches[i] = { key = key, index = i, pull = lazily(open, i, map.list[i]) }
  end
  local take
  take, self.merge = merge.streams(self.branches, ctx, tee)
  if self.mode == "cancel" then
    function self.merge.on_failure(branch) self.merge:cancel(reason_of(branch)) end
  end
  return function()
    local mark = self.mark
    self.mark = nil
    if mark then return mark end
    local ok, value, branch = pcall(take)
    if not ok then return interrupted(self, value) end
    if value ~= nil then return chunk_of(map, branch, value) end
    if branch then return ended_chunk(self, branch) end
    if self.failed then error(failure(self, self.failed), 0) end
  end
end

return interleave
