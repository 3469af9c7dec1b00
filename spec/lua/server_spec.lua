-- The test server itself, asked by curl: what it answers and what it says it
-- saw. Specs of our own client rely on both.
local cjson = require "cjson"
local curl = require "spec.support.curl"
local helper = require "spec.helper"
local process = require "spec.support.process"
local servers = require "spec.support.server"

describe("the test server", function()
  local server = servers.use({ ipv6 = true })

  describe("answers", function()
    it("a chat completion with what the user said last", function()
      local answer = curl.chat(server.base_url)
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
      local answer = curl.chat(server.base_url, [[{"model":"m","messages":[{"role":"user",]]
        .. [["content":[{"type":"text","text":"a "},{"type":"text","text":"b"}]}]}]])
      assert.equal("a b", cjson.decode(answer.body).choices[1].message.content)
    end)

    it("as many choices and tokens as are asked for", function()
      local answer = cjson.decode(curl.chat(server.base_url,
        (curl.CHAT:gsub("}$", [[,"n":2,"max_tokens":2}]]))).body)
      assert.equal(2, #answer.choices)
      assert.equal(1, answer.choices[2].index)
      assert.equal("one two ", answer.choices[2].message.content)
      assert.equal("length", answer.choices[2].finish_reason)
    end)

    it("a stream of tokens that ends with its finish reason and [DONE]", function()
      local answer = curl.chat(server.base_url, curl.STREAM)
      local events = curl.events(answer.body)
      assert.truthy(answer.head:find("text/event-stream", 1, true))
      assert.equal("chat.completion.chunk", cjson.decode(events[1]).object)
      assert.equal("assistant", cjson.decode(events[1]).choices[1].delta.role)
      assert.same({ "one ", "two ", "\"three\"" }, curl.contents(answer.body))
      assert.equal("stop", cjson.decode(events[5]).choices[1].finish_reason)
      assert.equal("[DONE]", events[6])
      assert.equal(6, #events)
    end)

    it("a stream with usage in a last chunk without choices", function()
      local events = curl.events(curl.chat(server.base_url, curl.USAGE).body)
      local last = cjson.decode(events[6])
      assert.equal(cjson.null, cjson.decode(events[5]).usage)
      assert.same({}, last.choices)
      assert.equal(3, last.usage.completion_tokens)
      assert.equal("[DONE]", events[7])
    end)

    it("embeddings that depend on the text alone", function()
      local answer = cjson.decode(curl.ask(server.base_url .. "/embeddings",
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
      local floats = cjson.decode(curl.ask(server.base_url .. "/embeddings", wish:format("")).body)
      local base64 = cjson.decode(curl.ask(server.base_url .. "/embeddings",
        wish:format([[,"encoding_format":"base64"]])).body).data[1].embedding
      local bytes = helper.execute({ "base64", "-d" }, base64)
      local vector = ffi.cast("const float *", bytes)
      assert.equal(12, #bytes)
      for i, x in ipairs(floats.data[1].embedding) do
        assert.equal(tonumber(ffi.new("float", x)), tonumber(vector[i - 1]))
      end
    end)

    it("the models, and that it is well", function()
      assert.equal("list", cjson.decode(curl.ask(server.base_url .. "/models").body).object)
      assert.equal("ok", cjson.decode(curl.ask(server.url .. "/health").body).status)
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
      local url = server.base_url .. "/embeddings"
      assert.equal(400, curl.chat(server.base_url, "{").status)
      assert.equal(400, curl.chat(server.base_url, [[{"model":"m"}]]).status)
      assert.equal(400, curl.chat(server.base_url, [[{"messages":[{"role":"user"}]}]]).status)
      assert.equal(400, curl.ask(url, [[{"model":"e","input":[]}]]).status)
    end)

    it("404 to other paths, 400 to what is no HTTP", function()
      assert.equal(404, curl.ask(server.base_url .. "/nothing").status)
      local out = helper.execute({ "curl", "-sS", "-m", "5", "-T", "-",
        "telnet://127.0.0.1:" .. server.port }, "HELLO\r\n\r\n")
      assert.truthy(out:find("^HTTP/1.1 400 "))
      assert.equal(1, server:stats().bad)
    end)

    it("requests in chunks, and large ones behind 100 Continue", function()
      local big = curl.CHAT:gsub("one", ("x"):rep(100000))
      for _, header in ipairs({ "Transfer-Encoding: chunked", "Expect: 100-continue" }) do
        local answer = curl.chat(server.base_url, nil, "-d", "@" .. helper.temp(big), "-H", header)
        assert.equal(0, answer.code)
      end
      for _, request in ipairs(server:requests()) do
        assert.truthy(request.body_size > 100000)
      end
    end)

    it("at ::1 too", function()
      assert.equal(200, curl.ask("http://[::1]:" .. server.port .. "/health").status)
    end)

    it("what a client sends to a proxy", function()
      local answer = curl.chat("http://elsewhere.invalid/v1", nil, "-x", server.url)
      assert.equal(200, answer.status)
      assert.equal("elsewhere.invalid", server:requests()[1].headers.host)
    end)
  end)

  describe("takes scripts", function()
    it("one for each request of a lane, then the default", function()
      local url = server:lane("a lane", { "status=500", "2x status=503", default = "status=201" })
      local seen = {}
      for i = 1, 5 do seen[i] = curl.chat(url).status end
      assert.same({ 500, 503, 503, 201, 201 }, seen)
      assert.equal(5, server:stats().lanes["a lane"].requests)
    end)

    it("from the model's lane, and from * for lanes without", function()
      server:lane("m", { "status=500" })
      server:script("status=503")
      assert.equal(500, curl.chat(server.base_url).status)
      assert.equal(503, curl.chat(server.base_url).status)
    end)

    it("in a header and in the path", function()
      assert.equal(418, curl.chat(server.base_url, nil, "-H", "x-script: status=418").status)
      assert.equal(419, curl.chat(server:with({ status = 419 })).status)
    end)

    it("and refuses one it does not know", function()
      local ok, err = pcall(server.lane, server, "a", "dela=3")
      assert.is_false(ok)
      assert.truthy(err:find("unknown key 'dela'", 1, true))
      assert.is_false((pcall(server.lane, server, "a", "status=many")))
      assert.truthy(curl.chat(server.base_url, nil, "-H", "x-script: eol=x").body:find("bad value"))
    end)
  end)

  describe("counts", function()
    -- Starts curls in the background; the test has to wait for their effects.
    local function start(url, count, ...)
      local words = { "curl", "-s", "-m", "10", "-o", "/dev/null", "-d", curl.CHAT, ... }
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
      curl.chat(server.base_url)
      server:release()
      local stats = server:wait(function(now) return now.in_flight == 0 end)
      assert.same({ "+first", "+m", "-m", "-first" }, stats.order)
    end)

    it("clients that leave", function()
      curl.chat(server:lane("gone", "never"), nil, "-m", "0.05")
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
      curl.chat(server.base_url, nil, "-H", "Authorization: Bearer key", "-H", "x-id: mine")
      local request = server:requests()[1]
      assert.equal("POST", request.method)
      assert.equal("/v1/chat/completions", request.path)
      assert.equal("Bearer key", request.headers.authorization)
      assert.equal("mine", request.id)
      assert.equal(curl.CHAT, request.body)
      assert.equal("completed", request.outcome)
      assert.truthy(request.end_us >= request.first_us and request.first_us >= request.start_us)
    end)

    it("nothing behind a reset", function()
      curl.chat(server:lane("s", "status=500"))
      server:reset()
      assert.equal(200, curl.chat(server:lane("s")).status)
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
    assert.equal(7, curl.chat(server.closed_url).code)
    assert.equal(28, curl.chat(server.deaf_url, nil, "--connect-timeout", "0.2").code)
  end)

  it("ends with its stdin", function()
    local other = servers.start()
    other:stop()
    assert.equal(7, curl.chat(other.base_url).code)
    assert.is_false((pcall(other.stats, other)))
  end)
end)

