--- BM25Retriever: documents by the words that they share with a question.
--
-- The words live in a native index (engine/work/lexical.h, where the formula stands), the
-- documents here, under the same numbers. Rare words count more, and words that stand often in a
-- short document; a document that has none of the question's words is not found.
local base = require "moonpipe.retrievers.base"
local bm25_index = require "moonpipe.retrievers.bm25_index"
local document = require "moonpipe.document"
local errors = require "moonpipe.error"
local filter = require "moonpipe.stores.filter"
local native = require "moonpipe.native"
local runnable = require "moonpipe.steps.runnable"
local scheduler = require "moonpipe.scheduler"

local c, check = native.c, native.check

---@class moonpipe.BM25Retriever: moonpipe.BaseRetriever
---@field k integer
---@field k1 number
---@field b number
---@field preprocess (fun(text: string): string[])?
---@field filter moonpipe.Filter?
---@field matches (fun(metadata: table, doc: moonpipe.Document): any)?
local BM25Retriever, methods = runnable.class("BM25Retriever", { base = base.BaseRetriever })

-- ---- adding and deleting -----------------------------------------------------------------------

local function check_upsert(opts)
  if opts.upsert ~= nil and type(opts.upsert) ~= "boolean" then
    errors.usage("upsert is " .. errors.shape(opts.upsert) .. "; it must be true or false")
  end
  return opts.upsert
end

--- Adds texts and gives their ids. An id that is there is an error, unless with `upsert = true`:
--- then the new one takes its place.
---@async
---@param texts string[]
---@param opts { metadatas: table[]?, ids: string[]?, upsert: boolean? }?
---@return string[] ids
function methods:add_texts(texts, opts)
  opts = errors.options(opts, { "ids", "metadatas", "upsert" }, "add_texts")
  local list = document.of_texts(texts, opts, "add_texts")
  return scheduler.call(bm25_index.add, self.index, list, check_upsert(opts))
end

--- Adds documents and gives their ids.
---@async
---@param documents moonpipe.Document[]
---@param opts { upsert: boolean? }?
---@return string[] ids
function methods:add_documents(documents, opts)
  opts = errors.options(opts, { "upsert" }, "add_documents")
  document.check_list(documents, "add_documents")
  return scheduler.call(bm25_index.add, self.index, documents, check_upsert(opts))
end

--- Deletes documents: all of these, or none where there is no such id, unless with `missing_ok`.
---@async
---@param ids string[]
---@param opts { missing_ok: boolean? }?
function methods:delete(ids, opts)
  opts = errors.options(opts, { "missing_ok" }, "delete")
  scheduler.call(bm25_index.delete, self.index, errors.list(ids, "delete"), opts.missing_ok)
end

--- Those of the documents that are there.
---@param ids string[]
---@return moonpipe.Document[]
function methods:get_by_ids(ids)
  return bm25_index.get(self.index, errors.list(ids, "get_by_ids"))
end

-- ---- searching ---------------------------------------------------------------------------------

-- Those of the [limit] best that match, [k] at most; and how many there were.
local function among(self, text, limit)
  local index, found, seen = self.index, {}, 0
  local job = check(c.lexical_search(index.native, text, index.preprocess ~= nil, limit))
  for number, score in base.hits(scheduler.await(job)) do
    local doc = index.documents[number]
    seen = seen + 1
    if doc and #found < self.k and (not self.matches or self.matches(doc.metadata, doc)) then
      found[#found + 1] = document.scored(doc, score)
    end
  end
  return found, seen
end

-- Looks further down where a filter leaves too few.
function methods:_invoke(input)
  base.check(input)
  local text, limit = bm25_index.text_of(self.index, input), self.k
  while true do
    local found, seen = among(self, text, limit)
    if not self.matches or #found == self.k or seen < limit then return found end
    limit = limit * 4
  end
end

-- ---- making one --------------------------------------------------------------------------------

local OPTIONS = { "b", "filter", "k", "k1", "preprocess" }
local WITH_TEXTS = { "b", "filter", "ids", "k", "k1", "metadatas", "preprocess" }

local function check_number(value, name, most, default)
  if value == nil then return default end
  if type(value) ~= "number" or not (value >= 0 and value <= most) then
    errors.usage(("%s of BM25Retriever is %s; it must be a number from 0%s"):format(name,
      errors.shape(value), most < math.huge and " to " .. most or ""))
  end
  return value
end

-- k1 has no upper bound but what C takes.
local function new(opts)
  local k1, b = check_number(opts.k1, "k1", 1e9, 1.2), check_number(opts.b, "b", 1, 0.75)
  if opts.preprocess ~= nil and type(opts.preprocess) ~= "function" then
    errors.usage("preprocess of BM25Retriever must be a function, got "
      .. errors.shape(opts.preprocess))
  end
  return runnable.instance(BM25Retriever, {
    k = base.check_k(opts.k),
    k1 = k1,
    b = b,
    preprocess = opts.preprocess,
    filter = opts.filter,
    matches = opts.filter ~= nil and filter.compile(opts.filter) or nil,
    index = bm25_index.new(k1, b, opts.preprocess),
  })
end

--- An empty one: `BM25Retriever{ k = 4, k1 = 1.2, b = 0.75, filter =, preprocess = fn }`;
--- `preprocess` gives the list of terms of a text, of documents and questions, instead of its words
--- in lower case. `filter` is as stores take it: the k best of those that match are found.
---@param opts { k: integer?, k1: number?, b: number?, filter: any, preprocess: function? }?
---@return moonpipe.BM25Retriever
function BM25Retriever.new(opts)
  return new(errors.options(opts, OPTIONS, "BM25Retriever"))
end

--- A retriever of texts: `from_texts(texts, { metadatas =, ids =, k =, … })`.
---@async
---@param texts string[]
---@param opts table?
---@return moonpipe.BM25Retriever
function BM25Retriever.from_texts(texts, opts)
  opts = errors.options(opts, WITH_TEXTS, "BM25Retriever.from_texts")
  local list = document.of_texts(texts, opts, "BM25Retriever.from_texts")
  local self = new(opts)
  scheduler.call(bm25_index.add, self.index, list)
  return self
end

--- A retriever of documents: `from_documents(documents, { k =, … })`.
---@async
---@param documents moonpipe.Document[]
---@param opts table?
---@return moonpipe.BM25Retriever
function BM25Retriever.from_documents(documents, opts)
  local self = new(errors.options(opts, OPTIONS, "BM25Retriever.from_documents"))
  document.check_list(documents, "BM25Retriever.from_documents")
  scheduler.call(bm25_index.add, self.index, documents)
  return self
end

-- A call may choose k and the filter; the index stays.
function methods:_options()
  return { "filter", "k" }
end

function methods:_with_options(changes)
  local wanted = changes.filter
  if wanted == nil then wanted = self.filter end
  return runnable.instance(BM25Retriever, {
    k = base.check_k(changes.k or self.k),
    filter = wanted,
    matches = wanted ~= nil and filter.compile(wanted) or nil,
    k1 = self.k1,
    b = self.b,
    preprocess = self.preprocess,
    index = self.index,
  })
end

return { BM25Retriever = BM25Retriever }
