-- What scripts/bench/vector measures of us: the same command and the same
-- figures as faiss.cpp.
--
--   moonpipe run searches.lua ROWS DIM K ROUNDS NQ...
--
-- NQ searches are begun at once, each by a task of its own, as retrievers do.
local mp = require "moonpipe"

local rows, dim, k, rounds = unpack(arg, 1, 4)
rows, dim, k, rounds = tonumber(rows), tonumber(dim), tonumber(k), tonumber(rounds)

local function random_vector()
  local row = {}
  for i = 1, dim do row[i] = math.random() * 2 - 1 end
  return mp.Floats(row)
end

local function vectors(count)
  local list = {}
  for i = 1, count do list[i] = random_vector() end
  return list
end

local texts = {}
for i = 1, rows do texts[i] = tostring(i) end
local store = mp.FAISS.from_embeddings(texts, vectors(rows), { embedding = mp.HashEmbeddings() })

local search = mp.RunnableLambda(function(query)
  return store:similarity_search_by_vector(query, { k = k })
end)

local function time_ms(queries)
  local start = mp.now()
  local answers = search:batch(queries)
  local took = mp.now() - start
  assert(#answers[#queries] == k)
  return took * 1e3
end

local function least_ms(count)
  local least = math.huge
  for _ = 1, rounds do least = math.min(least, time_ms(vectors(count))) end
  return least
end

for i = 5, #arg do print(("nq%s %.3f"):format(arg[i], least_ms(tonumber(arg[i])))) end
