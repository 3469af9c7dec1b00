-- What the network and servers do to one call, and the clear end that it comes to.
-- Here without a provider: chains of a step that calls http.lua.
local calls = require "spec.support.calls"
local helper = require "spec.helper"
local mp = require "moonpipe"
local proxies = require "spec.support.proxy"

local server = require("spec.support.server").use()
local it = calls.it

local function step(base_url, fields, seconds)
  return mp.RunnableLambda(function()
    return calls.send(base_url, fields, seconds)
  end)
end

-- The error of a call in a chain.
local function failure(...)
  local chain = mp.pipe(mp.RunnablePassthrough(), step(...))
  return helper.failure(chain.invoke, chain, 1)
end

-- What came of a stream, and the error that ended it.
local function broken(script, fields, seconds)
  local base_url = type(script) == "string" and script or server:with(script)
  local reader = calls.open(base_url, fields, seconds)
  local records, err = calls.read(reader)
  local text, done = calls.text(records)
  return err or { kind = "none" }, text, done
end

local function through(toxics, fn)
  local proxy = proxies.start({ to = server.port, toxics = toxics })
  local ok, err = pcall(fn, proxy.url .. "/v1")
  proxy:stop()
  if not ok then error(err, 0) end
end

-- Waits for a connection that the server lost.
local function check_closed()
  assert.equal(1, server:wait(function(stats) return stats.aborted == 1 end).aborted)
end

describe("rows 1, 2 and 4: reaching a server", function()
  it("whose name is unknown fails with dns, and tells the name", function()
    local err = failure("http://no-such-host.invalid/v1")
    assert.equal("dns", err.kind)
    assert.matches("no-such-host.invalid", err.message, 1, true)
    assert.matches("^step 2 of 2 function ", err.path)
  end)

  it("that refuses fails with connect, and tells its port", function()
    local err = failure(server.closed_url)
    assert.equal("connect", err.kind)
    assert.matches(server.closed_url:match("%d+$"), err.message, 1, true)
  end)

  it("that takes no connection fails with timeout_connect, in time", function()
    local took, err = calls.timed(failure, server.deaf_url, { connect = 0.1 })
    assert.equal("timeout_connect", err.kind)
    assert.truthy(took >= 0.09 and took < 1, took)
  end)

  it("within the total time, though connecting may take longer", function()
    local took, err = calls.timed(failure, server.deaf_url, { connect = 60 }, 0.1)
    assert.same({ "timeout_total", "no answer within 0.1 s" }, { err.kind,
      (err.message:gsub("0%.0?9%d+", "0.1")) })
    assert.truthy(took < 1, took)
  end)

  it("that hangs up without a word fails with reset", function()
    assert.equal("reset", failure(server:with({ cut = "h0" })).kind)
    assert.equal("reset", failure(server:with({ reset = "h0" })).kind)
  end)

  it("through one that lets nothing pass ends in time", function()
    through({ timeout = 0 }, function(base_url)
      assert.equal("timeout_total", failure(base_url, nil, 0.1).kind)
    end)
  end)

end)

describe("a server that speaks no HTTP", function()
  it("fails with protocol", function()
    for _, raw in ipairs({ "SSH-2.0-OpenSSH_9.2\r\n", "\21\3\1\0\2\2\70", "<html></html>",
      "HTTP/9.9 200 OK\r\n\r\n", "HTTP/1.1 2xx OK\r\n\r\n" }) do
      assert.same({ "protocol", raw }, { failure(server:with({ raw = raw })).kind, raw })
    end
  end)

  it("that ends in its head fails with truncated", function()
    for _, raw in ipairs({ "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Le" }) do
      assert.same({ "truncated", raw }, { failure(server:with({ raw = raw })).kind, raw })
    end
    assert.equal("reset", failure(server:with({ raw = "HTTP/1.1 200" })).kind)
  end)

  it("but for what may come before the answer", function()
    local raw = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nX-A: 1\r\n\r\n"
      .. "HTTP/1.1 201 Created\r\nX-B: 2\r\nContent-Length: 2\r\n\r\n{}"
    local answer = calls.send(server:with({ raw = raw }))
    assert.same({ 201, "{}", "2" }, { answer.status, answer.body, answer.header("x-b") })
    assert.is_nil(answer.header("x-a"))
  end)
end)

describe("rows 5, 6 and 7: waiting", function()
  it("for the first byte of a stream fails with timeout_first_byte", function()
    local took, err = calls.timed(function()
      return helper.failure(calls.open, server:with("never"), { first_byte = 0.1 })
    end)
    assert.same({ "timeout_first_byte", "no first byte within 0.1 s" }, { err.kind, err.message })
    assert.truthy(took >= 0.1 and took < 1, took)
    check_closed()
  end)

  it("for a body of a stream whose head has come is the same", function()
    local err = broken({ stall = 0 }, { first_byte = 0.1 })
    assert.equal("timeout_first_byte", err.kind)
  end)

  it("for a whole answer knows no first byte, as thinking takes its time", function()
    local answer = calls.send(server:with({ delay = 150 }), { first_byte = 0.05, idle = 0.05 })
    assert.equal(200, answer.status)
  end)

  it("for a drip of bytes goes on, as it brings records", function()
    local err, text, done = broken({ drip = 1, tokens = 2 }, { idle = 10 })
    assert.same({ "none", "tok0 tok1 ", true }, { err.kind, text .. " ", done })
  end)

  it("for a drip of bytes ends with the total time", function()
    local took, err = calls.timed(broken, { drip = 20 }, { idle = 5 }, 0.2)
    assert.equal("timeout_total", err.kind)
    assert.truthy(took < 1, took)
    check_closed()
  end)

  it("for comments only fails with timeout_idle", function()
    local err = broken({ comments = "endless", gap = 10 }, { idle = 0.1 })
    assert.same({ "timeout_idle", "no more data within 0.1 s" }, { err.kind, err.message })
    check_closed()
  end)

  it("in the middle of a stream fails with timeout_idle, after what came", function()
    local begun = calls.now()
    local err, text = broken({ stall = 500 }, { idle = 0.1 })
    assert.equal("timeout_idle", err.kind)
    assert.truthy(calls.now() - begun < 1.1)
    assert.truthy(#text > 0 and ("one two three"):sub(1, #text) == text, text)
  end)

  it("in the middle of a whole answer fails with timeout_idle", function()
    assert.equal("timeout_idle", failure(server:with({ stall = 10 }), { idle = 0.1 }).kind)
  end)
end)

describe("rows 8 and 9: a stream that breaks", function()
  it("by a reset fails with reset, after what came", function()
    local err, text, done = broken({ reset = 500 })
    assert.same({ "reset", false }, { err.kind, done })
    assert.equal(("one two three"):sub(1, #text), text)
  end)

  it("in a chunk that is not whole fails with truncated", function()
    assert.equal("truncated", (broken({ cut = 500 })).kind)
  end)

  it("by a clean end gives what came, without its mark", function()
    -- the transport has not failed: who knows what the mark is decides
    local err, text, done = broken({ cut = 500, framing = "close" })
    assert.same({ "none", false }, { err.kind, done })
    assert.equal(("one two three"):sub(1, #text), text)
  end)

  it("through a proxy that breaks off fails with truncated", function()
    through({ limit_data = 700 }, function(base_url)
      local err, _, done = broken(base_url)
      assert.same({ "truncated", false }, { err.kind, done })
    end)
  end)

  it("ends the chain that reads it, and nothing else", function()
    local chain = mp.pipe(mp.RunnablePassthrough(), mp.RunnableGenerator(function(_, emit)
      local reader = calls.open(server:with({ reset = 600, gap = 10 }))
      while true do emit(reader:read()) end
    end))
    local seen = 0
    local err = helper.failure(function()
      for _ in chain:stream(1) do seen = seen + 1 end
    end)
    assert.equal("reset", err.kind)
    assert.truthy(seen > 0)
    assert.equal(200, calls.send(server.base_url).status)
  end)
end)

describe("row 10: a body", function()
  it("shorter than its length fails with truncated", function()
    assert.equal("truncated", failure(server:with({ length = "+10" })).kind)
    assert.equal("truncated", failure(server:with({ cut = 10 })).kind)
  end)

  it("longer than its length is what its length says", function()
    assert.equal("{}", calls.send(server:with({ body = "{}xx", length = "-2" })).body)
  end)

  it("cut at the end of a connection is whole for the transport", function()
    -- HTTP/1.0 has no other end: what it means is the decoder's to find out
    assert.equal('{"a', calls.send(server:with({ body = '{"a":1}', http10 = true, cut = 3 })).body)
  end)

  it("with bad framing fails", function()
    local err = failure(server:with({ header = "Transfer-Encoding: chunked", body = "zz\r\n" }))
    assert.equal("protocol", err.kind)
  end)
end)

describe("row 12: too much", function()
  -- fails with too_large while the server still sends
  local function check(script, fields, framing)
    local err
    local base_url = server:with(script)
    if framing then
      local reader = calls.open(base_url, fields, 30, framing)
      err = select(2, calls.read(reader))
    else
      err = helper.failure(calls.send, base_url, fields, 30)
    end
    assert.equal("too_large", err.kind)
    local stats = server:wait(function(s) return s.in_flight == 0 end)
    assert.equal(1, stats.aborted + stats.broken)
    assert.equal(0, stats.completed)
  end

  it("of a body fails with too_large and closes the connection", function()
    check({ huge = "endless" })
  end)

  it("of a body is bounded as the plan says", function()
    check({ huge = "100m" }, { max_body = 100 * 1024 })
    assert.equal(200, calls.send(server:with({ huge = "90k" }), { max_body = 100 * 1024 }).status)
  end)

  it("in a line without an end fails with too_large", function()
    check({ huge = "endless", shape = "line" }, nil, "sse")
  end)

  it("in one event fails with too_large", function()
    check({ huge = "endless", shape = "event" }, nil, "sse")
  end)

  it("in one line of NDJSON fails with too_large", function()
    check({ huge = "endless", shape = "line", content_type = "application/x-ndjson" }, nil,
      "ndjson")
  end)

  it("in a compressed body is counted decoded", function()
    check({ huge = "100m", gzip = true })
  end)

  it("in the head fails with too_large", function()
    local header = {}
    for i = 1, 100 do header[i] = ("X-%d: %s"):format(i, ("x"):rep(1000)) end
    local base_url = server:lane("head", { { header = header } })
    assert.equal("too_large", failure(base_url).kind)
  end)

  it("leaves nothing in memory", function()
    local function rss()
      local file = io.open("/proc/self/statm")
      local _, pages = file:read("*n", "*n")
      file:close()
      return pages * 4
    end
    check({ huge = "endless" })
    collectgarbage()
    local before = rss()
    for _ = 1, 3 do
      server:reset()
      check({ huge = "endless" })
    end
    collectgarbage()
    local more = rss() - before
    assert.truthy(helper.sanitized or more < 32 * 1024, ("%d KiB more"):format(more))
  end)
end)

describe("an answer", function()
  it("that redirects is not followed", function()
    local answer = calls.send(server:with({ redirect = server.base_url .. "/elsewhere" }))
    assert.equal(302, answer.status)
    assert.equal(server.base_url .. "/elsewhere", answer.header("location"))
    assert.equal(1, server:stats().requests)
  end)

  it("of HTML where a stream was asked for comes whole", function()
    local reader = calls.open(server:with("html"))
    assert.matches("html", reader.header("content-type"))
    assert.matches("<html>", reader.body, 1, true)
  end)

  it("of JSON where a stream was asked for comes whole", function()
    assert.matches("chat.completion", calls.open(server:with("stream=no")).body, 1, true)
  end)

  it("that streams where none was asked for comes whole", function()
    assert.matches("data: [DONE]", calls.send(server:with("stream=yes")).body, 1, true)
  end)

  it("without a body is empty", function()
    local answer = calls.send(server:with({ status = 204 }))
    assert.same({ 204, "" }, { answer.status, answer.body })
    assert.equal("", calls.open(server:with("empty")).body or "")
  end)

  it("of bytes that are no UTF-8 passes through", function()
    local body = "data: a\255\n\ndata: \226\130\n\ndata: \0\n\n"
    local reader = calls.open(server:with({ body = body, content_type = "text/event-stream" }))
    assert.same({ "a\255", "\226\130", "\0" }, calls.read(reader))
  end)

  it("of malformed events is what the standard makes of it", function()
    local bodies = {
      ["data: 1\r\rdata:2\r\r"] = { "1", "2" },
      ["\239\187\191data: 1\n\n"] = { "1" },
      [": c\nid: 4\nretry: 1\nfoo: x\ndata: 1\n\n"] = { "1" },
      ["data: 1\ndata: 2\n\ndata: 3"] = { "1\n2", "3" },
      ["\n\n\ndata\n\nno field\n\n"] = {},
      ["data: \0\1\n\n"] = { "\0\1" },
    }
    for body, records in pairs(bodies) do
      for _, split in ipairs({ 1, 1000 }) do
        local reader = calls.open(server:with({ body = body, split = split,
          content_type = "text/event-stream" }))
        assert.same(records, calls.read(reader), body)
      end
    end
  end)
end)

describe("row 60: IPv6", function()
  local both = require("spec.support.server").use({ ipv6 = true })

  it("can be asked for, and IPv4", function()
    local url = ("http://localhost:%d/v1"):format(both.port)
    assert.equal(200, calls.send(url, { ip = 6 }).status)
    assert.equal(200, calls.send(url, { ip = 4 }).status)
  end)

  it("that nobody serves is given up for IPv4", function()
    assert.equal(200, calls.send(("http://localhost:%d/v1"):format(server.port)).status)
    local err = helper.failure(calls.send, ("http://localhost:%d/v1"):format(server.port),
      { ip = 6 })
    assert.equal("connect", err.kind)
  end)

  it("is an option of models and embeddings", function()
    local function ask(port, ip)
      return mp.ChatOpenAI { base_url = ("http://localhost:%d/v1"):format(port), ip = ip,
        max_retries = 0 }:invoke "x"
    end
    assert.equal("x", ask(both.port, "v6").content)
    assert.equal("x", ask(server.port, "v4").content)
    assert.equal("connect", helper.failure(ask, server.port, "v6").kind)
    helper.raises("ip of ChatOpenAI must be 'v4' or 'v6', got '4'", mp.ChatOpenAI, { ip = "4",
      api_key = false })
  end)
end)
