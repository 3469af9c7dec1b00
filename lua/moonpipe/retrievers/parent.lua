--- ParentDocumentRetriever: small pieces are searched, the documents that they are of are given.
local base = require "moonpipe.retrievers.base"
local document = require "moonpipe.document"
local errors = require "moonpipe.error"
local retriever = require "moonpipe.retrievers.retriever"
local runnable = require "moonpipe.steps.runnable"
local uuid = require "moonpipe.uuid"

---@class moonpipe.DocumentStore  documents by id
---@field mget fun(self, ids: string[]): table<string, moonpipe.Document>  those that are there
---@field mset fun(self, documents: table<string, moonpipe.Document>)
---@field mdelete fun(self, ids: string[])

---@class moonpipe.ParentDocumentRetriever: moonpipe.BaseRetriever
---@field vectorstore moonpipe.FAISS
---@field docstore moonpipe.DocumentStore
---@field child_splitter moonpipe.TextSplitter
---@field parent_splitter moonpipe.TextSplitter?
---@field id_key string
---@field search moonpipe.VectorStoreRetriever
local ParentDocumentRetriever, methods = runnable.class("ParentDocumentRetriever", {
  base = base.BaseRetriever,
})

-- ---- a docstore --------------------------------------------------------------------------------

local stored = {}

local STORE = { __name = "moonpipe.InMemoryDocstore", __index = stored }

function STORE.__tostring()
  return "InMemoryDocstore"
end

--- Those of the documents that are there, by id.
---@param ids string[]
---@return table<string, moonpipe.Document>
function stored:mget(ids)
  local out = {}
  for _, id in ipairs(ids) do out[id] = self._documents[id] end
  return out
end

--- Keeps documents by their ids.
---@param documents table<string, moonpipe.Document>
function stored:mset(documents)
  for id, doc in pairs(documents) do self._documents[id] = doc end
end

--- Forgets documents.
---@param ids string[]
function stored:mdelete(ids)
  for _, id in ipairs(ids) do self._documents[id] = nil end
end

---`InMemoryDocstore()`: documents by id, until the program ends.
---@overload fun(): moonpipe.DocumentStore
local InMemoryDocstore = setmetatable({}, {
  __name = "moonpipe.class",
  __call = function(_, opts)
    errors.options(opts, {}, "InMemoryDocstore")
    return setmetatable({ _documents = {} }, STORE)
  end,
  __tostring = function() return "InMemoryDocstore" end,
})

-- ---- making ------------------------------------------------------------------------------------

local OPTIONS = { "child_splitter", "docstore", "id_key", "parent_splitter", "search_kwargs",
  "search_type", "vectorstore" }

local function check(opts, name, method, such)
  local value = opts[name]
  if type(value) ~= "table" or type(value[method]) ~= "function" then
    errors.usage(("%s of ParentDocumentRetriever is %s; it must be one, such as %s"):format(name,
      errors.shape(value), such))
  end
  return value
end

--- `ParentDocumentRetriever{ vectorstore =, child_splitter =, parent_splitter =, docstore =,
--- search_type =, search_kwargs =, id_key = "doc_id" }`. `search_kwargs` count pieces: there may be
--- fewer documents. A piece has the id of its document in its metadata, as `id_key`.
---@param opts table
---@return moonpipe.ParentDocumentRetriever
function ParentDocumentRetriever.new(opts)
  opts = errors.options(opts, OPTIONS, "ParentDocumentRetriever")
  local splitter = "mp.RecursiveCharacterTextSplitter { chunk_size = 400, chunk_overlap = 0 }"
  local vectorstore = check(opts, "vectorstore", "add_documents", "mp.FAISS.from_texts")
  if opts.id_key ~= nil and type(opts.id_key) ~= "string" then
    errors.usage("id_key of ParentDocumentRetriever must be a string, got "
      .. errors.shape(opts.id_key))
  end
  return runnable.instance(ParentDocumentRetriever, {
    vectorstore = vectorstore,
    docstore = opts.docstore == nil and InMemoryDocstore()
      or check(opts, "docstore", "mget", "mp.InMemoryDocstore()"),
    child_splitter = check(opts, "child_splitter", "split_documents", splitter),
    parent_splitter = opts.parent_splitter ~= nil
      and check(opts, "parent_splitter", "split_documents", splitter) or nil,
    id_key = opts.id_key or "doc_id",
    search = retriever.new(vectorstore, {
      search_type = opts.search_type, search_kwargs = opts.search_kwargs,
    }),
    where = errors.caller(),
  })
end

-- ---- adding ------------------------------------------------------------------------------------

-- What is stored, each with an id; nothing is overwritten.
local function parents_of(self, documents)
  local list, ids, by_id = {}, {}, {}
  local parts = self.parent_splitter and self.parent_splitter:split_documents(documents)
  for i, doc in ipairs(parts or documents) do
    list[i] = document.scored(doc, nil, uuid.new())
    ids[i] = list[i].id
    if by_id[ids[i]] then errors.raise("input", ("id '%s' is given twice"):format(ids[i])) end
    by_id[ids[i]] = list[i]
  end
  local there = next(self.docstore:mget(ids))
  if there then errors.raise("input", ("id '%s' is already in the docstore"):format(there)) end
  return list, ids, by_id
end

local function pieces_of(self, parents)
  local pieces = {}
  for _, parent in ipairs(parents) do
    for _, piece in ipairs(self.child_splitter:split_documents({ parent })) do
      piece.metadata[self.id_key] = parent.id
      pieces[#pieces + 1] = piece
    end
  end
  return pieces
end

--- Adds documents, which `parent_splitter` cuts first where there is one, and gives the ids of what
--- is stored.
---@async
---@param documents moonpipe.Document[]
---@return string[] ids
function methods:add_documents(documents)
  document.check_list(documents, "add_documents")
  local parents, ids, by_id = parents_of(self, documents)
  local pieces = pieces_of(self, parents)
  self.docstore:mset(by_id) -- first: a search may find the pieces before this task goes on
  local ok, err = pcall(self.vectorstore.add_documents, self.vectorstore, pieces)
  if ok then return ids end
  self.docstore:mdelete(ids)
  error(err, 0)
end

-- ---- searching ---------------------------------------------------------------------------------

-- The ids of the documents of [pieces], in their order, and the score of the best piece of each.
local function ids_in(self, pieces)
  local ids, scores = {}, {}
  for _, piece in ipairs(pieces) do
    local id = piece.metadata[self.id_key]
    if id ~= nil and scores[id] == nil then
      ids[#ids + 1], scores[id] = id, piece.score or 0
    end
  end
  return ids, scores
end

function methods:_invoke(input, ctx)
  base.check(input)
  local ids, scores = ids_in(self, base.run(self, "search", 1, self.search, input, ctx))
  local found, out = self.docstore:mget(ids), {}
  for i, id in ipairs(ids) do
    if not found[id] then
      errors.raise("input", ("the docstore has no document '%s', of which a piece was found")
        :format(errors.text(id)))
    end
    out[i] = document.scored(found[id], scores[id])
  end
  return out
end

-- ---- what others ask ---------------------------------------------------------------------------

function methods:_parts()
  return { shape = "frame", items = { { step = self.search } } }
end

return { ParentDocumentRetriever = ParentDocumentRetriever, InMemoryDocstore = InMemoryDocstore }
