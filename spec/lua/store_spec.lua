local helper = require "spec.helper"
local mp = require "moonpipe"
local native = require "moonpipe.native"

local always, it = it, helper.with_vectors(it)
local c = native.c
local embedding = mp.HashEmbeddings()

local usage, failure = helper.said, helper.failure

local TEXTS = { "harrison worked at kensho", "bears like to eat honey", "the moon is far" }

local function plane()
  return mp.FAISS.from_embeddings({ "a", "b", "c" }, { { 0, 0 }, { 1, 0 }, { 0, 3 } },
    { embedding = embedding, ids = { "A", "B", "C" } })
end

local function contents(documents)
  local out = {}
  for i, doc in ipairs(documents) do out[i] = doc.page_content end
  return out
end

describe("FAISS", function()
  it("finds the nearest text", function()
    local store = mp.FAISS.from_texts(TEXTS, { embedding = embedding })
    local found = store:similarity_search("where did harrison work?", { k = 1 })
    assert.same({ TEXTS[1] }, contents(found))
  end)

  it("gives four unless told otherwise, or as many as there are", function()
    local store = mp.FAISS.from_texts(TEXTS, { embedding = embedding })
    assert.equal(3, #store:similarity_search("moon"))
    store:add_texts({ "one", "two", "three" })
    assert.equal(4, #store:similarity_search("moon"))
  end)

  it("gives the squared distance beside the similarity, least first", function()
    local store = plane()
    store.embedding = { embed_query = function() return { 0, 1 } end }
    local found = store:similarity_search_with_score("x")
    assert.same({ "a", "b", "c" }, { found[1][1].page_content, found[2][1].page_content,
      found[3][1].page_content })
    assert.same({ 1, 2, 4 }, { found[1][3], found[2][3], found[3][3] })
    assert.same({ 0.5, 0, 0 }, { found[1][2], found[2][2], found[3][2] })
  end)

  it("gives the inner product beside it, greatest first", function()
    local store = mp.FAISS.from_embeddings({ "a", "b" }, { { 1, 0 }, { 3, 0 } },
      { embedding = embedding, distance_strategy = "inner_product" })
    store.embedding = { embed_query = function() return { 2, 0 } end }
    local found = store:similarity_search_with_score("x")
    assert.same({ "b", 1, 6 }, { found[1][1].page_content, found[1][2], found[1][3] })
  end)

  it("scores by one similarity, whatever the index measures", function()
    local rows = { { 1, 0 }, { 0.6, 0.8 }, { 0, 1 }, { -1, 0 } }
    for _, strategy in ipairs { "l2", "inner_product" } do
      local store = mp.FAISS.from_embeddings({ "a", "b", "c", "d" }, rows,
        { embedding = embedding, distance_strategy = strategy })
      store.embedding = { embed_query = function() return { 1, 0 } end }
      local found = store:similarity_search_with_score("x")
      for i, expected in ipairs { 1, 0.6, 0, 0 } do
        assert.near(expected, found[i][2], 1e-6)
        assert.equal(found[i][2], found[i][1].score)
      end
    end
  end)

  it("leaves out what is not near enough", function()
    local store = mp.FAISS.from_embeddings({ "a", "b" }, { { 1, 0 }, { 0, 1 } },
      { embedding = embedding })
    local opts = { score_threshold = 0.5 }
    assert.same({ "a" }, contents(store:similarity_search_by_vector({ 1, 0 }, opts)))
    assert.same({ "a", "b" }, contents(store:similarity_search_by_vector({ 1, 0 },
      { score_threshold = 0 })))
    assert.equal("score_threshold is the number 2; it must be a number from 0 to 1",
      usage(store.similarity_search, store, "x", { score_threshold = 2 }))
  end)

  it("searches by a vector, as a table or as Floats", function()
    assert.same({ "c" }, contents(plane():similarity_search_by_vector({ 0, 2 }, { k = 1 })))
    assert.same({ "b" }, contents(plane():similarity_search_by_vector(mp.Floats { 2, 0 }, { k = 1 })))
  end)

  it("keeps documents as they are", function()
    local doc = mp.Document { page_content = "x", metadata = { source = "f" }, id = "7" }
    local store = mp.FAISS.from_documents({ doc }, { embedding = embedding })
    local found = store:similarity_search("x")[1]
    assert.same({ "x", "7", nil }, { found.page_content, found.id, doc.score })
    assert.equal(doc.metadata, found.metadata)
    assert.near(1, found.score, 1e-6)
  end)

  it("makes documents with metadatas and ids", function()
    local store = mp.FAISS.from_texts({ "x" },
      { embedding = embedding, metadatas = { { source = "f" } }, ids = { "7" } })
    local doc = store:similarity_search("x")[1]
    assert.same({ "f", "7" }, { doc.metadata.source, doc.id })
  end)

  it("gives the ids of what was added", function()
    local one = mp.FAISS.from_texts(TEXTS, { embedding = embedding })
    local ids = one:add_texts({ "x", "y" })
    assert.equal(2, #ids)
    assert.same({ "y", "x" }, contents(one:get_by_ids { ids[2], ids[1] }))
    assert.equal(ids[2], one:similarity_search("y", { k = 1 })[1].id)
    assert.same({ "Z" }, one:add_texts({ "z" }, { ids = { "Z" } }))
    assert.same({}, plane():add_documents({}))
  end)

  it("finds nothing in an empty store", function()
    local store = mp.FAISS.from_texts({}, { embedding = embedding })
    assert.same({}, store:similarity_search("x"))
    store:add_texts({ "x" })
    assert.equal(1, #store:similarity_search("x"))
  end)

  it("answers many that ask and add at once #concurrency", function()
    local store = mp.FAISS.from_texts(TEXTS, { embedding = embedding })
    local ask = mp.RunnableLambda(function(i)
      if i % 10 == 0 then store:add_texts({ "number " .. i }) end
      return store:similarity_search("where did harrison work?", { k = 1 })[1].page_content
    end)
    local inputs = {}
    for i = 1, 200 do inputs[i] = i end
    for _, answer in ipairs(ask:batch(inputs)) do assert.equal(TEXTS[1], answer) end
    assert.equal("number 50", store:similarity_search("number 50", { k = 1 })[1].page_content)
  end)

  it("refuses an id twice and adds nothing", function()
    local store = plane()
    local vectors = { embed_documents = function() return { { 1, 1 } } end }
    store.embedding = vectors
    local err = failure(store.add_texts, store, { "again" }, { ids = { "A" } })
    assert.same({ "input", "id 'A' is already in the store" }, { err.kind, err.message })
    assert.equal(3, c.index_count(store._index))
  end)

  it("refuses vectors of another dimension, and frees their ids", function()
    local store = plane()
    store.embedding = { embed_documents = function() return { { 1, 1, 1 } } end }
    local err = failure(store.add_texts, store, { "x" }, { ids = { "D" } })
    assert.same({ "input", "the index holds vectors of 2 numbers, got 3" },
      { err.kind, err.message })
    store.embedding = { embed_documents = function() return { { 1, 1 } } end }
    assert.same({ "D" }, store:add_texts({ "x" }, { ids = { "D" } }))
    assert.equal("input", failure(store.similarity_search_by_vector, store, { 1 }).kind)
  end)

  it("takes a list that came as JSON", function()
    local texts = mp.JsonOutputParser():invoke '["a", "b"]'
    local store = mp.FAISS.from_texts(texts, { embedding = mp.HashEmbeddings() })
    assert.equal("b", store:similarity_search("b", { k = 1 })[1].page_content)
  end)

  it("refuses more vectors than texts", function()
    local err = failure(mp.FAISS.from_embeddings, { "a" }, { { 1 }, { 2 } },
      { embedding = embedding })
    assert.same({ "input", "2 vectors for 1 texts" }, { err.kind, err.message })
  end)

  it("refuses what is no argument of it", function()
    assert.equal("embedding of FAISS.from_texts is nil; it must be one, such as"
      .. " mp.HashEmbeddings()", usage(mp.FAISS.from_texts, TEXTS, {}))
    assert.equal("FAISS.from_texts takes a list, got a string",
      usage(mp.FAISS.from_texts, "x", { embedding = embedding }))
    assert.equal("item 2 of FAISS.from_texts is nil",
      usage(mp.FAISS.from_texts, { "a", nil, "c" }, { embedding = embedding }))
    assert.equal("k is the number 0; it must be a positive integer",
      usage(plane().similarity_search, plane(), "x", { k = 0 }))
    assert.equal("ids must be a list of 3, one for each text, got a list of 1",
      usage(mp.FAISS.from_texts, TEXTS, { embedding = embedding, ids = { "1" } }))
  end)
end)

describe("a retriever", function()
  local function store() return mp.FAISS.from_texts(TEXTS, { embedding = embedding }) end

  it("is a step that gives documents", function()
    local retriever = store():as_retriever { search_kwargs = { k = 2 } }
    assert.equal("retriever", tostring(retriever))
    assert.equal(2, #retriever:invoke("honey"))
    assert.equal(TEXTS[2], retriever:invoke("honey")[1].page_content)
  end)

  it("gives documents with their score", function()
    local found = store():as_retriever():invoke(TEXTS[2])
    assert.near(1, found[1].score, 1e-6)
    for i, pair in ipairs(store():similarity_search_with_score(TEXTS[2])) do
      assert.equal(pair[2], found[i].score)
    end
  end)

  it("gives only what is near enough", function()
    local retriever = store():as_retriever {
      search_type = "similarity_score_threshold", search_kwargs = { score_threshold = 1 / 3 },
    }
    assert.same({ TEXTS[2] }, contents(retriever:invoke(TEXTS[2])))
    assert.same({}, retriever:invoke("xyzzy"))
  end)

  it("says which search a threshold belongs to", function()
    local one = store()
    assert.equal("unknown option 'k' of as_retriever; write search_kwargs = { k = … }",
      usage(one.as_retriever, one, { k = 1 }))
    assert.equal("search_type 'similarity_score_threshold' needs search_kwargs ="
      .. " { score_threshold = … }", usage(one.as_retriever, one,
        { search_type = "similarity_score_threshold" }))
    assert.equal("score_threshold needs search_type = 'similarity_score_threshold'",
      usage(one.as_retriever, one, { search_kwargs = { score_threshold = 0.5 } }))
    assert.equal("score_threshold is the number -1; it must be a number from 0 to 1",
      usage(one.as_retriever, one, { search_kwargs = { score_threshold = -1 } }))
  end)

  it("answers a batch", function()
    local answers = store():as_retriever({ search_kwargs = { k = 1 } }):batch({ "honey", "moon" })
    assert.same({ TEXTS[2], TEXTS[3] }, { answers[1][1].page_content, answers[2][1].page_content })
  end)

  it("says how to give it a string", function()
    local retriever = store():as_retriever()
    local err = failure(retriever.invoke, retriever, { question = "x" })
    assert.equal("input", err.kind)
    assert.truthy(err.message:find(
      'got a table with keys {question}; use mp.itemgetter("question")', 1, true))
  end)

  it("says so at composition", function()
    local map = mp.RunnableParallel { question = mp.RunnablePassthrough() }
    assert.truthy(usage(map.pipe, map, store():as_retriever()):find(
      'got a table with keys {question}; use mp.itemgetter("question")', 1, true))
  end)

  it("refuses options that it has not", function()
    assert.truthy(usage(store().as_retriever, store(), { k = 2 }):find("unknown option 'k'", 1, true))
    assert.truthy(usage(store().as_retriever, store(), { search_type = "nmr" })
      :find("'nmr'; it must be 'similarity'", 1, true))
  end)
end)

describe("without FAISS", function()
  -- The program alone in a folder, without the shared object beside it.
  always("says what is missing", function()
    local folder = helper.temp() .. ".alone"
    helper.execute { "mkdir", "-p", folder .. "/bin" }
    helper.execute { "cp", helper.bin, folder .. "/bin/moonpipe" }
    local stdout, stderr = helper.execute { folder .. "/bin/moonpipe", "-e", [[
      local mp = require "moonpipe"
      print(mp.RunnableLambda(string.upper):invoke "the rest works")
      local ok, err = pcall(mp.FAISS.from_texts, { "x" }, { embedding = mp.HashEmbeddings() })
      print(ok, err.kind, err.message)]] }
    helper.execute { "rm", "-r", folder }
    assert.equal("THE REST WORKS\nfalse\tunsupported\tvectors need FAISS: there is no"
      .. " moonpipe_vector.so near '" .. folder .. "/bin/'; install libfaiss-dev and build anew\n",
      stdout, stderr)
  end)
end)
