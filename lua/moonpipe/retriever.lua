--- A step that gives the documents of a store that are nearest to a question.
local base = require "moonpipe.retriever_base"
local context = require "moonpipe.context"
local errors = require "moonpipe.error"
local runnable = require "moonpipe.runnable"

---@class moonpipe.RetrieverOptions
---@field search_type ("similarity"|"similarity_score_threshold")?
---@field search_kwargs { k: integer?, score_threshold: number? }?

---@class moonpipe.VectorStoreRetriever: moonpipe.BaseRetriever
---@field vectorstore moonpipe.FAISS
---@field search_type string
---@field search_kwargs { k: integer, score_threshold: number? }
local VectorStoreRetriever, methods = runnable.class("VectorStoreRetriever", {
  base = base.BaseRetriever,
  label = "retriever",
})

local retriever = {}

local OPTIONS = { "search_kwargs", "search_type" }
local THRESHOLD = "similarity_score_threshold"
local TYPES = { similarity = true, [THRESHOLD] = true }

local function check_type(value)
  if value ~= nil and not TYPES[value] then
    errors.usage(("search_type of as_retriever is %s; it must be 'similarity' or '%s'"):format(
      errors.shape(value), THRESHOLD))
  end
  return value or "similarity"
end

-- A threshold that is not used, and a search for one that is not there, are mistakes.
local function check_kwargs(kwargs, search_type)
  kwargs = errors.options(kwargs, { "k", "score_threshold" }, "search_kwargs")
  local least = kwargs.score_threshold
  base.check_threshold(least, "score_threshold")
  if search_type == THRESHOLD and least == nil then
    errors.usage(("search_type '%s' needs search_kwargs = { score_threshold = … }"):format(
      THRESHOLD))
  elseif search_type ~= THRESHOLD and least ~= nil then
    errors.usage(("score_threshold needs search_type = '%s'"):format(THRESHOLD))
  end
  return { k = base.check_k(kwargs.k), score_threshold = least }
end

--- What a store's `as_retriever` gives.
---@param store moonpipe.FAISS
---@param opts moonpipe.RetrieverOptions?
---@return moonpipe.VectorStoreRetriever
function retriever.new(store, opts)
  opts = errors.options(opts, OPTIONS, "as_retriever")
  local search_type = check_type(opts.search_type)
  return runnable.instance(VectorStoreRetriever, {
    vectorstore = store,
    search_type = search_type,
    search_kwargs = check_kwargs(opts.search_kwargs, search_type),
  })
end

function methods:_options()
  return OPTIONS
end

function methods:_with_options(changes)
  return retriever.new(self.vectorstore, {
    search_type = changes.search_type or self.search_type,
    search_kwargs = changes.search_kwargs or self.search_kwargs,
  })
end

-- The store may be the user's: what it asks for is told of as this step's.
function methods:_invoke(input, ctx)
  base.check(input)
  local store = self.vectorstore
  return context.within(ctx, store.similarity_search, store, input, self.search_kwargs)
end

return retriever
