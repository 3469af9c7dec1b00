-- Cassettes: failures, retries and cancels are played as they were; what is secret is not there.
local calls = require "spec.support.calls"
local cjson = require "cjson"
local errors = require "moonpipe.error"
local helper = require "spec.helper"
local http = require "moonpipe.http.http"
local mp = require "moonpipe"
local native = require "moonpipe.native"
local server = require("spec.support.server").use()

local now = native.c.now

local model = calls.models(server, { max_retries = 0 })

local function recorded(fn, opts)
  local path = helper.fresh()
  opts = opts or {}
  opts.mode = "record"
  return path, mp.cassette(path, opts, fn)
end

local function played(path, fn, opts)
  opts = opts or {}
  opts.mode = "replay"
  return mp.cassette(path, opts, fn)
end

local function lines(path)
  local list = {}
  for line in io.lines(path) do list[#list + 1] = cjson.decode(line) end
  return list
end

-- What a stream gave: its texts and its error.
local function streamed(m)
  local list = {}
  local ok, err = pcall(function()
    for chunk in m:stream "one two three" do list[#list + 1] = chunk.content end
  end)
  return list, not ok and err or nil
end

local FIELDS = { "kind", "message", "status", "request_id", "retry_after", "retryable", "attempts", "partial" }

local function same_error(live, again)
  for _, field in ipairs(FIELDS) do assert.equal(live[field], again[field], field) end
end

after_each(function() http.insert(nil) end)

describe("cassette: failures", function()
  it("of the server are played with all that it said", function()
    for _, script in ipairs {
      { status = 429, error = "rate_limit_exceeded", header = "Retry-After: 300" },
      { status = 429, header = { "Retry-After: Sun, 06 Nov 2094 08:49:37 GMT",
        "Date: Sun, 06 Nov 2094 08:40:00 GMT" } },
      { status = 500, header = "x-should-retry: false" }, { status = 503, html = true },
      { status = 401, error = "invalid_api_key" }, { redirect = "https://user@other.test/x?key=7" },
      { status = 400, message = "maximum context length is 5 tokens" }, { body = "" }, { body = "<html>" },
    } do
      local m = model(script)
      local function failed() return helper.failure(m.invoke, m, "x") end
      local path, live = recorded(failed)
      same_error(live, played(path, failed))
      local function failed_stream() return select(2, streamed(m)) end
      path, live = recorded(failed_stream)
      same_error(live, played(path, failed_stream))
    end
  end)

  it("of the transport are raised anew", function()
    for _, base_url in ipairs { server.closed_url .. "/v1", server:with("cut=h10"), server:with("reset=10"),
      server:with("cut=20") } do
      local m = model(nil, { base_url = base_url })
      local function failed() return helper.failure(m.invoke, m, "x") end
      local path, live = recorded(failed)
      assert.equal(live.kind, lines(path)[2].failure.kind)
      same_error(live, played(path, failed))
    end
  end)

  it("inside of a stream come after what had come", function()
    for _, script in ipairs { "cut=500", "end=500", "error=server_error; after=2", "bad_json; after=2" } do
      local m = model(script)
      local function failed() return { streamed(m) } end
      local path, live = recorded(failed)
      local again = played(path, failed)
      assert.truthy(live[2], script)
      assert.same(live[1], again[1])
      same_error(live[2], again[2])
    end
  end)

  it("of time are of the server's time", function()
    local m = model({ delay = "2s" }, { timeout = 0.2 })
    local function failed() return helper.failure(m.invoke, m, "x") end
    local path, live = recorded(failed)
    assert.equal("timeout_total", live.kind)
    local begun = now()
    same_error(live, played(path, failed))
    assert.is_true(now() - begun < 0.2)
  end)

  it("of our own are not recorded", function()
    local m = model()
    local live = http.send_live
    local path = recorded(function()
      http.send_live = function() errors.raise("memory", "no memory is left") end
      local err = helper.failure(m.invoke, m, "x")
      http.send_live = live
      assert.equal("memory", err.kind)
      m:invoke "y"
    end)
    assert.same({ 2, "y" }, { #lines(path), lines(path)[2].request.body.messages[1].content })
  end)
end)

describe("cassette: retries", function()
  it("are exchanges of their own, played without a pause", function()
    local base_url = server:lane("retries", { { status = 429, header = "Retry-After: 1" },
      { status = 503, header = "Retry-After: 1" }, "answer=done" })
    local m = model(nil, { base_url = base_url, max_retries = 2 })
    local path, live = recorded(function() return m:invoke("x").content end)
    assert.same({ "done", 4 }, { live, #lines(path) })
    for _ = 1, 20 do -- no budget is used up
      local begun = now()
      assert.equal("done", played(path, function() return m:invoke("x").content end))
      assert.is_true(now() - begun < 0.5)
    end
    local begun = now() -- nor has a gate been held
    m:invoke "y"
    assert.is_true(now() - begun < 0.9)
  end)

  it("of steps around the model are too", function()
    local base_url = server:lane("steps", { "status=500", "status=500", "answer=done" })
    local m = model(nil, { base_url = base_url }):with_retry { stop_after_attempt = 3 }
    local path, live = recorded(function() return m:invoke("x").content end)
    local begun = now()
    assert.equal(live, played(path, function() return m:invoke("x").content end))
    assert.is_true(now() - begun < 0.3)
  end)

  it("leave a rate limiter alone", function()
    local limiter = mp.RateLimiter { requests_per_minute = 1, tokens_per_minute = 1000 }
    local base_url = server:lane("rate", { { answer = "a", header = "x-ratelimit-remaining-requests: 0" }, "answer=b" })
    local bare = model(nil, { base_url = base_url })
    local path = recorded(function() return { bare:invoke("x").content, bare:invoke("x").content } end)
    local m = model(nil, { base_url = base_url, rate_limiter = limiter })
    local begun = now()
    assert.same({ "a", "b" }, played(path, function() return { m:invoke("x").content, m:invoke("x").content } end))
    assert.is_true(now() - begun < 5)
  end)
end)

describe("cassette: cancelled calls", function()
  local stream = require "moonpipe.cassettes.stream"
  local grace = stream.grace

  before_each(function() stream.grace = 0.3 end)
  after_each(function() stream.grace = grace end)

  it("play what had come of them", function()
    local m = model({ tokens = 50, gap = "5" })
    local function first_two()
      local list = {}
      for chunk in m:stream "one two three" do
        list[#list + 1] = chunk.content
        if #list == 2 then break end
      end
      return list
    end
    local path, live = recorded(function()
      return first_two()
    end)
    assert.is_true(lines(path)[2].cancelled)
    assert.same(live, played(path, first_two))
    local list, err = played(path, function() return streamed(m) end)
    assert.same(live, { list[1], list[2] })
    assert.equal("io", err.kind)
  end)

  it("wait to be cancelled again, and not for ever", function()
    local m = model "never"
    local path = recorded(function()
      local task = m:start "x"
      mp.sleep(0.02)
      task:cancel()
      task:wait()
    end)
    assert.is_true(lines(path)[2].cancelled)
    local _, err = played(path, function()
      local task = m:start "x"
      mp.sleep(0.02)
      assert.equal("running", task:status())
      task:cancel()
      return task:wait()
    end)
    assert.equal("cancelled", err.kind)
    err = played(path, function() return helper.failure(m.invoke, m, "x") end)
    assert.same({ "io", "this call was cancelled when it was recorded, and nothing cancels it now" },
      { err.kind, err.message })
  end)

  it("fail as their siblings did", function()
    local map = mp.RunnableParallel {
      slow = model "never",
      bad = model { status = 400, message = "no", delay = 50 },
    }
    local function failed() return helper.failure(map.invoke, map, "x") end
    local path, live = recorded(failed)
    local again = played(path, failed)
    same_error(live, again)
    assert.equal("map.bad", again.path:match "^map%.%a+")
  end)

  it("lose against their hedge again", function()
    local base_url = server:lane("hedge", { "never", "answer=second" })
    local m = model(nil, { base_url = base_url }):with_hedge { after = 0.1 }
    local path, live = recorded(function() return m:invoke("x").content end)
    assert.same({ "second", 3, true }, { live, #lines(path), lines(path)[2].cancelled })
    assert.equal(live, played(path, function() return m:invoke("x").content end))
  end)

  it("that are under way at the end are told and left out", function()
    local path = helper.fresh()
    local _, err = helper.moonpipe({ "-e", ([[local mp = require "moonpipe"
      local tape = mp.cassette(%q)
      local m = mp.ChatOpenAI { base_url = %q }
      m:invoke "x"
      mp.ChatOpenAI { base_url = %q }:start "x"
      mp.sleep(0.05)
      tape:close()
      os.exit(0)]]):format(path, server.base_url, server:with("never")) })
    assert.truthy(err:find("1 calls were still under way when the cassette '" .. path
      .. "' was closed; it does not have them", 1, true), err)
    assert.equal(2, #lines(path))
  end)
end)

describe("cassette: timing", function()
  it("is not recorded unless asked for, and then played", function()
    local m = model({ tokens = 3, gap = 60, delay = 60 })
    local function asked() return streamed(m) end
    local path = recorded(asked)
    assert.is_nil(lines(path)[2].times)
    local begun = now()
    played(path, asked, { timing = true })
    assert.is_true(now() - begun < 0.1)
    path = recorded(asked, { timing = true })
    assert.is_true(#lines(path)[2].times > 3)
    begun = now()
    local list = played(path, asked, { timing = true })
    assert.is_true(now() - begun >= 0.15)
    assert.same({ "tok0 ", "tok1 ", "tok2", "" }, list)
    begun = now()
    played(path, asked)
    assert.is_true(now() - begun < 0.1)
  end)

  it("lets a stream be closed between two pieces", function()
    local m = model({ tokens = 3, gap = 300 })
    local path = recorded(function() return streamed(m) end, { timing = true })
    local begun = now()
    played(path, function()
      assert.equal("tok0 ", m:stream("one two three")().content)
    end, { timing = true })
    assert.is_true(now() - begun < 0.6)
  end)

  it("holds a slot of a run until the stream has ended", function()
    local m = model({ tokens = 3, gap = 20 })
    local path = recorded(function() return streamed(m) end, { timing = true })
    helper.write(path, helper.read(path) .. helper.read(path):match("\n(.*)$"))
    local parts = played(path, function()
      return mp.RunnableLambda(function() return table.concat(streamed(m)) end):batch({ 1, 2 }, { max_concurrency = 1 })
    end, { timing = true })
    assert.same({ "tok0 tok1 tok2", "tok0 tok1 tok2" }, { parts[1], parts[2] })
  end)
end)

describe("cassette: other framings", function()
  calls.it("are recorded and played as records", function()
    local script = { content_type = "application/x-ndjson", body = '{"a":1}\n{"a":2}\n{"a":', split = 5, pause = "10" }
    local plan = calls.plan(server:with(script))
    local function read()
      return calls.read(http.open(plan, "{}", now() + 5, nil, "ndjson"))
    end
    local path, live = recorded(read)
    assert.same({ '{"a":1}', '{"a":2}', '{"a":' }, live)
    assert.same(live, played(path, read))
    assert.is_true(#lines(path)[2].response.stream > 1)
    -- a body that is no stream, and one that http.send plays whole
    assert.equal(script.body, played(path, function() return http.send(plan, "{}").body end))
  end)

  calls.it("refuse an event that is too large, while it is recorded and when it is played", function()
    local m = model({ huge = "9m", shape = "event", stream = "yes" })
    local function failed() return select(2, streamed(m)) end
    local path, live = recorded(failed)
    assert.equal("too_large", live.kind)
    assert.equal("too_large", played(path, failed).kind)
  end, 60)
end)

-- ---- what is secret ----------------------------------------------------------------------

local CANARY = "sk-canary-7f3a9c51e2d84b60"

local function check(text)
  assert.is_true(#text > 20)
  assert.is_nil(text:find("canary", 1, true), text)
  assert.is_nil(text:find("7f3a9c51", 1, true), text)
end

describe("cassette: a canary key", function()
  local function record_in_child(script, input)
    local path = helper.fresh()
    local out, err = helper.moonpipe({ "-e", ([[local mp = require "moonpipe"
      mp.cassette(%q)
      local m = mp.ChatOpenAI { max_retries = 0, default_query = { key = "%s", v = "1" },
        default_headers = { Cookie = "id=%s", ["api-key"] = "%s" } }
      m:try_invoke(%q)
      pcall(function() m:stream(%q):collect() end)
      print(#tostring(select(2, pcall(function() return m:invoke "x" end))))]]):format(path, CANARY, CANARY,
      CANARY, input, input) }, nil, { OPENAI_API_KEY = CANARY, OPENAI_BASE_URL = server:with(script) })
    check(out .. err .. (" "):rep(21))
    return path
  end

  it("is not on the cassette, whoever says it", function()
    local echo = "Bearer " .. CANARY
    for _, script in ipairs {
      { header = { "Set-Cookie: id=" .. CANARY, "x-request-id: " .. CANARY, "x-other: " .. CANARY } },
      { status = 401, message = echo }, { answer = echo }, { body = echo }, { cut = "h30" },
      { redirect = "https://" .. CANARY .. "@x.test/" .. CANARY .. "?a=" .. CANARY },
      { content_type = "text/event-stream", split = 9, pause = "1",
        body = "data: " .. cjson.encode { choices = { { delta = { content = echo } } } } .. "\n\ndata: [DONE]\n\n" },
    } do
      local path = record_in_child(script, "my key is " .. CANARY)
      check(helper.read(path))
      assert.truthy(helper.read(path):find("?key=…&v=1", 1, true))
    end
  end)

  it("is needed by nobody who plays", function()
    local path = helper.fresh()
    local script = ([[local mp = require "moonpipe"
      local json = require "moonpipe.json"
      mp.cassette(%q, { mode = ... }, function()
        print(mp.ChatOpenAI():invoke("hi").content)
        print(mp.ChatOpenAI { base_url = arg[2] }:invoke("hi").content)
        print(mp.ChatOpenAI { api_key = mp.getpass "OPENAI_API_KEY" }:invoke("hi").content)
        print(#mp.OpenAIEmbeddings():embed_query "hi")
      end)]]):format(path)
    local url = server.base_url
    local file = helper.temp(script)
    local live, err = helper.moonpipe({ file, "record", url }, nil, { OPENAI_API_KEY = CANARY, OPENAI_BASE_URL = url })
    assert.equal(4, select(2, live:gsub("\n", "")), err)
    helper.write(path, (helper.read(path):gsub(url:gsub("%p", "%%%0"), "https://api.openai.com/v1")))
    local again
    again, err = helper.moonpipe({ file, "replay", "https://api.openai.com/v1" }, nil,
      { OPENAI_API_KEY = false, OPENAI_BASE_URL = false })
    assert.equal(live, again, err)
    local _, refused = helper.moonpipe({ "-e", "require('moonpipe').ChatOpenAI()" }, nil,
      { OPENAI_API_KEY = false })
    assert.truthy(refused:find("ChatOpenAI needs a key", 1, true), refused)
  end)

  it("of the user's own kind is taken out by redact, and requests are still found", function()
    local function redact(text) return (text:gsub("%w+@%w+%.test", "mail")) end
    local m = model({ answer = "write to me@home.test" })
    local path = recorded(function() return m:invoke "I am me@home.test" end, { redact = redact })
    assert.is_nil(helper.read(path):find("@home", 1, true))
    assert.equal("write to mail", played(path, function()
      return m:invoke("I am you@work.test").content
    end, { redact = redact }))
    local err = helper.failure(recorded, function() return m:invoke "x" end, { redact = function() end })
    assert.same({ "config", true }, { err.kind, err.message:find("redact of a cassette must return", 1, true) ~= nil })
  end)
end)
