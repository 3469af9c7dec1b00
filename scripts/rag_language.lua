#!/usr/bin/env moonpipe
-- Asks a text and wants the answer in a language: three keys go into the prompt.
--   moonpipe run rag_language.lua ["question" ["language"]]
local mp = require "moonpipe"

local vectorstore = mp.FAISS.from_texts({ "harrison worked at kensho" },
  { embedding = mp.init_embeddings() })
local retriever = vectorstore:as_retriever()

local prompt = mp.ChatPromptTemplate.from_template [[
Answer the question based only on the following context:
{context}

Question: {question}

Answer in the following language: {language}
]]

local chain =
    {
      context = mp.itemgetter "question" | retriever,
      question = mp.itemgetter "question",
      language = mp.itemgetter "language",
    }
  | prompt
  | mp.init_chat_model()
  | mp.StrOutputParser()

print(chain:invoke {
  question = arg[1] or "where did harrison work",
  language = arg[2] or "italian",
})
