local answer = require "moonpipe.models.openai_answer"
local envelope = require "moonpipe.http.envelope"
local mp = require "moonpipe"
local native = require "moonpipe.native"
local quick = require "moonpipe.models.openai_quick"

local c = native.c

-- The values of the paths id, list.0.text and list.0.deep.n; nothing where the
-- text is of another shape.
local function pick(text, picker)
  picker = picker or c.json_picker({ "id", "list.0.text", "list.0.deep.n" }, { "created" })
  return { c.json_pick(picker, text) }
end

describe("a picker", function()
  it("gives values in the order of its paths", function()
    assert.same({ true, "x", "hi", 3 },
      pick('{"list":[{"deep":{"n":3},"text":"hi"}],"created":7,"id":"x"}'))
  end)

  it("gives nil for what is not there, and for null", function()
    local got = pick('{"id":null,"list":[{"text":false}]}')
    assert.is_true(got[1])
    assert.is_nil(got[2])
    assert.is_false(got[3])
    assert.is_nil(got[4])
  end)

  it("reads over nulls and empty containers that no path names", function()
    assert.same({ true, "x" }, pick('{"a":null,"b":[],"id":"x","c":{},"list":[]}'))
  end)

  it("unescapes", function()
    assert.same({ true, "a\n\195\169\"" }, pick('{"id":"a\\n\\u00e9\\""}'))
  end)

  for what, text in pairs({
    ["a member that no path names"] = '{"id":"x","other":1}',
    ["one inside of a container that no path names"] = '{"id":"x","other":{"a":null}}',
    ["a second element"] = '{"list":[{"text":"a"},{"text":"b"}]}',
    ["an element far behind"] = '{"list":[null,null,null,null,null,null,null,null,null,null,1]}',
    ["a container in the place of a value"] = '{"id":{"a":1}}',
    ["a value in the place of a container"] = '{"list":1}',
    ["a value that is ignored, with something in it"] = '{"created":[1]}',
    ["a key twice"] = '{"id":"x","id":"y"}',
    ["a container twice"] = '{"list":[],"list":[{"text":"a"}]}',
    ["a key twice, once null"] = '{"id":"x","id":null}',
    ["an integer beyond 2^53"] = '{"id":90071992547409931}',
    ["half a text"] = '{"id":"x"',
    ["two texts"] = '{"id":"x"}{}',
    ["no JSON"] = 'id',
    ["nothing"] = '',
  }) do
    it("gives nothing for " .. what, function() assert.same({}, pick(text)) end)
  end

  it("reads texts like the last as if they were the first", function()
    local picker = c.json_picker({ "id", "list.0.text", "list.0.deep.n" }, { "created" })
    local shape = '{"id":"%s","created":%s,"list":[{"text":"%s","deep":{"n":%s}}]}'
    assert.same({ true, "a", "b", 1 }, pick(shape:format("a", 1, "b", 1), picker))
    for _, values in ipairs({
      { "a", 1, "b", 1 }, { "", 99, "longer \195\169", -1.5e3 }, { "b", 0, "", 0 },
    }) do
      assert.same({ true, values[1], values[3], values[4] },
        pick(shape:format(unpack(values)), picker))
    end
  end)

  for what, values in pairs({
    ["a quote"] = { "a", "1", 'b","x":"', "1" },
    ["a control character"] = { "a", "1", "b\n", "1" },
    ["half an escape"] = { "a", "1", "b\\", "1" },
    ["a number with a zero before it"] = { "a", "01", "b", "1" },
    ["no number"] = { "a", "-", "b", "1" },
    ["a number too large"] = { "a", "1", "b", "90071992547409931" },
  }) do
    it("is not misled by " .. what .. " in a text like the last", function()
      local picker = c.json_picker({ "id", "list.0.text", "list.0.deep.n" }, { "created" })
      local shape = '{"id":"%s","created":%s,"list":[{"text":"%s","deep":{"n":%s}}]}'
      pick(shape:format("a", 1, "b", 1), picker)
      assert.same({}, pick(shape:format(unpack(values)), picker))
      assert.same({ true, "a", "b", 1 }, pick(shape:format("a", 1, "b", 1), picker))
    end)
  end

  it("gives escapes in a text like the last", function()
    local picker = c.json_picker({ "id" }, {})
    assert.same({ true, "a" }, pick('{"id":"a"}', picker))
    assert.same({ true, "a\n" }, pick('{"id":"a\\n"}', picker))
    assert.same({ true, "b" }, pick('{"id":"b"}', picker))
  end)

  it("refuses more paths than it can hold", function()
    local paths = {}
    for i = 1, 64 do paths[i] = "p" .. i end
    assert.has_error(function() c.json_picker(paths, {}) end, "a picker has too many paths")
  end)
end)

local USUAL = [[{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"gpt","choices":[
  {"index":0,"message":{"role":"assistant","content":"h\u00e9","refusal":null,"annotations":[]},
  "logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":6,
  "total_tokens":13,"prompt_tokens_details":{"cached_tokens":2,"audio_tokens":0},
  "completion_tokens_details":{"reasoning_tokens":3,"audio_tokens":0,
  "accepted_prediction_tokens":0,"rejected_prediction_tokens":0}},"service_tier":"default",
  "system_fingerprint":"fp"}]]

local WHO = { name = "openai" }

-- The same message from the whole envelope.
local function slow(body)
  local response = { body = body, header = function() end }
  return mp.AIMessage(answer.fields(envelope.read(response, WHO), response, WHO))
end

describe("the usual answer", function()
  it("is the message that its whole envelope gives", function()
    local message = assert(quick.message(USUAL, WHO))
    assert.same(slow(USUAL), message)
    assert.equal(getmetatable(slow(USUAL)), getmetatable(message))
  end)

  it("is so without details of its usage", function()
    local body = USUAL:gsub(',"prompt_tokens_details":.-}', ""):gsub(
      ',%s*"completion_tokens_details":.-}', "")
    assert.same(slow(body), (assert(quick.message(body, WHO))))
  end)

  it("is none with calls, a refusal, log probabilities, two choices or an error", function()
    for _, change in ipairs({
      { '"refusal":null', '"refusal":"no"' },
      { '"annotations":%[%]', '"tool_calls":[{"id":"1"}]' },
      { '"logprobs":null', '"logprobs":{"content":[{"token":"a"}]}' },
      { '"stop"}', '"stop"},{"index":1}' },
      { '"model"', '"error":{"message":"x"},"model"' },
      { '"content":"[^"]*"', '"content":null' },
    }) do
      local body, count = USUAL:gsub(change[1], change[2])
      assert.equal(1, count)
      assert.is_nil(quick.message(body, WHO))
    end
  end)
end)
