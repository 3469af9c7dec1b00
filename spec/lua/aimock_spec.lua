-- A server that nobody here wrote: @copilotkit/aimock, from npm, which speaks the protocols of
-- most providers and checks what it is sent.
local cjson = require "cjson"
local helper = require "spec.helper"
local mp = require "moonpipe"
local process = require "spec.support.process"

local FOLDER, PACKAGE = "build/aimock", "@copilotkit/aimock@1.43.0"
local KEY = "sk-aimock" -- spec/support/aimock.mjs takes no other

-- ---- what it answers ---------------------------------------------------------------------

local CALLS = { { name = "weather", arguments = '{"city":"Oslo"}', id = "call_a" },
  { name = "weather", arguments = '{"city":"Rome"}', id = "call_b" } }

-- What a fixture says of itself, not of the answer.
local OWN = { chaos = true, chunkSize = true, latency = true, truncateAfterChunks = true }

local function said(words, fields)
  local out = { match = { userMessage = words }, response = {} }
  for name, value in pairs(fields) do
    if name == "match" then
      for key, field in pairs(value) do out.match[key] = field end
    elseif OWN[name] then
      out[name] = value
    else
      out.response[name] = value
    end
  end
  return out
end

local FIXTURES = {
  said("greet", { content = "Hello, 世界 \240\159\144\187 there!",
    usage = { prompt_tokens = 11, completion_tokens = 5 } }),
  said("halves", { content = "a\240\159\144\187", reasoning = "\240\159\144\187b", chunkSize = 1 }),
  said("think", { content = "42", reasoning = "six times seven" }),
  said("weather", { toolCalls = CALLS, reasoning = "two cities", match = { hasToolResult = false } }),
  said("weather", { content = "Cold, then warm.", match = { hasToolResult = true } }),
  said("who", { content = '{"name":"Ada","age":36}' }),
  said("long", { content = "and so", finishReason = "length" }),
  said("busy", { error = { message = "slow down", type = "rate_limit_error" }, status = 429 }),
  said("twice", { error = { message = "try again", type = "server_error" }, status = 503,
    match = { sequenceIndex = 0 } }),
  said("twice", { content = "now" }),
  said("cut", { content = ("word "):rep(50), truncateAfterChunks = 8, latency = 5 }), -- milliseconds
  said("broken", { content = "x", chaos = { malformedRate = 1 } }),
  said("dropped", { content = "x", chaos = { disconnectRate = 1 } }),
}

-- ---- the server ----------------------------------------------------------------------------

local problem, server -- why it is not there; else it

local function fetch()
  local version = helper.execute({ "node", "--version" }):match "^v(%d+)"
  if (tonumber(version) or 0) < 20 then return "node 20 is needed" end
  if io.open(FOLDER .. "/node_modules/@copilotkit/aimock/package.json") then return nil end
  helper.execute { "mkdir", "-p", FOLDER }
  local _, err, code = helper.execute { "npm", "install", "--prefix", FOLDER, "--no-audit",
    "--no-fund", PACKAGE }
  return code ~= 0 and "npm: " .. err:sub(-200) or nil
end

setup(function()
  problem = fetch()
  if problem then return end
  local path = os.tmpname()
  helper.write(path, cjson.encode(FIXTURES))
  server = process.start { "node", "spec/support/aimock.mjs", FOLDER, path }
  os.remove(path)
end)

teardown(function()
  if server then server:stop() end
end)

local function it_says(name, fn)
  it(name, function()
    if problem then return pending(problem) end
    fn()
  end)
end

local tests = 0

-- Options for its protocol at [path]; sequences of answers begin anew.
local function options(path, more)
  tests = tests + 1
  local opts = { base_url = ("http://127.0.0.1:%d%s"):format(server.ports[1], path), api_key = KEY,
    max_retries = 0, default_headers = { ["x-test-id"] = "test-" .. tests } }
  for name, value in pairs(more or {}) do opts[name] = value end
  return opts
end

-- ---- chat models -----------------------------------------------------------------------------

local PROTOCOLS = {
  { class = "ChatOpenAI", path = "/v1", opts = { model = "gpt-5" } },
  { class = "ChatOpenAI", name = "the Responses API", path = "/v1",
    opts = { model = "gpt-5", use_responses_api = true } },
  { class = "ChatAnthropic", path = "", is_strict = true,
    opts = { thinking = { type = "enabled", budget_tokens = 1024 } } },
  { class = "ChatGoogleGenerativeAI", path = "/v1beta", opts = { model = "gemini-2.5-flash" } },
  { class = "ChatOllama", path = "", opts = { model = "qwen3" }, counts_nothing = true },
  { class = "ChatOpenRouter", path = "/api/v1", opts = { model = "openai/gpt-5" } },
}
-- They have all but their wire words from ChatOpenAI.
local COMPATIBLE = { "ChatDeepSeek", "ChatGroq", "ChatLlamaCpp", "ChatMistralAI", "ChatTogether",
  "ChatVLLM", "ChatXAI" }

local function collected(model, words)
  local texts, whole = {}, nil
  for chunk in model:stream(words) do
    whole = whole and whole + chunk or chunk
    texts[#texts + 1] = chunk.content ~= "" and chunk.content or nil
  end
  return whole, texts
end

-- What a model gives whole, and what its stream adds up to.
local function each_way(model, words, check)
  check(model:invoke(words))
  check((collected(model, words)))
end

local function failure(model, words, streams)
  return helper.failure(function()
    return streams and model:stream(words):collect() or model:invoke(words)
  end)
end

-- ---- tests of every protocol -------------------------------------------------------------------

local function check_answer(protocol, model)
  each_way(model, "greet", function(got)
    assert.equal("Hello, 世界 \240\159\144\187 there!", got.content)
    assert.equal("stop", got.response_metadata.finish_reason)
    if protocol.counts_nothing then return end
    assert.same({ 11, 5, 16 }, { got.usage_metadata.input_tokens,
      got.usage_metadata.output_tokens, got.usage_metadata.total_tokens })
  end)
  assert.is_true(#select(2, collected(model, "greet")) > 2)
end

local function check_thoughts(model)
  each_way(model, "think", function(got)
    assert.same({ "42", "six times seven" },
      { got.content, got.additional_kwargs.reasoning_content })
  end)
end

-- Its chunks are cut between UTF-16's surrogates.
local function check_halves(model)
  each_way(model, "halves", function(got)
    assert.same({ "a\240\159\144\187", "\240\159\144\187b" },
      { got.content, got.additional_kwargs.reasoning_content })
  end)
end

local function check_tools(model)
  local asked = {}
  local weather = mp.tool { name = "weather", description = "Of a city.",
    schema = { type = "object", properties = { city = { type = "string" } } },
    fn = function(args) asked[#asked + 1] = args.city end }
  each_way(model:bind_tools { weather }, "weather", function(got)
    assert.equal("tool_calls", got.response_metadata.finish_reason)
  end)
  local agent = mp.create_agent { model = model, tools = { weather } }
  local result = agent:invoke "weather"
  assert.same({ "Cold, then warm.", { "Oslo", "Rome" }, 5 },
    { result.output:text(), asked, #result.messages })
  local last
  for chunk in agent:stream "weather" do last = chunk end
  assert.truthy(last)
end

local function check_typed(model)
  local s = mp.schema
  local person = s.object { name = "string", age = "integer" }
  local typed = model:with_structured_output(person, { method = "json_schema", max_retries = 0 })
  assert.same({ name = "Ada", age = 36 }, typed:invoke "who")
  local seen = {}
  for value in typed:stream "who" do seen[#seen + 1] = value end
  assert.same({ name = "Ada", age = 36 }, seen[#seen])
  assert.is_true(#seen > 1)
end

local function check_refusals(protocol)
  local model = mp[protocol.class](options(protocol.path, protocol.opts))
  for _, streams in ipairs { false, true } do
    local err = failure(model, "busy", streams)
    assert.same({ "rate_limit", 429, 1, true }, { err.kind, err.status, err.retry_after,
      err.request_id ~= nil })
    assert.truthy(err.message:find("slow down", 1, true))
    assert.equal(404, failure(model, "nobody knows this", streams).status)
  end
  local opts = options(protocol.path, protocol.opts)
  opts.api_key = "sk-another"
  local err = failure(mp[protocol.class](opts), "greet")
  assert.same({ "auth", 401 }, { err.kind, err.status })
  assert.is_nil(tostring(err):find("sk-another", 1, true))
end

local function check_repeats(protocol)
  for _, streams in ipairs { false, true } do
    local opts = options(protocol.path, protocol.opts)
    opts.max_retries = 2
    local model = mp[protocol.class](opts)
    local got = streams and model:stream("twice"):collect() or model:invoke "twice"
    assert.equal("now", got.content)
  end
end

local CUT = { truncated = true, reset = true, protocol = true, decode = true }

local function check_cuts(model)
  local err = failure(model, "cut", true)
  assert.truthy(CUT[err.kind], tostring(err))
  assert.equal(("word "):rep(50):sub(1, #err.partial), err.partial)
  assert.is_true(#err.partial > 0 and #err.partial < 250)
  for _, words in ipairs { "broken", "dropped" } do
    for _, streams in ipairs { false, true } do
      err = failure(model, words, streams)
      assert.truthy(CUT[err.kind], words .. ": " .. tostring(err))
    end
  end
end

for _, protocol in ipairs(PROTOCOLS) do
  local function model(more)
    local opts = options(protocol.path, protocol.opts)
    if protocol.is_strict then opts.default_headers["x-aimock-strict"] = "true" end
    for name, value in pairs(more or {}) do opts[name] = value end
    return mp[protocol.class](opts)
  end

  describe("a server from npm: " .. (protocol.name or protocol.class), function()
    it_says("answers", function() check_answer(protocol, model()) end)
    it_says("tells its thoughts", function() check_thoughts(model()) end)
    it_says("cuts characters in half", function() check_halves(model()) end)
    it_says("calls tools and takes their results", function() check_tools(model()) end)
    it_says("gives typed answers", function() check_typed(model()) end)
    it_says("refuses", function() check_refusals(protocol) end)
    it_says("answers when it is asked again", function() check_repeats(protocol) end)
    it_says("breaks off", function() check_cuts(model()) end)

    it_says("ends where it is full", function()
      if protocol.class == "ChatOllama" then return end -- there it says so of no answer
      each_way(model(), "long", function(got)
        assert.equal("length", got.response_metadata.finish_reason)
      end)
    end)

    it_says("answers many at once", function()
      local inputs = {}
      for i = 1, 40 do inputs[i] = "greet " .. i end
      for i, got in ipairs(model():batch(inputs)) do
        assert.equal("Hello, 世界 \240\159\144\187 there!", got.content, i)
      end
    end)
  end)
end

describe("a server from npm", function()
  for _, class in ipairs(COMPATIBLE) do
    it_says("calls tools for " .. class, function() check_tools(mp[class](options "/v1")) end)
  end
end)

-- ---- embeddings ------------------------------------------------------------------------------

describe("a server from npm: OpenAIEmbeddings", function()
  it_says("are equal for equal texts", function()
    local embeddings = mp.OpenAIEmbeddings(options "/v1")
    local rows = embeddings:embed_documents { "one", "two", "one" }
    assert.equal(3, #rows)
    assert.equal(rows:row(1)[1], rows:row(3)[1])
    assert.not_equal(rows:row(1)[1], rows:row(2)[1])
    assert.equal(rows:row(1)[1], embeddings:embed_query("one")[1])
  end)
end)
