local cjson = require "cjson"
local helper = require "spec.helper"
local mp = require "moonpipe"
local server = require("spec.support.server").use()

local lanes = 0

local function embeddings(class, opts, scripts)
  lanes = lanes + 1
  local all = { base_url = server:lane("embed-" .. lanes, scripts), max_retries = 0,
    api_key = "k" }
  for key, value in pairs(opts or {}) do all[key] = value end
  return mp[class](all)
end

local function answer(list)
  return { body = cjson.encode { embeddings = list }, content_type = "application/json" }
end

local function seen()
  local all = server:requests()
  return cjson.decode(all[#all].body), all[#all]
end

describe("OllamaEmbeddings", function()
  it("gives a row for each text", function()
    local e = embeddings("OllamaEmbeddings", { num_ctx = 512, truncate = false, model = "m" },
      answer { { 1, 2 }, { 3, 4 } })
    local rows = e:embed_documents { "a", "b" }
    assert.same({ { 1, 2 }, { 3, 4 } }, rows:totable())
    local body, request = seen()
    assert.same({ model = "m", truncate = false, options = { num_ctx = 512 },
      input = { "a", "b" } }, body)
    assert.truthy(request.path:find("/api/embed$"))
  end)

  it("says what came in their place", function()
    local e = embeddings("OllamaEmbeddings", nil, answer { { 1, 2 } })
    local ok, err = pcall(e.embed_documents, e, { "a", "b" })
    assert.is_false(ok)
    assert.same({ "decode", "the answer has no embedding with index 1 (1 of 2)" },
      { err.kind, err.message })
    e = embeddings("OllamaEmbeddings", nil, { body = '{"error":"no such model"}',
      content_type = "application/json" })
    ok, err = pcall(e.embed_query, e, "a")
    assert.is_false(ok)
    assert.equal("no such model", err.message)
  end)
end)

describe("GoogleGenerativeAIEmbeddings", function()
  local ROWS = answer { { values = { 1, 2, 3 } } }

  it("says whether a text is stored or asked for", function()
    local e = embeddings("GoogleGenerativeAIEmbeddings", { dimensions = 3, model = "models/m" }, ROWS)
    assert.equal(3, #e:embed_query("a"))
    local body, request = seen()
    assert.same({ requests = { { model = "models/m", content = { parts = { { text = "a" } } },
      taskType = "RETRIEVAL_QUERY", outputDimensionality = 3 } } }, body)
    assert.truthy(request.path:find("/models/m:batchEmbedContents$"))
    e:embed_documents { "a" }
    assert.equal("RETRIEVAL_DOCUMENT", seen().requests[1].taskType)
    embeddings("GoogleGenerativeAIEmbeddings", { task_type = "CLUSTERING" }, ROWS):embed_query "a"
    assert.equal("CLUSTERING", seen().requests[1].taskType)
  end)

  it("asks together for what is asked at once", function()
    local e = embeddings("GoogleGenerativeAIEmbeddings", { model = "m" },
      answer { { values = { 1, 2, 3 } }, { values = { 4, 5, 6 } } })
    local rows = mp.RunnableLambda(function(text) return e:embed_query(text):totable() end)
      :batch { "a", "b" }
    assert.same({ { 1, 2, 3 }, { 4, 5, 6 } }, { rows[1], rows[2] })
    local requests = seen().requests
    assert.same({ "RETRIEVAL_QUERY", "RETRIEVAL_QUERY" },
      { requests[1].taskType, requests[2].taskType })
  end)

  it("asks for no more at once than the provider takes", function()
    local texts, rows = {}, {}
    for i = 1, 150 do texts[i] = "t" .. i end
    for i = 1, 100 do rows[i] = { values = { i } } end
    local half = {}
    for i = 1, 50 do half[i] = { values = { 100 + i } } end
    local e = embeddings("GoogleGenerativeAIEmbeddings", nil, { answer(rows), answer(half) })
    local vectors = mp.RunnableLambda(function() return e:embed_documents(texts) end)
      :invoke("x", { max_concurrency = 1 }) -- one behind the other, as the answers are
    assert.same({ 150, 100, 150 }, { #vectors, vectors:totable()[100][1], vectors:totable()[150][1] })
    local sizes = {}
    for _, request in ipairs(server:requests()) do
      sizes[#sizes + 1] = #cjson.decode(request.body).requests
    end
    table.sort(sizes)
    assert.same({ 50, 100 }, sizes)
  end)
end)

describe("init_embeddings", function()
  it("takes any provider that has some", function()
    for name, class in pairs { ["ollama:m"] = "OllamaEmbeddings", ["openai:m"] = "OpenAIEmbeddings",
      ["gemini:m"] = "GoogleGenerativeAIEmbeddings" } do
      local e = mp.init_embeddings(name, { api_key = "k" })
      assert.same({ class, "m" }, { tostring(e), e.model })
    end
    helper.raises("anthropic has no embeddings here; these have: google, hash, ollama, openai",
      mp.init_embeddings, "anthropic:x")
  end)
end)
