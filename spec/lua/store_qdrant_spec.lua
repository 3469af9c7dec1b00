-- mp.QdrantVectorStore against recorded shapes: what is sent, member by member, and what comes of
-- answers as Qdrant documents them. There is no Qdrant here.
local cjson = require "cjson"
local filter = require "moonpipe.stores.filter"
local helper = require "spec.helper"
local json = require "moonpipe.json"
local mp = require "moonpipe"
local server = require("spec.support.server").use()

local lanes = 0

local failure = helper.failure

local usage = helper.said

local embedding = {
  embed_query = function() return { 0.5, -0.25 } end,
  embed_documents = function(_, texts)
    local rows = {}
    for i = 1, #texts do rows[i] = { i, 0.5 } end
    return rows
  end,
}

-- ---- answers ------------------------------------------------------------------------------------

local function said(result)
  return { body = json.encode { result = result, status = "ok", time = 0.001 } }
end

local function collection(distance, size)
  return said { status = "green", points_count = 1, config = { params = {
    vectors = { size = size or 2, distance = distance or "Cosine" } } } }
end

local function points(list)
  return said { points = json.array(list) }
end

local function point(id, score, metadata, fields)
  local out = { id = fields and fields.point_id or id, version = 3, score = score,
    payload = { page_content = "text " .. tostring(id), metadata = metadata or {}, id = id } }
  for name, value in pairs(fields or {}) do out[name] = value end
  out.point_id = nil
  return out
end

local DONE = said { operation_id = 0, status = "completed" }
local NO_COLLECTION = { status = 404, body = '{"status":{"error":"Not found: Collection `docs` '
  .. 'doesn\'t exist!"},"time":0.0001}' }

-- A store whose server gives these answers, one after the other.
local function store_with(answers, opts)
  lanes = lanes + 1
  local settings = { collection_name = "docs", embedding = embedding, max_retries = 0,
    url = server:lane("q" .. lanes, answers) }
  for name, value in pairs(opts or {}) do settings[name] = value end
  return mp.QdrantVectorStore(settings)
end

-- What was sent: "METHOD path", body.
local function sent(i)
  local request = server:requests()[i]
  local query = request.query and request.query ~= "" and "?" .. request.query or ""
  return request.method .. " " .. request.path:gsub("^.*/v1", "") .. query,
    request.body ~= "" and cjson.decode(request.body) or nil
end

local function assert_sent(i, line, body)
  local seen, members = sent(i)
  assert.equal(line, seen)
  assert.same(body, members)
end

local function ids_of(documents)
  local out = {}
  for i, doc in ipairs(documents) do out[i] = doc.id end
  return table.concat(out, " ")
end

describe("QdrantVectorStore", function()
  it("makes the collection at the first add, and sends points in batches", function()
    local store = store_with({ said(json.array {}), NO_COLLECTION, said(true), collection(), DONE,
      DONE }, { batch_size = 2, api_key = "qdrant-secret-key" })
    local ids = store:add_texts({ "a", "b", "c" }, { ids = { "x", "7",
      "3f2504e0-4f89-41d3-9a0c-0305e82c3301" }, metadatas = { { n = 1 }, {}, {} }, upsert = false })
    assert.equal(3, #ids)
    local _, asked = sent(1)
    local name = asked.ids[1]
    assert.matches("^%x+%-%x+%-8%x+%-%x+%-%x+$", name)
    assert_sent(1, "POST /collections/docs/points", { with_payload = true,
      ids = { name, 7, "3f2504e0-4f89-41d3-9a0c-0305e82c3301" } })
    assert_sent(2, "GET /collections/docs", nil)
    assert_sent(3, "PUT /collections/docs", { vectors = { size = 2, distance = "Cosine" } })
    assert_sent(4, "GET /collections/docs", nil)
    assert_sent(5, "PUT /collections/docs/points?wait=true", { points = {
      { id = name, vector = { 1, 0.5 }, payload = { page_content = "a", metadata = { n = 1 },
        id = "x" } },
      { id = 7, vector = { 2, 0.5 }, payload = { page_content = "b", metadata = {}, id = "7" } },
    } })
    assert_sent(6, "PUT /collections/docs/points?wait=true", { points = {
      { id = "3f2504e0-4f89-41d3-9a0c-0305e82c3301", vector = { 3, 0.5 }, payload = {
        page_content = "c", metadata = {}, id = "3f2504e0-4f89-41d3-9a0c-0305e82c3301" } },
    } })
    for _, request in ipairs(server:requests()) do
      assert.equal("qdrant-secret-key", request.headers["api-key"])
    end
  end)

  it("goes on where somebody else made the collection meanwhile", function()
    local store = store_with { NO_COLLECTION, { status = 409, body = '{"status":{"error":"Wrong '
      .. 'input: Collection `docs` already exists!"},"time":0}' }, collection(), DONE }
    assert.equal(1, #store:add_texts { "a" })
    assert.equal(4, #server:requests())
  end)

  it("searches, and reads what comes", function()
    local store = store_with { collection(), points { point("a", 0.75, { n = 1 }),
      point("b", 0.5, { n = json.null }) } }
    local found = store:similarity_search_with_score("x", { k = 2 })
    assert_sent(2, "POST /collections/docs/points/query", { query = { 0.5, -0.25 }, limit = 2,
      with_payload = true, with_vector = false })
    assert.equal("a", found[1][1].id)
    assert.equal("text a", found[1][1].page_content)
    assert.same({ 1, 0.75, 0.75 }, { found[1][1].metadata.n, found[1][2], found[1][3] })
    assert.equal("b", found[2][1].id)
  end)

  it("gives squared distances of Euclid, and inner products as they are", function()
    local store = store_with({ collection "Euclid", points { point("a", 0.5) } },
      { distance_strategy = "l2" })
    assert.equal(0.25, store:similarity_search_with_score("x", { k = 1 })[1][3])
    store = store_with({ collection "Dot", points { point("a", -2) } },
      { distance_strategy = "inner_product" })
    local found = store:similarity_search_with_score("x", { k = 1 })[1]
    assert.same({ 0, -2 }, { found[2], found[3] })
  end)

  it("asks for vectors where it must choose", function()
    local store = store_with { collection(), points { point("a", 1, {}, { vector = { 1, 0 } }),
      point("b", 0.99, {}, { vector = { 1, 0.01 } }), point("c", 0.6, {}, { vector = { 0.6, 0.8 } }) } }
    local found = store:max_marginal_relevance_search_by_vector({ 1, 0 }, { k = 2, fetch_k = 3,
      lambda_mult = 0.3 })
    assert.equal("a c", ids_of(found))
    local _, body = sent(2)
    assert.same({ 3, true }, { body.limit, body.with_vector })
  end)

  it("tests what comes, and asks for more until enough match", function()
    local function five(first, year)
      local list = {}
      for i = 1, 8 do list[i] = point(tostring(first + i), 1 - i / 10, { year = year(i) }) end
      return list
    end
    local answer = five(10, function(i) return i > 5 and 2000 or json.array { 2000 } end)
    local first = { answer[1], answer[2] }
    local store = store_with { collection(), points(first), points(answer) }
    local found = store:similarity_search_by_vector({ 1, 0 }, { k = 2, filter = { year = 2000 } })
    assert.equal("16 17", ids_of(found))
    local _, one = sent(2)
    local _, other = sent(3)
    assert.same({ must = { { key = "metadata.year", range = { gte = 2000, lte = 2000 } } } }, one.filter)
    assert.same({ 2, 8 }, { one.limit, other.limit })
  end)

  it("gets, deletes, counts and gives all", function()
    local store = store_with { said(json.array { point("b") }), said(json.array { point("a") }), DONE,
      said { count = 5 }, said { points = json.array { point("a", nil, {}, { vector = { 1, 2 } }) },
        next_page_offset = 7 }, said { points = json.array { point("b", nil, {}, {
        vector = { 3, 4 } }) }, next_page_offset = json.null }, said(true) }
    assert.equal("b", ids_of(store:get_by_ids { "a", "b" }))
    store:delete { "a" }
    assert_sent(3, "POST /collections/docs/points/delete?wait=true",
      { points = { select(2, sent(2)).ids[1] } })
    assert.equal(5, store:count())
    assert_sent(4, "POST /collections/docs/points/count", { exact = true })
    local all = helper.run(function() return { store:_all() } end)
    assert.equal("a b", ids_of(all[1]))
    assert.same({ { 1, 2 }, { 3, 4 } }, all[2]:totable())
    assert_sent(5, "POST /collections/docs/points/scroll", { limit = 256, with_payload = true,
      with_vector = true })
    assert.equal(7, select(2, sent(6)).offset)
    store:delete_collection()
    assert_sent(7, "DELETE /collections/docs", nil)
  end)

  it("deletes none where one is missing, and does not look where that is no matter", function()
    local store = store_with { said(json.array { point("a") }), DONE }
    assert.equal("input: there is no id 'b' in the store",
      tostring(failure(store.delete, store, { "a", "b" })))
    assert.equal(1, #server:requests())
    store:delete({ "a", "b" }, { missing_ok = true })
    assert.matches("/points/delete", (sent(2)), 1, true)
  end)

  it("is empty where there is no collection", function()
    local store = store_with { default = NO_COLLECTION }
    assert.same({}, store:similarity_search "x")
    assert.same({}, store:get_by_ids { "a" })
    assert.equal(0, store:count())
    store:delete({ "a" }, { missing_ok = true })
    store:delete_collection()
  end)

  it("takes a collection of any name, and points of others", function()
    local store = store_with({ collection(), points { { id = 12, score = 1, payload = {
      page_content = "theirs", metadata = json.null } } } }, { collection_name = "a/b ü?" })
    local found = store:similarity_search_by_vector({ 1, 0 }, { k = 1 })[1]
    assert.equal("GET /collections/a%2Fb%20%C3%BC%3F", (sent(1)))
    assert.same({ "12", "theirs", {} }, { found.id, found.page_content, found.metadata })
  end)
end)

describe("QdrantVectorStore filters", function()
  -- What is asked for, of a filter.
  local function asked(given)
    local store = store_with { collection(), points {} }
    store:similarity_search_by_vector({ 1, 0 }, { k = 1, filter = given })
    local requests = server:requests()
    return cjson.decode(requests[#requests].body).filter
  end

  local function one(condition) return { must = { condition } } end

  it("says what Qdrant can say", function()
    local year = "metadata.year"
    assert.same(one { key = year, match = { value = "2000" } }, asked { year = "2000" })
    assert.same(one { key = year, match = { value = true } }, asked { year = true })
    assert.same(one { is_empty = { key = year } }, asked { year = json.null })
    assert.same({ must = { { key = year, range = { gte = 2000 } }, { key = year, range = { lt = 2010 } } } },
      asked { year = { ["$gte"] = 2000, ["$lt"] = 2010 } })
    assert.same({ should = { { key = "metadata.a.b", match = { value = "x" } },
      { key = "metadata.a.b", range = { gte = 1, lte = 1 } } } }, asked { ["a.b"] = { ["$in"] = { "x", 1 } } })
    assert.same({ should = { { key = year, range = { gt = 1 } }, { key = "metadata.tags",
      match = { value = false } } } }, asked { ["$or"] = { { year = { ["$gt"] = 1 } },
      { tags = { ["$contains"] = false } } } })
    assert.same(one { has_id = {} }, asked { year = { ["$in"] = {} } })
    assert.same(one { key = 'metadata."a key"', match = { value = "x" } }, asked { ["a key"] = "x" })
  end)

  it("leaves to us what it cannot, and all that is negated", function()
    for _, given in ipairs {
      { year = { ["$ne"] = 1 } }, { year = { ["$nin"] = { 1 } } }, { year = { ["$exists"] = true } },
      { ["$not"] = { year = 1 } }, { year = { ["$gt"] = "a" } }, { year = { ["$contains"] = "a" } },
      { ['a"b'] = 1 }, { ["$or"] = { { year = 1 }, { ["$not"] = { year = 2 } } } },
      function() return true end,
    } do
      assert.is_nil(asked(given), type(given) == "table" and json.encode(given) or nil)
    end
    assert.same(one { key = "metadata.year", range = { gte = 1, lte = 1 } },
      asked { ["$and"] = { { year = 1 }, function() return true end } })
  end)

  -- What Qdrant's documentation says of a condition, over a payload.
  local function passes(condition, metadata)
    if condition.must then
      for _, inner in ipairs(condition.must) do
        if not passes(inner, metadata) then return false end
      end
      return true
    elseif condition.should then
      for _, inner in ipairs(condition.should) do
        if passes(inner, metadata) then return true end
      end
      return false
    elseif condition.has_id then
      return false
    end
    local value = metadata[(condition.key or condition.is_empty.key):match "^metadata%.(.*)$"]
    if condition.is_empty then
      return value == nil or value == json.null or type(value) == "table" and #value == 0
    end
    for _, item in ipairs(type(value) == "table" and value or { value }) do
      local range = condition.range
      if condition.match and item == condition.match.value then return true end
      if range and type(item) == "number" and item >= (range.gte or -math.huge)
        and item <= (range.lte or math.huge) and item > (range.gt or -math.huge)
        and item < (range.lt or math.huge) then
        return true
      end
    end
    return false
  end

  it("lets through all that matches", function()
    local of = require("moonpipe.stores.qdrant_filter").of
    local values = { 1, 2.5, "a", "b", true, false, json.null, json.array {}, json.array { 1, "a" },
      json.array { true } }
    local operands = { 1, 2.5, "a", true, json.null }
    local checked = 0
    for _, operator in ipairs { "$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$contains" } do
      for _, operand in ipairs(operands) do
        local ok, matches, tree = pcall(filter.compile, { x = { [operator] = operand } })
        local condition = ok and of(tree)
        for _, value in ipairs(ok and values or {}) do
          local metadata = { x = value }
          if condition and matches(metadata) then
            checked = checked + 1
            assert.is_true(passes(condition, metadata))
          end
        end
        if ok and condition and matches {} then assert.is_true(passes(condition, {})) end
      end
    end
    assert.is_true(checked > 10, checked)
  end)
end)

describe("QdrantVectorStore faults", function()
  it("says what the server said", function()
    local err = failure(function()
      store_with({ { status = 403, body = '{"status":{"error":"Forbidden: Global access is required"},'
        .. '"time":0}' } }, { api_key = "qdrant-secret-key" }):count()
    end)
    assert.same({ "auth", "qdrant", 403 }, { err.kind, err.provider, err.status })
    assert.equal("Forbidden: Global access is required; check api_key", err.message)
    err = failure(function()
      store_with({ { status = 400, body = '{"status":{"error":"Bad request: Index required"},"time":0}' },
        }):count()
    end)
    assert.same({ "refused_request", "Bad request: Index required" }, { err.kind, err.message })
    err = failure(function() store_with { { status = 401, body = "Invalid API key or JWT" } }:count() end)
    assert.equal("auth", err.kind)
  end)

  it("tries again what may succeed", function()
    local store = store_with({ { status = 503 }, said { count = 2 } }, { max_retries = 1 })
    assert.equal(2, store:count())
    assert.equal(2, #server:requests())
    assert.equal("connect", failure(function()
      store_with({}, { url = server.closed_url }):count()
    end).kind)
  end)

  it("refuses answers of other shapes", function()
    local function fails(kind, pattern, answers, fn)
      local err = failure(function() fn(store_with(answers)) end)
      assert.equal(kind, err.kind, tostring(err))
      assert.matches(pattern, err.message)
    end
    local function search(store) return store:similarity_search_by_vector { 1, 0 } end
    fails("decode", "no result", { { body = "{}" } }, search)
    fails("protocol", "the answer is HTML", { { body = "<html>" } }, search)
    fails("protocol", "vectors have names", { said { config = { params = { vectors = {
      text = { size = 2, distance = "Cosine" } } } } } }, search)
    fails("protocol", "no points came", { collection(), said { points = 5 } }, search)
    fails("protocol", "without its payload", { collection(), points { { id = 1, score = 1 } } }, search)
    fails("protocol", "has no page_content", { collection(), points { { id = 1, score = 1,
      payload = {} } } }, search)
    fails("protocol", "without a score", { collection(), points { point("a") } }, search)
  end)

  it("refuses vectors of another length, and collections that measure otherwise", function()
    local store = store_with { collection() }
    assert.equal("input: vectors of 3 numbers, but the collection 'docs' has vectors of 2",
      tostring(failure(store.similarity_search_by_vector, store, { 1, 2, 3 })))
    store = store_with { collection "Euclid" }
    assert.equal("input: the collection 'docs' measures by Euclid; distance_strategy = 'cosine' "
      .. "needs Cosine", tostring(failure(store.similarity_search, store, "x")))
  end)

  it("is cancelled", function()
    local store = store_with { { never = true } }
    local task = mp.RunnableLambda(function() return store:count() end):start(1)
    while server:stats().requests == 0 do mp.sleep(0.01) end
    task:cancel()
    local _, err = task:wait()
    assert.equal("cancelled", err.kind)
  end)

  it("says what is wrong with its options", function()
    local function says(pattern, opts)
      opts.embedding = embedding
      assert.matches(pattern, usage(mp.QdrantVectorStore, opts))
    end
    says("needs collection_name", {})
    says("batch_size of QdrantVectorStore must be", { collection_name = "x", batch_size = 0 })
    says("unknown option 'base_url'", { collection_name = "x", base_url = "http://a" })
    says("timeout of QdrantVectorStore must be seconds", { collection_name = "x", timeout = -1 })
    local err = failure(mp.QdrantVectorStore, { collection_name = "x", embedding = embedding,
      url = "http://far.example", api_key = "qdrant-secret-key" })
    assert.equal("config", err.kind)
  end)
end)
