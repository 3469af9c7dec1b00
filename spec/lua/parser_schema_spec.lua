local helper = require "spec.helper"
local mp = require "moonpipe"
local pieces = require "spec.support.pieces"
local steps = require "spec.support.steps"

local s = mp.schema
local failure, said = helper.failure, helper.said
local PERSON = s.object { name = "string", age = s.integer { minimum = 0 } }

describe("SchemaOutputParser", function()
  local parser = mp.SchemaOutputParser { schema = PERSON }

  it("gives what fits", function()
    assert.same({ name = "a", age = 3 }, parser:invoke '```json\n{"name":"a","age":3}\n```')
  end)

  it("tells what does not fit, and keeps the text", function()
    local text = '{"name":1,"age":-1}'
    local err = failure(parser.invoke, parser, text)
    assert.equal("schema", err.kind)
    assert.equal("the answer does not fit the schema: $.age: expected at least 0, got -1; $.name:"
      .. " expected string, got number 1", err.message)
    assert.equal(text, err.partial)
    assert.equal("$.age", err.problems[1].path)
  end)

  it("fails on what is no JSON, or half of it, as JsonOutputParser does", function()
    for _, text in ipairs { "words", '{"name":"a","age":3' } do
      local err = failure(parser.invoke, parser, text)
      assert.equal("decode", err.kind)
      assert.equal(text, err.partial)
    end
  end)

  it("gives what is known so far, and judges it at the end", function()
    local seen = pieces.stream(parser, { '{"na', 'me":"', 'a","age":', "3}" })
    assert.same({ {}, { name = "" }, { name = "a" }, { name = "a", age = 3 } }, seen)
    local given = {}
    local err = failure(function()
      local source = steps.source_of { '{"name":"a",', '"age":"x"}' }
      for value in parser:_transform(source) do given[#given + 1] = value end
    end)
    assert.equal("schema", err.kind)
    assert.same({ { name = "a" }, { name = "a", age = "x" } }, given)
  end)

  it("says what to ask for", function()
    assert.truthy(parser:get_format_instructions():find('"required":["age","name"]', 1, true))
  end)

  it("tells the chain what it gives", function()
    assert.equal(PERSON, parser:output_schema())
    local closed = mp.SchemaOutputParser { schema = s.strict(PERSON) }
    assert.truthy(said(mp.pipe, closed, mp.PromptTemplate.from_template "{nmae}")
      :find("misses {nmae}", 1, true))
  end)

  it("makes an object of names and descriptions", function()
    local named = mp.StructuredOutputParser.from_names_and_descriptions { answer = "the answer" }
    assert.same({ answer = "x" }, named:invoke '{"answer":"x"}')
    assert.equal("schema", failure(named.invoke, named, "{}").kind)
    assert.equal("the answer", named.schema.properties.answer.description)
  end)

  it("needs a schema that is one", function()
    assert.equal("SchemaOutputParser needs schema, a JSON Schema, got nil",
      said(mp.SchemaOutputParser))
    assert.truthy(said(mp.SchemaOutputParser, { schema = { type = "x" } })
      :find("^the schema is malformed"))
  end)
end)

local BIG = helper.sanitized and 2 ^ 17 or 2 ^ 20 -- bytes

describe("a streamed JSON answer", function()
  -- What all partial values cost, in the decoder's units of work.
  local function work(text, size)
    local reader = require("moonpipe.answer").reader()
    local values = 0
    for _, piece in ipairs(pieces.cut(text, size)) do
      if reader:feed(piece) ~= nil then values = values + 1 end
    end
    return reader.work, values
  end

  local SHAPES = {
    text = function(bytes) return '{"text":"' .. ("x"):rep(bytes) .. '"}' end,
    list = function(bytes) return "[" .. ('{"a":1},'):rep(bytes / 8) .. "1]" end,
    object = function(bytes)
      local members = {}
      for i = 1, bytes / 12 do members[i] = ('"k%06d":1'):format(i) end
      return "{" .. table.concat(members, ",") .. "}"
    end,
    deep = function(bytes)
      return ('{"a":[1,2,3],"b":'):rep(60) .. '"' .. ("y"):rep(bytes) .. '"' .. ("}"):rep(60)
    end,
  }

  for name, make in pairs(SHAPES) do
    it("is parsed in work that is linear in its length: " .. name, function()
      local half, whole = make(BIG / 2), make(BIG)
      local of_half, of_whole = work(half, 4), work(whole, 4)
      assert.truthy(of_half > 0)
      assert.truthy(of_whole <= 2.2 * of_half, of_whole / of_half)
      assert.truthy(of_whole <= 64 * #whole, of_whole / #whole)
    end)
  end

  it("shows every piece of what is short, and goes on showing what is long", function()
    local _, values = work('{"text":"' .. ("x"):rep(600) .. '"}', 4)
    assert.truthy(values >= 150, values)
    _, values = work(SHAPES.text(BIG), 4)
    assert.truthy(values >= 100, values)
  end)

  it("ends with the whole value, however little was shown", function()
    local text = SHAPES.list(2 ^ 14)
    local seen = pieces.stream(mp.JsonOutputParser(), pieces.cut(text, 4))
    assert.same(mp.JsonOutputParser():invoke(text), seen[#seen])
    assert.truthy(#seen < #text / 4)
  end)
end)
