local message = require "moonpipe.messages.message"
local model = require "moonpipe.models.model"
local mp = require "moonpipe"
local runnable = require "moonpipe.steps.runnable"
local helper = require "spec.helper"

local said = helper.said
local failure = helper.failure

-- A model with these methods.
local function new(methods)
  local Class, own = runnable.class("TestModel", { base = model.BaseChatModel })
  for name, fn in pairs(methods) do
    own[name] = fn
  end
  return runnable.instance(Class, {})
end

local function echo()
  return new { _generate = function(_, messages)
    local kinds = {}
    for i, m in ipairs(messages) do
      kinds[i] = m.type .. ":" .. m:text()
    end
    return message.answer({ content = table.concat(kinds, " ") })
  end }
end

local function chunks_of(list)
  return function()
    local i = 0
    return function()
      i = i + 1
      return list[i]
    end
  end
end

describe("the input of a model", function()
  it("is a prompt's value, a string, a message or a list", function()
    local m = echo()
    assert.equal("human:a", tostring(m:invoke(mp.ChatPromptTemplate("{x}"):invoke "a")))
    assert.equal("human:a", tostring(m:invoke(mp.PromptTemplate("{x}"):invoke "a")))
    assert.equal("human:a", tostring(m:invoke "a"))
    assert.equal("system:a", tostring(m:invoke(mp.SystemMessage "a")))
    assert.equal("system:a human:b", tostring(m:invoke { { "system", "a" }, "b" }))
    assert.equal("human:a", tostring(m:invoke { role = "user", content = "a" }))
  end)

  it("is never a map without a prompt", function()
    local m = echo()
    local err = failure(m.invoke, m, { context = "a", question = "b" })
    assert.equal("input", err.kind)
    assert.equal("a table with keys {context, question} is not a model input; put a prompt between",
      err.message)
    assert.equal("an empty table is not a model input; put a prompt between",
      failure(m.invoke, m, {}).message)
  end)

  it("is refused when it is composed, where it can be known", function()
    local function give() return "x" end
    assert.equal("a table with keys {a, b} is not a model input; put a prompt between",
      said(mp.pipe, { a = give, b = give }, echo()))
    assert.equal("human:x human:x", tostring(mp.pipe({ give, give }, echo()):invoke()))
  end)

  it("is no number and no nil", function()
    local m = echo()
    assert.equal("the number 5 is not a model input; a model takes a prompt's value, a string or a"
      .. " list of messages", failure(m.invoke, m, 5).message)
    assert.equal("nil is not a model input; a model takes a prompt's value, a string or a list of"
      .. " messages", failure(m.invoke, m).message)
    assert.equal("a Document is not a list of messages",
      failure(m.invoke, m, mp.Document "x").message)
  end)

  it("names the member that is no message", function()
    local m = echo()
    assert.equal("message 2: the number 5 is not a message; write a string, a message,"
      .. " {role, content} or { role = …, content = … }",
      failure(m.invoke, m, { "a", 5 }).message)
  end)

  it("has at least one message", function()
    local m = echo()
    local empty = mp.ChatPromptTemplate { mp.MessagesPlaceholder("h", { optional = true }) }
    assert.equal("a model needs at least one message",
      failure(m.invoke, m, empty:invoke({})).message)
  end)
end)

describe("a model", function()
  it("that only answers streams its answer as one chunk", function()
    local seen = {}
    for chunk in echo():stream "a" do
      seen[#seen + 1] = mp.inspect(chunk)
    end
    assert.same({ 'AIMessageChunk{ content = "human:a" }' }, seen)
  end)

  it("that only streams answers with the sum of its chunks", function()
    local m = new { _chunks = chunks_of {
      message.first_chunk({ content = "a" }), mp.AIMessageChunk "b",
      mp.AIMessageChunk { tool_call_chunks = { { index = 0, name = "f", args = "{}" } } },
    } }
    local answer = m:invoke "x"
    assert.equal("AIMessage", tostring(message.class_of(answer)))
    assert.equal("ab", answer.content)
    assert.same({}, answer.tool_calls[1].args)
    assert.truthy(answer.id:find("^run%-"))
  end)

  it("whose stream is empty answers with an empty text", function()
    assert.equal("", new({ _chunks = chunks_of {} }):invoke("x").content)
  end)

  it("must do one of the two", function()
    local m = new {}
    local err = failure(m.invoke, m, "x")
    assert.equal("internal", err.kind)
    assert.equal("TestModel gives neither _generate nor _chunks", err.message)
    assert.equal("internal", failure(function() m:stream("x")() end).kind)
  end)

  it("finds bound options in its context", function()
    local m = new { _generate = function(_, _, ctx)
      return message.answer({ content = ctx.kwargs.stop })
    end }
    assert.equal("END", m:bind({ stop = "END" }):invoke("x").content)
  end)
end)
