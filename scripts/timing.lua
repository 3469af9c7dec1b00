#!/usr/bin/env moonpipe
-- How long a joke, a poem and the map of both take: the map as long as the
-- slower one. The mean of some runs, one after the other, how far they spread,
-- and the least, by which chain and map are compared.
--   moonpipe run timing.lua [runs]
local mp = require "moonpipe"

local runs = tonumber(arg[1]) or 7

local model = mp.init_chat_model()
local joke_chain = mp.ChatPromptTemplate.from_template "tell me a joke about {topic}" | model
local poem_chain = mp.ChatPromptTemplate.from_template "write a 2-line poem about {topic}" | model
local map_chain = mp.RunnableParallel { joke = joke_chain, poem = poem_chain }

local function time(name, chain)
  local sum, squares, least = 0, 0, math.huge
  for _ = 1, runs do
    local begin = mp.now()
    chain:invoke { topic = "bear" }
    local ms = (mp.now() - begin) * 1000
    sum, squares, least = sum + ms, squares + ms * ms, math.min(least, ms)
  end
  local mean = sum / runs
  local spread = math.sqrt(math.max(0, squares / runs - mean * mean))
  print(("%s  %.3f ms ± %.3f ms, least %.3f ms"):format(name, mean, spread, least))
  return least
end

map_chain:invoke { topic = "bear" } -- connects
local joke, poem = time("joke", joke_chain), time("poem", poem_chain)
local map = time("map ", map_chain)
print(("map / slower  %.3f"):format(map / math.max(joke, poem)))
