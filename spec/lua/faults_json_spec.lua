-- What models write for JSON, and what becomes of it.
local helper = require "spec.helper"
local json = require "moonpipe.json"
local mp = require "moonpipe"

local failure = helper.failure

-- The value that a chain makes of an answer, invoked and streamed.
local function parsed(text)
  local function chain()
    return mp.pipe(mp.FakeListChatModel { responses = { text } }, mp.JsonOutputParser())
  end
  local value = chain():invoke "hi"
  assert.same(value, chain():stream("hi"):collect())
  return value
end

local function refused(text)
  local chain = mp.pipe(mp.FakeListChatModel { responses = { text } }, mp.JsonOutputParser())
  local err = failure(chain.invoke, chain, "hi")
  local streamed = failure(function() chain:stream("hi"):collect() end)
  assert.equal(text, err.partial)
  assert.equal(err.message, streamed.message)
  assert.equal(text, streamed.partial)
  return err
end

local function calling(arguments)
  return mp.AIMessage { content = "", tool_calls = {
    { id = "1", ["function"] = { name = "f", arguments = arguments } },
  } }
end

describe("an answer in JSON", function()
  it("with a name twice has the last value; a tool is not called so", function()
    assert.same({ a = 2 }, parsed '{"a":1,"a":2}')
    local message = calling '{"a":1,"a":2}'
    assert.same({}, message.tool_calls)
    assert.truthy(message.invalid_tool_calls[1].error:find("duplicate key 'a'", 1, true))
  end)

  it("nested too deep is refused, as deep as may be is read", function()
    assert.truthy(parsed(("["):rep(128) .. ("]"):rep(128)))
    local err = refused(("["):rep(129) .. ("]"):rep(129))
    assert.equal("decode", err.kind)
    assert.equal("decode", refused(('{"a":'):rep(100000)).kind)
    local message = calling(('{"a":'):rep(200) .. "1" .. ("}"):rep(200))
    assert.equal(1, #message.invalid_tool_calls)
  end)

  it("with numbers that are none is refused, with large integers keeps their digits", function()
    for _, text in ipairs { "[NaN]", "[Infinity]", "[1e400]", "[01]", "[+1]" } do
      assert.equal("decode", refused(text).kind, text)
    end
    local value = parsed '{"id":12345678901234567890,"x":1.5}'
    assert.equal("12345678901234567890", value.id)
    assert.truthy(mp.schema.validate(value, mp.schema.object { id = "integer", x = "number" }))
    assert.equal("12345678901234567890", calling('{"id":12345678901234567890}').tool_calls[1].args.id)
  end)

  it("keeps NUL, and has U+FFFD for half of a pair", function()
    assert.equal("a\0b", parsed '["a\\u0000b"]'[1])
    assert.equal("\239\191\189!", parsed '["\\ud800!"]'[1])
    assert.equal("\240\159\152\128", parsed '["\\ud83d\\ude00"]'[1])
  end)

  it("that does not fit a schema fails with the place, after one more attempt", function()
    local asked = 0
    local model = mp.GenericFakeChatModel { messages = function()
      asked = asked + 1
      return '{"people":[{"age":1},{"age":"x"}]}'
    end }
    local s = mp.schema
    local chain = model:with_structured_output(s.object { people = { s.object { age = "integer" } } })
    local err = failure(chain.invoke, chain, "hi")
    assert.equal("schema", err.kind)
    assert.equal("$.people[2].age", err.problems[1].path)
    assert.equal('{"people":[{"age":1},{"age":"x"}]}', err.partial)
    assert.equal(2, asked)
    assert.equal("x", json.decode(err.partial).people[2].age)
  end)
end)
