local codec = require "moonpipe.histories.codec"
local conversation = require "spec.support.conversation"
local helper = require "spec.helper"
local json = require "moonpipe.json"
local mp = require "moonpipe"
local sqlite = require "moonpipe.db"

local new_path = conversation.new_path

-- What can be seen of a message: its class and all its fields.
local function seen(one)
  local fields = {}
  for key, value in pairs(one) do fields[key] = value end
  return { class = one.type, fields = fields, id = one.id, text = tostring(one) }
end

local function all_seen(list)
  local out = {}
  for i, one in ipairs(list) do out[i] = seen(one) end
  return out
end

local function full_messages()
  return {
    mp.SystemMessage("be brief", { name = "rules" }),
    mp.HumanMessage { content = {
      { type = "text", text = "what is this? ü \0 \"" },
      { type = "image_url", image_url = { url = "data:image/png;base64,AAAA", detail = "low" } },
    }, id = "h1", additional_kwargs = { nested = { list = { 1, 2.5, "three" }, yes = true } } },
    mp.AIMessage { content = "", id = "a1",
      tool_calls = { { name = "add", args = { a = 1, b = { 2, 3 } }, id = "call-1" },
        { name = "now", args = {}, id = "call-2" } },
      invalid_tool_calls = { { name = "bad", args = "{", id = "call-3", error = "cut",
        type = "invalid_tool_call" } },
      usage_metadata = { input_tokens = 3, output_tokens = 4, total_tokens = 7 },
      response_metadata = { model_name = "m", finish_reason = "tool_calls", none = json.null } },
    mp.ToolMessage { content = "3", tool_call_id = "call-1", status = "success",
      artifact = { rows = { { 1 }, { 2 } } } },
    mp.AIMessage "three",
    mp.ChatMessage("so", { role = "critic" }),
    mp.HumanMessage "",
  }
end

-- Facts that hold for every kind of history; make(session) gives one.
local function behaves(name, make)
  describe(name, function()
    it("is empty, then has what was added, in its order", function()
      local history = make "s"
      assert.same({}, history:messages())
      history:add_messages { mp.HumanMessage "a", mp.AIMessage "b" }
      history:add_user_message "c"
      history:add_ai_message "d"
      assert.equal("Human: a\nAI: b\nHuman: c\nAI: d", mp.get_buffer_string(history:messages()))
    end)

    it("takes whatever people write for messages", function()
      local history = make "s"
      history:add_messages { "a", { "ai", "b" }, { role = "system", content = "c" } }
      history:add_user_message(mp.HumanMessage("d", { name = "me" }))
      history:add_ai_message(mp.AIMessage "e")
      history:add_message "f"
      history:add_messages {}
      assert.equal("Human: a\nAI: b\nSystem: c\nHuman: d\nAI: e\nHuman: f",
        mp.get_buffer_string(history:messages()))
      assert.equal("me", history:messages()[4].name)
    end)

    it("keeps every field of every message", function()
      local history = make "s"
      history:add_messages(full_messages())
      assert.same(all_seen(full_messages()), all_seen(history:messages()))
    end)

    it("keeps chunks as whole messages, and the id that an answer has", function()
      local history = make "s"
      local merged = mp.AIMessageChunk { content = "hel", id = "c1" } + mp.AIMessageChunk "lo"
      local answer = mp.FakeListChatModel({ responses = { "x" } }):invoke "q"
      history:add_messages { merged, answer }
      local list = history:messages()
      assert.equal("AIMessage hello c1", ("%s %s %s"):format(
        tostring(getmetatable(list[1]).__name):match "[^.]+$", tostring(list[1]), list[1].id))
      assert.equal(answer.id, list[2].id)
      assert.equal(list[2].id, history:messages()[2].id)
    end)

    it("forgets on clear, and goes on", function()
      local history = make "s"
      history:add_user_message "a"
      history:clear()
      assert.same({}, history:messages())
      history:add_user_message "b"
      assert.equal(1, #history:messages())
    end)

    it("gives a list of the caller's own", function()
      local history = make "s"
      history:add_user_message "a"
      table.insert(history:messages(), "mine")
      assert.equal(1, #history:messages())
    end)

    it("may be long", function()
      local history, list = make "s", {}
      for i = 1, 20000 do list[i] = "message " .. i end
      history:add_messages(list)
      local found = history:messages()
      assert.same({ 20000, "message 20000" }, { #found, tostring(found[20000]) })
    end)

    it("adds nothing where one is no message", function()
      local history = make "s"
      local err = helper.failure(history.add_messages, history, { "a", 5 })
      assert.equal("input", err.kind)
      assert.equal(0, #history:messages())
    end)
  end)
end

describe("history", function()
  after_each(conversation.remove)

  behaves("InMemoryChatMessageHistory", function() return mp.InMemoryChatMessageHistory() end)

  behaves("SQLiteChatMessageHistory", function(session)
    return mp.SQLiteChatMessageHistory(session, { path = new_path() })
  end)

  it("begins with the messages that it is given", function()
    local history = mp.InMemoryChatMessageHistory { messages = { "a", mp.AIMessage "b" } }
    assert.equal("Human: a\nAI: b", mp.get_buffer_string(history:messages()))
  end)

  it("names a wrong use with the user's line", function()
    assert.equal("unknown option 'path' of InMemoryChatMessageHistory; allowed: messages",
      helper.said(mp.InMemoryChatMessageHistory, { path = "x" }))
    assert.equal("SQLiteChatMessageHistory takes a session id, got nil",
      helper.said(mp.SQLiteChatMessageHistory))
    assert.equal("SQLiteChatMessageHistory takes a session id, got an empty one",
      helper.said(mp.SQLiteChatMessageHistory, "", { path = "x" }))
    assert.equal('SQLiteChatMessageHistory needs the path of a file: { path = "history.db" }',
      helper.said(mp.SQLiteChatMessageHistory, "s"))
    assert.equal("SQLiteChatMessageHistory 's 1'",
      tostring(mp.SQLiteChatMessageHistory("s 1", { path = "x" })))
    assert.equal("12", mp.SQLiteChatMessageHistory(12, { path = "x" }).session_id)
  end)
end)

describe("history_sqlite", function()
  after_each(conversation.remove)

  it("keeps sessions apart, and finds them again", function()
    local path = new_path()
    local function session(id) return mp.SQLiteChatMessageHistory(id, { path = path }) end
    session("a"):add_user_message "for a"
    session("b' OR 1=1 --"):add_user_message "for b"
    assert.equal("Human: for a", mp.get_buffer_string(session("a"):messages()))
    assert.equal("Human: for b", mp.get_buffer_string(session("b' OR 1=1 --"):messages()))
    session("a"):clear()
    assert.equal(0, #session("a"):messages())
    assert.equal(1, #session("b' OR 1=1 --"):messages())
  end)

  it("lists its sessions, and forgets the end of one", function()
    local path = new_path()
    local a = mp.SQLiteChatMessageHistory("a", { path = path })
    a:add_messages { "one", "two", "three" }
    mp.SQLiteChatMessageHistory("b", { path = path }):add_user_message "for b"
    a:remove_last(2)
    assert.equal("Human: one", mp.get_buffer_string(a:messages()))
    local list = mp.SQLiteChatMessageHistory.sessions { path = path }
    assert.same({ "a", 1, "b", 1 }, { list[1].session_id, list[1].messages, list[2].session_id,
      list[2].messages })
    assert.truthy(list[1].last:find "^%d%d%d%d%-%d%d%-%d%d %d%d:%d%d:%d%d$")
  end)

  it("is there for the next process", function()
    local path = new_path()
    mp.SQLiteChatMessageHistory("s", { path = path }):add_user_message "from here"
    local stdout, stderr = helper.script([[
      local mp = require "moonpipe"
      local history = mp.SQLiteChatMessageHistory("s", { path = ... })
      print(mp.get_buffer_string(history:messages()))
      history:add_ai_message "from there"]], path)
    assert.equal("", stderr)
    assert.equal("Human: from here\n", stdout)
    assert.equal("Human: from here\nAI: from there", mp.get_buffer_string(
      mp.SQLiteChatMessageHistory("s", { path = path }):messages()))
  end)

  it("loses no turn of two processes that talk in one session, and mixes none #concurrency", function()
    local path, turns = new_path(), 40
    local script = helper.temp [[
      local mp = require "moonpipe"
      local path, name, turns = ...
      local chain = mp.RunnableWithMessageHistory(
        function(list) return "answer to " .. tostring(list[#list]) end,
        function(id) return mp.SQLiteChatMessageHistory(id, { path = path, synchronous = "normal" }) end)
      local texts = {}
      for i = 1, tonumber(turns) do texts[i] = name .. i end
      chain:batch(texts, { configurable = { session_id = "s" } })]]
    local command = '"$1" run "$2" "$3" a "$4" & "$1" run "$2" "$3" b "$4" || exit; wait $!'
    local _, stderr, code = helper.execute { "bash", "-c", command, "bash", helper.bin, script, path, turns }
    assert.same({ "", 0 }, { stderr, code })
    local list, asked = mp.SQLiteChatMessageHistory("s", { path = path }):messages(), {}
    assert.equal(4 * turns, #list)
    for i = 1, #list, 2 do
      assert.equal("answer to " .. tostring(list[i]), tostring(list[i + 1]))
      asked[tostring(list[i])] = true
    end
    for i = 1, turns do assert.is_true(asked["a" .. i] and asked["b" .. i], i) end
  end)

  it("stores all of a list or none", function()
    local history = mp.SQLiteChatMessageHistory("s", { path = new_path() })
    local err = helper.failure(history.add_messages, history, { "a",
      mp.ToolMessage { content = "x", tool_call_id = "1", artifact = print } })
    assert.equal("input", err.kind)
    assert.equal(0, #history:messages())
  end)

  it("refuses a file of something else, a damaged one, and a message that is none", function()
    local path = new_path()
    local other = sqlite.open(path, { application_id = 7, schema = { "CREATE TABLE t (a)" } })
    local history = mp.SQLiteChatMessageHistory("s", { path = path })
    assert.equal("io", helper.failure(history.messages, history).kind)
    other:close()
    path = new_path()
    helper.write(path, ("junk"):rep(2000))
    history = mp.SQLiteChatMessageHistory("s", { path = path })
    local err = helper.failure(history.messages, history)
    assert.same({ "io", ("'%s': file is not a database"):format(path) }, { err.kind, err.message })
    path = new_path()
    history = mp.SQLiteChatMessageHistory("s", { path = path })
    history:add_user_message "a"
    for i, text in ipairs { "{", "5", '{"type":"x","data":{}}', '{"type":"ai","data":{}}' } do
      sqlite.open(path):run("UPDATE message_store SET message = ?", text)
      err = helper.failure(history.messages, history)
      assert.equal("decode", err.kind)
      local where = ("message 1 of session 's' in '%s' cannot be read: "):format(path)
      assert.equal(where, err.message:sub(1, #where))
      if i > 1 then assert.equal("it is no message", err.message:sub(#where + 1)) end
    end
  end)

  it("reads what LangChain stores", function()
    local text = '{"type": "human", "data": {"content": "hi", "additional_kwargs": {}, '
      .. '"response_metadata": {}, "type": "human", "name": null, "id": null}}'
    local one = codec.decode(text, "it")
    assert.equal("hi", tostring(one))
    assert.is_nil(one.name)
    assert.is_nil(one.id)
    assert.equal("human", one.type)
  end)
end)

describe("trim_messages", function()
  local function text(list)
    local out = {}
    for i, one in ipairs(list) do out[i] = tostring(one) end
    return table.concat(out, " ")
  end

  local talk = {
    mp.SystemMessage "sys", mp.HumanMessage "h1", mp.AIMessage "a1", mp.HumanMessage "h2",
    mp.AIMessage { content = "call", tool_calls = { { name = "f", args = { x = 1 }, id = "1" } } },
    mp.ToolMessage { content = "tool", tool_call_id = "1" }, mp.AIMessage "a2", mp.HumanMessage "h3",
  }

  it("keeps the end, and the system message at the beginning", function()
    assert.equal("sys a2 h3", text(mp.trim_messages(talk, { max_messages = 3 })))
    assert.equal("sys h3", text(mp.trim_messages(talk, { max_messages = 2 })))
    assert.equal("sys", text(mp.trim_messages(talk, { max_messages = 1 })))
    assert.equal(8, #mp.trim_messages(talk, { max_messages = 8 }))
    assert.equal("a2 h3", text(mp.trim_messages(talk, { max_messages = 2, include_system = false })))
    assert.same({}, mp.trim_messages({}, { max_messages = 2 }))
  end)

  it("never begins with the answer of a tool", function()
    assert.equal("sys a2 h3", text(mp.trim_messages(talk, { max_messages = 4 })))
    assert.equal("sys call tool a2 h3", text(mp.trim_messages(talk, { max_messages = 5 })))
  end)

  it("begins where it is told", function()
    assert.equal("sys h3", text(mp.trim_messages(talk, { max_messages = 5, start_on = "human" })))
    assert.equal("sys h2 call tool a2 h3",
      text(mp.trim_messages(talk, { max_messages = 7, start_on = "user" })))
  end)

  it("counts tokens, its own way or the user's", function()
    local one = function() return 1 end
    assert.equal("sys a2 h3",
      text(mp.trim_messages(talk, { max_tokens = 3, token_counter = one })))
    assert.equal("sys a2 h3",
      text(mp.trim_messages(talk, { max_tokens = 9, max_messages = 3, token_counter = one })))
    assert.equal("sys h3", text(mp.trim_messages(talk, { max_tokens = 11 })))
    assert.equal("sys h3",
      text(mp.trim_messages(talk, { max_tokens = 11, token_counter = "approximate" })))
    local long = { mp.HumanMessage(("x"):rep(4000)), mp.HumanMessage "short" }
    assert.equal("short", text(mp.trim_messages(long, { max_tokens = 500 })))
  end)

  it("ends where it is told, before it looks for what fits", function()
    local function cut(opts) return text(mp.trim_messages(talk, opts)) end
    assert.equal("sys call tool a2", cut { max_messages = 4, end_on = "ai" })
    assert.equal("sys h2 call tool", cut { max_messages = 4, end_on = "tool", start_on = { "human", "ai" } })
    assert.equal("sys", cut { max_messages = 4, end_on = "system" })
  end)

  it("keeps the beginning with strategy first", function()
    local function cut(opts)
      opts.strategy = "first"
      return text(mp.trim_messages(talk, opts))
    end
    assert.equal("sys h1 a1", cut { max_messages = 3 })
    assert.equal("sys h1", cut { max_messages = 3, end_on = "human" })
    assert.equal("sys h1 a1 h2 call tool a2 h3", cut { max_messages = 8 })
    assert.equal("", cut { max_tokens = 1 })
    assert.equal("sys h1", cut { max_tokens = 12 })
  end)

  it("never ends with a call whose answers were cut off", function()
    local function cut(count) return text(mp.trim_messages(talk, { max_messages = count, strategy = "first" })) end
    assert.equal("sys h1 a1 h2", cut(5))
    assert.equal("sys h1 a1 h2 call tool", cut(6))
    local two = { mp.HumanMessage "h", mp.AIMessage { content = "calls", tool_calls = {
      { name = "f", args = {}, id = "1" }, { name = "f", args = {}, id = "2" } } },
      mp.ToolMessage { content = "t1", tool_call_id = "1" }, mp.ToolMessage { content = "t2", tool_call_id = "2" } }
    assert.equal("h", text(mp.trim_messages(two, { max_messages = 3, strategy = "first" })))
    assert.equal("h calls t1 t2", text(mp.trim_messages(two, { max_messages = 4, strategy = "first" })))
  end)

  it("cuts a message into what fits of it", function()
    local function words(one)
      local _, count = one.content:gsub("%a+", "")
      return count
    end
    local list = { mp.HumanMessage("one two\nthree\nfour five\n", { id = "x" }), mp.AIMessage "six" }
    local function cut(opts)
      opts.allow_partial, opts.token_counter = true, words
      return mp.trim_messages(list, opts)
    end
    assert.equal("three\nfour five\n six", text(cut { max_tokens = 4 }))
    assert.equal("one two\nthree\n", text(cut { max_tokens = 4, strategy = "first" }))
    assert.equal("six", text(cut { max_tokens = 2 }))
    assert.same({ "x", "human" }, { cut({ max_tokens = 4 })[1].id, cut({ max_tokens = 4 })[1].type })
    assert.equal("five\n six", text(cut { max_tokens = 2, text_splitter = function(given)
      local parts = {}
      for word in given:gmatch "%a+%s*" do parts[#parts + 1] = word end
      return parts
    end }))
    assert.equal("one two\nthree\nfour five\n", list[1].content)
    local blocks = { mp.HumanMessage { content = { { type = "text", text = "a" }, { type = "text", text = "b" } } } }
    local kept = mp.trim_messages(blocks, { max_tokens = 1, allow_partial = true,
      token_counter = function(one) return #one.content end })
    assert.same({ { type = "text", text = "b" } }, kept[1].content)
  end)

  it("is a step where it is given options alone", function()
    local step = mp.trim_messages { max_messages = 2 }
    assert.equal("sys h3", text(step:invoke(talk)))
    local prompt = mp.ChatPromptTemplate.from_messages {
      mp.MessagesPlaceholder "talk", { "human", "{q}" },
    }
    assert.equal("sys q", text(mp.pipe(prompt, step):invoke { talk = talk, q = "q" }))
    assert.equal("trim_messages", step:get_name())
    helper.raises("must be a whole number from 1", mp.trim_messages, { max_messages = 0 })
  end)

  it("names a wrong option", function()
    local function said(opts) return helper.said(mp.trim_messages, talk, opts) end
    assert.equal("trim needs max_messages or max_tokens", said {})
    assert.equal("max_tokens of trim is the number 0; it must be a whole number from 1",
      said { max_tokens = 0 })
    assert.equal("start_on of trim is 'robot'; it must be a role, such as 'human'",
      said { max_messages = 1, start_on = "robot" })
    assert.equal("token_counter of trim takes a function of a message or 'approximate', got the number 1",
      said { max_tokens = 1, token_counter = 1 })
    assert.equal("unknown option 'max' of trim; allowed: allow_partial, end_on, include_system, max_messages, "
      .. "max_tokens, start_on, strategy, text_splitter, token_counter", said { max = 1 })
    assert.equal("strategy of trim is 'middle'; it must be 'last' or 'first'",
      said { max_messages = 1, strategy = "middle" })
    assert.equal("start_on of trim goes with strategy 'last'",
      said { max_messages = 1, strategy = "first", start_on = "human" })
    assert.equal("end_on of trim is the number 5; it must be a role, such as 'human'",
      said { max_messages = 1, end_on = { "human", 5 } })
  end)
end)
