-- Prints the recall of the retrievers that need no model: HashEmbeddings in FAISS, BM25Retriever,
-- both in an EnsembleRetriever, and the vectors' documents reranked by BM25.
--
--   moonpipe run recall.lua STATUS
--
-- The documents are the long descriptions of Debian packages, as in dpkg's status file; each is
-- asked for by its one-line summary, which is no part of it. Of packages with the same description
-- only the first is taken, for nobody could tell them apart.
--
-- `even` is the ensemble as it is by default. Vectors of hashed words know less than BM25 and no
-- rarity, so even weights drag it down. `hybrid` has the weights that were best in either half of
-- 802 packages: what BM25 has first stays first, and the vectors decide what follows. `rerank`
-- knows how rare words are among the 50 documents that it is given alone.
local mp = require "moonpipe"

local DEPTH = 50 -- documents that each retriever gives

-- The summary, and the text below it.
local function parse(stanza)
  local summary, rest = stanza:match("\nDescription: ([^\n]+)\n(.*)")
  if not summary then return nil end
  local lines = {}
  for line in rest:gmatch("[^\n]+") do
    if line:sub(1, 1) ~= " " then break end
    lines[#lines + 1] = line:gsub("^ %.?%s*", "")
  end
  return summary, table.concat(lines, "\n")
end

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = "\n\n" .. file:read("*a")
  file:close()
  local queries, texts, seen = {}, {}, {}
  for stanza in text:gsub("\n\n+", "\0"):gmatch("[^%z]+") do
    local summary, body = parse("\n" .. stanza)
    if body and body ~= "" and not seen[body] then
      seen[body] = true
      queries[#queries + 1], texts[#texts + 1] = summary, body
    end
  end
  return queries, texts
end

local function rank_of(found, text)
  for rank, doc in ipairs(found) do
    if doc.page_content == text then return rank end
  end
  return math.huge
end

local function measure(name, retriever, queries, texts)
  local first, five, reciprocal, begin = 0, 0, 0, mp.now()
  local answers = retriever:batch(queries)
  local took = mp.now() - begin
  for i, found in ipairs(answers) do
    local rank = rank_of(found, texts[i])
    first, five = first + (rank == 1 and 1 or 0), five + (rank <= 5 and 1 or 0)
    reciprocal = reciprocal + 1 / rank
  end
  print(("%-8s %9.3f %9.3f %9.3f %12.3f"):format(name, first / #queries, five / #queries,
    reciprocal / #queries, took / #queries * 1e3))
end

local queries, texts = read(arg[1])
local hash = mp.FAISS.from_texts(texts, { embedding = mp.HashEmbeddings() })
  :as_retriever { search_kwargs = { k = DEPTH } }
local bm25 = mp.BM25Retriever.from_texts(texts, { k = DEPTH })

print(("%d descriptions asked for by their summaries"):format(#texts))
print(("%-8s %9s %9s %9s %12s"):format("", "recall@1", "recall@5", "MRR", "ms a query"))
measure("hash", hash, queries, texts)
measure("bm25", bm25, queries, texts)
measure("even", mp.EnsembleRetriever { retrievers = { bm25, hash } }, queries, texts)
measure("hybrid", mp.EnsembleRetriever {
  retrievers = { bm25, hash }, weights = { 0.8, 0.2 }, c = 1,
}, queries, texts)
measure("rerank", mp.ContextualCompressionRetriever {
  base_retriever = hash, base_compressor = mp.BM25Reranker(),
}, queries, texts)

-- ---- 100,000 short documents --------------------------------------------------------------------

local MANY, ROUNDS = 100000, 50

-- Every document has `often`, each tenth `now`, one of them `once`.
local function short_documents()
  local list = {}
  for i = 1, MANY do
    list[i] = ("often of document %d there are words%s%s"):format(i, i % 10 == 0 and " now" or "",
      i == 77 and " once" or "")
  end
  return list
end

-- Milliseconds, the least of [rounds].
local function least(rounds, fn)
  local best = math.huge
  for _ = 1, rounds do
    local begin = mp.now()
    fn()
    best = math.min(best, mp.now() - begin)
  end
  return best * 1e3
end

local short, words = short_documents(), nil
print(("\nBM25 of %d short documents, milliseconds"):format(MANY))
print(("%-28s %8.1f"):format("to index them", least(3, function()
  words = mp.BM25Retriever.from_texts(short)
end)))
for _, query in ipairs { "once", "now", "often" } do
  print(("%-28s %8.2f"):format(("asked for '%s'"):format(query), least(ROUNDS, function()
    words:invoke(query)
  end)))
end
