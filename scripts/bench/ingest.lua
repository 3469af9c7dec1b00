-- Prints the table of scripts/bench/ingest.
--
--   moonpipe run ingest.lua SERVER - - - [NAME...]
--
-- Each row is done in two ways, ROUNDS times in turns: together and one by one. The times are the
-- medians, of the clock or of the process's CPUs; the ratio is that of the rounds' own ratios, with
-- the least and the greatest.
local mp = require "moonpipe"

local figures = dofile(arg[0]:match("^(.-)[^/]*$") .. "figures.lua")
local median, wanted = figures.median, figures.wanted

local server = arg[1]
local ROUNDS = 7

local function embeddings(script)
  return mp.OpenAIEmbeddings {
    base_url = ("%s/with/%s/v1"):format(server, script), api_key = "sk-mock", dimensions = 1536,
  }
end

local function each(fn)
  return mp.RunnableLambda(fn)
end

local function texts_of(count)
  local texts = {}
  for i = 1, count do texts[i] = "text " .. i end
  return texts
end

local rows = {}

-- Queries of a batch share a request. One by one is also what a request for each would cost that
-- go out at once: embeddings of their own are never asked together.
rows[1] = { name = "queries", cpu = true, what = "CPU of 64 queries, a request for each at once" }
rows[2] = { name = "queries", what = "64 queries to a server 5 ms away, one after the other" }

local QUERIES = texts_of(64)

rows[1].make = function()
  local one, own = embeddings("status=200"), {}
  for i = 1, #QUERIES do own[QUERIES[i]] = embeddings("status=200") end
  local ask = each(function(text) return #one:embed_query(text) end)
  local ask_own = each(function(text) return #own[text]:embed_query(text) end)
  return function() ask:batch(QUERIES) end, function() ask_own:batch(QUERIES) end
end

rows[2].make = function()
  local one = embeddings("delay=5")
  local ask = each(function(text) return #one:embed_query(text) end)
  return function() ask:batch(QUERIES) end,
    function()
      for _, text in ipairs(QUERIES) do ask:invoke(text) end
    end
end

rows[3] = { name = "searches", what = "64 searches of 10,000 texts, one after the other" }

rows[3].make = function()
  local find = mp.FAISS.from_texts(texts_of(10000), { embedding = mp.HashEmbeddings() })
    :as_retriever()
  return function() find:batch(QUERIES) end,
    function()
      for _, text in ipairs(QUERIES) do find:invoke(text) end
    end
end

rows[4] = { name = "overlap", what = "an ingest of 2,000 documents, calls of 20 ms, step by step" }

local BATCH = 100

local function documents_of(count)
  local list = {}
  local words = ("word "):rep(100)
  for i = 1, count do list[i] = mp.Document(i .. " " .. words, { source = "s" .. i }) end
  return list
end

rows[4].make = function()
  local remote, documents = embeddings("delay=20"), documents_of(2000)
  local splitter = mp.RecursiveCharacterTextSplitter { chunk_size = 1000, chunk_overlap = 0 }
  local function new_store() return mp.FAISS { embedding = remote } end
  local function at_once()
    mp.ingest { documents = documents, splitter = splitter, store = new_store(),
      batch_size = BATCH }
  end
  local function step_by_step()
    local store, pieces = new_store(), splitter:split_documents(documents)
    for i = 1, #pieces, BATCH do store:add_documents({ unpack(pieces, i, i + BATCH - 1) }) end
  end
  return at_once, step_by_step
end

local function time_ms(fn, row)
  local clock = row.cpu and os.clock or mp.now
  collectgarbage()
  local start = clock()
  fn()
  return (clock() - start) * 1e3
end

local function measure(row)
  local together, single = row.make()
  local ours, theirs, ratios = {}, {}, {}
  time_ms(together, row)
  time_ms(single, row)
  for i = 1, ROUNDS do
    ours[i], theirs[i] = time_ms(together, row), time_ms(single, row)
    ratios[i] = ours[i] / theirs[i]
  end
  local ratio = median(ratios)
  print(("%-9s %10.2f %10.2f   %5.3f (%.3f - %.3f)  %s"):format(row.name, median(ours),
    median(theirs), ratio, ratios[1], ratios[#ratios], row.what))
end

io.stdout:setvbuf("line")
print(("%-9s %10s %10s   %-21s  %s"):format("bench", "ours ms", "single ms", "ours / single",
  "the other way"))
for _, row in ipairs(rows) do
  if wanted(row.name) then measure(row) end
end
