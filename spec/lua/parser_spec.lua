local chunk = require "moonpipe.chunk"
local json = require "moonpipe.json"
local mp = require "moonpipe"
local helper = require "spec.helper"
local pieces = require "spec.support.pieces"

local said = helper.said
local failure = helper.failure

local steps = require "spec.support.steps"

local source_of, stream, cut = steps.source_of, pieces.stream, pieces.cut

describe("StrOutputParser", function()
  local parser = mp.StrOutputParser()

  it("gives the text of strings, messages and chunks", function()
    assert.equal("a", parser:invoke "a")
    assert.equal("a", parser:invoke(mp.AIMessage "a"))
    assert.equal("a", parser:invoke(mp.AIMessageChunk "a"))
    assert.equal("ab", parser:invoke(mp.AIMessage { "a", { type = "text", text = "b" } }))
  end)

  it("passes chunks through and drops those without text", function()
    local C = mp.AIMessageChunk
    assert.same({ "a", "b" }, stream(parser, { C "", C "a", C "b", C { usage_metadata = {} } }))
  end)

  it("gives one empty text for an answer without text", function()
    assert.same({ "" }, stream(parser, { mp.AIMessageChunk "", mp.AIMessageChunk "" }))
    assert.same({}, stream(parser, {}))
  end)

  it("refuses anything else", function()
    local err = failure(parser.invoke, parser, 5)
    assert.equal("input", err.kind)
    assert.equal("StrOutputParser takes a text or a message, got the number 5", err.message)
    assert.equal("StrOutputParser takes a text or a message, got a table with keys {a}",
      failure(parser.invoke, parser, { a = 1 }).message)
    assert.equal("StrOutputParser takes a text or a message, got nil",
      failure(parser.invoke, parser).message)
  end)

  it("misses the model behind a prompt", function()
    assert.equal("StrOutputParser takes a text or a message, got a ChatPromptValue; is the model"
      .. " missing between prompt and parser?",
      failure(parser.invoke, parser, mp.ChatPromptTemplate("{a}"):invoke "x").message)
  end)

  it("refuses a map when it is composed", function()
    assert.equal("StrOutputParser takes a text or a message, got a table with keys {a}",
      said(mp.pipe, { a = function() end }, parser))
  end)

  it("takes no options", function()
    assert.truthy(said(mp.StrOutputParser, { strict = true })
      :find("^unknown option 'strict' of StrOutputParser"))
  end)

  it("says what to ask for", function()
    assert.equal("Answer in plain text.", parser:get_format_instructions())
  end)
end)

describe("JsonOutputParser", function()
  local parser = mp.JsonOutputParser()

  it("reads JSON alone, with blanks around it", function()
    assert.same({ a = "x" }, parser:invoke ' {"a": "x"}\n')
    assert.same({ a = "x" }, parser:invoke(mp.AIMessage '{"a": "x"}'))
    assert.equal(5, parser:invoke "5")
    assert.equal(json.null, parser:invoke "null")
  end)

  it("reads JSON in a fence, with words around it", function()
    for _, text in ipairs({
      '```json\n{"a": 1}\n```', '```\n{"a": 1}\n```', '```json {"a": 1}```', '```json{"a": 1}```',
      'Sure:\n```json\n{"a": 1}\n```\nDone.', '```{"a": 1}```', '```JSON\n{"a": 1}',
    }) do
      assert.same({ a = 1 }, parser:invoke(text), text)
    end
  end)

  it("reads a fence inside a string", function()
    local text = '```json\n{"code": "```lua\\nx = 1\\n```"}\n```\nBye'
    assert.same({ code = "```lua\nx = 1\n```" }, parser:invoke(text))
    assert.same({ code = "```" }, parser:invoke '{"code": "```"}')
  end)

  it("takes the first fence", function()
    assert.same({ a = 1 }, parser:invoke '```json\n{"a": 1}\n```\n```json\n{"b": 2}\n```')
  end)

  it("fails on an answer that was cut, and keeps it", function()
    for _, text in ipairs({ '{"a": [1, 2', '```json\n{"a": "x', '{"a": 1' }) do
      local err = failure(parser.invoke, parser, text)
      assert.equal("decode", err.kind)
      assert.equal(text, err.partial)
      assert.truthy(err.message:find("^the answer is not JSON: "), err.message)
    end
  end)

  it("fails on words, and keeps them", function()
    local err = failure(parser.invoke, parser, "I cannot do that.")
    assert.equal("decode", err.kind)
    assert.equal("I cannot do that.", err.partial)
    assert.equal("the answer is not JSON: expected a value but found 'I' at line 1 column 1"
      .. " (offset 0)", err.message)
  end)

  it("fails on an empty answer", function()
    local err = failure(parser.invoke, parser, " \n")
    assert.equal("decode", err.kind)
    assert.equal("the answer is empty, not JSON", err.message)
  end)

  it("gives each new partial value, all that is known so far", function()
    assert.same({ {}, { a = "" }, { a = "x" }, { a = "xy" }, { a = "xy", b = {} },
      { a = "xy", b = { 1 } } },
      stream(parser, { '{"a', '": "', "x", "y", '", ', '"b": [1', "]", "}" }))
  end)

  it("gives the same in the end, however the text was cut", function()
    local texts = {
      '{"a": "x", "b": [1, {"c": null}], "d": -1.5e3}', '[1, 2]', '"text"', "12", " true ",
      'Sure! ```json\n{"a": [1, "```"]}\n``` and `more`', '```\n[{"a": 1}]\n```',
    }
    for _, text in ipairs(texts) do
      for size = 1, #text do
        local seen = stream(parser, cut(text, size))
        assert.same(parser:invoke(text), seen[#seen], text)
      end
    end
  end)

  it("gives a scalar once, when it is known", function()
    assert.same({ "abc" }, stream(parser, { '"a', "bc", '"' }))
    assert.same({ 12 }, stream(parser, { "1", "2" }))
  end)

  it("does not change what it gave before", function()
    local seen = stream(parser, cut('{"a": [1, 2, 3], "b": {"c": "def"}}', 3))
    local last = seen[#seen]
    for i = 1, #seen - 1 do
      assert.not_same(last, seen[i])
    end
  end)

  it("streams values that whole steps collect by keeping the last", function()
    local seen = stream(parser, cut('{"a": "xyz"}', 2))
    assert.same({ a = "xyz" }, (chunk.collect(source_of(seen))))
  end)

  it("fails at the end of a stream as it fails when invoked", function()
    local err = failure(stream, parser, cut('{"a": [1, 2', 3))
    assert.equal("decode", err.kind)
    assert.equal('{"a": [1, 2', err.partial)
    assert.equal("the answer is empty, not JSON", failure(stream, parser, { "", " " }).message)
    assert.equal('{"a": x}', failure(stream, parser, { '{"a": x}' }).partial)
  end)

  it("gives nothing for an empty stream", function()
    assert.same({}, stream(parser, {}))
  end)

  it("says what to ask for", function()
    assert.equal("Return a JSON object.", parser:get_format_instructions())
  end)

  -- What a list of operations (RFC 6902) makes of a value.
  local function patched(value, ops)
    for _, op in ipairs(ops) do
      local at, key = { root = value }, "root"
      for part in op.path:gmatch "/([^/]*)" do
        at, key = at[key], part:gsub("~1", "/"):gsub("~0", "~")
        if json.is_array(at) then key = key + 1 end
      end
      if op.path ~= "" then assert.equal(op.op == "add", at[key] == nil) end
      at[key] = json.decode(json.encode(op.value))
      value = at.root or value
    end
    return value
  end

  it("streams what changed where that is asked for", function()
    local text = 'So: ```json\n{"a/b": "xy", "l": [[1], {"~": null}], "n": 12.5}\n```'
    local model = mp.FakeListChatModel { responses = { text } }
    local chain, value, most = mp.pipe(model, mp.JsonOutputParser { diff = true }), nil, 0
    for ops in chain:stream "x" do
      value, most = patched(value, ops), math.max(most, #ops)
    end
    assert.same(parser:invoke(text), value)
    assert.equal(1, most)
    assert.same(value, patched(nil, chain:stream("x"):collect()))
    assert.same(value, chain:invoke "x")
    assert.same({ op = "replace", path = "", value = {} }, chain:stream("x")()[1])
    helper.raises("diff of JsonOutputParser must be a boolean, got the number 1", mp.JsonOutputParser,
      { diff = 1 })
  end)

  it("tells what goes, too", function()
    local operations = require("moonpipe.parsers.json_diff").operations
    local before = json.decode '{"a": [1, 2, 3], "b": 1, "c": {"d": 1}}'
    local after = json.decode '{"a": [1], "c": [1]}'
    assert.same({ { op = "remove", path = "/b" }, { op = "remove", path = "/a/2" },
      { op = "remove", path = "/a/1" }, { op = "replace", path = "/c", value = { 1 } } },
      operations(before, after))
    assert.same({}, operations(after, json.decode '{"c": [1], "a": [1]}'))
  end)
end)

describe("CommaSeparatedListOutputParser", function()
  local parser = mp.CommaSeparatedListOutputParser()

  local CASES = {
    { "red, green,blue", { "red", "green", "blue" } },
    { 'a, "b, c" ,d', { "a", "b, c", "d" } },
    { '"say ""hi""", x', { 'say "hi"', "x" } },
    { "one", { "one" } },
    { "a,,b,", { "a", "", "b", "" } },
    { "a, b\nc\r\n\nd\n", { "a", "b", "c", "d" } },
    { '"open, to the end', { "open, to the end" } },
    { "größe, Äpfel", { "größe", "Äpfel" } },
    { "", {} },
    { " \n", {} },
  }

  it("cuts at commas and lines, with the quotes of CSV", function()
    for _, case in ipairs(CASES) do
      assert.same(case[2], parser:invoke(case[1]), case[1])
    end
  end)

  it("streams each item when it is complete", function()
    assert.same({ { "red" }, { "green" }, { "blue" } },
      stream(parser, { "re", "d, gr", "een", ",", " blue" }))
  end)

  it("gives the same in the end, however the text was cut", function()
    for _, case in ipairs(CASES) do
      for size = 1, math.max(1, #case[1]) do
        local list = cut(case[1], size)
        local whole = chunk.collect(source_of(stream(parser, list[1] and list or { "" })))
        assert.same(case[2], whole, ("%s by %d"):format(case[1], size))
      end
    end
  end)

  it("gives nothing for an empty stream", function()
    assert.same({}, stream(parser, {}))
  end)

  it("refuses what has no text", function()
    assert.equal("CommaSeparatedListOutputParser takes a text or a message, got the number 5",
      failure(parser.invoke, parser, 5).message)
  end)

  it("says what to ask for", function()
    assert.equal("Your response should be a list of comma separated values, eg: `foo, bar, baz` or"
      .. " `foo,bar,baz`", parser:get_format_instructions())
  end)
end)
