--- Compressors one behind the other, and the two that need neither a model nor vectors.
local base = require "moonpipe.retrievers.base"
local coerce = require "moonpipe.coerce"
local compressor = require "moonpipe.compressors.compressor"
local errors = require "moonpipe.error"
local members = require "moonpipe.members"
local runnable = require "moonpipe.steps.runnable"

-- ---- splitters --------------------------------------------------------------------------------

-- A splitter as a compressor: the pieces of the documents.
---@class moonpipe.DocumentSplitter: moonpipe.BaseDocumentCompressor
---@field splitter moonpipe.TextSplitter
local DocumentSplitter, splitting = compressor.class("DocumentSplitter")
splitting.takes_list = true

function splitting:_compress(documents)
  return self.splitter:split_documents(documents)
end

function splitting:get_name()
  return self.name or errors.text(self.splitter)
end

splitting._label = splitting.get_name

-- ---- an order ---------------------------------------------------------------------------------

---@class moonpipe.LongContextReorder: moonpipe.BaseDocumentCompressor
local LongContextReorder, reordering = compressor.class("LongContextReorder")
reordering.takes_list = true

--- `LongContextReorder()`: the best documents at the beginning and at the end, the worst in the
--- middle, where models overlook them in a long context (Liu et al., 2023): of 1 to 5, the best
--- first, 1 3 5 4 2.
---@return moonpipe.LongContextReorder
function LongContextReorder.new(opts)
  errors.options(opts, {}, "LongContextReorder")
  return runnable.instance(LongContextReorder, { sync = true })
end

function reordering:_compress(documents)
  local out, n = {}, #documents
  for i, doc in ipairs(documents) do
    out[i % 2 == 1 and (i + 1) / 2 or n + 1 - i / 2] = doc
  end
  return out
end

-- ---- a pipeline -------------------------------------------------------------------------------

---@class moonpipe.DocumentCompressorPipeline: moonpipe.BaseDocumentCompressor
---@field transformers moonpipe.Runnable[]
local Pipeline, methods = compressor.class("DocumentCompressorPipeline")

local CLASS = "DocumentCompressorPipeline"

local function step_of(value, i)
  if type(value) == "table" and not runnable.is(value)
    and type(value.split_documents) == "function" then
    return runnable.instance(DocumentSplitter, { splitter = value, sync = true })
  end
  return coerce.step(value, nil, errors.caller(), ("transformer %d of %s"):format(i, CLASS))
end

--- `DocumentCompressorPipeline{ transformers = { splitter, filter, reranker } }`: each is given
--- what the one before it left: splitters, compressors, and any steps that make documents of
--- `{ documents =, query = }`.
---@param opts { transformers: any[] }
---@return moonpipe.DocumentCompressorPipeline
function Pipeline.new(opts)
  opts = errors.options(opts, { "transformers" }, CLASS)
  local list = {}
  for i, value in ipairs(errors.list(opts.transformers, "transformers of " .. CLASS)) do
    list[i] = step_of(value, i)
  end
  if list[1] == nil then errors.usage("transformers of " .. CLASS .. " is an empty list") end
  return runnable.instance(Pipeline, {
    transformers = list,
    where = errors.caller(),
    sync = members.are_sync(list),
  })
end

function methods:_compress(documents, query, ctx)
  for i, step in ipairs(self.transformers) do
    if documents[1] == nil then return {} end
    local given = base.run(self, "transformer", i, step, { documents = documents, query = query },
      ctx)
    documents = base.check_documents(given, ("transformer %d of %s, %s,"):format(i, CLASS,
      step:get_name()))
  end
  return documents
end

function methods:_takes_kwargs()
  return members.take_kwargs(self.transformers)
end

function methods:_parts()
  local items = {}
  for i, step in ipairs(self.transformers) do items[i] = { step = step } end
  return { shape = "sequence", items = items }
end

return { DocumentCompressorPipeline = Pipeline, LongContextReorder = LongContextReorder }
