--- The second part of an ingest: batches are held against the store, embedded and added; what has
--- gone from its source goes from the store; the store is saved now and then.
--
-- What is in the store is asked of the store itself, so that nothing is left out because a record
-- says more than is there. A record is written before its document is added, and goes after the
-- first save without the document: see record_manager.lua.
local errors = require "moonpipe.error"
local lock = require "moonpipe.lock"
local scheduler = require "moonpipe.scheduler"

local add = {}

local PAGE = 1000 -- keys that are deleted at once
-- Saving takes at most a tenth of the time: a store is saved whole, however little has been added.
local REST = 9

-- Calls fn(...) while nobody else compares records and store.
local function alone(self, fn, ...)
  local hold = lock.take(self.locks, "records", "an ingest waits for itself")
  local ok, value = pcall(fn, ...)
  hold:free()
  if not ok then error(value, 0) end
  return value
end

-- ---- adding ------------------------------------------------------------------------------------

-- The pieces of a batch, each once, without those that another batch is about to add.
local function claim(self, batch)
  local list, sources, ids = {}, {}, {}
  for i, piece in ipairs(batch.pieces) do
    if not self.flying[piece.id] then
      self.flying[piece.id] = true
      list[#list + 1] = piece
      ids[#list], sources[#list] = piece.id, batch.sources[i]
    end
  end
  self.counts.skipped = self.counts.skipped + #batch.pieces - #list
  return list, ids, sources
end

-- Notes the keys, and says which of them are in the store.
local function compare(self, ids, sources)
  if self.records then
    self.records:update(ids, { group_ids = sources, time_at_least = self.started_at })
  end
  local there = {}
  for _, doc in ipairs(self.store:get_by_ids(ids)) do there[doc.id] = true end
  return there
end

-- Of a failure with one of these a single document may be the reason.
local OF_ONE = {
  content_filter = true, context_length = true, input = true, lua = true, refused_request = true,
  too_large = true,
}

local function sources_of(list, sources)
  local out, seen = {}, {}
  for _, piece in ipairs(list) do
    local source = sources[piece.id]
    if source and not seen[source] then
      seen[source] = true
      out[#out + 1] = source
    end
  end
  return out
end

-- Adds documents; where that fails because of one of them, all others.
local function put(self, list, sources, there)
  if not list[1] then return end
  local ok, err = pcall(self.store.add_documents, self.store, list, { upsert = true })
  if ok then
    self.dirty = true
    for _, piece in ipairs(list) do
      local what = there[piece.id] and "updated" or "added"
      self.counts[what] = self.counts[what] + 1
    end
    return
  end
  scheduler.raise_if_cancelled(scheduler.current())
  err = errors.wrap(err)
  if not list[2] or not OF_ONE[err.kind] then
    return self:fail(err, sources_of(list, sources), #list)
  end
  local half = math.floor(#list / 2)
  put(self, { unpack(list, 1, half) }, sources, there)
  put(self, { unpack(list, half + 1) }, sources, there)
end

local function add_batch(self, batch)
  local list, ids, sources = claim(self, batch)
  if not list[1] then return end
  local there = alone(self, compare, self, ids, sources)
  local new, of = {}, {}
  for i, piece in ipairs(list) do
    of[piece.id] = sources[i]
    if self.force_update or not there[piece.id] then new[#new + 1] = piece end
  end
  self.counts.skipped = self.counts.skipped + #list - #new
  put(self, new, of, there)
  for _, id in ipairs(ids) do self.flying[id] = nil end
end

-- ---- what has gone -----------------------------------------------------------------------------

-- Deletes documents whose records are there. Where the store is saved, these go after that.
local function delete(self, keys)
  self.store:delete(keys, { missing_ok = true })
  self.dirty = true
  if self.save_to then
    self.records:doom(keys, self.saves + 1)
  else
    self.records:delete_keys(keys)
  end
end

local function clean_page(self, filter)
  local keys = self.records:list_keys(filter)
  if keys[1] then delete(self, keys) end
  return keys
end

--- Deletes what was not seen in this run, of what the filter takes.
---@async
---@param self moonpipe.Ingest
---@param filter moonpipe.RecordFilter
function add.clean(self, filter)
  filter.before, filter.limit = self.started_at, PAGE
  repeat
    local keys = alone(self, clean_page, self, filter)
    self.counts.deleted = self.counts.deleted + #keys
  until #keys < PAGE
end

--- What another run deleted without coming to save the store.
---@async
---@param self moonpipe.Ingest
function add.delete_doomed(self)
  local from
  repeat
    local keys = self.records:doomed(from, PAGE)
    if keys[1] then delete(self, keys) end
    from = keys[#keys]
  until #keys < PAGE
end

-- ---- saving ------------------------------------------------------------------------------------

-- What has been added has its record on the disk then: it was noted before.
local function next_save(self)
  self.saves = self.saves + 1
  if self.records then self.records:sync() end
  return self.saves
end

-- What is deleted from here on is in the file until the save after this one.
local function save_whole(self)
  local number = alone(self, next_save, self)
  self.store:save_local(self.save_to)
  if self.records then self.records:forget_doomed(number) end
end

--- Saves the store, if there is something new; not too often, unless [now].
---@async
---@param self moonpipe.Ingest
---@param now boolean?
function add.save(self, now)
  local time = scheduler.now
  local rest = math.max(self.save_every, self.save_took * REST)
  if not self.save_to or not self.dirty or self.saving then return end
  if not now and time() - self.saved_at < rest then return end
  self.saving, self.dirty = true, false
  local begun = time()
  local ok, err = pcall(save_whole, self)
  self.saved_at, self.save_took, self.saving = time(), time() - begun, false
  if ok then return end
  self.dirty = true
  error(err, 0)
end

-- ---- the task ----------------------------------------------------------------------------------

-- Cleans up behind the sources that have ended with the batches that are done without a gap.
local function finish(self, batch)
  self.done[batch.number] = batch.ended
  local sources, ended = {}, self.done[self.low + 1]
  while ended do
    self.low = self.low + 1
    self.done[self.low] = nil
    for _, source in ipairs(ended) do
      if not self.failed_sources[source] then sources[#sources + 1] = source end
    end
    ended = self.done[self.low + 1]
  end
  if sources[1] and self.cleanup == "incremental" then
    add.clean(self, { group_ids = sources })
  end
end

---The life of a task that adds.
---@async
---@param self moonpipe.Ingest
function add.run(self)
  for batch in self.queue.take, self.queue do
    add_batch(self, batch)
    finish(self, batch)
    add.save(self)
    self.counts.documents = self.counts.documents + batch.documents
    self.progress:tell(self.counts)
  end
end

return add
