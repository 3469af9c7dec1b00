--- mp.ingest: documents into a store, and nothing twice.
--
--     read, split -> | batches | -> hold against the store, embed, add   (`concurrency` of them)
--
-- All parts run at once; the line between them is short, so that as many documents are held as are
-- under way, however many there are. The words are those of LangChain's index(). A document has an
-- id that says which content, source and metadata it has: one that is in the store is skipped, and
-- an ingest that is cut short goes on where it was when it is begun again.
local add = require "moonpipe.ingest.add"
local context = require "moonpipe.context"
local errors = require "moonpipe.error"
local progress = require "moonpipe.ingest.progress"
local queue = require "moonpipe.ingest.queue"
local read = require "moonpipe.ingest.read"
local scheduler = require "moonpipe.scheduler"
local window = require "moonpipe.window"

local ingest = {}

---@class moonpipe.IngestOptions
---@field documents (moonpipe.Document[]|fun(): moonpipe.Document?)?  one of these three:
---@field loader moonpipe.Loader?
---@field paths string[]?                files, and folders with all that is in them
---@field splitter moonpipe.TextSplitter?
---@field store moonpipe.VectorStore?    or `embedding` and `save_to`:
---@field embedding table?               then it is an mp.FAISS, loaded from there if it is there
---@field record_manager moonpipe.SQLiteRecordManager?  needed for a cleanup
---@field cleanup nil|"incremental"|"full"|"scoped_full"
---@field source_id_key (string|fun(doc: moonpipe.Document): string?)?  "source": in the metadata
---@field batch_size integer?            pieces that are embedded at once; 100
---@field concurrency integer?           batches at once; 4
---@field force_update boolean?          embed also what is in the store
---@field on_error "raise"|"collect"|(fun(err: moonpipe.Error, source: string?): boolean?)|nil
---@field on_progress fun(progress: moonpipe.IngestProgress)?
---@field progress boolean?              a line on the terminal
---@field total integer?                 documents, where that is known
---@field save_to string?                where the store is saved, now and then and at the end
---@field save_every number?             seconds between two saves, at least; 5

---@class moonpipe.IngestResult
---@field added integer    pieces, and
---@field updated integer  those that were embedded anew, as force_update says
---@field skipped integer  those that were in the store
---@field deleted integer  those that had gone from their source
---@field failed integer   those that could not be added, and documents that could not be read
---@field errors { source: string?, error: moonpipe.Error }[]  the first hundred
---@field store moonpipe.VectorStore

---@class moonpipe.Ingest
---@field opts moonpipe.IngestOptions
---@field counts table<string, integer>
---@field started_at number           of the records' clock
---@field failed_sources table<string, boolean>
---@field blind boolean               something failed, and its source is not known
local Ingest = {}
Ingest.__index = Ingest

local ERRORS = 100
local AHEAD = 2 -- batches that wait to be added

-- ---- failures ----------------------------------------------------------------------------------

-- No other document will fare better.
local ENDS_ALL = {
  auth = true, cancelled = true, closed = true, config = true, fds = true, internal = true,
  memory = true, quota = true, unsupported = true,
}

local function place_of(sources)
  local first, last = sources[1], sources[#sources]
  if not first then return "a document without a source" end
  if first == last then return ("document '%s'"):format(first) end
  return ("documents '%s' to '%s'"):format(first, last)
end

local function goes_on(self, err, sources)
  if ENDS_ALL[err.kind] or self.on_error == "raise" then return false end
  return self.on_error == "collect" or self.on_error(err, sources[1])
end

--- Notes that documents failed, and raises unless the ingest may go on.
---@param err any
---@param sources string[]
---@param count integer?  of pieces; 1
function Ingest:fail(err, sources, count)
  err = errors.wrap(err):at(place_of(sources))
  if not goes_on(self, err, sources) then error(err, 0) end
  self.counts.failed = self.counts.failed + (count or 1)
  for _, source in ipairs(sources) do self.failed_sources[source] = true end
  if not sources[1] then self.blind = true end
  if #self.errors < ERRORS then
    self.errors[#self.errors + 1] = { source = sources[1], error = err }
  end
end

-- ---- running -----------------------------------------------------------------------------------

local FAILED = "another part of the ingest failed"

-- One task reads, `concurrency` of them add; the first failure ends them all.
local function run_parts(self)
  local ctx, failure = context.current(), nil
  local parts = window.new(self.concurrency + 1, function(i)
    if i <= self.concurrency + 1 then
      return scheduler.spawn(ctx, nil, i == 1 and read.run or add.run, self)
    end
  end)
  parts.stop_early, parts.eager = FAILED, true
  for part in parts.next, parts do
    if part.err ~= nil and not failure then
      failure = part.err
      parts:stop(FAILED) -- one that failed at once has stopped nobody
    end
  end
  if failure then error(failure, 0) end
end

local function excluded(self)
  local list = {}
  for source in pairs(self.failed_sources) do list[#list + 1] = source end
  return list[1] and list or nil
end

-- What was left out of all sources, or of those that were read. A source that failed keeps what it
-- has in the store; if nobody knows which did, they all do.
local function clean_up(self)
  if self.cleanup == "full" and not self.blind then
    add.clean(self, { except = excluded(self) })
  elseif self.cleanup == "scoped_full" then
    add.clean(self, { except = excluded(self), seen_since = self.started_at })
  end
end

-- The store that was saved before, or a new one, which is saved even if nothing is added.
local function open_store(self, opts)
  local FAISS = require("moonpipe.stores.faiss").FAISS
  local file = io.open(opts.save_to)
  if not file then
    self.store, self.dirty = FAISS { embedding = opts.embedding }, true
    return
  end
  file:close()
  self.store = FAISS.load_local(opts.save_to, { embedding = opts.embedding })
end

local function run(self)
  if not self.store then open_store(self, self.opts) end
  if self.records then
    self.started_at = self.records:get_time()
    add.delete_doomed(self)
  end
  local ok, err = pcall(run_parts, self)
  scheduler.raise_if_cancelled(scheduler.current())
  if ok then clean_up(self) end
  local saved, problem = pcall(add.save, self, true)
  if not ok then error(err, 0) end
  if not saved then error(problem, 0) end
  self.progress:tell(self.counts)
end

local function run_and_tell(self)
  local ok, err = pcall(run, self)
  self.progress:finish(self.counts)
  if not ok then error(err, 0) end
  local counts = self.counts
  return {
    added = counts.added, updated = counts.updated, skipped = counts.skipped,
    deleted = counts.deleted, failed = counts.failed, errors = self.errors, store = self.store,
  }
end

-- ---- options -----------------------------------------------------------------------------------

local OPTIONS = {
  "batch_size", "cleanup", "concurrency", "documents", "embedding", "force_update", "loader",
  "on_error", "on_progress", "paths", "progress", "record_manager", "save_every", "save_to",
  "source_id_key", "splitter", "store", "total",
}

local function has(value, method)
  return type(value) == "table" and type(value[method]) == "function"
end

local function need(ok, name, value, what)
  if not ok then
    errors.usage(("%s of ingest is %s; it must be %s"):format(name, errors.shape(value), what))
  end
end

local function check_inputs(opts)
  local given = {}
  for _, name in ipairs { "documents", "loader", "paths" } do
    if opts[name] ~= nil then given[#given + 1] = name end
  end
  if #given ~= 1 then
    errors.usage("ingest takes one of documents, loader and paths, got "
      .. (given[1] and table.concat(given, " and ") or "none"))
  end
  local documents, loader, paths = opts.documents, opts.loader, opts.paths
  need(documents == nil or type(documents) == "table" or type(documents) == "function",
    "documents", documents, "a list of Documents, or a function that gives them")
  need(loader == nil or has(loader, "lazy_load"), "loader", loader, "one, such as mp.TextLoader")
  need(paths == nil or type(paths) == "table", "paths", paths, "a list of files and folders")
  for i, path in ipairs(paths or {}) do
    need(type(path) == "string" and path ~= "", "paths[" .. i .. "]", path, "a path")
  end
end

local function check_number(opts, name, least, whole)
  local value = opts[name]
  local ok = value == nil or type(value) == "number" and value >= least
    and (not whole or value % 1 == 0)
  need(ok, name, value, whole and "a whole number from 1" or "a number of seconds")
end

local function check_choices(opts)
  local on_error, key = opts.on_error, opts.source_id_key
  need(on_error == nil or on_error == "raise" or on_error == "collect"
    or type(on_error) == "function", "on_error", on_error, "'raise', 'collect' or a function")
  need(key == nil or type(key) == "string" or type(key) == "function", "source_id_key", key,
    "a key of the metadata, or a function of a document")
  need(opts.on_progress == nil or type(opts.on_progress) == "function", "on_progress",
    opts.on_progress, "a function")
  for _, name in ipairs { "force_update", "progress" } do
    need(opts[name] == nil or type(opts[name]) == "boolean", name, opts[name], "true or false")
  end
  check_number(opts, "batch_size", 1, true)
  check_number(opts, "concurrency", 1, true)
  check_number(opts, "total", 0, true)
  check_number(opts, "save_every", 0)
end

local CLEANUPS = { full = true, incremental = true, scoped_full = true }

local function check_store(opts)
  local store, embedding, path = opts.store, opts.embedding, opts.save_to
  need(path == nil or type(path) == "string" and path ~= "", "save_to", path, "the path of a file")
  if store == nil and embedding ~= nil and path then
    need(has(embedding, "embed_documents"), "embedding", embedding,
      "one, such as mp.HashEmbeddings()")
    return
  end
  need(has(store, "add_documents"), "store", store,
    "one, such as an mp.FAISS, or there must be embedding and save_to")
  if embedding ~= nil then errors.usage("ingest takes a store or an embedding: a store has one") end
  if path and not has(store, "save_local") then
    errors.usage("save_to needs a store that can be saved, such as an mp.FAISS")
  end
end

local function check_parts(opts)
  check_store(opts)
  need(opts.splitter == nil or has(opts.splitter, "split_documents"), "splitter", opts.splitter,
    "one, such as mp.RecursiveCharacterTextSplitter{}")
  local records, cleanup = opts.record_manager, opts.cleanup
  need(records == nil or has(records, "doomed"), "record_manager", records,
    "an mp.SQLiteRecordManager")
  need(cleanup == nil or CLEANUPS[cleanup], "cleanup", cleanup,
    "nil, 'incremental', 'full' or 'scoped_full'")
  if cleanup and not records then
    errors.usage(("cleanup = '%s' needs a record_manager: mp.SQLiteRecordManager(\"docs\", "
      .. "{ path = \"records.db\" })"):format(cleanup))
  end
end

local function new(opts)
  return setmetatable({
    opts = opts,
    store = opts.store, splitter = opts.splitter, records = opts.record_manager,
    cleanup = opts.cleanup, source_id_key = opts.source_id_key or "source",
    needs_source = opts.cleanup == "incremental" or opts.cleanup == "scoped_full",
    batch_size = opts.batch_size or 100, concurrency = opts.concurrency or 4,
    force_update = opts.force_update, on_error = opts.on_error or "raise",
    save_to = opts.save_to, save_every = opts.save_every or 5,
    saves = 0, saved_at = scheduler.now(), save_took = 0, saving = false, dirty = false,
    queue = queue.new(AHEAD), batches = 0, low = 0, done = {},
    locks = {}, flying = {}, failed_sources = {}, errors = {}, blind = false,
    counts = { documents = 0, added = 0, updated = 0, skipped = 0, deleted = 0, failed = 0 },
    progress = progress.new(opts, opts.total or type(opts.documents) == "table"
      and #opts.documents or nil),
  }, Ingest)
end

---Reads, splits, embeds and adds documents, all at once. What is in the store is skipped.
---@async
---@param opts moonpipe.IngestOptions
---@return moonpipe.IngestResult
function ingest.ingest(opts)
  opts = errors.options(opts, OPTIONS, "ingest")
  check_inputs(opts)
  check_choices(opts)
  check_parts(opts)
  return scheduler.call(run_and_tell, new(opts))
end

return ingest
