local child = require "spec.support.child"
local mp = require "moonpipe"
local providers = require "spec.support.providers"
local server = require("spec.support.server").use()

local provider = providers.use(server, "ChatOllama",
  { base = "", frame = "ndjson", options = { model = "m" } })
local model, stream, seen = provider.model, provider.stream, provider.seen
local collected = provider.collected

local function value_of(message, fields)
  local value = { model = "m", created_at = "2026-01-01T00:00:00Z", message = message, done = false }
  for key, field in pairs(fields or {}) do value[key] = field end
  return value
end

local DONE = { done = true, done_reason = "stop", prompt_eval_count = 5, eval_count = 2,
  total_duration = 7 }

local function answer(message)
  return provider.whole(value_of(message, DONE))
end

describe("ChatOllama", function()
  it("sends a message, and reads the answer", function()
    local got = model(answer { role = "assistant", content = "Hello", thinking = "hm" },
      { temperature = 0, num_ctx = 4096, max_tokens = 5, reasoning = true, keep_alive = "5m" })
      :invoke { { "system", "be kind" }, { "human", "hi" } }
    assert.same({ "Hello", "hm" }, { got.content, got.additional_kwargs.reasoning_content })
    assert.same({ input_tokens = 5, output_tokens = 2, total_tokens = 7 }, got.usage_metadata)
    assert.same({ "m", "ollama", "stop", 7 }, { got.response_metadata.model_name,
      got.response_metadata.model_provider, got.response_metadata.finish_reason,
      got.response_metadata.total_duration })
    local body, request = seen()
    assert.same({
      model = "m", stream = false, think = true, keep_alive = "5m",
      messages = { { role = "system", content = "be kind" }, { role = "user", content = "hi" } },
      options = { temperature = 0, num_ctx = 4096, num_predict = 5 },
    }, body)
    assert.truthy(request.path:find("/api/chat", 1, true))
    assert.is_nil(request.headers.authorization)
  end)

  it("sends calls, their results and images", function()
    model(answer { content = "ok" }):invoke {
      mp.HumanMessage { content = { "look",
        { type = "image_url", image_url = { url = "data:image/png;base64,QUI=" } } } },
      mp.AIMessage { content = "", tool_calls = { { id = "c1", name = "f", args = { x = 1 } } } },
      mp.ToolMessage { content = "one", tool_call_id = "c1" },
    }
    assert.same({
      { role = "user", content = "look", images = { "QUI=" } },
      { role = "assistant", content = "", tool_calls = {
        { id = "c1", ["function"] = { name = "f", arguments = { x = 1 } } } } },
      { role = "tool", content = "one", tool_name = "f", tool_call_id = "c1" },
    }, seen().messages)
    local _, err = model({}):try_invoke { mp.HumanMessage { content = {
      { type = "image", url = "https://x.example/a" } } } }
    assert.same({ "unsupported", "ChatOllama cannot send a part of the type 'image' by its URL;"
      .. " give it as base64" }, { err.kind, err.message })
  end)

  it("turns what a binding says into the provider's words", function()
    local tools = { { type = "function", ["function"] = { name = "f" } } }
    local m = model(answer { content = "ok" })
    m:bind({ tools = tools, response_format = { type = "json_object" }, stop = "E" }):invoke "x"
    assert.same({ tools, "json", { "E" } }, { seen().tools, seen().format, seen().options.stop })
    m:bind({ tools = tools, tool_choice = "none", response_format = { type = "json_schema",
      json_schema = { schema = { type = "object" } } } }):invoke "x"
    assert.same({ format = { type = "object" } }, { format = seen().format, tools = seen().tools })
  end)

  it("gives calls whose arguments come decoded", function()
    local got = model(answer { content = "", tool_calls = {
      { ["function"] = { name = "f", arguments = { a = 1 } } },
      { ["function"] = { name = "f", arguments = { a = 2 } } } } }):invoke "x"
    assert.same({ { name = "f", args = { a = 1 }, id = "call_0", type = "tool_call" },
      { name = "f", args = { a = 2 }, id = "call_1", type = "tool_call" } }, got.tool_calls)
    assert.equal("tool_calls", got.response_metadata.finish_reason)
  end)

  it("says which models there are where one is not", function()
    local m = model({ { status = 404, body = '{"error":"model \\"m\\" not found"}' },
      { body = '{"models":[{"name":"llama3.2:latest"}]}' } })
    local _, err = m:try_invoke "x"
    assert.same({ 404, 'model "m" not found; the server has: llama3.2:latest' },
      { err.status, err.message })
  end)

  it("fails where an answer has no message", function()
    local _, err = model({ body = "{}", content_type = "application/json" }):try_invoke "x"
    assert.equal("protocol", err.kind)
  end)

  it("finds its server by what OLLAMA_HOST says", function()
    for text, url in pairs {
      ["0.0.0.0"] = "http://127.0.0.1:11434", ["box:1234"] = "http://box:1234",
      ["box"] = "http://box:11434", ["https://x.example"] = "https://x.example",
    } do
      local out = child.run({ env = { OLLAMA_HOST = text } },
        [[print(require("moonpipe").ChatOllama().endpoint.origin.url)]])
      assert.equal(url, out:match "%S+")
    end
  end)
end)

describe("a stream of ChatOllama", function()
  it("gives texts as they come, and the counts of the last line", function()
    local texts, all = {}, nil
    local m = model(stream { value_of { content = "", thinking = "h" },
      value_of { content = "", thinking = "m" }, value_of { content = "He" },
      value_of { content = "llo" }, value_of({ content = "" }, DONE) })
    for chunk in m:stream "x" do
      texts[#texts + 1] = chunk.content
      all = all and all + chunk or chunk
    end
    assert.same({ "", "", "He", "llo", "" }, texts)
    assert.same({ "hm", 7, "stop" }, { all.additional_kwargs.reasoning_content,
      all.usage_metadata.total_tokens, all.response_metadata.finish_reason })
    assert.is_true(seen().stream)
  end)

  it("keeps calls apart that are all numbered 0", function()
    local function call(a)
      return value_of { content = "", tool_calls = { { ["function"] = { index = 0, name = "f",
        arguments = { a = a } } } } }
    end
    local all = collected { call(1), call(2), value_of({ content = "" }, DONE) }
    assert.same({ 1, 2 }, { all.tool_calls[1].args.a, all.tool_calls[2].args.a })
    assert.equal("tool_calls", all.response_metadata.finish_reason)
  end)

  it("is truncated without its last line, and raises an error in its midst", function()
    local _, err = pcall(collected, { value_of { content = "half" } })
    assert.same({ "truncated", "half" }, { err.kind, err.partial })
    _, err = pcall(collected, { value_of { content = "ha" }, { error = "out of memory" } })
    assert.same({ "out of memory", "ha" }, { err.message, err.partial })
  end)
end)
