--- FAISS: documents by the nearness of their vectors.
--
-- The vectors live in a native index (engine/work/vector.h), the documents here, under the same
-- numbers. Searches that wait on one store at the same time are answered together.
--
-- The score of a document is a similarity from 0 to 1, and more is nearer: the cosine, as it is of
-- vectors of length 1, which almost all embeddings give; what is below 0 is 0. Beside it stands
-- what the index measured: the squared distance, of such vectors 2 - 2 * cosine, or with
-- `distance_strategy = "inner_product"` the inner product.
local document = require "moonpipe.document"
local errors = require "moonpipe.error"
local floats = require "moonpipe.floats"
local native = require "moonpipe.native"
local retriever = require "moonpipe.retriever"
local retriever_base = require "moonpipe.retriever_base"
local scheduler = require "moonpipe.scheduler"

local c, check = native.c, native.check

local store = {}

---@class moonpipe.FAISS
---@field embedding table       what makes vectors of texts
---@field distance_strategy "l2"|"inner_product"
local methods = {}

local mt = { __name = "moonpipe.FAISS", __index = methods }

function mt.__tostring()
  return "FAISS"
end

local METRICS = { l2 = "l2", inner_product = "ip" }
local OPTIONS = { "distance_strategy", "embedding", "ids", "metadatas" }

-- ---- arguments ---------------------------------------------------------------------------------

local function check_embedding(embedding, what)
  if type(embedding) ~= "table" or type(embedding.embed_documents) ~= "function"
    or type(embedding.embed_query) ~= "function" then
    errors.usage(("embedding of %s is %s; it must be one, such as mp.HashEmbeddings()"):format(
      what, errors.shape(embedding)))
  end
  return embedding
end

-- ---- adding ------------------------------------------------------------------------------------

-- Reserves the ids that were given: nothing is overwritten, also by two adds at once.
local function reserve(self, list)
  local own = {}
  for _, doc in ipairs(list) do
    local id = doc.id
    if id ~= nil and (own[id] or self._taken[id]) then
      errors.raise("input", ("id '%s' is already in the store"):format(id))
    end
    if id ~= nil then own[id] = true end
  end
  for id in pairs(own) do self._taken[id] = true end
end

local function release(self, list)
  for _, doc in ipairs(list) do
    if doc.id ~= nil then self._taken[doc.id] = nil end
  end
end

local function index_of(self, dim)
  if not self._index then
    self._index = check(c.index_new { metric = METRICS[self.distance_strategy], dim = dim })
  end
  return self._index
end

-- The number of the first vector, from 0.
local function add_rows(self, vectors, dim)
  if dim == 0 then return 0 end
  return tonumber((scheduler.await(check(c.index_add(index_of(self, dim), vectors)))))
end

-- Adds documents with their vectors; runs in a task. An id that is not given is the number of the
-- document.
local function add(self, list, vectors)
  local rows, dim = vectors:shape()
  if rows ~= #list then
    errors.raise("input", ("%d vectors for %d texts"):format(rows, #list))
  end
  reserve(self, list)
  local ok, first = pcall(add_rows, self, vectors, dim)
  if not ok then
    release(self, list)
    error(first, 0)
  end
  local ids = {}
  for i, doc in ipairs(list) do
    self._documents[first + i] = doc
    ids[i] = doc.id or tostring(first + i)
  end
  return ids
end

local function embed_and_add(self, list)
  if #list == 0 then return {} end
  local texts = {}
  for i, doc in ipairs(list) do texts[i] = doc.page_content end
  return add(self, list, floats.Floats(self.embedding:embed_documents(texts)))
end

--- Adds texts and gives their ids.
---@async
---@param texts string[]
---@param opts { metadatas: table[]?, ids: string[]? }?
---@return string[] ids
function methods:add_texts(texts, opts)
  opts = errors.options(opts, { "ids", "metadatas" }, "add_texts")
  return scheduler.call(embed_and_add, self, document.of_texts(texts, opts, "add_texts"))
end

--- Adds documents and gives their ids.
---@async
---@param documents moonpipe.Document[]
---@return string[] ids
function methods:add_documents(documents)
  return scheduler.call(embed_and_add, self, document.check_list(documents, "add_documents"))
end

-- ---- searching ---------------------------------------------------------------------------------

local SEARCH = { "k", "score_threshold" }

local function check_search(opts, what)
  opts = errors.options(opts, SEARCH, what)
  return retriever_base.check_k(opts.k), retriever_base.check_threshold(opts.score_threshold,
    "score_threshold")
end

local function similarity_of(self, measured)
  local cosine = self.distance_strategy == "l2" and 1 - measured / 2 or measured
  return math.max(0, math.min(1, cosine))
end

-- What is found comes nearest first, so that none is left behind one that is too far.
local function search(self, vector, k, least)
  local found = {}
  if not self._index then return found end
  local job = check(c.index_search(self._index, vector, k))
  for number, measured in retriever_base.hits(scheduler.await(job)) do
    local doc, score = self._documents[number + 1], similarity_of(self, measured)
    if doc and score >= least then
      found[#found + 1] = { document.scored(doc, score), score, measured }
    end
  end
  return found
end

local function search_text(self, query, k, least)
  return search(self, floats.Floats(self.embedding:embed_query(query)), k, least)
end

--- The [k] nearest documents, nearest first, each as `{ document, similarity, measured }`; what
--- they mean stands on top of this file. With `score_threshold` only those whose similarity is at
--- least that.
---@async
---@param query string
---@param opts { k: integer?, score_threshold: number? }?
---@return { [1]: moonpipe.Document, [2]: number, [3]: number }[]
function methods:similarity_search_with_score(query, opts)
  local k, least = check_search(opts, "similarity_search")
  if type(query) ~= "string" then
    errors.usage("similarity_search takes a string, got " .. errors.shape(query))
  end
  return scheduler.call(search_text, self, query, k, least)
end

local function documents_in(found)
  local list = {}
  for i, pair in ipairs(found) do list[i] = pair[1] end
  return list
end

--- The [k] nearest documents, nearest first, each with its similarity as `score`.
---@async
---@param query string
---@param opts { k: integer?, score_threshold: number? }?
---@return moonpipe.Document[]
function methods:similarity_search(query, opts)
  return documents_in(self:similarity_search_with_score(query, opts))
end

--- The documents nearest to a vector, a list of numbers or an mp.Floats.
---@async
---@param vector moonpipe.Floats|number[]
---@param opts { k: integer?, score_threshold: number? }?
---@return moonpipe.Document[]
function methods:similarity_search_by_vector(vector, opts)
  local k, least = check_search(opts, "similarity_search_by_vector")
  local given = floats.Floats(vector)
  if type(given[1]) ~= "number" then
    errors.usage("similarity_search_by_vector takes one vector, got a matrix")
  end
  return documents_in(scheduler.call(search, self, given, k, least))
end

--- A step that gives the nearest documents: `as_retriever{ search_kwargs = { k = 4 } }`, or those
--- of them that are near enough: `as_retriever{ search_type = "similarity_score_threshold",
--- search_kwargs = { k = 4, score_threshold = 0.5 } }`.
---@param opts moonpipe.RetrieverOptions?
---@return moonpipe.VectorStoreRetriever
function methods:as_retriever(opts)
  return retriever.new(self, opts)
end

-- ---- making one --------------------------------------------------------------------------------

local function new(opts, what)
  local strategy = opts.distance_strategy or "l2"
  if not METRICS[strategy] then
    errors.usage(("distance_strategy of %s is %s; it must be 'l2' or 'inner_product'"):format(what,
      errors.shape(strategy)))
  end
  return setmetatable({
    embedding = check_embedding(opts.embedding, what),
    distance_strategy = strategy,
    _documents = {}, -- by number of their vector, from 1
    _taken = {}, -- ids that were given
  }, mt)
end

local FAISS = {}

--- A store of texts: `from_texts(texts, { embedding =, metadatas =, ids =, distance_strategy = })`.
---@async
---@param texts string[]
---@param opts table
---@return moonpipe.FAISS
function FAISS.from_texts(texts, opts)
  opts = errors.options(opts, OPTIONS, "FAISS.from_texts")
  local list = document.of_texts(texts, opts, "FAISS.from_texts")
  local self = new(opts, "FAISS.from_texts")
  scheduler.call(embed_and_add, self, list)
  return self
end

--- A store of documents: `from_documents(documents, { embedding = })`.
---@async
---@param documents moonpipe.Document[]
---@param opts table
---@return moonpipe.FAISS
function FAISS.from_documents(documents, opts)
  opts = errors.options(opts, { "distance_strategy", "embedding" }, "FAISS.from_documents")
  local self = new(opts, "FAISS.from_documents")
  self:add_documents(documents)
  return self
end

--- A store of texts whose vectors are known: an mp.Floats or a list of rows.
---@async
---@param texts string[]
---@param vectors moonpipe.Floats|number[][]
---@param opts table
---@return moonpipe.FAISS
function FAISS.from_embeddings(texts, vectors, opts)
  opts = errors.options(opts, OPTIONS, "FAISS.from_embeddings")
  local list = document.of_texts(texts, opts, "FAISS.from_embeddings")
  local self = new(opts, "FAISS.from_embeddings")
  scheduler.call(add, self, list, floats.Floats(vectors))
  return self
end

store.FAISS = setmetatable(FAISS, {
  __name = "moonpipe.class",
  __call = function() errors.usage("write FAISS.from_texts(texts, { embedding = … })") end,
  __tostring = function() return "FAISS" end,
})

return store
