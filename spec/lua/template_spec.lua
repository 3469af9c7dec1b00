local errors = require "moonpipe.error"
local json = require "moonpipe.json"
local mp = require "moonpipe"
local template = require "moonpipe.templates.template"

local owner = {
  _missing = function() error("missing", 0) end,
}

local function format(text, values, only)
  return assert(template.compile(text)):format(values, only, owner)
end

local function problem(text)
  local compiled, why = template.compile(text)
  assert.is_nil(compiled)
  local place = why:match("^bad template at (.*)$")
  return place
end

local function refusal(value)
  local ok, err = pcall(template.text_of, value, "context")
  assert.is_false(ok)
  assert.is_true(errors.is(err), tostring(err))
  assert.equal("input", err.kind)
  return err.message
end

describe("a template", function()
  it("inserts its variables", function()
    assert.equal("a 1 b", format("a {x} b", { x = "1" }))
    assert.equal("1", format("{x}", { x = "1" }))
    assert.equal("12", format("{x}{y}", { x = "1", y = "2" }))
    assert.equal("<1-2-3-1>", format("<{x}-{y}-{z}-{x}>", { x = "1", y = "2", z = "3" }))
  end)

  it("without variables is its text", function()
    assert.equal("a", format("a", {}))
    assert.equal("", format("", {}))
  end)

  it("has literal braces in pairs", function()
    assert.equal("{a}", format("{{a}}", {}))
    assert.equal('{"k": 1}', format('{{"k": {v}}}', { v = "1" }))
    assert.equal("{1}", format("{{{x}}}", { x = "1" }))
    assert.equal("{}{", format("{{}}{{", {}))
  end)

  it("never reads again what it inserted", function()
    assert.equal("{y} and {{}}", format("{x}", { x = "{y} and {{}}", y = "no" }))
  end)

  it("lists its variables sorted, each once", function()
    assert.same({ "a", "b" }, template.compile("{b}{a}{b}").variables)
  end)

  it("takes a lone value for each variable", function()
    assert.equal("1 and 1", format("{x} and {x}", nil, "1"))
    assert.equal("false", format("{x}", nil, false))
  end)

  it("takes names with digits, underscores and letters beyond ASCII", function()
    assert.equal("ab", format("{_x1}{größe}", { _x1 = "a", ["größe"] = "b" }))
  end)

  it("asks its owner about a missing value", function()
    assert.has_error(function() format("{x}", {}) end, "missing")
    assert.has_error(function() format("{x}{y}{z}", { x = "1", y = "2" }) end, "missing")
  end)
end)

describe("a wrong template", function()
  local HINT = "; write {{ and }} for literal braces"

  it("has a brace that is not closed", function()
    assert.equal("line 1, column 3: '{' is never closed" .. HINT, problem "a {b")
    assert.equal("line 1, column 1: '{' is never closed" .. HINT, problem "{")
    assert.equal("line 1, column 1: '{' is never closed" .. HINT, problem "{name {x}")
  end)

  it("has a brace that is not opened", function()
    assert.equal("line 1, column 3: '}' without a '{' before it" .. HINT, problem "a } b")
    assert.equal("line 1, column 4: '}' without a '{' before it" .. HINT, problem "{x}}")
  end)

  it("has no name between its braces", function()
    assert.equal("line 1, column 1: '{}' names no variable" .. HINT, problem "{}")
    assert.equal("line 1, column 1: '{ }' names no variable" .. HINT, problem "{ }")
  end)

  it("has a position for a name", function()
    assert.equal("line 1, column 1: '{0}' is a position; variables have names" .. HINT,
      problem "{0}")
  end)

  it("reaches into a value", function()
    for _, inner in ipairs({ "a.b", "a[0]", "a.__class__" }) do
      assert.equal(("line 1, column 1: '{%s}' reaches into a value; templates insert whole"
        .. " variables, so make it one%s"):format(inner, HINT), problem("{" .. inner .. "}"))
    end
  end)

  it("has a format", function()
    for _, inner in ipairs({ "x:>5", "y!r", "x:" }) do
      assert.equal(("line 1, column 1: '{%s}' has a format; templates insert values as they are,"
        .. " so format it before%s"):format(inner, HINT), problem("{" .. inner .. "}"))
    end
  end)

  it("has spaces around a name", function()
    assert.equal("line 1, column 1: '{ x }' has spaces in it; a variable is written {x}" .. HINT,
      problem "{ x }")
  end)

  it("has something else between its braces", function()
    assert.equal("line 1, column 1: '{user input}' is not a variable" .. HINT,
      problem "{user input}")
    assert.equal([[line 1, column 1: '{"a": 1}' is not a variable]] .. HINT, problem '{"a": 1}')
    assert.equal([[line 1, column 1: '{"a": {' does not begin a variable]] .. HINT,
      problem '{"a": {x}}')
  end)

  it("is told by line and column, which counts characters", function()
    assert.truthy(problem("äöü {0}"):find("^line 1, column 5: "))
    assert.truthy(problem("a\nbc {0}"):find("^line 2, column 4: "))
    assert.truthy(problem("{x}\n\n}"):find("^line 3, column 1: "))
  end)

  it("is quoted in part only where it is long", function()
    assert.equal("line 1, column 1: '{" .. ("x "):rep(20) .. "…' is not a variable" .. HINT,
      problem("{" .. ("x "):rep(100) .. "}"))
    assert.truthy(problem("{a\nb}"):find([['{a\nb}']], 1, true))
  end)
end)

describe("what a template inserts", function()
  local text_of = template.text_of

  it("is a string as it is", function()
    assert.equal("a\0b", text_of("a\0b", "x"))
  end)

  it("is no table of named values, though one be called n", function()
    assert.equal("prompt variable 'context' is a table with keys {n}; pick one or add a function"
      .. " that makes text", refusal { n = "five" })
    assert.equal("a", text_of({ "a", n = "five" }, "x"))
  end)

  it("is a number with 14 digits at most", function()
    assert.equal("3", text_of(3, "x"))
    assert.equal("0.1", text_of(0.1, "x"))
    assert.equal("1e+20", text_of(1e20, "x"))
    assert.equal("0.33333333333333", text_of(1 / 3, "x"))
  end)

  it("is a boolean's name", function()
    assert.equal("true", text_of(true, "x"))
    assert.equal("false", text_of(false, "x"))
  end)

  it("is the text of a message, a Document and a prompt's value", function()
    assert.equal("hi", text_of(mp.AIMessage "hi", "x"))
    assert.equal("hi", text_of(mp.Document("hi", { a = 1 }), "x"))
    assert.equal("Human: hi", text_of(mp.ChatPromptTemplate.from_template("{x}"):invoke "hi", "x"))
  end)

  it("is a list's members with a blank line between", function()
    assert.equal("a\n\nb\n\nc", text_of({ mp.Document "a", "b", mp.HumanMessage "c" }, "x"))
    assert.equal("a\n\nb", text_of(json.array({ "a", "b" }), "x"))
    assert.equal("a\n\nb", text_of({ "a", "b", n = 2 }, "x"))
  end)

  it("is nothing for an empty list", function()
    assert.equal("", text_of({}, "x"))
    assert.equal("", text_of({ n = 0 }, "x"))
  end)

  it("is what __tostring says", function()
    assert.equal("me", text_of(setmetatable({}, { __tostring = function() return "me" end }), "x"))
  end)

  it("is never a table without text", function()
    assert.equal("prompt variable 'context' is a table with keys {a, b}; pick one or add a function"
      .. " that makes text", refusal({ a = 1, b = 2 }))
  end)

  it("is never null, an error, a function or a step", function()
    assert.equal("prompt variable 'context' is mp.null; pick one or add a function that makes text",
      refusal(json.null))
    assert.equal("prompt variable 'context' is an error (reset: gone); handle it before the prompt",
      refusal(errors.new({ kind = "reset", message = "gone" })))
    assert.equal("prompt variable 'context' is a function; call it, or make it a map key before the"
      .. " prompt", refusal(print))
    assert.equal("prompt variable 'context' is a step (StrOutputParser), not its result; make it a"
      .. " map key before the prompt, or invoke it", refusal(mp.StrOutputParser()))
    assert.equal("prompt variable 'context' is a thread; pick one or add a function that makes"
      .. " text", refusal(coroutine.create(print)))
  end)

  it("names the member of a list that has no text", function()
    assert.equal("prompt variable 'context[2]' is the number 5; a list inserts strings, messages"
      .. " and Documents", refusal({ "a", 5 }))
    assert.equal("prompt variable 'context[1]' is a list of 1; a list inserts strings, messages and"
      .. " Documents", refusal({ { "a" } }))
    assert.equal("prompt variable 'context[2]' is nil; a list inserts strings, messages and"
      .. " Documents", refusal({ "a", nil, n = 2 }))
    assert.equal("prompt variable 'context[1]' is an Error; a list inserts strings, messages and"
      .. " Documents", refusal({ errors.new({ kind = "reset", message = "gone" }) }))
  end)
end)
