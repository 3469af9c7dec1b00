--- BM25Reranker: documents in the order of the words that they share with the question, without a
--- model. Words are rare or frequent among these documents alone.
local bm25 = require "moonpipe.retrievers.bm25"
local compressor = require "moonpipe.compressors.compressor"
local document = require "moonpipe.document"
local errors = require "moonpipe.error"
local run = require "moonpipe.run"
local runnable = require "moonpipe.steps.runnable"

---@class moonpipe.BM25Reranker: moonpipe.BaseDocumentCompressor
---@field top_n integer?
---@field options table  of the retriever
local BM25Reranker, methods = compressor.class("BM25Reranker")
methods.option_names = { "b", "k1", "preprocess", "top_n" }

--- `BM25Reranker{ top_n =, k1 =, b =, preprocess = }`: best first, with the `score`; what shares no
--- word with the question comes last, with 0, in the order in which it was.
---@param opts { top_n: integer?, k1: number?, b: number?, preprocess: function? }?
---@return moonpipe.BM25Reranker
function BM25Reranker.new(opts)
  opts = errors.options(opts, methods.option_names, "BM25Reranker")
  local options = { k1 = opts.k1, b = opts.b, preprocess = opts.preprocess }
  bm25.BM25Retriever(options) -- says what is wrong with them here
  return runnable.instance(BM25Reranker, {
    top_n = compressor.count(opts.top_n, "top_n of BM25Reranker"), options = options,
  })
end

-- The documents may have any ids, also equal ones: in the index each is called by its number.
local function scores_of(self, documents, query, ctx)
  local texts, ids, scores = {}, {}, {}
  for i, doc in ipairs(documents) do texts[i], ids[i] = doc.page_content, tostring(i) end
  local o = self.options
  local index = bm25.BM25Retriever.from_texts(texts, {
    ids = ids, k = #texts, k1 = o.k1, b = o.b, preprocess = o.preprocess,
  })
  for _, found in ipairs(run.invoke(index, query, ctx, "seq:step:", 1)) do
    scores[tonumber(found.id)] = found.score
  end
  return scores
end

function methods:_compress(documents, query, ctx)
  local scores, entries = scores_of(self, documents, query, ctx), {}
  for i, doc in ipairs(documents) do
    local score = scores[i] or 0
    entries[i] = { doc = document.scored(doc, score), score = score, order = i }
  end
  return compressor.ranked(entries, self.top_n)
end

return { BM25Reranker = BM25Reranker }
