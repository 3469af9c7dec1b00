-- The test server itself, asked by curl: what it does to clients and what it
-- says it saw. Specs of our own client rely on both.
local cjson = require "cjson"
local helper = require "spec.helper"
local process = require "spec.support.process"
local proxies = require "spec.support.proxy"
local servers = require "spec.support.server"

local CHAT = [[{"model":"m","messages":[{"role":"system","content":"x"},]]
  .. [[{"role":"user","content":"one two \"three\""}]%s}]]
local STREAM = CHAT:format([[,"stream":true]])
local USAGE = CHAT:format([[,"stream":true,"stream_options":{"include_usage":true}]])
CHAT = CHAT:format("")

-- Asks with curl; returns { status, head, body, code }, code being curl's.
local function ask(base_url, path, body, ...)
  local head = helper.temp()
  local out, _, code = helper.execute({ "curl", "-sS", "-N", "-m", "10", "-D", head,
    "-w", "%{stderr}%{http_code}", base_url .. path, "-H", "Content-Type: application/json",
    unpack(body and { "-d", body, ... } or { ... }) })
  local text = helper.read(head)
  return { head = text, body = out, code = code,
    status = tonumber(text:match("^HTTP/[%d.]+ (%d+)")) }
end

local function chat(base_url, body, ...)
  return ask(base_url, "/chat/completions", body or CHAT, ...)
end

-- The data of each event of a stream with LF.
local function events_of(body)
  local out = {}
  for data in body:gmatch("data: ([^\n]*)\n\n") do out[#out + 1] = data end
  return out
end

local function contents_of(body)
  local out = {}
  for _, data in ipairs(events_of(body)) do
    local chunk = data ~= "[DONE]" and cjson.decode(data)
    local choice = chunk and chunk.choices[1]
    local text = choice and choice.delta.content
    if text and text ~= "" then out[#out + 1] = text end
  end
  return out
end

local function seconds()
  local clock = io.open("/proc/uptime")
  local now = clock:read("*n")
  clock:close()
  return now
end

-- How long `fn` took; /proc/uptime knows hundredths.
local function timed(fn)
  local begin = seconds()
  fn()
  return seconds() - begin
end

describe("the test server", function()
  local server = servers.use({ ipv6 = true })

  describe("answers", function()
    it("a chat completion with what the user said last", function()
      local answer = chat(server.base_url)
      local value = cjson.decode(answer.body)
      assert.equal(200, answer.status)
      assert.equal("chat.completion", value.object)
      assert.equal("one two \"three\"", value.choices[1].message.content)
      assert.equal("assistant", value.choices[1].message.role)
      assert.equal("stop", value.choices[1].finish_reason)
      assert.equal(3, value.usage.completion_tokens)
      assert.equal(value.usage.prompt_tokens + 3, value.usage.total_tokens)
      assert.equal("fp_loopback", value.system_fingerprint)
      assert.truthy(answer.head:find("\nx%-request%-id: req_%x+\r"))
    end)

    it("content that comes in parts", function()
      local answer = chat(server.base_url, [[{"model":"m","messages":[{"role":"user",]]
        .. [["content":[{"type":"text","text":"a "},{"type":"text","text":"b"}]}]}]])
      assert.equal("a b", cjson.decode(answer.body).choices[1].message.content)
    end)

    it("as many choices and tokens as are asked for", function()
      local answer = cjson.decode(chat(server.base_url,
        (CHAT:gsub("}$", [[,"n":2,"max_tokens":2}]]))).body)
      assert.equal(2, #answer.choices)
      assert.equal(1, answer.choices[2].index)
      assert.equal("one two ", answer.choices[2].message.content)
      assert.equal("length", answer.choices[2].finish_reason)
    end)

    it("a stream of tokens that ends with its finish reason and [DONE]", function()
      local answer = chat(server.base_url, STREAM)
      local events = events_of(answer.body)
      assert.truthy(answer.head:find("text/event-stream", 1, true))
      assert.equal("chat.completion.chunk", cjson.decode(events[1]).object)
      assert.equal("assistant", cjson.decode(events[1]).choices[1].delta.role)
      assert.same({ "one ", "two ", "\"three\"" }, contents_of(answer.body))
      assert.equal("stop", cjson.decode(events[5]).choices[1].finish_reason)
      assert.equal("[DONE]", events[6])
      assert.equal(6, #events)
    end)

    it("a stream with usage in a last chunk without choices", function()
      local events = events_of(chat(server.base_url, USAGE).body)
      local last = cjson.decode(events[6])
      assert.equal(cjson.null, cjson.decode(events[5]).usage)
      assert.same({}, last.choices)
      assert.equal(3, last.usage.completion_tokens)
      assert.equal("[DONE]", events[7])
    end)

    it("embeddings that depend on the text alone", function()
      local answer = cjson.decode(ask(server.base_url, "/embeddings",
        [[{"model":"e","input":["a","b","a"],"dimensions":4}]]).body)
      local sum = 0
      for _, x in ipairs(answer.data[1].embedding) do sum = sum + x * x end
      assert.near(1, sum, 1e-6)
      assert.equal(4, #answer.data[1].embedding)
      assert.same(answer.data[1].embedding, answer.data[3].embedding)
      assert.not_same(answer.data[1].embedding, answer.data[2].embedding)
      assert.equal(2, answer.data[3].index)
    end)

    it("embeddings as base64 of the same float32", function()
      local ffi = require "ffi"
      local wish = [[{"model":"e","input":"text","dimensions":3%s}]]
      local floats = cjson.decode(ask(server.base_url, "/embeddings", wish:format("")).body)
      local base64 = cjson.decode(ask(server.base_url, "/embeddings",
        wish:format([[,"encoding_format":"base64"]])).body).data[1].embedding
      local bytes = helper.execute({ "base64", "-d" }, base64)
      local vector = ffi.cast("const float *", bytes)
      assert.equal(12, #bytes)
      for i, x in ipairs(floats.data[1].embedding) do
        assert.equal(tonumber(ffi.new("float", x)), tonumber(vector[i - 1]))
      end
    end)

    it("the models, and that it is well", function()
      assert.equal("list", cjson.decode(ask(server.base_url, "/models").body).object)
      assert.equal("ok", cjson.decode(ask(server.url, "/health").body).status)
    end)

    it("requests that come all at once, in their order", function()
      local request = "GET /with/body=%s/v1/models HTTP/1.1\r\nHost: x\r\n%s\r\n"
      local out = helper.execute({ "curl", "-sS", "-m", "5", "-T", "-",
        "telnet://127.0.0.1:" .. server.port }, request:format("first", "")
        .. request:format("second", "Connection: close\r\n"))
      assert.truthy(out:find("first.*second$"))
      assert.equal(1, server:stats().connections.accepted)
    end)

    it("400 to what is no JSON, and to a request that lacks something", function()
      assert.equal(400, chat(server.base_url, "{").status)
      assert.equal(400, chat(server.base_url, [[{"model":"m"}]]).status)
      assert.equal(400, chat(server.base_url, [[{"messages":[{"role":"user"}]}]]).status)
      assert.equal(400, ask(server.base_url, "/embeddings", [[{"model":"e","input":[]}]]).status)
    end)

    it("404 to other paths, 400 to what is no HTTP", function()
      assert.equal(404, ask(server.base_url, "/nothing").status)
      local out = helper.execute({ "curl", "-sS", "-m", "5", "-T", "-",
        "telnet://127.0.0.1:" .. server.port }, "HELLO\r\n\r\n")
      assert.truthy(out:find("^HTTP/1.1 400 "))
      assert.equal(1, server:stats().bad)
    end)

    it("requests in chunks, and large ones behind 100 Continue", function()
      local big = CHAT:gsub("one", ("x"):rep(100000))
      for _, header in ipairs({ "Transfer-Encoding: chunked", "Expect: 100-continue" }) do
        local answer = chat(server.base_url, nil, "-d", "@" .. helper.temp(big), "-H", header)
        assert.equal(0, answer.code)
      end
      for _, request in ipairs(server:requests()) do
        assert.truthy(request.body_size > 100000)
      end
    end)

    it("at ::1 too", function()
      assert.equal(200, ask("http://[::1]:" .. server.port, "/health").status)
    end)

    it("what a client sends to a proxy", function()
      local answer = chat("http://elsewhere.invalid/v1", nil, "-x", server.url)
      assert.equal(200, answer.status)
      assert.equal("elsewhere.invalid", server:requests()[1].headers.host)
    end)
  end)

  describe("takes scripts", function()
    it("one for each request of a lane, then the default", function()
      local url = server:lane("a lane", { "status=500", "2x status=503", default = "status=201" })
      local seen = {}
      for i = 1, 5 do seen[i] = chat(url).status end
      assert.same({ 500, 503, 503, 201, 201 }, seen)
      assert.equal(5, server:stats().lanes["a lane"].requests)
    end)

    it("from the model's lane, and from * for lanes without", function()
      server:lane("m", { "status=500" })
      server:script("status=503")
      assert.equal(500, chat(server.base_url).status)
      assert.equal(503, chat(server.base_url).status)
    end)

    it("in a header and in the path", function()
      assert.equal(418, chat(server.base_url, nil, "-H", "x-script: status=418").status)
      assert.equal(419, chat(server:with({ status = 419 })).status)
    end)

    it("and refuses one it does not know", function()
      local ok, err = pcall(server.lane, server, "a", "dela=3")
      assert.is_false(ok)
      assert.truthy(err:find("unknown key 'dela'", 1, true))
      assert.is_false((pcall(server.lane, server, "a", "status=many")))
      assert.truthy(chat(server.base_url, nil, "-H", "x-script: eol=x").body:find("bad value"))
    end)
  end)

  describe("by script", function()
    local function scripted(script, body, ...)
      return chat(server:lane("s", script), body, ...)
    end

    it("waits before the head and before the body", function()
      local url = server:lane("s", { delay = 60, body_delay = 60 })
      assert.truthy(timed(function() chat(url) end) >= 0.11)
    end)

    it("sends a status, headers and the error that goes with them", function()
      local answer = scripted({ status = 429, header = { "Retry-After: 2", "x-a: b; c" } })
      assert.equal(429, answer.status)
      assert.truthy(answer.head:find("\r\nRetry-After: 2\r\nx-a: b; c\r\n", 1, true))
      assert.equal("rate_limit_exceeded", cjson.decode(answer.body).error.code)
    end)

    it("sends an error with 200, and another code with 429", function()
      local answer = scripted({ error = "server_error", message = "broke" })
      assert.equal(200, answer.status)
      assert.equal("broke", cjson.decode(answer.body).error.message)
      answer = scripted({ status = 429, error = "insufficient_quota" })
      assert.equal("insufficient_quota", cjson.decode(answer.body).error.code)
    end)

    it("sends any body with any type", function()
      local answer = scripted({ body = "a;b\r\n%41\0", content_type = "text/odd" })
      assert.equal("a;b\r\n%41\0", answer.body)
      assert.truthy(answer.head:find("Content-Type: text/odd\r\n", 1, true))
      assert.equal("\255\0a", scripted({ body64 = "/wBh" }).body)
    end)

    it("sends HTML, nothing, 204 and redirects", function()
      assert.truthy(scripted("html").body:find("502 Bad Gateway", 1, true))
      assert.equal("", scripted("empty").body)
      assert.equal(204, scripted({ status = 204 }).status)
      local answer = scripted({ redirect = "http://elsewhere.invalid/" })
      assert.equal(302, answer.status)
      assert.truthy(answer.head:find("Location: http://elsewhere.invalid/\r\n", 1, true))
    end)

    it("sends bad JSON, in a body and in a stream", function()
      assert.is_false((pcall(cjson.decode, scripted("bad_json").body)))
      local events = events_of(scripted("bad_json; after=1", STREAM).body)
      assert.is_true((pcall(cjson.decode, events[2])))
      assert.is_false((pcall(cjson.decode, events[3])))
    end)

    it("gives the answer, its tokens, finish reason and usage", function()
      local answer = cjson.decode(scripted({ answer = "a \"b\"\n", finish = "length",
        fingerprint = "fp", answer_id = "id", usage = "7,8" }).body)
      assert.equal("a \"b\"\n", answer.choices[1].message.content)
      assert.equal("length", answer.choices[1].finish_reason)
      assert.equal("fp", answer.system_fingerprint)
      assert.equal("id", answer.id)
      assert.equal(15, answer.usage.total_tokens)
      assert.same({ "a", "\nb" }, contents_of(scripted({ token = { "a", "\nb" } }, STREAM).body))
      assert.same({ "tok0 ", "tok1" }, contents_of(scripted({ tokens = 2 }, STREAM).body))
    end)

    it("sends raw bytes and raw escapes as an answer", function()
      assert.truthy(scripted({ answer = "\255\254" }).body:find("\255\254", 1, true))
      assert.truthy(scripted({ answer_json = "\\ud800" }).body:find("\\ud800", 1, true))
    end)

    it("streams or not, whatever was asked for", function()
      assert.truthy(scripted("stream=no", STREAM).head:find("application/json", 1, true))
      assert.truthy(scripted("stream=yes").head:find("text/event-stream", 1, true))
    end)

    it("leaves out the role, the finish reason, [DONE] and the last blank line", function()
      local body = scripted("no_role; no_finish; no_done; no_usage", USAGE).body
      assert.equal(3, #events_of(body))
      assert.falsy(body:find("DONE", 1, true))
      body = scripted("no_last_blank", STREAM).body
      assert.truthy(body:find("[^\n]\n\ndata: %[DONE%]\n$"))
      body = scripted("no_last_blank; no_done; no_usage", USAGE).body
      assert.truthy(body:find("[^\n]\n$"))
    end)

    it("ends lines with LF, CR and CR LF", function()
      assert.truthy(scripted("eol=cr", STREAM).body:find("data: [DONE]\r\r", 1, true))
      assert.truthy(scripted("eol=crlf", STREAM).body:find("data: [DONE]\r\n\r\n", 1, true))
      local mixed = scripted("eol=mixed", STREAM).body
      assert.truthy(mixed:find("}\n\ndata: [^\r\n]*\r\rdata: [^\r\n]*\r\n\r\ndata: "))
    end)

    it("writes events in odd but legal ways", function()
      assert.truthy(scripted("bom", STREAM).body:find("^\239\187\191data: "))
      assert.truthy(scripted("no_space", STREAM).body:find("data:[DONE]", 1, true))
      assert.truthy(scripted("multiline", STREAM).body:find("\",\ndata: \"object\"", 1, true))
      assert.truthy(scripted("fields", STREAM).body:find("id: 1%z2\nretry: 3000\nmood: good\n"))
    end)

    it("writes comments before the first event and between tokens", function()
      local body = scripted("comments=3; keepalive", STREAM).body
      local _, count = body:gsub(": LOOPBACK PROCESSING\n\n", "")
      assert.equal(6, count)
    end)

    it("fails in mid-stream", function()
      local events = events_of(scripted("after=2; error=server_error", STREAM).body)
      assert.equal(4, #events)
      assert.equal("server_error", cjson.decode(events[4]).error.code)
      local body = scripted({ after = 1, error_event = true, error_json = "{\"object\":\"error\"}" },
        STREAM).body
      assert.truthy(body:find("event: error\ndata: {\"object\":\"error\"}\n\n$"))
    end)

    it("waits between tokens", function()
      local url = server:lane("s", { tokens = 5, gap = 30 })
      assert.truthy(timed(function() chat(url, STREAM) end) >= 0.14)
    end)

    it("splits the body and drips it", function()
      local whole = scripted({ answer_id = "i" }).body
      assert.equal(whole, scripted({ answer_id = "i", split = 1 }).body)
      local url = server:lane("s", { body = "12345", drip = 25 })
      assert.truthy(timed(function() assert.equal("12345", chat(url).body) end) >= 0.09)
    end)

    it("zips, with what gzip itself understands", function()
      local answer = scripted("gzip; bom", nil, "--compressed")
      assert.equal(0, answer.code)
      assert.truthy(answer.body:find("^\239\187\191{\"id\""))
      answer = scripted("gzip", STREAM, "--compressed")
      assert.equal(0, answer.code)
      assert.same({ "one ", "two ", "\"three\"" }, contents_of(answer.body))
    end)

    it("sends a bomb", function()
      local answer = scripted("gzip; huge=20m")
      local plain, _, code = helper.execute({ "gzip", "-dc" }, answer.body)
      assert.equal(0, code)
      assert.truthy(#answer.body < 200000 and #plain > 20 * 1024 * 1024)
      local content = cjson.decode(plain).choices[1].message.content
      assert.equal(20 * 1024 * 1024, #content)
    end)

    it("sends huge bodies of several shapes", function()
      assert.equal(1000, #scripted("huge=1000; shape=line").body)
      assert.truthy(scripted("huge=64k; shape=event").body:find("x\"},.*%[DONE%]\n\n$"))
      assert.truthy(scripted("huge=100; shape=lines").body:find("^data: x\ndata: x\n"))
      local url = server:lane("s", "huge=endless; shape=line")
      assert.equal(28, chat(url, nil, "-m", "0.1").code)
    end)

    it("lies about the length", function()
      assert.equal(18, scripted("length=+10").code)
      local answer = scripted("length=5")
      assert.equal(5, #answer.body)
      assert.truthy(answer.head:find("Content-Length: 5\r\n", 1, true))
    end)

    it("speaks HTTP/1.0, chunks, and closes", function()
      local answer = scripted("http10")
      assert.truthy(answer.head:find("^HTTP/1.0 200"))
      assert.falsy(answer.head:find("Content-Length", 1, true))
      assert.equal("}", answer.body:sub(-1))
      assert.truthy(scripted("framing=chunked").head:find("chunked", 1, true))
      assert.truthy(scripted("close").head:find("Connection: close", 1, true))
    end)

    it("closes, resets and ends after so many bytes", function()
      assert.same({ 18, 10 }, { scripted("cut=10").code, #scripted("cut=10").body })
      assert.equal(52, scripted("cut=h0").code)
      assert.equal(56, scripted("reset=h0").code)
      assert.equal(56, scripted("reset=10").code)
      local answer = scripted("end=10", STREAM)
      assert.same({ 0, 10 }, { answer.code, #answer.body })
      assert.same({ 0, 10 }, { scripted("end=10").code, #scripted("end=10").body })
      answer = scripted("cut=10; framing=close")
      assert.same({ 0, 10 }, { answer.code, #answer.body })
      assert.equal(6, server:stats().lanes.s.broken)
    end)

    it("never answers, or not to the end", function()
      assert.equal(28, scripted("never", nil, "-m", "0.1").code)
      local answer = scripted("stall=10", nil, "-m", "0.1")
      assert.same({ 28, 10 }, { answer.code, #answer.body })
      assert.equal(28, scripted("stall=h10", nil, "-m", "0.1").code)
      local stats = server:wait(function(stats) return stats.aborted == 3 end)
      assert.equal(0, stats.in_flight)
    end)

    it("hides the order of embeddings, their number and base64", function()
      local wish = [[{"model":"e","input":["a","b","c"],"dimensions":2,]]
        .. [["encoding_format":"base64"}]]
      local function indexes(script)
        local out = {}
        local answer = cjson.decode(ask(server:lane("s", script), "/embeddings", wish).body)
        for i, item in ipairs(answer.data) do out[i] = item.index end
        return out, answer.data[1].embedding
      end
      assert.same({ 2, 0, 1 }, indexes("shuffle"))
      assert.same({ 0, 1 }, indexes("missing"))
      assert.equal("table", type(select(2, indexes("floats"))))
    end)
  end)

  describe("counts", function()
    -- Starts curls in the background; the test has to wait for their effects.
    local function start(url, count, ...)
      local words = { "curl", "-s", "-m", "10", "-o", "/dev/null", "-d", CHAT, ... }
      for i, word in ipairs(words) do words[i] = process.quote(word) end
      local command = table.concat(words, " ") .. " "
        .. process.quote(url .. "/chat/completions") .. " & "
      os.execute("{ " .. command:rep(count) .. " } >/dev/null 2>&1 </dev/null")
    end

    it("what is in flight, at once and at most, in each lane", function()
      local held = server:lane("held", "hold")
      start(held, 3)
      start(server:lane("other", "hold"), 1)
      local stats = server:wait(function(stats) return stats.in_flight == 4 end)
      assert.equal(3, stats.lanes.held.in_flight)
      server:release("held")
      stats = server:wait(function(now) return now.in_flight == 1 end)
      assert.equal(3, stats.lanes.held.completed)
      assert.equal(3, stats.lanes.held.peak)
      assert.equal(4, stats.peak)
      server:release()
      server:wait(function(now) return now.completed == 4 end)
    end)

    it("goes on behind a stall when it is released", function()
      start(server:lane("s", "stall=10"), 1)
      server:wait(function(stats) return stats.bytes.out > 10 end)
      server:release("s")
      server:wait(function(stats) return stats.completed == 1 end)
    end)

    it("the order in which requests begin and end", function()
      start(server:lane("x", "hold"), 1, "-H", "x-id: first")
      server:wait(function(stats) return stats.in_flight == 1 end)
      chat(server.base_url)
      server:release()
      local stats = server:wait(function(now) return now.in_flight == 0 end)
      assert.same({ "+first", "+m", "-m", "-first" }, stats.order)
    end)

    it("clients that leave", function()
      chat(server:lane("gone", "never"), nil, "-m", "0.05")
      local stats = server:wait(function(now) return now.aborted == 1 end)
      assert.equal(1, stats.lanes.gone.aborted)
      assert.same({ "+gone", "!gone" }, stats.order)
      assert.equal("aborted", server:requests()[1].outcome)
    end)

    it("connections, and requests on one of them", function()
      local url = server.base_url .. "/models"
      helper.execute({ "curl", "-s", url, url, url })
      local stats = server:wait(function(now) return now.connections.open == 0 end)
      assert.same({ accepted = 1, open = 0, peak = 1 }, stats.connections)
      assert.equal(server:requests()[1].connection, server:requests()[3].connection)
    end)

    it("hangs up an idle connection, without a word", function()
      local url = server:lane("s", { "hangup=0" }) .. "/models"
      local _, trace = helper.execute({ "curl", "-sv", "-o", "/dev/null", url, "--next", "-s",
        "-o", "/dev/null", url })
      assert.falsy(trace:find("onnection: close"))
      assert.equal(2, server:stats().connections.accepted)
    end)

    it("keeps what was sent", function()
      chat(server.base_url, nil, "-H", "Authorization: Bearer key", "-H", "x-id: mine")
      local request = server:requests()[1]
      assert.equal("POST", request.method)
      assert.equal("/v1/chat/completions", request.path)
      assert.equal("Bearer key", request.headers.authorization)
      assert.equal("mine", request.id)
      assert.equal(CHAT, request.body)
      assert.equal("completed", request.outcome)
      assert.truthy(request.end_us >= request.first_us and request.first_us >= request.start_us)
    end)

    it("nothing behind a reset", function()
      chat(server:lane("s", "status=500"))
      server:reset()
      assert.equal(200, chat(server:lane("s")).status)
      assert.equal(1, server:stats().requests)
      assert.equal(1, #server:requests())
    end)

    it("sixty-four at once", function()
      start(server:lane("wide", "hold"), 64)
      server:wait(function(stats) return stats.in_flight == 64 end)
      server:release()
      local stats = server:wait(function(now) return now.completed == 64 end)
      assert.equal(64, stats.lanes.wide.peak)
    end)
  end)

  it("has ports that refuse and that never accept", function()
    assert.equal(7, chat(server.closed_url).code)
    assert.equal(28, chat(server.deaf_url, nil, "--connect-timeout", "0.2").code)
  end)

  it("ends with its stdin", function()
    local other = servers.start()
    other:stop()
    assert.equal(7, chat(other.base_url).code)
    assert.is_false((pcall(other.stats, other)))
  end)
end)

describe("the fault proxy", function()
  local server = servers.use()
  local proxy

  local function through(toxics, body, ...)
    proxy = proxies.start({ to = server.port, toxics = toxics })
    return chat(proxy.url .. "/v1", body, ...)
  end

  after_each(function()
    if proxy then proxy:stop() end
    proxy = nil
  end)

  it("passes everything on", function()
    assert.equal(server.port ~= nil and 200, through().status)
    assert.equal(3, #contents_of(chat(proxy.url .. "/v1", STREAM).body))
  end)

  it("has latency", function()
    local took = timed(function() assert.equal(200, through({ latency = 100 }).status) end)
    assert.truthy(took >= 0.09)
  end)

  it("has little bandwidth", function()
    server:script({ body = ("x"):rep(20000) })
    local took = timed(function() through({ bandwidth = 100 }) end)
    assert.truthy(took >= 0.17)
  end)

  it("slices", function()
    server:script({ body = ("x"):rep(300) })
    local answer
    local took = timed(function() answer = through({ slicer = 10, slicer_delay = 2000 }) end)
    assert.equal(300, #answer.body)
    assert.truthy(took >= 0.07)
  end)

  it("closes late", function()
    server:script("framing=close")
    assert.truthy(timed(function() through({ slow_close = 100 }) end) >= 0.09)
  end)

  it("lets nothing through, for a while or for ever", function()
    assert.equal(52, through({ timeout = 50 }).code)
    proxy:stop()
    assert.equal(28, through({ timeout = 0 }, nil, "-m", "0.2").code)
  end)

  it("resets", function()
    server:script("never")
    assert.equal(56, through({ reset_peer = 50 }).code)
  end)

  it("limits", function()
    server:script({ body = ("x"):rep(1000) })
    assert.equal(18, through({ limit_data = 500 }).code)
  end)

  it("passes a reset of the server on", function()
    server:script("reset=20")
    assert.equal(56, through().code)
  end)

  it("refuses when it is down", function()
    assert.equal(7, through({ down = 1 }).code)
  end)

  it("is an HTTP proxy for CONNECT, with a password", function()
    proxy = proxies.start({ to = server.port, connect = true, auth = "dTpw" })
    local url = "http://elsewhere.invalid/v1"
    assert.equal(56, chat(url, nil, "-p", "-x", proxy.url).code) -- 407
    local answer = chat(url, nil, "-p", "-x", "http://u:p@127.0.0.1:" .. proxy.port)
    assert.equal(0, answer.code)
    assert.equal("elsewhere.invalid", server:requests()[1].headers.host)
  end)
end)

describe("TLS in front of the test server", function()
  local server = servers.use()

  local function with_tls(opts, fn)
    opts.to = server.port
    local tls = proxies.tls(opts)
    local ok, err = pcall(fn, tls)
    tls:stop()
    if not ok then error(err, 0) end
  end

  it("speaks HTTP/2, and trusts its own authority", function()
    with_tls({}, function(tls)
      local answer = chat(tls.url .. "/v1", STREAM, "--cacert", tls.ca_file)
      assert.truthy(answer.head:find("^HTTP/2 200"))
      assert.equal(3, #contents_of(answer.body))
      assert.equal(60, chat(tls.url .. "/v1").code)
    end)
  end)

  it("speaks HTTP/1.1 alone, too", function()
    with_tls({ protocols = "http/1.1" }, function(tls)
      assert.truthy(chat(tls.url .. "/v1", nil, "--cacert", tls.ca_file).head:find("^HTTP/1.1 200"))
    end)
  end)

  for _, certificate in ipairs({ "expired", "wrong_name", "self_signed" }) do
    it("has a bad certificate: " .. certificate, function()
      with_tls({ certificate = certificate }, function(tls)
        assert.equal(60, chat(tls.url .. "/v1", nil, "--cacert", tls.ca_file).code)
        assert.equal(200, chat(tls.url .. "/v1", nil, "-k").status)
      end)
    end)
  end
end)
