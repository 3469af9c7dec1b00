#!/usr/bin/env moonpipe
-- Answers a question from files:  moonpipe run rag.lua FILES... "question"
-- Without arguments it asks this project's own README. No key, no network: the
-- model picks the sentences that answer best, and says so.
local mp = require "moonpipe"

local here = arg[0]:match("^(.*)/") or "."
local files = { unpack(arg, 1, #arg - 1) }
local question = arg[#arg] or "How do the branches of a map run?"
if #files == 0 then files = { here .. "/../README.md" } end

local function read_files()
  local texts = {}
  for i, path in ipairs(files) do
    local file = assert(io.open(path))
    texts[i] = file:read "*a"
    file:close()
  end
  return table.concat(texts, "\n\n")
end

local prompt = mp.ChatPromptTemplate.from_template [[
Answer the question based only on the following context:
{context}

Question: {question}
]]

local chain =
    { context = read_files, question = mp.RunnablePassthrough() }
  | prompt
  | mp.ExtractiveChatModel()
  | mp.StrOutputParser()

print(chain:invoke(question))
