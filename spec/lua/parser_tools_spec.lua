local helper = require "spec.helper"
local mp = require "moonpipe"
local pieces = require "spec.support.pieces"

local failure, said, stream = helper.failure, helper.said, pieces.stream
local s = mp.schema

local function answer(...)
  local calls = {}
  for i, one in ipairs { ... } do
    calls[i] = { name = one[1], args = one[2], id = "call_" .. i }
  end
  return mp.AIMessage { content = "", tool_calls = calls }
end

local function piece(index, fields)
  return mp.AIMessageChunk { tool_call_chunks = {
    { index = index, id = fields.id, name = fields.name, args = fields.args },
  } }
end

-- A stream of one answer with two calls.
local STREAM = {
  mp.AIMessageChunk "", piece(0, { id = "a", name = "add", args = "" }),
  piece(0, { args = '{"x":' }), piece(0, { args = "1}" }),
  piece(1, { id = "b", name = "sub", args = '{"y' }), piece(1, { args = '":2}' }),
}

local invalid = mp.AIMessage { content = "", tool_calls = {
  { id = "1", ["function"] = { name = "add", arguments = '{"x": 1' } },
} }

describe("JsonOutputToolsParser", function()
  local parser = mp.JsonOutputToolsParser()

  it("gives the calls of an answer", function()
    assert.same({ { type = "add", args = { x = 1 } }, { type = "sub", args = {} } },
      parser:invoke(answer({ "add", { x = 1 } }, { "sub", {} })))
    assert.same({}, parser:invoke(mp.AIMessage "words"))
    assert.same({ { type = "add", args = {}, id = "call_1" } },
      mp.JsonOutputToolsParser({ return_id = true }):invoke(answer({ "add", {} })))
  end)

  it("gives the first alone, nil where there is none", function()
    local first = mp.JsonOutputToolsParser { first_tool_only = true }
    assert.same({ type = "add", args = {} }, first:invoke(answer({ "add", {} }, { "sub", {} })))
    assert.equal(nil, first:invoke(mp.AIMessage "words"))
    assert.same({}, stream(first, { mp.AIMessageChunk "words" }))
  end)

  it("fails on arguments that are no JSON, and keeps them", function()
    local err = failure(parser.invoke, parser, invalid)
    assert.equal("decode", err.kind)
    assert.equal('{"x": 1', err.partial)
    assert.truthy(err.message:find("^the arguments of tool 'add' cannot be read: "))
  end)

  it("fails on arguments with a name twice", function()
    local twice = mp.AIMessage { content = "", tool_calls = {
      { id = "1", ["function"] = { name = "add", arguments = '{"x": 1, "x": 2}' } },
    } }
    local err = failure(parser.invoke, parser, twice)
    assert.truthy(err.message:find("duplicate key 'x'", 1, true))
  end)

  it("gives the calls as they grow, each chunk all of them", function()
    local seen = stream(parser, STREAM)
    assert.same({
      { { type = "add", args = {} } },
      { { type = "add", args = { x = 1 } } },
      { { type = "add", args = { x = 1 } }, { type = "sub", args = {} } },
      { { type = "add", args = { x = 1 } }, { type = "sub", args = { y = 2 } } },
    }, seen)
    assert.same(seen[#seen],
      require("moonpipe.chunk").merged(stream(parser, STREAM)))
  end)

  it("judges the end of a stream as invoke does", function()
    local err = failure(stream, parser, { piece(0, { id = "a", name = "add", args = '{"x"' }) })
    assert.equal("decode", err.kind)
    assert.same({}, stream(parser, {}))
    assert.same({ {} }, stream(parser, { mp.AIMessageChunk "words" }))
  end)

  it("takes the message of a model only", function()
    assert.equal("JsonOutputToolsParser takes the message of a model, got a string",
      helper.input_failure(parser.invoke, parser, "x"))
    assert.equal("JsonOutputToolsParser takes the message of a model, got a HumanMessage",
      helper.input_failure(stream, parser, { mp.HumanMessage "x" }))
    assert.equal("first_tool_only of JsonOutputToolsParser must be true or false, got the number 1",
      said(mp.JsonOutputToolsParser, { first_tool_only = 1 }))
  end)

  it("says what to ask for", function()
    assert.equal("Answer by calling one of the tools.", parser:get_format_instructions())
  end)
end)

describe("JsonOutputKeyToolsParser", function()
  local both = answer({ "sub", { y = 1 } }, { "add", { x = 1 } }, { "add", { x = 2 } })

  it("gives the arguments of the calls of one tool", function()
    local parser = mp.JsonOutputKeyToolsParser { key_name = "add" }
    assert.same({ { x = 1 }, { x = 2 } }, parser:invoke(both))
    assert.same({}, parser:invoke(answer({ "sub", {} })))
    assert.same({ { x = 1 } }, stream(parser, STREAM)[2])
  end)

  it("gives the first alone, nil where there is none", function()
    local parser = mp.JsonOutputKeyToolsParser { key_name = "add", first_tool_only = true }
    assert.same({ x = 1 }, parser:invoke(both))
    assert.equal(nil, parser:invoke(answer({ "sub", {} })))
    assert.same({ {}, { x = 1 } }, stream(parser, STREAM))
  end)

  it("gives the calls where ids are asked for", function()
    local parser = mp.JsonOutputKeyToolsParser { key_name = "sub", return_id = true }
    assert.same({ { type = "sub", args = { y = 1 }, id = "call_1" } }, parser:invoke(both))
  end)

  it("minds invalid calls of its tool only", function()
    local mine = mp.JsonOutputKeyToolsParser { key_name = "add" }
    assert.equal("decode", failure(mine.invoke, mine, invalid).kind)
    assert.same({}, mp.JsonOutputKeyToolsParser({ key_name = "sub" }):invoke(invalid))
  end)

  it("needs the name", function()
    assert.equal("JsonOutputKeyToolsParser needs key_name, the name of a tool, got nil",
      said(mp.JsonOutputKeyToolsParser))
  end)
end)

describe("ToolsOutputParser", function()
  local add = s.object { x = "integer" }
  local as_tool = mp.RunnableLambda(function(x) return x end):as_tool {
    name = "sub", description = "subtracts", args_schema = s.object { y = "integer" },
  }
  local parser = mp.ToolsOutputParser { tools = {
    { type = "function", ["function"] = { name = "add", parameters = add } }, as_tool,
    { name = "now" },
  } }

  it("gives calls that fit the schemas of their tools", function()
    assert.same({ { type = "add", args = { x = 1 } }, { type = "sub", args = { y = 2 } },
      { type = "now", args = { any = 1 } } },
      parser:invoke(answer({ "add", { x = 1 } }, { "sub", { y = 2 } }, { "now", { any = 1 } })))
  end)

  it("tells what does not fit", function()
    local err = failure(parser.invoke, parser, answer({ "add", { x = "1" } }))
    assert.equal("schema", err.kind)
    assert.equal("the call of tool 'add' does not fit the schema: $.x: expected integer, got"
      .. ' string "1"', err.message)
    assert.equal('{"x":"1"}', err.partial)
  end)

  it("names the tools that there are", function()
    local err = failure(parser.invoke, parser, answer({ "ad", {} }))
    assert.equal("tool", err.kind)
    assert.equal("there is no tool 'ad'; there are: add, now, sub; did you mean 'add'?",
      err.message)
  end)

  it("judges a stream at its end", function()
    assert.equal(4, #stream(parser, STREAM))
    local wrong = { piece(0, { id = "a", name = "add", args = '{"x":"a' }),
      piece(0, { args = '"}' }) }
    assert.equal("schema", failure(stream, parser, wrong).kind)
  end)

  it("needs tools that are some", function()
    assert.equal("ToolsOutputParser takes a list of tools, got nil", said(mp.ToolsOutputParser))
    assert.truthy(said(mp.ToolsOutputParser, { tools = { 5 } })
      :find("^tool 1 of ToolsOutputParser is the number 5"))
  end)
end)
