local cjson = require "cjson"
local helper = require "spec.helper"
local mp = require "moonpipe"
local server = require("spec.support.server").use()
local steps = require "spec.support.steps"

local failure, said = helper.failure, helper.said
local s = mp.schema
local PERSON = s.object({ name = "string", age = s.integer { minimum = 0 } }, "a person")
local GOOD, BAD = '{"name":"a","age":3}', '{"name":"a","age":"x"}'

local function fake(...)
  return mp.FakeListChatModel { responses = { ... } }
end

local function says(...)
  return mp.GenericFakeChatModel { messages = { ... } }
end

local function drain(step)
  return steps.chunks_of(step:stream "hi")
end

-- ChatOpenAI before a server with these answers; and what the server saw.
local lanes = 0

local function remote(...)
  lanes = lanes + 1
  local lane = "structured-" .. lanes
  local model = mp.ChatOpenAI { base_url = server:lane(lane, { ... }), max_retries = 0 }
  return model, function()
    local bodies = {}
    for _, request in ipairs(server:requests()) do bodies[#bodies + 1] = cjson.decode(request.body) end
    return bodies
  end
end

-- An answer that calls the tool with this text for arguments.
local function calling(arguments)
  return { content_type = "application/json", body = cjson.encode {
    id = "c", model = "m", choices = { { index = 0, finish_reason = "tool_calls", message = {
      role = "assistant", tool_calls = { { id = "t1", type = "function",
        ["function"] = { name = "answer", arguments = arguments } } },
    } } }, usage = { prompt_tokens = 5, completion_tokens = 2, total_tokens = 7 },
  } }
end

describe("model:with_structured_output", function()
  it("gives what fits the schema", function()
    assert.same({ name = "a", age = 3 }, fake(GOOD):with_structured_output(PERSON):invoke "hi")
  end)

  it("sends an answer that does not fit back, once", function()
    local model, seen = remote({ answer = BAD }, { answer = GOOD })
    assert.same({ name = "a", age = 3 }, model:with_structured_output(PERSON):invoke "hi")
    local messages = seen()[2].messages
    assert.equal(3, #messages)
    assert.same({ role = "assistant", content = BAD }, messages[2])
    assert.truthy(messages[3].content:find(
      'does not fit the schema: $.age: expected integer, got string "x"', 1, true))
  end)

  it("fails with the text and with what is wrong", function()
    local model = fake(BAD, '{"name":"b"}'):with_structured_output(PERSON)
    local err = failure(model.invoke, model, "hi")
    assert.equal("schema", err.kind)
    assert.equal('the answer does not fit the schema: $: property "age" is missing', err.message)
    assert.equal('{"name":"b"}', err.partial)
    assert.equal(2, err.attempts)
    model = fake("words", GOOD):with_structured_output(PERSON, { max_retries = 0 })
    err = failure(model.invoke, model, "hi")
    assert.equal("decode", err.kind)
    assert.equal("words", err.partial)
  end)

  it("asks as often as it is told", function()
    local model = fake("a", "b", "c", GOOD):with_structured_output(PERSON, { max_retries = 3 })
    assert.same({ name = "a", age = 3 }, model:invoke "hi")
  end)

  it("takes a refusal for what it is, and does not argue", function()
    local refusal = mp.AIMessage { content = "", additional_kwargs = { refusal = "I will not." } }
    for _, method in ipairs { "json_schema", "function_calling" } do
      local model = says(refusal):with_structured_output(PERSON, { method = method })
      local err = failure(model.invoke, model, "hi")
      assert.equal("content_filter", err.kind)
      assert.equal("the model refuses to answer: I will not.", err.message)
      assert.equal("I will not.", err.partial)
    end
    local filtered = says(mp.AIMessage { content = "half",
      response_metadata = { finish_reason = "content_filter" } }):with_structured_output(PERSON)
    assert.equal("half", failure(filtered.invoke, filtered, "hi").partial)
    local streamed = says(refusal):with_structured_output(PERSON)
    assert.equal("content_filter", failure(drain, streamed).kind)
  end)

  it("does not ask again where the answer was too long", function()
    local cut = mp.AIMessage { content = '{"name":"a', response_metadata = {
      finish_reason = "length" } }
    local model = says(cut):with_structured_output(PERSON)
    local err = failure(model.invoke, model, "hi")
    assert.equal("decode", err.kind)
    assert.truthy(err.message:find("%(the model stopped at its limit of length%)$"))
    assert.equal('{"name":"a', err.partial)
  end)

  it("passes on failures of the model", function()
    local model, seen = remote { status = 400, message = "no such thing" }
    local structured = model:with_structured_output(PERSON)
    local err = failure(structured.invoke, structured, "hi")
    assert.equal(400, err.status)
    assert.equal("model ChatOpenAI", err.path)
    assert.equal(1, #seen())
  end)

  it("refuses what it cannot use", function()
    local m = fake "x"
    local make = m.with_structured_output
    assert.equal("with_structured_output takes a JSON Schema, got a string", said(make, m, "x"))
    assert.truthy(said(make, m, { type = "x" }):find("^the schema is malformed"))
    assert.truthy(said(make, m, PERSON, { method = "json_shema" }):find(
      "did you mean 'json_schema'?", 1, true))
    assert.truthy(said(make, m, PERSON, { name = "a b" }):find("^name of with_structured_output"))
    assert.truthy(said(make, m, PERSON, { strict = 1 }):find("^strict of with_structured_output"))
    assert.truthy(said(make, m, PERSON, { max_retries = -1 }):find("^max_retries of with_struct"))
    assert.equal('strict has no meaning with method = "json_mode"',
      said(make, m, PERSON, { method = "json_mode", strict = true }))
    assert.equal("a tool is called with an object: the schema's type must be object",
      said(make, m, s.array "string", { method = "function_calling" }))
  end)
end)

describe("the method of with_structured_output", function()
  it("json_schema tells the provider of the form", function()
    local model, seen = remote { answer = GOOD }
    model:with_structured_output(PERSON, { name = "person" }):invoke "hi"
    assert.same({ type = "json_schema", json_schema = { name = "person", schema = {
      type = "object", description = "a person", required = { "age", "name" },
      properties = { name = { type = "string" }, age = { type = "integer", minimum = 0 } },
    } } }, seen()[1].response_format)
  end)

  it("json_mode tells it that JSON is wanted", function()
    local model, seen = remote { answer = GOOD }
    assert.same({ name = "a", age = 3 },
      model:with_structured_output(PERSON, { method = "json_mode" }):invoke "hi")
    assert.same({ type = "json_object" }, seen()[1].response_format)
  end)

  it("function_calling offers one tool, which must be called", function()
    local model, seen = remote(calling(BAD), calling(GOOD))
    local titled = s.object({ name = "string", age = "integer" }, { title = "answer" })
    local structured = model:with_structured_output(titled, { method = "function_calling" })
    assert.same({ name = "a", age = 3 }, structured:invoke "hi")
    local first, second = unpack(seen())
    assert.equal("answer", first.tools[1]["function"].name)
    assert.equal("object", first.tools[1]["function"].parameters.type)
    assert.same({ type = "function", ["function"] = { name = "answer" } }, first.tool_choice)
    assert.equal(false, first.parallel_tool_calls)
    assert.equal("tool", second.messages[3].role)
    assert.equal("t1", second.messages[3].tool_call_id)
  end)

  it("function_calling takes the JSON of a model that knows no tools", function()
    local structured = fake(GOOD):with_structured_output(PERSON, { method = "function_calling" })
    assert.same({ name = "a", age = 3 }, structured:invoke "hi")
    structured = fake("words"):with_structured_output(PERSON, { method = "function_calling" })
    local err = failure(structured.invoke, structured, "hi")
    assert.equal("schema", err.kind)
    assert.equal("the answer does not call 'answer'", err.message)
    assert.equal("words", err.partial)
  end)

  it("is said to Anthropic in the few words that it knows", function()
    local url = server:lane("closed", { { content_type = "application/json", body = cjson.encode {
      id = "m", type = "message", role = "assistant", model = "c", stop_reason = "end_turn",
      content = { { type = "text", text = GOOD } }, usage = { input_tokens = 1, output_tokens = 1 },
    } } }):gsub("/v1$", "")
    local model = mp.ChatAnthropic { base_url = url, api_key = "sk-ant-test", max_retries = 0 }
    assert.same({ name = "a", age = 3 }, model:with_structured_output(PERSON):invoke "hi")
    local list = server:requests()
    local sent = cjson.decode(list[#list].body).output_config.format.schema
    assert.equal(false, sent.additionalProperties)
    assert.same({ type = "integer", description = "(minimum 0)" }, sent.properties.age)
  end)

  it("is the model's own choice where none is said", function()
    local model = fake(GOOD)
    model.structured_method = "function_calling"
    assert.equal("StructuredCallParser", model:with_structured_output(PERSON).parser:get_name())
  end)

  it("strict sends the strict form, and reads what it answers", function()
    local model, seen = remote { answer = '{"name":"a","nick":null}' }
    local schema = s.object { name = "string", nick = "string?" }
    local structured = model:with_structured_output(schema, { strict = true })
    assert.same({ name = "a" }, structured:invoke "hi")
    local sent = seen()[1].response_format.json_schema
    assert.equal(true, sent.strict)
    assert.equal(false, sent.schema.additionalProperties)
    assert.same({ "name", "nick" }, sent.schema.required)
  end)
end)

describe("include_raw of with_structured_output", function()
  it("gives the message and what was made of it", function()
    local value = fake(GOOD):with_structured_output(PERSON, { include_raw = true }):invoke "hi"
    assert.equal(GOOD, value.raw.content)
    assert.same({ name = "a", age = 3 }, value.parsed)
    assert.equal(nil, value.parsing_error)
  end)

  it("gives the error in place of raising it", function()
    local value = fake(BAD):with_structured_output(PERSON, { include_raw = true }):invoke "hi"
    assert.equal(BAD, value.raw.content)
    assert.equal(nil, value.parsed)
    assert.equal("schema", value.parsing_error.kind)
  end)

  it("adds up what all attempts used", function()
    local model = remote({ answer = BAD, usage = "10,2" }, { answer = GOOD, usage = "30,4" })
    local value = model:with_structured_output(PERSON, { include_raw = true }):invoke "hi"
    assert.equal(40, value.raw.usage_metadata.input_tokens)
    assert.equal(6, value.raw.usage_metadata.output_tokens)
    assert.equal(46, value.raw.usage_metadata.total_tokens)
    assert.equal(GOOD, value.raw.content)
  end)

  it("streams what the model says and what is known of it", function()
    local structured = fake(GOOD):with_structured_output(PERSON, { include_raw = true })
    local raw, parsed = {}, nil
    for value in structured:stream "hi" do
      raw[#raw + 1] = value.raw and value.raw.content
      parsed = value.parsed or parsed
    end
    assert.equal(GOOD, table.concat(raw))
    assert.same({ name = "a", age = 3 }, parsed)
    local all = structured:stream("hi"):collect()
    assert.equal(GOOD, all.raw.content)
    assert.same({ name = "a", age = 3 }, all.parsed)
  end)

  it("streams the error, and asks once", function()
    local structured = fake(BAD, GOOD):with_structured_output(PERSON, { include_raw = true })
    local all = structured:stream("hi"):collect()
    assert.equal("schema", all.parsing_error.kind)
    assert.equal(BAD, all.raw.content)
  end)

  it("raises what the model raises", function()
    local model = remote({ status = 400 }, { status = 400 })
    local structured = model:with_structured_output(PERSON, { include_raw = true })
    assert.equal(400, failure(structured.invoke, structured, "hi").status)
    assert.equal(400, failure(drain, structured).status)
  end)
end)

describe("a stream of with_structured_output", function()
  it("gives what is known so far, and the same in the end", function()
    for _, method in ipairs { "json_schema", "json_mode", "function_calling" } do
      local seen = drain(fake(GOOD):with_structured_output(PERSON, { method = method }))
      assert.same({ name = "a", age = 3 }, seen[#seen], method)
    end
    local model = remote { answer = GOOD, stream = "yes" }
    local seen = drain(model:with_structured_output(PERSON))
    assert.same({ name = "a", age = 3 }, seen[#seen])
  end)

  it("gives the arguments of a call as they grow", function()
    local pieces = { "", '{"name":"a', '","age"', ":3}" }
    for i, args in ipairs(pieces) do
      pieces[i] = mp.AIMessageChunk { tool_call_chunks = {
        { index = 0, id = i == 1 and "t" or nil, name = i == 1 and "answer" or nil, args = args },
      } }
    end
    local model = mp.FakeListChatModel { responses = { "" } }
    model._chunks = function()
      return steps.source_of(pieces)
    end
    local seen = drain(model:with_structured_output(PERSON, { method = "function_calling" }))
    assert.same({ {}, { name = "a" }, { name = "a", age = 3 } }, seen)
  end)

  it("goes on with the next answer where one does not fit", function()
    local seen = drain(fake(BAD, GOOD):with_structured_output(PERSON))
    assert.same({ name = "a", age = 3 }, seen[#seen])
    local model = fake(BAD):with_structured_output(PERSON)
    local err = failure(drain, model)
    assert.equal("schema", err.kind)
    assert.equal(BAD, err.partial)
    assert.equal(2, err.attempts)
  end)
end)

describe("a structured model", function()
  local structured = fake(GOOD):with_structured_output(PERSON)

  it("is a step of a chain, in maps and batches", function()
    local prompt = mp.ChatPromptTemplate.from_template "{x}"
    local chain = mp.pipe(prompt, structured, mp.itemgetter "age")
    assert.equal(3, chain:invoke { x = "hi" })
    assert.same({ n = 2, 3, 3 }, chain:batch { { x = "a" }, { x = "b" } })
    assert.equal("FakeListChatModel:with_structured_output()", tostring(structured))
  end)

  it("says what it gives", function()
    assert.equal(PERSON, structured:output_schema())
    local raw = fake(GOOD):with_structured_output(PERSON, { include_raw = true })
    assert.equal(PERSON, raw:output_schema().properties.parsed)
    assert.truthy(said(mp.pipe, raw, mp.PromptTemplate.from_template "{rwa}")
      :find("misses {rwa}", 1, true))
  end)

  it("is drawn and traced as its model and its parser", function()
    assert.truthy(structured:get_graph():draw_mermaid():find("StructuredAnswerParser", 1, true))
    local names = {}
    structured:invoke("hi", { callbacks = { { on_end = function(run)
      names[#names + 1] = run.kind .. " " .. run.name
    end } } })
    assert.same({ "chat_model FakeListChatModel", "parser StructuredAnswerParser",
      "chain StructuredOutput" }, names)
  end)

  it("takes what a binding gives further out", function()
    local model, seen = remote { answer = GOOD }
    model:with_structured_output(PERSON):bind({ temperature = 0.5 }):invoke "hi"
    assert.equal(0.5, seen()[1].temperature)
    assert.equal("json_schema", seen()[1].response_format.type)
  end)

  it("is made of what is around a model too", function()
    local secondary, seen = remote { answer = GOOD }
    local chain = says():with_fallbacks({ secondary:bind { temperature = 0.5 } })
      :with_structured_output(PERSON)
    assert.same({ name = "a", age = 3 }, chain:invoke "hi")
    assert.equal("json_schema", seen()[1].response_format.type)
    assert.equal(0.5, seen()[1].temperature)
    local retried = fake(GOOD):with_retry():with_structured_output(PERSON)
    assert.same({ name = "a", age = 3 }, retried:invoke "hi")
    assert.truthy(said(function() mp.JsonOutputParser():with_structured_output(PERSON) end)
      :find("takes bound arguments", 1, true))
  end)

  it("closes the connection when its stream is left", function()
    local model = remote { token = { "{", '\\"name\\":', '\\"a\\"' }, gap = 200 }
    local stream = model:with_structured_output(PERSON):stream "hi"
    assert.same({}, stream())
    stream:close()
    assert.equal(nil, stream())
  end)
end)
