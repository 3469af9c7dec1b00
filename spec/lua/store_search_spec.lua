--- What stores find: filters, similarities, and difference, beside plain Lua.
local helper = require "spec.helper"
local mp = require "moonpipe"

local it = helper.with_vectors(it)

local STRATEGIES = { "l2", "cosine", "inner_product" }

-- An embedding for which a text is its vector: "1 0 2".
local spoken = { embed_documents = function() error("not asked") end }

function spoken.embed_query(_, text)
  local vector = {}
  for number in text:gmatch("%S+") do vector[#vector + 1] = tonumber(number) end
  return vector
end

local function ids_of(documents)
  local ids = {}
  for i, doc in ipairs(documents) do ids[i] = doc.id end
  return ids
end

-- ---- plain Lua ---------------------------------------------------------------------------------

local function dot(a, b)
  local sum = 0
  for i = 1, #a do sum = sum + a[i] * b[i] end
  return sum
end

local MEASURES = {}

function MEASURES.l2(a, b)
  return dot(a, a) + dot(b, b) - 2 * dot(a, b)
end

MEASURES.inner_product = dot

function MEASURES.cosine(a, b)
  local lengths = math.sqrt(dot(a, a) * dot(b, b))
  return lengths > 0 and dot(a, b) / lengths or 0
end

-- The measures of all rows that are taken, best first.
local function measures_of(strategy, query, rows, taken)
  local list = {}
  for i, row in ipairs(rows) do
    if taken(i) then list[#list + 1] = MEASURES[strategy](query, row) end
  end
  table.sort(list, function(a, b)
    if strategy == "l2" then return a < b end
    return a > b
  end)
  return list
end

local OPERATORS = {}

OPERATORS["$eq"] = function(a, b) return a == b end
OPERATORS["$ne"] = function(a, b) return a ~= b end
OPERATORS["$gt"] = function(a, b) return type(a) == type(b) and a > b end
OPERATORS["$gte"] = function(a, b) return type(a) == type(b) and a >= b end
OPERATORS["$lt"] = function(a, b) return type(a) == type(b) and a < b end
OPERATORS["$lte"] = function(a, b) return type(a) == type(b) and a <= b end
OPERATORS["$exists"] = function(a, b) return b == (a ~= nil) end

OPERATORS["$in"] = function(a, list)
  for _, item in ipairs(list) do
    if a == item then return true end
  end
  return false
end

OPERATORS["$nin"] = function(a, list) return not OPERATORS["$in"](a, list) end

OPERATORS["$contains"] = function(a, b)
  if type(a) == "table" then return OPERATORS["$in"](b, a) end
  return type(a) == "string" and type(b) == "string" and a:find(b, 1, true) ~= nil
end

local function holds(filter, metadata)
  for key, wanted in pairs(filter) do
    local yes = true
    if key == "$not" then
      yes = not holds(wanted, metadata)
    elseif key == "$and" then
      for _, one in ipairs(wanted) do yes = yes and holds(one, metadata) end
    elseif key == "$or" then
      yes = false
      for _, one in ipairs(wanted) do yes = yes or holds(one, metadata) end
    else
      local outer, inner = key:match("^(%a+)%.(%a+)$")
      local value = metadata[outer or key]
      if inner then value = value and value[inner] end
      for name, operand in pairs(type(wanted) == "table" and wanted or { ["$eq"] = wanted }) do
        yes = yes and OPERATORS[name](value, operand)
      end
    end
    if not yes then return false end
  end
  return true
end

-- ---- random ones -------------------------------------------------------------------------------

local random = math.random

local function one_of(list)
  return list[random(#list)]
end

local function random_value()
  return one_of { 0, 1, 2, 3, "a", "b", "ab", true, false }
end

local function random_metadata()
  return {
    n = random(4) > 1 and random(0, 3) or nil,
    s = random(4) > 1 and one_of { "a", "b", "ab" } or nil,
    l = random(3) > 1 and { random_value(), random_value() } or nil,
    t = random(3) > 1 and { x = random_value() } or nil,
  }
end

local function random_operand(name)
  if name == "$exists" then return random(2) == 1 end
  if name == "$in" or name == "$nin" then return { random_value(), random_value() } end
  if name:find("^%$[gl]t") then return one_of { 0, 1, 2, "a", "b" } end
  return random_value()
end

local function random_filter(depth)
  local filter = {}
  for _ = 1, random(2) do
    local choice = depth > 0 and random(6) or 6
    if choice == 1 then
      filter["$not"] = random_filter(depth - 1)
    elseif choice <= 3 then
      filter[choice == 2 and "$or" or "$and"] = { random_filter(depth - 1),
        random_filter(depth - 1) }
    else
      local name = one_of { "$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin", "$exists",
        "$contains" }
      local key = one_of { "n", "s", "l", "t.x" }
      filter[key] = random(3) == 1 and random_value() or { [name] = random_operand(name) }
    end
  end
  return filter
end

-- Whole numbers: what is measured of them is exact, and much is equal.
local function random_vector(dim)
  local vector = {}
  for i = 1, dim do vector[i] = random(-3, 3) end
  return vector
end

-- A store of [count] documents, each of which has its number as text.
local function random_store(count, dim, opts)
  local texts, rows, metadatas = {}, {}, {}
  for i = 1, count do
    texts[i], rows[i], metadatas[i] = tostring(i), random_vector(dim), random_metadata()
  end
  opts.embedding, opts.metadatas = spoken, metadatas
  return mp.FAISS.from_embeddings(texts, rows, opts), rows, metadatas
end

-- What is found is what plain Lua finds; among equals it may be any.
local function check_found(found, strategy, query, rows, k, taken, place)
  local expected, seen = measures_of(strategy, query, rows, taken), {}
  assert.equal(math.min(k, #expected), #found, place)
  for i, hit in ipairs(found) do
    local number = tonumber(hit[1].page_content)
    assert.is_true(taken(number) and not seen[number], place)
    seen[number] = true
    assert.near(expected[i], hit[3], 1e-5, place)
    assert.near(MEASURES[strategy](query, rows[number]), hit[3], 1e-5, place)
    assert.equal(hit[2], hit[1].score)
    assert.is_true(hit[2] >= 0 and hit[2] <= 1, place)
    assert.is_true(i == 1 or hit[2] <= found[i - 1][2], place)
  end
end

describe("a filter of a search", function()
  it("gives k wherever k documents match, and the nearest of them", function()
    for seed = 1, helper.long and 3000 or 60 do
      math.randomseed(seed)
      local strategy, dim = one_of(STRATEGIES), random(1, 5)
      local store, rows, metadatas = random_store(random(0, 60), dim,
        { distance_strategy = strategy })
      for round = 1, 10 do
        local filter, query, k = random_filter(2), random_vector(dim), random(8)
        local found = store:similarity_search_with_score(table.concat(query, " "),
          { k = k, filter = filter })
        check_found(found, strategy, query, rows, k, function(i)
          return holds(filter, metadatas[i])
        end, ("seed %d, round %d"):format(seed, round))
      end
    end
  end)

  it("gives k wherever k match in a graph, in lists, and of rows of 8 bits", function()
    for seed = 1, helper.long and 900 or 45 do
      math.randomseed(seed)
      local strategy, kind = one_of(STRATEGIES), ({ "hnsw", "ivf", "sq" })[seed % 3 + 1]
      local store, rows, metadatas = random_store(random(0, 200), 4,
        { distance_strategy = strategy, index = kind })
      for round = 1, 6 do
        local place = ("seed %d, round %d, %s"):format(seed, round, kind)
        local filter, query, k = random_filter(1), random_vector(4), random(12)
        local function taken(i) return holds(filter, metadatas[i]) end
        local found = store:similarity_search_with_score(table.concat(query, " "),
          { k = k, filter = filter })
        if kind ~= "sq" then -- what is filtered is looked at one by one
          check_found(found, strategy, query, rows, k, taken, place)
        else
          assert.equal(math.min(k, #measures_of(strategy, query, rows, taken)), #found, place)
        end
        assert.equal(math.min(k, #rows), #store:similarity_search_by_vector(query, { k = k }), place)
        local kept = store:max_marginal_relevance_search_by_vector(query, { k = k, filter = filter })
        assert.equal(#found, #kept, place)
      end
    end
  end)

  it("gives all where k is more than any index holds", function()
    for _, kind in ipairs { "flat", "hnsw", "ivf", "sq" } do
      local store = random_store(20, 2, { index = kind })
      assert.equal(20, #store:similarity_search("1 1", { k = 2 ^ 53 }))
      assert.equal(20, #store:similarity_search("1 1", { k = 2 ^ 53,
        filter = function() return true end }))
    end
  end)

  it("may be a function of metadata and document", function()
    math.randomseed(7)
    local store, rows = random_store(50, 3, {})
    local query = { 1, 2, 3 }
    local function odd(metadata, doc)
      assert.equal("table", type(metadata))
      return tonumber(doc.page_content) % 2 == 1
    end
    for _, k in ipairs { 1, 4, 25, 40 } do
      local found = store:similarity_search_with_score("1 2 3", { k = k, filter = odd })
      check_found(found, "l2", query, rows, k, function(i) return i % 2 == 1 end, "k " .. k)
    end
  end)

  it("raises what its function raises", function()
    local store = random_store(3, 2, {})
    local err = helper.raises("no such thing", store.similarity_search, store, "1 1",
      { filter = function() error("no such thing", 0) end })
    assert.equal("no such thing", tostring(err):match("no such thing"))
  end)

  it("belongs to searches by vector and for difference, too", function()
    math.randomseed(3)
    local store = random_store(40, 3, {})
    local opts = { k = 3, filter = function(_, doc) return tonumber(doc.page_content) > 35 end }
    for _, name in ipairs { "similarity_search_by_vector",
      "max_marginal_relevance_search_by_vector" } do
      local found = store[name](store, { 1, 2, 3 }, opts)
      assert.equal(3, #found)
      for _, doc in ipairs(found) do assert.is_true(tonumber(doc.page_content) > 35) end
    end
    assert.equal(3, #store:max_marginal_relevance_search("1 2 3", opts))
  end)

  it("is checked where it is written", function()
    local store = random_store(1, 1, {})
    for _, name in ipairs { "similarity_search", "max_marginal_relevance_search" } do
      assert.equal("filter key 'a': unknown operator '$is'; did you mean '$in'?",
        helper.said(store[name], store, "1", { filter = { a = { ["$is"] = 1 } } }))
    end
  end)
end)

describe("similarity", function()
  local function score(strategy, query, row)
    local store = mp.FAISS.from_embeddings({ "x" }, { row },
      { embedding = spoken, distance_strategy = strategy })
    return store:similarity_search_by_vector(query)[1].score
  end

  it("is the cosine of vectors of length 1, whatever is measured", function()
    for _, strategy in ipairs(STRATEGIES) do
      assert.near(1, score(strategy, { 0.6, 0.8 }, { 0.6, 0.8 }), 1e-6)
      assert.near(0.96, score(strategy, { 0.6, 0.8 }, { 0.8, 0.6 }), 1e-6)
      assert.near(0, score(strategy, { 1, 0 }, { 0, 1 }), 1e-6)
      assert.near(0, score(strategy, { 1, 0 }, { -1, 0 }), 1e-6)
    end
  end)

  it("is that of the measure where lengths differ, and knows no unit", function()
    for _, unit in ipairs { 1, 1000, 1 / 1024 } do
      local query = { 3 * unit, 4 * unit }
      local row = { 6 * unit, 8 * unit }
      assert.near(0.5, score("l2", query, row), 1e-5) -- as far away as the query is long
      assert.near(1, score("cosine", query, row), 1e-5)
      assert.near(1, score("inner_product", query, row), 1e-5)
      assert.near(0.5, score("inner_product", row, query), 1e-5)
      assert.near(1, score("l2", query, query), 1e-5)
    end
  end)

  it("is 1 or 0 where the query has no length", function()
    assert.same({ 1, 0 }, { score("l2", { 0, 0 }, { 0, 0 }), score("l2", { 0, 0 }, { 1, 0 }) })
    assert.equal(0, score("cosine", { 0, 0 }, { 1, 0 }))
    assert.equal(0, score("inner_product", { 0, 0 }, { 1, 0 }))
  end)

  it("ends a search at a threshold, with a filter as well", function()
    local rows = { { 1, 0 }, { 0.8, 0.6 }, { 0.6, 0.8 }, { 0, 1 } }
    local store = mp.FAISS.from_embeddings({ "a", "b", "c", "d" }, rows, { embedding = spoken,
      ids = { "a", "b", "c", "d" } })
    local function found(opts) return ids_of(store:similarity_search("1 0", opts)) end
    assert.same({ "a", "b" }, found { score_threshold = 0.7 })
    assert.same({ "b" }, found { score_threshold = 0.7,
      filter = function(_, doc) return doc.id ~= "a" end })
    assert.same({}, found { score_threshold = 1, filter = function(_, doc) return doc.id > "a" end })
  end)
end)

describe("max_marginal_relevance_search", function()
  -- By the definition: the most of weight * nearness - (1 - weight) * likeness to what is chosen.
  local function oracle(query, rows, order, k, weight)
    local chosen, worths = {}, {}
    while #chosen < math.min(k, #order) do
      local best, most
      for _, i in ipairs(order) do
        local likeness = -math.huge
        for _, j in ipairs(chosen) do
          if j == i then likeness = math.huge end
          likeness = math.max(likeness, MEASURES.cosine(rows[i], rows[j]))
        end
        local near = MEASURES.cosine(query, rows[i])
        local worth = #chosen == 0 and near or weight * near - (1 - weight) * likeness
        if likeness < math.huge and (not best or worth > most + 1e-9) then best, most = i, worth end
      end
      chosen[#chosen + 1], worths[#worths + 1] = best, most
    end
    return chosen
  end

  -- No two are equally far: numbers with a fraction.
  local function uneven_store(count, dim, strategy)
    local texts, rows = {}, {}
    for i = 1, count do
      texts[i], rows[i] = tostring(i), {}
      for j = 1, dim do rows[i][j] = math.random() * 2 - 1 end
    end
    return mp.FAISS.from_embeddings(texts, rows,
      { embedding = spoken, distance_strategy = strategy }), rows
  end

  it("chooses what plain Lua chooses of the nearest", function()
    for seed = 1, helper.long and 2000 or 40 do
      math.randomseed(seed)
      local strategy = one_of(STRATEGIES)
      local store, rows = uneven_store(random(1, 40), 4, strategy)
      local query, k, weight = { 0.5, -0.25, 1, 0.125 }, random(10), random(0, 10) / 10
      local fetch_k = random(20)
      local order = {}
      for i, hit in ipairs(store:similarity_search_with_score(table.concat(query, " "),
        { k = math.max(k, fetch_k) })) do
        order[i] = tonumber(hit[1].page_content)
      end
      local found = store:max_marginal_relevance_search_by_vector(query,
        { k = k, fetch_k = fetch_k, lambda_mult = weight })
      local chosen = {}
      for i, doc in ipairs(found) do chosen[i] = tonumber(doc.page_content) end
      assert.same(oracle(query, rows, order, k, weight), chosen, "seed " .. seed)
    end
  end)

  it("gives documents with their scores", function()
    local store = uneven_store(20, 4, "cosine")
    local scores = {}
    for _, hit in ipairs(store:similarity_search_with_score("1 0 0 0", { k = 20 })) do
      scores[hit[1].page_content] = hit[2]
    end
    local found = store:max_marginal_relevance_search("1 0 0 0")
    assert.equal(4, #found)
    for _, doc in ipairs(found) do
      assert.is_number(doc.score)
      assert.equal(scores[doc.page_content], doc.score)
    end
  end)

  it("is what a retriever does with search_type = 'mmr'", function()
    math.randomseed(5)
    local store = uneven_store(30, 4, "cosine")
    local kwargs = { k = 5, fetch_k = 12, lambda_mult = 0.3,
      filter = function(_, doc) return tonumber(doc.page_content) > 10 end }
    local retriever = store:as_retriever { search_type = "mmr", search_kwargs = kwargs }
    assert.same(ids_of(store:max_marginal_relevance_search("1 0 0 0", kwargs)),
      ids_of(retriever:invoke("1 0 0 0")))
  end)

  it("says what it does not take", function()
    local store = random_store(1, 1, {})
    for said, opts in pairs {
      ["fetch_k is the number 0; it must be a positive integer"] = { fetch_k = 0 },
      ["lambda_mult is the number 2; it must be a number from 0 to 1"] = { lambda_mult = 2 },
      ["k is the number 1.5; it must be a positive integer"] = { k = 1.5 },
    } do
      assert.equal(said, helper.said(store.max_marginal_relevance_search, store, "1", opts))
      assert.equal(said, helper.said(store.as_retriever, store,
        { search_type = "mmr", search_kwargs = opts }))
    end
    assert.equal("max_marginal_relevance_search takes a string, got nil",
      helper.said(store.max_marginal_relevance_search, store, nil))
    assert.equal("max_marginal_relevance_search_by_vector takes one vector, got a matrix of 1",
      helper.said(store.max_marginal_relevance_search_by_vector, store, { { 1 } }))
    assert.equal("fetch_k needs search_type = 'mmr'",
      helper.said(store.as_retriever, store, { search_kwargs = { fetch_k = 2 } }))
  end)

  it("finds nothing in an empty store, and all where there are fewer than k", function()
    assert.same({}, mp.FAISS(spoken):max_marginal_relevance_search("1 2"))
    assert.equal(3, #uneven_store(3, 4, "l2"):max_marginal_relevance_search("1 2 3 4", { k = 9 }))
  end)
end)

describe("an embedding that gives no vector", function()
  it("is told so", function()
    local store = mp.FAISS.from_embeddings({ "x" }, { { 1, 2 } }, { embedding = spoken })
    for said, given in pairs {
      ["embed_query gave nil; it must give lists of numbers"] = false,
      ["embed_query gave a matrix of 0; it must give a list of numbers"] = {},
      ["embed_query gave a matrix of 1; it must give a list of numbers"] = { { 1, 2 } },
      ["embed_query gave a list of 2: number 2 is no finite float32"] = { 1, 1 / 0 },
      ["the index holds vectors of 2 numbers, got 3"] = { 1, 2, 3 },
    } do
      store.embedding = { embed_query = function() return given or nil end }
      assert.truthy(helper.input_failure(store.similarity_search, store, "x"):find(said, 1, true),
        said)
      assert.truthy(helper.input_failure(store.max_marginal_relevance_search, store, "x")
        :find(said, 1, true), said)
    end
  end)
end)
