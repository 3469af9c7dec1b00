local cjson = require "cjson"
local mp = require "moonpipe"
local providers = require "spec.support.providers"
local server = require("spec.support.server").use()

local provider = providers.use(server, "ChatOpenAI",
  { base = "/v1", frame = "named", options = { api_key = "sk-test", use_responses_api = true } })
local model, stream, seen = provider.model, provider.stream, provider.seen
local collected = provider.collected

local function said(text)
  return { type = "message", role = "assistant", id = "msg_1",
    content = { { type = "output_text", text = text } } }
end

local function value_of(output, fields)
  local value = {
    id = "resp_1", object = "response", model = "gpt-x", status = "completed", output = output,
    error = cjson.null, usage = { input_tokens = 4, output_tokens = 3, total_tokens = 7,
      input_tokens_details = { cached_tokens = 1 },
      output_tokens_details = { reasoning_tokens = 2 } },
  }
  for key, field in pairs(fields or {}) do value[key] = field end
  return value
end

local function answer(...)
  return provider.whole(value_of(...))
end

local CREATED = { type = "response.created", response = { id = "resp_2" } }
local THOUGHT = { type = "reasoning", id = "rs_1", encrypted_content = "enc",
  summary = { { type = "summary_text", text = "hm" } } }
local CALL = { type = "function_call", id = "fc_1", call_id = "c1", name = "f",
  arguments = '{"a":1}' }

local function delta(text)
  return { type = "response.output_text.delta", item_id = "msg_1", output_index = 0,
    content_index = 0, delta = text }
end

local function completed(...)
  return { type = "response.completed", response = value_of(...) }
end

describe("ChatOpenAI with the Responses API", function()
  it("sends a message, and reads the answer", function()
    local got = model(answer { said "Hello" }, { max_tokens = 9, verbosity = "low",
      reasoning_effort = "high", reasoning = { summary = "auto" } })
      :invoke { { "system", "be kind" }, { "human", "hi" } }
    assert.same({ "Hello", "resp_1" }, { got.content, got.id })
    assert.same({ input_tokens = 4, output_tokens = 3, total_tokens = 7,
      input_token_details = { cache_read = 1 }, output_token_details = { reasoning = 2 } },
      got.usage_metadata)
    assert.same({ "gpt-x", "openai", "stop" }, { got.response_metadata.model_name,
      got.response_metadata.model_provider, got.response_metadata.finish_reason })
    local body, request = seen()
    assert.same({
      model = "gpt-5.4-mini", store = false, include = { "reasoning.encrypted_content" },
      input = { { role = "system", content = "be kind" }, { role = "user", content = "hi" } },
      max_output_tokens = 9, text = { verbosity = "low" },
      reasoning = { effort = "high", summary = "auto" },
    }, body)
    assert.truthy(request.path:find("/v1/responses$"))
  end)

  it("is asked by an option that is its own", function()
    local plain = providers.use(server, "ChatOpenAI", { base = "/v1", frame = "named" })
    plain.model(answer { said "x" }, { reasoning = { effort = "low" } }):invoke "hi"
    assert.truthy(select(2, seen()).path:find("/responses$"))
  end)

  it("sends calls, their results and images", function()
    model(answer { said "ok" }):invoke {
      mp.HumanMessage { content = { "look",
        { type = "image_url", image_url = { url = "https://x.example/a", detail = "low" } } } },
      mp.AIMessage { content = "so", tool_calls = { { id = "c1", name = "f", args = { a = 1 } } } },
      mp.ToolMessage { content = "one", tool_call_id = "c1" },
    }
    assert.same({
      { role = "user", content = { { type = "input_text", text = "look" },
        { type = "input_image", image_url = "https://x.example/a", detail = "low" } } },
      { role = "assistant", content = "so" },
      { type = "function_call", call_id = "c1", name = "f", arguments = '{"a":1}' },
      { type = "function_call_output", call_id = "c1", output = "one" },
    }, seen().input)
  end)

  it("turns what a binding says into its words", function()
    local tool = { type = "function", ["function"] = { name = "f", description = "d",
      parameters = { type = "object" }, strict = true } }
    model(answer { said "ok" }):bind({ tools = { tool, { type = "web_search" } },
      tool_choice = { type = "function", ["function"] = { name = "f" } },
      parallel_tool_calls = false, response_format = { type = "json_schema", json_schema = {
        name = "n", schema = { type = "object" }, strict = true } } }):invoke "x"
    local body = seen()
    assert.same({ { type = "function", name = "f", description = "d",
      parameters = { type = "object" }, strict = true }, { type = "web_search" } }, body.tools)
    assert.same({ type = "function", name = "f" }, body.tool_choice)
    assert.same({ format = { type = "json_schema", name = "n", schema = { type = "object" },
      strict = true } }, body.text)
    assert.is_false(body.parallel_tool_calls)
  end)

  it("refuses what it has not", function()
    local _, err = model({}, { seed = 1 }):try_invoke "x"
    assert.same({ "unsupported", "the Responses API has no 'seed'" }, { err.kind, err.message })
  end)

  it("gives calls, and thoughts, which go back as they came", function()
    local got = model(answer { THOUGHT, CALL }):invoke "x"
    assert.same({ { name = "f", args = { a = 1 }, id = "c1", type = "tool_call" } }, got.tool_calls)
    assert.same({ "hm", "tool_calls" }, { got.additional_kwargs.reasoning_content,
      got.response_metadata.finish_reason })
    model(answer { said "ok" }):invoke { { "human", "x" }, got,
      mp.ToolMessage { content = "1", tool_call_id = "c1" } }
    assert.same({ THOUGHT, CALL }, { seen().input[2], seen().input[3] })
  end)

  it("gives a list without members back as a list", function()
    local thought = '{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"e"}'
    local text = '{"id":"resp_1","model":"m","status":"completed","output":[' .. thought .. "]}"
    local event = '{"type":"response.completed","response":' .. text .. "}"
    local m = model { { body = text, content_type = "application/json" },
      { body = "data: " .. event .. "\n\n", content_type = "text/event-stream" } }
    for _, got in ipairs { m:invoke "x", m:stream("x"):collect() } do
      model(answer { said "ok" }):invoke { { "human", "x" }, got, { "human", "y" } }
      local _, request = seen()
      assert.truthy(request.body:find('"summary":[]', 1, true), request.body)
    end
  end)

  it("says how an answer ended, and a refusal", function()
    local got = model(answer({ said "a" }, { status = "incomplete",
      incomplete_details = { reason = "max_output_tokens" } })):invoke "x"
    assert.equal("length", got.response_metadata.finish_reason)
    got = model(answer { { type = "message", content = { { type = "refusal", refusal = "no" } } } })
      :invoke "x"
    assert.same({ "", "no" }, { got.content, got.additional_kwargs.refusal })
  end)

  it("fails as the answer does", function()
    local _, err = model(answer({}, { status = "failed", error = { code = "rate_limit_exceeded",
      message = "slow" } })):try_invoke "x"
    assert.same({ "rate_limit", "slow" }, { err.kind, err.message })
    _, err = model({ body = "{}", content_type = "application/json" }):try_invoke "x"
    assert.equal("protocol", err.kind)
  end)
end)

describe("a stream of the Responses API", function()
  it("gives texts as they come, and the rest at the end", function()
    local texts, all = {}, nil
    for chunk in model(stream { CREATED, delta "He", delta "llo",
      completed { said "Hello" } }):stream "x" do
      texts[#texts + 1] = chunk.content
      all = all and all + chunk or chunk
    end
    assert.same({ "He", "llo", "" }, texts)
    assert.same({ "resp_2", 7, "stop" }, { all.id, all.usage_metadata.total_tokens,
      all.response_metadata.finish_reason })
    assert.is_true(seen().stream)
  end)

  it("puts calls together, and keeps thoughts to send them back", function()
    local all = collected { CREATED,
      { type = "response.reasoning_summary_text.delta", delta = "h" },
      { type = "response.reasoning_summary_text.delta", delta = "m" },
      { type = "response.output_item.added", output_index = 1, item = {
        type = "function_call", call_id = "c1", name = "f", arguments = "" } },
      { type = "response.function_call_arguments.delta", output_index = 1, delta = '{"a":' },
      { type = "response.function_call_arguments.delta", output_index = 1, delta = "1}" },
      { type = "response.function_call_arguments.done", output_index = 1, arguments = '{"a":1}' },
      completed { THOUGHT, CALL } }
    assert.same({ { name = "f", args = { a = 1 }, id = "c1", type = "tool_call" } }, all.tool_calls)
    assert.same({ "hm", "tool_calls", { provider = "openai", content = { THOUGHT, CALL } } }, {
      all.additional_kwargs.reasoning_content, all.response_metadata.finish_reason,
      all.additional_kwargs.native })
  end)

  it("is truncated without its last event", function()
    local _, err = pcall(collected, { CREATED, delta "half" })
    assert.same({ "truncated", "half" }, { err.kind, err.partial })
  end)

  it("raises failures in its midst", function()
    local _, err = pcall(collected, { CREATED, delta "ha", { type = "error",
      code = "server_error", message = "broke" } })
    assert.same({ "broke", "ha", "server_error" }, { err.message, err.partial, err.code })
    _, err = pcall(collected, { CREATED, { type = "response.failed", response = {
      status = "failed", error = { code = "server_error", message = "gone" } } } })
    assert.equal("gone", err.message)
  end)
end)
