#!/usr/bin/env moonpipe
-- Two chains, run at the same time as the branches of one map.
--   moonpipe run joke_poem.lua ["topic"]
local mp = require "moonpipe"

local model = mp.init_chat_model()
local joke_chain = mp.ChatPromptTemplate.from_template "tell me a joke about {topic}" | model
local poem_chain = mp.ChatPromptTemplate.from_template "write a 2-line poem about {topic}" | model

local map_chain = mp.RunnableParallel { joke = joke_chain, poem = poem_chain }

print(mp.inspect(map_chain:invoke { topic = arg[1] or "bear" }))
