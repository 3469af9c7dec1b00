--- What is found in an index for a question.
local errors = require "moonpipe.error"
local mp = require "moonpipe"

local found = {}

---@type moonpipe.CommandOption[]
found.OPTIONS = {
  { name = "results", short = "k", value = "N", is = "integer",
    help = "texts that the model is given; default: 4" },
  { name = "embeddings", value = "NAME", help = "default: those of the index" },
  { name = "search", value = "WAY", among = { "vector", "words", "hybrid" },
    help = "vector, words or hybrid; default: hybrid" },
  { name = "sources", short = "s", help = "name the texts behind the answer, on standard error" },
}

-- Hashed words know less than BM25 does; scripts/bench/recall measures these weights.
local HASHED = { weights = { 0.2, 0.8 }, c = 1 }
local MEANINGS = { weights = { 0.5, 0.5 } }

local function retriever_of(store, way, k)
  local near = store:as_retriever { search_kwargs = { k = k } }
  if way == "vector" then return near end
  local lexical = mp.BM25Retriever.from_documents(store:documents(), { k = k })
  if way == "words" then return lexical end
  local how = tostring(store.embedding) == "HashEmbeddings" and HASHED or MEANINGS
  return mp.EnsembleRetriever { retrievers = { near, lexical }, weights = how.weights, c = how.c }
end

local function load(given, path)
  local ok, store = pcall(mp.FAISS.load_local, path, {
    embedding = given.embeddings and mp.init_embeddings(given.embeddings) or nil,
  })
  if ok then return store end
  if errors.is(store) and store.message:find("is no file of a store", 1, true) then
    errors.raise("input", ("'%s' is no index; `moonpipe index %s -o docs.mp` makes one, and `ask"
      .. " -a %s` takes the file along as it is"):format(path, path, path))
  end
  error(store, 0)
end

--- Opens the index at [path]; the function finds the texts for a question.
---@async
---@param given table  by found.OPTIONS
---@param path string
---@return async fun(question: string): moonpipe.Document[]
function found.finder(given, path)
  local k = given.results or 4
  local store = load(given, path)
  local retriever = retriever_of(store, given.search or "hybrid", k)
  return function(question)
    local list = retriever:invoke(question)
    for i = #list, k + 1, -1 do list[i] = nil end
    return list
  end
end

local function place_of(doc)
  local source = tostring(doc.metadata.source or doc.id or "?")
  local line = doc.metadata.line or doc.metadata.page
  return mp.printable(line and ("%s:%s"):format(source, line) or source)
end

---@param list moonpipe.Document[]
---@param out file*
function found.print_sources(list, out)
  for i, doc in ipairs(list) do out:write(("[%d] %s\n"):format(i, place_of(doc))) end
end

---@param list moonpipe.Document[]
function found.print_texts(list)
  for i, doc in ipairs(list) do
    print(("%s[%d] %s\n%s"):format(i > 1 and "\n" or "", i, place_of(doc),
      mp.printable(doc.page_content)))
  end
end

--- The texts as data; nil where no index was asked.
---@param list moonpipe.Document[]?
---@return table[]?
function found.sources(list)
  if not list then return nil end
  local sources = {}
  for i, doc in ipairs(list) do
    sources[i] = { text = doc.page_content, metadata = doc.metadata, score = doc.score }
  end
  return mp.array(sources)
end

return found
