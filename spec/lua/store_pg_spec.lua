-- mp.PGVector against Debian's PostgreSQL, which has no pgvector: vectors are real[] there.
local filter = require "moonpipe.stores.filter"
local helper = require "spec.helper"
local json = require "moonpipe.json"
local mp = require "moonpipe"
local postgres = require "spec.support.postgres"
local process = require "spec.support.process"

local with_vectors = helper.with_vectors(it)
local embedding = mp.HashEmbeddings()
local server
local made = 0

local failure = helper.failure

local usage = helper.said

-- Options of a collection of its own, with [more].
local function options(more)
  made = made + 1
  local opts = { connection = server.url, embedding = embedding, collection_name = "spec " .. made }
  for name, value in pairs(more or {}) do opts[name] = value end
  return opts
end

local function store_of(rows, more)
  local texts, ids, metadatas, vectors = {}, {}, {}, {}
  for i, row in ipairs(rows) do
    texts[i], ids[i], metadatas[i] = row.text or row.id, row.id, row.metadata or {}
    vectors[i] = row.vector
  end
  local opts = options(more)
  opts.ids, opts.metadatas = ids, metadatas
  return mp.PGVector.from_embeddings(texts, vectors, opts)
end

local function plane(more)
  return store_of({ { id = "a", vector = { 0, 1 } }, { id = "b", vector = { 3, 4 } },
    { id = "c", vector = { -2, 0 } } }, more)
end

local function ids_of(documents)
  local out = {}
  for i, doc in ipairs(documents) do out[i] = doc.id end
  return out
end

local TEXTS = { "harrison worked at kensho", "bears like to eat honey", "the moon is far" }

local function start_server()
  server = server or postgres.start()
end

describe("PGVector", function()
  lazy_setup(start_server)

  it("finds the nearest text, through a retriever in a chain too", function()
    local store = mp.PGVector.from_texts(TEXTS, options())
    assert.equal(TEXTS[1], store:similarity_search("where did harrison work?", { k = 1 })[1].page_content)
    local chain = mp.pipe(store:as_retriever { search_kwargs = { k = 1 } },
      function(documents) return documents[1].page_content end)
    assert.equal(TEXTS[2], chain:invoke "what do bears eat?")
  end)

  with_vectors("measures as FAISS does, and scores by the same similarity", function()
    for _, strategy in ipairs { "l2", "cosine", "inner_product" } do
      local opts = { embedding = embedding, distance_strategy = strategy }
      local faiss = mp.FAISS.from_texts(TEXTS, opts):similarity_search_with_score "moon honey"
      local ours = mp.PGVector.from_texts(TEXTS, options { distance_strategy = strategy })
        :similarity_search_with_score "moon honey"
      assert.equal(3, #ours)
      for i, hit in ipairs(faiss) do
        assert.equal(hit[1].page_content, ours[i][1].page_content)
        assert.near(hit[2], ours[i][2], 1e-6)
        assert.near(hit[3], ours[i][3], 1e-6)
        assert.equal(ours[i][2], ours[i][1].score)
      end
    end
  end)

  it("takes vectors of any length, and of length 0", function()
    local store = plane { distance_strategy = "l2" }
    assert.same({ "a", "c", "b" }, ids_of(store:similarity_search_by_vector({ 0, 0 }, { k = 9 })))
    store = plane()
    store:add_embeddings({ "zero" }, { { 0, 0 } }, { ids = { "zero" } })
    assert.same({ "b", "a", "zero", "c" }, ids_of(store:similarity_search_by_vector { 1, 1 }))
    assert.same(4, #store:similarity_search_by_vector { 0, 0 })
  end)

  it("keeps documents as they are", function()
    local metadata = { year = 2001, half = 0.1, deep = { list = { 1, "two", { three = 3 } } },
      yes = true, nothing = json.null, ["ü\"'\\ $1"] = "ü\"'\\ $1\n" }
    local store = plane()
    store:add_embeddings({ "ü\"'\\ $1\n" }, { { 1, 1 } }, { ids = { "ü\"'\\" },
      metadatas = { metadata } })
    local found = store:get_by_ids({ "ü\"'\\" })[1]
    assert.equal("ü\"'\\ $1\n", found.page_content)
    assert.equal(json.encode(metadata), json.encode(found.metadata))
    assert.equal(0.1, found.metadata.half)
  end)

  it("is seen by others at once, and found again", function()
    local store = plane()
    local again = mp.PGVector { connection = server.url, embedding = embedding,
      collection_name = store.collection_name }
    assert.equal(3, again:count())
    store:add_embeddings({ "d" }, { { 5, 5 } }, { ids = { "d" } })
    assert.same({ "d" }, ids_of(again:get_by_ids { "d", "nobody" }))
  end)

  it("replaces what has the id, unless told not to", function()
    local store = plane()
    store:add_embeddings({ "new" }, { { 9, 0 } }, { ids = { "a" } })
    assert.equal(3, store:count())
    assert.equal("new", store:get_by_ids({ "a" })[1].page_content)
    assert.same({ "a" }, ids_of(store:similarity_search_by_vector({ 1, 0 }, { k = 1 })))
    local err = failure(store.add_embeddings, store, { "x", "y" }, { { 1, 1 }, { 1, 1 } },
      { ids = { "x", "a" }, upsert = false })
    assert.equal("input: id 'a' is already in the store", tostring(err))
    assert.equal(3, store:count())
  end)

  it("gives ids to those that have none", function()
    local store = plane()
    local ids = store:add_embeddings({ "x", "y" }, { { 1, 1 }, { 2, 2 } })
    assert.equal(5, store:count())
    assert.same(ids, ids_of(store:get_by_ids(ids)))
  end)

  it("deletes all or none", function()
    local store = plane()
    local err = failure(store.delete, store, { "a", "nobody" })
    assert.equal("input: there is no id 'nobody' in the store", tostring(err))
    assert.equal(3, store:count())
    store:delete({ "a", "nobody" }, { missing_ok = true })
    store:delete { "b" }
    assert.same({ "c" }, ids_of(store:similarity_search_by_vector { 1, 1 }))
  end)

  it("adds all or none, however many", function()
    local rows, texts, ids = {}, {}, {}
    for i = 1, 450 do
      rows[i], texts[i], ids[i] = { i, 1 }, "text " .. i, "id " .. i
    end
    local store = plane { distance_strategy = "inner_product" }
    texts[450] = "\255"
    assert.equal("input", failure(store.add_embeddings, store, texts, rows, { ids = ids }).kind)
    assert.equal(3, store:count())
    texts[450] = "\195\188"
    store:add_embeddings(texts, rows, { ids = ids })
    assert.equal(453, store:count())
    assert.same({ "id 450", "id 449" }, ids_of(store:similarity_search_by_vector({ 1, 0 }, { k = 2 })))
  end)

  it("chooses documents that differ from one another", function()
    local store = store_of { { id = "a", vector = { 1, 0 } }, { id = "b", vector = { 1, 0.01 } },
      { id = "c", vector = { 0.6, 0.8 } } }
    assert.same({ "a", "c" }, ids_of(store:max_marginal_relevance_search_by_vector({ 1, 0 },
      { k = 2, lambda_mult = 0.3 })))
  end)

  with_vectors("merges with other stores", function()
    local faiss = mp.FAISS.from_texts(TEXTS, { embedding = embedding, ids = { "1", "2", "3" } })
    local store = mp.PGVector(options())
    assert.same({ "1", "2", "3" }, store:merge_from(faiss))
    local back = mp.FAISS { embedding = embedding }
    assert.same({ "1", "2", "3" }, back:merge_from(store))
    assert.equal(TEXTS[3], back:similarity_search("moon", { k = 1 })[1].page_content)
  end)

  it("is empty before the first add, and after its collection was deleted", function()
    local store = mp.PGVector(options())
    assert.same({}, store:similarity_search "x")
    assert.equal(0, store:count())
    assert.same({}, store:get_by_ids { "a" })
    store:delete({ "a" }, { missing_ok = true })
    assert.equal("input", failure(store.delete, store, { "a" }).kind)
    store = plane()
    local other = mp.PGVector(options { collection_name = store.collection_name })
    assert.equal(3, other:count())
    store:delete_collection()
    store:delete_collection()
    assert.equal(0, other:count())
    assert.equal(0, store:count())
  end)

  it("adds to a collection that somebody has deleted", function()
    local store = plane()
    local other = mp.PGVector(options { collection_name = store.collection_name })
    other:delete_collection()
    store:add_embeddings({ "x" }, { { 1, 2, 3 } }, { ids = { "x" } })
    assert.equal(1, other:count())
  end)

  it("makes a collection once, whoever comes first", function()
    local opts = options()
    local step = mp.RunnableLambda(function(i)
      return #mp.PGVector.from_embeddings({ "t" }, { { i, 1 } },
        { connection = opts.connection, embedding = embedding, ids = { "id " .. i },
          collection_name = opts.collection_name, schema = "fresh" })
    end)
    step:batch { 1, 2, 3, 4, 5, 6 }
    opts.schema = "fresh"
    assert.equal(6, mp.PGVector(opts):count())
  end)

  it("refuses vectors of another length or model", function()
    local store = plane()
    local expected = ("input: vectors of 3 numbers, but the collection '%s' has vectors of 2")
      :format(store.collection_name)
    assert.equal(expected, tostring(failure(store.similarity_search_by_vector, store, { 1, 2, 3 })))
    assert.equal(expected, tostring(failure(store.add_embeddings, store, { "x" }, { { 1, 2, 3 } })))
    local function named(model)
      return { model = model, embed_query = function() return { 1, 0 } end,
        embed_documents = function() return { { 1, 0 } } end }
    end
    local opts = options { embedding = named "one" }
    mp.PGVector.from_texts({ "x" }, opts)
    opts.embedding = named "two"
    local err = failure(mp.PGVector(opts).similarity_search, mp.PGVector(opts), "x")
    assert.equal(("input: the collection '%s' is of the model 'one', not of 'two'"):format(
      opts.collection_name), tostring(err))
  end)

  it("says what is wrong with its options", function()
    local function says(pattern, more)
      assert.matches(pattern, usage(mp.PGVector, options(more)))
    end
    says("unknown option 'colection'", { colection = "x" })
    says("collection_name of PGVector must be a text of 1 to 58 bytes", { collection_name = "" })
    says("got one of 59", { collection_name = ("x"):rep(59) })
    says("schema of PGVector must be a text", { schema = "a\0b" })
    says("'collections'", { collection_name = "collections" })
    says("pool_size of PGVector must be an integer from 1 to 64", { pool_size = 0 })
    says("index of PGVector is .*; it must be 'hnsw'", { index = "flat" })
    says("m of index of PGVector must be an integer", { index = { kind = "hnsw", m = 1.5 } })
    says("timeout of PGVector: total must be seconds", { timeout = -1 })
    says("distance_strategy of PGVector", { distance_strategy = "manhattan" })
    says("connection of PGVector is a text or a secret", { connection = 5 })
    assert.matches("needs connection =", usage(mp.PGVector, { embedding = embedding }))
  end)

  it("needs the extension for an index", function()
    local err = failure(mp.PGVector.from_texts, TEXTS, options { index = "hnsw" })
    assert.equal("unsupported", err.kind)
    assert.matches("needs the extension pgvector", err.message)
  end)
end)

-- ---- filters -----------------------------------------------------------------------------------

local METADATA = {
  {}, { year = 2000 }, { year = 2010.5 }, { year = -1 }, { year = 0 }, { year = "2000" },
  { year = true }, { year = false }, { year = json.null }, { year = json.array { 2000, 2010.5 } },
  { year = { deep = 2000 } }, { year = "" }, { year = "a\"b'c" }, { year = "\195\188" },
  { year = "Z" }, { year = "a" }, { year = "abc" }, { year = 1e300 }, { year = 0.1 },
  { tags = json.array { "a", "b" } }, { tags = json.array { "ab" } }, { tags = json.array {} },
  { tags = json.array { json.null } }, { tags = json.array { 1, true } }, { tags = "abc" },
  { tags = { ["1"] = "a" } }, { tags = json.array { json.array { "a" } } },
  { a = { b = { c = 1 } } }, { a = { b = json.array { { c = 1 } } } }, { a = { b = json.null } },
  { ["x'); DROP TABLE t; --"] = "y'); DROP TABLE t; --" }, { year = 2000, tags = "a" },
}

local OPERANDS = { 2000, 2010.5, 0, -1, 1e300, 0.1, "2000", "", "a", "abc", "\195\188", "a\"b'c" }

-- Filters of one key with each operator and operand that may stand there.
local function simple_filters()
  local list = {}
  local function add(key, operator, value) list[#list + 1] = { [key] = { [operator] = value } } end
  for _, key in ipairs { "year", "tags", "year.deep", "a.b", "a.b.c", "tags.1" } do
    for _, operator in ipairs { "$gt", "$gte", "$lt", "$lte", "$eq", "$ne", "$contains" } do
      for _, value in ipairs(OPERANDS) do add(key, operator, value) end
    end
    for _, operator in ipairs { "$eq", "$ne", "$contains" } do
      for _, value in ipairs { true, false, json.null } do add(key, operator, value) end
    end
    for _, operator in ipairs { "$in", "$nin" } do
      add(key, operator, {})
      add(key, operator, { 2000, "a", true })
      add(key, operator, { json.null, "2000" })
      add(key, operator, { 0.1, 1e300, -1, math.huge, "a\"b'c", "\195\188", "" })
    end
    add(key, "$exists", true)
    add(key, "$exists", false)
    add(key, "$gt", -math.huge)
    add(key, "$eq", math.huge)
    add(key, "$not", { ["$gte"] = 2000 })
  end
  return list
end

local function compound_filters()
  local hostile = "x'); DROP TABLE t; --"
  return {
    { year = { ["$gte"] = 0, ["$lt"] = 2010 } },
    { ["$or"] = { { year = 2000 }, { tags = { ["$contains"] = "a" } } } },
    { ["$and"] = { { year = { ["$exists"] = true } }, { ["$not"] = { year = 2000 } } } },
    { ["$not"] = { ["$or"] = { { year = json.null }, { year = { ["$lt"] = 5 } } } } },
    { [hostile] = "y'); DROP TABLE t; --" }, { [hostile] = { ["$exists"] = true } },
    { year = 2000, tags = "a" }, { ["x$1"] = 1 }, { ["year"] = "$2" },
    function(metadata) return metadata.year == 2000 end,
    { ["$and"] = { { year = 2000 }, function(metadata) return metadata.tags ~= nil end } },
    { ["$or"] = { { year = 0 }, function(_, doc) return doc.id == "3" end } },
    { ["$not"] = { ["$and"] = { function(metadata) return metadata.year end } } },
  }
end

describe("PGVector filters", function()
  lazy_setup(start_server)
  lazy_teardown(function() server:stop() end)

  it("finds what filter.lua finds", function()
    local rows = {}
    for i, metadata in ipairs(METADATA) do
      rows[i] = { id = tostring(i), metadata = metadata, vector = { 1, i } }
    end
    local store = store_of(rows, { distance_strategy = "inner_product" })
    local list = simple_filters()
    for _, given in ipairs(compound_filters()) do list[#list + 1] = given end
    for number, given in ipairs(list) do
      local matches, expected = filter.compile(given), {}
      for i = #METADATA, 1, -1 do
        if matches(METADATA[i], { id = tostring(i) }) then expected[#expected + 1] = tostring(i) end
      end
      local found = store:similarity_search_by_vector({ 0, 1 }, { k = 100, filter = given })
      assert.same(expected, ids_of(found), ("filter %d: %s"):format(number, mp.inspect(given)))
    end
  end)

  it("takes lists of any length", function()
    local store = store_of({ { id = "1", metadata = { n = 70000 }, vector = { 1 } },
      { id = "2", metadata = { n = "x70000" }, vector = { 2 } },
      { id = "3", metadata = { n = 0.5 }, vector = { 3 } } }, { distance_strategy = "inner_product" })
    local list = {}
    for i = 1, 70000 do list[2 * i - 1], list[2 * i] = i, "x" .. i end
    local function found(operator)
      return ids_of(store:similarity_search_by_vector({ 1 }, { filter = { n = { [operator] = list } } }))
    end
    assert.same({ "2", "1" }, found "$in")
    assert.same({ "3" }, found "$nin")
  end)

  it("gives k where k are there, however late a function finds them", function()
    local rows = {}
    for i = 1, 300 do rows[i] = { id = tostring(i), metadata = { n = i }, vector = { i, 1 } } end
    local store = store_of(rows, { distance_strategy = "inner_product" })
    local found = store:similarity_search_by_vector({ 1, 0 }, { k = 3, filter = function(metadata)
      return metadata.n <= 4
    end })
    assert.same({ "4", "3", "2" }, ids_of(found))
    found = store:similarity_search_by_vector({ 1, 0 }, { k = 5, filter = function() return false end })
    assert.same({}, found)
  end)
end)

describe("PGVector with pgvector", function()
  local FOLDER = "build/pglite"
  local PACKAGES = { "@electric-sql/pglite@0.5.14", "@electric-sql/pglite-pgvector@0.0.15",
    "@electric-sql/pglite-socket@0.2.17" }
  local problem, running, url

  local function fetch()
    if io.open(FOLDER .. "/node_modules/@electric-sql/pglite-socket/package.json") then return end
    helper.execute { "mkdir", "-p", FOLDER }
    local _, err, code = helper.execute { "npm", "install", "--prefix", FOLDER, "--no-audit",
      "--no-fund", unpack(PACKAGES) }
    if code ~= 0 then problem = "npm: " .. err:sub(-200) end
  end

  lazy_setup(function()
    fetch()
    if problem then return end
    helper.execute { "cp", "spec/support/pglite.mjs", FOLDER .. "/pglite.mjs" }
    running = process.start { "node", FOLDER .. "/pglite.mjs" }
    url = ("postgresql://postgres@127.0.0.1:%d/postgres?sslmode=disable"):format(running.ports[1])
  end)

  lazy_teardown(function()
    if running then running:stop() end
  end)

  local function it_has(name, fn)
    with_vectors(name, function()
      if problem then return pending(problem) end
      fn()
    end)
  end

  it_has("measures as FAISS does, with an index and without", function()
    for _, strategy in ipairs { "l2", "cosine", "inner_product" } do
      for _, index in ipairs { false, "hnsw" } do
        local store = mp.PGVector.from_texts(TEXTS, { connection = url, embedding = embedding,
          collection_name = strategy .. tostring(index), distance_strategy = strategy,
          index = index or nil, pool_size = 1 })
        local faiss = mp.FAISS.from_texts(TEXTS, { embedding = embedding,
          distance_strategy = strategy }):similarity_search_with_score "moon honey"
        for i, hit in ipairs(store:similarity_search_with_score "moon honey") do
          assert.equal(faiss[i][1].page_content, hit[1].page_content)
          assert.near(faiss[i][2], hit[2], 1e-5)
          assert.near(faiss[i][3], hit[3], 1e-5)
        end
        assert.equal(2, #store:max_marginal_relevance_search("moon", { k = 2 }))
      end
    end
  end)

  it_has("gives k where k match, though the index looks at fewer", function()
    local texts, vectors, metadatas, ids = {}, {}, {}, {}
    for i = 1, 400 do
      texts[i], ids[i], metadatas[i] = "t", tostring(i), { n = i }
      vectors[i] = { math.cos(i / 300), math.sin(i / 300) }
    end
    local store = mp.PGVector.from_embeddings(texts, vectors, { connection = url, pool_size = 1,
      embedding = embedding, collection_name = "many", index = { kind = "hnsw", m = 8,
        ef_construction = 32 }, ids = ids, metadatas = metadatas })
    local found = store:similarity_search_by_vector({ 1, 0 }, { k = 5,
      filter = { n = { ["$gt"] = 390 } } })
    assert.same({ "391", "392", "393", "394", "395" }, ids_of(found))
  end)
end)
