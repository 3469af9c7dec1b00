--- FAISS and InMemoryVectorStore: documents by the nearness of their vectors.
--
-- The vectors live in a native index (engine/work/vector.h), the documents in a docstore, under the
-- same numbers. Searches that wait on one store at the same time are answered together.
--
-- What the docstore says holds: a vector without a document is passed over, be it that its
-- document is deleted, or that it is not yet there. So an add becomes visible all at once, when its
-- documents are put, and a delete when they are removed.
local context = require "moonpipe.context"
local docstore = require "moonpipe.stores.docstore"
local document = require "moonpipe.document"
local errors = require "moonpipe.error"
local floats = require "moonpipe.floats"
local lock = require "moonpipe.lock"
local native = require "moonpipe.native"
local retriever_base = require "moonpipe.retrievers.base"
local run = require "moonpipe.run"
local scheduler = require "moonpipe.scheduler"
local store_base = require "moonpipe.stores.base"
local store_local = require "moonpipe.stores.faiss_local"
local uuid = require "moonpipe.uuid"

local c, check = native.c, native.check

local store = {}

---@class moonpipe.FAISS: moonpipe.VectorStore
---@field docstore moonpipe.Docstore
---@field index { kind: string }  what kind of index it has, with its parameters
local methods = {}

local METRICS = { l2 = "l2", cosine = "cosine", inner_product = "ip" }

-- ---- the index ---------------------------------------------------------------------------------

local function shape_of(self, dim)
  local shape = { metric = METRICS[self.distance_strategy], dim = dim }
  for name, value in pairs(self.index) do shape[name] = value end
  return shape
end

-- The documents of a docstore that outlives the program must have their vectors here.
local function check_whole(self)
  local docs = self.docstore
  if self._whole or not docs.stamp then return end
  docs:claim()
  if docs:count() > 0 then
    errors.raise("input", ("%s has documents, whose vectors are not in this store: make it with "
      .. "load_local(path, { docstore = … }), or with from_docstore"):format(tostring(docs)))
  end
  self._whole = true
end

local function index_of(self, dim)
  if not self._index then
    check_whole(self)
    local shape = shape_of(self, dim)
    shape.next = self.docstore.stamp and self.docstore:stamp().next
    self._index = self._index or check(c.index_new(shape)) -- another may have been faster
  end
  return self._index
end

-- Gives back the room of vectors. Nobody waits for it: without documents they are gone, and what is
-- asked of the index later is done after it.
local function drop(self, numbers)
  if #numbers == 0 then return end
  if self._saving == 0 then
    c.index_delete(self._index, numbers)
  else
    self._dropped[#self._dropped + 1] = numbers
  end
end

local function drop_from(self, first, count)
  local numbers = {}
  for i = 1, count do numbers[i] = first + i - 1 end
  drop(self, numbers)
end

-- The vectors of documents; nil where one has been deleted since they were found.
local function rows_of(self, numbers)
  if #numbers == 0 then return floats.Floats({}) end
  local ok, rows = pcall(scheduler.await, check(c.index_rows(self._index, numbers)))
  if ok then return rows end
  local there = self.docstore:get(numbers)
  for _, number in ipairs(numbers) do
    if not there[number] then return nil end
  end
  error(rows, 0)
end

-- ---- changing ----------------------------------------------------------------------------------

-- Waits until nobody holds one of [ids]. Meanwhile none is held, so nobody waits in a circle.
local function wait_for(self, ids)
  local i = 1
  while i <= #ids do
    local claim = self._claims[ids[i]]
    i = i + 1
    if claim then
      lock.take(self._turns, claim, "a change of a store waits for itself"):free()
      i = 1
    end
  end
end

--- Calls fn while nothing else changes these ids: what is done with one is done in some order.
---@async
function methods:_hold(ids, fn)
  wait_for(self, ids)
  local claim = {}
  local turn = lock.take(self._turns, claim, "")
  for _, id in ipairs(ids) do self._claims[id] = claim end
  local ok, value = pcall(fn)
  for _, id in ipairs(ids) do self._claims[id] = nil end
  turn:free()
  if not ok then error(value, 0) end
  return value
end

-- What is kept: documents with ids. One that is not given is no other store's, so that stores can
-- be merged.
local function named(self, documents)
  local list, ids = {}, {}
  for i, doc in ipairs(documents) do
    if doc.id == nil then
      self._made = self._made + 1
      doc = document.scored(doc, nil, self._name .. "-" .. self._made)
    end
    list[i], ids[i] = doc, doc.id
  end
  return list, ids
end

-- While the index adds the vectors, the documents are made ready.
function methods:_add(documents, vectors)
  local _, dim = vectors:shape()
  local job = check(c.index_add(index_of(self, dim), vectors))
  local list, ids = named(self, documents)
  local first = tonumber((scheduler.await(job, function(number)
    drop_from(self, tonumber(number), #list)
  end)))
  local ok, replaced = pcall(self.docstore.put, self.docstore, first, list)
  if not ok then
    -- Where a cancel came too late for a docstore that waits, the documents are there, and keep
    -- their vectors; where it did not, these are passed over.
    if not scheduler.cancelled(scheduler.current()) then drop_from(self, first, #list) end
    error(replaced, 0)
  end
  drop(self, replaced)
  return ids
end

function methods:_delete(ids, missing_ok)
  local there = not missing_ok and self.docstore:numbers(ids)
  for _, id in ipairs(there and ids or {}) do
    if not there[id] then
      errors.raise("input", ("there is no id '%s' in the store"):format(id))
    end
  end
  drop(self, self.docstore:remove(ids))
end

function methods:_get(ids)
  local numbers, list, out = self.docstore:numbers(ids), {}, {}
  for _, number in pairs(numbers) do list[#list + 1] = number end
  for _, doc in pairs(self.docstore:get(list)) do out[doc.id] = doc end
  return out
end

function methods:_all()
  while true do
    local numbers, documents = self.docstore:all()
    local rows = rows_of(self, numbers)
    if rows then return documents, rows end
  end
end

local function list_of(self)
  local _, documents = self.docstore:all()
  return documents
end

--- All documents, in the order in which they were added.
---@async
---@return moonpipe.Document[]
function methods:documents()
  return scheduler.call(list_of, self)
end

--- How many documents there are.
---@async
---@return integer
function methods:count()
  return scheduler.call(self.docstore.count, self.docstore)
end

-- ---- searching ---------------------------------------------------------------------------------

local function with_documents(self, numbers, measures)
  local there, hits = self.docstore:get(numbers), {}
  for i, number in ipairs(numbers) do
    local doc = there[number]
    if doc then
      hits[#hits + 1] = { document = doc, measured = measures[i], number = number }
    end
  end
  return hits
end

-- The [k] nearest of the index that have documents, and how many have none; these are 0 where there
-- is nothing more to be found.
local function nearest(self, vector, k, filter)
  if not self._index then check_whole(self) end
  local allowed = filter and self.docstore:matching(filter.matches, filter.tree)
  if not self._index or allowed and #allowed == 0 then return {}, 0 end
  local job = check(c.index_search(self._index, vector, k, allowed))
  local scores, found, together = scheduler.await(job)
  run.annotate(context.current(), "searched_together", together)
  local numbers, measures = {}, {}
  for number, measured in retriever_base.hits(scores, found) do
    numbers[#numbers + 1], measures[#measures + 1] = number, measured
  end
  local hits = with_documents(self, numbers, measures)
  return hits, #numbers == k and k - #hits or 0
end

local function add_vectors(self, hits)
  local numbers = {}
  for i, hit in ipairs(hits) do numbers[i] = hit.number end
  local rows = rows_of(self, numbers)
  for i, hit in ipairs(rows and hits or {}) do hit.vector = rows:row(i) end
  return rows ~= nil
end

-- Where others delete meanwhile, what is found may have gone: then it looks again, farther.
function methods:_search(vector, k, filter, with_vectors)
  local asked = k
  while true do
    local hits, gone = nearest(self, vector, asked, filter)
    for i = #hits, k + 1, -1 do hits[i] = nil end
    if (gone == 0 or #hits == k) and (not with_vectors or add_vectors(self, hits)) then
      return hits
    end
    asked = asked + gone
  end
end

-- ---- files -------------------------------------------------------------------------------------

-- What is saved is what the documents are now: meanwhile they keep their vectors.
local function save(self, path)
  self._saving = self._saving + 1
  local ok, err = pcall(require("moonpipe.stores.faiss_file").save, self, path)
  self._saving = self._saving - 1
  if self._saving == 0 then
    for _, numbers in ipairs(self._dropped) do drop(self, numbers) end
    self._dropped = {}
  end
  if not ok then error(err, 0) end
end

--- Saves the store, with its documents, in one file, which load_local reads. When this returns it
--- is on the disk; whatever happens before, the old file is there as it was.
---@async
---@param path string
function methods:save_local(path)
  store_local.check_path(path, "save_local")
  scheduler.call(save, self, path)
end

-- ---- making one --------------------------------------------------------------------------------

local KINDS = {
  flat = {}, hnsw = { "ef_construction", "ef_search", "m" }, ivf = { "nlist", "nprobe" }, sq = {},
}

local function unknown_kind(kind, what)
  errors.usage(("index of %s is %s; it must be 'flat', 'hnsw', 'ivf' or 'sq'%s"):format(what,
    type(kind) == "string" and "'" .. kind .. "'" or errors.shape(kind),
    errors.hint(kind, { "flat", "hnsw", "ivf", "sq" })))
end

-- What index_new takes of option `index`: a kind, or `{ kind = "hnsw", m = 32 }`.
local function index_options(given, what)
  if type(given) ~= "table" then given = { kind = given or "flat" } end
  local names = KINDS[given.kind]
  if given.kind == nil or not names then unknown_kind(given.kind, what) end
  local out = { kind = given.kind }
  errors.options(given, { "kind", unpack(names) }, "index of " .. what)
  for _, name in ipairs(names) do
    local value = given[name]
    if value ~= nil and (type(value) ~= "number" or value < 1 or value % 1 ~= 0) then
      errors.usage(("%s of index of %s is %s; it must be a positive integer"):format(name, what,
        errors.shape(value)))
    end
    out[name] = value
  end
  return out
end

local function new(opts, what)
  return {
    index = index_options(opts.index, what),
    docstore = opts.docstore == nil and docstore.new()
      or store_local.check_docstore(opts.docstore, what),
    _name = uuid.new():sub(1, 8), -- of ids, with a number
    _made = 0, -- so many ids
    _claims = {}, -- id -> who changes it
    _turns = {}, -- locks of these
    _saving = 0, -- how many times
    _dropped = {}, -- lists of numbers, until nothing is saved
  }
end

local function class(name, strategy, upsert)
  local Class, own = store_base.class {
    name = name, options = { "docstore", "index" }, strategy = strategy, upsert = upsert, new = new,
  }
  for key, method in pairs(methods) do own[key] = method end
  store_local.add(Class, name, shape_of)
  return Class
end

--- `FAISS.from_texts(texts, { embedding =, metadatas =, ids =, distance_strategy =, index = })`,
--- `FAISS.from_documents(documents, …)`, `FAISS.from_embeddings(texts, vectors, …)`;
--- `FAISS{ embedding = }` is empty. `distance_strategy` is "l2", "cosine" or "inner_product";
--- `index` is "flat", "hnsw", "ivf" or "sq", or a kind with parameters:
--- `{ kind = "hnsw", m =, ef_construction =, ef_search = }`, `{ kind = "ivf", nlist =, nprobe = }`.
--- An id that is there is an error where it is added, unless with `upsert = true`. `docstore =
--- mp.SQLiteDocstore("docs.db")` keeps the documents in a file.
store.FAISS = class("FAISS", "l2", false)

--- `InMemoryVectorStore(embedding)`: LangChain's. The same, by the cosine; an id that is there is
--- replaced, unless with `upsert = false`.
store.InMemoryVectorStore = class("InMemoryVectorStore", "cosine", true)

return store
