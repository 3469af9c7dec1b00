local cjson = require "cjson"
local helper = require "spec.helper"
local mp = require "moonpipe"
local server = require("spec.support.server").use()

local function embeddings(opts, script)
  opts = opts or {}
  opts.base_url = script and server:with(script) or server.base_url
  opts.dimensions = opts.dimensions or 4
  return mp.OpenAIEmbeddings(opts)
end

local function seen()
  local list = {}
  for i, request in ipairs(server:requests()) do list[i] = cjson.decode(request.body) end
  return list
end

local function texts_of(count)
  local texts = {}
  for i = 1, count do texts[i] = "text " .. i end
  return texts
end

-- The rows of [m] as texts, to compare with others.
local function rows_of(m)
  local rows = {}
  for i = 1, #m do rows[i] = table.concat(m:row(i):totable(), " ") end
  return rows
end

local failure = helper.failure

describe("OpenAIEmbeddings", function()
  it("gives a row for each text", function()
    local m = embeddings():embed_documents({ "a", "b", "c" })
    assert.same({ 3, 4 }, { m:shape() })
    assert.same({ "a", "b", "c" }, seen()[1].input)
  end)

  it("gives a vector for a query, the same as for a document", function()
    local e = embeddings()
    local v = e:embed_query("b")
    assert.equal(4, #v)
    assert.same(v:totable(), e:embed_documents({ "a", "b" }):row(2):totable())
  end)

  it("asks for base64, and for its model and dimensions", function()
    embeddings({ user = "u", extra_body = { truncate = "END" } }):embed_query("a")
    assert.same({ model = "text-embedding-3-small", dimensions = 4, encoding_format = "base64",
      input = { "a" }, user = "u", truncate = "END" }, seen()[1])
    mp.OpenAIEmbeddings({ base_url = server.base_url, model = "other" }):embed_query("a")
    assert.same({ model = "other", encoding_format = "base64", input = { "a" } }, seen()[2])
  end)

  it("takes arrays where base64 was asked for", function()
    assert.same(rows_of(embeddings():embed_documents({ "a", "b" })),
      rows_of(embeddings(nil, "floats"):embed_documents({ "a", "b" })))
  end)

  it("takes rows in any order", function()
    local texts = texts_of(20)
    assert.same(rows_of(embeddings():embed_documents(texts)),
      rows_of(embeddings(nil, "shuffle"):embed_documents(texts)))
  end)

  it("sends chunks at once and joins them in order", function()
    local texts = texts_of(23)
    local whole = embeddings():embed_documents(texts)
    server:reset()
    local parts = embeddings({ chunk_size = 5 }, { delay = 30 }):embed_documents(texts)
    assert.same(rows_of(whole), rows_of(parts))
    local stats = server:stats()
    assert.same({ 5, 5 }, { stats.requests, stats.peak })
    local sizes = {}
    for i, body in ipairs(seen()) do sizes[i] = #body.input end
    table.sort(sizes)
    assert.same({ 3, 5, 5, 5, 5 }, sizes)
  end)

  it("cuts chunks by size too", function()
    local long = ("x"):rep(500 * 1024)
    embeddings():embed_documents({ long, long, "a", "b" })
    assert.equal(2, server:stats().requests)
  end)

  it("keeps the limit of its run", function()
    local e = embeddings({ chunk_size = 2 }, { delay = 5 })
    mp.RunnableLambda(function() return e:embed_documents(texts_of(12)) end)
      :invoke(nil, { max_concurrency = 2 })
    local stats = server:stats()
    assert.same({ 6, 2 }, { stats.requests, stats.peak })
  end)

  it("decodes large answers too", function()
    local m = embeddings({ dimensions = 1536 }):embed_documents(texts_of(60))
    assert.same({ 60, 1536 }, { m:shape() })
  end)

  it("makes nothing of no texts", function()
    assert.equal(0, #embeddings():embed_documents({}))
    assert.equal(0, server:stats().requests)
  end)

  it("sends its key and headers", function()
    embeddings({ api_key = "sk-test-embed", organization = "org-1" }):embed_query("a")
    local headers = server:requests()[1].headers
    assert.same({ "Bearer sk-test-embed", "org-1" },
      { headers.authorization, headers["openai-organization"] })
  end)

  it("prints its name", function()
    assert.equal("OpenAIEmbeddings", tostring(embeddings()))
    assert.equal("OpenAIEmbeddings", tostring(mp.OpenAIEmbeddings))
  end)
end)

describe("OpenAIEmbeddings: mistakes", function()
  it("in options are named", function()
    helper.raises("unknown option 'modle' of OpenAIEmbeddings", embeddings, { modle = "x" })
    helper.raises("chunk_size of OpenAIEmbeddings must be a whole number from 1, got the number 0",
      embeddings, { chunk_size = 0 })
    helper.raises("dimensions of OpenAIEmbeddings must be a number, got a string", embeddings,
      { dimensions = "4" })
    local err = failure(mp.OpenAIEmbeddings, { base_url = "https://x.test/v1" })
    assert.equal("config", err.kind)
    assert.truthy(err.message:find("^OpenAIEmbeddings: base_url 'https://x.test/v1'"))
  end)

  it("in texts are named", function()
    local e = embeddings()
    helper.raises("embed_documents takes a list of strings, got a string", e.embed_documents, e, "x")
    helper.raises("text 2 of embed_documents is the number 3; it must be a string",
      e.embed_documents, e, { "a", 3 })
    helper.raises("the text of embed_query is nil; it must be a string", e.embed_query, e)
    local err = helper.raises("text 1 of embed_documents is empty, and an empty text has no embedding",
      e.embed_documents, e, { "" })
    assert.equal("input", err.kind)
  end)
end)

describe("OpenAIEmbeddings: failures", function()
  local function failing(script, opts, texts)
    opts = opts or {}
    if opts.max_retries == nil then opts.max_retries = 0 end
    local e = embeddings(opts, script)
    return failure(e.embed_documents, e, texts or { "a", "b" })
  end

  it("are mapped as those of models are", function()
    local err = failing({ status = 401, error = "invalid_api_key" }, { api_key = "sk-test-embed" })
    assert.same({ "auth", 401, "openai", "text-embedding-3-small", 1 },
      { err.kind, err.status, err.provider, err.model, err.attempts })
    assert.equal("quota", failing({ status = 429, error = "insufficient_quota" }).kind)
    assert.equal("rate_limit", failing({ body = '{"error":{"code":429,"message":"slow"}}' }).kind)
    assert.equal("protocol", failing("html").kind)
    assert.equal("protocol", failing("empty").kind)
    assert.equal("truncated", failing("length=+9").kind)
  end)

  it("are decode where a vector is missing or broken", function()
    local err = failing("missing")
    assert.same({ "decode", 200 }, { err.kind, err.status })
    assert.truthy(err.message:find("2", 1, true))
    assert.equal("decode", failing({ body = '{"data":[{"index":0,"embedding":"!"}]}' }).kind)
    assert.equal("decode", failing("missing", { dimensions = 1536 }, texts_of(60)).kind)
    assert.equal("protocol", failing({ body = "<" .. ("x"):rep(100000) }).kind)
  end)

  it("are tried again where that may help", function()
    local url = server:lane("again", { { status = 503, header = "retry-after-ms: 5" }, "missing",
      "status=200" })
    local e = mp.OpenAIEmbeddings { base_url = url, dimensions = 4 }
    assert.equal(2, #e:embed_documents({ "a", "b" }))
    assert.equal(3, server:stats().lanes.again.requests)
  end)

  it("of one chunk end the others", function()
    local url = server:lane("one", { "never", { status = 400, delay = 20 }, default = "never" })
    local e = mp.OpenAIEmbeddings { base_url = url, dimensions = 4, chunk_size = 1 }
    local err = failure(e.embed_documents, e, { "a", "b", "c" })
    assert.equal("refused_request", err.kind)
    server:wait(function(stats) return stats.aborted == 2 and stats.in_flight == 0 end)
  end)
end)
