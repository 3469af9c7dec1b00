local mp = require "moonpipe"

local prompt = mp.ChatPromptTemplate.from_template "Tell a joke about {topic}."
local model = mp.FakeListChatModel { responses = { "A joke.", "Another one." } }
local chain = prompt | model | mp.StrOutputParser()

print(chain)                        --> prompt | FakeListChatModel | StrOutputParser
print(chain:invoke { topic = "bears" })         --> A joke.
print(chain { topic = "bears" })                --> Another one.
