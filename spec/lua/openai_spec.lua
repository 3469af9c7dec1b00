local cjson = require "cjson"
local helper = require "spec.helper"
local log = require "moonpipe.log"
local mp = require "moonpipe"
local request = require "moonpipe.models.openai_request"
local server = require("spec.support.server").use()

local function model(opts, script)
  opts = opts or {}
  opts.base_url = script and server:with(script) or server.base_url
  return mp.ChatOpenAI(opts)
end

-- The last request that the server saw, its body decoded.
local function seen()
  local list = server:requests()
  local last = list[#list]
  last.body = cjson.decode(last.body)
  return last
end

local function wire(...)
  return cjson.decode(request.messages(...))
end

describe("ChatOpenAI", function()
  it("answers a text", function()
    local m = model({ model = "m-1" })
    local answer = m:invoke "one two three"
    assert.equal(mp.AIMessage, require("moonpipe.messages.message").class_of(answer))
    assert.equal("one two three", answer.content)
    assert.same({ model = "m-1", messages = { { role = "user", content = "one two three" } } },
      seen().body)
  end)

  it("keeps what the answer says of itself", function()
    local answer = model(nil, { answer_id = "chat-7", usage = "11,5", fingerprint = "fp-1" })
      :invoke "x"
    assert.equal("chat-7", answer.id)
    assert.same({ input_tokens = 11, output_tokens = 5, total_tokens = 16,
      input_token_details = { cache_read = 0 }, output_token_details = { reasoning = 0 } },
      answer.usage_metadata)
    local metadata = answer.response_metadata
    assert.same({ "openai", "gpt-5.4-mini", "stop", "fp-1", "chat-7", 11, 5, 16 }, {
      metadata.model_provider, metadata.model_name, metadata.finish_reason,
      metadata.system_fingerprint, metadata.id, metadata.token_usage.prompt_tokens,
      metadata.token_usage.completion_tokens, metadata.token_usage.total_tokens,
    })
    assert.is_nil(metadata.logprobs)
    assert.is_nil(metadata.service_tier)
  end)

  it("is a step of a chain", function()
    local chain = mp.pipe(mp.ChatPromptTemplate.from_template("say {x}"), model(),
      mp.StrOutputParser())
    assert.equal("say hi", chain:invoke { x = "hi" })
    assert.equal("prompt | ChatOpenAI | StrOutputParser", tostring(chain))
  end)

  it("asks for the default model, which is one constant", function()
    model():invoke "x"
    assert.equal(require("moonpipe.models.openai").DEFAULT_MODEL, seen().body.model)
  end)

  it("sends its parameters", function()
    model({
      temperature = 0.5, top_p = 1, max_tokens = 7, max_completion_tokens = 8, n = 1, seed = 42,
      stop = { "a", "b" }, presence_penalty = 0.1, frequency_penalty = -0.1, logprobs = true,
      top_logprobs = 2, reasoning_effort = "low", verbosity = "low", service_tier = "flex",
      store = false, user = "u", logit_bias = { [50256] = -100 },
      model_kwargs = { safety_identifier = "s" }, extra_body = { chat_template = { a = 1 } },
    }):invoke "x"
    assert.same({
      model = "gpt-5.4-mini", messages = { { role = "user", content = "x" } },
      temperature = 0.5, top_p = 1, max_tokens = 7, max_completion_tokens = 8, n = 1, seed = 42,
      stop = { "a", "b" }, presence_penalty = 0.1, frequency_penalty = -0.1, logprobs = true,
      top_logprobs = 2, reasoning_effort = "low", verbosity = "low", service_tier = "flex",
      store = false, user = "u", logit_bias = { ["50256"] = -100 }, safety_identifier = "s",
      chat_template = { a = 1 },
    }, seen().body)
  end)

  it("calls the token limit by the name that its server knows", function()
    local own = mp.ChatOpenAI { api_key = "sk-x", max_tokens = 7 }
    for m, name in pairs { [model { max_tokens = 7 }] = "max_tokens",
      [own] = "max_completion_tokens" } do
      assert.same({ model = "gpt-5.4-mini", [name] = 7 }, request.wire(m.params, false, m))
    end
  end)

  it("sends headers, and queries, of its own and of the user", function()
    model({
      api_key = "sk-test-1", organization = "org-1", project = "proj-1",
      default_headers = { ["X-Extra"] = "1", ["user-agent"] = "mine" },
      default_query = { ["api-version"] = "2" },
    }):invoke "x"
    local last = seen()
    assert.same({ "/v1/chat/completions", "api-version=2" }, { last.path, last.query })
    local headers = last.headers
    assert.same({ "Bearer sk-test-1", "org-1", "proj-1", "1", "mine", "application/json" }, {
      headers.authorization, headers["openai-organization"], headers["openai-project"],
      headers["x-extra"], headers["user-agent"], headers["content-type"],
    })
  end)

  it("sends a key that stands in the query, and shows it to nobody", function()
    local known = {}
    local function look(value)
      if type(value) == "string" then assert.is_nil(value:find("canary-0123456789", 1, true)) end
      if type(value) ~= "table" or known[value] then return end
      known[value] = true
      for name, field in next, value do
        look(name)
        look(field)
      end
    end
    local kept = {}
    local m = mp.ChatOpenAI { base_url = server:with {}, default_query = { key = "canary-0123456789" },
      cache = { lookup = function(_, key) kept[#kept + 1] = key end, store = function() end } }
    m:invoke "x"
    assert.equal("key=canary-0123456789", server:requests()[1].query)
    look(m)
    look(kept)
    assert.is_truthy(kept[1]:find("?key=…", 1, true))
    helper.raises("default_query of ChatOpenAI: a is an empty table", mp.ChatOpenAI,
      { api_key = false, default_query = { a = {} } })
    helper.raises("a key would cross the network in the open", mp.ChatOpenAI, { api_key = false,
      base_url = "http://192.0.2.1/v1", default_query = { key = "canary-0123456789" } })
  end)

  it("sends no key where it has none", function()
    model():invoke "x"
    assert.is_nil(seen().headers.authorization)
    assert.equal("moonpipe/" .. mp.version, seen().headers["user-agent"])
  end)

  it("says behind the results of tools what is no text in them", function()
    local image = { type = "image", base64 = "QUI=", mime_type = "image/png" }
    model():invoke {
      mp.AIMessage { content = "", tool_calls = { { id = "c1", name = "f", args = {} },
        { id = "c2", name = "g", args = {} } } },
      mp.ToolMessage { content = { "seen: ", image }, tool_call_id = "c1", name = "f" },
      mp.ToolMessage { content = "two", tool_call_id = "c2" },
      mp.HumanMessage "and?",
    }
    local messages = seen().body.messages
    assert.same({
      { role = "tool", content = "seen: ", tool_call_id = "c1" },
      { role = "tool", content = "two", tool_call_id = "c2" },
      { role = "user", content = { { type = "image_url",
        image_url = { url = "data:image/png;base64,QUI=" } } } },
      { role = "user", content = "and?" },
    }, { unpack(messages, 2) })
  end)

  it("takes parameters of a call from bind", function()
    local tools = { { type = "function", ["function"] = { name = "f" } } }
    model({ temperature = 1, stop = "a" }):bind({ stop = "b", model = "other", tools = tools,
      extra_body = { more = true } }):invoke "x"
    assert.same({
      model = "other", messages = { { role = "user", content = "x" } }, temperature = 1,
      stop = "b", tools = tools, more = true,
    }, seen().body)
    model():bind({ temperature = 0 }):stream("x"):collect()
    assert.equal(0, seen().body.temperature)
  end)

  it("refuses parameters that it does not know, wherever they are written", function()
    helper.raises("unknown option 'tempreature' of a call of ChatOpenAI", function()
      model():bind({ tempreature = 1 }):invoke "x"
    end)
    helper.raises("model_kwargs of ChatOpenAI holds 'temperature'; write it as an option", model,
      { model_kwargs = { temperature = 1 } })
    helper.raises("extra_body of ChatOpenAI holds 'messages'", model,
      { extra_body = { messages = {} } })
    helper.raises("temperature of ChatOpenAI must be a number, got a string", model,
      { temperature = "hot" })
    helper.raises("stop of ChatOpenAI must be a text or a list of texts, got an empty table", model,
      { stop = {} })
    helper.raises("model of ChatOpenAI must be a string, got the number 4", model, { model = 4 })
    helper.raises("temperature of ChatOpenAI must be a number", function()
      model():bind({ temperature = "hot" }):invoke "x"
    end)
  end)

  it("gives the other choices too where more than one is asked for", function()
    local body = cjson.encode({ choices = {
      { index = 0, message = { content = "a" }, finish_reason = "stop" },
      { index = 1, message = { content = "b" }, finish_reason = "length" },
    } })
    local answer = model({ n = 2 }, { body = body }):invoke "x"
    assert.equal("a", answer.content)
    assert.same({ { content = "b", finish_reason = "length" } }, answer.response_metadata.choices)
    assert.truthy(answer.id:find("^run%-"))
  end)

  it("streams inside where it is told to", function()
    local answer = model({ streaming = true }):invoke "one two"
    assert.equal("one two", answer.content)
    assert.equal("stop", answer.response_metadata.finish_reason)
    assert.is_true(seen().body.stream)
    assert.is_nil(answer.chunk_position)
  end)

  it("answers many at once, each its own", function()
    local m = model()
    local inputs = {}
    for i = 1, 200 do inputs[i] = "question " .. i end
    for i, answer in ipairs(m:batch(inputs)) do assert.equal(inputs[i], answer.content) end
    assert.equal(200, server:stats().requests)
  end)
end)

describe("ChatOpenAI: messages", function()
  it("keep their roles", function()
    assert.same({
      { role = "system", content = "s" }, { role = "user", content = "h", name = "ann" },
      { role = "assistant", content = "a" }, { role = "developer", content = "d" },
      { role = "critic", content = "c" },
    }, wire({
      mp.SystemMessage("s"), mp.HumanMessage("h", { name = "ann" }), mp.AIMessage("a"),
      mp.SystemMessage("d", { additional_kwargs = { __openai_role__ = "developer" } }),
      mp.ChatMessage({ content = "c", role = "critic" }),
    }))
  end)

  it("carry tool calls and their results", function()
    assert.same({
      { role = "assistant", tool_calls = { { id = "1", type = "function",
        ["function"] = { name = "f", arguments = '{"x":1}' } } } },
      { role = "tool", content = "2", tool_call_id = "1" },
      { role = "assistant", content = "t", tool_calls = { { id = "2", type = "function",
        ["function"] = { name = "g", arguments = "{half" } } } },
    }, wire({
      mp.AIMessage({ content = "", tool_calls = { { name = "f", args = { x = 1 }, id = "1" } } }),
      mp.ToolMessage({ content = "2", tool_call_id = "1" }),
      mp.AIMessage({ content = "t", invalid_tool_calls = { { name = "g", args = "{half", id = "2" } } }),
    }))
  end)

  it("carry blocks, images in either form, and leave out what is another provider's", function()
    assert.same({ { role = "user", content = {
      { type = "text", text = "a" }, { type = "text", text = "b" },
      { type = "image_url", image_url = { url = "http://x/y.png" } },
      { type = "image_url", image_url = { url = "data:image/jpeg;base64,AA==" } },
      { type = "image_url", image_url = { url = "http://z" } },
      { type = "input_audio", input_audio = { data = "AA==" } },
    } } }, wire({ mp.HumanMessage({
      "a", { type = "text", text = "b" }, { type = "image", url = "http://x/y.png" },
      { type = "image", base64 = "AA==", mime_type = "image/jpeg" }, { type = "thinking" },
      { type = "image_url", image_url = { url = "http://z" } },
      { type = "input_audio", input_audio = { data = "AA==" } },
    }) }))
    assert.same({ { role = "assistant", content = "" } },
      wire({ mp.AIMessage({ { type = "thinking", thinking = "x" } }) }))
  end)

  it("carry back a refusal and spoken answers", function()
    assert.same({ { role = "assistant", content = "", refusal = "no", audio = { id = "a1" } } },
      wire({ mp.AIMessage("", { additional_kwargs = { refusal = "no", audio = { id = "a1",
        data = "AA==" } } }) }))
  end)

  it("row 24: are sent as good UTF-8, and what was none is counted, once", function()
    local told = {}
    log.sink = function(_, text)
      told[#told + 1] = text
      return true
    end
    finally(function() log.sink = nil end)
    local m = model()
    m:invoke "fine"
    assert.same({}, told)
    local answer = m:invoke "a\255b \"quoted\"\n\0 ä\255"
    assert.equal("a\239\191\189b \"quoted\"\n\0 ä\239\191\189", answer.content)
    m:invoke "\255"
    assert.equal(1, #told)
    assert.matches("openai: a request holds U%+FFFD 2 times: that many bytes", told[1])
  end)

  it("of an earlier answer go back as they are", function()
    local m = model()
    local first = m:invoke "hi"
    m:invoke({ mp.HumanMessage("hi"), first, mp.HumanMessage("and?") })
    assert.same({ { role = "user", content = "hi" }, { role = "assistant", content = "hi" },
      { role = "user", content = "and?" } }, seen().body.messages)
  end)
end)

local function answered(message, more)
  local choice = { index = 0, message = message, finish_reason = "stop" }
  for key, value in pairs(more or {}) do choice[key] = value end
  return model(nil, { body = cjson.encode({ id = "i", choices = { choice } }) }):invoke "x"
end

describe("ChatOpenAI: answers", function()
  it("give tool calls", function()
    local answer = answered({ content = cjson.null, tool_calls = {
      { id = "1", type = "function", ["function"] = { name = "f", arguments = '{"x":[1]}' } },
      { type = "function", ["function"] = { name = "g", arguments = { y = 2 } } },
      { id = "3", type = "function", ["function"] = { name = "h", arguments = "{" } },
      { id = "4", type = "function", ["function"] = { name = "k", arguments = "" } },
    } })
    assert.equal("", answer.content)
    assert.same({ { "f", "1" }, { "g", "call_1" }, { "k", "4" } }, {
      { answer.tool_calls[1].name, answer.tool_calls[1].id },
      { answer.tool_calls[2].name, answer.tool_calls[2].id },
      { answer.tool_calls[3].name, answer.tool_calls[3].id },
    })
    assert.equal(1, answer.tool_calls[1].args.x[1])
    assert.equal(2, answer.tool_calls[2].args.y)
    assert.same({ "h", "{" }, { answer.invalid_tool_calls[1].name, answer.invalid_tool_calls[1].args })
  end)

  it("give what they carry besides, without nulls", function()
    local answer = answered({ content = "", refusal = "I cannot", reasoning_content = "hm",
      annotations = {}, audio = cjson.null, function_call = { name = "f", x = cjson.null } })
    assert.same({ refusal = "I cannot", reasoning_content = "hm", function_call = { name = "f" } },
      answer.additional_kwargs)
  end)

  it("give log probabilities", function()
    local answer = answered({ content = "a" }, { logprobs = { content = {
      { token = "a", logprob = -0.5, bytes = cjson.null } } } })
    assert.same({ content = { { token = "a", logprob = -0.5 } } }, answer.response_metadata.logprobs)
  end)

  it("give content that comes in blocks", function()
    local answer = answered({ content = { { type = "text", text = "a" }, { type = "text", text = "b" } } })
    assert.equal("ab", answer:text())
  end)

  it("row 24: are repaired where they are no good UTF-8", function()
    local answer = model(nil, { body = '{"choices":[{"message":{"content":"a\255\226\130b"}}]}' })
      :invoke "x"
    assert.equal("a\239\191\189\239\191\189b", answer.content)
  end)

  it("may hold a lone surrogate", function()
    local answer = model(nil, { body = [[{"choices":[{"message":{"content":"a\ud800b"}}]}]] })
      :invoke "x"
    assert.equal("a\239\191\189b", answer.content)
  end)

  it("may begin with a byte order mark", function()
    assert.equal("hi", model(nil, { bom = true }):invoke("hi").content)
  end)

  it("may be compressed", function()
    assert.equal("hi", model(nil, { gzip = true }):invoke("hi").content)
  end)

  it("may come byte by byte", function()
    assert.equal("hi there", model(nil, { split = 1 }):invoke("hi there").content)
    assert.equal("hi there", model(nil, { framing = "close" }):invoke("hi there").content)
  end)
end)
