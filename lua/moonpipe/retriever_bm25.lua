--- BM25Retriever: documents by the words that they share with a question.
--
-- The words live in a native index (engine/work/lexical.h, where the formula stands), the
-- documents here, under the same numbers. Rare words count more, and words that stand often in a
-- short document; a document that has none of the question's words is not found.
local base = require "moonpipe.retriever_base"
local document = require "moonpipe.document"
local errors = require "moonpipe.error"
local filter = require "moonpipe.filter"
local native = require "moonpipe.native"
local runnable = require "moonpipe.runnable"
local scheduler = require "moonpipe.scheduler"
local uuid = require "moonpipe.uuid"

local c, check = native.c, native.check

---@class moonpipe.BM25Retriever: moonpipe.BaseRetriever
---@field k integer
---@field k1 number
---@field b number
---@field preprocess (fun(text: string): string[])?
---@field filter moonpipe.Filter?
---@field matches (fun(metadata: table, doc: moonpipe.Document): any)?
local BM25Retriever, methods = runnable.class("BM25Retriever", { base = base.BaseRetriever })

---@class moonpipe.BM25Index  what retrievers that differ in k share
---@field native moonpipe.LexicalIndex
---@field documents table<integer, moonpipe.Document>  by number, from 0
---@field numbers table<string, integer|false>         by id; false while one is added
---@field preprocess (fun(text: string): string[])?

-- ---- terms -------------------------------------------------------------------------------------

local function check_terms(terms)
  if type(terms) ~= "table" then
    errors.raise("input", "preprocess must give a list of strings, got " .. errors.shape(terms))
  end
  for i, term in ipairs(terms) do
    if type(term) ~= "string" then
      errors.raise("input", ("item %d that preprocess gives is %s; it must be a string"):format(i,
        errors.shape(term)))
    end
  end
  return terms
end

-- What C reads: the text itself, or the terms that the user's function makes of it.
local function text_of(index, text)
  if not index.preprocess then return text end
  return table.concat(check_terms(index.preprocess(text)), "\0")
end

-- ---- adding ------------------------------------------------------------------------------------

-- Reserves the ids that were given: nothing is overwritten, also by two adds at once.
local function reserve(index, list)
  local own = {}
  for _, doc in ipairs(list) do
    local id = doc.id
    if id ~= nil and (own[id] or index.numbers[id] ~= nil) then
      errors.raise("input", ("id '%s' is already in the retriever"):format(id))
    end
    if id ~= nil then own[id] = true end
  end
  for _, doc in ipairs(list) do
    if doc.id ~= nil then index.numbers[doc.id] = false end
  end
end

local function release(index, list)
  for _, doc in ipairs(list) do
    if doc.id ~= nil then index.numbers[doc.id] = nil end
  end
end

-- The id of a document that has none: its number, if nobody else is called so.
local function id_of(index, number)
  local id = tostring(number)
  return index.numbers[id] == nil and id or uuid.new()
end

-- Puts the documents in their places and gives the ids.
local function enter(index, list, first)
  local ids = {}
  for i, doc in ipairs(list) do
    local number = first + i - 1
    local id = doc.id or id_of(index, number)
    index.documents[number] = document.scored(doc, nil, id)
    index.numbers[id] = false
    ids[i] = id
  end
  return ids
end

-- Takes back an add. What of it is in the index, as its task was cancelled too late, goes as well.
local function undo(index, ids, first)
  local numbers = {}
  for i, id in ipairs(ids) do
    numbers[i] = first + i - 1
    index.documents[numbers[i]] = nil
    index.numbers[id] = nil
  end
  c.lexical_delete(index.native, numbers)
end

local function submit(index, list)
  local texts = {}
  for i, doc in ipairs(list) do texts[i] = text_of(index, doc.page_content) end
  local job, first, kind = c.lexical_add(index.native, texts, index.preprocess ~= nil)
  return check(job, first, kind), first
end

-- A search may find the documents before this task hears that they are there.
local function add(index, list)
  if #list == 0 then return {} end
  reserve(index, list)
  local ok, job, first = pcall(submit, index, list)
  if not ok then
    release(index, list)
    error(job, 0)
  end
  local ids = enter(index, list, first)
  local done, err = pcall(scheduler.await, job)
  if not done then
    undo(index, ids, first)
    error(err, 0)
  end
  for i, id in ipairs(ids) do index.numbers[id] = first + i - 1 end
  return ids
end

--- Adds texts and gives their ids.
---@async
---@param texts string[]
---@param opts { metadatas: table[]?, ids: string[]? }?
---@return string[] ids
function methods:add_texts(texts, opts)
  opts = errors.options(opts, { "ids", "metadatas" }, "add_texts")
  return scheduler.call(add, self.index, document.of_texts(texts, opts, "add_texts"))
end

--- Adds documents and gives their ids.
---@async
---@param documents moonpipe.Document[]
---@return string[] ids
function methods:add_documents(documents)
  return scheduler.call(add, self.index, document.check_list(documents, "add_documents"))
end

-- ---- deleting ----------------------------------------------------------------------------------

local function numbers_of(index, ids)
  local numbers = {}
  for i, id in ipairs(ids) do
    numbers[i] = index.numbers[id]
    if not numbers[i] then
      errors.raise("input", ("there is no id '%s' in the retriever"):format(errors.text(id)))
    end
  end
  return numbers
end

local function delete(index, ids)
  local numbers = numbers_of(index, ids)
  if #numbers == 0 then return end
  scheduler.await(check(c.lexical_delete(index.native, numbers)))
  for i, id in ipairs(ids) do
    if index.numbers[id] == numbers[i] then index.numbers[id] = nil end
    index.documents[numbers[i]] = nil
  end
end

--- Deletes documents: all of these, or none where there is no such id.
---@async
---@param ids string[]
function methods:delete(ids)
  scheduler.call(delete, self.index, errors.list(ids, "delete"))
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
  local text, limit = text_of(self.index, input), self.k
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
    index = {
      native = check(c.lexical_new(k1, b)),
      documents = {},
      numbers = {},
      preprocess = opts.preprocess,
    },
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
  scheduler.call(add, self.index, list)
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
  scheduler.call(add, self.index, documents)
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
