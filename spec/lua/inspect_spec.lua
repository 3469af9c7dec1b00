local errors = require "moonpipe.error"
local inspect = require "moonpipe.inspect"
local json = require "moonpipe.json"

describe("inspect", function()
  it("prints scalars as they are written", function()
    assert.equal("nil", inspect(nil))
    assert.equal("true", inspect(true))
    assert.equal("null", inspect(json.null))
    assert.equal("12", inspect(12))
    assert.equal("0.1", inspect(0.1))
    assert.equal("0.30000000000000004", inspect(0.1 + 0.2))
    assert.equal("nan", inspect(0 / 0):gsub("-", ""))
    assert.equal("1LL", inspect(1LL))
  end)

  it("quotes strings and escapes control characters", function()
    assert.equal([["say \"hi\"\\\n\t\027[31m\000"]], inspect "say \"hi\"\\\n\t\27[31m\0")
  end)

  it("shows UTF-8 and escapes what is none or obeyed by terminals", function()
    assert.equal('"é日本😀"', inspect "é日本😀")
    assert.equal([["é\255\226\130é"]], inspect "é\255\226\130é")
    assert.equal([["\194\155x"]], inspect "\194\155x")
  end)

  it("prints lists and keys in order", function()
    assert.equal('{ 1, 2, [10] = 3, A = 4, a = 5, ["b c"] = 6, ["end"] = 7, [true] = 8 }',
      inspect { 1, 2, [10] = 3, a = 5, A = 4, ["b c"] = 6, ["end"] = 7, [true] = 8 })
  end)

  it("prints empty tables, and empty arrays as such", function()
    assert.equal("{ {}, mp.array{}, { 1 } }", inspect { {}, json.array(), json.array { 1 } })
  end)

  it("breaks what does not fit into a line", function()
    local text = ("x"):rep(60)
    local expected = '{\n  a = "%s",\n  b = {\n    "%s",\n    "%s",\n  },\n}'
    assert.equal(expected:format(text, text, text), inspect { a = text, b = { text, text } })
  end)

  it("names the class of a value", function()
    local Point = { __name = "moonpipe.shape.Point" }
    assert.equal("Point{ x = 1, y = Point{} }",
      inspect(setmetatable({ x = 1, y = setmetatable({}, Point) }, Point)))
    assert.equal('Error{ kind = "input", message = "no" }',
      inspect(errors.new { kind = "input", message = "no" }))
  end)

  it("prints a plain table with a nameless metatable by its fields", function()
    assert.equal("{ a = 1 }", inspect(setmetatable({ a = 1 }, { __index = { b = 2 } })))
    assert.equal("{ a = 1 }", inspect(setmetatable({ a = 1 }, { __metatable = "mine" })))
  end)

  it("lets steps, classes and nameless values print themselves", function()
    local function with(mt)
      mt.__tostring = function() return "prompt | model" end
      return inspect { setmetatable({ secret = 1 }, mt) }
    end
    assert.equal("{ prompt | model }", with { __name = "moonpipe.Sequence", runnable = true })
    assert.equal("{ prompt | model }", with { __name = "moonpipe.class" })
    assert.equal("{ prompt | model }", with {})
    assert.equal("{ Message{ secret = 1 } }", with { __name = "moonpipe.Message" })
  end)

  it("asks __inspect first", function()
    local mt = { __name = "Task" }
    function mt:__inspect(show) return "<" .. show(self.id) .. ">" end
    assert.equal('{ <"x"> }', inspect { setmetatable({ id = "x" }, mt) })
  end)

  it("survives an __inspect that fails, lies or never ends", function()
    local function with(fn)
      return inspect(setmetatable({ id = 1 }, { __name = "T", __inspect = fn }))
    end
    assert.equal("T{ id = 1 }", with(error))
    assert.equal("T{ id = 1 }", with(function() return 7 end))
    assert.equal("<cycle>", with(function(self, show) return show(self) end))
  end)

  it("survives a __tostring that fails", function()
    local bad = setmetatable({}, { __tostring = function() error "no" end })
    assert.equal("{ a table whose __tostring fails }", inspect { bad })
    assert.matches("%[a table whose __tostring fails%] = 1", inspect { [bad] = 1 })
  end)

  it("marks cycles, and prints a table that is met twice twice", function()
    local t, shared = {}, { 1 }
    t.self, t.a, t.b = t, shared, shared
    assert.equal("{ a = { 1 }, b = { 1 }, self = <cycle> }", inspect(t))
  end)

  it("limits depth", function()
    assert.equal("{ {…}, {} }", inspect({ { 1 }, {} }, { depth = 1 }))
    assert.equal("{…}", inspect({ 1 }, { depth = 0 }))
    local t = {}
    for _ = 1, 100 do t = { t } end
    assert.matches("{…}", inspect(t))
  end)

  it("limits members", function()
    assert.equal("{ 1, 2, … 3 more }", inspect({ 1, 2, 3, 4, 5 }, { max_items = 2 }))
    assert.equal("{ … 1 more }", inspect({ a = 1 }, { max_items = 0 }))
  end)

  it("limits strings, between characters", function()
    assert.equal('"ab"… (5 bytes)', inspect("abcde", { max_string = 2 }))
    assert.equal('"é"… (4 bytes)', inspect("éé", { max_string = 3 }))
    assert.equal('""… (3 bytes)', inspect("日", { max_string = 2 }))
    assert.equal('"abc"', inspect("abc", { max_string = 3 }))
  end)

  it("says where a function was written", function()
    assert.matches("^function <.*inspect_spec.lua:%d+>$", inspect(function() end))
    assert.matches("^function: builtin", inspect(print))
  end)

  it("refuses unknown options and limits that are none", function()
    local ok, message = pcall(inspect, 1, { deep = 1 })
    assert.is_false(ok)
    assert.matches("unknown option 'deep' of mp.inspect", message)
    ok, message = pcall(inspect, 1, { depth = "x" })
    assert.is_false(ok)
    assert.matches("depth of mp.inspect must be a number of at least 0, got a string", message)
  end)
end)
