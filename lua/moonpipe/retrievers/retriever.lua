--- A step that gives the documents of a store that are nearest to a question.
local base = require "moonpipe.retrievers.base"
local context = require "moonpipe.context"
local errors = require "moonpipe.error"
local filter = require "moonpipe.stores.filter"
local runnable = require "moonpipe.steps.runnable"

---@class moonpipe.SearchKwargs: moonpipe.SearchOptions, moonpipe.MarginalOptions

---@class moonpipe.RetrieverOptions
---@field search_type ("similarity"|"similarity_score_threshold"|"mmr")?
---@field search_kwargs moonpipe.SearchKwargs?

---@class moonpipe.VectorStoreRetriever: moonpipe.BaseRetriever
---@field vectorstore moonpipe.VectorStore
---@field search_type string
---@field search_kwargs moonpipe.SearchKwargs
local VectorStoreRetriever, methods = runnable.class("VectorStoreRetriever", {
  base = base.BaseRetriever,
  label = "retriever",
})

local retriever = {}

local OPTIONS = { "search_kwargs", "search_type" }
local THRESHOLD = "similarity_score_threshold"

-- What a search takes, and the method of a store that does it.
local TYPES = {
  similarity = { { "filter", "k" }, "similarity_search" },
  [THRESHOLD] = { { "filter", "k", "score_threshold" }, "similarity_search" },
  mmr = { { "fetch_k", "filter", "k", "lambda_mult" }, "max_marginal_relevance_search" },
}
local KWARGS = { "fetch_k", "filter", "k", "lambda_mult", "score_threshold" }

local function check_type(value)
  if value ~= nil and not TYPES[value] then
    errors.usage(("search_type of as_retriever is %s; it must be 'similarity', '%s' or 'mmr'")
      :format(type(value) == "string" and "'" .. value .. "'" or errors.shape(value), THRESHOLD))
  end
  return value or "similarity"
end

local function type_that_takes(wanted)
  for _, search_type in ipairs { "similarity", THRESHOLD, "mmr" } do
    for _, name in ipairs(TYPES[search_type][1]) do
      if name == wanted then return search_type end
    end
  end
end

local function check_values(kwargs)
  base.check_k(kwargs.k)
  base.check_k(kwargs.fetch_k, "fetch_k")
  base.check_share(kwargs.score_threshold, "score_threshold")
  base.check_share(kwargs.lambda_mult, "lambda_mult")
  if kwargs.filter ~= nil then filter.compile(kwargs.filter) end
end

-- A threshold that is not used, and a search for one that is not there, are mistakes.
local function check_kwargs(kwargs, search_type)
  kwargs = errors.options(kwargs, KWARGS, "search_kwargs")
  check_values(kwargs)
  local out = {}
  for _, name in ipairs(TYPES[search_type][1]) do out[name] = kwargs[name] end
  for _, name in ipairs(KWARGS) do
    if kwargs[name] ~= nil and out[name] == nil then
      errors.usage(("%s needs search_type = '%s'"):format(name, type_that_takes(name)))
    end
  end
  if search_type == THRESHOLD and out.score_threshold == nil then
    errors.usage(("search_type '%s' needs search_kwargs = { score_threshold = … }"):format(
      THRESHOLD))
  end
  out.k = base.check_k(out.k)
  return out
end

-- `{ k = 1 }` stands one table too high.
local function check_level(opts)
  for _, name in ipairs(type(opts) == "table" and KWARGS or {}) do
    if opts[name] ~= nil then
      errors.usage(("unknown option '%s' of as_retriever; write search_kwargs = { %s = … }")
        :format(name, name))
    end
  end
end

--- What a store's `as_retriever` gives.
---@param store moonpipe.VectorStore
---@param opts moonpipe.RetrieverOptions?
---@return moonpipe.VectorStoreRetriever
function retriever.new(store, opts)
  check_level(opts)
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
  local search = store[TYPES[self.search_type][2]]
  return context.within(ctx, search, store, input, self.search_kwargs)
end

return retriever
