-- One attempt of a call, whole or as a stream, against the test server. What the
-- network does to it stands in faults_spec.lua.
local calls = require "spec.support.calls"
local cjson = require "cjson"
local helper = require "spec.helper"
local http = require "moonpipe.http.http"
local mp = require "moonpipe"
local native = require "moonpipe.native"
local secret = require "moonpipe.secret"

local server = require("spec.support.server").use()
local it = calls.it

local function last_request()
  local list = server:requests()
  return list[#list]
end

describe("http.send", function()
  it("gives status, body and headers", function()
    local answer = calls.send(server:with({ request_id = "r-7", status = 201 }))
    assert.equal(201, answer.status)
    assert.equal("one two three", cjson.decode(answer.body).choices[1].message.content)
    assert.equal("r-7", answer.header("x-request-id"))
    assert.is_nil(answer.header("x-other"))
  end)

  it("does not take a status for a failure", function()
    for _, status in ipairs({ 204, 302, 404, 429, 500 }) do
      assert.equal(status, calls.send(server:with({ status = status })).status)
    end
  end)

  it("reads headers however they are written", function()
    local answer = calls.send(server:with({ header = { "X-A:1", "X-b: \t two words \t", "X-C:" } }))
    assert.equal("1", answer.header("x-a"))
    assert.equal("two words", answer.header("x-b"))
    assert.equal("", answer.header("x-c"))
  end)

  it("gives an empty body as an empty text", function()
    assert.equal("", calls.send(server:with("empty")).body)
    assert.equal("", calls.send(server:with({ status = 204 })).body)
  end)

  it("posts its body, byte for byte", function()
    local body = '{"model":"m","messages":[{"role":"user","content":"ä \\u0000"}]}' .. " \0\255"
    http.send(calls.plan(server.base_url), body)
    local request = last_request()
    assert.same({ "POST", #body }, { request.method, request.body_size })
    assert.equal(tostring(#body), request.headers["content-length"])
  end)

  it("posts megabytes at once, without asking first", function()
    local text = ("x"):rep(3 * 1024 * 1024)
    local answer = http.send(calls.plan(server.base_url), calls.body(text))
    assert.equal(200, answer.status)
    assert.is_nil(last_request().headers.expect)
  end)

  it("gets where there is no body", function()
    local answer = http.send(http.plan { url = server.base_url .. "/models", proxy = "" })
    assert.equal("list", cjson.decode(answer.body).object)
    assert.equal("GET", last_request().method)
  end)

  it("uses the method that it is told", function()
    local plan = http.plan { url = server.base_url .. "/models", method = "DELETE", proxy = "" }
    http.send(plan)
    assert.equal("DELETE", last_request().method)
    http.send(http.plan { url = server.base_url .. "/models", proxy = "" })
    assert.equal("GET", last_request().method)
  end)

  it("sends headers, and secrets in them", function()
    local headers = { { "X-One", "1" }, { "Authorization", secret.prefixed(secret.of("sk-1"),
      "Bearer ") }, { "Content-Type", "application/json" } }
    calls.send(server.base_url, { headers = headers })
    local seen = last_request().headers
    assert.same({ "1", "Bearer sk-1" }, { seen["x-one"], seen.authorization })
    assert.equal("moonpipe/" .. native.c.version, seen["user-agent"])
  end)

  it("keeps the headers of plans apart, though their calls share connections", function()
    for i = 1, 6 do
      calls.send(server.base_url, { headers = { { "Content-Type", "application/json" },
        { "X-Call", tostring(i) } } })
      assert.equal(tostring(i), last_request().headers["x-call"])
    end
    local list = server:requests()
    assert.equal(list[1].connection, list[6].connection)
  end)

  it("takes what is compressed", function()
    local answer = calls.send(server:with({ gzip = true, body = ("ab"):rep(1000) }))
    assert.equal(("ab"):rep(1000), answer.body)
  end)

  it("asks for compression where there is a network between", function()
    calls.send(server.base_url)
    assert.is_nil(last_request().headers["accept-encoding"])
    calls.send((server.base_url:gsub("127%.0%.0%.1", "0.0.0.0")))
    assert.matches("gzip", last_request().headers["accept-encoding"])
  end)

  it("leaves the name of the client to who gives one", function()
    calls.send(server.base_url, { headers = { { "user-agent", "mine" } } })
    assert.equal("mine", last_request().headers["user-agent"])
  end)

  it("sends 64 headers, and refuses more", function()
    local headers = {}
    for i = 1, 64 do headers[i] = { "X-" .. i, "1" } end
    calls.send(server.base_url, { headers = headers })
    assert.equal("1", last_request().headers["x-64"])
    headers[65] = { "X-65", "1" }
    local err = helper.failure(calls.plan, server.base_url, { headers = headers })
    assert.same({ "too_large", "a request has at most 64 headers, not 65" },
      { err.kind, err.message })
    err = helper.failure(calls.plan, server.base_url, { headers = {
      { "X-1", ("x"):rep(64 * 8192) } } })
    assert.same({ "too_large", "the headers of a request are more than 524288 bytes" },
      { err.kind, err.message })
  end)

  it("gives bytes as they are", function()
    local bytes = "\0a\255\192\128\r\n\r\nä"
    assert.equal(bytes, calls.send(server:with({ body = bytes })).body)
  end)

  it("is an await: others run meanwhile", function()
    local map = mp.RunnableParallel({
      a = function() return calls.send(server:with({ delay = 30 })).status end,
      b = function() return calls.send(server:with({ delay = 30 })).status end,
    })
    assert.same({ a = 200, b = 200 }, map:invoke(1))
    assert.equal(2, server:stats().peak)
  end)

  it("has no limit where a time is endless", function()
    local endless = { connect = math.huge, idle = math.huge }
    assert.equal(200, calls.send(server.base_url, endless, math.huge).status)
    assert.equal(200, calls.send(server.base_url, { connect = 1e13, idle = 1e13 }, 1e13).status)
  end)

  it("begins nothing when its time is over", function()
    local err = helper.failure(calls.send, server.base_url, nil, -1)
    assert.equal("timeout_total", err.kind)
    assert.equal("no time is left for another attempt", err.message)
    assert.equal(0, server:stats().requests)
  end)
end)

describe("http.open", function()
  it("gives records with their names", function()
    local body = "data: one\n\nevent: e\ndata: two\ndata: three\n\n"
    local reader = calls.open(server:with({ body = body, content_type = "text/event-stream" }))
    assert.same({ 200, nil }, { reader.status, reader.body })
    assert.same({ "one", "" }, { reader:read() })
    assert.same({ "two\nthree", "e" }, { reader:read() })
    assert.is_nil(reader:read())
    assert.is_nil(reader:read())
  end)

  it("gives the head before the first record is read", function()
    local reader = calls.open(server:with({ request_id = "r-1" }))
    assert.equal("r-1", reader.header("x-request-id"))
    assert.same({ "one two three", true }, { calls.text(calls.read(reader)) })
  end)

  it("gives the head of a stream that fails before its first record", function()
    local reader = calls.open(server:with({ stall = 0, request_id = "r-1" }), nil, 0.05)
    assert.equal("r-1", reader.header("x-request-id"))
    local records, err = calls.read(reader)
    assert.same({ 0, "timeout_total" }, { #records, err.kind })
  end)

  it("gives lines of NDJSON", function()
    local reader = calls.open(server:with({ body = '{"a":1}\n\n{"a":2}\r\n{"a":3}',
      content_type = "application/x-ndjson" }), nil, nil, "ndjson")
    assert.same({ '{"a":1}', '{"a":2}', '{"a":3}' }, calls.read(reader))
  end)

  it("gives the texts of records that are framed alike, as far as they are there", function()
    local records = { "[a]", "[bc]", "[\195\164]", "[]", "[d]", "event: e\ndata: [e]", "[f]x",
      '["]', "[\\u0041]", "[\195]", "[g]" }
    for i, data in ipairs(records) do
      records[i] = (data:find("^event") and data or "data: " .. data) .. "\n\n"
    end
    local reader = calls.open(server:with({ body = table.concat(records),
      content_type = "text/event-stream" }))
    local function texts()
      local list = {}
      local count, first = reader:texts("[", "]", list)
      if count < 2 then
        assert.same({}, list) -- nothing is written for a single one
        return { first }
      end
      assert.same({ count, first }, { #list, list[1] })
      return list
    end
    assert.same({ "[a]", "" }, { reader:read() })
    assert.same({ "bc", "\195\164" }, texts())
    assert.same({}, texts()) -- an empty one is another record
    assert.same({ "[]", "" }, { reader:read() })
    assert.same({ "d" }, texts())
    assert.same({ "[e]", "e" }, { reader:read() })
    for _, other in ipairs({ "[f]x", '["]', "[\\u0041]", "[\195]" }) do
      assert.same({}, texts())
      assert.same({ other, "" }, { reader:read() })
    end
    assert.same({ "g" }, texts())
    assert.is_nil(reader:read())
    assert.same({}, texts())
  end)

  it("gives texts in any number, once each", function()
    local records = {}
    for i = 1, 1000 do records[i] = ("data: [%d]\n\n"):format(i) end
    local reader = calls.open(server:with({ body = table.concat(records),
      content_type = "text/event-stream" }))
    local seen, list = {}, {}
    local data = reader:read()
    while data do
      seen[#seen + 1] = data:match("%d+")
      local count, first = reader:texts("[", "]", list)
      seen[#seen + 1] = first
      for i = 2, count do seen[#seen + 1] = list[i] end
      data = reader:read()
    end
    assert.equal(1000, #seen)
    for i = 1, 1000 do assert.equal(tostring(i), seen[i]) end
  end)

  it("gives the whole body where the answer is no stream", function()
    local answers = {
      { body = '{"a":1}', content_type = "application/json" },
      { body = '{"a":1}', content_type = "application/json; charset=utf-8" },
      { body = "<html>", content_type = "text/html" },
      { body = "data: 1\n\n", content_type = "text/event-stream", status = 500 },
    }
    for _, script in ipairs(answers) do
      local reader = calls.open(server:with(script))
      assert.equal(script.body, reader.body)
      assert.equal(script.status or 200, reader.status)
      assert.is_nil(reader:read())
    end
  end)

  it("takes a body without a content type for a stream", function()
    local reader = calls.open(server:with({ body = "data: 1\n\n", content_type = "" }))
    assert.same({ "1" }, calls.read(reader))
  end)

  it("may hold no record at all", function()
    local reader = calls.open(server:with({ body = "", content_type = "text/event-stream" }))
    assert.equal(200, reader.status)
    assert.same({}, calls.read(reader))
  end)

  it("does not ask for compression, which would hold records back", function()
    calls.open(server.base_url):close()
    assert.is_nil(last_request().headers["accept-encoding"])
  end)

  it("closes its connection when it is closed", function()
    local reader = calls.open(server:with({ tokens = 3, gap = 60000 }))
    assert.truthy(reader:read())
    reader:close()
    reader:close()
    assert.equal(1, server:wait(function(stats) return stats.aborted == 1 end).aborted)
    local _, err = calls.read(reader)
    assert.equal("cancelled", err.kind)
  end)

  it("leaves its connection to the next call when it has ended", function()
    for _ = 1, 3 do
      local text, done = calls.text(calls.read(calls.open(server.base_url)))
      assert.same({ "one two three", true }, { text, done })
    end
    local list = server:requests()
    assert.equal(list[1].connection, list[3].connection)
  end)

  it("finish() waits for an end that is near, and cuts one that is not", function()
    local reader = calls.open(server.base_url)
    reader:read()
    reader:finish(5)
    assert.same({ 1, 0 }, { server:stats().completed, server:stats().aborted })
    reader = calls.open(server:with({ tokens = 3, gap = 60000 }))
    reader:finish(0.02)
    assert.equal(1, server:wait(function(stats) return stats.aborted == 1 end).aborted)
  end)

  it("ends with the task that opened it", function()
    helper.run(function()
      assert.truthy(calls.open(server:with({ tokens = 3, gap = 60000 })):read())
    end)
    assert.equal(1, server:wait(function(stats) return stats.aborted == 1 end).aborted)
  end)
end)

describe("http.plan", function()
  it("needs a url", function()
    helper.raises("a request needs a url", http.plan, {})
    helper.raises("request field 'url' is no string", http.plan, { url = 1 })
  end)

  it("is a configuration error where the url is none", function()
    for _, url in ipairs({ "http://", "ftp://127.0.0.1/", "http://127.0.0.1:99999/" }) do
      local err = helper.failure(http.send, http.plan { url = url, proxy = "" })
      assert.same({ "config", url }, { err.kind, url })
    end
  end)

  it("can be used for any number of calls at once", function()
    local plan = calls.plan(server.base_url)
    local step = mp.RunnableLambda(function(text)
      return cjson.decode(http.send(plan, calls.body(text)).body).choices[1].message.content
    end)
    local inputs = {}
    for i = 1, 100 do inputs[i] = "call " .. i end
    for i, text in ipairs(step:batch(inputs)) do assert.equal(inputs[i], text) end
  end)
end)

describe("http.gate", function()
  local function three(gate)
    local plan = calls.plan(server:with({ delay = 5 }), { gate = gate })
    mp.RunnableLambda(function() http.send(plan, calls.BODY) end):batch({ 1, 2, 3 })
  end

  it("bounds what is in flight through it, and only that", function()
    http.gate("bounded", { slots = 1 })
    three("bounded")
    assert.equal(1, server:stats().peak)
    three("another")
    assert.equal(3, server:stats().peak)
  end)

  it("has the slots of the first plan that names it", function()
    local plan = calls.plan(server:with({ delay = 5 }), { gate = "first", slots = 2 })
    mp.RunnableLambda(function() http.send(plan, calls.BODY) end):batch({ 1, 2, 3, 4 })
    assert.equal(2, server:stats().peak)
  end)

  it("starts nothing before its time", function()
    http.gate("later", { not_before = 0.1 })
    local took = calls.timed(three, "later")
    assert.truthy(took >= 0.1, took)
  end)

  -- Each round the gate is held anew about when its time is over: the new time has
  -- gone by when it is heard of.
  it("lets in who waits where it is held anew, for a moment that has gone by", function()
    local plan = calls.plan(server.base_url, { gate = "moments" })
    local step = mp.RunnableLambda(function() http.send(plan, calls.BODY) end)
    for round = 1, 150 do
      local begun = calls.now()
      http.gate("moments", { not_before = 0.0003 })
      local task = step:start()
      mp.sleep(0)
      repeat until calls.now() >= begun + 0.0002 + round * 1.5e-6
      http.gate("moments", { not_before = 1e-6 })
      assert.is_nil(select(2, task:wait(20)), "round " .. round)
    end
  end, 30)

  it("does not count the wait against the time of the call", function()
    http.gate("patient", { not_before = 0.15 })
    local plan = calls.plan(server.base_url, { gate = "patient" })
    assert.equal(200, http.send(plan, calls.BODY, calls.now() + 0.1).status)
  end)

  it("tells how long the call waited", function()
    http.gate("told", { not_before = 0.1 })
    local plan = calls.plan(server.base_url, { gate = "told" })
    local clock = { begun = 0 }
    http.send(plan, calls.BODY, nil, clock)
    assert.truthy(clock.begun >= 0.09 and clock.begun < 5, clock.begun)
    local before = clock.begun
    http.send(plan, calls.BODY, nil, clock)
    assert.equal(before, clock.begun)
    http.gate("told", { not_before = 0.05 })
    calls.read(http.open(plan, calls.STREAM, nil, clock))
    assert.truthy(clock.begun >= before + 0.04, clock.begun)
  end)

  it("lets a cancelled call leave the queue", function()
    http.gate("queue", { slots = 1 })
    local step = mp.RunnableLambda(function(base_url)
      return calls.send(base_url, { gate = "queue" }).status
    end)
    local first = step:start(server:lane("first", { "hold" }))
    calls.wait(server, function(stats) return stats.in_flight == 1 end)
    local second, third = step:start(server:lane("second")), step:start(server:lane("third"))
    mp.sleep(0.01)
    second:cancel()
    second:wait()
    server:release()
    assert.same({ 200, 200 }, { first:wait(), (third:wait()) })
    assert.is_nil(server:stats().lanes.second)
  end)
end)
