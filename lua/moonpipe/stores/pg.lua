--- PGVector: documents and their vectors in PostgreSQL.
--
-- Each collection is a table (pg_table.lua). Vectors are searched by the extension pgvector
-- where the server has it; else one by one, by functions in SQL: right, and slow from some ten
-- thousand on. Filters run in the server (pg_filter.lua) but for functions: then what is
-- nearest is fetched until enough of it passes.
--
-- Several programs may use one collection. Ids are its primary key: of two that add the same one
-- the later waits, and replaces it or fails.
local client = require "moonpipe.stores.pg_client"
local errors = require "moonpipe.error"
local json = require "moonpipe.json"
local native = require "moonpipe.native"
local nearest = require "moonpipe.stores.pg_search"
local scheduler = require "moonpipe.scheduler"
local store_base = require "moonpipe.stores.base"
local tables = require "moonpipe.stores.pg_table"
local uuid = require "moonpipe.uuid"

local c, check = native.c, native.check

---@class moonpipe.PGVector: moonpipe.VectorStore
---@field collection_name string
---@field schema string
---@field index { kind: "hnsw", m: integer?, ef_construction: integer? }?
---@field client moonpipe.PgClient
---@field _table moonpipe.PgTable?  as it was last seen
local methods = { _keeps_lengths = true } -- of vectors, however they are measured

local ROWS_AT_ONCE = 200 -- of one INSERT
local PAGE = 1000        -- of all documents

-- ---- the table ---------------------------------------------------------------------------------

local UNDEFINED_TABLE = "42P01"

local function table_of(self)
  self._table = self._table or tables.find(self)
  return self._table
end

local function check_dim(self, found, dim)
  if dim == found.dim then return end
  self._table = nil -- perhaps it is another one by now
  errors.raise("input", ("vectors of %d numbers, but the collection '%s' has vectors of %d")
    :format(dim, self.collection_name, found.dim))
end

-- What fn(found) gives; [nothing] where there is no such collection, or no more.
local function with_table(self, nothing, fn, ...)
  local found = table_of(self)
  if not found then return nothing end
  local ok, value = pcall(fn, self, found, ...)
  if ok then return value end
  if not client.is_state(value, UNDEFINED_TABLE) then error(value, 0) end
  self._table = nil
  return nothing
end

-- ---- changing ----------------------------------------------------------------------------------

local REPLACE = [[ ON CONFLICT (id) DO UPDATE SET document = EXCLUDED.document,
  metadata = EXCLUDED.metadata, embedding = EXCLUDED.embedding]]

-- Rows are changed in the order of their ids, so that no two who change the same ones wait for each
-- other.
local function by_id(ids)
  local order = {}
  for i = 1, #ids do order[i] = i end
  table.sort(order, function(a, b) return ids[a] < ids[b] end)
  return order
end

-- The INSERT of the rows from [first] to [last] in this order.
local function insert(self, found, rows, first, last)
  local out, bind = client.statement()
  local kind, tuples = tables.type(found.extension), {}
  for place = first, last do
    local i = rows.order[place]
    tuples[#tuples + 1] = ("(%s, %s, %s, %s)"):format(bind(rows.ids[i], "text"),
      bind(rows.documents[i].page_content, "text"), bind(rows.metadatas[i], "text::jsonb"),
      bind({ rows.vectors, i }, "real[]::" .. kind))
  end
  out[1] = ("INSERT INTO %s (id, document, metadata, embedding) VALUES %s%s"):format(
    tables.name(self), table.concat(tuples, ", "), rows.upsert and REPLACE or "")
  return out
end

local function insert_all(self, rows)
  local count, dim = rows.vectors:shape()
  if dim == 0 then errors.raise("input", "vectors need one number at least") end
  local found = self._table
  if not found or found.dim ~= dim then found = tables.make(self, dim) end
  self._table = found
  check_dim(self, found, dim)
  local list = {}
  for first = 1, count, ROWS_AT_ONCE do
    list[#list + 1] = insert(self, found, rows, first, math.min(first + ROWS_AT_ONCE - 1, count))
  end
  self.client:ask(list, true)
end

function methods:_add(documents, vectors, upsert)
  local rows = { documents = documents, vectors = vectors, upsert = upsert, ids = {},
    metadatas = {} }
  for i, doc in ipairs(documents) do
    rows.ids[i] = doc.id or uuid.new()
    rows.metadatas[i] = json.encode(doc.metadata)
  end
  rows.order = by_id(rows.ids)
  local is_known = self._table ~= nil
  local ok, err = pcall(insert_all, self, rows)
  if not ok and is_known and client.is_state(err, UNDEFINED_TABLE) then
    self._table = nil -- somebody has done away with it
    ok, err = pcall(insert_all, self, rows)
  end
  if not ok then error(err, 0) end
  return rows.ids
end

local DELETE = [[
WITH wanted AS (SELECT jsonb_array_elements_text($1::text::jsonb) AS id),
  missing AS (SELECT id FROM wanted WHERE id NOT IN (SELECT id FROM %s)),
  gone AS (DELETE FROM %s WHERE id IN (SELECT id FROM wanted)
    AND ($2::bigint = 1 OR NOT EXISTS (SELECT 1 FROM missing)) RETURNING 1)
SELECT (SELECT min(id) FROM missing) AS missing]]

local function delete(self, _, ids, missing_ok)
  local name = tables.name(self)
  local row = self.client:rows(DELETE:format(name, name), json.encode(json.array(ids)),
    missing_ok and 1 or 0)[1]
  return { missing = row.missing }
end

function methods:_delete(ids, missing_ok)
  local done = with_table(self, { missing = ids[1] }, delete, ids, missing_ok)
  if done.missing and not missing_ok then
    errors.raise("input", ("there is no id '%s' in the store"):format(done.missing))
  end
end

local function get(self, _, ids)
  local out = {}
  for _, row in ipairs(self.client:rows(([[SELECT id, document, metadata FROM %s
      WHERE id IN (SELECT jsonb_array_elements_text($1::text::jsonb))]]):format(
      tables.name(self)), json.encode(json.array(ids)))) do
    out[row.id] = nearest.document(row)
  end
  return out
end

function methods:_get(ids)
  return with_table(self, {}, get, ids)
end

-- The documents behind [last], and their vectors.
local function page_behind(self, last)
  return self.client:rows(([[SELECT number, id, document, metadata, embedding::real[] AS vector
    FROM %s WHERE number > $1::bigint ORDER BY number LIMIT $2::bigint]]):format(
    tables.name(self)), last, PAGE)
end

local function all(self)
  local documents, rows, last = {}, {}, 0
  repeat
    local page = page_behind(self, last)
    for _, row in ipairs(page) do
      documents[#documents + 1], rows[#rows + 1] = nearest.document(row), nearest.vector(row.vector)
      last = row.number
    end
  until #page < PAGE
  return { documents = documents, rows = rows }
end

function methods:_all()
  local found = with_table(self, { documents = {}, rows = {} }, all)
  return found.documents, check(c.floats(found.rows))
end

-- ---- searching ---------------------------------------------------------------------------------

local function search(self, found, vector, ...)
  check_dim(self, found, #vector)
  return nearest.search(self, found, vector, ...)
end

function methods:_search(vector, k, filter, with_vectors)
  return with_table(self, {}, search, vector, k, filter, with_vectors)
end

-- ---- the collection ----------------------------------------------------------------------------

local function count(self)
  return { self.client:rows(("SELECT count(*) AS n FROM %s"):format(tables.name(self)))[1].n }
end

--- How many documents there are.
---@async
---@return integer
function methods:count()
  return scheduler.call(with_table, self, { 0 }, count)[1]
end

--- Does away with the collection and all that is in it.
---@async
function methods:delete_collection()
  self._table = nil
  scheduler.call(tables.drop, self)
end

--- Gives the connections back; what is asked later raises kind `closed`. Idempotent.
function methods:close()
  self.client:close()
end

-- ---- making one --------------------------------------------------------------------------------

local NAME_MAX = 58 -- bytes; PostgreSQL cuts what is longer than 63, and an index adds five

local function check_name(value, name, what)
  if type(value) ~= "string" or value == "" or #value > NAME_MAX or value:find("%z") then
    errors.usage(("%s of %s must be a text of 1 to %d bytes, got %s"):format(name, what, NAME_MAX,
      type(value) == "string" and ("one of %d"):format(#value) or errors.shape(value)))
  end
  return value
end

local function index_of(given, what)
  if given == nil then return nil end
  if type(given) ~= "table" then given = { kind = given } end
  errors.options(given, { "ef_construction", "kind", "m" }, "index of " .. what)
  if given.kind ~= "hnsw" then
    errors.usage(("index of %s is %s; it must be 'hnsw'"):format(what, errors.shape(given.kind)))
  end
  for _, name in ipairs { "m", "ef_construction" } do
    local value = given[name]
    if value ~= nil and (type(value) ~= "number" or value < 2 or value % 1 ~= 0) then
      errors.usage(("%s of index of %s must be an integer from 2, got %s"):format(name, what,
        errors.shape(value)))
    end
  end
  return given
end

local function new(opts, what)
  local collection = check_name(opts.collection_name or "langchain", "collection_name", what)
  if collection == "collections" then
    errors.usage(("collection_name of %s cannot be 'collections'"):format(what))
  end
  return {
    collection_name = collection,
    schema = check_name(opts.schema or "moonpipe", "schema", what),
    index = index_of(opts.index, what),
    client = client.new(opts, what),
  }
end

local PGVector, own = store_base.class {
  name = "PGVector", strategy = "cosine", upsert = true, new = new,
  options = { "collection_name", "index", "schema", unpack(client.OPTIONS) },
}
for key, method in pairs(methods) do own[key] = method end

---@class moonpipe.PGVectorOptions: moonpipe.AddOptions
---@field connection string|moonpipe.Secret  "postgresql://user:password@host:5432/database"
---@field embedding table
---@field collection_name string?    "langchain"; a table of that name
---@field schema string?             "moonpipe"; where tables and functions are
---@field distance_strategy "cosine"|"l2"|"inner_product"|nil  cosine
---@field index "hnsw"|{ kind: "hnsw", m: integer?, ef_construction: integer? }|nil  needs pgvector
---@field pool_size integer?         connections at once, for all stores of one connection; 8
---@field timeout number|{ connect: number?, total: number? }|nil  seconds; 5 and 600

--- `PGVector{ connection = "postgresql://user@host/database", embedding =, collection_name =,
--- distance_strategy =, index = "hnsw", schema =, pool_size =, timeout = }`, and from_texts,
--- from_documents, from_embeddings with the same options: see mp.FAISS.
---@overload fun(opts: moonpipe.PGVectorOptions): moonpipe.PGVector
return { PGVector = PGVector }
