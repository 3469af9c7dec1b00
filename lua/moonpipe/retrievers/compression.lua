--- ContextualCompressionRetriever: what one retriever finds, another step makes less of.
local base = require "moonpipe.retrievers.base"
local errors = require "moonpipe.error"
local members = require "moonpipe.members"
local runnable = require "moonpipe.steps.runnable"

---@class moonpipe.ContextualCompressionRetriever: moonpipe.BaseRetriever
---@field base_retriever moonpipe.Runnable
---@field base_compressor moonpipe.Runnable
local CompressionRetriever, methods = runnable.class("ContextualCompressionRetriever", {
  base = base.BaseRetriever,
})

local CLASS = "ContextualCompressionRetriever"
local OPTIONS = { "base_compressor", "base_retriever" }

--- `ContextualCompressionRetriever{ base_retriever =, base_compressor = }`. The compressor is a
--- reranker, a filter, or any step that makes documents of `{ documents =, query = }`.
---@param opts { base_retriever: any, base_compressor: any }
---@return moonpipe.ContextualCompressionRetriever
function CompressionRetriever.new(opts)
  opts = errors.options(opts, OPTIONS, CLASS)
  local retriever = base.step(opts, "base_retriever", CLASS)
  local compressor = base.step(opts, "base_compressor", CLASS)
  return runnable.instance(CompressionRetriever, {
    base_retriever = retriever,
    base_compressor = compressor,
    where = errors.caller(),
    sync = members.are_sync { retriever, compressor },
  })
end

function methods:_invoke(input, ctx)
  base.check(input)
  local found = base.check_documents(base.run(self, "search", 1, self.base_retriever, input, ctx),
    ("base_retriever of %s, %s,"):format(CLASS, self.base_retriever:get_name()))
  if found[1] == nil then return {} end
  local less = base.run(self, "compressor", 2, self.base_compressor,
    { documents = found, query = input }, ctx)
  return base.check_documents(less, ("base_compressor of %s, %s,"):format(CLASS,
    self.base_compressor:get_name()))
end

-- ---- what others ask --------------------------------------------------------------------------

function methods:_takes_kwargs()
  return members.take_kwargs { self.base_retriever, self.base_compressor }
end

function methods:_parts()
  return { shape = "sequence",
    items = { { step = self.base_retriever }, { step = self.base_compressor } } }
end

return { ContextualCompressionRetriever = CompressionRetriever }
