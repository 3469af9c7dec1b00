-- What spec/support/server/script.h promises, key by key, asked by curl.
local cjson = require "cjson"
local curl = require "spec.support.curl"
local helper = require "spec.helper"
local servers = require "spec.support.server"

describe("the test server by script", function()
  local server = servers.use()

  local function scripted(script, body, ...)
    return curl.chat(server:lane("s", script), body, ...)
  end

  it("waits before the head and before the body", function()
    local url = server:lane("s", { delay = 60, body_delay = 60 })
    assert.truthy(curl.timed(function() curl.chat(url) end) >= 0.11)
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
    local events = curl.events(scripted("bad_json; after=1", curl.STREAM).body)
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
    local stream = scripted({ token = { "a", "\nb" } }, curl.STREAM)
    assert.same({ "a", "\nb" }, curl.contents(stream.body))
    assert.same({ "tok0 ", "tok1" }, curl.contents(scripted({ tokens = 2 }, curl.STREAM).body))
  end)

  it("sends raw bytes and raw escapes as an answer", function()
    assert.truthy(scripted({ answer = "\255\254" }).body:find("\255\254", 1, true))
    assert.truthy(scripted({ answer_json = "\\ud800" }).body:find("\\ud800", 1, true))
  end)

  it("streams or not, whatever was asked for", function()
    assert.truthy(scripted("stream=no", curl.STREAM).head:find("application/json", 1, true))
    assert.truthy(scripted("stream=yes").head:find("text/event-stream", 1, true))
  end)

  it("leaves out the role, the finish reason, [DONE] and the last blank line", function()
    local body = scripted("no_role; no_finish; no_done; no_usage", curl.USAGE).body
    assert.equal(3, #curl.events(body))
    assert.falsy(body:find("DONE", 1, true))
    body = scripted("no_last_blank", curl.STREAM).body
    assert.truthy(body:find("[^\n]\n\ndata: %[DONE%]\n$"))
    body = scripted("no_last_blank; no_done; no_usage", curl.USAGE).body
    assert.truthy(body:find("[^\n]\n$"))
  end)

  it("ends lines with LF, CR and CR LF", function()
    assert.truthy(scripted("eol=cr", curl.STREAM).body:find("data: [DONE]\r\r", 1, true))
    assert.truthy(scripted("eol=crlf", curl.STREAM).body:find("data: [DONE]\r\n\r\n", 1, true))
    local mixed = scripted("eol=mixed", curl.STREAM).body
    assert.truthy(mixed:find("}\n\ndata: [^\r\n]*\r\rdata: [^\r\n]*\r\n\r\ndata: "))
  end)

  it("writes events in odd but legal ways", function()
    assert.truthy(scripted("bom", curl.STREAM).body:find("^\239\187\191data: "))
    assert.truthy(scripted("no_space", curl.STREAM).body:find("data:[DONE]", 1, true))
    assert.truthy(scripted("multiline", curl.STREAM).body:find("\",\ndata: \"object\"", 1, true))
    assert.truthy(scripted("fields", curl.STREAM).body:find("id: 1%z2\nretry: 3000\nmood: good\n"))
  end)

  it("writes comments before the first event and between tokens", function()
    local body = scripted("comments=3; keepalive", curl.STREAM).body
    local _, count = body:gsub(": LOOPBACK PROCESSING\n\n", "")
    assert.equal(6, count)
  end)

  it("fails in mid-stream", function()
    local events = curl.events(scripted("after=2; error=server_error", curl.STREAM).body)
    assert.equal(4, #events)
    assert.equal("server_error", cjson.decode(events[4]).error.code)
    local body = scripted({ after = 1, error_event = true, error_json = "{\"object\":\"error\"}" },
      curl.STREAM).body
    assert.truthy(body:find("event: error\ndata: {\"object\":\"error\"}\n\n$"))
  end)

  it("waits between tokens", function()
    local url = server:lane("s", { tokens = 5, gap = 30 })
    assert.truthy(curl.timed(function() curl.chat(url, curl.STREAM) end) >= 0.14)
  end)

  it("splits the body and drips it", function()
    local whole = scripted({ answer_id = "i" }).body
    assert.equal(whole, scripted({ answer_id = "i", split = 1 }).body)
    local url = server:lane("s", { body = "12345", drip = 25 })
    assert.truthy(curl.timed(function() assert.equal("12345", curl.chat(url).body) end) >= 0.09)
  end)

  it("zips, with what gzip itself understands", function()
    local answer = scripted("gzip; bom", nil, "--compressed")
    assert.equal(0, answer.code)
    assert.truthy(answer.body:find("^\239\187\191{\"id\""))
    answer = scripted("gzip", curl.STREAM, "--compressed")
    assert.equal(0, answer.code)
    assert.same({ "one ", "two ", "\"three\"" }, curl.contents(answer.body))
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
    assert.equal(28, curl.chat(url, nil, "-m", "0.1").code)
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
    local answer = scripted("end=10", curl.STREAM)
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
      local answer = cjson.decode(curl.ask(server:lane("s", script) .. "/embeddings", wish).body)
      for i, item in ipairs(answer.data) do out[i] = item.index end
      return out, answer.data[1].embedding
    end
    assert.same({ 2, 0, 1 }, indexes("shuffle"))
    assert.same({ 0, 1 }, indexes("missing"))
    assert.equal("table", type(select(2, indexes("floats"))))
  end)
end)
