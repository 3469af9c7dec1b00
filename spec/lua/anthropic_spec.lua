local cjson = require "cjson"
local errors = require "moonpipe.error"
local helper = require "spec.helper"
local mp = require "moonpipe"
local providers = require "spec.support.providers"
local server = require("spec.support.server").use()

local provider = providers.use(server, "ChatAnthropic",
  { base = "", frame = "named", options = { api_key = "sk-ant-test" } })
local model, stream, seen = provider.model, provider.stream, provider.seen

local function answer(fields)
  local value = {
    id = "msg_1", type = "message", role = "assistant", model = "claude-x",
    content = { { type = "text", text = "Hello" } }, stop_reason = "end_turn",
    stop_sequence = cjson.null, usage = { input_tokens = 10, output_tokens = 3 },
  }
  for key, field in pairs(fields or {}) do value[key] = field end
  return provider.whole(value)
end

local START = { type = "message_start", message = {
  id = "msg_2", model = "claude-x", content = cjson.empty_array, stop_reason = cjson.null,
  usage = { input_tokens = 5, output_tokens = 1, cache_read_input_tokens = 4 },
} }
local STOP = { type = "message_stop" }

local function block(index, content)
  return { type = "content_block_start", index = index, content_block = content }
end

local function delta(index, fields)
  return { type = "content_block_delta", index = index, delta = fields }
end

local function text(index, piece)
  return delta(index, { type = "text_delta", text = piece })
end

local function ending(reason)
  return { type = "message_delta", delta = { stop_reason = reason, stop_sequence = cjson.null },
    usage = { output_tokens = 7 } }
end

describe("ChatAnthropic", function()
  it("sends a message, and reads the answer", function()
    local m = model(answer())
    local got = m:invoke { { "system", "be kind" }, { "human", "hi" } }
    assert.equal("Hello", got.content)
    assert.equal("msg_1", got.id)
    assert.same({ input_tokens = 10, output_tokens = 3, total_tokens = 13 }, got.usage_metadata)
    assert.same({ id = "msg_1", model_name = "claude-x", model_provider = "anthropic",
      finish_reason = "stop", stop_reason = "end_turn" }, got.response_metadata)
    local body, request = seen()
    assert.same({ model = "claude-sonnet-5", max_tokens = 8192, system = "be kind",
      messages = { { role = "user", content = "hi" } } }, body)
    assert.same({ "sk-ant-test", "2023-06-01" },
      { request.headers["x-api-key"], request.headers["anthropic-version"] })
    assert.truthy(request.path:find("/v1/messages", 1, true))
  end)

  it("lets turns alternate, with the results of one turn's tools together", function()
    model(answer()):invoke {
      { "human", "a" }, { "human", "b" },
      mp.AIMessage { content = "using", tool_calls = {
        { id = "t1", name = "f", args = { x = 1 } }, { id = "t2", name = "g", args = {} } } },
      mp.ToolMessage { content = "one", tool_call_id = "t1" },
      mp.ToolMessage { content = "bad", tool_call_id = "t2", status = "error" },
      { "system", "late" },
    }
    assert.same({
      { role = "user", content = { { type = "text", text = "a" }, { type = "text", text = "b" } } },
      { role = "assistant", content = {
        { type = "text", text = "using" },
        { type = "tool_use", id = "t1", name = "f", input = { x = 1 } },
        { type = "tool_use", id = "t2", name = "g", input = {} },
      } },
      { role = "user", content = {
        { type = "tool_result", tool_use_id = "t1", content = { { type = "text", text = "one" } } },
        { type = "tool_result", tool_use_id = "t2", content = { { type = "text", text = "bad" } },
          is_error = true },
      } },
    }, seen().messages)
    assert.equal("late", seen().system)
  end)

  it("asks by the instructions where there is nothing else", function()
    model(answer()):invoke { { "system", "say hi" } }
    assert.same({ { role = "user", content = "say hi" } }, seen().messages)
  end)

  it("sends images as the provider wants them", function()
    model(answer()):invoke { mp.HumanMessage { content = {
      "look", { type = "image", base64 = "QUI=", mime_type = "image/jpeg" },
      { type = "image_url", image_url = { url = "data:image/png;base64,QUI=" } },
      { type = "image_url", image_url = { url = "https://x.example/a.png" } },
    } } }
    assert.same({
      { type = "text", text = "look" },
      { type = "image", source = { type = "base64", media_type = "image/jpeg", data = "QUI=" } },
      { type = "image", source = { type = "base64", media_type = "image/png", data = "QUI=" } },
      { type = "image", source = { type = "url", url = "https://x.example/a.png" } },
    }, seen().messages[1].content)
  end)

  it("turns what a binding says into the provider's words", function()
    local tool = { type = "function", ["function"] = {
      name = "f", description = "d", parameters = { type = "object" } } }
    local m = model(answer(), { temperature = 0.5, stop = "END", effort = "low" })
    m:bind({ tools = { tool, { type = "web_search_1", name = "w" } }, tool_choice = "required",
      parallel_tool_calls = false, response_format = { type = "json_schema", json_schema = {
        name = "n", schema = { type = "object" } } } }):invoke "x"
    local body = seen()
    assert.same({ { name = "f", description = "d", input_schema = { type = "object" } },
      { type = "web_search_1", name = "w" } }, body.tools)
    assert.same({ type = "any", disable_parallel_tool_use = true }, body.tool_choice)
    assert.same({ effort = "low", format = { type = "json_schema",
      schema = { type = "object", additionalProperties = false, properties = {} } } },
      body.output_config)
    assert.same({ 0.5, "END" }, { body.temperature, body.stop_sequences[1] })
    m:bind({ tools = { tool }, tool_choice = { type = "function", ["function"] = { name = "f" } } })
      :invoke "x"
    assert.same({ type = "tool", name = "f" }, seen().tool_choice)
  end)

  it("refuses what the provider has not", function()
    local m = model(answer())
    local _, err = m:bind({ response_format = { type = "json_object" } }):try_invoke "x"
    assert.equal("unsupported", err.kind)
    helper.raises("tool_choice 'maybe' of ChatAnthropic is none of", function()
      m:bind({ tool_choice = "maybe" }):invoke "x"
    end)
    helper.raises("unknown option 'frequency_penalty' of ChatAnthropic", mp.ChatAnthropic,
      { api_key = "k", frequency_penalty = 1 })
  end)

  it("gives room for thoughts besides the answer", function()
    model(answer(), { thinking = { type = "enabled", budget_tokens = 1000 } }):invoke "x"
    assert.equal(9192, seen().max_tokens)
  end)

  it("gives calls, and thoughts, which go back as they came", function()
    local content = {
      { type = "thinking", thinking = "hm", signature = "sig" },
      { type = "text", text = "ok" },
      { type = "tool_use", id = "t1", name = "f", input = { a = 1 } },
    }
    local got = model(answer { content = content, stop_reason = "tool_use" }):invoke "x"
    assert.same({ { name = "f", args = { a = 1 }, id = "t1", type = "tool_call" } }, got.tool_calls)
    assert.equal("hm", got.additional_kwargs.reasoning_content)
    assert.equal("tool_calls", got.response_metadata.finish_reason)
    model(answer()):invoke { { "human", "x" }, got,
      mp.ToolMessage { content = "1", tool_call_id = "t1" } }
    assert.same(content, seen().messages[2].content)
    -- to another provider they are text and calls
    assert.equal("ok", got.content)
  end)

  it("counts what was read from a cache as input", function()
    local got = model(answer { usage = { input_tokens = 1, output_tokens = 2,
      cache_read_input_tokens = 4, cache_creation_input_tokens = 8 } }):invoke "x"
    assert.same({ input_tokens = 13, output_tokens = 2, total_tokens = 15,
      input_token_details = { cache_read = 4, cache_creation = 8 } }, got.usage_metadata)
  end)

  it("heeds what the provider says of its limits", function()
    local limiter = mp.RateLimiter { requests_per_minute = 60 }
    local scripts = answer()
    scripts.header = { "anthropic-ratelimit-requests-limit: 60",
      "anthropic-ratelimit-requests-remaining: 7",
      "anthropic-ratelimit-requests-reset: 2999-01-01T00:00:00Z" }
    model(scripts, { rate_limiter = limiter }):invoke "x"
    assert.is_true(limiter.requests.level < 7.9)
  end)

  it("says by the field's words why an answer ended", function()
    for own, word in pairs { max_tokens = "length", refusal = "content_filter",
      stop_sequence = "stop", pause_turn = "pause_turn" } do
      local got = model(answer { stop_reason = own }):invoke "x"
      assert.same({ word, own },
        { got.response_metadata.finish_reason, got.response_metadata.stop_reason })
    end
  end)
end)

describe("a stream of ChatAnthropic", function()
  local collected = provider.collected

  it("gives texts as they come, and the rest at the end", function()
    local seen_texts = {}
    local m = model(stream { START, { type = "ping" }, block(0, { type = "text", text = "" }),
      text(0, "He"), text(0, "l"), text(0, "lo"), { type = "content_block_stop", index = 0 },
      ending "end_turn", STOP })
    local all
    for chunk in m:stream "x" do
      if chunk.content ~= "" then seen_texts[#seen_texts + 1] = chunk.content end
      all = all and all + chunk or chunk
    end
    assert.same({ "He", "l", "lo" }, seen_texts)
    assert.equal("msg_2", all.id)
    assert.same({ input_tokens = 9, output_tokens = 7, total_tokens = 16,
      input_token_details = { cache_read = 4 } }, all.usage_metadata)
    assert.equal("stop", all.response_metadata.finish_reason)
    assert.is_nil(all.additional_kwargs)
  end)

  it("puts calls together, each with its own pieces", function()
    local all = collected { START, block(0, { type = "text", text = "" }), text(0, "so"),
      block(1, { type = "tool_use", id = "t1", name = "f", input = {} }),
      delta(1, { type = "input_json_delta", partial_json = '{"a":' }),
      delta(1, { type = "input_json_delta", partial_json = "1}" }),
      block(2, { type = "tool_use", id = "t2", name = "g", input = {} }),
      ending "tool_use", STOP }
    assert.same({ { name = "f", args = { a = 1 }, id = "t1", type = "tool_call" },
      { name = "g", args = {}, id = "t2", type = "tool_call" } }, all.tool_calls)
    assert.equal("so", all.content)
  end)

  it("keeps signed thoughts to send them back", function()
    local all = collected { START, block(0, { type = "thinking", thinking = "" }),
      delta(0, { type = "thinking_delta", thinking = "let me" }),
      delta(0, { type = "thinking_delta", thinking = " see" }),
      delta(0, { type = "signature_delta", signature = "sig" }),
      block(1, { type = "text", text = "" }), text(1, "a"), text(1, "b"), text(1, "c"),
      block(2, { type = "tool_use", id = "t1", name = "f", input = {} }),
      delta(2, { type = "input_json_delta", partial_json = '{"a":1}' }),
      ending "tool_use", STOP }
    assert.equal("let me see", all.additional_kwargs.reasoning_content)
    assert.same({ provider = "anthropic", content = {
      { type = "thinking", thinking = "let me see", signature = "sig" },
      { type = "text", text = "abc" },
      { type = "tool_use", id = "t1", name = "f", input = { a = 1 } },
    } }, all.additional_kwargs.native)
  end)

  it("keeps the texts of blocks apart, however many their pieces are", function()
    local list = { START, block(0, { type = "thinking", thinking = "" }),
      delta(0, { type = "signature_delta", signature = "sig" }) }
    for number, count in ipairs { 1, 64, 130 } do
      list[#list + 1] = block(number, { type = "text", text = "" })
      for _ = 1, count do list[#list + 1] = text(number, tostring(number)) end
    end
    list[#list + 1], list[#list + 2] = ending "end_turn", STOP
    local native = collected(list).additional_kwargs.native.content
    assert.same({ "1", ("2"):rep(64), ("3"):rep(130) },
      { native[2].text, native[3].text, native[4].text })
  end)

  it("is truncated where no reason to stop was told", function()
    local _, err = pcall(collected, { START, block(0, { type = "text", text = "" }),
      text(0, "half") })
    assert.same({ "truncated", "half" }, { err.kind, err.partial })
  end)

  it("raises an error that comes in its midst", function()
    local _, err = pcall(collected, { START, block(0, { type = "text", text = "" }),
      text(0, "ha"), { type = "error", error = { type = "overloaded_error", message = "full" } } })
    assert.is_true(errors.is(err))
    assert.same({ "http", 529, "ha", "full" }, { err.kind, err.status, err.partial, err.message })
  end)
end)

describe("a refusal of Anthropic", function()
  local function refused(status, kind, text_of)
    local _, err = model({ status = status, header = "request-id: req_1",
      content_type = "application/json", body = cjson.encode { type = "error",
        error = { type = kind, message = text_of or "no" } } }):try_invoke "x"
    return err
  end

  it("has the kind of its words, and the request's id", function()
    for _, case in ipairs {
      { 400, "invalid_request_error", "refused_request" }, { 401, "authentication_error", "auth" },
      { 403, "permission_error", "auth" }, { 404, "not_found_error", "http" },
      { 413, "request_too_large", "refused_request" }, { 429, "rate_limit_error", "rate_limit" },
      { 500, "api_error", "http" }, { 529, "overloaded_error", "http" },
    } do
      local err = refused(case[1], case[2])
      assert.same({ case[3], "req_1", case[1] }, { err.kind, err.request_id, err.status })
    end
    local err = refused(400, "invalid_request_error",
      "prompt is too long: 210000 tokens > 200000 maximum")
    assert.same({ "context_length", 200000, 210000 }, { err.kind, err.limit, err.used })
  end)

  it("names the key that was refused", function()
    assert.truthy(refused(401, "authentication_error").message:find("check api_key", 1, true))
  end)
end)

describe("an answer of ChatAnthropic without content", function()
  it("is none", function()
    local url = server:lane("hollow", { body = '{"x":1}', content_type = "application/json" })
    local hollow = mp.ChatAnthropic { base_url = url, api_key = "k", max_retries = 0 }
    local _, err = hollow:try_invoke "x"
    assert.equal("protocol", err and err.kind)
    assert.matches("the answer has no content", tostring(err), 1, true)
  end)
end)
