--- The first part of an ingest: documents are read, split and put together to batches.
--
-- A batch says which sources have ended with it: what is left in the store of their older versions
-- may go when it, and all batches before it, are done.
local directory = require "moonpipe.loaders.directory"
local document = require "moonpipe.document"
local errors = require "moonpipe.error"
local json = require "moonpipe.json"
local native = require "moonpipe.native"
local scheduler = require "moonpipe.scheduler"
local uuid = require "moonpipe.uuid"

local read = {}

---@class moonpipe.IngestBatch
---@field number integer
---@field pieces moonpipe.Document[]  with ids
---@field sources string[]            of the pieces
---@field documents integer           that have ended with it
---@field ended string[]              sources that have ended with it

-- ---- where documents come from -----------------------------------------------------------------

local function is_folder(path)
  local id = native.c.folder(path)
  return id ~= nil and pcall(scheduler.await, id)
end

local function open(self, path)
  if not is_folder(path) then return directory.loader(path) end
  return directory.DirectoryLoader(path,
    { on_error = self.on_error ~= "raise" and "collect" or nil })
end

-- Names of files may be no UTF-8, which the records are: what is not is written out.
local function as_text(source)
  if native.c.utf8_repair(source) == source then return source end
  return (source:gsub("[\128-\255]", function(byte) return ("%%%02X"):format(byte:byte()) end))
end

-- A file could not be read, or not to its end. What it has in the store stays. Where its name does
-- not tell what that is, nothing goes that may be its own: the last source may be.
local function unread(self, err, path)
  if self.source_id_key ~= "source" then
    self.blind = true
    if self.source then self.failed_sources[self.source] = true end
  end
  self:fail(err, { as_text(path) })
end

-- What a folder's loader has left out since it was asked last: before the documents behind it.
local function note_collected(self, loader, noted)
  local list = loader.errors or {}
  for i = noted + 1, #list do unread(self, list[i].error, loader.path .. "/" .. list[i].source) end
  return #list
end

-- The documents of files and folders, one after the other. One that fails is told of, and passed
-- over if it may be.
local function of_paths(self, paths)
  local at, noted, loader, next_doc = 0, 0, nil, nil
  return function()
    while true do
      if next_doc then
        local ok, doc = pcall(next_doc)
        noted = note_collected(self, loader, noted)
        if not ok then unread(self, doc, loader.source or loader.path) end
        if ok and doc ~= nil then return doc end
      end
      at = at + 1
      if not paths[at] then return nil end
      loader, noted = open(self, paths[at]), 0
      next_doc = loader:lazy_load()
    end
  end
end

-- After an error nothing more can be read of it, and nobody knows what that was: perhaps the rest
-- of the last source.
local function of_function(self, fn)
  return function()
    local ok, doc = pcall(fn)
    if ok then return doc end
    self.blind = true
    self:fail(doc, { self.source })
  end
end

local function of_list(documents)
  local at = 0
  return function()
    at = at + 1
    return documents[at]
  end
end

local function opened(self, opts)
  if opts.paths then return of_paths(self, opts.paths) end
  if opts.loader then return of_function(self, opts.loader:lazy_load()) end
  if type(opts.documents) == "function" then return of_function(self, opts.documents) end
  return of_list(opts.documents)
end

-- ---- pieces ------------------------------------------------------------------------------------

--- The source of a document; nil where it has none.
local function source_of(self, doc)
  local key = self.source_id_key
  local source
  if type(key) == "function" then source = key(doc) else source = doc.metadata[key] end
  if type(source) == "number" then source = tostring(source) end
  if type(source) == "string" then return as_text(source) end
  if source ~= nil and source ~= json.null then
    errors.raise("input", ("the source of a document is %s; it must be a string"):format(
      errors.shape(source)))
  elseif self.needs_source then
    errors.raise("input", ("a document has no source: cleanup = '%s' needs one in metadata['%s'], "
      .. "or what source_id_key gives"):format(self.cleanup, tostring(key)))
  end
end

-- The same content of one source, with the same metadata, has the same id.
local function piece_of(doc, source)
  return document.Document {
    page_content = doc.page_content,
    metadata = doc.metadata,
    id = uuid.of(source or "", doc.page_content, json.encode(doc.metadata)),
  }
end

local function pieces_of(self, doc, source)
  local list = self.splitter and self.splitter:split_documents({ doc }) or { doc }
  local pieces = {}
  for i, piece in ipairs(list) do pieces[i] = piece_of(piece, source) end
  return pieces
end

-- ---- batches -----------------------------------------------------------------------------------

local function push(self)
  if self.batch then self.queue:put(self.batch) end
  self.batches = self.batches + 1
  self.batch = { number = self.batches, pieces = {}, sources = {}, documents = 0, ended = {} }
end

local function add_document(self, doc)
  if not document.is(doc) then
    errors.raise("input", ("%s came to be ingested; it must be a Document"):format(
      errors.shape(doc)))
  end
  local source = source_of(self, doc)
  if source ~= self.source then
    if self.source then table.insert(self.batch.ended, self.source) end
    self.source = source
  end
  for _, piece in ipairs(pieces_of(self, doc, source)) do
    if #self.batch.pieces >= self.batch_size then push(self) end
    table.insert(self.batch.pieces, piece)
    self.batch.sources[#self.batch.pieces] = source
  end
  self.batch.documents = self.batch.documents + 1
end

local function guarded(self, doc)
  local ok, err = pcall(add_document, self, doc)
  if ok then return end
  local has_source = document.is(doc) and type(doc.metadata.source) == "string"
  if not has_source then self.blind = true end
  self:fail(err, { has_source and as_text(doc.metadata.source) or nil })
end

---The life of the task that reads.
---@async
---@param self moonpipe.Ingest
function read.run(self)
  push(self)
  for doc in opened(self, self.opts) do guarded(self, doc) end
  if self.source then table.insert(self.batch.ended, self.source) end
  push(self)
  self.queue:close()
end

return read
