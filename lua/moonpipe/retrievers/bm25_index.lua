--- What BM25Retrievers that differ in their options share: the words in a native index, the
--- documents here, under the same numbers.
local document = require "moonpipe.document"
local errors = require "moonpipe.error"
local native = require "moonpipe.native"
local scheduler = require "moonpipe.scheduler"
local uuid = require "moonpipe.uuid"

local c, check = native.c, native.check

---@class moonpipe.BM25Index
---@field native moonpipe.LexicalIndex
---@field documents table<integer, moonpipe.Document>  by number, from 0
---@field numbers table<string, integer|false>         by id; false while one is added
---@field preprocess (fun(text: string): string[])?

local bm25_index = {}

---@param k1 number
---@param b number
---@param preprocess (fun(text: string): string[])?
---@return moonpipe.BM25Index
function bm25_index.new(k1, b, preprocess)
  return {
    native = check(c.lexical_new(k1, b)), documents = {}, numbers = {}, preprocess = preprocess,
  }
end

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

---What C reads: the text itself, or the terms that the user's function makes of it.
---@param index moonpipe.BM25Index
---@param text string
---@return string
function bm25_index.text_of(index, text)
  if not index.preprocess then return text end
  return table.concat(check_terms(index.preprocess(text)), "\0")
end

-- ---- adding ------------------------------------------------------------------------------------

-- Reserves the ids that were given, so that two adds at once give none twice. Gives the numbers of
-- those that are replaced.
local function reserve(index, list, upsert)
  local own, replaced = {}, {}
  for _, doc in ipairs(list) do
    local id, number = doc.id, doc.id ~= nil and index.numbers[doc.id]
    if id ~= nil and own[id] then
      errors.raise("input", ("id '%s' is given twice"):format(id))
    elseif id ~= nil and index.numbers[id] ~= nil and not (upsert and number) then
      errors.raise("input", ("id '%s' is already in the retriever"):format(id))
    end
    if id ~= nil then own[id], replaced[id] = true, number or nil end
  end
  for id in pairs(own) do index.numbers[id] = false end
  return replaced
end

local function release(index, ids, replaced)
  for _, id in ipairs(ids) do index.numbers[id] = replaced[id] end
end

local function ids_given(list)
  local ids = {}
  for _, doc in ipairs(list) do ids[#ids + 1] = doc.id end
  return ids
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

-- Takes numbers out of the index; not waited for: nobody is told of what is not in `documents`.
local function forget(index, numbers)
  if #numbers == 0 then return end
  for _, number in ipairs(numbers) do index.documents[number] = nil end
  c.lexical_delete(index.native, numbers)
end

-- Takes back an add. What of it is in the index, as its task was cancelled too late, goes as well.
local function undo(index, ids, first, replaced)
  local numbers = {}
  for i in ipairs(ids) do numbers[i] = first + i - 1 end
  release(index, ids, replaced)
  forget(index, numbers)
end

local function submit(index, list)
  local texts = {}
  for i, doc in ipairs(list) do texts[i] = bm25_index.text_of(index, doc.page_content) end
  local job, first, kind = c.lexical_add(index.native, texts, index.preprocess ~= nil)
  return check(job, first, kind), first
end

---Adds documents and gives their ids; runs in a task. A search may find them before the task hears
---that they are there, and what they replace until then.
---@async
---@param index moonpipe.BM25Index
---@param list moonpipe.Document[]
---@param upsert boolean?
---@return string[] ids
function bm25_index.add(index, list, upsert)
  if #list == 0 then return {} end
  local replaced = reserve(index, list, upsert)
  local ok, job, first = pcall(submit, index, list)
  if not ok then
    release(index, ids_given(list), replaced)
    error(job, 0)
  end
  local ids, old = enter(index, list, first), {}
  local done, err = pcall(scheduler.await, job)
  if not done then
    undo(index, ids, first, replaced)
    error(err, 0)
  end
  for i, id in ipairs(ids) do
    index.numbers[id] = first + i - 1
    old[#old + 1] = replaced[id]
  end
  forget(index, old)
  return ids
end

-- ---- deleting ----------------------------------------------------------------------------------

local function numbers_of(index, ids, missing_ok)
  local numbers, there = {}, {}
  for _, id in ipairs(ids) do
    local number = index.numbers[id]
    if number then
      numbers[#numbers + 1], there[#there + 1] = number, id
    elseif not missing_ok then
      errors.raise("input", ("there is no id '%s' in the retriever"):format(errors.text(id)))
    end
  end
  return numbers, there
end

---Deletes documents; runs in a task.
---@async
---@param index moonpipe.BM25Index
---@param ids string[]
---@param missing_ok boolean?
function bm25_index.delete(index, ids, missing_ok)
  local numbers, there = numbers_of(index, ids, missing_ok)
  if #numbers == 0 then return end
  scheduler.await(check(c.lexical_delete(index.native, numbers)))
  for i, id in ipairs(there) do
    if index.numbers[id] == numbers[i] then index.numbers[id] = nil end
    index.documents[numbers[i]] = nil
  end
end

---Those of the documents that are there.
---@param index moonpipe.BM25Index
---@param ids string[]
---@return moonpipe.Document[]
function bm25_index.get(index, ids)
  local out = {}
  for _, id in ipairs(ids) do
    local number = index.numbers[id]
    if number then out[#out + 1] = document.scored(index.documents[number]) end
  end
  return out
end

return bm25_index
