local cjson = require "cjson"
local helper = require "spec.helper"
local mp = require "moonpipe"
local native = require "moonpipe.native"
local server = require("spec.support.server").use()

local function model(script, opts)
  opts = opts or {}
  opts.base_url = script and server:with(script) or server.base_url
  return mp.ChatOpenAI(opts)
end

-- The texts of the chunks, and all of them merged.
local function streamed(m, input)
  local texts, all = {}, nil
  for chunk in m:stream(input or "one two three") do
    texts[#texts + 1] = chunk.content
    all = all and all + chunk or chunk
  end
  return texts, all
end

-- What a stream of these records gives: the whole message, or the error.
local function of_records(records, opts)
  local lines = {}
  for i, record in ipairs(records) do
    lines[i] = "data: " .. (type(record) == "table" and cjson.encode(record) or record) .. "\n\n"
  end
  local m = model({ content_type = "text/event-stream", body = table.concat(lines) }, opts)
  local ok, all = pcall(function() return m:stream("x"):collect() end)
  return ok and all or nil, not ok and all or nil
end

local function delta(fields, more)
  local value = { id = "i", model = "m", choices = { { index = 0, delta = fields } } }
  for key, field in pairs(more or {}) do value.choices[1][key] = field end
  return value
end

local STOP = delta({}, { finish_reason = "stop" })

describe("ChatOpenAI: a stream", function()
  it("gives the text as it comes, and what concerns the whole at the end", function()
    local texts, all = streamed(model({ answer_id = "chat-7", usage = "11,5" }))
    assert.same({ "one ", "two ", "three", "" }, texts)
    assert.same({ "one two three", "chat-7", "last" }, { all.content, all.id, all.chunk_position })
    assert.equal("stop", all.response_metadata.finish_reason)
    assert.equal("openai", all.response_metadata.model_provider)
    assert.equal(11, all.response_metadata.token_usage.prompt_tokens)
    assert.same({ 11, 5, 16 }, { all.usage_metadata.input_tokens, all.usage_metadata.output_tokens,
      all.usage_metadata.total_tokens })
  end)

  it("brings its id with the first chunk", function()
    local ids = {}
    for chunk in model({ answer_id = "chat-7" }):stream "a b" do
      ids[#ids + 1] = rawget(chunk, "id") or "none"
    end
    assert.same({ "chat-7", "none", "none" }, ids)
  end)

  it("asks for its usage, unless told not to", function()
    local _, all = streamed(model())
    assert.truthy(all.usage_metadata)
    _, all = streamed(model(nil, { stream_usage = false }))
    assert.is_nil(all.usage_metadata)
    assert.is_nil(server:requests()[2].body:find("stream_options", 1, true))
    _, all = streamed(model({ no_usage = true }))
    assert.is_nil(all.usage_metadata)
  end)

  it("is the same however it is written and cut", function()
    for _, script in ipairs({
      { eol = "cr" }, { eol = "crlf" }, { eol = "mixed" }, { no_space = true }, { multiline = true },
      { fields = true }, { bom = true }, { comments = 3 }, { keepalive = true }, { split = 1 },
      { split = 7 }, { no_role = true }, { no_last_blank = true }, { framing = "close" },
      { no_done = true }, { no_finish = true }, { http10 = true },
      { content_type = "text/plain" },
    }) do
      local texts, all = streamed(model(script))
      local name = cjson.encode(script)
      assert.equal("one two three", all.content, name)
      assert.equal("one ", texts[1], name)
      assert.equal("last", all.chunk_position, name)
    end
  end)

  it("ends with [DONE] though the server keeps the line open", function()
    local begun = native.c.now()
    local _, all = streamed(model({ content_type = "text/event-stream", framing = "chunked",
      body = "data: " .. cjson.encode(delta({ content = "a" })) .. "\n\ndata: [DONE]\n\n:", stall = 95 }))
    assert.equal("a", all.content)
    assert.is_true(native.c.now() - begun < 5)
    server:release()
  end)

  it("leaves its connection to the next call", function()
    local m = model()
    for _ = 1, 20 do streamed(m) end
    assert.is_true(server:stats().connections.accepted <= 1)
  end)

  it("keeps its order where records of many kinds follow one another", function()
    local records, expected = {}, {}
    local function add(fields, more)
      records[#records + 1] = delta(fields, more)
      expected[#expected + 1] = fields.content
    end
    for i = 1, 40 do
      for k = 1, i % 5 do add({ content = "t" .. i .. "." .. k .. " " }) end
      if i % 2 == 0 then add({ content = 'with "quotes" and\n ' }) end
      if i % 3 == 0 then add({ content = "r " }, { logprobs = cjson.null }) end
      if i % 4 == 0 then records[#records + 1] = { id = "i", choices = {} } end
      if i % 7 == 0 then add({ role = "assistant", content = "\195\164 " }) end
    end
    records[#records + 1], records[#records + 2] = STOP, "[DONE]"
    local all, err = of_records(records)
    assert.is_nil(err)
    assert.equal(table.concat(expected), all.content)
  end)

  it("passes through a chain chunk by chunk", function()
    local chain = mp.pipe(mp.ChatPromptTemplate.from_template("say {x}"), model(),
      mp.StrOutputParser())
    local texts = {}
    for text in chain:stream { x = "hi there" } do texts[#texts + 1] = text end
    assert.same({ "say ", "hi ", "there" }, texts)
  end)

  it("may be empty", function()
    local _, all = streamed(model({ answer = "" }))
    assert.equal("", all.content)
    assert.equal("stop", all.response_metadata.finish_reason)
  end)

  it("is a whole answer where the server knows no streams", function()
    local texts, all = streamed(model({ stream = "no" }))
    assert.same({ "one two three" }, texts)
    assert.equal("stop", all.response_metadata.finish_reason)
  end)

  it("cannot be of several choices", function()
    helper.raises("ChatOpenAI cannot stream 2 choices; leave n out", streamed, model(nil, { n = 2 }))
    helper.raises("ChatOpenAI cannot stream 2 choices", streamed, model():bind({ n = 2 }))
  end)

  it("sends its request when it is read, not before", function()
    local s = model():stream "x"
    mp.sleep(0.01)
    assert.equal(0, server:stats().requests)
    s:close()
    assert.equal(0, server:stats().requests)
  end)

  it("that is closed closes its connection", function()
    local s = model({ gap = "10s" }):stream "one two"
    assert.equal("one ", s:next().content)
    s:close()
    server:wait(function(stats) return stats.aborted == 1 end)
  end)

  it("keeps the order of its tokens", function()
    local tasks = {}
    local m = model({ tokens = 50 })
    for i = 1, 40 do
      tasks[i] = mp.RunnableLambda(function()
        local seen = {}
        for chunk in m:stream "x" do seen[#seen + 1] = chunk.content end
        return table.concat(seen)
      end):start()
    end
    local expected = {}
    for i = 0, 49 do expected[i + 1] = "tok" .. i end
    for _, task in ipairs(tasks) do
      assert.equal(table.concat(expected, " "), (task:wait():gsub("%s+$", "")))
    end
  end)
end)

describe("rows 24 and 55: characters of ChatOpenAI", function()
  it("that come in two pieces are put together", function()
    local piece = '{"choices":[{"delta":{"content":"%s"}}]}'
    local all = of_records({ piece:format("a\240\159"), piece:format("\152\128b"), "[DONE]" })
    assert.equal("a\240\159\152\128b", all.content)
  end)

  it("that come as two surrogates are put together", function()
    local piece = '{"choices":[{"delta":{"content":"%s"}}]}'
    local function got(...)
      local list = { ... }
      for i, text in ipairs(list) do list[i] = piece:format(text) end
      list[#list + 1] = "[DONE]"
      return of_records(list).content
    end
    assert.equal("a\240\159\144\187b", got("a\\ud83d", "\\udc3bb"))
    assert.equal("\240\159\144\187\240\159\144\187", got("\\ud83d", "\\udc3b\\ud83d", "", "\\udc3b"))
    assert.equal("a\239\191\189b", got("a\\ud83d", "b"))
    assert.equal("a\239\191\189\239\191\189", got("a\\udc3b", "\\ud83d"))
  end)

  it("are put together in the arguments of a call, too", function()
    local piece = '{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"1","function":{"name":"f",'
      .. '"arguments":"%s"}}]}}]}'
    local all = of_records({ piece:format '{\\"a\\":\\"\\ud83d', piece:format '\\udc3b\\"}', "[DONE]" })
    assert.equal('{"a":"\240\159\144\187"}', all.tool_call_chunks[1].args)
  end)

  it("that are never completed become U+FFFD", function()
    local piece = '{"choices":[{"delta":{"content":"%s"}}]}'
    local all = of_records({ piece:format("a\240\159"), piece:format("b\195"), "[DONE]" })
    assert.equal("a\239\191\189b\239\191\189", all.content)
  end)

  it("are whole in every chunk", function()
    local texts = streamed(model({ token = { "ä", "€ ", "\240\159\152\128" } }))
    assert.same({ "ä", "€ ", "\240\159\152\128", "" }, texts)
  end)
end)

describe("ChatOpenAI: streamed tool calls", function()
  local function calls_of(deltas)
    local records = {}
    for i, list in ipairs(deltas) do records[i] = delta({ tool_calls = list }) end
    records[#records + 1] = delta({}, { finish_reason = "tool_calls" })
    records[#records + 1] = "[DONE]"
    local all = assert(of_records(records))
    local out = {}
    for i, call in ipairs(all.tool_calls) do
      out[i] = call.id .. " " .. call.name .. " " .. require("moonpipe.json").encode(call.args)
    end
    return out, all
  end

  local function piece(index, id, name, arguments)
    return { index = index, id = id, type = "function",
      ["function"] = { name = name, arguments = arguments } }
  end

  it("grow by their index", function()
    local calls = calls_of({
      { piece(0, "a", "f", "") }, { piece(0, nil, nil, '{"x"') }, { piece(1, "b", "g", "{}") },
      { piece(0, nil, nil, ":1}") },
    })
    assert.same({ 'a f {"x":1}', "b g {}" }, calls)
  end)

  it("are told apart though all are numbered 0", function()
    assert.same({ 'a f {"x":1}', 'b g {"y":2}' }, calls_of({
      { piece(0, "a", "f", '{"x":1}') }, { piece(0, "b", "g", '{"y"') }, { piece(0, "b", nil, ":2}") },
    }))
  end)

  it("are told apart by their place where they have no number", function()
    assert.same({ 'a f {"x":1}', 'b g {"y":2}' }, calls_of({
      { piece(nil, "a", "f", '{"x":1}'), piece(nil, "b", "g", '{"y":2}') },
    }))
  end)

  it("get an id where they came without one", function()
    assert.same({ "call_0 f {}", "call_1 g {}" }, calls_of({
      { piece(0, nil, "f", "{}") }, { piece(0, cjson.null, "g", "") },
    }))
  end)

  it("may repeat their name and id with each piece", function()
    assert.same({ 'a f {"x":1}' }, calls_of({
      { piece(0, "a", "f", '{"x"') }, { piece(0, "a", "f", ":1}") },
    }))
  end)

  it("may bring their arguments decoded", function()
    assert.same({ 'a f {"x":1}' }, calls_of({ { piece(0, "a", "f", { x = 1 }) } }))
  end)

  it("with arguments that are no JSON are invalid, not lost", function()
    local calls, all = calls_of({ { piece(0, "a", "f", '{"x"') } })
    assert.same({}, calls[2] and calls or {})
    assert.equal('{"x"', all.tool_call_chunks[1].args)
    local whole = require("moonpipe.messages.message").to_message(all)
    assert.same({ "f", '{"x"' }, { whole.invalid_tool_calls[1].name, whole.invalid_tool_calls[1].args })
  end)

  it("become those of the message when the model is invoked", function()
    local records = { delta({ tool_calls = { piece(0, "a", "f", '{"x":1}') } }), STOP }
    local m = model({ content_type = "text/event-stream", body = "data: " .. cjson.encode(records[1])
      .. "\n\ndata: " .. cjson.encode(records[2]) .. "\n\n" }, { streaming = true })
    local answer = m:invoke "x"
    assert.same({ "f", 1 }, { answer.tool_calls[1].name, answer.tool_calls[1].args.x })
  end)
end)

describe("ChatOpenAI: what streams carry besides", function()
  it("is reasoning, refusals and log probabilities", function()
    local all = of_records({
      delta({ role = "assistant", content = "", refusal = cjson.null }),
      delta({ reasoning_content = "hm" }),
      delta({ content = "a" }, { logprobs = { content = { { token = "a", logprob = -1 } } } }),
      delta({ content = "b" }, { logprobs = { content = { { token = "b", logprob = -2 } } } }),
      STOP, "[DONE]",
    })
    assert.equal("ab", all.content)
    assert.equal("hm", all.additional_kwargs.reasoning_content)
    local logprobs = all.response_metadata.logprobs.content
    assert.same({ "a", "b", 2 }, { logprobs[1].token, logprobs[2].token, #logprobs })
  end)

  it("is usage that grows: the last counts", function()
    local all = of_records({
      { choices = { { delta = { content = "a" } } }, usage = { prompt_tokens = 3, completion_tokens = 1 } },
      { choices = { { delta = { content = "b" }, finish_reason = "stop" } },
        usage = { prompt_tokens = 3, completion_tokens = 2 } },
    })
    assert.same({ input_tokens = 3, output_tokens = 2, total_tokens = 5 }, all.usage_metadata)
  end)

  it("is nothing that the end of the answer needs", function()
    local all = of_records({ { choices = {} }, { object = "x" }, delta({ content = "a" }), STOP })
    assert.equal("a", all.content)
  end)
end)

-- Reads a stream until it fails; gives the error and the text that came.
local function failure(m, input)
  local texts = {}
  local ok, err = pcall(function()
    for chunk in m:stream(input or "one two three") do texts[#texts + 1] = chunk.content end
  end)
  assert.is_false(ok)
  return err, table.concat(texts)
end

describe("ChatOpenAI: a stream that fails", function()
  local function check(script, kind, text, opts)
    local err, seen = failure(model(script, opts))
    local name = cjson.encode(script) .. " " .. tostring(err)
    assert.same({ kind, text, seen, "openai", "gpt-5.4-mini", 1 }, { err.kind, err.partial, text,
      err.provider, err.model, err.attempts }, name)
    assert.is_true(err.elapsed >= 0 and err.elapsed < 20)
    assert.equal(1, server:stats().requests, name)
    return err
  end

  it("row 9: by an end that is none: truncated", function()
    local err = check({ no_done = true, no_finish = true }, "truncated", "one two three")
    assert.equal("the stream ended before the answer did", err.message)
  end)

  it("with all of its text, be it long or of as many pieces as are joined", function()
    for _, count in ipairs { 64, 65, 128, 1000 } do
      local words = {}
      for i = 1, count do words[i] = ("w%d"):format(i) end
      local text = table.concat(words, " ")
      local err, seen = failure(model { no_done = true, no_finish = true }, text)
      assert.equal("truncated", err.kind)
      assert.equal(seen, err.partial)
      assert.truthy(#seen >= 200)
    end
  end)

  it("by an end that is none, however the body is framed", function()
    check({ no_done = true, no_finish = true, framing = "close" }, "truncated", "one two three")
  end)

  it("row 8: by a reset", function()
    local err, seen = failure(model({ gap = 20, reset = 700 }))
    assert.equal("reset", err.kind)
    assert.equal(seen, err.partial)
    assert.truthy(("one two three"):sub(1, #seen) == seen and #seen > 0)
  end)

  it("row 7: by a silence: timeout_idle", function()
    local err = check({ stall = 700 }, "timeout_idle", "one ", { timeout = { idle = 0.2 } })
    assert.truthy(err.elapsed >= 0.2 and err.elapsed < 1.2)
    server:release()
  end)

  it("row 6: by comments that bring nothing: timeout_idle", function()
    local err = failure(model({ comments = "endless", gap = 20 }, { timeout = { idle = 0.2,
      first_byte = 0.3 } }))
    assert.truthy(err.kind == "timeout_idle" or err.kind == "timeout_first_byte", tostring(err))
  end)

  it("row 6: by taking too long: timeout_total", function()
    local err = check({ gap = 150 }, "timeout_total", "one two ", { timeout = 0.25 })
    assert.is_true(err.elapsed < 1.25)
  end)

  it("row 11: by a record that is no JSON: protocol", function()
    local err = check({ bad_json = true, after = 2 }, "protocol", "one two ")
    assert.truthy(err.message:find("a record of the stream is no JSON object", 1, true))
  end)

  it("by a record that is no object", function()
    local _, err = of_records({ delta({ content = "a" }), "[1]x" })
    assert.same({ "protocol", "a" }, { err.kind, err.partial })
    _, err = of_records({ "3" })
    assert.equal("a record of the stream is no JSON object: number: 3", err.message)
  end)

  it("row 22: by an error in it, mapped as its status would be", function()
    check({ error = "server_error", message = "broke", after = 1 }, "http", "one ")
    server:reset()
    check({ error_json = '{"error":{"code":429,"message":"slow"}}', after = 2 }, "rate_limit",
      "one two ")
    server:reset()
    check({ error = "insufficient_quota", after = 0 }, "quota", "")
    server:reset()
    check({ error = "context_length_exceeded", error_event = true, after = 1 }, "context_length",
      "one ")
    server:reset()
    check({ error_json = '{"object":"error","message":"x","code":400}', after = 1 },
      "refused_request", "one ")
  end)

  it("by an error event that is no JSON", function()
    local body = "data: " .. cjson.encode(delta({ content = "a" })) .. "\n\nevent: error\ndata: it broke\n\n"
    local err = failure(model({ content_type = "text/event-stream", body = body }))
    assert.same({ "http", "it broke", "a" }, { err.kind, err.message, err.partial })
  end)

  it("keeps the request id", function()
    local err = failure(model({ no_done = true, no_finish = true, request_id = "req-9" }))
    assert.equal("req-9", err.request_id)
  end)

  it("after the finish reason has not failed", function()
    local _, all = streamed(model({ no_done = true, framing = "close" }))
    assert.equal("stop", all.response_metadata.finish_reason)
  end)

  it("in a chain says so with its place", function()
    local chain = mp.pipe(mp.ChatPromptTemplate.from_template("{x}"),
      model({ no_done = true, no_finish = true }), mp.StrOutputParser())
    local ok, err = pcall(function() return chain:stream({ x = "hi" }):collect() end)
    assert.is_false(ok)
    assert.same({ "truncated", "hi", "step 2 of 3 ChatOpenAI" }, { err.kind, err.partial, err.path })
  end)
end)
