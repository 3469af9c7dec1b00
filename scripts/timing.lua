#!/usr/bin/env moonpipe
-- How long a joke, a poem and the map of both take: the map as long as the
-- slower one. The least of some runs, one after the other.
--   moonpipe run timing.lua [runs]
local mp = require "moonpipe"

local runs = tonumber(arg[1]) or 3

local model = mp.init_chat_model()
local joke_chain = mp.ChatPromptTemplate.from_template "tell me a joke about {topic}" | model
local poem_chain = mp.ChatPromptTemplate.from_template "write a 2-line poem about {topic}" | model
local map_chain = mp.RunnableParallel { joke = joke_chain, poem = poem_chain }

local function time(name, chain)
  local least = math.huge
  for _ = 1, runs do
    local begin = mp.now()
    chain:invoke { topic = "bear" }
    least = math.min(least, mp.now() - begin)
  end
  print(("%s  %.4f s"):format(name, least))
  return least
end

map_chain:invoke { topic = "bear" } -- connects
local joke, poem = time("joke", joke_chain), time("poem", poem_chain)
local map = time("map ", map_chain)
print(("map / slower  %.3f"):format(map / math.max(joke, poem)))
