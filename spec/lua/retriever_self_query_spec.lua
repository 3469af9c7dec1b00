local cjson = require "cjson"
local form = require "moonpipe.retrievers.query_form"
local helper = require "spec.helper"
local language = require "moonpipe.retrievers.query_language"
local mp = require "moonpipe"
local server = require("spec.support.server").use()

local failure = helper.failure

local function saying(...)
  local responses = {}
  for i, value in ipairs { ... } do
    responses[i] = type(value) == "table" and cjson.encode(value) or value
  end
  return mp.FakeListChatModel { responses = responses }
end

local FIELDS = {
  { name = "year", description = "when it came out", type = "integer" },
  { name = "genre", description = "what kind it is", type = "string" },
  { name = "rating", description = "1 to 10", type = "float" },
  { name = "seen", description = "whether it was seen", type = "boolean" },
  { name = "day", description = "when it was seen", type = "date" },
  { name = "tags", description = "words for it", type = "list[string]" },
  { name = "meta.lang", description = "the language", type = "string or list[string]" },
}

local function films()
  local texts, metadatas = {}, {}
  local function add(text, metadata)
    texts[#texts + 1], metadatas[#metadatas + 1] = text, metadata
  end
  add("dinosaurs eat people", { year = 1993, genre = "action", rating = 7.7, seen = true,
    day = "2024-03-01", tags = { "island", "lizards" } })
  add("toys come alive", { year = 1995, genre = "animated", rating = 8.3, seen = true,
    day = "2024-12-31" })
  add("people dream of people", { year = 2010, genre = "action", rating = 8.2, seen = false,
    meta = { lang = "en" } })
  add("three men walk", { year = 1979, genre = "drama", rating = 9.9, seen = false })
  return mp.FAISS.from_texts(texts, { embedding = mp.HashEmbeddings(), metadatas = metadatas })
end

local store = films()

local function new(model, opts)
  local given = {
    llm = model, vectorstore = store, document_contents = "films", metadata_field_info = FIELDS,
  }
  for name, value in pairs(opts or {}) do given[name] = value end
  return mp.SelfQueryRetriever.from_llm(given)
end

local function years(list)
  local out = {}
  for i, doc in ipairs(list) do out[i] = doc.metadata.year end
  table.sort(out)
  return out
end

local function found(filter, opts)
  return years(new(saying { query = "people", filter = filter }, opts):invoke "x")
end

local function compare(attribute, comparator, value)
  return { attribute = attribute, comparator = comparator, value = value }
end

-- What is wrong with a filter, after the model was asked again.
local function problem(filter)
  local retriever = new(saying { query = "people", filter = filter })
  local err = failure(retriever.invoke, retriever, "x")
  assert.same({ "schema", 2 }, { err.kind, err.attempts })
  assert.equal(cjson.encode { query = "people", filter = filter }, err.partial)
  return err.message
end

describe("SelfQueryRetriever", function()
  it("searches for what the model makes of the question", function()
    local list = new(saying { query = "toys", filter = cjson.null }):invoke "what about toys?"
    assert.equal(4, #list)
    assert.equal("toys come alive", list[1].page_content)
  end)

  it("filters by every comparator", function()
    assert.same({ 1993 }, found(compare("year", "eq", 1993)))
    assert.same({ 1979, 1995, 2010 }, found(compare("year", "ne", 1993)))
    assert.same({ 2010 }, found(compare("year", "gt", 1995)))
    assert.same({ 1995, 2010 }, found(compare("year", "gte", 1995)))
    assert.same({ 1979 }, found(compare("rating", "gt", 9.5)))
    assert.same({ 1979, 1993 }, found(compare("year", "lt", 1995)))
    assert.same({ 1979, 1993, 1995 }, found(compare("year", "lte", 1995)))
    assert.same({ 1979, 1995 }, found(compare("genre", "in", { "drama", "animated" })))
    assert.same({ 1993, 2010 }, found(compare("genre", "nin", { "drama", "animated" })))
    assert.same({ 1993 }, found(compare("tags", "contain", "lizards")))
    assert.same({ 1995 }, found(compare("genre", "contain", "anim")))
    assert.same({ 1993, 1995 }, found(compare("seen", "eq", true)))
    assert.same({ 1995 }, found(compare("day", "gt", "2024-06-01")))
    assert.same({ 1995 }, found(compare("day", "gt", { date = "2024-06-01", type = "date" })))
    assert.same({ 2010 }, found(compare("meta.lang", "eq", "en")))
  end)

  it("filters by and, or and not, one within the other", function()
    local late, action = compare("year", "gt", 1990), compare("genre", "eq", "action")
    local function both(operator, ...)
      return { operator = operator, arguments = { ... } }
    end
    assert.same({ 1993, 2010 }, found(both("and", late, action)))
    assert.same({ 1993, 1995, 2010 }, found(both("or", late, action)))
    assert.same({ 1979, 1995 }, found(both("not", action)))
    assert.same({ 1995 }, found(both("and", late, both("not", both("or", action)))))
  end)

  it("reads filters as LangChain's models write them", function()
    assert.same({ 1993, 2010 }, found 'and(gt("year", 1990), eq("genre", "action"))')
    assert.same({ 1995 }, found 'gt("day", 2024-06-01)')
    assert.equal(4, #found "NO_FILTER")
    assert.equal(4, #found " ")
    local text = '```json\n{"query": "people", "filter": "lt(\\"year\\", 1980)"}\n```'
    assert.same({ 1979 }, years(new(saying(text)):invoke "x"))
  end)

  it("searches for the question where nothing else is left, or where told to", function()
    local function first(query, opts)
      return new(saying { query = query, filter = cjson.null }, opts):invoke("toys")[1].page_content
    end
    assert.equal("toys come alive", first " ")
    assert.equal("three men walk", first "three men")
    assert.equal("toys come alive", first("three men", { use_original_query = true }))
  end)

  it("heeds the limit where that is wanted, and search_kwargs", function()
    local answer = { query = "people", filter = cjson.null, limit = 2 }
    assert.equal(2, #new(saying(answer), { enable_limit = true }):invoke "x")
    assert.equal(4, #new(saying(answer)):invoke "x")
    answer.limit = nil
    assert.equal(1, #new(saying(answer), { search_kwargs = { k = 1 } }):invoke "x")
    assert.same({ 2010 }, found(compare("genre", "eq", "action"),
      { search_kwargs = { filter = { year = { ["$gt"] = 2000 } } } }))
    assert.same({ 1993 }, found(compare("genre", "eq", "action"),
      { search_kwargs = { filter = function(metadata) return metadata.seen end } }))
    assert.same({ 1979 }, found(cjson.null, { search_kwargs = { filter = { genre = "drama" } } }))
  end)

  it("sends a wrong answer back once, with what is wrong", function()
    local answers = {}
    for i, name in ipairs { "yeer", "year" } do
      answers[i] = { answer = cjson.encode {
        query = "people", filter = compare(name, "eq", 1993),
      } }
    end
    local model = mp.ChatOpenAI { base_url = server:lane("again", answers) }
    assert.same({ 1993 }, years(new(model):invoke "x"))
    local messages = cjson.decode(server:requests()[2].body).messages
    local last = messages[#messages].content
    assert.truthy(last:find("documents have no attribute 'yeer'; did you mean 'year'?", 1, true),
      last)
  end)

  it("names what is wrong with a filter, with the model's text", function()
    assert.equal("there is no comparator 'like'; there are contain, eq, gt, gte, in, lt, lte, ne,"
      .. " nin", problem(compare("genre", "like", "a")))
    assert.truthy(problem(compare("director", "eq", "x")):find(
      "documents have no attribute 'director'; they have year, genre,", 1, true))
    assert.equal('\'year\' with gt takes an integer, got "1990"', problem(compare("year", "gt",
      "1990")))
    assert.equal("'year' with eq takes an integer, got the number 1.5",
      problem(compare("year", "eq", 1.5)))
    assert.equal("'genre' with in takes a list, got a string", problem(compare("genre", "in", "a")))
    assert.equal("'genre' with in takes a text, got the number 1",
      problem(compare("genre", "in", { 1 })))
    assert.equal("'seen' with eq takes true or false, got \"yes\"",
      problem(compare("seen", "eq", "yes")))
    assert.equal('\'day\' with gt takes a date such as "2024-12-31", got "May"',
      problem(compare("day", "gt", "May")))
    assert.equal("'tags' is a list, which is compared by contain, not by eq",
      problem(compare("tags", "eq", "a")))
    assert.equal("there is no operator 'nor'; there are and, or, not",
      problem { operator = "nor", arguments = { compare("year", "eq", 1) } })
    assert.equal("'not' takes one condition, got 2", problem { operator = "not",
      arguments = { compare("year", "eq", 1), compare("year", "eq", 2) } })
    assert.truthy(problem { operator = "and" }:find("the arguments of 'and' are nil", 1, true))
    assert.truthy(problem(7):find("a condition is the number 7", 1, true))
    assert.truthy(problem 'eq("year" 1)':find("',' expected at byte 11, got '1'", 1, true))
    local deep = compare("year", "eq", 1)
    for _ = 1, 40 do deep = { operator = "not", arguments = { deep } } end
    assert.equal("the filter is deeper than 32", problem(deep))
  end)

  it("says which limit is none, and where it failed", function()
    local answer = { query = "people", filter = cjson.null, limit = 0 }
    local retriever = new(saying(answer), { enable_limit = true, max_retries = 0 })
    local err = failure(retriever.invoke, retriever, "x")
    assert.equal("limit is the number 0; it must be an integer from 1, or null", err.message)
    assert.truthy(err.path:find("^query RunnableSequence > "), err.path)
    assert.truthy(err.where:find("retriever_self_query_spec.lua", 1, true), err.where)
    retriever = new(saying "no JSON")
    err = failure(retriever.invoke, retriever, "x")
    assert.same({ "decode", "no JSON" }, { err.kind, err.partial })
  end)

  it("tells an API of the attributes, and of the form", function()
    local answer = cjson.encode { query = "toys", filter = cjson.null }
    local path = helper.fresh()
    local retriever = new(mp.ChatOpenAI { base_url = server:with { answer = answer } })
    local function ask() return retriever:invoke("what {toys}?")[1].page_content end
    assert.equal("toys come alive", mp.cassette(path, { mode = "record" }, ask))
    local body = cjson.decode(server:requests()[1].body)
    local schema = body.response_format.json_schema.schema
    assert.same({ "year", "genre", "rating", "seen", "day", "tags", "meta.lang" },
      schema.properties.filter.anyOf[1].properties.attribute.enum)
    assert.is_nil(schema.properties.limit)
    local text = body.messages[1].content
    assert.truthy(text:find('- "year" (integer): when it came out', 1, true), text)
    assert.truthy(text:find("Question: what {toys}?", 1, true), text)
    server:reset()
    assert.equal("toys come alive", mp.cassette(path, { mode = "replay" }, ask))
    assert.equal(0, server:stats().requests)
  end)

  it("is drawn with the model, and takes what belongs to it alone", function()
    local drawn = new(saying "x"):get_graph():draw_ascii()
    assert.truthy(drawn:find("FakeListChatModel.*VectorStoreRetriever"), drawn)
    local retriever = new(saying "x")
    assert.truthy(failure(retriever.invoke, retriever, { question = "x" }).message:find(
      'use mp.itemgetter("question")', 1, true))
    local make = mp.SelfQueryRetriever.from_llm
    helper.raises("unknown option 'model_name' of SelfQueryRetriever", make, { model_name = 1 })
    helper.raises("vectorstore of SelfQueryRetriever is nil", make, { llm = saying "x" })
    helper.raises("document_contents of SelfQueryRetriever must be a string, got nil", make,
      { llm = saying "x", vectorstore = store })
    helper.raises("metadata_field_info of SelfQueryRetriever is an empty list", new, saying "x",
      { metadata_field_info = {} })
    helper.raises("item 1 of metadata_field_info of SelfQueryRetriever is a table with keys {name}",
      new, saying "x", { metadata_field_info = { { name = "a" } } })
    helper.raises("unknown option 'fetch'", new, saying "x", { search_kwargs = { fetch = 1 } })
  end)
end)

describe("the language of filters", function()
  it("reads values of all kinds", function()
    local function value(text) return language.parse(('eq("a", %s)'):format(text)).value end
    assert.equal('say "hi"\n', value [["say \"hi\"\n"]])
    assert.equal("it's", value [['it\'s']])
    assert.same({ -1.5, 2, 0.5 }, { value "-1.5", value "+2", value ".5" })
    assert.same({ true, false }, { value "True", value "false" })
    assert.same({ "a", 1 }, value [==[ [ "a" , 1, ] ]==])
    assert.same({}, value "[]")
    assert.equal("2024-01-02T10:00:00Z", value "2024-01-02T10:00:00Z")
  end)

  it("says where it cannot be read", function()
    for text, message in pairs {
      [""] = "a comparison such as eq(\"name\", value) expected at byte 1, got the end",
      ["year > 3"] = "a comparison such as eq(\"name\", value) expected at byte 1, got 'year'",
      ["eq(year, 3)"] = "the name of an attribute in quotes expected at byte 4, got 'year'",
      ['eq("year", 3'] = "')' expected at byte 13, got the end",
      ['eq("year", "3'] = "\" expected at byte 14, got the end",
      ['eq("year", x3)'] = "a value expected at byte 12, got 'x3'",
      ['eq("year", )'] = "a value expected at byte 12, got ')'",
      ['in("year", [[1]])'] = "a value expected at byte 13, got '['",
      ['in("year", [1 2])'] = "',' or ']' expected at byte 15, got '2'",
      ['eq("year", 3) or'] = "the end expected at byte 15, got 'or'",
      ['and(eq("a", 1) eq("b", 2))'] = "',' or ')' expected at byte 16, got 'eq'",
    } do
      local err = failure(language.parse, text)
      assert.same({ "schema", "the filter is not readable: " .. message },
        { err.kind, err.message })
    end
    assert.equal("the filter is deeper than 32",
      failure(language.parse, ("not("):rep(100)).message)
  end)

  -- A condition, and the text that LangChain's models would write for it.
  local function random_condition(depth)
    if depth > 0 and math.random(3) == 1 then
      local operator = ({ "and", "or", "not" })[math.random(3)]
      local list, texts = {}, {}
      for i = 1, operator == "not" and 1 or math.random(2, 3) do
        list[i], texts[i] = random_condition(depth - 1)
      end
      return { operator = operator, arguments = list },
        ("%s(%s)"):format(operator, table.concat(texts, ", "))
    end
    local comparator = ({ "eq", "ne", "gt", "gte", "lt", "lte" })[math.random(6)]
    if math.random(2) == 1 then
      local year = math.random(1970, 2020)
      return compare("year", comparator, year), ('%s("year", %d)'):format(comparator, year)
    end
    local genre = ({ 'a "b"', "it's", "x\\y" })[math.random(3)]
    return compare("genre", comparator, genre), ("%s('genre', %q)"):format(comparator, genre)
  end

  it("says the same as the form of objects", function()
    math.randomseed(7)
    for _ = 1, 300 do
      local tree, text = random_condition(4)
      assert.same(form.read({ filter = tree }, FIELDS), form.read({ filter = text }, FIELDS), text)
    end
  end)

  it("refuses what was mutated, or reads it, and fails in no other way", function()
    math.randomseed(8)
    local refused = 0
    for _ = 1, 3000 do
      local _, text = random_condition(3)
      local at = math.random(#text)
      local byte = string.char(math.random(33, 126))
      text = text:sub(1, at - 1) .. byte:rep(math.random(0, 2)) .. text:sub(at + math.random(0, 3))
      local ok, err = pcall(form.read, { filter = text }, FIELDS)
      assert.is_true(ok or type(err) == "table" and err.kind == "schema", tostring(err))
      refused = refused + (ok and 0 or 1)
    end
    assert.is_true(refused > 1000, refused)
  end)

  it("refuses objects that are no conditions, and fails in no other way", function()
    math.randomseed(9)
    local values = { "year", "eq", 1, true, {}, { 1 }, { "a" }, cjson.null, 1.5, { a = 1 }, "and",
      { compare("year", "eq", 1) } }
    local read = 0
    for _ = 1, 3000 do
      local node = {}
      for _, key in ipairs { "attribute", "comparator", "value", "operator", "arguments" } do
        if math.random(2) == 1 then node[key] = values[math.random(#values)] end
      end
      local ok, err = pcall(form.read, { filter = node }, FIELDS)
      assert.is_true(ok or type(err) == "table" and err.kind == "schema", tostring(err))
      read = read + (ok and 1 or 0)
    end
    assert.is_true(read > 0 and read < 1000, read)
  end)
end)
