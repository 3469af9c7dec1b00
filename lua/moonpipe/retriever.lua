--- A step that gives the documents of a store that are nearest to a question.
local base = require "moonpipe.retriever_base"
local errors = require "moonpipe.error"
local runnable = require "moonpipe.runnable"

---@class moonpipe.VectorStoreRetriever: moonpipe.BaseRetriever
---@field vectorstore moonpipe.FAISS
---@field search_kwargs { k: integer }
local VectorStoreRetriever, methods = runnable.class("VectorStoreRetriever", {
  base = base.BaseRetriever,
  label = "retriever",
})

local retriever = {}

local OPTIONS = { "search_kwargs", "search_type" }

--- What a store's `as_retriever` gives.
---@param store moonpipe.FAISS
---@param opts { search_type: "similarity"?, search_kwargs: { k: integer? }? }?
---@return moonpipe.VectorStoreRetriever
function retriever.new(store, opts)
  opts = errors.options(opts, OPTIONS, "as_retriever")
  if opts.search_type ~= nil and opts.search_type ~= "similarity" then
    errors.usage(("search_type of as_retriever is %s; it must be 'similarity'"):format(
      errors.shape(opts.search_type)))
  end
  local kwargs = errors.options(opts.search_kwargs, { "k" }, "search_kwargs")
  return runnable.instance(VectorStoreRetriever, {
    vectorstore = store,
    search_kwargs = { k = base.check_k(kwargs.k) },
  })
end

function methods:_options()
  return OPTIONS
end

function methods:_with_options(changes)
  return retriever.new(self.vectorstore, {
    search_type = changes.search_type,
    search_kwargs = changes.search_kwargs or self.search_kwargs,
  })
end

function methods:_invoke(input)
  base.check(input)
  return self.vectorstore:similarity_search(input, self.search_kwargs)
end

return retriever
