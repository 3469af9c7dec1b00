--- Compressors by vectors: EmbeddingsFilter keeps what is near to the question,
--- EmbeddingsRedundantFilter leaves out what says the same again.
local base = require "moonpipe.retrievers.base"
local compressor = require "moonpipe.compressors.compressor"
local document = require "moonpipe.document"
local embedding_mmr = require "moonpipe.embeddings.mmr"
local errors = require "moonpipe.error"
local floats = require "moonpipe.floats"
local parallel = require "moonpipe.steps.parallel"
local runnable = require "moonpipe.steps.runnable"

local cosine, length = embedding_mmr.cosine, embedding_mmr.length

local function check_embeddings(opts, class)
  local value = opts.embeddings
  if type(value) ~= "table" or type(value.embed_documents) ~= "function"
    or type(value.embed_query) ~= "function" then
    errors.usage(("embeddings of %s is %s; it must be such as mp.HashEmbeddings()"):format(class,
      errors.shape(value)))
  end
  return value
end

-- A row for each document, and how long each is.
local function vectors_of(self, documents)
  local texts = {}
  for i, doc in ipairs(documents) do texts[i] = doc.page_content end
  local rows = floats.Floats(self.embeddings:embed_documents(texts))
  local count = rows:shape()
  if count ~= #texts then
    errors.raise("input", ("%d vectors for %d documents"):format(count, #texts))
  end
  local list, lengths = {}, {}
  for i = 1, count do
    list[i] = rows:row(i):totable()
    lengths[i] = length(list[i])
  end
  return { rows = list, lengths = lengths }
end

-- ---- near to the question ---------------------------------------------------------------------

---@class moonpipe.EmbeddingsFilter: moonpipe.BaseDocumentCompressor
---@field embeddings table
---@field k integer
---@field similarity_threshold number
local EmbeddingsFilter, filtering = compressor.class("EmbeddingsFilter")

local FILTER = { "embeddings", "k", "similarity_threshold" }

--- `EmbeddingsFilter{ embeddings =, k = 20, similarity_threshold = }`: the k documents nearest to
--- the question, nearest first, each with its similarity, 0 to 1, as `score`; with a threshold
--- those that reach it.
---@param opts { embeddings: table, k: integer?, similarity_threshold: number? }
---@return moonpipe.EmbeddingsFilter
function EmbeddingsFilter.new(opts)
  opts = errors.options(opts, FILTER, "EmbeddingsFilter")
  local self = runnable.instance(EmbeddingsFilter, {
    embeddings = check_embeddings(opts, "EmbeddingsFilter"),
    k = compressor.count(opts.k, "k of EmbeddingsFilter") or 20,
    similarity_threshold = base.check_share(opts.similarity_threshold, "similarity_threshold"),
    where = errors.caller(),
  })
  self.both = parallel.from_table({
    documents = function(input) return vectors_of(self, input.documents) end,
    question = function(input)
      return floats.Floats(self.embeddings:embed_query(input.query)):totable()
    end,
  }, nil, self.where)
  return self
end

-- The vectors of the question and of the documents, asked for at once.
local function embed(self, documents, query, ctx)
  local got = base.run(self, "embeddings", 1, self.both,
    { documents = documents, query = query }, ctx)
  for _, key in ipairs { "documents", "question" } do
    if errors.is(got[key]) then error(got[key], 0) end -- on_error = "collect" left it there
  end
  return got.question, got.documents.rows, got.documents.lengths
end

function filtering:_compress(documents, query, ctx)
  local vector, rows, lengths = embed(self, documents, query, ctx)
  local own, found = length(vector), {}
  for i, doc in ipairs(documents) do
    if #rows[i] ~= #vector then
      errors.raise("input", ("the question has %d numbers, a document %d"):format(#vector,
        #rows[i]))
    end
    local score = math.max(0, math.min(1, cosine(vector, rows[i], own * lengths[i])))
    if score >= self.similarity_threshold then
      found[#found + 1] = { doc = document.scored(doc, score), score = score, order = i }
    end
  end
  return compressor.ranked(found, self.k)
end

-- ---- unlike one another -----------------------------------------------------------------------

---@class moonpipe.EmbeddingsRedundantFilter: moonpipe.BaseDocumentCompressor
---@field embeddings table
---@field similarity_threshold number
local EmbeddingsRedundantFilter, thinning = compressor.class("EmbeddingsRedundantFilter")
thinning.takes_list = true

--- `EmbeddingsRedundantFilter{ embeddings =, similarity_threshold = 0.95 }`: the documents without
--- those that are more similar than that to one before them.
---@param opts { embeddings: table, similarity_threshold: number? }
---@return moonpipe.EmbeddingsRedundantFilter
function EmbeddingsRedundantFilter.new(opts)
  opts = errors.options(opts, { "embeddings", "similarity_threshold" },
    "EmbeddingsRedundantFilter")
  return runnable.instance(EmbeddingsRedundantFilter, {
    embeddings = check_embeddings(opts, "EmbeddingsRedundantFilter"),
    similarity_threshold = base.check_share(opts.similarity_threshold, "similarity_threshold",
      0.95),
  })
end

function thinning:_compress(documents)
  local vectors = vectors_of(self, documents)
  local rows, lengths = vectors.rows, vectors.lengths
  local kept, out = {}, {}
  for i, doc in ipairs(documents) do
    local is_new = true
    for _, j in ipairs(kept) do
      is_new = is_new and cosine(rows[i], rows[j], lengths[i] * lengths[j])
        <= self.similarity_threshold
    end
    if is_new then kept[#kept + 1], out[#out + 1] = i, doc end
  end
  return out
end

return {
  EmbeddingsFilter = EmbeddingsFilter, EmbeddingsRedundantFilter = EmbeddingsRedundantFilter,
}
