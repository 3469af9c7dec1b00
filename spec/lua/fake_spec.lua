local errors = require "moonpipe.error"
local helper = require "spec.helper"
local mp = require "moonpipe"

local said = helper.said

local function texts(stream)
  local seen = {}
  for chunk in stream do
    seen[#seen + 1] = chunk.content
  end
  return seen
end

describe("FakeListChatModel", function()
  it("gives its responses in turn, and again", function()
    local m = mp.FakeListChatModel { responses = { "a", "b" } }
    assert.equal("a", m:invoke("x").content)
    assert.equal("b", m:invoke("x").content)
    assert.equal("a", m:invoke("x").content)
  end)

  it("counts streams among its calls", function()
    local m = mp.FakeListChatModel { responses = { "ab", "c" } }
    assert.same({ "a", "b" }, texts(m:stream "x"))
    assert.equal("c", m:invoke("x").content)
  end)

  it("streams by characters, not by bytes", function()
    local m = mp.FakeListChatModel { responses = { "aö€\240\159\152\128" } }
    assert.same({ "a", "ö", "€", "\240\159\152\128" }, texts(m:stream "x"))
  end)

  it("streams bytes that are no UTF-8 without losing one", function()
    local m = mp.FakeListChatModel { responses = { "\128a\195\255b" } }
    assert.equal("\128a\195\255b", table.concat(texts(m:stream "x")))
  end)

  it("streams an empty response as one empty chunk", function()
    assert.same({ "" }, texts(mp.FakeListChatModel({ responses = { "" } }):stream "x"))
  end)

  it("brings its id with the first chunk", function()
    local ids = {}
    for chunk in mp.FakeListChatModel({ responses = { "abc" } }):stream "x" do
      ids[#ids + 1] = chunk.id or "none"
    end
    assert.truthy(ids[1]:find("^run%-"))
    assert.same({ "none", "none" }, { ids[2], ids[3] })
  end)

  it("fails at the chunk that it is told", function()
    local m = mp.FakeListChatModel { responses = { "abcd" }, error_on_chunk_number = 3 }
    local seen = {}
    local ok, err = pcall(function()
      for chunk in m:stream "x" do
        seen[#seen + 1] = chunk.content
      end
    end)
    assert.is_false(ok)
    assert.same({ "a", "b" }, seen)
    assert.is_true(errors.is(err))
    assert.equal("reset", err.kind)
    assert.equal("the fake stream breaks at chunk 3", err.message)
    assert.equal("ab", err.partial)
    assert.is_true(err.retryable)
  end)

  it("sleeps before an answer and before each chunk", function()
    helper.run(function()
      local m = mp.FakeListChatModel { responses = { "ab" }, sleep = 0.01 }
      local c = require("moonpipe.native").c
      local begun = c.now()
      m:invoke "x"
      assert.is_true(c.now() - begun >= 0.009)
      begun = c.now()
      texts(m:stream "x")
      assert.is_true(c.now() - begun >= 0.018)
    end)
  end)

  it("refuses responses that are none", function()
    assert.equal("responses of FakeListChatModel is nil; it must be a list of strings",
      said(mp.FakeListChatModel))
    assert.equal("responses of FakeListChatModel is an empty table; it must be a list of strings",
      said(mp.FakeListChatModel, { responses = {} }))
    assert.equal("responses[2] of FakeListChatModel is the number 5; it must be a string",
      said(mp.FakeListChatModel, { responses = { "a", 5 } }))
  end)

  it("refuses other options", function()
    assert.equal("unknown option 'response' of FakeListChatModel; allowed: error_on_chunk_number,"
      .. " responses, sleep; did you mean 'responses'?",
      said(mp.FakeListChatModel, { response = { "a" } }))
    assert.equal("sleep of FakeListChatModel is a string; it must be a number of seconds",
      said(mp.FakeListChatModel, { responses = { "a" }, sleep = "1" }))
    assert.equal("error_on_chunk_number of FakeListChatModel is a string; it must be a number",
      said(mp.FakeListChatModel, { responses = { "a" }, error_on_chunk_number = "1" }))
  end)
end)

describe("GenericFakeChatModel", function()
  it("gives each message once", function()
    local m = mp.GenericFakeChatModel { messages = { "a", mp.AIMessage "b" } }
    assert.equal("a", m:invoke("x").content)
    assert.equal("b", m:invoke("x").content)
    local ok, err = pcall(m.invoke, m, "x")
    assert.is_false(ok)
    assert.equal("limit", err.kind)
    assert.equal("GenericFakeChatModel has no message left", err.message)
  end)

  it("asks an iterator for its messages", function()
    local count = 0
    local m = mp.GenericFakeChatModel { messages = function()
      count = count + 1
      return "n" .. count
    end }
    assert.equal("n1", m:invoke("x").content)
    assert.equal("n2", m:invoke("x").content)
  end)

  it("streams by words and the blanks between them", function()
    local m = mp.GenericFakeChatModel { messages = { "hello brave\n new" } }
    assert.same({ "hello", " ", "brave", "\n", " ", "new" }, texts(m:stream "x"))
  end)

  it("streams what is not text in a last chunk", function()
    local call = { name = "f", args = {}, id = "1", type = "tool_call" }
    local m = mp.GenericFakeChatModel { messages = {
      mp.AIMessage { content = "a b", tool_calls = { call }, id = "7" },
    } }
    local sum
    for chunk in m:stream "x" do
      sum = sum and sum + chunk or chunk
    end
    assert.equal("a b", sum.content)
    assert.same({ call }, sum.tool_calls)
    assert.equal("7", sum.id)
  end)

  it("streams an empty message as one empty chunk", function()
    assert.same({ "" }, texts(mp.GenericFakeChatModel({ messages = { "" } }):stream "x"))
  end)

  it("does not change the messages it was given", function()
    local given = mp.AIMessage { content = "a b", name = "n" }
    texts(mp.GenericFakeChatModel({ messages = { given } }):stream "x")
    assert.equal("a b", given.content)
  end)

  it("refuses what is no answer", function()
    local m = mp.GenericFakeChatModel { messages = { mp.HumanMessage "a" } }
    local ok, err = pcall(m.invoke, m, "x")
    assert.is_false(ok)
    assert.equal("GenericFakeChatModel was given a HumanMessage; it says strings and AIMessages",
      err.message)
  end)

  it("needs messages", function()
    assert.equal("messages of GenericFakeChatModel is nil; it must be a list or an iterator of"
      .. " messages", said(mp.GenericFakeChatModel, {}))
  end)
end)
