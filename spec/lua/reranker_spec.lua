local cjson = require "cjson"
local helper = require "spec.helper"
local mp = require "moonpipe"
local server = require("spec.support.server").use()

local function failure(fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  return err
end

local function documents(count)
  local list = {}
  for i = 1, count do
    list[i] = mp.Document { page_content = "text " .. i, id = "d" .. i, metadata = { n = i } }
  end
  return list
end

-- What a server answers: { index, score } each, the names of the members as with Cohere.
local function answer(results, opts)
  opts = opts or {}
  local list = {}
  for i, result in ipairs(results) do
    list[i] = { index = result[1], [opts.score or "relevance_score"] = result[2] }
  end
  return cjson.encode(opts.bare and list or { [opts.list or "results"] = list, id = "x" })
end

local function reranker(script, opts, class)
  opts = opts or {}
  opts.base_url = type(script) == "string" and script or server:with(script)
  return (class or mp.Reranker)(opts)
end

local function ids(list)
  local out = {}
  for i, doc in ipairs(list) do out[i] = doc.id end
  return table.concat(out, " ")
end

local function sent(i)
  return cjson.decode(server:requests()[i or 1].body)
end

local TWO = answer { { 1, 0.9 }, { 0, 0.25 } }

describe("Reranker", function()
  it("gives the documents in the order of the server's scores", function()
    local list = documents(3)
    local found = reranker { body = answer { { 0, -2.5 }, { 2, 7 }, { 1, 0.5 } } }
      :compress_documents(list, "why?")
    assert.equal("d3 d2 d1", ids(found))
    assert.same({ 7, 0.5, -2.5 }, { found[1].score, found[2].score, found[3].score })
    assert.same({ n = 3 }, found[1].metadata)
    assert.is_nil(list[3].score)
  end)

  it("sends the common form, and says who it is by its key", function()
    reranker({ body = TWO }, { model = "m", top_n = 1, api_key = "sk-test-rerank",
      extra_body = { truncate = "END" } }):compress_documents(documents(2), "why?")
    local request = server:requests()[1]
    assert.same({ "POST", "/v1/rerank", "Bearer sk-test-rerank" },
      { request.method, request.path, request.headers.authorization })
    assert.same({ model = "m", query = "why?", documents = { "text 1", "text 2" }, top_n = 1,
      truncate = "END" }, sent())
    reranker({ body = TWO }):compress_documents(documents(2), "why?")
    assert.same({ query = "why?", documents = { "text 1", "text 2" } }, sent(2))
  end)

  it("cuts at top_n what a server gives too many of, and takes fewer", function()
    assert.equal("d2", ids(reranker({ body = TWO }, { top_n = 1 })
      :compress_documents(documents(2), "x")))
    assert.equal("d3", ids(reranker({ body = answer { { 2, 1 } } }, { top_n = 2 })
      :compress_documents(documents(3), "x")))
    assert.same({}, reranker({ body = answer {} }):compress_documents(documents(2), "x"))
  end)

  it("asks for no documents at all where there are none", function()
    assert.same({}, reranker({ body = TWO }):compress_documents({}, "x"))
    assert.equal(0, server:stats().requests)
  end)

  it("keeps equals in their order", function()
    local results = {}
    for i = 1, 40 do results[i] = { 40 - i, 0.5 } end
    local found = reranker { body = answer(results) }:compress_documents(documents(40), "x")
    assert.equal(ids(documents(40)), ids(found))
  end)

  it("asks for large lists in parts, at once, and joins them", function()
    local found = reranker({ body = answer { { 0, 1 }, { 1, 2 } }, delay = 30 },
      { chunk_size = 2, top_n = 3 }):compress_documents(documents(6), "x")
    assert.equal("d2 d4 d6", ids(found))
    local stats = server:stats()
    assert.same({ 3, 3 }, { stats.requests, stats.peak })
    server:reset()
    reranker({ body = answer {}, delay = 5 }, { chunk_size = 1 })
      :invoke({ documents = documents(6), query = "x" }, { max_concurrency = 2 })
    stats = server:stats()
    assert.same({ 6, 2 }, { stats.requests, stats.peak })
  end)

  it("is a compressor, and its options can be chosen by a call", function()
    local url = server:with { body = TWO }
    local one = mp.Reranker { base_url = url }
      :configurable_fields { top_n = mp.ConfigurableField { id = "n" } }
    local retriever = mp.ContextualCompressionRetriever {
      base_retriever = function() return documents(2) end, base_compressor = one,
    }
    assert.equal("d2 d1", ids(retriever:invoke "x"))
    assert.equal("d2", ids(retriever:invoke("x", { configurable = { n = 1 } })))
  end)

  it("is played from a tape", function()
    local path = helper.fresh()
    local one = reranker { body = TWO }
    local function rank() return ids(one:compress_documents(documents(2), "x")) end
    assert.equal("d2 d1", mp.cassette(path, { mode = "record" }, rank))
    server:reset()
    assert.equal("d2 d1", mp.cassette(path, { mode = "replay" }, rank))
    assert.equal(0, server:stats().requests)
  end)
end)

describe("the rerankers of providers", function()
  local KEY = "sk-test-rerank"

  it("send and read what theirs do", function()
    local list = documents(2)
    local function rank(class, body, opts)
      server:reset()
      opts = opts or {}
      opts.api_key, opts.top_n = KEY, 2
      assert.equal("d2 d1", ids(reranker({ body = body }, opts, class)
        :compress_documents(list, "q")))
      return sent()
    end
    local texts = { "text 1", "text 2" }
    assert.same({ model = "rerank-v4.0-fast", query = "q", documents = texts, top_n = 2 },
      rank(mp.CohereRerank, TWO))
    assert.same({ model = "jina-reranker-v3", query = "q", documents = texts, top_n = 2,
      return_documents = false }, rank(mp.JinaRerank, TWO))
    assert.same({ model = "rerank-2.5-lite", query = "q", documents = texts, top_k = 2 },
      rank(mp.VoyageAIRerank, answer({ { 1, 0.9 }, { 0, 0.1 } }, { list = "data" })))
    assert.same({ query = "q", texts = texts, truncate = true },
      rank(mp.TEIRerank, answer({ { 1, 0.9 }, { 0, 0.1 } }, { bare = true, score = "score" })))
  end)

  it("ask 32 texts at a time of text-embeddings-inference", function()
    reranker({ body = "[]" }, {}, mp.TEIRerank):compress_documents(documents(33), "q")
    local sizes = { #sent(1).texts, #sent(2).texts }
    table.sort(sizes)
    assert.same({ 1, 32 }, sizes)
  end)

  it("need a key, which goes to them alone", function()
    local err = failure(mp.CohereRerank, { base_url = "https://x.test/v2" })
    assert.same({ "config", true }, { err.kind,
      err.message:find("COHERE_API_KEY goes to https://api.cohere.com only", 1, true) ~= nil })
    assert.equal("config", failure(mp.Reranker, { base_url = "http://x.test", api_key = KEY }).kind)
    assert.is_nil(tostring(mp.inspect(mp.JinaRerank { api_key = KEY })):find(KEY, 1, true))
  end)
end)

describe("Reranker: failures", function()
  local function failing(script, opts)
    opts = opts or {}
    if opts.max_retries == nil then opts.max_retries = 0 end
    local one = reranker(script, opts)
    return failure(one.compress_documents, one, documents(2), "x")
  end

  it("are mapped as those of models are", function()
    local err = failing({ status = 401, error = "invalid_api_key" }, { model = "m" })
    assert.same({ "auth", 401, "rerank", "m", 1 },
      { err.kind, err.status, err.provider, err.model, err.attempts })
    assert.is_nil(failing({ status = 400 }).model)
    assert.equal("refused_request", failing({ status = 422, body = '{"message":"no such model"}' })
      .kind)
    assert.equal("rate_limit", failing({ body = '{"error":{"code":429,"message":"slow"}}' }).kind)
    assert.equal("protocol", failing { html = true }.kind)
    assert.equal("protocol", failing { empty = true }.kind)
    assert.equal("truncated", failing { body = TWO, length = "+9" }.kind)
  end)

  it("are decode where the answer is none", function()
    local function problem(body) return failing({ body = body }) end
    for body, message in pairs {
      ["{"] = "the answer is not JSON",
      ['{"id":"x"}'] = "the answer has no results",
      ['{"results":{"a":1}}'] = "the answer has no results",
      ['"text"'] = "the answer has no results",
      [answer { { 0, 1 }, { 2, 1 } }] = "result 2 has the index 2, and 2 documents were sent",
      [answer { { -1, 1 } }] = "result 1 has the index -1, and 2 documents were sent",
      [answer { { 0.5, 1 } }] = "result 1 has the index 0.5, and 2 documents were sent",
      [answer { { "0", 1 } }] = "result 1 has the index a string, and 2 documents were sent",
      [answer { { 1, 1 }, { 1, 0 } }] = "result 2 has the index 1 again",
      [answer { { 0, "high" } }] = "result 1 has the score a string",
      [answer { { 0 } }] = "result 1 has the score nil",
      ['{"results":[7]}'] = "result 1 has the index nil, and 2 documents were sent",
    } do
      local err = problem(body)
      assert.same({ "decode", message, "rerank", 200 },
        { err.kind, err.message, err.provider, err.status })
    end
  end)

  it("are tried again where that may help", function()
    local url = server:lane("again", { { status = 503, header = "retry-after-ms: 5" },
      { body = TWO, reset = 10 }, default = { body = TWO } })
    assert.equal("d2 d1", ids(reranker(url):compress_documents(documents(2), "x")))
    assert.equal(3, server:stats().lanes.again.requests)
  end)

  it("of one part end the others", function()
    local url = server:lane("one", { "never", { status = 400, delay = 20 }, default = "never" })
    local one = reranker(url, { chunk_size = 1 })
    local err = failure(one.compress_documents, one, documents(3), "x")
    assert.equal("refused_request", err.kind)
    server:wait(function(stats) return stats.aborted == 2 and stats.in_flight == 0 end)
    err = failure(one.invoke, reranker({ status = 400 }, { chunk_size = 1 }),
      { documents = documents(3), query = "x" }, { on_error = "collect" })
    assert.equal("refused_request", err.kind)
  end)

  it("close the connection where the call is cancelled", function()
    local one = reranker { never = true }
    local err = failure(one.invoke, one, { documents = documents(2), query = "x" },
      { timeout = 0.05 })
    assert.equal("timeout_total", err.kind)
    server:wait(function(stats) return stats.aborted == 1 and stats.in_flight == 0 end)
  end)

  it("name wrong options", function()
    helper.raises("unknown option 'top' of Reranker", mp.Reranker, { top = 1 })
    helper.raises("top_n of Reranker is the number 0; it must be a positive integer", mp.Reranker,
      { top_n = 0 })
    helper.raises("model of Reranker must be a string, got the number 1", mp.Reranker,
      { model = 1 })
  end)
end)

describe("BM25Reranker", function()
  local function texts(...)
    local list = {}
    for i, text in ipairs { ... } do list[i] = mp.Document { page_content = text, id = "same" } end
    return list
  end

  it("puts what shares words with the question first, and the rest behind it", function()
    local found = mp.BM25Reranker():compress_documents(
      texts("a b", "c", "b b b", "d"), "which b?")
    local got = {}
    for i, doc in ipairs(found) do got[i] = doc.page_content end
    assert.same({ "b b b", "a b", "c", "d" }, got)
    assert.truthy(found[1].score > found[2].score and found[2].score > 0)
    assert.same({ 0, "same" }, { found[3].score, found[3].id })
    assert.equal(1, #mp.BM25Reranker { top_n = 1 }:compress_documents(found, "b"))
  end)

  it("checks its options", function()
    helper.raises("k1 of BM25Retriever is a string", mp.BM25Reranker, { k1 = "x" })
    helper.raises("top_n of BM25Reranker is a string", mp.BM25Reranker, { top_n = "x" })
  end)
end)

describe("LLMListwiseRerank", function()
  local function saying(...)
    return mp.FakeListChatModel { responses = { ... } }
  end

  it("gives the documents that the model names, in its order", function()
    local one = mp.LLMListwiseRerank.from_llm(saying '{"ranked_document_ids":[3,1]}')
    local found = one:compress_documents(documents(3), "x")
    assert.equal("d3 d1", ids(found))
    assert.is_nil(found[1].score)
    one = mp.LLMListwiseRerank { model = saying '{"ranked_document_ids":[4,3,2,1]}' }
    assert.equal("d4 d3 d2", ids(one:compress_documents(documents(4), "x")))
    one = mp.LLMListwiseRerank { model = saying '{"ranked_document_ids":[2,1]}', top_n = 1 }
    assert.equal("d2", ids(one:compress_documents(documents(4), "x")))
  end)

  it("tells an API of the form, and shows each document between lines", function()
    local url = server:with { answer = '{"ranked_document_ids":[1]}' }
    local inner, line = ("data-%032x"):format(1), ("data-%032x"):format(2)
    mp.LLMListwiseRerank { model = mp.ChatOpenAI { base_url = url } }
      :compress_documents({ mp.Document(inner) }, "why {so}?")
    local body = sent()
    local items = body.response_format.json_schema.schema.properties.ranked_document_ids.items
    assert.same({ type = "integer", minimum = 1, maximum = 1 }, items)
    assert.truthy(body.messages[1].content:find(
      ("Document 1:\n%s\n%s\n%s\n\nQuestion: why {so}?"):format(line, inner, line), 1, true))
  end)

  it("sends a wrong answer back once, then says what is wrong", function()
    local one = mp.LLMListwiseRerank {
      model = saying('{"ranked_document_ids":[7]}', '{"ranked_document_ids":[2]}'),
    }
    assert.equal("d2", ids(one:compress_documents(documents(2), "x")))
    one = mp.LLMListwiseRerank { model = saying '{"ranked_document_ids":[1,1]}' }
    local err = failure(one.compress_documents, one, documents(2), "x")
    assert.same({ "schema", '{"ranked_document_ids":[1,1]}', 2 },
      { err.kind, err.partial, err.attempts })
    assert.truthy(err.path:find("^ranking "), err.path)
    assert.truthy(err.where:find("reranker_spec.lua", 1, true), err.where)
  end)

  it("is drawn with its model, and refuses what is none", function()
    local one = mp.LLMListwiseRerank { model = saying "x" }
    assert.truthy(one:get_graph():draw_ascii():find("PromptTemplate.*FakeListChatModel"))
    helper.raises("LLMListwiseRerank needs model", mp.LLMListwiseRerank, {})
    helper.raises("takes bound arguments", mp.LLMListwiseRerank, { model = mp.const "x" })
  end)
end)
