#!/usr/bin/env moonpipe
local chain =
    { context = store:as_retriever(), question = mp.RunnablePassthrough() }
  | mp.ChatPromptTemplate.from_template [[
Answer {question} from {context}
]]
  | mp.ChatOpenAI() -- the model
  | mp.StrOutputParser()
print(chain:invoke "where did harrison work?")
