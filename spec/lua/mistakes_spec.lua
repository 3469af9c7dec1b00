-- Every mistake that the language answers in words of its own: what a person
-- sees who makes it in a script called rag.lua.
local helper = require "spec.helper"

local HEAD = [[
local mp = require "moonpipe"
local prompt = mp.ChatPromptTemplate.from_template "{context} {question}"
local model = mp.FakeListChatModel { responses = { "x" } }
]]

-- Runs HEAD and `body`, which begins on line 4, as rag.lua.
local function stderr_of(body)
  local script = helper.temp(HEAD .. body)
  local stdout, stderr, code = helper.moonpipe { "-e", ([[
    local fn, message = loadstring(io.open(%q):read "*a", "@rag.lua")
    if not fn then error(message, 0) end
    return fn()]]):format(script) }
  assert.equal("", stdout)
  assert.equal(1, code)
  return (stderr:match("^moonpipe: ([^\n]*)"))
end

local function says(expected, body)
  assert.equal(expected, stderr_of(body))
end

describe("a mistake", function()
  it("in the name of an operand", function()
    says("rag.lua:5: cannot pipe 'lib.promt' (nil) into a chain", "local lib = {}\nreturn lib.promt | model")
  end)

  it("in the name of a map's value", function()
    says("rag.lua:6: in map key 'context': 'lib.retreiver' is nil", [[
local lib = {}
return {
  context = lib.retreiver } | prompt]])
  end)

  it("of a key written twice", function()
    says("rag.lua:5: map key 'a' is written twice, at line 4 and at line 5",
      "return { a = mp.const(1),\n a = mp.const(2) } | model")
  end)

  it("of a constant in a map", function()
    says("rag.lua:4: in map key 'language': a string is not a step; use mp.const(\"italian\") for " ..
      "a constant or mp.itemgetter(\"italian\") for a key", "return { language = 'italian' } | model")
  end)

  it("of a constant deep in a map", function()
    says("rag.lua:5: in map key 'a.b': the number 5 is not a step; use mp.const(value) for a constant",
      "return { a = {\n b = 5 } } | model")
  end)

  it("of a class as an operand", function()
    says("rag.lua:4: RunnablePassthrough is a class; write RunnablePassthrough()",
      "return mp.RunnablePassthrough | prompt")
  end)

  it("of a class in a map", function()
    says("rag.lua:4: in map key 'a': RunnablePassthrough is a class; write RunnablePassthrough()",
      "return { a = mp.RunnablePassthrough } | model")
  end)

  it("of a class where an instance is meant", function()
    says("rag.lua:4: StrOutputParser is a class; write StrOutputParser()",
      "return mp.StrOutputParser:invoke 'x'")
  end)

  it("of a message in a pipe", function()
    says("rag.lua:4: cannot pipe 'model 'x'' (an AIMessage) into a chain; " ..
      "did you call the step? 'model \"x\"' invokes it", "return prompt | model 'x'")
  end)

  it("of a Document in a pipe", function()
    says("rag.lua:4: cannot pipe 'mp.Document 'x'' (a Document) into a chain; " ..
      "did you call the step? 'model \"x\"' invokes it", "return prompt | mp.Document 'x'")
  end)

  it("of a string in a pipe", function()
    says("rag.lua:4: cannot pipe ''x'' (a string) into a chain; " ..
      "did you call the step? 'model \"x\"' invokes it", "return prompt | 'x'")
  end)

  it("of an option that is not there", function()
    says("rag.lua:4: unknown option 'responces' of FakeListChatModel; allowed: " ..
      "error_on_chunk_number, responses, sleep; did you mean 'responses'?",
      "local _ = mp.FakeListChatModel { responces = {} }")
  end)

  it("of a name that mp does not have", function()
    says("rag.lua:4: mp has no 'StrOutputParsr'; did you mean 'StrOutputParser'?",
      "return mp.StrOutputParsr()")
  end)

  it("of a static that a class does not have", function()
    says("rag.lua:4: ChatPromptTemplate has no 'from_tempate'; did you mean 'from_template'?",
      "return mp.ChatPromptTemplate.from_tempate 'x'")
  end)

  it("of a prompt variable that the map before cannot give", function()
    says("rag.lua:4: ChatPromptTemplate \"{context} {question}\" misses {question}: expected " ..
      "{context, question}, received {context}; if braces were meant literally write {{question}}",
      "return { context = mp.const(1) } | prompt")
  end)

  it("of a prompt variable that the call does not give", function()
    assert.matches("^input: ChatPromptTemplate \"{context} {question}\" misses {question}: expected " ..
      "{context, question}, received {context};",
      stderr_of("local c = prompt | model\nreturn c:invoke { context = 1 }"))
  end)

  it("of a table without text in a template", function()
    assert.matches("^input: prompt variable 'context' is a table with keys {a, b}; pick one or add " ..
      "a function that makes text", stderr_of(
      "local c = prompt | model\nreturn c:invoke { context = { a = 1, b = 2 }, question = 1 }"))
  end)

  it("of null in a template", function()
    assert.matches("^input: prompt variable 'context' is mp.null; pick one", stderr_of(
      "local c = prompt | model\nreturn c:invoke { context = mp.null, question = 1 }"))
  end)

  it("of a map without a prompt before a model", function()
    says("rag.lua:4: a table with keys {context} is not a model input; put a prompt between",
      "return { context = mp.const(1) } | model")
  end)

  it("of braces: a single }", function()
    says("rag.lua:4: bad template at line 1, column 3: '}' without a '{' before it; " ..
      "write {{ and }} for literal braces", "local _ = mp.PromptTemplate.from_template 'a } b'")
  end)

  it("of braces: an open {", function()
    assert.matches("^rag.lua:4: bad template at line 2, column 3: ",
      stderr_of("local _ = mp.PromptTemplate.from_template 'a\\nb {c'"))
  end)

  it("of braces: JSON", function()
    says([[rag.lua:4: bad template at line 1, column 1: '{"a": 1}' is not a variable; ]] ..
      "write {{ and }} for literal braces", [[local _ = mp.PromptTemplate.from_template '{"a": 1}']])
  end)

  it("of two operands that no chain is made of", function()
    says("rag.lua:4: attempt to perform bitwise operation on a string value (''a'')", "return 'a' | 5")
  end)

  it("of syntax", function()
    says("rag.lua:4: unexpected symbol near '|'", "return prompt | | model")
  end)
end)

describe("a main script", function()
  it("may not read a global that is not there", function()
    local _, stderr, code = helper.moonpipe { "-e", "local promt = 1\nprint(pront)" }
    assert.equal(1, code)
    assert.equal("moonpipe: (command line):2: undefined global 'pront'; did you mean 'promt'?\n"
      .. "    2 | print(pront)\n      |       ^^^^^\n", stderr)
  end)

  it("may define one", function()
    local stdout = helper.moonpipe { "-e", "answer = 42 print(answer)" }
    assert.equal("42\n", stdout)
  end)

  it("shows the lines of its own that led to an error", function()
    local _, stderr = helper.moonpipe { "-e", [[
local function f() local t = nil; t.x = 1 end
local mp = require "moonpipe"
f()]] }
    assert.matches("^moonpipe: %(command line%):1: attempt to index local 't' %(a nil value%)\n" ..
      "    1 | local function f%(%) local t = nil; t%.x = 1 end\n", stderr)
    assert.matches("\n  stack traceback:\n    %(command line%):1: in function 'f'\n" ..
      "    %(command line%):3: in main chunk\n$", stderr)
  end)

  it("cancels what it started when it fails", function()
    local stdout, _, code = helper.moonpipe { "-e", [[
local mp = require "moonpipe"
mp.RunnableLambda(function()
  local ok, err = pcall(mp.sleep, 10)
  print(err.kind)
end):start(1)
mp.sleep(0.001)
error "main fails"]] }
    assert.equal("cancelled\n", stdout)
    assert.equal(1, code)
  end)

  it("ends after what it started", function()
    local stdout, _, code = helper.moonpipe { "-e", [[
local mp = require "moonpipe"
mp.RunnableLambda(function() mp.sleep(0.01) print "later" end):start(1)
print "first"]] }
    assert.equal("first\nlater\n", stdout)
    assert.equal(0, code)
  end)
end)

describe("a mistake in a call", function()
  local mp = require "moonpipe"
  local model = mp.FakeListChatModel { responses = { "x" } }

  local function problem(fn)
    local ok, err = pcall(fn)
    assert.is_false(ok)
    return tostring(err)
  end

  for _, method in ipairs { "invoke", "stream", "batch" } do
    it("is a dot before " .. method, function()
      local expected = ("write step:%s(…), with a colon: a string is no step"):format(method)
      assert.matches("mistakes_spec.lua:%d+: ",
        problem(function() local _ = model[method]("hi") end))
      assert.matches(expected, problem(function() local _ = model[method]("hi") end), 1, true)
      assert.matches("a list of 1 is no step",
        problem(function() local _ = model[method] { "hi" } end), 1, true)
    end)
  end

  it("is a step for a table of options", function()
    assert.matches("create_agent takes a table of options, got a FakeListChatModel",
      problem(function() local _ = mp.create_agent(model, {}) end), 1, true)
  end)

  it("is a counter of tokens that counts none", function()
    local trim = mp.trim_messages { max_tokens = 5, token_counter = function() return "x" end }
    assert.matches("token_counter of trim gave a string, not a number",
      problem(function() local _ = trim:invoke { "a" } end), 1, true)
  end)

  it("is a number for a text that is printed", function()
    assert.matches("printable takes a text, got the number 5",
      problem(function() local _ = mp.printable(5) end), 1, true)
  end)
end)
