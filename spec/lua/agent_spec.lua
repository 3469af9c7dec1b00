local cjson = require "cjson"
local helper = require "spec.helper"
local log = require "moonpipe.log"
local mp = require "moonpipe"
local server = require("spec.support.server").use()

local SCHEMA = { type = "object", properties = { x = { type = "string" } }, required = { "x" } }

local function tool(name, fn)
  return mp.tool { name = name, description = "d", schema = SCHEMA, fn = fn }
end

local shout = tool("shout", function(args) return args.x:upper() end)

local function call(name, args, id)
  return { name = name, args = args, id = id, type = "tool_call" }
end

local function calls(...)
  return mp.AIMessage { tool_calls = { ... } }
end

local function says(...)
  return mp.GenericFakeChatModel { messages = { ... } }
end

local function agent(messages, opts)
  opts = opts or {}
  opts.model = opts.model or says(unpack(messages))
  opts.tools = opts.tools or { shout }
  return mp.create_agent(opts)
end

-- A conversation in short.
local function said(state)
  local out = {}
  for i, message in ipairs(state.messages) do out[i] = message.type .. " " .. message.content end
  return out
end

describe("create_agent", function()
  it("asks the model until it calls no tool", function()
    local state = agent({ calls(call("shout", { x = "a" }, "1")), "done" }):invoke "hi"
    assert.same({ "human hi", "ai ", "tool A", "ai done" }, said(state))
    assert.equal("done", state.output.content)
    assert.equal("1", state.messages[3].tool_call_id)
    assert.equal(4, state.messages.n)
  end)

  it("takes messages, and goes on with those that it gave", function()
    local two = agent { "first", "second" }
    local state = two:invoke { messages = { mp.HumanMessage "a" } }
    state.messages[#state.messages + 1] = mp.HumanMessage "b"
    assert.same({ "human a", "ai first", "human b", "ai second" }, said(two:invoke(state)))
    assert.same({ "human x", "ai y" }, said(agent { "y" }:invoke { { "human", "x" } }))
  end)

  it("begins each prompt with its system prompt, which is none of the messages", function()
    local prompts = {}
    local model = mp.RunnableLambda(function(messages, _)
      prompts[#prompts + 1] = mp.get_buffer_string(messages)
      return #prompts == 1 and calls(call("shout", { x = "a" }, "1")) or mp.AIMessage "done"
    end)
    local state = agent(nil, { model = model, system_prompt = "be brief" }):invoke "hi"
    assert.same({ "System: be brief\nHuman: hi", "System: be brief\nHuman: hi\nAI: \nTool: A" }, prompts)
    assert.same({ "human hi", "ai ", "tool A", "ai done" }, said(state))
  end)

  it("runs the calls of one round at the same time, and keeps their order #concurrency", function()
    local running, most = 0, 0
    local wait = tool("wait", function(args)
      running = running + 1
      most = math.max(most, running)
      mp.sleep(args.x == "a" and 0.02 or 0.001)
      running = running - 1
      return args.x
    end)
    local state = agent({ calls(call("wait", { x = "a" }, "1"), call("wait", { x = "b" }, "2"), call("wait",
      { x = "c" }, "3")), "ok" },
      { tools = { wait } }):invoke "go"
    assert.same({ "human go", "ai ", "tool a", "tool b", "tool c", "ai ok" }, said(state))
    assert.equal(3, most)
  end)

  it("gives calls an id where the model gave none", function()
    local state = agent({ calls(call("shout", { x = "a" }), call("shout", { x = "b" })), "ok" }):invoke "go"
    local asked = state.messages[2].tool_calls
    assert.same({ asked[1].id, asked[2].id }, { state.messages[3].tool_call_id, state.messages[4].tool_call_id })
    assert.not_equal(asked[1].id, asked[2].id)
  end)

  it("sums what all answers took", function()
    local function used(message, n)
      message.usage_metadata = { input_tokens = n, output_tokens = 1, total_tokens = n + 1,
        input_token_details = { cache_read = n } }
      return message
    end
    local state = agent({ used(calls(call("shout", { x = "a" }, "1")), 5), used(mp.AIMessage "ok", 7) }):invoke "go"
    assert.same({ input_tokens = 12, output_tokens = 2, total_tokens = 14, input_token_details = { cache_read = 12 } },
      state.usage_metadata)
  end)

  it("tells the model of its tools, strictly where that is asked for", function()
    local kwargs = agent({ "x" }, { strict = true, parallel_tool_calls = false }).model.kwargs
    local fn = kwargs.tools[1]["function"]
    assert.same({ "shout", true, false, false },
      { fn.name, fn.strict, fn.parameters.additionalProperties, kwargs.parallel_tool_calls })
  end)

  it("takes a model by its name", function()
    log.sink = function() return true end
    assert.equal("create_agent{ExtractiveChatModel}", tostring(agent(nil, { model = "extractive" })))
    log.sink = nil
  end)

  it("needs no tools", function()
    assert.equal("hello", agent({ "hello" }, { tools = {} }):invoke("hi").output.content)
  end)

  it("is a step of a chain, drawn with its tools", function()
    local chain = mp.pipe(agent { "hello" }, mp.itemgetter "output", mp.StrOutputParser())
    assert.equal("hello", chain:invoke "hi")
    assert.matches("until it calls no tool of {shout}", chain:get_graph():draw_ascii(), 1, true)
    assert.equal("helper", tostring(agent({}, { name = "helper" })))
  end)

  it("runs what is around a tool", function()
    local tries = 0
    local weak = tool("weak", function()
      tries = tries + 1
      if tries == 1 then error(mp.Error { kind = "reset", message = "gone" }) end
      return "held"
    end):with_retry { stop_after_attempt = 2, wait_exponential_jitter = false }
    local slow = tool("slow", function() mp.sleep(10) end):with_timeout(0.01)
    local state = agent({ calls(call("weak", { x = "a" }, "1"), call("slow", { x = "a" }, "2")), "ok" },
      { tools = { weak, slow } }):invoke "go"
    assert.equal("held", state.messages[3].content)
    assert.matches("^error: timeout_total: ", state.messages[4].content)
  end)
end)

describe("create_agent: what fails in a call is told to the model", function()
  local function answer(message, tools)
    local state = agent({ message, "ok" }, { tools = tools }):invoke "go"
    assert.same({ "error", "ok" }, { state.messages[3].status, state.output.content })
    return state.messages[3].content, state
  end

  it("where there is no such tool", function()
    assert.equal("error: there is no tool 'shot'; there are: shout", (answer(calls(call("shot", {}, "1")))))
  end)

  it("where arguments do not fit", function()
    assert.equal("error: tool shout: argument 'x' is missing; it takes {x}", (answer(calls(call("shout", {}, "1")))))
  end)

  it("where arguments are no JSON", function()
    local bad = mp.AIMessage { content = "", invalid_tool_calls = { { name = "shout", args = '{"x": ', id = "1",
      error = "cut",
      type = "invalid_tool_call" } } }
    local text, state = answer(bad)
    assert.equal('error: the arguments of shout could not be read: cut; they were: {"x": ', text)
    assert.equal("1", state.messages[3].tool_call_id)
  end)

  it("where arguments have a key twice", function()
    local twice = mp.AIMessage { content = "", tool_calls = { { id = "1",
      ["function"] = { name = "shout", arguments = '{"x":"a","x":"b"}' } } } }
    assert.matches("could not be read: .*duplicate key 'x'", (answer(twice)))
  end)

  it("where the tool fails", function()
    local broken = tool("broken", function() error("no such city", 0) end)
    assert.equal("error: no such city", (answer(calls(call("broken", { x = "a" }, "1")), { broken })))
  end)
end)

describe("create_agent: ends", function()
  local function endless()
    return mp.RunnableLambda(function(_, _config) return calls(call("shout", { x = "a" }, "1")) end)
  end

  it("after so many rounds of calls, with what was said", function()
    local _, err = agent(nil, { model = endless(), max_rounds = 2, name = "helper" }):try_invoke "go"
    assert.same({ "limit", "helper: the model went on calling tools after 2 rounds" }, { err.kind, err.message })
    assert.same({ "human go", "ai ", "tool A", "ai ", "tool A", "ai " }, said(err.partial))
    assert.matches("agent_spec.lua:%d+", err.where)
  end)

  it("after eight where nothing is said", function()
    local _, err = agent(nil, { model = endless() }):try_invoke "go"
    assert.matches("after 8 rounds", err.message)
  end)

  it("with a failure of the model, which says in what round", function()
    local err = helper.failure(function() agent({ calls(call("shout", { x = "a" }, "1")) }):invoke "go" end)
    assert.equal("limit", err.kind)
    assert.matches("round 2 GenericFakeChatModel", err.path, 1, true)
    assert.matches("agent_spec", err.where)
  end)

  it("with a cancel, and with it the tools", function()
    local began, ended = 0, 0
    local slow = tool("slow", function()
      began = began + 1
      local ok, err = pcall(mp.sleep, 60)
      ended = ended + 1
      if not ok then error(err, 0) end
    end)
    local task = agent({ calls(call("slow", { x = "a" }, "1"), call("slow", { x = "b" }, "2")), "ok" },
      { tools = { slow } }):start "go"
    while began < 2 do mp.sleep(0.001) end
    task:cancel()
    local _, err = task:wait()
    assert.same({ "cancelled", 2 }, { err.kind, ended })
  end)

  it("where the input is none", function()
    local a = agent { "x" }
    assert.matches("is not a list of messages", helper.input_failure(a.invoke, a, 7))
    assert.equal("an agent needs at least one message", helper.input_failure(a.invoke, a, {}))
    local deaf = agent(nil, { model = mp.RunnableLambda(function(_, _c) return "text" end) })
    assert.equal("the model of an agent gives AI messages, got a string", helper.input_failure(deaf.invoke, deaf, "x"))
  end)
end)

describe("create_agent: a stream", function()
  it("gives the pieces of each answer and the messages of the tools, as they come", function()
    local out = {}
    for chunk in agent({ calls(call("shout", { x = "a" }, "1")), "all done" }):stream "go" do
      local messages = chunk.messages
      local last = messages and messages[messages.n]
      out[#out + 1] = last and ("%d %s %s"):format(messages.n, last.type,
        last.content) or "output " .. chunk.output.content
    end
    assert.same({ "1 human go", "2 ai ", "3 tool A", "4 ai all", "4 ai  ", "4 ai done", "output all done" }, out)
  end)

  it("adds up to what is given when it is invoked", function()
    local function one() return agent { calls(call("shout", { x = "a" }, "1"), call("no", {}, "2")), "all done" } end
    local streamed, invoked = one():stream("go"):collect(), one():invoke "go"
    assert.same(said(invoked), said(streamed))
    assert.same({ 5, "all done" }, { streamed.messages.n, streamed.output.content })
    local chain = mp.pipe(one(), function(state) return #state.messages .. state.output.content end)
    assert.equal("5all done", chain:stream("go"):collect())
  end)

  it("gives what a quick tool says before a slow one", function()
    local wait = tool("wait", function(args)
      if args.x == "slow" then mp.sleep(0.03) end
      return args.x
    end)
    local order = {}
    for chunk in agent({ calls(call("wait", { x = "slow" }, "1"), call("wait", { x = "quick" }, "2")), "ok" },
      { tools = { wait } }):stream "go" do
      local messages = chunk.messages
      local last = messages and messages[messages.n]
      if last and last.type == "tool" then order[#order + 1] = messages.n .. last.content end
    end
    assert.same({ "4quick", "3slow" }, order)
  end)

  it("is cancelled with its tools where it is left", function()
    local ended = false
    local slow = tool("slow", function()
      local ok, err = pcall(mp.sleep, 60)
      ended = true
      if not ok then error(err, 0) end
    end)
    helper.run(function()
      local stream = agent({ calls(call("slow", { x = "a" }, "1"), call("shout", { x = "b" }, "2")), "ok" },
        { tools = { slow, shout } }):stream "go"
      repeat
        local chunk = stream()
        local last = chunk.messages[chunk.messages.n]
      until last.type == "tool"
      stream:close()
    end)
    assert.is_true(ended)
  end)

  it("raises the limit too", function()
    local model = mp.RunnableLambda(function(_, _config) return calls(call("shout", { x = "a" }, "1")) end)
    local ok, err = pcall(function() agent(nil, { model = model, max_rounds = 1 }):stream("go"):collect() end)
    assert.same({ false, "limit" }, { ok, err.kind })
  end)

  it("is told event by event, failures of tools too", function()
    local broken = tool("broken", function() error("no", 0) end)
    local out = {}
    for event in agent({ calls(call("shout", { x = "a" }, "1"), call("broken", { x = "a" }, "2")), "ok" },
      { tools = { shout, broken } })
      :stream_events("go", { include_types = { "tool" } }) do
      out[#out + 1] = event.event .. " " .. event.name
    end
    assert.same({ "on_tool_start shout", "on_tool_end shout", "on_tool_start broken", "on_tool_error broken" }, out)
  end)
end)

describe("create_agent: with ChatOpenAI", function()
  local function wire_call(id, name, arguments)
    return { id = id, type = "function", ["function"] = { name = name, arguments = arguments } }
  end

  local function whole(message, finish)
    return { body = cjson.encode { id = "i", choices = { { index = 0, message = message, finish_reason = finish } },
      usage = { prompt_tokens = 10, completion_tokens = 2, total_tokens = 12 } } }
  end

  it("sends the calls back with their answers", function()
    local lane = server:lane("agent", {
      whole({ content = cjson.null, tool_calls = { wire_call("c1", "shout", '{"x":"a"}'), wire_call("c2", "shout",
        '{"x":"b"') } }, "tool_calls"),
      { answer = "done", usage = "5,1" },
    })
    local state = agent(nil, { model = mp.ChatOpenAI { base_url = lane } }):invoke "go"
    assert.same({ "done", 18 }, { state.output.content, state.usage_metadata.total_tokens })
    local requests = server:requests()
    local first, second = cjson.decode(requests[1].body), cjson.decode(requests[2].body)
    assert.same({ 2, "shout", "shout" }, { #requests, first.tools[1]["function"].name,
      second.tools[1]["function"].name })
    assert.same({ "user", "assistant", "tool", "tool" }, { second.messages[1].role, second.messages[2].role,
      second.messages[3].role, second.messages[4].role })
    assert.same({ "A", "c1", "c2" }, { second.messages[3].content, second.messages[3].tool_call_id,
      second.messages[4].tool_call_id })
    assert.matches("^error: the arguments of shout could not be read", second.messages[4].content)
    assert.same(wire_call("c2", "shout", '{"x":"b"'), second.messages[2].tool_calls[2])
  end)

  it("streams every round", function()
    local function record(delta, finish)
      return "data: " .. cjson.encode { id = "i", choices = { { index = 0, delta = delta,
        finish_reason = finish } } } .. "\n\n"
    end
    local lane = server:lane("stream", {
      { content_type = "text/event-stream", body = record({ content = "let me see" })
        .. record({ tool_calls = { { index = 0, id = "c1", ["function"] = { name = "shout", arguments = '{"x"' } } } })
        .. record({ tool_calls = { { index = 0, ["function"] = { arguments = ':"a"}' } } } },
          "tool_calls") .. "data: [DONE]\n\n" },
      { answer = "all done" },
    })
    local text = {}
    for chunk in agent(nil, { model = mp.ChatOpenAI { base_url = lane } }):stream "go" do
      local messages = chunk.messages
      local last = messages and messages[messages.n]
      if last and last.type ~= "human" and last.content ~= "" then text[#text + 1] = last.content end
    end
    assert.same({ "let me see", "A", "all ", "done" }, text)
  end)

  -- Servers that give no ids: each answer's calls are numbered from 0.
  it("tells apart the calls of its rounds, whole and streamed", function()
    local function asks(x)
      return { { index = 0, ["function"] = { name = "shout", arguments = '{"x":"' .. x .. '"}' } } }
    end
    local function streamed(x)
      return { content_type = "text/event-stream", body = "data: " .. cjson.encode { id = "i", choices = { {
        index = 0, delta = { tool_calls = asks(x) }, finish_reason = "tool_calls" } } } .. "\n\ndata: [DONE]\n\n" }
    end
    local scripts = {
      invoke = { whole({ tool_calls = asks "a" }, "tool_calls"), whole({ tool_calls = asks "b" }, "tool_calls") },
      stream = { streamed "a", streamed "b" },
    }
    for way, script in pairs(scripts) do
      script[3] = { answer = "done" }
      local one = agent(nil, { model = mp.ChatOpenAI { base_url = server:lane("ids-" .. way, script) } })
      local state = way == "invoke" and one:invoke "go" or one:stream("go"):collect()
      local list = state.messages
      local first, second = list[2].tool_calls[1].id, list[4].tool_calls[1].id
      assert.not_equal(first, second)
      assert.same({ first, second }, { list[3].tool_call_id, list[5].tool_call_id })
      local all = server:requests()
      local sent = cjson.decode(all[#all].body).messages
      assert.same({ first, first, second, second }, { sent[2].tool_calls[1].id, sent[3].tool_call_id,
        sent[4].tool_calls[1].id, sent[5].tool_call_id })
    end
  end)
end)

describe("create_agent: what is written wrong", function()
  it("is said where it is written", function()
    local model = says "x"
    local function told(opts) return helper.said(mp.create_agent, opts) end
    assert.matches("^model of create_agent: nil is not a step", told {})
    assert.matches("^create_agent takes a list of tools, got", told { model = model, tools = shout })
    assert.equal("tool 'plain' of create_agent has no function; make it by mp.tool{…}",
      told { model = model, tools = { { name = "plain" } } })
    assert.equal("max_rounds of create_agent takes a whole number from 1, got the number 0", told { model = model,
      max_rounds = 0 })
    assert.equal("system_prompt of create_agent takes a text or a SystemMessage, got the number 1",
      told { model = model, system_prompt = 1 })
    assert.equal("name of create_agent takes a string, got the number 1", told { model = model, name = 1 })
    assert.matches("^unknown option 'tool' of create_agent", told { model = model, tool = {} })
    helper.raises("an agent takes a text, messages or { messages = }, not a table with keys {a}", mp.pipe,
      { a = print }, agent { "x" })
  end)
end)
