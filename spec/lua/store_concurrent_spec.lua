--- Stores that many tasks change and ask at once, some of which fail or are cancelled.
local helper = require "spec.helper"
local mp = require "moonpipe"
local native = require "moonpipe.native"

local it = helper.with_vectors(it)

-- An embedding for which a text is its vector, "1 0 2", and which takes its time.
local slow = {}

local function vector_of(text)
  local vector = {}
  for number in text:gmatch("%S+") do vector[#vector + 1] = tonumber(number) end
  return vector
end

function slow.embed_query(_, text)
  return vector_of(text)
end

function slow.embed_documents(_, texts)
  local rows = {}
  for i, text in ipairs(texts) do
    if text == "fails" then error(mp.Error { kind = "io", message = "no way" }, 0) end
    rows[i] = vector_of(text)
  end
  mp.sleep(0.002)
  return rows
end

local function start(fn)
  return mp.RunnableLambda(fn):start()
end

local function wait(task)
  local value, err = task:wait()
  if err ~= nil then error(err, 0) end
  return value
end

-- Vectors that the index has: as many as there are documents, once nobody is at work.
local function vectors_in(store)
  store:similarity_search_by_vector({ 0, 0 }, { k = 1 }) -- behind what was asked before
  return native.c.index_count(store._index)
end

describe("a store at which many are at work", function()
  it("holds an id while its text is embedded", function()
    local store = mp.FAISS(slow)
    local first = start(function() return store:add_texts({ "1 1" }, { ids = { "A" } }) end)
    local second = start(function() return store:add_texts({ "2 2" }, { ids = { "A" } }) end)
    local other = start(function() return store:add_texts({ "3 3" }, { ids = { "B" } }) end)
    assert.same({ "A" }, wait(first))
    assert.equal("id 'A' is already in the store", helper.input_failure(wait, second))
    assert.same({ "B" }, wait(other))
    assert.same({ 2, 2 }, { store:count(), vectors_in(store) })
  end)

  it("gives an id to the next where the first one fails", function()
    local store = mp.FAISS(slow)
    local first = start(function() return store:add_texts({ "1 1", "fails" },
      { ids = { "A", "C" } }) end)
    local second = start(function() return store:add_texts({ "2 2", "3 3" },
      { ids = { "B", "A" } }) end)
    assert.equal("no way", helper.failure(wait, first).message)
    assert.same({ "B", "A" }, wait(second))
    assert.equal("3 3", store:get_by_ids({ "A" })[1].page_content)
    assert.same({ 2, 2 }, { store:count(), vectors_in(store) })
  end)

  it("does changes of one id one after another", function()
    local store = mp.FAISS(slow)
    local order, tasks = {}, {}
    for i = 1, 6 do
      tasks[i] = start(function()
        if i == 4 then
          store:delete { "A" }
        else
          store:add_texts({ i .. " 0" }, { ids = { "A" }, upsert = true })
        end
        order[#order + 1] = i
      end)
    end
    for i = 1, 6 do wait(tasks[i]) end
    assert.same({ 1, 2, 3, 4, 5, 6 }, order)
    assert.equal("6 0", store:get_by_ids({ "A" })[1].page_content)
    assert.equal(store:count(), vectors_in(store))
  end)

  it("keeps nothing of an add that is cancelled, whenever that is #concurrency", function()
    local store = mp.FAISS.from_texts({ "0 0" }, { embedding = slow })
    local kept, cancelled = 1, 0
    for i = 1, 60 do
      local rows, texts, ids = {}, {}, {}
      for j = 1, 50 do rows[j], texts[j], ids[j] = { i, j }, "x", i .. "-" .. j end
      local task = start(function() return store:add_embeddings(texts, rows, { ids = ids }) end)
      for _ = 1, i % 12 do mp.update() end
      task:cancel()
      local _, err = task:wait()
      if err == nil then
        kept = kept + 50
      else
        assert.equal("cancelled", err.kind)
        cancelled = cancelled + 1
      end
      assert.equal(err == nil and 50 or 0, #store:get_by_ids(ids))
    end
    assert.is_true(cancelled > 0)
    assert.same({ kept, kept }, { store:count(), vectors_in(store) })
    local task = start(function() return store:add_texts({ "9 9" }, { ids = { "Z" } }) end)
    mp.sleep(0.001)
    task:cancel()
    assert.equal("cancelled", helper.failure(wait, task).kind)
    assert.same({ "Z" }, store:add_texts({ "9 9" }, { ids = { "Z" } }))
  end)

  it("takes back what the index had added before the cancel came", function()
    local store = mp.FAISS.from_texts({ "0 0" }, { embedding = slow })
    local add, task = native.c.index_add, nil
    native.c.index_add = function(...)
      local job = add(...)
      assert.is_true(native.c.wait(10)) -- the answer is there, and nobody has looked at it
      task:cancel()
      return job
    end
    task = start(function()
      return store:add_embeddings({ "x", "y" }, { { 1, 1 }, { 2, 2 } }, { ids = { "A", "B" } })
    end)
    local ok, err = pcall(wait, task)
    native.c.index_add = add
    assert.same({ false, "cancelled" }, { ok, err.kind })
    assert.same({ 1, 1 }, { store:count(), vectors_in(store) })
    assert.same({}, store:get_by_ids { "A", "B" })
  end)

  for _, kind in ipairs { "flat", "hnsw", "ivf", "sq" } do
    it(("finds k of %s while others add, replace and delete #concurrency"):format(kind), function()
      local texts, ids, fixed = {}, {}, {}
      for i = 1, 30 do
        texts[i], ids[i], fixed[i] = i .. " 0", "fixed " .. i, { fixed = true }
      end
      local store = mp.FAISS.from_texts(texts, { embedding = slow, ids = ids, metadatas = fixed,
        index = kind })
      local there = {} -- what the changing ones left, by id

      local function change(i)
        local id = "id " .. i
        for round = 1, 6 do
          local text = ("%d %d"):format(i % 30, round)
          store:add_embeddings({ text }, { vector_of(text) }, { ids = { id }, upsert = round > 1 })
          there[id] = text
          if (i + round) % 3 == 0 then
            store:delete { id }
            there[id] = nil
            if round < 6 then store:add_embeddings({ text }, { vector_of(text) }, { ids = { id } }) end
            there[id] = round < 6 and text or nil
          end
        end
      end

      local function ask(i)
        local query = { i % 30, 0 }
        for _ = 1, 8 do
          local found = store:similarity_search_by_vector(query, { k = 30 })
          local seen = {}
          for _, doc in ipairs(found) do
            assert(not seen[doc.id], "found twice")
            seen[doc.id] = true
          end
          assert(#found == 30, #found .. " found")
          found = store:similarity_search_by_vector(query, { k = 30, filter = { fixed = true } })
          assert(#found == 30, #found .. " fixed ones found")
          for _, doc in ipairs(found) do assert(doc.metadata.fixed) end
          assert(#store:max_marginal_relevance_search_by_vector(query, { k = 10 }) == 10)
        end
      end

      local tasks = {}
      for i = 1, 12 do
        tasks[#tasks + 1] = start(function() change(i) end)
        tasks[#tasks + 1] = start(function() ask(i) end)
      end
      for _, task in ipairs(tasks) do wait(task) end
      local count = 30
      for id, text in pairs(there) do
        count = count + 1
        assert.equal(text, store:get_by_ids({ id })[1].page_content)
      end
      assert.same({ count, count }, { store:count(), vectors_in(store) })
    end)
  end

  it("merges one that is changed meanwhile #concurrency", function()
    local other = mp.FAISS(slow)
    local texts, rows = {}, {}
    for i = 1, 200 do texts[i], rows[i] = i .. " 1", { i, 1 } end
    local ids = other:add_embeddings(texts, rows)
    local deleting = start(function()
      for i = 1, 200, 2 do other:delete { ids[i] } end
    end)
    local merged = {}
    for i = 1, 10 do
      merged[i] = start(function()
        local store = mp.FAISS(slow)
        local got = store:merge_from(other)
        assert(#got == store:count() and #got >= 100, #got .. " merged")
        for _, doc in ipairs(store:get_by_ids(got)) do
          local hit = store:similarity_search_with_score(doc.page_content, { k = 1 })[1]
          assert(hit[3] == 0 and hit[1].id == doc.id, "another vector than that of the document")
        end
      end)
    end
    for i = 1, 10 do wait(merged[i]) end
    wait(deleting)
  end)

  it("keeps the vectors of documents that a cancel came too late for", function()
    local store = mp.FAISS.from_texts({ "0 0" }, { embedding = slow })
    local docs = store.docstore
    function docs:put(...)
      local replaced = getmetatable(self).__index.put(self, ...)
      mp.sleep(1)
      return replaced
    end
    local task = start(function() return store:add_texts({ "5 5" }, { ids = { "A" } }) end)
    while #store:get_by_ids { "A" } == 0 do mp.sleep(0.001) end
    task:cancel()
    assert.equal("cancelled", helper.failure(wait, task).kind)
    assert.equal("A", store:similarity_search("5 5", { k = 1 })[1].id)
    docs.put = nil
    assert.equal("id 'A' is already in the store",
      helper.input_failure(store.add_texts, store, { "6 6" }, { ids = { "A" } }))
    assert.same({ 2, 2 }, { store:count(), vectors_in(store) })
  end)

  it("takes back vectors whose documents could not be put", function()
    local store = mp.FAISS.from_texts({ "0 0" }, { embedding = slow })
    function store.docstore.put() error(mp.Error { kind = "io", message = "the disk is full" }, 0) end
    local err = helper.failure(store.add_texts, store, { "1 1", "2 2" }, { ids = { "A", "B" } })
    assert.equal("the disk is full", err.message)
    store.docstore.put = nil
    assert.same({ 1, 1 }, { store:count(), vectors_in(store) })
    assert.same({ "A" }, store:add_texts({ "1 1" }, { ids = { "A" } }))
  end)

  it("says so where a document has lost its vector", function()
    local store = mp.FAISS.from_texts({ "0 0" }, { embedding = slow })
    store.docstore:put(7, { mp.Document { page_content = "x", id = "X" } })
    local other = mp.FAISS(slow)
    assert.equal("there is no vector 7", helper.input_failure(other.merge_from, other, store))
  end)
end)
