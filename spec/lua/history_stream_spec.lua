local conversation = require "spec.support.conversation"
local helper = require "spec.helper"
local mp = require "moonpipe"
local native = require "moonpipe.native"
local scheduler = require "moonpipe.scheduler"
local server = require("spec.support.server").use()

local config, said, sessions = conversation.config, conversation.said, conversation.sessions

local KEYS = { input_messages_key = "question", history_messages_key = "history" }

local prompt = mp.ChatPromptTemplate.from_messages {
  { "system", "rules" }, mp.MessagesPlaceholder "history", { "human", "{question}" },
}

local function openai(lane, scripts)
  return mp.ChatOpenAI { model = "m", base_url = server:lane(lane, scripts), api_key = "k",
    max_retries = 0 }
end

describe("RunnableWithMessageHistory: streams", function()
  after_each(conversation.remove)

  local function talk(lane, scripts, get)
    return mp.RunnableWithMessageHistory(prompt:pipe(openai(lane, scripts)), get, KEYS)
  end

  it("are stored once, when they have ended", function()
    local get = conversation.stored()
    local chain = talk("ok", { { token = { "one ", "two" } } }, get)
    local merged
    for chunk in chain:stream({ question = "q" }, config "s") do
      assert.equal(0, #get("s"):messages())
      merged = merged and merged + chunk or chunk
    end
    local list = get("s"):messages()
    assert.equal("Human: q\nAI: one two", mp.get_buffer_string(list))
    assert.equal(merged.id, list[2].id)
    assert.equal(merged.usage_metadata.total_tokens, list[2].usage_metadata.total_tokens)
    assert.equal("stop", list[2].response_metadata.finish_reason)
  end)

  it("that break leave nothing, and what had come in the error", function()
    local all, get = sessions()
    local chain = talk("cut", { { token = { "one ", "two" }, no_done = true, no_finish = true }, "" },
      get)
    local err = helper.failure(function()
      chain:stream({ question = "q" }, config "s"):collect()
    end)
    assert.same({ "truncated", "one two" }, { err.kind, err.partial })
    assert.equal(0, #all.s:messages())
    assert.equal("r", tostring(chain:stream({ question = "r" }, config "s"):collect()))
    assert.equal("Human: r\nAI: r", said(all.s))
  end)

  it("that are left store nothing and free the line #concurrency", function()
    local all, get = sessions()
    local function leave(how)
      local chain = talk(how, { { tokens = 200, gap = 20 }, "" }, get)
      local begun
      local left = mp.RunnableLambda(function()
        local stream = chain:stream({ question = "q" }, config(how))
        stream:next()
        begun = true
        if how == "close" then stream:close() end
        if how == "fail" then stream:each(function() error("stop", 0) end) end
        if how == "cancel" then mp.sleep(60) end
        if how == "collected" then
          stream = nil -- luacheck: ignore
          collectgarbage()
          collectgarbage()
          mp.sleep(0.001)
          assert.equal("r", tostring(chain:invoke({ question = "r" }, config(how))))
        end
      end):start(1)
      if how == "cancel" then
        while not begun do mp.sleep(0.001) end
        left:cancel()
      end
      left:wait(10)
      server:wait(function(stats) return stats.lanes[how].aborted == 1 end)
      if how ~= "collected" then
        assert.equal("r", tostring(chain:invoke({ question = "r" }, config(how))))
      end
      assert.equal("Human: r\nAI: r", said(all[how]))
    end
    for _, how in ipairs { "close", "fail", "cancel", "end", "collected" } do leave(how) end
  end)

  it("of one session wait for one another, and interleave where there are several", function()
    local all, get = sessions()
    local chain = talk("two", { default = { tokens = 3, gap = 2 } }, get)
    local out = mp.RunnableParallel({ a = chain, b = chain }):stream({ question = "q" }, config "s")
      :collect()
    assert.equal("tok0 tok1 tok2", (tostring(out.a):gsub("%s+$", "")))
    assert.equal(4, #all.s:messages())
    assert.same({ "human", "ai", "human", "ai" }, { all.s:messages()[1].type,
      all.s:messages()[2].type, all.s:messages()[3].type, all.s:messages()[4].type })
    assert.equal(1, server:stats().lanes.two.peak)
  end)

  it("that are open in the same task are named, instead of waiting for ever", function()
    local _, get = sessions()
    local chain = mp.RunnableWithMessageHistory(mp.FakeListChatModel { responses = { "ab" } }, get)
    helper.run(function()
      local stream = chain:stream("q", config "s")
      stream:next()
      local err = helper.failure(chain.invoke, chain, "r", config "s")
      assert.same({ "limit", "a stream of this conversation is open in the same task; read it to its "
        .. "end, or close it, before the next call" }, { err.kind, err.message })
      stream:close()
      assert.equal("ab", tostring(chain:invoke("r", config "s")))
    end)
  end)

  it("that are open behind a map are named too #concurrency", function()
    local _, get = sessions()
    local chain = mp.RunnableWithMessageHistory(mp.FakeListChatModel { responses = { "ab" } }, get)
    local again = mp.RunnableGenerator(function(chunks, emit)
      chunks()
      emit(chain:invoke("r", config "s"))
    end)
    local err = helper.failure(function() mp.pipe(chain, { b = again }):stream("q", config "s"):collect() end)
    assert.equal("limit", err.kind)
    local out = mp.pipe(chain, { a = mp.RunnablePassthrough(), b = again }):stream("q", config "s"):collect()
    assert.same({ "ab", "ab" }, { tostring(out.a), tostring(out.b) })
  end)

  it("say at their end that they were not stored", function()
    local broken = { messages = function() return {} end,
      add_messages = function() error("disk gone", 0) end }
    local chain = mp.RunnableWithMessageHistory(mp.FakeListChatModel { responses = { "ab" } },
      function() return broken end)
    local stream = chain:stream "q"
    assert.equal("a", tostring(stream:next()))
    assert.equal("b", tostring(stream:next()))
    local err = helper.failure(stream.next, stream)
    assert.same({ "io", "ab" }, { err.kind, tostring(err.partial) })
  end)

  it("take a stream of input whole, and may be empty", function()
    local all, get = sessions()
    local chain = mp.RunnableWithMessageHistory(
      mp.RunnableGenerator(function() end), get)
    local parts, i = { "a", "b" }, 0
    assert.is_nil(chain:transform(function()
      i = i + 1
      return parts[i]
    end, config "s"):collect())
    assert.equal("Human: ab", said(all.s))
  end)

  it("free the line where their task was cancelled before they had it #concurrency", function()
    local task, history = nil, { add_messages = function() end }
    function history.messages()
      if task then task:cancel() end
      return {}
    end
    local chain = mp.RunnableWithMessageHistory(mp.FakeListChatModel { responses = { "ab" } },
      function() return history end)
    task = mp.RunnableLambda(function() return chain:stream("q"):collect() end):start(1)
    local _, err = task:wait(10)
    assert.equal("cancelled", err.kind)
    task = nil
    assert.equal("ab", tostring(helper.run(function() return chain:stream("r"):collect() end)))
  end)

  it("ended at random moments leave turns whole and the line free #concurrency", function()
    local get = conversation.stored()
    local chain = talk("random", { default = { tokens = 3, gap = 1 } }, get)
    math.randomseed(7)
    for i = 1, helper.long and 200 or 25 do
      local ways = { chain.invoke, function(...) return chain.stream(...):collect() end }
      local tasks = {}
      for k = 1, 3 do
        tasks[k] = mp.RunnableLambda(function()
          return ways[(i + k) % 2 + 1](chain, { question = "q" }, config "s")
        end):start(1)
      end
      mp.sleep(math.random() * 0.01)
      tasks[math.random(3)]:cancel()
      for k = 1, 3 do tasks[k]:wait(20) end
    end
    local list = get("s"):messages()
    assert.is_true(#list > 0 and #list % 2 == 0)
    for k = 1, #list do assert.equal(k % 2 == 1 and "human" or "ai", list[k].type) end
    local deadline = native.c.now() + 10
    while scheduler.pending() > 0 and native.c.now() < deadline do mp.sleep(0.001) end
    local stats = server:wait(function(stats)
      local lane = stats.lanes.random
      return lane.requests == lane.completed + lane.aborted
    end)
    assert.equal(0, stats.lanes.random.broken)
  end)
end)
