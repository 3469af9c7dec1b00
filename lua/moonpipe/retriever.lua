--- A step that gives the documents of a store that are nearest to a question.
local errors = require "moonpipe.error"
local runnable = require "moonpipe.runnable"

---@class moonpipe.VectorStoreRetriever: moonpipe.Runnable
---@field vectorstore moonpipe.FAISS
---@field search_kwargs { k: integer }
local VectorStoreRetriever, methods = runnable.class("VectorStoreRetriever", {
  label = "retriever",
})
methods.run_kind = "retriever"

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
    search_kwargs = { k = store.check_k(kwargs.k) },
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

local function problem(input)
  local key = type(input) == "table" and getmetatable(input) == nil
    and (input.question ~= nil and "question" or input.input ~= nil and "input")
  return ("got %s; use mp.itemgetter(\"%s\")"):format(errors.shape(input), key or "question")
end

function methods:_input_schema()
  return { type = "string" }
end

function methods:_output_schema()
  return { type = "array", items = { type = "object", title = "Document" } }
end

--- Says at composition that a map is no question.
---@param keys string[]
---@return string? problem
function methods:_check_keys(keys)
  local fields = {}
  for _, key in ipairs(keys) do fields[key] = true end
  return "a retriever takes a string, " .. problem(fields)
end

function methods:_invoke(input)
  if type(input) ~= "string" then
    errors.raise("input", "a retriever takes a string, " .. problem(input))
  end
  return self.vectorstore:similarity_search(input, self.search_kwargs)
end

return retriever
