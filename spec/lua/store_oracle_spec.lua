--- The same neighbours as Debian's python3-faiss. Long tier, and only where that is installed.
local ffi = require "ffi"
local helper = require "spec.helper"
local mp = require "moonpipe"

local PYTHON = "/usr/bin/python3"
local ROWS, QUERIES, DIM, K = 10000, 64, 1536, 10

-- [count] rows as a list of tables, the same each time, and as a file of float32.
local function make(count, seed)
  math.randomseed(seed)
  local list, values, path = {}, ffi.new("float[?]", DIM), helper.temp()
  local file = assert(io.open(path, "wb"))
  for i = 1, count do
    local row = {}
    for j = 0, DIM - 1 do
      values[j] = math.random() * 2 - 1
      row[j + 1] = values[j]
    end
    list[i] = mp.Floats(row)
    file:write(ffi.string(values, 4 * DIM))
  end
  file:close()
  return list, path
end

local function store_of(rows)
  local texts = {}
  for i = 1, #rows do texts[i] = tostring(i - 1) end
  return mp.FAISS.from_embeddings(texts, rows, { embedding = mp.HashEmbeddings() })
end

local function parse(line)
  local found = {}
  for id, distance in line:gmatch("(%d+):(%S+)") do
    found[#found + 1] = { id = id, distance = tonumber(distance) }
  end
  return found
end

local function near(a, b, share)
  return math.abs(a - b) <= share * math.abs(b)
end

-- Where ids differ, the distances must be a tie.
local function same(query, found, expected)
  assert.equal(K, #found)
  for i, pair in ipairs(found) do
    local wanted, place = expected[i], ("query %d, place %d"):format(query, i)
    assert.is_true(near(pair[3], wanted.distance, 1e-4), place)
    assert.is_true(pair[1].page_content == wanted.id
      or near(pair[3], wanted.distance, 1e-5), place)
  end
end

describe("FAISS beside python3-faiss", function()
  helper.with_vectors(it)("finds the same among 10,000 vectors, one by one and 64 together", function()
    if not helper.long then return pending("long tier") end
    local _, _, missing = helper.execute({ PYTHON, "-c", "import faiss" })
    if missing ~= 0 then return pending("python3-faiss is not installed") end
    local rows, rows_path = make(ROWS, 1)
    local queries, queries_path = make(QUERIES, 2)
    local stdout, stderr, code = helper.execute({ PYTHON, "spec/support/faiss_answers.py",
      rows_path, queries_path, DIM, K })
    assert.equal(0, code, stderr)
    local expected = {}
    for line in stdout:gmatch("[^\n]+") do expected[#expected + 1] = parse(line) end
    assert.equal(QUERIES, #expected)

    local store = store_of(rows)
    store.embedding = { embed_query = function(_, name) return queries[tonumber(name)] end }
    for i = 1, 8 do same(i, store:similarity_search_with_score(tostring(i), { k = K }), expected[i]) end
    local search = mp.RunnableLambda(function(i)
      return store:similarity_search_with_score(tostring(i), { k = K })
    end)
    local numbers = {}
    for i = 1, QUERIES do numbers[i] = i end
    for i, found in ipairs(search:batch(numbers)) do same(i, found, expected[i]) end
  end)
end)
