-- Prints what scripts/bench/files measures: 100,000 documents of some words, with vectors of 384
-- numbers, saved in one file and loaded from it.
--
--   moonpipe run files.lua PATH [ROUNDS]
--
-- Milliseconds, the least of the rounds; `wall` with the disk, `cpu` of all threads. The first
-- search reads vectors from the file, which is mapped; `add` copies them.
local mp = require "moonpipe"
local native = require "moonpipe.native"

local COUNT, DIM, AT_ONCE = 100000, 384, 1000
local path, rounds = arg[1], tonumber(arg[2]) or 5

local embedding = { model = "bench" }

-- Vectors of texts that are numbers, the same each time.
function embedding.embed_documents(_, texts)
  local rows = {}
  for i, text in ipairs(texts) do
    math.randomseed(tonumber(text:match "%d+"))
    local row = {}
    for j = 1, DIM do row[j] = math.random() - 0.5 end
    rows[i] = row
  end
  return mp.Floats(rows)
end

function embedding.embed_query(_, text)
  return embedding:embed_documents({ text }):row(1)
end

local function filled()
  local store = mp.FAISS { embedding = embedding }
  for from = 1, COUNT, AT_ONCE do
    local texts, metadatas = {}, {}
    for i = 1, AT_ONCE do
      local number = from + i - 1
      texts[i] = ("document %d with some words about things that are kept here"):format(number)
      metadatas[i] = { source = "a.md", page = number }
    end
    store:add_texts(texts, { metadatas = metadatas })
  end
  return store
end

local names, least = {}, {}

local function measure(name, fn)
  collectgarbage()
  local wall, cpu = native.c.now(), os.clock()
  local value = fn()
  local times = { wall = native.c.now() - wall, cpu = os.clock() - cpu }
  if not least[name] then
    names[#names + 1] = name
    least[name] = times
  end
  for key, time in pairs(times) do least[name][key] = math.min(least[name][key], time) end
  return value
end

local store = filled()
for _ = 1, rounds do
  measure("save", function() store:save_local(path) end)
  local read = measure("load", function()
    return mp.FAISS.load_local(path, { embedding = embedding })
  end)
  local query = embedding:embed_query "7"
  for _, name in ipairs { "first_search", "search" } do
    measure(name, function() read:similarity_search_by_vector(query) end)
  end
  measure("add", function() read:add_texts { "1" } end)
end
for _, name in ipairs(names) do
  print(("%-13s %8.1f ms wall %8.1f ms cpu"):format(name, least[name].wall * 1000,
    least[name].cpu * 1000))
end
