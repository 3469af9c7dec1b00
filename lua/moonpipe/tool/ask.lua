--- `moonpipe ask`: a question to a model, from an index where one is given.
local host = require "moonpipe.tool.host"
local json = require "moonpipe.json"
local mp = require "moonpipe"

local ask = {
  name = "ask",
  usage = "[INDEX] QUESTION...",
  summary = "Answers a question from an index that `moonpipe index` made, or without one.",
  about = "Without a key or a local server it works offline, with sentences of the texts.\n"
    .. "The word - stands for what comes from standard input.",
  example = 'moonpipe ask docs.mp "How do the branches of a map run?"',
  options = {
    { name = "results", short = "k", value = "N", is = "integer",
      help = "texts that the model is given; default: 4" },
    { name = "model", short = "m", value = "NAME",
      help = "such as openai:gpt-5.4-mini; default: what the\nenvironment offers" },
    { name = "embeddings", value = "NAME", help = "default: those of the index" },
    { name = "search", value = "WAY", among = { "vector", "words", "hybrid" },
      help = "vector, words or hybrid; default: hybrid" },
    { name = "sources", short = "s", help = "name the texts behind the answer, on standard error" },
    { name = "find", short = "f", help = "print the texts, ask no model" },
    { name = "json", help = "one object: question, answer, sources" },
  },
}

-- ---- the question ------------------------------------------------------------------------

-- The index, where the first word is one, and the rest of the words as text.
local function read_words(words)
  local index, from = nil, 1
  local first = words[1]
  if first and (first:find("%.mp$") or #words > 1 and first ~= "-" and host.exists(first)) then
    index, from = first, 2
  end
  local texts = {}
  for i = from, #words do
    texts[#texts + 1] = words[i] == "-" and io.read("*a") or words[i]
  end
  return index, table.concat(texts, " ")
end

-- ---- what is found -----------------------------------------------------------------------

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

local function find(given, path, question)
  local k = given.results or 4
  local store = mp.FAISS.load_local(path, {
    embedding = given.embeddings and mp.init_embeddings(given.embeddings) or nil,
  })
  local found = retriever_of(store, given.search or "hybrid", k):invoke(question)
  for i = #found, k + 1, -1 do found[i] = nil end
  return found
end

local function place_of(doc)
  local source = tostring(doc.metadata.source or doc.id or "?")
  local line = doc.metadata.line or doc.metadata.page
  return mp.printable(line and ("%s:%s"):format(source, line) or source)
end

-- ---- the answer --------------------------------------------------------------------------

local function chain_for(given, found)
  local prompt = found and mp.prompts.rag or mp.ChatPromptTemplate.from_messages {
    mp.MessagesPlaceholder("question"),
  }
  return mp.pipe(prompt, mp.init_chat_model(given.model), mp.StrOutputParser())
end

local function input_for(question, found)
  if found then return { context = found, question = question } end
  return { question = { mp.HumanMessage(question) } }
end

local function print_stream(stream)
  local last = "\n"
  for text in stream do
    text = mp.printable(text)
    io.stdout:write(text)
    io.stdout:flush()
    if text ~= "" then last = text end
  end
  if last:sub(-1) ~= "\n" then print() end
end

local function print_sources(found, out)
  for i, doc in ipairs(found) do out:write(("[%d] %s\n"):format(i, place_of(doc))) end
end

local function print_texts(found)
  for i, doc in ipairs(found) do
    print(("%s[%d] %s\n%s"):format(i > 1 and "\n" or "", i, place_of(doc),
      mp.printable(doc.page_content)))
  end
end

local function object_of(question, answer, found)
  local sources = {}
  for i, doc in ipairs(found or {}) do
    sources[i] = { text = doc.page_content, metadata = doc.metadata, score = doc.score }
  end
  return json.encode {
    question = question, answer = answer, sources = found and mp.array(sources) or nil,
  }
end

local function answer(given, question, found)
  local chain, input = chain_for(given, found), input_for(question, found)
  if given.json then return print(object_of(question, chain:invoke(input), found)) end
  print_stream(chain:stream(input))
  if given.sources and found then print_sources(found, io.stderr) end
end

function ask.run(given, words)
  local index, question = read_words(words)
  if question:find("^%s*$") then return "ask takes a question" end
  if given.find and not index then return "--find needs an index" end
  local found = index and find(given, index, question)
  if not given.find then return answer(given, question, found) end
  if given.json then return print(object_of(question, nil, found)) end
  print_texts(found)
end

return ask
