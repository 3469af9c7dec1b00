local json = require "moonpipe.json"
local message = require "moonpipe.messages.message"
local mp = require "moonpipe"
local helper = require "spec.helper"

local said = helper.said
local failure = helper.input_failure

describe("a message", function()
  it("is made of a text", function()
    local m = mp.HumanMessage "hi"
    assert.equal("hi", m.content)
    assert.equal("human", m.type)
  end)

  it("is made of a table", function()
    local m = mp.AIMessage { content = "hi", name = "bot", id = "1" }
    assert.equal("bot", m.name)
    assert.equal("1", m.id)
  end)

  it("is made of a text and options", function()
    assert.equal("1", mp.ToolMessage("22", { tool_call_id = "1" }).tool_call_id)
  end)

  it("does not take over the table it is made of", function()
    local given = { content = "a" }
    mp.HumanMessage(given).content = "b"
    assert.equal("a", given.content)
  end)

  it("has the type of its class", function()
    local types = { SystemMessage = "system", HumanMessage = "human", AIMessage = "ai" }
    for name, kind in pairs(types) do
      assert.equal(kind, mp[name]("x").type)
      assert.equal("moonpipe.message." .. name, getmetatable(mp[name]("x")).__name)
    end
    assert.equal("tool", mp.ToolMessage({ content = "x", tool_call_id = "1" }).type)
    assert.equal("chat", mp.ChatMessage({ content = "x", role = "critic" }).type)
  end)

  it("prints its text, also joined to strings", function()
    local m = mp.HumanMessage "hi"
    assert.equal("hi", tostring(m))
    assert.equal("<hi>", "<" .. m .. ">")
    assert.equal("hihi", m .. m)
    assert.equal("hi5", m .. 5)
  end)

  it("joins the text of its blocks", function()
    local m = mp.HumanMessage { content = {
      "look: ", { type = "text", text = "a cat" }, { type = "image_url", image_url = "x" },
    } }
    assert.equal("look: a cat", m:text())
  end)

  it("takes a list of blocks for its content", function()
    assert.equal("ab", message.text(mp.HumanMessage { "a", "b" }))
    assert.equal("a", message.text(mp.HumanMessage(json.array({ "a" }))))
  end)

  it("has an empty text where it only calls tools", function()
    local m = mp.AIMessage { tool_calls = { { name = "f", args = { x = 1 }, id = "1" } } }
    assert.equal("", m.content)
    assert.equal("tool_call", m.tool_calls[1].type)
  end)

  it("has no tool calls until one is added", function()
    local m = mp.AIMessage "x"
    assert.same({}, m.tool_calls)
    table.insert(m.tool_calls, { name = "f" })
    assert.equal(1, #m.tool_calls)
  end)

  it("has no id of its own where a user made it", function()
    assert.is_nil(mp.AIMessage("x").id)
    assert.is_nil(mp.HumanMessage("x").id)
  end)

  it("has an id where a run made it, made when it is read", function()
    local m = message.answer({ content = "x" })
    assert.is_nil(rawget(m, "id"))
    local id = m.id
    assert.truthy(id:find("^run%-%x+%-%x%x%x%x%-4%x%x%x%-[89ab]%x%x%x%-%x+%-0$"), id)
    assert.equal(#"run-" + 36 + #"-0", #id)
    assert.equal(id, m.id)
    assert.not_equal(id, message.answer({ content = "x" }).id)
  end)

  it("is shown by inspect with its class", function()
    assert.equal('HumanMessage{ content = "hi" }', mp.inspect(mp.HumanMessage "hi"))
    assert.equal('AIMessage{ content = "hi" }', mp.inspect(message.answer({ content = "hi" })))
  end)

  it("refuses unknown options", function()
    assert.equal("unknown option 'contnt' of HumanMessage; allowed: content, name, id,"
      .. " additional_kwargs, response_metadata; did you mean 'content'?",
      said(mp.HumanMessage, { contnt = "x" }))
  end)

  it("refuses a content that is none", function()
    assert.equal("content of HumanMessage is the number 5; it must be a string or a list of content"
      .. " blocks", said(mp.HumanMessage, 5))
    assert.equal("content of AIMessage is a table with keys {a}; it must be a string or a list of"
      .. " content blocks", said(mp.AIMessage, { content = { a = 1 } }))
  end)

  it("names what it needs", function()
    assert.equal("HumanMessage needs content", said(mp.HumanMessage))
    assert.equal("ToolMessage needs tool_call_id", said(mp.ToolMessage, "x"))
    assert.equal("ChatMessage needs role", said(mp.ChatMessage, "x"))
  end)

  it("refuses options that are no table", function()
    assert.equal("HumanMessage takes a table of options, got a string",
      said(mp.HumanMessage, "a", "b"))
  end)

  it("has the calls that it was given as OpenAI's API has them", function()
    local function wire(id, arguments)
      return { id = id, type = "function", ["function"] = { name = "f", arguments = arguments } }
    end
    local m = mp.AIMessage { additional_kwargs = { tool_calls = { wire("1", '{"a":1}'), wire("2", "{a") } } }
    assert.same({ { name = "f", args = { a = 1 }, id = "1", type = "tool_call" } }, m.tool_calls)
    assert.same({ "2", "{a" }, { m.invalid_tool_calls[1].id, m.invalid_tool_calls[1].args })
    assert.equal("", m.content)
  end)
end)

describe("a message chunk", function()
  local Chunk = mp.AIMessageChunk

  it("adds text", function()
    local sum = Chunk "a" + Chunk "b"
    assert.equal("ab", sum.content)
    assert.equal("moonpipe.message.AIMessageChunk", getmetatable(sum).__name)
  end)

  it("needs no content", function()
    assert.equal("", Chunk({ usage_metadata = { input_tokens = 1 } }).content)
  end)

  it("writes to neither operand", function()
    local a, b = Chunk { content = "a", response_metadata = { x = 1 } }, Chunk "b"
    local _ = a + b
    assert.same({ content = "a", response_metadata = { x = 1 } }, a)
    assert.same({ content = "b" }, b)
  end)

  it("keeps fields that only one of them has", function()
    local sum = Chunk "a" + Chunk { content = "", usage_metadata = { input_tokens = 1 } }
    assert.same({ input_tokens = 1 }, sum.usage_metadata)
  end)

  it("takes the last metadata", function()
    local stop = { r = "stop" }
    local sum = Chunk { usage_metadata = { n = 1 }, response_metadata = stop }
      + Chunk { usage_metadata = { n = 2 }, response_metadata = stop }
    assert.same({ n = 2 }, sum.usage_metadata)
    assert.same({ r = "stop" }, sum.response_metadata)
  end)

  it("turns text and blocks into a list that begins with the text", function()
    local sum = Chunk "a" + Chunk { content = { { type = "text", text = "b" } } }
    assert.same({ "a", { type = "text", text = "b" } }, sum.content)
    assert.equal("ab", sum:text())
  end)

  it("drops an empty text beside blocks", function()
    assert.same({ { type = "text", text = "b" } },
      (Chunk "" + Chunk { content = { { type = "text", text = "b" } } }).content)
  end)

  it("merges blocks of one index", function()
    local sum = Chunk { content = { { type = "text", index = 0, text = "a" } } }
      + Chunk { content = { { type = "text", index = 0, text = "b" }, { index = 1, text = "c" } } }
    assert.same({ { type = "text", index = 0, text = "ab" }, { index = 1, text = "c" } },
      sum.content)
  end)

  it("shows tool calls growing", function()
    local first = { index = 0, id = "1", name = "f", args = '{"x": "he' }
    local a = Chunk { tool_call_chunks = { first } }
    local b = Chunk { tool_call_chunks = { { index = 0, args = 'llo"}' } } }
    assert.same({ x = "he" }, a.tool_calls[1].args)
    assert.same({ x = "hello" }, (a + b).tool_calls[1].args)
    assert.same({}, (a + b).invalid_tool_calls)
    assert.same({}, b.tool_calls[2] or {})
  end)

  it("prefers a provider's id to one of a run", function()
    local run, provider = Chunk { content = "", id = "run-1" }, Chunk { content = "", id = "p-1" }
    assert.equal("p-1", (run + provider).id)
    assert.equal("p-1", (provider + run).id)
    assert.equal("run-1", (run + Chunk { content = "", id = "run-2" }).id)
  end)

  it("leaves an id of a run unmade until it is read", function()
    local sum = message.first_chunk({ content = "a" }) + Chunk "b" + Chunk "c"
    assert.is_nil(rawget(sum, "id"))
    assert.truthy(sum.id:find("^run%-"))
    assert.equal("p", (message.first_chunk({ content = "a" }) + Chunk { id = "p" }).id)
  end)

  it("keeps the class of the left one", function()
    assert.equal("human", (mp.HumanMessageChunk "a" + Chunk "b").type)
  end)

  it("reports an error where any part has one", function()
    local T = mp.ToolMessageChunk
    assert.equal("error", (T { content = "a", tool_call_id = "1", status = "error" }
      + T { content = "b", status = "success" }).status)
  end)

  it("adds to nothing but chunks", function()
    assert.equal("chunks cannot be merged: an AIMessageChunk, then a string",
      failure(function() return Chunk "a" + "b" end))
    assert.equal("chunks cannot be merged: an AIMessageChunk, then an AIMessage",
      failure(function() return Chunk "a" + mp.AIMessage "b" end))
  end)

  it("becomes a whole message", function()
    local m = message.to_message(Chunk { tool_call_chunks = { { name = "f", args = '{"a":1}' } } })
    assert.equal("moonpipe.message.AIMessage", getmetatable(m).__name)
    assert.same({ a = 1 }, m.tool_calls[1].args)
    assert.is_nil(rawget(m, "tool_call_chunks"))
    assert.same({}, m.invalid_tool_calls)
  end)

  it("becomes a message with an invalid call where arguments are cut", function()
    local m = message.to_message(Chunk { tool_call_chunks = { { name = "f", args = '{"a":' } } })
    assert.same({}, m.tool_calls)
    assert.equal('{"a":', m.invalid_tool_calls[1].args)
  end)

  it("is made of a message, and keeps an unmade id", function()
    assert.equal("AIMessageChunk", tostring(message.class_of(message.to_chunk(mp.AIMessage "a"))))
    assert.truthy(message.to_chunk(message.answer({ content = "a" })).id:find("^run%-"))
    local one = Chunk "a"
    assert.equal(one, message.to_chunk(one))
    local whole = mp.AIMessage "a"
    assert.equal(whole, message.to_message(whole))
  end)
end)

describe("message.coerce", function()
  it("takes a message as it is", function()
    local m = mp.SystemMessage "x"
    assert.equal(m, message.coerce(m))
  end)

  it("makes a human message of a string", function()
    assert.equal('HumanMessage{ content = "x" }', mp.inspect(message.coerce "x"))
  end)

  it("knows the roles of the field", function()
    local roles = { human = "human", user = "human", ai = "ai", assistant = "ai" }
    for role, kind in pairs(roles) do
      assert.equal(kind, message.coerce({ role, "x" }).type, role)
      assert.equal(kind, message.coerce({ role = role, content = "x" }).type, role)
    end
  end)

  it("takes a class for a role", function()
    assert.equal("system", message.coerce({ mp.SystemMessage, "x" }).type)
  end)

  it("marks a developer's message", function()
    local m = message.coerce({ "developer", "x" })
    assert.equal("system", m.type)
    assert.same({ __openai_role__ = "developer" }, m.additional_kwargs)
  end)

  it("reads tool calls and results of other libraries", function()
    local call = { id = "1", ["function"] = { name = "f", arguments = '{"a":1}' } }
    local m = message.coerce({ role = "assistant", content = json.null, tool_calls = { call } })
    assert.equal("", m.content)
    assert.same({ a = 1 }, m.tool_calls[1].args)
    local result = message.coerce({ role = "tool", content = "2", tool_call_id = "1" })
    assert.equal("1", result.tool_call_id)
  end)

  local FORMS = "write a string, a message, {role, content} or { role = …, content = … }"

  it("says what it was given", function()
    assert.equal("the number 5 is not a message; " .. FORMS, failure(message.coerce, 5))
    assert.equal("nil is not a message; " .. FORMS, failure(message.coerce, nil))
    assert.equal("a table with keys {a} is not a message; " .. FORMS,
      failure(message.coerce, { a = 1 }))
    assert.equal("a Document is not a message; " .. FORMS, failure(message.coerce, mp.Document "x"))
  end)

  it("names an unknown role, and the near one", function()
    assert.equal("unknown role 'usr'; use one of 'human', 'user', 'ai', 'assistant', 'system',"
      .. " 'developer', 'tool'; did you mean 'user'?", failure(message.coerce, { "usr", "x" }))
    assert.equal("a role is a string, not the number 1", failure(message.coerce, { 1, "x" }))
  end)

  it("names what is wrong with a table", function()
    assert.equal("the content of a message is nil; it must be a string or a list of content blocks",
      failure(message.coerce, { role = "user" }))
    assert.equal("unknown key 'text' of a message; allowed: role, content, name, id,"
      .. " additional_kwargs, response_metadata",
      failure(message.coerce, { role = "user", content = "x", text = "y" }))
    assert.equal("a tool message needs tool_call_id", failure(message.coerce, { "tool", "x" }))
    assert.equal("a list of 3 is not a message; a pair is {role, content}",
      failure(message.coerce, { "user", "x", "y" }))
  end)
end)

describe("message.coerce_list", function()
  it("is mp.convert_to_messages", function()
    assert.equal(message.coerce_list, mp.convert_to_messages)
  end)

  it("takes a string, a message, a table and a prompt's value", function()
    local value = mp.ChatPromptTemplate.from_template("<{x}>"):invoke "a"
    local text = mp.PromptTemplate.from_template("<{x}>"):invoke "a"
    for _, input in ipairs({ "<a>", mp.HumanMessage "<a>", value, text,
      { role = "user", content = "<a>" } }) do
      local list = message.coerce_list(input)
      assert.equal(1, #list)
      assert.equal("<a>", list[1].content)
    end
  end)

  it("coerces each member of a list", function()
    local list = message.coerce_list({ "a", { "ai", "b" }, mp.SystemMessage "c" })
    assert.same({ "human", "ai", "system" }, { list[1].type, list[2].type, list[3].type })
  end)

  it("does not copy a list of messages", function()
    local list = { mp.HumanMessage "a" }
    assert.equal(list, message.coerce_list(list))
  end)

  it("does not write to its input", function()
    local list = { "a" }
    message.coerce_list(list)
    assert.same({ "a" }, list)
  end)

  it("names the member that is no message", function()
    assert.equal("message 2: the number 5 is not a message; write a string, a message,"
      .. " {role, content} or { role = …, content = … }", failure(message.coerce_list, { "a", 5 }))
  end)

  it("sees a pair where a list belongs", function()
    assert.equal('{"human", …} is one message, not a list of messages; write { {"human", …} }',
      failure(message.coerce_list, { "human", "hi" }))
  end)

  it("refuses other values", function()
    assert.equal("the number 5 is not a list of messages", failure(message.coerce_list, 5))
    assert.equal("a table with keys {a} is not a list of messages",
      failure(message.coerce_list, { a = 1 }))
    assert.equal("unknown role 'x'; use one of 'human', 'user', 'ai', 'assistant', 'system',"
      .. " 'developer', 'tool'", failure(message.coerce_list, { role = "x", content = "y" }))
  end)
end)

describe("get_buffer_string", function()
  it("writes a transcript", function()
    assert.equal("System: s\nHuman: h\nAI: a\nTool: t\ncritic: c", mp.get_buffer_string({
      { "system", "s" }, "h", { "ai", "a" }, mp.ToolMessage("t", { tool_call_id = "1" }),
      mp.ChatMessage("c", { role = "critic" }),
    }))
  end)

  it("takes other names for human and model", function()
    assert.equal("Me: h\nBot: a", mp.get_buffer_string({ "h", { "ai", "a" } }, "Me", "Bot"))
    local names = { human_prefix = "Me", ai_prefix = "Bot" }
    assert.equal("Me: h\nBot: a", mp.get_buffer_string({ "h", { "ai", "a" } }, names))
  end)
end)

describe("a message that is made wrongly", function()
  local function problem(fn)
    local ok, err = pcall(fn)
    assert.is_false(ok)
    return tostring(err)
  end

  it("says which block is none", function()
    assert.matches("message_spec.lua:%d+: content block 2 of HumanMessage is the number 5; ",
      problem(function() local _ = mp.HumanMessage { "a", 5 } end))
  end)

  it("says which tool call is none", function()
    assert.matches("tool call 1 of AIMessage is the number 5; write { name =, args =, id = }",
      problem(function() local _ = mp.AIMessage { content = "", tool_calls = { 5 } } end), 1, true)
    assert.matches("tool_calls of AIMessage is a string; it must be a list",
      problem(function() local _ = mp.AIMessage { content = "", tool_calls = "x" } end), 1, true)
  end)
end)
