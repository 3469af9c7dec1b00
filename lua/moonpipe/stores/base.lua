--- VectorStore: what all stores of documents and their vectors share.
--
-- A store gives a few operations, which run in a task and may wait:
--
--     _add(documents, vectors, upsert) -> ids
--         Documents, and an mp.Floats with a row for each. One that has no id gets one. With upsert
--         a document takes the place of the one that has its id; without it such a one is an
--         error, and nothing is added
--     _delete(ids, missing_ok)
--         all or none; an id that is not there is an error, unless missing_ok
--     _get(ids) -> documents by id
--         those that are there
--     _search(vector, k, filter, with_vectors) -> hits, nearest first
--         of the documents that filter, `{ matches =, tree = }` or nil, takes, the k nearest:
--         `{ document =, measured =, vector = }`, the vector (mp.Floats) where it is asked for
--     _all() -> documents, vectors
--     _hold(ids, fn) -> what fn() gives
--         calls it while nothing else changes these ids; there is one that just calls it
--
-- and `_keeps_lengths`, where vectors of "cosine" come back as they were; and `embedding` and
-- `distance_strategy`, which says what `measured` is:
--
--     l2             squared distance   similarity = 1 - measured / (2 * |q|^2)
--     inner_product  inner product      similarity = measured / |q|^2
--     cosine         cosine             similarity = measured
--
-- with |q| the length of what is searched for; what is outside 0 to 1 is 0 or 1. Of vectors of
-- length 1, as most embeddings are, all three are the cosine. It never contradicts the order in
-- which documents are found, and does not change when all vectors are made longer.
local document = require "moonpipe.document"
local errors = require "moonpipe.error"
local floats = require "moonpipe.floats"
local retriever = require "moonpipe.retrievers.retriever"
local scheduler = require "moonpipe.scheduler"
local change = require "moonpipe.stores.faiss_change"

---@class moonpipe.VectorStore
---@field embedding table  what makes vectors of texts
---@field distance_strategy "l2"|"cosine"|"inner_product"
local methods = setmetatable({}, { __index = change.methods })

local store_base = {}

-- ---- as a step ---------------------------------------------------------------------------------

--- A step that gives the documents for a question: `as_retriever{ search_type = "similarity",
--- search_kwargs = { k = 4, filter = … } }`; `"similarity_score_threshold"` with `score_threshold`
--- in `search_kwargs`; `"mmr"` with `fetch_k` and `lambda_mult`.
---@param opts moonpipe.RetrieverOptions?
---@return moonpipe.VectorStoreRetriever
function methods:as_retriever(opts)
  return retriever.new(self, opts)
end

-- ---- making one --------------------------------------------------------------------------------

function store_base.check_embedding(embedding, what)
  if type(embedding) ~= "table" or type(embedding.embed_documents) ~= "function"
    or type(embedding.embed_query) ~= "function" then
    errors.usage(("embedding of %s is %s; it must be one, such as mp.HashEmbeddings()"):format(
      what, errors.shape(embedding)))
  end
end

local STRATEGIES = { "l2", "cosine", "inner_product" }

local function check_strategy(strategy, what)
  for _, name in ipairs(STRATEGIES) do
    if strategy == name then return end
  end
  errors.usage(("distance_strategy of %s is %s; it must be '%s'"):format(what,
    type(strategy) == "string" and "'" .. strategy .. "'" or errors.shape(strategy),
    table.concat(STRATEGIES, "', '", 1, 2) .. "' or '" .. STRATEGIES[3]))
end

---@class moonpipe.VectorStoreClass
---@field from_texts fun(texts: string[], opts: table): moonpipe.VectorStore
---@field from_documents fun(documents: moonpipe.Document[], opts: table): moonpipe.VectorStore
---@field from_embeddings fun(texts: string[]|moonpipe.Document[],
---       vectors: moonpipe.Floats|number[][], opts: table): moonpipe.VectorStore
---@overload fun(opts: table): moonpipe.VectorStore

---@class moonpipe.StoreClass  what a store says of its class
---@field name string
---@field options string[]                     besides `embedding` and `distance_strategy`
---@field strategy string                      distance_strategy where none is given
---@field upsert boolean                       upsert where it is not given
---@field new fun(opts: table, what: string): table  the fields of an instance; may not wait

local function instance(class, opts, what)
  store_base.check_embedding(opts.embedding, what)
  local strategy = opts.distance_strategy or class.strategy
  check_strategy(strategy, what)
  local self = class.new(opts, what)
  self.embedding, self.distance_strategy, self._upsert = opts.embedding, strategy, class.upsert
  return setmetatable(self, class.mt)
end

-- Checks the options of one that is made, which may be [more] than those of an instance; an
-- embedding alone is that option.
local function check_options(class, opts, more, what)
  local allowed = { "distance_strategy", "embedding" }
  for _, names in ipairs { class.options, more } do
    for _, name in ipairs(names) do allowed[#allowed + 1] = name end
  end
  table.sort(allowed)
  if type(opts) == "table" and type(opts.embed_query) == "function" then
    opts = { embedding = opts }
  end
  return errors.options(opts, allowed, what)
end

-- A store of what is given. All that is wrong with it is said before anything is made.
local function filled(class, opts, what, documents, vectors)
  local self = instance(class, opts, what)
  scheduler.call(change.add, self, documents, vectors, change.check_upsert(self, opts))
  return self
end

local function add_constructors(Class, class)
  function Class.from_texts(texts, opts)
    local what = class.name .. ".from_texts"
    opts = check_options(class, opts, change.TEXT_OPTIONS, what)
    return filled(class, opts, what, document.of_texts(texts, opts, what))
  end

  function Class.from_documents(documents, opts)
    local what = class.name .. ".from_documents"
    opts = check_options(class, opts, change.DOCUMENT_OPTIONS, what)
    local list = change.with_ids(document.check_list(documents, what), opts.ids)
    return filled(class, opts, what, list)
  end

  function Class.from_embeddings(texts, vectors, opts)
    local what = class.name .. ".from_embeddings"
    opts = check_options(class, opts, change.TEXT_OPTIONS, what)
    local list = change.documents_of(texts, opts, what)
    return filled(class, opts, what, list, floats.Floats(vectors))
  end
end

--- A class of stores, and its methods, which the store gives: see the top. It has from_texts,
--- from_documents, from_embeddings; called with options it makes a store with nothing in it, or of
--- what is elsewhere. An embedding may stand in the place of the options.
---@param class moonpipe.StoreClass
---@return moonpipe.VectorStoreClass Class
---@return table methods
function store_base.class(class)
  local own = setmetatable({}, { __index = methods })
  class.mt = { __name = "moonpipe." .. class.name, __index = own }
  function class.mt.__tostring() return class.name end
  local Class = setmetatable({}, {
    __name = "moonpipe.class",
    __call = function(_, opts)
      return instance(class, check_options(class, opts, {}, class.name), class.name)
    end,
    __tostring = function() return class.name end,
  })
  add_constructors(Class, class)
  return Class, own
end

return store_base
