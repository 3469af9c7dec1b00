-- Answers that are well sent and no good: what is in them, through real sockets.
local cjson = require "cjson"
local helper = require "spec.helper"
local mp = require "moonpipe"
local server = require("spec.support.server").use()

local lanes = 0

-- The base URL of a lane whose requests are answered by [scripts], in turn.
local function lane(...)
  lanes = lanes + 1
  return server:lane("answers-" .. lanes, { ... })
end

local function model(...)
  return mp.ChatOpenAI { base_url = lane(...), max_retries = 0 }
end

local function json(body)
  return { body = body, content_type = "application/json" }
end

local function sse(...)
  local out = {}
  for i, data in ipairs { ... } do out[i] = "data: " .. data .. "\n\n" end
  return { body = table.concat(out), content_type = "text/event-stream" }
end

local NESTED = 20000

local function nested(depth)
  return ("["):rep(depth) .. ("]"):rep(depth)
end

-- An OpenAI answer with a text as JSON has it, and more members.
local function says(text, more)
  return json(('{"id":"i","choices":[{"index":0,"message":{"role":"assistant","content":%s},'
    .. '"finish_reason":"stop"}]%s}'):format(text, more or ""))
end

local function streams(text, more)
  return sse(('{"id":"i","choices":[{"index":0,"delta":{"content":%s},"finish_reason":"stop"}]%s}')
    :format(text, more or ""), "[DONE]")
end

-- What a model says, whole and streamed.
local function both(text, more)
  return model(says(text, more)):invoke("x").content,
    model(streams(text, more)):stream("x"):collect().content
end

-- How a whole answer fails, and a stream.
local function kinds(whole, stream)
  local _, err = model(whole):try_invoke "x"
  local m = model(stream)
  local ok, failure = pcall(function() return m:stream("x"):collect() end)
  return err and err.kind, not ok and failure.kind
end

-- What the server got as the answers of tools in its last request.
local function tool_answers()
  local all, out = server:requests(), {}
  for _, message in ipairs(cjson.decode(all[#all].body).messages) do
    if message.role == "tool" then out[#out + 1] = message.content end
  end
  return out
end

local function calls(...)
  local list = {}
  for i, call in ipairs { ... } do
    list[i] = { id = "c" .. i, type = "function",
      ["function"] = { name = call[1], arguments = call[2] } }
  end
  return json(cjson.encode { id = "i", choices = { { index = 0, finish_reason = "tool_calls",
    message = { role = "assistant", content = cjson.null, tool_calls = list } } } })
end

local got -- the arguments that the tool was called with

local note = mp.tool {
  name = "note", description = "d",
  schema = { type = "object", properties = { x = {} } },
  fn = function(args)
    got[#got + 1] = args
    return "noted"
  end,
}

-- The state of an agent whose model answers so, and what it was told of its calls.
local function agent(...)
  got = {}
  local state = mp.create_agent({ model = model(...), tools = { note } }):invoke "go"
  return tool_answers(), state
end

describe("row 13: a gzip bomb", function()
  it("is bounded by what it unpacks to", function()
    local _, err = model({ huge = "100m", gzip = true }):try_invoke "x"
    assert.same({ "too_large", false }, { err.kind, require("moonpipe.steps.attempts").is_retryable(err) })
    assert.equal(1, server:stats().requests)
    assert.truthy(server:stats().bytes.out < 8 * 1024 * 1024) -- what came was small
  end)

  it("is never asked for by a stream, and one that comes is no answer", function()
    local m = model({ gzip = true, tokens = 3 })
    assert.equal("truncated", helper.failure(function() return m:stream("x"):collect() end).kind)
    assert.is_nil(server:requests()[1].headers["accept-encoding"])
  end)
end)

describe("row 25: equal keys", function()
  it("of an answer: the last one counts", function()
    assert.same({ "b", "b" }, { both('"a","content":"b"') })
  end)

  it("of a call's arguments: the call is not made, and the model is told", function()
    local told = agent(calls({ "note", '{"x":1,"x":2}' }), { answer = "ok" })
    assert.matches("^error: the arguments of note could not be read: duplicate key 'x'", told[1])
    assert.same({}, got)
  end)
end)

describe("row 26: deep nesting", function()
  it("is an error of kind decode, or protocol in a stream", function()
    local deep = ',"x":' .. nested(NESTED)
    assert.same({ "decode", "protocol" }, { kinds(says('"a"', deep), streams('"a"', deep)) })
    deep = nested(NESTED)
    assert.same({ "decode", "protocol" }, { kinds(json(deep), sse(deep, "[DONE]")) })
  end)

  it("of more than 128 is too deep, whoever reads it", function()
    local function depth(n) return ',"x":' .. nested(n) end
    assert.same({ "a", "a" }, { both('"a"', depth(127)) })
    assert.same({ "decode", "protocol" }, { kinds(says('"a"', depth(128)),
      streams('"a"', depth(128))) })
  end)

  it("is one for every provider", function()
    local deep = nested(NESTED)
    for _, class in ipairs { "ChatAnthropic", "ChatGoogleGenerativeAI", "ChatOllama", "ChatGroq" } do
      local m = mp[class] { base_url = lane(json(deep)), api_key = "k-0123456789", model = "m",
        max_retries = 0 }
      local _, err = m:try_invoke "x"
      assert.same({ class, "decode" }, { class, err and err.kind })
    end
  end)

  it("of a call's arguments is told to the model", function()
    local told = agent(calls({ "note", '{"x":' .. nested(NESTED) .. "}" }), { answer = "ok" })
    assert.matches("^error: the arguments of note could not be read: nested deeper than 128", told[1])
    assert.same({}, got)
  end)

  it("of a typed answer is an error of kind decode", function()
    local step = mp.JsonOutputParser()
    local _, err = mp.pipe(model(says(cjson.encode(nested(NESTED)))), step):try_invoke "x"
    assert.equal("decode", err.kind)
  end)
end)

describe("row 27: numbers", function()
  it("that JSON does not have are errors, of kind decode, or protocol in a stream", function()
    for _, number in ipairs { "NaN", "Infinity", "-Infinity", "0x10", "01" } do
      local more = ',"n":' .. number
      assert.same({ number, "decode", "protocol" }, { number, kinds(says('"a"', more),
        streams('"a"', more)) })
    end
  end)

  it("beyond a double are none, and the answer counts", function()
    local usage = ',"usage":{"prompt_tokens":1e400,"completion_tokens":2,"total_tokens":-1e999}'
    local whole, stream = model(says('"a"', usage)), model(streams('"a"', usage))
    for _, answer in ipairs { whole:invoke "x", stream:stream("x"):collect() } do
      assert.equal("a", answer.content)
      assert.same({ 0, 2, 2 }, { answer.usage_metadata.input_tokens,
        answer.usage_metadata.output_tokens, answer.usage_metadata.total_tokens })
      assert.is_string(require("moonpipe.json").encode(answer.response_metadata))
    end
  end)

  it("beyond a double are none for any provider", function()
    for class, body in pairs {
      ChatAnthropic = '{"type":"message","role":"assistant","content":[{"type":"text","text":"a"}],'
        .. '"stop_reason":"end_turn","usage":{"input_tokens":1e400,"output_tokens":1}}',
      ChatGoogleGenerativeAI = '{"candidates":[{"content":{"parts":[{"text":"a"}]},"finishReason":"STOP"}],'
        .. '"usageMetadata":{"promptTokenCount":1e400,"candidatesTokenCount":1}}',
      ChatOllama = '{"message":{"role":"assistant","content":"a"},"done":true,"done_reason":"stop",'
        .. '"prompt_eval_count":1e400,"eval_count":1}',
    } do
      local m = mp[class] { base_url = lane(json(body)):gsub("/v1$", ""), api_key = "k-0123456789",
        model = "m", max_retries = 0 }
      local usage = m:invoke("x").usage_metadata
      assert.same({ class, 0, 1 }, { class, usage.input_tokens, usage.output_tokens })
    end
  end)

  it("of a call that are too large for a double stay digits", function()
    agent(calls({ "note", '{"x":[9007199254740993,-12345678901234567890,0.1,1e300]}' }),
      { answer = "ok" })
    assert.same({ "9007199254740993", "-12345678901234567890", 0.1, 1e300 }, { unpack(got[1].x) })
  end)

  it("of a call that JSON does not have are told to the model", function()
    local told = agent(calls({ "note", '{"x":NaN}' }, { "note", '{"x":1e400}' }), { answer = "ok" })
    assert.equal(2, #told)
    for _, text in ipairs(told) do assert.matches("^error: the arguments of note could not be", text) end
    assert.same({}, got)
  end)

  it("are sent with all their digits", function()
    local m = model({ answer = "ok" })
    m:bind({ temperature = 0.1, seed = 2 ^ 53 }):invoke "x"
    local body = server:requests()[1].body
    assert.truthy(body:find('"temperature":0.1[,}]') and body:find('"seed":9007199254740992[,}]'), body)
  end)
end)

describe("row 28: characters", function()
  it("NUL is one like any other", function()
    assert.same({ "a\0b", "a\0b" }, { both [["a\u0000b"]] })
    agent(calls({ "note", [[{"x":"a\u0000b"}]] }), { answer = "ok" })
    assert.equal("a\0b", got[1].x)
  end)

  it("half a pair of surrogates becomes U+FFFD", function()
    for _, half in ipairs { [["a\ud800b"]], [["a\udc00b"]], '"a\237\160\128b"' } do
      for _, text in ipairs { both(half) } do
        assert.equal("ab", (text:gsub("\239\191\189", "")))
        assert.truthy(text:find("\239\191\189", 1, true))
      end
    end
    assert.same({ "\240\159\152\128", "\240\159\152\128" }, { both [["\ud83d\ude00"]] })
  end)

  it("half a pair at the end of one chunk is joined with the next", function()
    local function delta(text) return ('{"choices":[{"index":0,"delta":{"content":"%s"}}]}'):format(text) end
    local done = '{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}'
    local m = model(sse(delta [[\ud83d]], delta [[\ude00]], done, "[DONE]"))
    assert.equal("\240\159\152\128", m:stream("x"):collect().content)
  end)
end)

describe("row 53: calls of tools", function()
  it("that are there not, or cannot be read, are answered with what is wrong", function()
    local told, state = agent(calls({ "nose", "{}" }, { "note", '{"x":' }, { "note", "[1]" },
      { "note", '{"x":1}' }), { answer = "ok" })
    table.sort(told)
    assert.matches("^error: the arguments of note could not be read", told[1])
    assert.matches("^error: the arguments of note could not be read", told[2])
    assert.equal("error: there is no tool 'nose'; there are: note", told[3])
    assert.same({ 4, "noted", "ok" }, { #told, told[4], state.output.content })
    assert.equal(1, #got)
  end)

  it("without end are ended after eight rounds, with kind limit", function()
    got = {}
    local endless = mp.ChatOpenAI { base_url = server:with(calls({ "note", '{"x":1}' })) }
    local _, err = mp.create_agent({ model = endless, tools = { note } }):try_invoke "go"
    assert.same({ "limit", 8, 9 }, { err.kind, #got, server:stats().requests })
    assert.equal(18, #err.partial.messages)
  end)
end)

describe("row 54: a typed answer", function()
  local PERSON = { type = "object", required = { "name", "age" }, properties = {
    name = { type = "string" }, age = { type = "integer" },
  } }
  local BAD, GOOD = { answer = '{"name":"a","age":"x"}' }, { answer = '{"name":"a","age":3}' }

  it("that does not fit goes back once, with the path", function()
    local who = model(BAD, GOOD):with_structured_output(PERSON):invoke "x"
    assert.same({ name = "a", age = 3 }, who)
    local messages = cjson.decode(server:requests()[2].body).messages
    assert.matches("$.age: expected integer, got string \"x\"", messages[#messages].content, 1, true)
  end)

  it("that never fits is an error of kind schema with the path and the text", function()
    local _, err = model(BAD, BAD, BAD):with_structured_output(PERSON):try_invoke "x"
    assert.same({ "schema", 2 }, { err.kind, server:stats().requests })
    assert.matches("$.age: expected integer", err.message, 1, true)
    assert.equal(BAD.answer, err.partial)
  end)

  it("goes back as often as it is said, never where that is 0", function()
    local _, err = model(BAD, GOOD):with_structured_output(PERSON, { max_retries = 0 }):try_invoke "x"
    assert.same({ "schema", 1 }, { err.kind, server:stats().requests })
  end)
end)
