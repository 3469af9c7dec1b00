--- CacheBackedEmbeddings: vectors that are kept, so that a text is embedded once.
--
-- Vectors of stored texts and of queries are kept apart, for they may differ, and
-- under the name of the model: another model has other vectors.
local db = require "moonpipe.db"
local errors = require "moonpipe.error"
local native = require "moonpipe.native"
local scheduler = require "moonpipe.scheduler"

local c, check = native.c, native.check

local OPTIONS = { "batch_size", "cache_queries", "namespace", "path" }

local APPLICATION_ID = 0x6d706576 -- "mpev": a file of something else is refused
local SCHEMA = {
  [[CREATE TABLE vectors (
      namespace TEXT NOT NULL,
      text TEXT NOT NULL,
      vector BLOB NOT NULL,
      PRIMARY KEY (namespace, text)
    ) WITHOUT ROWID]],
}
local ASKED_AT_ONCE = 500 -- texts a statement; SQLite takes 32,766 values
local BATCH = 1000        -- texts that are embedded before their vectors are kept

---@class moonpipe.CacheBackedEmbeddings
---@field embeddings table        what makes the vectors
---@field model string
---@field namespace string
---@field cache_queries boolean
---@field path string?            of the file; nil: they are kept in memory
---@field memory table<string, table<string, moonpipe.Floats>>?
local methods = {}
local mt = { __name = "moonpipe.CacheBackedEmbeddings", __index = methods }

function mt.__tostring()
  return "CacheBackedEmbeddings"
end

-- ---- what is kept ------------------------------------------------------------------------

local function file_of(self)
  self.file = self.file or db.open(self.path, {
    application_id = APPLICATION_ID, schema = SCHEMA, synchronous = "normal",
  })
  return self.file
end

local function read_file(self, namespace, texts, from, to, found)
  local marks = ("?,"):rep(to - from + 1):sub(1, -2)
  local rows = file_of(self):rows(
    "SELECT text, vector FROM vectors WHERE namespace = ? AND text IN (" .. marks .. ")",
    namespace, unpack(texts, from, to))
  for _, row in ipairs(rows) do found[row.text] = c.floats_of_bytes(row.vector) end
end

-- The vectors that are kept of [texts].
local function find(self, namespace, texts)
  if self.memory then return self.memory[namespace] or {} end
  local found = {}
  for from = 1, #texts, ASKED_AT_ONCE do
    read_file(self, namespace, texts, from, math.min(#texts, from + ASKED_AT_ONCE - 1), found)
  end
  return found
end

local function keep_in_file(self, namespace, texts, vectors)
  local statements = {}
  for i, text in ipairs(texts) do
    statements[i] = { "INSERT OR REPLACE INTO vectors (namespace, text, vector) VALUES (?, ?, ?)",
      namespace, text, db.blob(vectors:row(i):bytes()) }
  end
  file_of(self):transaction(statements)
end

local function keep(self, namespace, texts, vectors)
  if not self.memory then return keep_in_file(self, namespace, texts, vectors) end
  local kept = self.memory[namespace] or {}
  self.memory[namespace] = kept
  for i, text in ipairs(texts) do kept[text] = vectors:row(i) end
end

-- ---- calls -------------------------------------------------------------------------------

-- The texts of which no vector is there, each once.
local function missing(texts, found)
  local list, seen = {}, {}
  for _, text in ipairs(texts) do
    if not found[text] and not seen[text] then
      seen[text] = true
      list[#list + 1] = text
    end
  end
  return list
end

-- [anew]: whatever is kept.
local function embed(self, namespace, texts, make, anew)
  local found, made = anew and {} or find(self, namespace, texts), {}
  local list = missing(texts, found)
  for from = 1, #list, self.batch_size do
    local part = { unpack(list, from, math.min(#list, from + self.batch_size - 1)) }
    local vectors = make(part)
    keep(self, namespace, part, vectors)
    for i, text in ipairs(part) do made[text] = vectors:row(i) end
  end
  local rows = {}
  for i, text in ipairs(texts) do rows[i] = found[text] or made[text] end
  local vectors, message, kind = c.floats(rows)
  -- rows of two lengths: what is kept is damaged, or of another model
  if not vectors and next(found) ~= nil then return embed(self, namespace, texts, make, true) end
  return check(vectors, message, kind)
end

---The vectors of [texts], a row for each; only those that are not kept are made.
---@async
---@param texts string[]
---@return moonpipe.Floats
function methods:embed_documents(texts)
  if type(texts) ~= "table" then
    errors.usage("embed_documents takes a list of strings, got " .. errors.shape(texts))
  end
  if #texts == 0 then return check(c.floats({})) end
  return scheduler.call(embed, self, self.namespace, texts, function(part)
    return self.embeddings:embed_documents(part)
  end)
end

---The vector of [text]; kept only with `cache_queries`.
---@async
---@param text string
---@return moonpipe.Floats
function methods:embed_query(text)
  if not self.cache_queries then return self.embeddings:embed_query(text) end
  return scheduler.call(embed, self, self.namespace .. "\nquery", { text }, function(part)
    return check(c.floats({ self.embeddings:embed_query(part[1]) }))
  end):row(1)
end

local function construct(_, embeddings, opts)
  if type(embeddings) ~= "table" or type(embeddings.embed_documents) ~= "function" then
    errors.usage("CacheBackedEmbeddings takes embeddings first, got " .. errors.shape(embeddings))
  end
  opts = errors.options(opts, OPTIONS, "CacheBackedEmbeddings")
  if opts.path ~= nil and (type(opts.path) ~= "string" or opts.path == "") then
    errors.usage("path of CacheBackedEmbeddings must be the path of a file, got "
      .. errors.shape(opts.path))
  end
  local batch = opts.batch_size or BATCH
  if type(batch) ~= "number" or batch < 1 or batch ~= math.floor(batch) then
    errors.usage("batch_size of CacheBackedEmbeddings must be a whole number from 1, got "
      .. errors.shape(batch))
  end
  return setmetatable({
    embeddings = embeddings,
    model = embeddings.model,
    namespace = opts.namespace or tostring(embeddings) .. " " .. tostring(embeddings.model),
    cache_queries = opts.cache_queries or false,
    path = opts.path,
    memory = not opts.path and {} or nil,
    batch_size = batch,
  }, mt)
end

---`CacheBackedEmbeddings(embeddings, { path = "vectors.db", cache_queries = true })`: in a file,
---or without `path` in memory.
---@overload fun(embeddings: table, opts: table?): moonpipe.CacheBackedEmbeddings
local CacheBackedEmbeddings = setmetatable({}, {
  __name = "moonpipe.class",
  __call = construct,
  __tostring = function() return "CacheBackedEmbeddings" end,
})

return { CacheBackedEmbeddings = CacheBackedEmbeddings }
