local conversation = require "spec.support.conversation"
local helper = require "spec.helper"
local mp = require "moonpipe"
local sqlite = require "moonpipe.db"

local config, said, sessions = conversation.config, conversation.said, conversation.sessions
local new_path = conversation.new_path

-- Answers with how many messages it was given, and what they say.
local count = mp.RunnableLambda(function(list)
  local texts = {}
  for i, one in ipairs(list) do texts[i] = tostring(one) end
  return ("%d: %s"):format(#list, table.concat(texts, ","))
end)

local KEYS = { input_messages_key = "question", history_messages_key = "history" }

local prompt = mp.ChatPromptTemplate.from_messages {
  { "system", "rules" }, mp.MessagesPlaceholder "history", { "human", "{question}" },
}

describe("RunnableWithMessageHistory: invoke", function()
  it("puts the past under its key, and stores what was asked and answered", function()
    local all, get = sessions()
    local chain = mp.RunnableWithMessageHistory(prompt:pipe(count), get, KEYS)
    assert.equal("2: rules,a", chain:invoke({ question = "a" }, config "s"))
    assert.equal("4: rules,a,2: rules,a,b", chain:invoke({ question = "b" }, config "s"))
    assert.equal("2: rules,c", chain:invoke({ question = "c" }, config "t"))
    assert.equal("Human: a\nAI: 2: rules,a\nHuman: b\nAI: 4: rules,a,2: rules,a,b", said(all.s))
    assert.equal("Human: c\nAI: 2: rules,c", said(all.t))
  end)

  it("calls the functions of a history with the call's config as the running one", function()
    local seen = {}
    local function note(what) seen[#seen + 1] = what .. " " .. tostring(mp.current().metadata.who) end
    local history = {
      lock_key = function() note "lock" return 1 end,
      messages = function() note "read" return {} end,
      add_messages = function() note "add" end,
    }
    local chain = mp.RunnableWithMessageHistory(count, function() note "make" return history end)
    chain:invoke("a", { metadata = { who = "me" } })
    assert.same({ "make me", "lock me", "read me", "add me" }, seen)
    seen = {}
    chain:stream("a", { metadata = { who = "me" } }):collect()
    assert.same({ "make me", "lock me", "read me", "add me" }, seen)
    assert.is_nil(mp.current().metadata.who)
  end)

  it("puts the past before a message, a list or a text", function()
    local all, get = sessions()
    local chain = mp.RunnableWithMessageHistory(count, get)
    assert.equal("1: a", chain:invoke("a", config "s"))
    assert.equal("3: a,1: a,b", chain:invoke(mp.HumanMessage "b", config "s"))
    assert.equal("6: a,1: a,b,3: a,1: a,b,c,d",
      chain:invoke({ mp.SystemMessage "c", "d" }, config "s"))
    assert.equal("system human ai", ("%s %s %s"):format(all.s:messages()[5].type,
      all.s:messages()[6].type, all.s:messages()[7].type))
  end)

  it("puts the past into the user's key where there is no other", function()
    local all, get = sessions()
    local seen
    local chain = mp.RunnableWithMessageHistory(function(input)
      seen = input
      return mp.AIMessage(("%d %s"):format(#input.question, input.other))
    end, get, { input_messages_key = "question" })
    local input = { question = "a", other = "x" }
    assert.equal("1 x", tostring(chain:invoke(input, config "s")))
    assert.equal("3 x", tostring(chain:invoke(input, config "s")))
    assert.same({ question = "a", other = "x" }, input) -- the caller's is not written to
    assert.not_equal(input, seen)
    assert.equal(4, #all.s:messages())
  end)

  it("takes the only key, or input and output, where none is named", function()
    local all, get = sessions()
    local chain = mp.RunnableWithMessageHistory(function(list)
      return { answer = "a" .. #list }
    end, get)
    assert.same({ answer = "a1" }, chain:invoke({ anything = "q" }, config "s"))
    assert.same({ answer = "a3" }, chain:invoke({ input = "r", more = 1 }, config "s"))
    assert.equal("Human: q\nAI: a1\nHuman: r\nAI: a3", said(all.s))
    chain = mp.RunnableWithMessageHistory(function()
      return { output = { mp.AIMessage "x", "y" }, sources = {} }
    end, get)
    chain:invoke("q", config "t")
    assert.equal("Human: q\nAI: x\nAI: y", said(all.t))
    chain = mp.RunnableWithMessageHistory(function() return { said = "x", sources = {} } end, get,
      { output_messages_key = "said" })
    chain:invoke("q", config "u")
    assert.equal("Human: q\nAI: x", said(all.u))
    mp.RunnableWithMessageHistory(function() return nil end, get):invoke("q", config "v")
    assert.equal("Human: q", said(all.v))
  end)

  it("says which key of the config is missing", function()
    local _, get = sessions()
    local chain = mp.RunnableWithMessageHistory(count, get)
    local err = helper.failure(chain.invoke, chain, "q")
    assert.same({ "config", "'session_id' is missing in config.configurable; call it with "
      .. '{ configurable = { session_id = "…" } }' }, { err.kind, err.message })
    chain = mp.RunnableWithMessageHistory(count, get,
      { history_factory_config = { "user", mp.ConfigurableField { id = "talk" } } })
    err = helper.failure(chain.invoke, chain, "q")
    assert.equal("'user' and 'talk' is missing in config.configurable; call it with "
      .. '{ configurable = { user = "…", talk = "…" } }', err.message)
  end)

  it("takes a session of several keys, of none, or of its config", function()
    local seen = {}
    local history = mp.InMemoryChatMessageHistory()
    local function get(keys)
      seen[#seen + 1] = keys
      return history
    end
    local chain = mp.RunnableWithMessageHistory(count, get,
      { history_factory_config = { "user", "talk" } })
    chain:invoke("q", { configurable = { user = 1, talk = "x", other = true } })
    mp.RunnableWithMessageHistory(count, get, { history_factory_config = { "talk" } })
      :invoke("q", { configurable = { talk = "x" } })
    mp.RunnableWithMessageHistory(count, get):with_config(config "bound"):invoke "q"
    assert.same({ { user = 1, talk = "x" }, "x", "bound" }, seen)
    mp.RunnableWithMessageHistory(count, function() return history end):invoke "q"
    assert.equal(8, #history:messages())
  end)

  it("takes any history that gives and takes messages", function()
    local list = {}
    local own = {
      messages = function()
        mp.sleep(0.001)
        return list
      end,
      add_messages = function(_, more)
        for _, one in ipairs(more) do list[#list + 1] = one end
      end,
    }
    local chain = mp.RunnableWithMessageHistory(count, function() return own end)
    chain:batch({ "a", "b", "c" })
    assert.equal(6, #list)
    for i = 1, 6 do assert.equal(i % 2 == 1 and "human" or "ai", list[i].type) end
  end)

  it("names what is no history, no input and no answer", function()
    local _, get = sessions()
    local function failure(chain, input)
      return helper.failure(chain.invoke, chain, input, config "s")
    end
    local err = failure(mp.RunnableWithMessageHistory(count, function(id) return id end), "q")
    assert.same({ "config", "the history of the session is a string; it must be one, such as "
      .. "mp.InMemoryChatMessageHistory()" }, { err.kind, err.message })
    err = failure(mp.RunnableWithMessageHistory(count, get, KEYS), { other = 1 })
    assert.same({ "input", "the input has no 'question': it is a table with keys {other}; name the "
      .. "user's message with input_messages_key" }, { err.kind, err.message })
    err = failure(mp.RunnableWithMessageHistory(count, get, KEYS), "q")
    assert.equal("the input is a string; with input_messages_key it must be a table that has "
      .. "'question'", err.message)
    err = failure(mp.RunnableWithMessageHistory(count, get, { history_messages_key = "h" }), "q")
    assert.equal("the input is a string; with history_messages_key it must be a table to which 'h' "
      .. "is added", err.message)
    err = failure(mp.RunnableWithMessageHistory(count, get), 5)
    assert.equal("what the user says: the number 5 is not a list of messages", err.message)
    err = failure(mp.RunnableWithMessageHistory(function() error "no" end, get), "q")
    assert.equal("lua", err.kind)
  end)

  it("names a wrong use with the user's line", function()
    local function wrong(...) return helper.said(mp.RunnableWithMessageHistory, ...) end
    assert.equal("RunnableWithMessageHistory takes a function that gives the history of a session, "
      .. "got nil", wrong(count))
    assert.equal("history_messages_key takes a string, got the boolean true",
      wrong(count, print, { history_messages_key = true }))
    assert.equal("trim takes a table of limits or a function, got the number 5",
      wrong(count, print, { trim = 5 }))
    assert.equal("history_factory_config takes a list of ConfigurableFields, got a string",
      wrong(count, print, { history_factory_config = "user" }))
    helper.raises("nil is not a step", mp.RunnableWithMessageHistory, nil, print)
    assert.equal("the chain answers with {answer, context}, without 'output'; name the model's "
      .. "message with output_messages_key", wrong({ answer = count, context = count }, print))
    assert.equal("the chain answers with {answer}, without 'text'; name the model's message with "
      .. "output_messages_key", wrong({ answer = count }, print, { output_messages_key = "text" }))
    mp.RunnableWithMessageHistory({ answer = count }, print)
    mp.RunnableWithMessageHistory({ output = count, context = count }, print)
    mp.RunnableWithMessageHistory({ count, count }, print)
  end)

  it("gives the model the end of the past alone, and stores all of it", function()
    local all, get = sessions()
    get("s"):add_messages { mp.SystemMessage "sys", "h1", mp.AIMessage "a1", "h2",
      mp.ToolMessage { content = "t", tool_call_id = "1" }, mp.AIMessage "a2" }
    local chain = mp.RunnableWithMessageHistory(count, get, { trim = { max_messages = 3 } })
    assert.equal("3: sys,a2,q", chain:invoke("q", config "s"))
    assert.equal(8, #all.s:messages())
    chain = mp.RunnableWithMessageHistory(count, get,
      { trim = function(list) return { list[#list] } end })
    assert.equal("2: 3: sys,a2,q,r", chain:invoke("r", config "s"))
  end)

  it("knows the history's key when it is composed, and bears names", function()
    local _, get = sessions()
    local inner = prompt:pipe(count)
    local chain = mp.RunnableWithMessageHistory(inner, get, KEYS)
    mp.pipe({ question = mp.RunnablePassthrough() }, chain)
    helper.raises("misses {question}", mp.pipe, { other = mp.RunnablePassthrough() }, chain)
    assert.equal(("RunnableWithMessageHistory(%s)"):format(tostring(inner)), tostring(chain))
    assert.same({ "question" }, { unpack(chain:input_schema().required) })
    assert.is_nil(chain:input_schema().properties.history)
    assert.same({}, mp.RunnableWithMessageHistory(count, get):input_schema())
    helper.raises("what was asked is stored whole", error, tostring(chain:explain_stream()))
    local err = helper.failure(chain.invoke, mp.pipe(chain, count), { question = "q" })
    assert.equal("step 1 of 2 RunnableWithMessageHistory", err.path)
  end)
end)

describe("RunnableWithMessageHistory: turns", function()
  after_each(conversation.remove)

  -- A chain that notes who runs beside whom; each waits for as many as `together`.
  local function watched(get, together)
    local seen = { running = 0, peak = 0, order = {} }
    seen.chain = mp.RunnableWithMessageHistory(function(list)
      seen.running = seen.running + 1
      seen.peak = math.max(seen.peak, seen.running)
      seen.order[#seen.order + 1] = tostring(list[#list])
      mp.sleep(0.002)
      while together and seen.peak < together do mp.sleep(0.001) end
      seen.running = seen.running - 1
      return tostring(#list)
    end, get)
    return seen
  end

  it("run one after the other in one session, beside one another in others #concurrency", function()
    local path = new_path()
    local all, in_memory = sessions()
    for _, get in ipairs {
      in_memory, function(id) return mp.SQLiteChatMessageHistory(id, { path = path }) end,
    } do
      local seen = watched(get)
      assert.same({ "1", "3", "5", "7", n = 4 }, seen.chain:batch({ "a", "b", "c", "d" },
        config "s"))
      assert.same({ "a", "b", "c", "d", 1 }, { seen.order[1], seen.order[2], seen.order[3],
        seen.order[4], seen.peak })
      assert.equal("Human: a\nAI: 1\nHuman: b\nAI: 3\nHuman: c\nAI: 5\nHuman: d\nAI: 7",
        said(get "s"))
      seen = watched(get, 4)
      local map = {}
      for i = 1, 4 do map[i] = seen.chain:with_config(config("session " .. i)) end
      mp.RunnableParallel(map):invoke("x", { timeout = 20 })
      assert.equal(4, seen.peak)
    end
    assert.equal(2, #all["session 1"]:messages())
  end)

  it("leave the line when they are cancelled while they wait", function()
    local all, get = sessions()
    local seen = watched(get)
    local first = seen.chain:start("a", config "s")
    local second = seen.chain:start("b", config "s")
    local third = seen.chain:start("c", config "s")
    mp.update()
    second:cancel()
    assert.equal("cancelled", select(2, second:wait()).kind)
    assert.equal("1", first:wait())
    assert.equal("3", third:wait())
    assert.equal("Human: a\nAI: 1\nHuman: c\nAI: 3", said(all.s))
    local timed = seen.chain:start("x", config "s")
    mp.update()
    local err = helper.failure(seen.chain.invoke, seen.chain, "y",
      { timeout = 0.0005, configurable = { session_id = "s" } })
    assert.equal("timeout_total", err.kind)
    timed:wait()
    assert.equal(6, #all.s:messages())
  end)

  it("leave nothing behind where they fail, and let the next one go on", function()
    local all, get = sessions()
    local chain = mp.RunnableWithMessageHistory(function(list)
      if tostring(list[#list]) == "bad" then error("no answer", 0) end
      return "fine"
    end, get)
    local out = chain:batch({ "a", "bad", "b" }, { return_exceptions = true,
      configurable = { session_id = "s" } })
    assert.same({ "fine", "fine" }, { out[1], out[3] })
    assert.equal("no answer", out[2].message)
    assert.equal("Human: a\nAI: fine\nHuman: b\nAI: fine", said(all.s))
  end)

  it("do not wait for the one around them", function()
    local all, get = sessions()
    local inner = mp.RunnableWithMessageHistory(function(list) return "inner " .. #list end, get)
    local outer = mp.RunnableWithMessageHistory(mp.pipe(
      function() return "sub" end, { a = inner, b = inner }, mp.itemgetter "a"), get)
    local out = outer:start("q", config "s"):wait(5)
    assert.equal("inner 1", out)
    assert.equal("Human: sub\nAI: inner 1\nHuman: sub\nAI: inner 3\nHuman: q\nAI: inner 1",
      said(all.s))
  end)

  it("wait again where they were started in one that has ended", function()
    local all, get = sessions()
    local late, seen = nil, watched(get)
    local outer = mp.RunnableWithMessageHistory(function()
      late = mp.RunnableLambda(function()
        mp.sleep(0.003) -- the turn around is over
        return seen.chain:invoke("late", config "s")
      end):start(1)
      return "begun"
    end, get)
    mp.RunnableLambda(function()
      outer:invoke("q", config "s")
      return seen.chain:batch({ "a", "b", "c" }, config "s")
    end):invoke(1)
    assert.is_not_nil(late:wait(5))
    assert.equal(1, seen.peak)
    assert.equal(10, #all.s:messages())
  end)

  it("do not begin where the past cannot be read", function()
    local path, asked = new_path(), 0
    helper.write(path, ("junk"):rep(2000))
    local chain = mp.RunnableWithMessageHistory(function()
      asked = asked + 1
      return "x"
    end, function(id) return mp.SQLiteChatMessageHistory(id, { path = path }) end)
    for _ = 1, 2 do
      local err = helper.failure(chain.invoke, chain, "q", config "s")
      assert.same({ "io", 0 }, { err.kind, asked })
      assert.is_nil(err.partial)
    end
    os.remove(path)
    assert.equal("x", chain:invoke("q", config "s"))
  end)

  it("of two processes are all there, each whole", function()
    local path = new_path()
    local script = helper.temp([[
      local mp = require "moonpipe"
      local path, name = ...
      local chain = mp.RunnableWithMessageHistory(function() return "to " .. name end, function(id)
        return mp.SQLiteChatMessageHistory(id, { path = path })
      end)
      for _ = 1, 10 do
        chain:invoke("from " .. name, { configurable = { session_id = "s" } })
      end]])
    os.execute(("for i in 1 2; do '%s' run %s %s $i & done; wait"):format(helper.bin, script, path))
    local list = mp.SQLiteChatMessageHistory("s", { path = path }):messages()
    assert.equal(40, #list)
    for i = 1, 40, 2 do
      assert.equal(tostring(list[i]):match "%d", tostring(list[i + 1]):match "%d")
    end
  end)

  it("say that the answer was got where they cannot be stored", function()
    local path = new_path()
    local chain = mp.RunnableWithMessageHistory(function() return "paid for" end, function(id)
      return mp.SQLiteChatMessageHistory(id, { path = path })
    end)
    chain:invoke("a", config "s")
    local handle = sqlite.open(path) -- the connection is shared
    handle:run "PRAGMA query_only = 1"
    local err = helper.failure(chain.invoke, chain, "q", config "s")
    assert.same({ "io", "paid for", false }, { err.kind, err.partial, err.retryable })
    local begins = "the answer was got (it is the error's `partial`), but the turn was not stored: '"
      .. path .. "': "
    assert.equal(begins, err.message:sub(1, #begins))
    chain:invoke("b", config "s") -- by a new connection
    assert.equal("Human: a\nAI: paid for\nHuman: b\nAI: paid for",
      said(mp.SQLiteChatMessageHistory("s", { path = path })))
    handle:close()
  end)

  it("say so too of a history of the user's, and of an answer that is no message", function()
    local _, get = sessions()
    local broken = { messages = function() return {} end,
      add_messages = function() error({ "odd" }, 0) end }
    local asked = 0
    local chain = mp.RunnableWithMessageHistory(function()
      asked = asked + 1
      return "answer"
    end, function() return broken end)
    local err = helper.failure(chain.invoke, chain, "q")
    assert.same({ "io", "answer" }, { err.kind, err.partial })
    assert.same({ "odd" }, err.cause)
    chain:with_retry({ wait_exponential_jitter = false }):try_invoke("q")
    assert.equal(2, asked) -- it is not asked, and paid for, again
    chain = mp.RunnableWithMessageHistory(function() return { a = 1, b = 2 } end, get)
    err = helper.failure(chain.invoke, chain, "q", config "s")
    assert.equal("input", err.kind)
    assert.same({ a = 1, b = 2 }, err.partial)
    helper.raises("the answer has no 'output': it is a table with keys {a, b}; name the model's "
      .. "message with output_messages_key", error, err)
  end)
end)
