local cjson = require "cjson"
local helper = require "spec.helper"
local mp = require "moonpipe"
local providers = require "spec.support.providers"
local server = require("spec.support.server").use()

local provider = providers.use(server, "ChatGoogleGenerativeAI",
  { base = "/v1beta", frame = "sse", options = { api_key = "AIza-test" } })
local model, stream, seen = provider.model, provider.stream, provider.seen
local collected = provider.collected

local USAGE = { promptTokenCount = 8, candidatesTokenCount = 4, thoughtsTokenCount = 2,
  totalTokenCount = 14, cachedContentTokenCount = 3 }

local function value_of(parts, reason, fields)
  local value = {
    candidates = { { content = { role = "model", parts = parts }, finishReason = reason,
      index = 0 } },
    usageMetadata = USAGE, modelVersion = "gemini-x", responseId = "r1",
  }
  for key, field in pairs(fields or {}) do value[key] = field end
  return value
end

local function answer(...)
  return provider.whole(value_of(...))
end

describe("ChatGoogleGenerativeAI", function()
  it("sends a message, and reads the answer", function()
    local m = model(answer({ { text = "Hel" }, { text = "lo" } }, "STOP"), {
      model = "models/gemini-x", temperature = 0, max_tokens = 9, stop = "E" })
    local got = m:invoke { { "system", "be kind" }, { "human", "hi" } }
    assert.same({ "Hello", "r1" }, { got.content, got.id })
    assert.same({ input_tokens = 8, output_tokens = 6, total_tokens = 14,
      input_token_details = { cache_read = 3 }, output_token_details = { reasoning = 2 } },
      got.usage_metadata)
    assert.same({ id = "r1", model_name = "gemini-x", model_provider = "google",
      finish_reason = "stop", stop_reason = "STOP" }, got.response_metadata)
    local body, request = seen()
    assert.same({
      contents = { { role = "user", parts = { { text = "hi" } } } },
      systemInstruction = { parts = { { text = "be kind" } } },
      generationConfig = { temperature = 0, maxOutputTokens = 9, stopSequences = { "E" } },
    }, body)
    assert.truthy(request.path:find("/v1beta/models/gemini-x:generateContent", 1, true))
    assert.equal("AIza-test", request.headers["x-goog-api-key"])
  end)

  it("sends calls, their results and images", function()
    model(answer({ { text = "ok" } }, "STOP")):invoke {
      mp.HumanMessage { content = { "look",
        { type = "image", base64 = "QUI=", mime_type = "image/png" },
        { type = "image_url", image_url = { url = "https://x.example/a" } } } },
      mp.AIMessage { content = "", tool_calls = { { id = "c1", name = "f", args = { x = 1 } },
        { id = "c2", name = "g", args = {} } } },
      mp.ToolMessage { content = "one", tool_call_id = "c1" },
      mp.ToolMessage { content = "bad", tool_call_id = "c2", status = "error" },
    }
    assert.same({
      { role = "user", parts = { { text = "look" },
        { inlineData = { mimeType = "image/png", data = "QUI=" } },
        { fileData = { fileUri = "https://x.example/a" } } } },
      { role = "model", parts = { { functionCall = { name = "f", args = { x = 1 } } },
        { functionCall = { name = "g", args = {} } } } },
      { role = "user", parts = {
        { functionResponse = { name = "f", response = { output = "one" } } },
        { functionResponse = { name = "g", response = { error = "bad" } } } } },
    }, seen().contents)
  end)

  it("gives ids of the provider back, and none of its own making", function()
    local calls = { { functionCall = { name = "f", args = {}, id = "g-1" } },
      { functionCall = { name = "f", args = { x = 1 }, id = "g-2" } } }
    local got = model(answer(calls, "STOP")):invoke "x"
    model(answer({ { text = "ok" } }, "STOP")):invoke { { "human", "x" }, got,
      mp.ToolMessage { content = "two", tool_call_id = "g-2" },
      mp.ToolMessage { content = "one", tool_call_id = "g-1" } }
    assert.same({ { role = "model", parts = calls }, { role = "user", parts = {
      { functionResponse = { id = "g-2", name = "f", response = { output = "two" } } },
      { functionResponse = { id = "g-1", name = "f", response = { output = "one" } } } } } },
      { seen().contents[2], seen().contents[3] })
  end)

  it("names the message whose call is not there", function()
    local _, err = model({}):try_invoke { { "human", "x" },
      mp.ToolMessage { content = "1", tool_call_id = "c9" } }
    assert.same({ "input", "no call before the tool message has the id 'c9'" },
      { err.kind, err.message })
  end)

  it("turns what a binding says into the provider's words", function()
    local tool = { type = "function", ["function"] = {
      name = "f", description = "d", parameters = { type = "object" } } }
    local m = model(answer({ { text = "ok" } }, "STOP"))
    m:bind({ tools = { tool, { google_search = {} } }, tool_choice = "required",
      response_format = { type = "json_schema", json_schema = { name = "n",
        schema = { type = "object" } } } }):invoke "x"
    local body = seen()
    assert.same({ { functionDeclarations = { { name = "f", description = "d",
      parametersJsonSchema = { type = "object" } } } }, { google_search = {} } }, body.tools)
    assert.same({ functionCallingConfig = { mode = "ANY" } }, body.toolConfig)
    assert.same({ responseMimeType = "application/json",
      responseJsonSchema = { type = "object" } }, body.generationConfig)
    m:bind({ tools = { tool }, tool_choice = { type = "function", ["function"] = { name = "f" } } })
      :invoke "x"
    assert.same({ mode = "ANY", allowedFunctionNames = { "f" } },
      seen().toolConfig.functionCallingConfig)
    helper.raises("tool_choice 'maybe' of ChatGoogleGenerativeAI is none of", function()
      m:bind({ tool_choice = "maybe" }):invoke "x"
    end)
  end)

  it("gives calls, and thoughts, which go back as they came", function()
    local parts = { { text = "hm", thought = true },
      { functionCall = { name = "f", args = { a = 1 } }, thoughtSignature = "sig" } }
    local got = model(answer(parts, "STOP")):invoke "x"
    assert.same({ { name = "f", args = { a = 1 }, id = "call_0", type = "tool_call" } },
      got.tool_calls)
    assert.same({ "hm", "", "tool_calls" }, { got.additional_kwargs.reasoning_content,
      got.content, got.response_metadata.finish_reason })
    model(answer({ { text = "ok" } }, "STOP")):invoke { { "human", "x" }, got,
      mp.ToolMessage { content = "1", tool_call_id = "call_0" } }
    assert.same({ role = "model", parts = parts }, seen().contents[2])
  end)

  it("fails where the prompt was blocked, and where no candidate came", function()
    local script = { body = cjson.encode { promptFeedback = { blockReason = "SAFETY" } },
      content_type = "application/json" }
    local _, err = model(script):try_invoke "x"
    assert.same({ "content_filter", "SAFETY", "google" }, { err.kind, err.code, err.provider })
    _, err = model({ body = "{}", content_type = "application/json" }):try_invoke "x"
    assert.equal("protocol", err.kind)
  end)

  it("reads refusals, in a list too", function()
    local said = { error = { code = 429, message = "slow", status = "RESOURCE_EXHAUSTED" } }
    local _, err = model({ status = 429, body = cjson.encode(said),
      content_type = "application/json" }):try_invoke "x"
    assert.same({ "rate_limit", "slow" }, { err.kind, err.message })
    said.error = { code = 400, message = "API key not valid. Please pass a valid API key.",
      status = "INVALID_ARGUMENT" }
    _, err = model({ status = 400, body = cjson.encode { said },
      content_type = "application/json" }):try_invoke "x"
    assert.same({ "auth", 400 }, { err.kind, err.status })
  end)
end)

describe("a stream of ChatGoogleGenerativeAI", function()
  it("gives texts as they come, and the last counts", function()
    local texts, all = {}, nil
    local first = value_of({ { text = "He" } }, nil, { usageMetadata = { promptTokenCount = 8 } })
    for chunk in model(stream { first, value_of({ { text = "llo" } }, "STOP") }):stream "x" do
      texts[#texts + 1] = chunk.content
      all = all and all + chunk or chunk
    end
    assert.same({ "He", "llo", "" }, texts)
    assert.same({ "r1", 14, "stop" },
      { all.id, all.usage_metadata.total_tokens, all.response_metadata.finish_reason })
    assert.truthy(seen() and select(2, seen()).path:find(":streamGenerateContent", 1, true))
    assert.equal("alt=sse", select(2, seen()).query)
  end)

  it("keeps two whole calls of one function apart", function()
    local function call(a) return { { functionCall = { name = "f", args = { a = a } } } } end
    local all = collected { value_of(call(1)), value_of(call(2), "STOP") }
    assert.same({ { name = "f", args = { a = 1 }, id = "call_0", type = "tool_call" },
      { name = "f", args = { a = 2 }, id = "call_1", type = "tool_call" } }, all.tool_calls)
    assert.equal("tool_calls", all.response_metadata.finish_reason)
  end)

  it("keeps signed parts to send them back", function()
    local all = collected { value_of { { text = "h", thought = true } },
      value_of { { text = "m", thought = true } }, value_of { { text = "a" } },
      value_of { { text = "b" } }, value_of({ { text = "", thoughtSignature = "s" } }, "STOP") }
    assert.same({ "ab", "hm" }, { all.content, all.additional_kwargs.reasoning_content })
    assert.same({ provider = "google", content = {
      { text = "h", thought = true }, { text = "m", thought = true }, { text = "ab" },
      { text = "", thoughtSignature = "s" } } }, all.additional_kwargs.native)
  end)

  it("is truncated where no reason to stop was told", function()
    local ok, err = pcall(collected, { value_of { { text = "half" } } })
    assert.is_false(ok)
    assert.same({ "truncated", "half" }, { err.kind, err.partial })
  end)

  it("raises a prompt that was blocked, and an error in its midst", function()
    local _, err = pcall(collected, { { promptFeedback = { blockReason = "OTHER" } } })
    assert.equal("content_filter", err.kind)
    _, err = pcall(collected, { value_of { { text = "ha" } },
      { error = { code = 503, message = "full", status = "UNAVAILABLE" } } })
    assert.same({ 503, "ha" }, { err.status, err.partial })
  end)
end)
