#!/usr/bin/env moonpipe
-- Answers a question from files:  moonpipe run rag.lua FILES... "question"
-- Without arguments it asks this project's own README. Without a key it needs
-- no network: texts are found by their words, and the model picks the sentences
-- that answer best, and says so.
local mp = require "moonpipe"

local here = arg[0]:match("^(.*)/") or "."
local files = { unpack(arg, 1, #arg - 1) }
local question = arg[1] and arg[#arg] or "How do the branches of a map run?"
if #files == 0 then files = { here .. "/../README.md" } end

local documents = {}
for i, path in ipairs(files) do
  local file = assert(io.open(path))
  documents[i] = mp.Document(file:read "*a", { source = path })
  file:close()
end

local splitter = mp.RecursiveCharacterTextSplitter { chunk_size = 500, chunk_overlap = 0 }
local vectorstore = mp.FAISS.from_documents(splitter:split_documents(documents),
  { embedding = mp.init_embeddings() })
local retriever = vectorstore:as_retriever { search_kwargs = { k = 4 } }

local chain =
    { context = retriever, question = mp.RunnablePassthrough() }
  | mp.prompts.rag
  | mp.init_chat_model()
  | mp.StrOutputParser()

print(chain:invoke(question))
