local coerce = require "moonpipe.coerce"
local loader = require "moonpipe.loader"
local mp = require "moonpipe"
require "moonpipe.operator"

-- Runs [text] as the file rag.lua, with values for the names in it.
local function run(text, env)
  return assert(loader.load(text, "@rag.lua", "t", setmetatable(env or {}, { __index = _G })))()
end

local function message_of(text, env)
  local ok, message = pcall(run, text, env)
  assert.is_false(ok)
  return message
end

-- A foreign value that records.
local function foreign(name)
  return setmetatable({}, {
    __bor = function(a, b) return name .. " got " .. type(a) .. " " .. type(b), "second" end,
  })
end

local function f(x) return x end

describe("operator: numbers", function()
  it("are joined bit by bit", function()
    assert.are.equal(7, run("return 1 | 2 | 4"))
    assert.are.equal(-1, run("return 0xffffffff | 0"))
    assert.are.equal(3, run("return 3.0 | 1"))
  end)

  it("may be 64-bit integers", function()
    assert.are.equal(0x100000001LL, run("return 0x100000000LL | 1"))
  end)

  it("must be integers", function()
    assert.are.equal("rag.lua:2: number has no integer representation",
      message_of("local x =\n1.5 | 1"))
    assert.are.equal("rag.lua:1: number has no integer representation",
      message_of("return 1 | 1/0"))
  end)

  it("do not mix with other values, strings of digits included", function()
    assert.are.equal("rag.lua:1: attempt to perform bitwise operation on a nil value ('n')",
      message_of("return n | 1"))
    assert.are.equal("rag.lua:1: attempt to perform bitwise operation on a string value ('\"10\"')",
      message_of("return 1 | \"10\""))
    assert.are.equal("rag.lua:1: attempt to perform bitwise operation on a table value ('t')",
      message_of("return t | 1", { t = setmetatable({}, {}) }))
  end)
end)

describe("operator: foreign values", function()
  it("are asked left before right, and give one value", function()
    local env = { a = foreign "a", b = foreign "b", f = f, t = {} }
    assert.are.same({ "a got table table" }, { run("return a | b", env) })
    assert.are.equal("a got table number", run("return a | 1", env))
    assert.are.equal("b got number table", run("return 1 | b", env))
    assert.are.equal("b got nil table", run("return nil | b", env))
    assert.are.equal("b got string table", run("return 'x' | b", env))
    assert.are.equal("b got function table", run("return f | b", env))
    assert.are.equal("b got table table", run("return {} | b", env))
    assert.are.equal("a got table table", run("return a | t", env))
  end)

  it("come before a step on their right, after one on their left", function()
    local env = { a = foreign "a", step = mp.RunnablePassthrough() }
    assert.are.equal("a got table table", run("return a | step", env))
    assert.are.equal("rag.lua:1: cannot pipe 'a' (an empty table) into a chain",
      message_of("return step | a", env))
  end)

  it("are found behind a protected metatable", function()
    local locked = foreign "locked"
    getmetatable(locked).__metatable = "locked"
    assert.are.equal("locked got table number", run("return a | 1", { a = locked }))
  end)
end)

describe("operator: steps", function()
  it("join functions, tables and runnables", function()
    local env = { f = f, step = mp.RunnablePassthrough() }
    assert.are.equal(5, run("return f | f", env):invoke(5))
    assert.are.same({ b = { a = 5 } }, run("return {a = f} | {b = step}", env):invoke(5))
    assert.are.equal(5, run("return step | f | step", env):invoke(5))
  end)

  it("join callable values of others", function()
    local callable = setmetatable({}, { __call = function(_, x) return x + 1 end })
    assert.are.equal(3, run("return c | c", { c = callable }):invoke(1))
  end)

  it("remember the line of the operator", function()
    local chain = run("return f\n  | function() error('broken') end", { f = f })
    local _, err = chain:try_invoke(1)
    assert.are.equal("rag.lua:2", err.where)
  end)

  it("join rows longer than may be nested", function()
    local chain = run("return f" .. (" | f"):rep(149), { f = f })
    assert.are.equal(150, #chain.steps)
    assert.are.equal(8, chain:invoke(8))
  end)
end)

describe("operator: wrong operands", function()
  local env = { prompt = f, step = mp.RunnablePassthrough(), Class = mp.RunnablePassthrough,
    message = mp.AIMessage("hello"), document = mp.Document { page_content = "text" },
    list = setmetatable({}, {}) }

  local function says(text, expected)
    assert.are.equal(expected, message_of(text, env))
  end

  it("are named, with the line of the operator", function()
    says("local x = prompt\n\n | promt", "rag.lua:3: cannot pipe 'promt' (nil) into a chain")
    says("return promt | prompt", "rag.lua:1: cannot pipe 'promt' (nil) into a chain")
    says("return step | a.b", "rag.lua:1: attempt to index global 'a' (a nil value)")
    says("return step | step.nothing",
      "rag.lua:1: cannot pipe 'step.nothing' (nil) into a chain")
    says("return promt | modle", "rag.lua:1: cannot pipe 'promt' (nil) into a chain")
    says("return prompt | 5", "rag.lua:1: cannot pipe '5' (the number 5) into a chain")
    says("return step | false", "rag.lua:1: cannot pipe 'false' (the boolean false) into a chain")
    says("return list | step", "rag.lua:1: cannot pipe 'list' (an empty table) into a chain")
  end)

  it("are named in long rows too", function()
    says("return prompt" .. ("\n| prompt"):rep(20) .. "\n| promt",
      "rag.lua:22: cannot pipe 'promt' (nil) into a chain")
  end)

  it("may be a class that was not called", function()
    says("return prompt | Class",
      "rag.lua:1: RunnablePassthrough is a class; write RunnablePassthrough()")
    says("return Class | prompt",
      "rag.lua:1: RunnablePassthrough is a class; write RunnablePassthrough()")
  end)

  it("may be what a step answered", function()
    local advice = "; did you call the step? 'model \"x\"' invokes it"
    says("return prompt | message",
      "rag.lua:1: cannot pipe 'message' (an AIMessage) into a chain" .. advice)
    says("return document | prompt",
      "rag.lua:1: cannot pipe 'document' (a Document) into a chain" .. advice)
    says("return prompt | step 'hi'",
      "rag.lua:1: cannot pipe 'step 'hi'' (a string) into a chain" .. advice)
  end)

  it("are shortened to one line", function()
    says("return prompt | nothing(  -- which\n  '0123456789012345678901234567890123456789', 'abcdef')",
      "rag.lua:1: attempt to call global 'nothing' (a nil value)")
    says("return prompt | tonumber(  -- which\n  '0123456789012345678901234567890123456789x', 10, 11)",
      "rag.lua:1: cannot pipe 'tonumber( '0123456789012345678901234567890123456789x', 10…'"
        .. " (nil) into a chain")
  end)
end)

describe("operator: maps", function()
  it("name a vanished key, its line and its value", function()
    assert.are.equal("rag.lua:3: in map key 'context': 'retreiver' is nil",
      message_of("local x = {\n  question = f,\n  context = retreiver,\n} | f", { f = f }))
    assert.are.equal("rag.lua:1: in map key '2': 'a.b(c)' is nil",
      message_of("return f | {f, a.b(c)}", { f = f, a = { b = function() end } }))
    assert.are.equal("rag.lua:1: in map key 'b': 'x' is nil",
      message_of("return {a = {['b'] = x}} | f", { f = f }))
    assert.are.equal("rag.lua:1: in map key 'a': 'x' is nil",
      message_of("return ({a = x}) | f", { f = f }))
  end)

  it("miss the value of a computed key", function()
    assert.are.equal("rag.lua:1: in map key '[k]': 'x' is nil, or the key is written twice",
      message_of("return {[k] = x, b = f} | f", { f = f, k = "a" }))
    assert.are.equal("rag.lua:1: in map key '[k]': 'f' is nil, or the key is written twice",
      message_of("return {[k] = f, b = f} | f", { f = f, k = "b" }))
    assert.are.equal("rag.lua:1: in a map with 2 computed keys, from '[k]' on: a value is nil, "
      .. "or a key is written twice",
      message_of("return {[k] = f, [k] = f} | f", { f = f, k = "b" }))
    assert.are.same({ a = 1, b = 1 },
      run("return {[k] = f, b = f} | f", { f = f, k = "a" }):invoke(1))
  end)

  it("refuse a key that is written twice", function()
    local _, message = loader.load("x = {\n  a = 1,\n  a = 2 } | f", "@rag.lua")
    assert.are.equal("rag.lua:3: map key 'a' is written twice, at line 2 and at line 3", message)
  end)

  it("take `...` as it comes", function()
    assert.are.same({ 1, 1, n = 2 },
      run("return (function(...) return {...} | f end)(f, f)", { f = f }):invoke(1))
    assert.are.same({ 1, n = 1 },
      run("return (function(...) return {f, ...} | f end)()", { f = f }):invoke(1))
  end)

  it("leave tables that are no operands alone", function()
    assert.are.same({}, run("return {a = x}, 1 | 2"))
  end)

  it("tell coercion where their keys stand", function()
    local env = { f = f, grab = foreign "grab" }
    getmetatable(env.grab).__bor = function(map) return map end
    local map = run("return {\n  a = f,\n  f,\n  b = {\n c = f } } | grab", env)
    assert.are.same({ where = "rag.lua:1", keys = { a = "rag.lua:2", [1] = "rag.lua:3",
      b = "rag.lua:4" }, spans = { a = "rag.lua:2:7-7", [1] = "rag.lua:3:3-3",
      b = "rag.lua:4:7-7" } }, coerce.origin(map))
    assert.are.same({ where = "rag.lua:4", keys = { c = "rag.lua:5" },
      spans = { c = "rag.lua:5:6-6" } }, coerce.origin(map.b))
  end)

  it("name a constant's key path and line", function()
    assert.are.equal("rag.lua:2: in map key 'language': a string is not a step; "
      .. "use mp.const(\"italian\") for a constant or mp.itemgetter(\"italian\") for a key",
      message_of("return { a = f,\n  language = 'italian' } | f", { f = f }))
  end)
end)
