--- QdrantVectorStore: documents and their vectors in Qdrant, over its REST API (1.10 and later).
--
-- A point has LangChain's payload, `page_content` and `metadata`, and `id`: Qdrant takes but whole
-- numbers and UUIDs for ids of points, so one of any other id is named by a UUID of its hash.
-- Qdrant filters first and what it gives is tested here (qdrant_filter.lua).
--
-- Written to what is documented; the specs play recorded shapes, no server.
local conditions = require "moonpipe.stores.qdrant_filter"
local context = require "moonpipe.context"
local document = require "moonpipe.document"
local endpoint = require "moonpipe.http.endpoint"
local errors = require "moonpipe.error"
local floats = require "moonpipe.floats"
local json = require "moonpipe.json"
local native = require "moonpipe.native"
local provider = require "moonpipe.http.provider"
local scheduler = require "moonpipe.scheduler"
local store_base = require "moonpipe.stores.base"
local uuid = require "moonpipe.uuid"

local c, check = native.c, native.check

---@class moonpipe.QdrantVectorStore: moonpipe.VectorStore
---@field collection_name string
---@field batch_size integer
---@field endpoint moonpipe.Endpoint
---@field _dim integer?  of the collection's vectors, once it was seen
local methods = {}

local SPEC = {
  class = "QdrantVectorStore", name = "qdrant",
  base_url = "http://localhost:6333", base_env = { "QDRANT_URL" },
  key_env = "QDRANT_API_KEY", key_optional = true, key_header = "api-key", key_prefix = "",
}

local DISTANCES = { cosine = "Cosine", l2 = "Euclid", inner_product = "Dot" }

local BATCH = 64  -- points of a request, as LangChain has it
local PAGE = 256  -- of all points
local MORE = 4    -- times as many where the filter left out too many

-- ---- requests ----------------------------------------------------------------------------------

local function decode(response, with)
  local ok, value = pcall(json.decode, response.body)
  if not ok then return provider.no_answer(with.who, response, value.message) end
  local result = type(value) == "table" and value.result
  if type(result) ~= "table" and type(result) ~= "boolean" then
    return provider.no_answer(with.who, response, "the answer has no result")
  end
  return { result = result }
end

local function escaped(text)
  return (text:gsub("[^%w._~-]", function(byte) return ("%%%02X"):format(byte:byte()) end))
end

-- The result of a request; nil where there is no such collection. Each may be made again.
local function ask(self, method, path, members)
  local server = self.endpoint
  local plan = server:plan("/collections/" .. escaped(self.collection_name) .. path,
    self.collection_name, method)
  local body = members and check(c.json_encode(members)) or nil
  local ok, value = pcall(server.send, server, plan, body, context.current(), decode,
    { who = server.who })
  if ok then return value.result end
  if errors.is(value) and value.status == 404 then
    self._dim = nil
    return nil
  end
  error(value, 0)
end

local function refuse(self, problem, ...)
  errors.raise("protocol", ("qdrant: the collection '%s': " .. problem):format(self.collection_name,
    ...))
end

-- The list that an answer must have.
local function list_in(self, value, what)
  if type(value) ~= "table" or not json.is_array(value) then refuse(self, "no %s came", what) end
  return value
end

-- ---- the collection ----------------------------------------------------------------------------

local function member(value, ...)
  for _, name in ipairs { ... } do
    if type(value) ~= "table" then return nil end
    value = value[name]
  end
  return value
end

-- How long its vectors are; nil where there is no collection.
local function dim_of(self)
  if self._dim then return self._dim end
  local result = ask(self, "GET", "")
  if result == nil then return nil end
  local vectors = member(result, "config", "params", "vectors")
  local size, distance = member(vectors, "size"), member(vectors, "distance")
  if type(size) ~= "number" then
    refuse(self, "its vectors have names; one without is needed")
  elseif distance ~= DISTANCES[self.distance_strategy] then
    errors.raise("input", ("the collection '%s' measures by %s; distance_strategy = '%s' needs %s")
      :format(self.collection_name, errors.text(distance), self.distance_strategy,
        DISTANCES[self.distance_strategy]))
  end
  self._dim = size
  return size
end

local function create(self, dim)
  local ok, err = pcall(ask, self, "PUT", "",
    { vectors = { size = dim, distance = DISTANCES[self.distance_strategy] } })
  if not ok and not (errors.is(err) and err.status == 409) then error(err, 0) end
  return dim_of(self) or refuse(self, "it was made, and is not there")
end

local function check_dim(self, dim, own)
  if dim == own then return end
  self._dim = nil -- perhaps it is another one by now
  errors.raise("input", ("vectors of %d numbers, but the collection '%s' has vectors of %d")
    :format(dim, self.collection_name, own))
end

-- ---- points ------------------------------------------------------------------------------------

local UUID = "^" .. ("[%da-f]"):rep(8) .. ("%-" .. ("[%da-f]"):rep(4)):rep(3) .. "%-"
  .. ("[%da-f]"):rep(12) .. "$"

-- What Qdrant knows a document by.
local function point_id(id)
  if id:find(UUID) then return id end
  if #id <= 15 and (id == "0" or id:find("^[1-9]%d*$")) then return tonumber(id) end
  return c.uuid_of("qdrant", id)
end

local function point_ids(ids)
  local list = {}
  for i, id in ipairs(ids) do list[i] = point_id(id) end
  return json.array(list)
end

local function document_of(self, point)
  local payload = type(point) == "table" and point.payload
  if type(payload) ~= "table" then refuse(self, "a point without its payload came") end
  local content, metadata, id = payload.page_content, payload.metadata, payload.id
  if type(content) ~= "string" then
    refuse(self, "point %s has no page_content", errors.text(point.id))
  end
  if type(id) ~= "string" then
    id = type(point.id) == "number" and ("%d"):format(point.id) or point.id
  end
  return document.Document { page_content = content, id = id,
    metadata = type(metadata) == "table" and metadata or {} }
end

local function vector_of(self, point)
  return floats.Floats(list_in(self, point.vector, "vector"))
end

-- ---- changing ----------------------------------------------------------------------------------

local function points_of(documents, vectors, ids, first, last)
  local points = {}
  for i = first, last do
    local doc = documents[i]
    points[#points + 1] = { id = point_id(ids[i]), vector = vectors:row(i):totable(),
      payload = { page_content = doc.page_content, metadata = doc.metadata, id = ids[i] } }
  end
  return points
end

local function put(self, points)
  if ask(self, "PUT", "/points?wait=true", { points = points }) == nil then
    refuse(self, "it has gone")
  end
end

function methods:_add(documents, vectors)
  local count, dim = vectors:shape()
  if dim == 0 then errors.raise("input", "vectors need one number at least") end
  check_dim(self, dim, dim_of(self) or create(self, dim))
  local ids = {}
  for i, doc in ipairs(documents) do ids[i] = doc.id or uuid.new() end
  for first = 1, count, self.batch_size do
    put(self, points_of(documents, vectors, ids, first,
      math.min(first + self.batch_size - 1, count)))
  end
  return ids
end

function methods:_get(ids)
  local out = {}
  if #ids == 0 then return out end
  local result = ask(self, "POST", "/points", { ids = point_ids(ids), with_payload = true })
  if result == nil then return out end
  for _, point in ipairs(list_in(self, result, "points")) do
    local doc = document_of(self, point)
    out[doc.id] = doc
  end
  return out
end

function methods:_delete(ids, missing_ok)
  local there = not missing_ok and self:_get(ids)
  for _, id in ipairs(there and ids or {}) do
    if not there[id] then
      errors.raise("input", ("there is no id '%s' in the store"):format(id))
    end
  end
  ask(self, "POST", "/points/delete?wait=true", { points = point_ids(ids) })
end

local function page_from(self, offset)
  local result = ask(self, "POST", "/points/scroll", { limit = PAGE, offset = offset,
    with_payload = true, with_vector = true })
  if result == nil then return {} end
  local following = member(result, "next_page_offset")
  return list_in(self, member(result, "points"), "points"), following ~= json.null and following
    or nil
end

function methods:_all()
  local documents, rows = {}, {}
  local points, offset = page_from(self)
  while true do
    for _, point in ipairs(points) do
      documents[#documents + 1], rows[#rows + 1] = document_of(self, point), vector_of(self, point)
    end
    if offset == nil then return documents, check(c.floats(rows)) end
    points, offset = page_from(self, offset)
  end
end

-- ---- searching ---------------------------------------------------------------------------------

local function nearest(self, query, k)
  query.limit = k
  local result = ask(self, "POST", "/points/query", query)
  if result == nil then return {} end
  return list_in(self, member(result, "points"), "points")
end

local function hit_of(self, point, with_vectors)
  local measured = point.score
  if type(measured) ~= "number" then refuse(self, "a point without a score came") end
  if self.distance_strategy == "l2" then measured = measured * measured end
  return { measured = measured, vector = with_vectors and vector_of(self, point) or nil }
end

local function hits_of(self, points, k, matches, with_vectors)
  local hits = {}
  for _, point in ipairs(points) do
    if #hits == k then break end
    local doc = document_of(self, point)
    if not matches or matches(doc.metadata, doc) then
      local hit = hit_of(self, point, with_vectors)
      hit.document = doc
      hits[#hits + 1] = hit
    end
  end
  return hits
end

function methods:_search(vector, k, filter, with_vectors)
  local dim = dim_of(self)
  if not dim then return {} end
  check_dim(self, #vector, dim)
  local matches, asked = filter and filter.matches, k
  local query = { query = vector:totable(), with_payload = true, with_vector = with_vectors == true,
    filter = filter and conditions.of(filter.tree) or nil }
  while true do
    local points = nearest(self, query, asked)
    local hits = hits_of(self, points, k, matches, with_vectors)
    if not matches or #hits == k or #points < asked then return hits end
    asked = asked * MORE
  end
end

local function count(self)
  local result = ask(self, "POST", "/points/count", { exact = true })
  return result == nil and 0 or member(result, "count")
end

--- How many documents there are.
---@async
---@return integer
function methods:count()
  return scheduler.call(count, self)
end

--- Does away with the collection and all that is in it.
---@async
function methods:delete_collection()
  self._dim = nil
  scheduler.call(ask, self, "DELETE", "")
end

-- ---- making one --------------------------------------------------------------------------------

local function new(opts, what)
  local collection, batch = opts.collection_name, opts.batch_size or BATCH
  if type(collection) ~= "string" or collection == "" then
    errors.usage(("%s needs collection_name = \"…\", got %s"):format(what,
      errors.shape(collection)))
  elseif type(batch) ~= "number" or batch < 1 or batch % 1 ~= 0 then
    errors.usage(("batch_size of %s must be an integer from 1, got %s"):format(what,
      errors.shape(batch)))
  end
  local settings = {}
  for _, name in ipairs(endpoint.OPTIONS) do settings[name] = opts[name] end
  settings.base_url = opts.url
  return { collection_name = collection, batch_size = batch,
    endpoint = endpoint.new(SPEC, settings) }
end

local function options()
  local list = { "batch_size", "collection_name", "url" }
  for _, name in ipairs(endpoint.OPTIONS) do
    if name ~= "base_url" then list[#list + 1] = name end
  end
  return list
end

local QdrantVectorStore, own = store_base.class {
  name = "QdrantVectorStore", strategy = "cosine", upsert = true, new = new, options = options(),
}
for key, method in pairs(methods) do own[key] = method end

---@class moonpipe.QdrantOptions: moonpipe.AddOptions  and what an endpoint takes
---@field url string?                that of QDRANT_URL, or http://localhost:6333
---@field api_key (string|moonpipe.Secret)?  that of QDRANT_API_KEY
---@field collection_name string
---@field embedding table
---@field distance_strategy "cosine"|"l2"|"inner_product"|nil  cosine
---@field batch_size integer?        points of a request; 64

--- `QdrantVectorStore{ url = "http://localhost:6333", api_key =, collection_name =, embedding =,
--- distance_strategy =, batch_size = }` and what other endpoints take (timeout, max_retries, …);
--- from_texts, from_documents, from_embeddings with the same options: see mp.FAISS. Vectors are
--- sent `batch_size` at a time: of an add that fails some may be there.
---@overload fun(opts: moonpipe.QdrantOptions): moonpipe.QdrantVectorStore
return { QdrantVectorStore = QdrantVectorStore }
