--- A store in one file: engine/work/store_file.h says how it looks, this what is in it.
--
--     about            JSON: the embeddings, the class, the distance, the index, how many documents
--     documents        the number of each one's vector
--     ids, contents, metadata   of each: texts; the last JSON
--     …                the state of the index
--
-- Where a docstore that outlives the program has the documents, the file has in their place its
-- stamp: which docstore, and how far it had come. What the docstore says holds: vectors of
-- documents that are gone are dropped, documents with higher numbers than the file's are embedded
-- anew. So whenever a program is killed, the two lead to all documents, each once.
--
-- Contents and ids are kept byte for byte, metadata as JSON keeps it: what it cannot keep is an
-- error before the old file is touched. Documents are read and written some hundred at a time, so
-- nothing else waits long.
local document = require "moonpipe.document"
local errors = require "moonpipe.error"
local floats = require "moonpipe.floats"
local json = require "moonpipe.json"
local log = require "moonpipe.log"
local native = require "moonpipe.native"
local scheduler = require "moonpipe.scheduler"

local c, check = native.c, native.check

local store_file = {}

local AT_ONCE = 500 -- documents: a millisecond or two
local REPLACED = "\239\191\189" -- what stands for bytes that are no UTF-8

local function await(...)
  return scheduler.await(check(...))
end

local function damaged(path, what)
  errors.raise("io", ("'%s' is damaged: %s; take a copy of it, or make the store anew and save it")
    :format(path, what))
end

-- ---- metadata ----------------------------------------------------------------------------------

-- Whether JSON kept the texts of [value] in [read].
local function same_texts(value, read)
  if type(value) == "string" then return value == read end
  if type(value) ~= "table" then return read ~= nil end
  for key, item in pairs(value) do
    if type(read) ~= "table" or not same_texts(item, read[key]) then return false end
  end
  return true
end

--- The JSON of a document's metadata; an error where that does not keep it.
---@param doc moonpipe.Document
---@return string
function store_file.encode(doc)
  if next(doc.metadata) == nil and not json.is_array(doc.metadata) then return "{}" end
  local ok, text = pcall(json.encode, doc.metadata)
  if ok and (not text:find(REPLACED, 1, true) or same_texts(doc.metadata, json.decode(text))) then
    return text
  end
  local problem = ok and "a text in it is not UTF-8" or errors.text(errors.is(text)
    and text.message or text)
  return errors.raise("input", ("the metadata of document '%s' cannot be kept: %s"):format(doc.id,
    problem))
end

--- A document of what was kept.
---@param content string
---@param metadata string  JSON
---@param id string
---@return moonpipe.Document
function store_file.document(content, metadata, id)
  return document.Document {
    page_content = content,
    metadata = metadata == "{}" and {} or json.decode(metadata),
    id = id,
  }
end

-- ---- saving ------------------------------------------------------------------------------------

-- The server that is asked; nil where it is none of the network.
local function origin_of(embedding)
  local endpoint = embedding.endpoint
  return type(endpoint) == "table" and type(endpoint.origin) == "table" and endpoint.origin.name
    or nil
end

local function about_of(self, count, stamp)
  local embedding = self.embedding
  return {
    class = tostring(self),
    distance_strategy = self.distance_strategy,
    docstore = stamp,
    documents = count,
    embedding = {
      class = tostring(embedding):match("^[%w_.]+$"), -- no address
      dimensions = embedding.dimensions,
      model = embedding.model,
      origin = origin_of(embedding),
    },
    index = self.index,
  }
end

-- Writes one text of each document.
local function put_texts(writer, section, documents, text_of)
  for from = 1, #documents, AT_ONCE do
    local texts = {}
    for i = from, math.min(#documents, from + AT_ONCE - 1) do
      texts[#texts + 1] = text_of(documents[i])
    end
    await(c.store_put(writer, section, texts))
  end
end

local function id_of(doc) return doc.id end

local function content_of(doc) return doc.page_content end

local function write(self, writer)
  local stamp = self.docstore.stamp and self.docstore:stamp()
  local numbers, documents = {}, {}
  if not stamp then numbers, documents = self.docstore:all() end
  await(c.store_put(writer, "about", json.encode(about_of(self, #documents, stamp))))
  put_texts(writer, "metadata", documents, store_file.encode)
  put_texts(writer, "ids", documents, id_of)
  put_texts(writer, "contents", documents, content_of)
  if #numbers > 0 then await(c.store_put(writer, "documents", numbers)) end
  if self._index then await(c.store_put_index(writer, self._index)) end
  await(c.store_finish(writer))
end

--- Saves a store, in a task: what it is when this is called. Nothing of it may lose its vector
--- before it ends.
---@async
---@param self moonpipe.FAISS
---@param path string
function store_file.save(self, path)
  local writer = check(c.store_create(path))
  local ok, err = pcall(write, self, writer)
  c.store_drop(writer)
  if not ok then error(err, 0) end
end

-- ---- loading -----------------------------------------------------------------------------------

local function open(path)
  local reader, id, kind = c.store_open(path)
  check(reader, id, kind)
  scheduler.await(id)
  return reader
end

-- Vectors of other embeddings would be compared with ours, and the answers be nonsense.
local function check_embedding(path, saved, embedding, dim)
  local theirs, mine = saved.model, embedding.model
  if theirs ~= nil and mine ~= nil and theirs ~= mine then
    errors.raise("input", ("'%s' was saved with the embeddings '%s', and these are '%s': give "
      .. "those as `embedding`, or make the store anew"):format(path, errors.text(theirs),
      errors.text(mine)))
  elseif dim > 0 and embedding.dimensions and embedding.dimensions ~= dim then
    errors.raise("input", ("'%s' has vectors of %d numbers, and these embeddings, '%s', give %d: "
      .. "give those that it was saved with as `embedding`, or make the store anew"):format(path,
      dim, errors.text(mine), embedding.dimensions))
  end
end

-- The embeddings by which a file can name those that it was saved with.
local NAMES = {
  GoogleGenerativeAIEmbeddings = "google", HashEmbeddings = "hash", OllamaEmbeddings = "ollama",
  OpenAIEmbeddings = "openai",
}

local function made(name, saved)
  local init_embeddings = require("moonpipe.models.choice").init_embeddings
  if name == "hash" then return init_embeddings(name) end
  if saved.model then name = name .. ":" .. saved.model end
  return init_embeddings(name, { dimensions = saved.dimensions })
end

-- Those that were saved with, where nobody gives some: never of another server, which would be told
-- what is asked.
local function remembered(path, saved)
  local name = NAMES[saved.class]
  local embedding = name and made(name, saved)
  if not embedding or origin_of(embedding) ~= saved.origin then
    errors.raise("input", ("'%s' was saved with the embeddings '%s'%s, which it cannot make: give "
      .. "them as `embedding`"):format(path, errors.text(saved.model or saved.class or "?"),
      saved.origin and " of " .. errors.text(saved.origin) or ""))
  end
  return embedding
end

local function read_about(path, reader, head)
  local about = head.sections.about and json.decode(c.store_bytes(reader, "about"))
  if type(about) ~= "table" or type(about.embedding) ~= "table" or type(about.index) ~= "table"
    or type(about.documents) ~= "number" then
    damaged(path, "it does not say what is in it")
  end
  return about
end

-- Puts documents, whose vectors have [numbers], one run of these after the other.
local function put_runs(self, numbers, documents)
  local from = 1
  for i = 1, #numbers do
    if numbers[i + 1] ~= numbers[i] + 1 then
      self.docstore:put(numbers[from], { unpack(documents, from, i) })
      from = i + 1
    end
  end
end

local function read_some(path, reader, from, to)
  local parts, documents = {}, {}
  for i, section in ipairs { "contents", "metadata", "ids" } do
    parts[i] = check(c.store_texts(reader, section, from, to))
    if #parts[i] ~= to - from + 1 then damaged(path, "documents are missing") end
  end
  for i = 1, to - from + 1 do
    documents[i] = store_file.document(parts[1][i], parts[2][i], parts[3][i])
  end
  return documents
end

local function read_documents(self, path, reader, head, count)
  local numbers = head.sections.documents and c.store_numbers(reader, "documents") or {}
  if #numbers ~= count then damaged(path, "documents are missing") end
  for from = 1, count, AT_ONCE do
    local to = math.min(count, from + AT_ONCE - 1)
    local documents = read_some(path, reader, from, to)
    put_runs(self, { unpack(numbers, from, to) }, documents)
    scheduler.sleep(0)
  end
end

-- ---- a docstore that has its own file ----------------------------------------------------------

--- Embeds the documents of a docstore whose vectors have numbers from [first] on, and gives the
--- store, which lacked these.
---@async
---@param self moonpipe.FAISS
---@param first integer
---@return moonpipe.FAISS
function store_file.catch_up(self, first)
  local numbers = self.docstore:numbers_from(first)
  self._whole = true
  for from = 1, #numbers, AT_ONCE do
    local some = { unpack(numbers, from, math.min(#numbers, from + AT_ONCE - 1)) }
    local there, documents, texts = self.docstore:get(some), {}, {}
    for i, number in ipairs(some) do
      documents[i], texts[i] = there[number], there[number].page_content
    end
    self:_add(documents, floats.Floats(self.embedding:embed_documents(texts)))
  end
  return self
end

local function check_docstore(path, saved, docs)
  if not saved and not docs then return end
  if not docs then
    errors.raise("input", ("'%s' has vectors alone, and its documents are in a docstore: give that "
      .. "as `docstore`"):format(path))
  elseif not saved then
    errors.raise("input", ("'%s' has its documents itself: leave `docstore` out"):format(path))
  end
  local stamp = docs:claim()
  if stamp.id ~= saved.id then
    errors.raise("input", ("the documents of '%s' are not in %s: give the docstore with which it "
      .. "was saved"):format(path, tostring(docs)))
  elseif stamp.generation < saved.generation then
    errors.raise("io", ("%s is older than '%s': take the newer copy of it, or make the store with "
      .. "from_docstore"):format(tostring(docs), path))
  end
  return stamp
end

-- Vectors without a document: it was deleted after the file was saved, or came while it was, or was
-- cancelled.
local function drop_others(self, reader, head)
  local docs, live, dead = self.docstore, {}, {}
  local numbers = docs.numbers_from and docs:numbers_from(0) or docs:all()
  for _, number in ipairs(numbers) do live[number] = true end
  local all = head.sections.numbers and c.store_numbers(reader, "numbers")
  for i = 1, head.count do
    local number = all and all[i] or i - 1
    if not live[number] then dead[#dead + 1] = number end
  end
  if #dead > 0 then await(c.index_delete(self._index, dead)) end
end

-- Documents that came after the file was saved.
local function embed_later(self, path, head)
  local count = #self.docstore:numbers_from(head.next)
  if count > 0 then
    log.notice(("%d of the documents of %s came after '%s' was saved: they are embedded anew")
      :format(count, tostring(self.docstore), path))
    store_file.catch_up(self, head.next)
  end
end

-- ---- loading both ------------------------------------------------------------------------------

--- A store out of a file, in a task.
---@async
---@param path string
---@param opts { embedding: table?, docstore: moonpipe.Docstore? }
---@param make fun(opts: table): moonpipe.FAISS  an empty one
---@param shape_of fun(self: moonpipe.FAISS, dim: integer): table  of its index
---@return moonpipe.FAISS
function store_file.load(path, opts, make, shape_of)
  local reader = open(path)
  local head = c.store_head(reader)
  local about = read_about(path, reader, head)
  local self = make {
    embedding = opts.embedding or remembered(path, about.embedding),
    distance_strategy = about.distance_strategy, index = about.index,
    docstore = opts.docstore,
  }
  check_embedding(path, about.embedding, self.embedding, head.dim)
  local stamp = check_docstore(path, about.docstore, opts.docstore)
  if not stamp then read_documents(self, path, reader, head, about.documents) end
  local changed = stamp and stamp.generation ~= about.docstore.generation
  if head.dim > 0 then
    await(c.index_make(shape_of(self, head.dim), reader, stamp and stamp.next or 0))
    self._index = c.index_take(reader)
    if changed or c.index_count(self._index) > self.docstore:count() then
      drop_others(self, reader, head)
    end
  end
  self._whole = true
  if changed then embed_later(self, path, head) end
  return self
end

return store_file
