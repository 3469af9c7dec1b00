--- Changing a VectorStore: what base.lua says of `_add`, `_delete`, `_get`, `_hold`, `_all`.
local document = require "moonpipe.document"
local errors = require "moonpipe.error"
local floats = require "moonpipe.floats"
local scheduler = require "moonpipe.scheduler"
local search_methods = require "moonpipe.stores.faiss_search"

---@class moonpipe.AddOptions
---@field ids string[]?
---@field metadatas table[]?  of texts
---@field upsert boolean?     a document takes the place of the one that has its id

---@class moonpipe.VectorStore
local methods = setmetatable({}, { __index = search_methods })

local change = { methods = methods }

-- ---- adding ------------------------------------------------------------------------------------

--- Whether what has an id that is there takes its place.
function change.check_upsert(self, opts)
  if opts.upsert ~= nil and type(opts.upsert) ~= "boolean" then
    errors.usage("upsert is " .. errors.shape(opts.upsert) .. "; it must be true or false")
  end
  if opts.upsert == nil then return self._upsert end
  return opts.upsert
end

--- Documents, with [ids] for theirs where such are given.
function change.with_ids(documents, ids)
  if ids == nil then return documents end
  if #errors.list(ids, "ids") ~= #documents then
    errors.usage(("ids must be a list of %d, one for each document, got %s"):format(#documents,
      errors.shape(ids)))
  end
  local list = {}
  for i, doc in ipairs(documents) do
    list[i] = document.Document { page_content = doc.page_content, metadata = doc.metadata,
      id = ids[i] }
  end
  return list
end

--- What is given to be added: texts, or Documents.
function change.documents_of(list, opts, what)
  if document.is(errors.list(list, what)[1]) then
    if opts.metadatas ~= nil then errors.usage("metadatas of Documents are in them") end
    return change.with_ids(document.check_list(list, what), opts.ids)
  end
  return document.of_texts(list, opts, what)
end

local function ids_of(documents)
  local ids, own = {}, {}
  for _, doc in ipairs(documents) do
    local id = doc.id
    if id ~= nil then
      if own[id] then errors.raise("input", ("id '%s' is given twice"):format(id)) end
      own[id] = true
      ids[#ids + 1] = id
    end
  end
  return ids
end

local function vectors_of(self, documents, vectors)
  if not vectors then
    local texts = {}
    for i, doc in ipairs(documents) do texts[i] = doc.page_content end
    vectors = floats.given(self.embedding:embed_documents(texts), "embed_documents")
  end
  local rows = vectors:shape()
  if rows ~= #documents then
    errors.raise("input", ("%d vectors for %d texts"):format(rows, #documents))
  end
  return vectors
end

--- Adds in a task. Ids are held while the texts are embedded: one that is taken costs no request.
---@async
function change.add(self, documents, vectors, upsert)
  if #documents == 0 then
    if vectors then vectors_of(self, documents, vectors) end
    return {}
  end
  local ids = ids_of(documents)
  return self:_hold(ids, function()
    local there = not upsert and #ids > 0 and next(self:_get(ids))
    if there then errors.raise("input", ("id '%s' is already in the store"):format(there)) end
    return self:_add(documents, vectors_of(self, documents, vectors), upsert)
  end)
end

change.TEXT_OPTIONS = { "ids", "metadatas", "upsert" }
change.DOCUMENT_OPTIONS = { "ids", "upsert" }

--- Adds texts and gives their ids.
---@async
---@param texts string[]
---@param opts moonpipe.AddOptions?
---@return string[] ids
function methods:add_texts(texts, opts)
  opts = errors.options(opts, change.TEXT_OPTIONS, "add_texts")
  local list = document.of_texts(texts, opts, "add_texts")
  return scheduler.call(change.add, self, list, nil, change.check_upsert(self, opts))
end

--- Adds documents and gives their ids.
---@async
---@param documents moonpipe.Document[]
---@param opts moonpipe.AddOptions?
---@return string[] ids
function methods:add_documents(documents, opts)
  opts = errors.options(opts, change.DOCUMENT_OPTIONS, "add_documents")
  local list = change.with_ids(document.check_list(documents, "add_documents"), opts.ids)
  return scheduler.call(change.add, self, list, nil, change.check_upsert(self, opts))
end

--- Adds texts, or Documents, whose vectors are known, and gives their ids.
---@async
---@param texts string[]|moonpipe.Document[]
---@param vectors moonpipe.Floats|number[][]
---@param opts moonpipe.AddOptions?
---@return string[] ids
function methods:add_embeddings(texts, vectors, opts)
  opts = errors.options(opts, change.TEXT_OPTIONS, "add_embeddings")
  local list = change.documents_of(texts, opts, "add_embeddings")
  return scheduler.call(change.add, self, list, floats.Floats(vectors),
    change.check_upsert(self, opts))
end

local function check_other(self, other)
  if type(other) ~= "table" or type(other._all) ~= "function" then
    errors.usage("merge_from takes a store, got " .. errors.shape(other))
  elseif other == self then
    errors.usage("merge_from takes another store, got the same one")
  end
  local mine, theirs = self.embedding.model, other.embedding.model
  if mine ~= nil and theirs ~= nil and mine ~= theirs then
    errors.raise("input", ("the vectors are of the model '%s', those of the other store of '%s'")
      :format(errors.text(mine), errors.text(theirs)))
  elseif other.distance_strategy == "cosine" and self.distance_strategy ~= "cosine"
    and not other._keeps_lengths then
    errors.raise("input", ("a store with distance_strategy = 'cosine' has not kept the lengths "
      .. "of its vectors, which '%s' needs"):format(self.distance_strategy))
  end
end

local function merge(self, other, upsert)
  local documents, vectors = other:_all()
  return change.add(self, documents, vectors, upsert)
end

--- Adds all that is in another store, whose vectors are not made anew, and gives the ids. The other
--- one stays as it is.
---@async
---@param other moonpipe.VectorStore
---@param opts { upsert: boolean? }?
---@return string[] ids
function methods:merge_from(other, opts)
  opts = errors.options(opts, { "upsert" }, "merge_from")
  check_other(self, other)
  return scheduler.call(merge, self, other, change.check_upsert(self, opts))
end

-- ---- by id -------------------------------------------------------------------------------------

local function check_ids(ids, what)
  local own = {}
  for i, id in ipairs(errors.list(ids, what)) do
    if type(id) ~= "string" then
      errors.usage(("id %d of %s is %s; it must be a string"):format(i, what, errors.shape(id)))
    elseif own[id] then
      errors.usage(("id '%s' of %s is given twice"):format(id, what))
    end
    own[id] = true
  end
  return ids
end

local function delete(self, ids, missing_ok)
  if #ids > 0 then
    self:_hold(ids, function() self:_delete(ids, missing_ok) end)
  end
end

--- Deletes documents: all of these, or none where there is no such id, unless `missing_ok`.
---@async
---@param ids string[]
---@param opts { missing_ok: boolean? }?
function methods:delete(ids, opts)
  opts = errors.options(opts, { "missing_ok" }, "delete")
  scheduler.call(delete, self, check_ids(ids, "delete"), opts.missing_ok)
end

local function get_by_ids(self, ids)
  local found, list = self:_get(ids), {}
  for _, id in ipairs(ids) do list[#list + 1] = found[id] end
  return list
end

--- The documents that have these ids, in their order; those that are not there are left out.
---@async
---@param ids string[]
---@return moonpipe.Document[]
function methods:get_by_ids(ids)
  return scheduler.call(get_by_ids, self, check_ids(ids, "get_by_ids"))
end

--- Calls fn: of stores whose ids others keep apart.
---@async
function methods:_hold(_, fn)
  return fn()
end

return change
