local toolcall = require "moonpipe.agents.toolcall"

describe("toolcall.merge", function()
  it("appends names and arguments of one index", function()
    assert.same({ { index = 0, id = "a", name = "find", args = '{"q":1}' } }, toolcall.merge(
      { { index = 0, id = "a", name = "fi", args = '{"q"' } },
      { { index = 0, name = "nd", args = ":1}" } }))
  end)

  it("keeps calls of other indexes apart", function()
    assert.equal(2, #toolcall.merge({ { index = 0, args = "a" } }, { { index = 1, args = "b" } }))
  end)

  it("keeps calls apart whose ids contradict", function()
    assert.equal(2, #toolcall.merge({ { index = 0, id = "a" } }, { { index = 0, id = "b" } }))
  end)

  it("takes an empty id for none", function()
    local merged = toolcall.merge({ { index = 0, id = "a" } }, { { index = 0, id = "" } })
    assert.equal("a", merged[1].id)
    assert.equal(1, #merged)
  end)

  it("appends pieces without index", function()
    assert.equal(2, #toolcall.merge({ { name = "a" } }, { { name = "b" } }))
  end)

  it("writes to neither list", function()
    local a = { { index = 0, args = "x" } }
    toolcall.merge(a, { { index = 0, args = "y" } })
    assert.same({ { index = 0, args = "x" } }, a)
  end)
end)

describe("toolcall.parse", function()
  it("reads whole arguments", function()
    local calls, invalid = toolcall.parse({ { id = "1", name = "f", args = '{"x": 2}' } }, false)
    assert.same({ { name = "f", args = { x = 2 }, id = "1", type = "tool_call" } }, calls)
    assert.same({}, invalid)
  end)

  it("takes missing arguments for none", function()
    assert.same({}, toolcall.parse({ { name = "f" } }, false)[1].args)
    assert.same({}, toolcall.parse({ { name = "f", args = "" } }, false)[1].args)
  end)

  it("reads half arguments while a stream runs", function()
    assert.same({ x = "he" }, toolcall.parse({ { name = "f", args = '{"x": "he' } }, true)[1].args)
  end)

  it("keeps half arguments as an invalid call at the end", function()
    local calls, invalid = toolcall.parse({ { id = "1", name = "f", args = '{"x": "he' } }, false)
    assert.same({}, calls)
    assert.equal('{"x": "he', invalid[1].args)
    assert.equal("invalid_tool_call", invalid[1].type)
    assert.is_string(invalid[1].error)
  end)

  it("takes no arguments of which one is there twice", function()
    local _, invalid = toolcall.parse({ { name = "f", args = '{"x":1,"x":2}' } }, false)
    assert.matches("duplicate key 'x'", invalid[1].error)
  end)

  it("takes only an object for arguments", function()
    for _, text in ipairs({ "[1]", "3", '"x"', "null" }) do
      local _, invalid = toolcall.parse({ { name = "f", args = text } }, false)
      assert.equal("the arguments are not a JSON object", invalid[1].error, text)
    end
  end)
end)

describe("toolcall.normalise", function()
  it("completes our own form", function()
    assert.same({ { name = "f", args = {}, id = "1", type = "tool_call" } },
      toolcall.normalise({ { name = "f", id = "1" } }))
  end)

  it("reads OpenAI's form", function()
    local body = { name = "f", arguments = '{"a":1}' }
    local wire = { id = "1", type = "function", ["function"] = body }
    assert.same({ { name = "f", args = { a = 1 }, id = "1", type = "tool_call" } },
      toolcall.normalise({ wire }))
  end)

  it("keeps bad JSON of OpenAI's form as an invalid call", function()
    local wire = { id = "1", ["function"] = { name = "f", arguments = "{a" } }
    local calls, invalid = toolcall.normalise({ wire })
    assert.same({}, calls)
    assert.equal("{a", invalid[1].args)
  end)
end)
