--- What becomes of stores: adding, replacing, deleting, merging, by one and by many at once.
local helper = require "spec.helper"
local mp = require "moonpipe"
local native = require "moonpipe.native"

local it = helper.with_vectors(it)

-- An embedding for which a text is its vector: "1 0 2".
local spoken = {}

function spoken.embed_query(_, text)
  local vector = {}
  for number in text:gmatch("%S+") do vector[#vector + 1] = tonumber(number) end
  return vector
end

function spoken.embed_documents(_, texts)
  local rows = {}
  for i, text in ipairs(texts) do rows[i] = spoken.embed_query(nil, text) end
  return rows
end

local function contents(documents)
  local out = {}
  for i, doc in ipairs(documents) do out[i] = doc.page_content end
  return out
end

local function three(opts)
  opts = opts or {}
  opts.embedding, opts.ids = spoken, { "A", "B", "C" }
  return mp.FAISS.from_texts({ "1 0", "0 1", "1 1" }, opts)
end

local function all_of(store)
  local list = contents(store:similarity_search("0 0", { k = 1000 }))
  table.sort(list)
  return list
end

-- Rows that the index has; those without a document are given back.
local function rows_in(store)
  store:similarity_search("0 0", { k = 1 }) -- behind what was asked before
  return native.c.index_count(store._index)
end

describe("adding", function()
  it("gives ids of their own where none are given, and finds by them", function()
    local store = three()
    local ids = store:add_texts({ "2 2", "3 3" })
    assert.equal(2, #ids)
    assert.not_equal(ids[1], ids[2])
    assert.same({ "3 3", "0 1", "2 2" }, contents(store:get_by_ids { ids[2], "B", ids[1] }))
    assert.equal(ids[1], store:similarity_search("2 2", { k = 1 })[1].id)
    assert.equal(5, store:count())
  end)

  it("does not change the documents that it is given", function()
    local doc = mp.Document("2 2")
    local ids = three():add_documents({ doc })
    assert.is_nil(doc.id)
    assert.equal("string", type(ids[1]))
    assert.same({ "X" }, three():add_documents({ doc }, { ids = { "X" } }))
    assert.is_nil(doc.id)
  end)

  it("takes vectors that are known, for texts and for Documents", function()
    local store = three()
    store:add_embeddings({ "x" }, { { 5, 5 } }, { ids = { "X" }, metadatas = { { n = 1 } } })
    store:add_embeddings({ mp.Document("y", { n = 2 }) }, mp.Floats { { 6, 6 } }, { ids = { "Y" } })
    local found = store:similarity_search("5 5", { k = 2 })
    assert.same({ "x", "y" }, contents(found))
    assert.same({ 1, 2 }, { found[1].metadata.n, found[2].metadata.n })
    assert.same({}, store:add_embeddings({}, {}))
  end)

  it("refuses an id that is there, before anything is embedded", function()
    local store = three()
    store.embedding = { embed_documents = function() error("asked") end }
    assert.equal("id 'B' is already in the store",
      helper.input_failure(store.add_texts, store, { "9 9", "8 8" }, { ids = { "X", "B" } }))
    assert.equal("id 'X' is given twice",
      helper.input_failure(store.add_texts, store, { "9 9", "8 8" }, { ids = { "X", "X" } }))
    assert.equal("id 'X' is given twice", helper.input_failure(store.add_texts, store,
      { "9 9", "8 8" }, { ids = { "X", "X" }, upsert = true }))
    assert.equal(3, store:count())
  end)

  it("says what it does not take", function()
    local store = three()
    assert.equal("upsert is the number 1; it must be true or false",
      helper.said(store.add_texts, store, { "1 1" }, { upsert = 1 }))
    assert.equal("ids must be a list of 1, one for each document, got a list of 2",
      helper.said(store.add_documents, store, { mp.Document("1 1") }, { ids = { "a", "b" } }))
    assert.equal("metadatas of Documents are in them", helper.said(store.add_embeddings, store,
      { mp.Document("1 1") }, { { 1, 1 } }, { metadatas = { {} } }))
    assert.equal("2 vectors for 1 texts",
      helper.input_failure(store.add_embeddings, store, { "x" }, { { 1, 1 }, { 2, 2 } }))
    for said, given in pairs {
      ["embed_documents gave nil; it must give lists of numbers"] = false,
      ["0 vectors for 1 texts"] = {},
      ["2 vectors for 1 texts"] = { { 1, 1 }, { 2, 2 } },
      ["the index holds vectors of 2 numbers, got 1"] = { { 1 } },
    } do
      store.embedding = { embed_documents = function() return given or nil end }
      assert.equal(said, helper.input_failure(store.add_texts, store, { "x" }, { ids = { "X" } }))
    end
    assert.equal("1 vectors for 0 texts",
      helper.input_failure(store.add_embeddings, store, {}, { { 1, 1 } }))
    assert.equal(3, store:count())
  end)
end)

describe("upsert", function()
  it("replaces what has the id, vector and all", function()
    local store = three()
    assert.same({ "B", "D" }, store:add_texts({ "7 7", "8 8" },
      { ids = { "B", "D" }, metadatas = { { new = true }, {} }, upsert = true }))
    assert.same({ "1 0", "1 1", "7 7", "8 8" }, all_of(store))
    assert.is_true(store:get_by_ids({ "B" })[1].metadata.new)
    assert.same({ "7 7" }, contents(store:similarity_search("7 7", { k = 1 })))
    assert.same({ 4, 4 }, { store:count(), rows_in(store) })
  end)

  it("is what InMemoryVectorStore does unless told otherwise", function()
    local store = mp.InMemoryVectorStore(spoken)
    store:add_documents { mp.Document { page_content = "1 0", id = "A" } }
    store:add_documents { mp.Document { page_content = "0 1", id = "A" } }
    assert.same({ "0 1" }, contents(store:get_by_ids { "A" }))
    assert.equal("id 'A' is already in the store", helper.input_failure(store.add_texts, store,
      { "1 1" }, { ids = { "A" }, upsert = false }))
    assert.equal("InMemoryVectorStore", tostring(store))
    assert.equal("cosine", store.distance_strategy)
    assert.near(1, store:similarity_search("0 9")[1].score, 1e-6)
  end)
end)

describe("delete", function()
  it("forgets documents and their vectors", function()
    local store = three()
    store:delete { "A", "C" }
    assert.same({ "0 1" }, all_of(store))
    assert.same({}, store:get_by_ids { "A", "C" })
    assert.same({ 1, 1 }, { store:count(), rows_in(store) })
    store:add_texts({ "5 5" }, { ids = { "A" } })
    assert.same({ "0 1", "5 5" }, all_of(store))
  end)

  it("is of all or of none, unless what is missing may be", function()
    local store = three()
    assert.equal("there is no id 'X' in the store",
      helper.input_failure(store.delete, store, { "A", "X" }))
    assert.equal(3, store:count())
    store:delete({ "A", "X" }, { missing_ok = true })
    store:delete {}
    assert.equal(2, store:count())
  end)

  it("says what it does not take", function()
    local store = three()
    assert.equal("delete takes a list, got a string", helper.said(store.delete, store, "A"))
    assert.equal("id 1 of delete is the number 1; it must be a string",
      helper.said(store.delete, store, { 1 }))
    assert.equal("id 'A' of delete is given twice", helper.said(store.delete, store, { "A", "A" }))
    assert.equal("get_by_ids takes a list, got a string",
      helper.said(store.get_by_ids, store, "A"))
    assert.same({}, mp.FAISS(spoken):get_by_ids { "A" })
    assert.equal("there is no id 'A' in the store",
      helper.input_failure(store.delete, mp.FAISS(spoken), { "A" }))
  end)
end)

describe("merge_from", function()
  it("adds what the other has, and asks for no vector again", function()
    local one, other = three(), mp.FAISS.from_texts({ "4 4", "5 5" }, { embedding = spoken })
    one.embedding = { embed_query = spoken.embed_query }
    local ids = one:merge_from(other)
    assert.same({ "0 1", "1 0", "1 1", "4 4", "5 5" }, all_of(one))
    assert.same({ "4 4", "5 5" }, contents(one:get_by_ids(ids)))
    assert.same({ "4 4", "5 5" }, all_of(other))
    assert.same({}, one:merge_from(mp.FAISS(spoken)))
  end)

  it("leaves out what was deleted, and merges stores that named ids themselves", function()
    local one, other = mp.FAISS.from_texts({ "1 1", "2 2" }, { embedding = spoken }), three()
    other:add_texts { "3 3" }
    other:delete { "B" }
    one:merge_from(other)
    assert.same({ "1 0", "1 1", "1 1", "2 2", "3 3" }, all_of(one))
  end)

  it("refuses ids that are there, unless they may be replaced", function()
    local one, other = three(), three()
    other:add_texts({ "9 9" }, { ids = { "A" }, upsert = true })
    assert.equal("id 'A' is already in the store",
      helper.input_failure(one.merge_from, one, other):gsub("'[BC]'", "'A'"))
    assert.same({ "0 1", "1 0", "1 1" }, all_of(one))
    one:merge_from(other, { upsert = true })
    assert.same({ "0 1", "1 1", "9 9" }, all_of(one))
  end)

  it("refuses what cannot be compared", function()
    local one = three()
    assert.equal("merge_from takes a store, got a string", helper.said(one.merge_from, one, "x"))
    assert.equal("merge_from takes another store, got the same one",
      helper.said(one.merge_from, one, one))
    local cosine = three { distance_strategy = "cosine" }
    assert.equal("a store with distance_strategy = 'cosine' has not kept the lengths of its "
      .. "vectors, which 'l2' needs", helper.input_failure(one.merge_from, one, cosine))
    cosine:delete { "A", "B", "C" }
    assert.equal(3, #cosine:merge_from(one))
    local hash = mp.FAISS(mp.HashEmbeddings())
    hash.embedding.model = "a"
    one.embedding = { model = "b" }
    assert.equal("the vectors are of the model 'b', those of the other store of 'a'",
      helper.input_failure(one.merge_from, one, hash))
    one.embedding = spoken
    assert.equal("the index holds vectors of 2 numbers, got 3", helper.input_failure(
      one.merge_from, one, mp.FAISS.from_texts({ "1 2 3" }, { embedding = spoken })))
  end)
end)

describe("a store's options", function()
  it("are checked where it is made", function()
    for said, opts in pairs {
      ["distance_strategy of FAISS is 'cosin'; it must be 'l2', 'cosine' or 'inner_product'"] =
        { distance_strategy = "cosin" },
      ["index of FAISS is 'hnws'; it must be 'flat', 'hnsw', 'ivf' or 'sq'; did you mean 'hnsw'?"] =
        { index = "hnws" },
      ["index of FAISS is nil; it must be 'flat', 'hnsw', 'ivf' or 'sq'"] = { index = { m = 1 } },
      ["unknown option 'nlist' of index of FAISS; allowed: kind, ef_construction, ef_search, m"] =
        { index = { kind = "hnsw", nlist = 1 } },
      ["m of index of FAISS is the number 0; it must be a positive integer"] =
        { index = { kind = "hnsw", m = 0 } },
    } do
      opts.embedding = spoken
      assert.equal(said, (helper.said(mp.FAISS, opts):gsub("; did you mean 'kind'%?", "")))
    end
    assert.equal("embedding of FAISS is nil; it must be one, such as mp.HashEmbeddings()",
      helper.said(mp.FAISS))
    assert.equal(spoken, mp.FAISS(spoken).embedding)
    assert.equal("1 0", mp.FAISS.from_texts({ "1 0" }, spoken):similarity_search("1 0")[1]
      .page_content)
    assert.truthy(helper.said(mp.FAISS, { embeddings = spoken }):find("unknown option 'embeddings'"))
  end)
end)

-- ---- beside plain Lua --------------------------------------------------------------------------

local random = math.random

-- Beside a store stands `{ texts = by id }`, which it must be like. No text is made twice.

local function sorted_ids(plain)
  local ids = {}
  for id in pairs(plain.texts) do ids[#ids + 1] = id end
  table.sort(ids)
  return ids
end

local function some_of(ids)
  local chosen = {}
  for _, id in ipairs(ids) do
    if random(3) == 1 then chosen[#chosen + 1] = id end
  end
  return chosen
end

local serial = 0

local function fresh_text()
  serial = serial + 1
  return ("%d %d"):format(serial % 1000, math.floor(serial / 1000))
end

local CHANGES = {}

-- Adds with ids of which some may be there, and with such as the store gives.
function CHANGES.add(store, plain)
  local texts, ids, upsert = {}, {}, random(2) == 1
  for i = 1, random(4) do texts[i], ids[i] = fresh_text(), "id " .. random(30) .. "." .. i end
  local is_there = false
  for _, id in ipairs(ids) do is_there = is_there or plain.texts[id] ~= nil end
  local ok, got = pcall(store.add_texts, store, texts, { ids = ids, upsert = upsert })
  assert.equal(upsert or not is_there, ok)
  if ok then
    assert.same(ids, got)
    for i, id in ipairs(ids) do plain.texts[id] = texts[i] end
  else
    assert.truthy(got.message:find("is already in the store", 1, true))
  end
end

function CHANGES.add_unnamed(store, plain)
  local text = fresh_text()
  local id = store:add_documents({ mp.Document(text) })[1]
  assert.is_nil(plain.texts[id])
  plain.texts[id] = text
end

function CHANGES.delete(store, plain)
  local ids = some_of(sorted_ids(plain))
  if random(3) == 1 then
    ids[#ids + 1] = "not there"
    assert.equal("there is no id 'not there' in the store",
      helper.input_failure(store.delete, store, ids))
    store:delete(ids, { missing_ok = true })
  else
    store:delete(ids)
  end
  for _, id in ipairs(ids) do plain.texts[id] = nil end
end

function CHANGES.merge(store, plain)
  local other, texts, ids = mp.FAISS(spoken), {}, {}
  for i = 1, random(0, 3) do texts[i], ids[i] = fresh_text(), "id " .. random(30) .. "." .. i end
  other:add_texts(texts, { ids = ids })
  local given = other:delete(some_of(ids))
  assert.is_nil(given)
  store:merge_from(other, { upsert = true })
  for _, doc in ipairs(other:get_by_ids(ids)) do plain.texts[doc.id] = doc.page_content end
end

local function check_same(store, plain, place)
  local ids = sorted_ids(plain)
  assert.equal(#ids, store:count(), place)
  for i, doc in ipairs(store:get_by_ids(ids)) do
    assert.same({ ids[i], plain.texts[ids[i]] }, { doc.id, doc.page_content }, place)
  end
  local found = store:similarity_search_by_vector({ 0, 0 }, { k = 1000 })
  assert.equal(#ids, #found, place)
  for _, doc in ipairs(found) do
    assert.equal(plain.texts[doc.id], doc.page_content, place)
    local hit = store:similarity_search_with_score(doc.page_content, { k = 1 })[1]
    assert.same({ doc.id, 0 }, { hit[1].id, hit[3] }, place)
  end
end

describe("a store after any changes", function()
  it("holds what plain Lua holds, in each kind of index", function()
    for seed = 1, helper.long and 400 or 16 do
      math.randomseed(seed)
      serial = 0
      local kind = ({ "flat", "flat", "hnsw", "ivf" })[seed % 4 + 1]
      local store, plain = mp.FAISS { embedding = spoken, index = kind }, { texts = {} }
      for round = 1, 25 do
        local name = ({ "add", "add", "add_unnamed", "delete", "merge" })[random(5)]
        CHANGES[name](store, plain)
        if round % 5 == 0 then
          check_same(store, plain, ("seed %d, round %d, %s, %s"):format(seed, round, name, kind))
        end
      end
      assert.equal(store:count(), rows_in(store))
    end
  end)
end)
