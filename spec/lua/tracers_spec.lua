-- What is written of runs: timeline, Chrome trace, run log, OpenTelemetry.
local json = require "moonpipe.json"
local log = require "moonpipe.log"
local mp = require "moonpipe"
local server = require "spec.support.server"
local steps = require "spec.support.steps"

local named = steps.named

local function id(x) return x end

local function read(path)
  local file = assert(io.open(path))
  local text = file:read("*a")
  file:close()
  os.remove(path)
  return text
end

local chain = mp.RunnableParallel { a = named("one", id), b = named("two", id) }
  :pipe(named("three", function() return "SECRET" end))

local function fails(step, input, config)
  local _, err = step:try_invoke(input, config)
  return err
end

describe("TimelineTracer", function()
  it("writes a call as a tree when it has ended", function()
    local path = os.tmpname()
    chain:invoke("SECRET", { callbacks = { mp.TimelineTracer(path) } })
    local text = read(path)
    local labels = {}
    for line in text:gmatch("[^\n]+") do
      labels[#labels + 1] = line:match("^(.-)%s+%d+%.%d+ s |[= ]+|")
    end
    assert.same({ "RunnableSequence", "  RunnableParallel<a,b>", "    a: one", "    b: two",
      "  three" }, labels)
    assert.is_nil(text:find("SECRET"))
  end)

  it("shows tokens, first tokens, errors, and contents if asked", function()
    local path = os.tmpname()
    local answer = mp.AIMessage { content = "ab", usage_metadata = { input_tokens = 3,
      output_tokens = 5, total_tokens = 8 } }
    local model = mp.GenericFakeChatModel { messages = { answer, answer } }
    model:invoke("q", { callbacks = { mp.TimelineTracer(path, { contents = true }) } })
    local text = read(path)
    assert.is_truthy(text:find("3+5 tokens", 1, true))
    assert.is_truthy(text:find('"q" -> AIMessage', 1, true))
    model:stream("q", { callbacks = { mp.TimelineTracer(path) } }):collect()
    assert.is_truthy(read(path):find("first 0.", 1, true))
    fails(named("bad", function() error("no\nway", 0) end), 1,
      { callbacks = { mp.TimelineTracer(path) } })
    assert.is_truthy(read(path):find("lua: no way", 1, true))
  end)

  it("counts what is too much to show", function()
    local path = os.tmpname()
    local many = {}
    for i = 1, 300 do many[i] = named("x", id) end
    mp.RunnableParallel(many):invoke(1, { callbacks = { mp.TimelineTracer(path) } })
    assert.is_truthy(read(path):find("\n(101 more)\n", 1, true))
  end)

  it("says where it cannot write", function()
    local ok, err = pcall(mp.TimelineTracer, "/nonexistent/file")
    assert.is_false(ok)
    assert.equal("io", err.kind)
    assert.is_truthy(err.message:find("TimelineTracer cannot write: /nonexistent/file", 1, true))
    ok, err = pcall(mp.TimelineTracer, 5)
    assert.is_false(ok)
    assert.is_truthy(err:find("TimelineTracer takes a path or a file, got", 1, true))
  end)
end)

describe("ChromeTracer", function()
  it("is a whole file after each call, with a lane for each branch", function()
    local path = os.tmpname()
    local tracer = mp.ChromeTracer(path)
    local lanes = {}
    for calls = 1, 2 do
      chain:invoke("SECRET", { callbacks = { tracer } })
      local text = assert(io.open(path)):read("*a")
      local events = json.decode(text).traceEvents
      assert.equal(5 * calls, #events)
      for _, event in ipairs(events) do
        lanes[event.name] = event.tid
        assert.equal("X", event.ph)
        assert.is_truthy(event.dur >= 0 and event.ts > 1e15)
      end
      assert.is_nil(text:find("SECRET"))
    end
    os.remove(path)
    assert.equal(lanes.RunnableSequence, lanes.three)
    assert.not_equal(lanes.one, lanes.RunnableSequence)
  end)

  it("gives branches that run at once lanes of their own", function()
    local path = os.tmpname()
    local function slow() mp.sleep(0.005) end
    local map = mp.RunnableParallel { a = named("a", slow), b = named("b", slow),
      c = named("c", slow) }
    map:invoke(1, { callbacks = { mp.ChromeTracer(path, { contents = true }) } })
    local seen = {}
    for _, event in ipairs(json.decode(read(path)).traceEvents) do
      assert.is_nil(seen[event.tid])
      seen[event.tid] = true
    end
  end)
end)

describe("RunLog", function()
  it("appends a line for each run", function()
    local path = os.tmpname()
    local callback = mp.RunLog(path)
    chain:invoke("SECRET", { callbacks = { callback }, run_name = "top" })
    fails(named("bad", function() error("no", 0) end), 1, { callbacks = { callback } })
    local text, lines = read(path), {}
    for line in text:gmatch("[^\n]+") do lines[#lines + 1] = json.decode(line) end
    assert.equal(6, #lines)
    local root = lines[5]
    assert.equal("top", root.name)
    assert.equal(root.id, lines[1].trace_id)
    assert.is_nil(root.parent_id)
    assert.same({ "seq:step:2" }, { lines[4].tags[1] })
    assert.is_truthy(root["end"] >= root.start and root.start > 1e9)
    assert.equal("lua: no", lines[6].error)
    assert.is_nil(text:find("SECRET"))
  end)

  it("writes inputs and outputs if asked, also such as have no JSON", function()
    local path = os.tmpname()
    named("f", function() return print end):invoke({ a = mp.HumanMessage "hi" },
      { callbacks = { mp.RunLog(path, { contents = true }) } })
    local line = json.decode(read(path))
    assert.equal("hi", line.inputs.a.content)
    assert.equal("string", type(line.outputs))
  end)
end)

describe("OTLPTracer", function()
  local s = server.use { keep = 100000 }

  local function endpoint(lane, script)
    return (s:lane(lane, script):gsub("/v1$", ""))
  end

  local function attribute(span, name)
    for _, one in ipairs(span.attributes) do
      if one.key == name then
        return one.value.stringValue or tonumber(one.value.intValue) or one.value
      end
    end
  end

  local function spans_of(request)
    local spans = {}
    for _, span in ipairs(json.decode(request.body).resourceSpans[1].scopeSpans[1].spans) do
      spans[span.name] = span
    end
    return spans
  end

  it("sends each call as the spans of one trace", function()
    local base = s:lane("model", { usage = "3,5" })
    local model = mp.ChatOpenAI { base_url = base, api_key = "SECRETKEY", model = "gpt-test" }
    local tracer = mp.OTLPTracer { endpoint = endpoint("otlp", { body = "{}" }) .. "/",
      headers = { ["x-team"] = "7" } }
    local traced = mp.RunnableSequence(named("ask", id), model, mp.StrOutputParser())
    traced:invoke("SECRET", { callbacks = { tracer } })
    tracer.flush()
    local sent = s:requests()
    sent = sent[#sent]
    assert.equal("/v1/traces", sent.path:match("/v1/traces$"))
    assert.equal("7", sent.headers["x-team"])
    assert.is_nil(sent.body:find("SECRET"))
    local spans = spans_of(sent)
    local root, chat = spans.RunnableSequence, spans["chat gpt-test"]
    assert.is_truthy(root.traceId:find("^%x+$") and #root.traceId == 32 and #root.spanId == 16)
    assert.equal(root.traceId, chat.traceId)
    assert.equal(root.spanId, chat.parentSpanId)
    assert.is_nil(root.parentSpanId)
    assert.equal(3, chat.kind)
    assert.equal("chat", attribute(chat, "gen_ai.operation.name"))
    assert.equal("openai", attribute(chat, "gen_ai.provider.name"))
    assert.equal(3, attribute(chat, "gen_ai.usage.input_tokens"))
    assert.equal(5, attribute(chat, "gen_ai.usage.output_tokens"))
    assert.equal("string", type(chat.startTimeUnixNano))
    assert.is_truthy(#chat.startTimeUnixNano == 19 and chat.endTimeUnixNano >= chat.startTimeUnixNano)
  end)

  it("marks spans that failed, and sends contents if asked", function()
    local tracer = mp.OTLPTracer { endpoint = endpoint("otlp", { body = "{}" }), contents = true }
    fails(named("bad", function() error("no", 0) end), "visible", { callbacks = { tracer } })
    tracer.flush()
    local sent = s:requests()
    local bad = spans_of(sent[#sent]).bad
    assert.same({ code = 2, message = "lua: no" }, bad.status)
    assert.equal("lua", attribute(bad, "error.type"))
    assert.equal('"visible"', attribute(bad, "moonpipe.inputs"))
  end)

  it("sends calls that end meanwhile together", function()
    local tracer = mp.OTLPTracer { endpoint = endpoint("otlp", { body = "{}", delay = 50 }) }
    for _ = 1, 20 do chain:invoke(1, { callbacks = { tracer } }) end
    tracer.flush()
    assert.is_truthy(s:stats().lanes.otlp.requests <= 3)
  end)

  it("goes on after a call of which no JSON can be made", function()
    local written = {}
    log.sink = function(_, text) written[#written + 1] = text return true end
    local tracer = mp.OTLPTracer { endpoint = endpoint("otlp", { body = "{}" }) }
    local odd = mp.AIMessage { content = "x", usage_metadata = { input_tokens = 0 / 0 } }
    mp.GenericFakeChatModel({ messages = { odd } }):invoke("hi", { callbacks = { tracer } })
    tracer.flush()
    log.sink = nil
    assert.equal(1, #written)
    assert.matches("traces cannot be sent to .-nan", written[1])
    chain:invoke(1, { callbacks = { tracer } })
    tracer.flush()
    assert.is_truthy(spans_of(s:requests()[#s:requests()]).RunnableSequence)
  end)

  it("reports an export that fails once, and fails no call", function()
    local written = {}
    log.sink = function(_, text)
      written[#written + 1] = text
      return true
    end
    local refused = mp.OTLPTracer { endpoint = s.closed_url }
    local unhappy = mp.OTLPTracer { endpoint = endpoint("otlp", { status = 500 }) }
    for _ = 1, 2 do
      assert.equal("SECRET", chain:invoke(1, { callbacks = { refused, unhappy } }))
      refused.flush()
      unhappy.flush()
    end
    log.sink = nil
    table.sort(written)
    assert.equal(2, #written)
    local text = table.concat(written)
    assert.is_truthy(text:find("/v1/traces: connect", 1, true))
    assert.is_truthy(text:find("/v1/traces: it answered with status 500", 1, true))
  end)
end)
