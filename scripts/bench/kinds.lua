-- What scripts/bench/vector measures of the native index: the same command and
-- the same figures as kinds.cpp.
--
--   moonpipe run kinds.lua flat|hnsw ROWS DIM M [FILE]
--
-- With FILE the index is that of a store there, which is made if it is missing; what FAISS wrote of
-- it lies behind in FILE.faiss, for kinds.cpp: so both search one graph.
local ffi = require "ffi"
local mp = require "moonpipe"
local native = require "moonpipe.native"
local scheduler = require "moonpipe.scheduler"

local c, check = native.c, native.check
local await = scheduler.await

local kind, rows, dim, m = arg[1], tonumber(arg[2]), tonumber(arg[3]), tonumber(arg[4])
local path = arg[5]

local BATCH, QUERIES, ROUNDS, K = 1000, 20, 5, 10
local TOGETHER = 64

local numbers = ffi.new("float[?]", dim)

local function random_vector()
  for i = 0, dim - 1 do numbers[i] = math.random() * 2 - 1 end
  return c.floats_of_bytes(ffi.string(numbers, 4 * dim))
end

local function random_vectors(count)
  local list = {}
  for i = 1, count do list[i] = random_vector() end
  return list
end

local function batches()
  local list = {}
  for i = 1, rows, BATCH do
    list[#list + 1] = mp.Floats(random_vectors(math.min(BATCH, rows - i + 1)))
  end
  return list
end

local function new()
  return check(c.index_new { kind = kind, dim = dim, m = m })
end

local function add_ms(index, list)
  local start = mp.now()
  for _, floats in ipairs(list) do await(check(c.index_add(index, floats))) end
  return (mp.now() - start) * 1e3
end

-- One of [share] counts.
local function search_ms(index, queries, share)
  local allowed, least = nil, math.huge
  if share > 1 then
    allowed = {}
    for i = 0, rows - 1, share do allowed[#allowed + 1] = i end
  end
  for _ = 1, ROUNDS do
    local start = mp.now()
    for _, query in ipairs(queries) do await(check(c.index_search(index, query, K, allowed))) end
    least = math.min(least, (mp.now() - start) * 1e3 / QUERIES)
  end
  return least
end

-- All asked before the first is answered.
local function together_ms(index)
  local queries, least = random_vectors(TOGETHER), math.huge
  local all = mp.RunnableLambda(function(query)
    await(check(c.index_search(index, query, K)))
    return true
  end):map()
  for _ = 1, ROUNDS do
    local start = mp.now()
    all:invoke(queries)
    least = math.min(least, (mp.now() - start) * 1e3)
  end
  return least
end

local function built()
  local list, least, index = batches(), math.huge, nil
  for _ = 1, kind == "hnsw" and 1 or 3 do
    index = new()
    least = math.min(least, add_ms(index, list))
  end
  return index, least
end

local NOBODY = { embed_documents = error, embed_query = error } -- the vectors are ready

local function save()
  local store, start = mp.FAISS { embedding = NOBODY, index = { kind = kind, m = m } }, mp.now()
  for first = 1, rows, BATCH do
    local texts = {}
    for i = 1, math.min(BATCH, rows - first + 1) do texts[i] = "" end
    store:add_embeddings(texts, mp.Floats(random_vectors(#texts)))
  end
  io.stderr:write(("%s, %d x %d: made in %.0f s\n"):format(kind, rows, dim, mp.now() - start))
  store:save_local(path)
  local reader, id = c.store_open(path)
  await(id)
  local file = assert(io.open(path .. ".faiss", "wb"))
  file:write(c.store_bytes(reader, "index"))
  file:close()
end

local function kept()
  local file = io.open(path, "rb")
  if file then file:close() else save() end
  return mp.FAISS.load_local(path, { embedding = NOBODY })._index, 0
end

local function run()
  local index, least = (path and kept or built)()
  local queries = random_vectors(QUERIES)
  print(("add %.3f"):format(least))
  print(("one %.4f"):format(search_ms(index, queries, 1)))
  print(("half %.4f"):format(search_ms(index, queries, 2)))
  print(("tenth %.4f"):format(search_ms(index, queries, 10)))
  print(("together %.4f"):format(together_ms(index)))
end

scheduler.call(run)
