local errors = require "moonpipe.error"
local helper = require "spec.helper"
local json = require "moonpipe.json"
local provider = require "moonpipe.http.provider"
local secret = require "moonpipe.secret"

local WHO = { name = "openai", key_name = "OPENAI_API_KEY", base_url = "https://api.test/v1" }

local function answer(status, body, headers)
  return {
    status = status,
    body = type(body) == "table" and json.encode(body) or body or "",
    header = function(name) return (headers or {})[name] end,
  }
end

local function refusal(...)
  return provider.refusal(WHO, answer(...))
end

local function openai(message, code, kind)
  return { error = { message = message, code = code, type = kind } }
end

describe("provider.refusal", function()
  it("maps statuses to kinds", function()
    local kinds = {
      [400] = "refused_request", [401] = "auth", [402] = "quota", [403] = "auth", [404] = "http",
      [405] = "http", [408] = "http", [409] = "http", [413] = "refused_request",
      [422] = "refused_request", [429] = "rate_limit", [500] = "http", [502] = "http",
      [503] = "http", [504] = "http", [529] = "http", [301] = "protocol", [308] = "protocol",
    }
    for status, kind in pairs(kinds) do
      local err = refusal(status, openai("no"))
      assert.same({ kind, status }, { err.kind, err.status })
    end
  end)

  it("maps codes to kinds, whatever the status", function()
    local kinds = {
      insufficient_quota = "quota", rate_limit_exceeded = "rate_limit", invalid_api_key = "auth",
      context_length_exceeded = "context_length", content_policy_violation = "content_filter",
      model_not_found = "http", RESOURCE_EXHAUSTED = "rate_limit",
    }
    for code, kind in pairs(kinds) do
      assert.equal(kind, refusal(429, openai("no", code)).kind, code)
      assert.equal(kind, refusal(400, openai("no", nil, code)).kind, code)
    end
  end)

  it("keeps message, code, request id and provider", function()
    local err = refusal(429, openai("slow down", "rate_limit_exceeded"),
      { ["x-request-id"] = "req-7" })
    assert.equal("slow down", err.message)
    assert.equal("rate_limit_exceeded", err.code)
    assert.equal("req-7", err.request_id)
    assert.equal("openai", err.provider)
    assert.equal("http 429 rate_limit: slow down", tostring(err))
    assert.equal("req-8", refusal(500, "", { ["request-id"] = "req-8" }).request_id)
  end)

  it("finds the message in every form that is seen", function()
    local bodies = {
      openai("here"), { error = "here" }, { object = "error", message = "here" },
      { message = "here" }, { detail = "here" }, { { error = { message = "here" } } },
      { error = json.null, message = "here" }, { error = { detail = "here" } },
    }
    for i, body in ipairs(bodies) do
      assert.equal("here", refusal(500, body).message, i)
    end
  end)

  it("shows the first 200 bytes of what is no error object, on one line", function()
    assert.equal("502 Bad Gateway: <html> <b>bad</b>",
      refusal(502, "<html>\r\n\t<b>bad</b>\n\0").message)
    assert.equal("503 Service Unavailable", refusal(503, "").message)
    assert.equal("418: x", refusal(418, "x").message)
    assert.equal("500 Internal Server Error: " .. ("a"):rep(200) .. "…",
      refusal(500, ("a"):rep(300)).message)
    assert.equal("500 Internal Server Error: " .. ("a"):rep(199) .. "…",
      refusal(500, ("a"):rep(199) .. ("ä"):rep(50)).message)
    assert.equal("500 Internal Server Error: [1,2]", refusal(500, { 1, 2 }).message)
    assert.equal('500 Internal Server Error: {"error":{}}', refusal(500, '{"error":{}}').message)
  end)

  it("names what holds a key that is refused", function()
    assert.equal("wrong key; check OPENAI_API_KEY", refusal(401, openai("wrong key")).message)
    local err = provider.refusal({ name = "x", base_url = "" }, answer(401, openai "wrong key"))
    assert.equal("wrong key", err.message)
  end)

  it("masks keys that the server repeats", function()
    local key = secret.of("sk-canary-0123456789abcdef")
    local err = refusal(401, openai("Incorrect API key provided: sk-canary-0123456789abcdef"))
    assert.equal("Incorrect API key provided: sk-…cdef; check OPENAI_API_KEY", err.message)
    assert.truthy(key)
    assert.is_nil(refusal(502, "<p>sk-canary-0123456789abcdef").message:find("canary"))
  end)

  it("reads the limit and what was used where a context is too long", function()
    local cases = {
      { "This model's maximum context length is 8192 tokens. However, you requested 9001 tokens",
        8192, 9001 },
      { "This model's maximum context length is 4097 tokens. However, your messages resulted in"
        .. " 5000 tokens.", 4097, 5000 },
      { "prompt is too long: 210000 tokens > 200000 maximum", 200000, 210000 },
      { "the request exceeds the available context size (4096 tokens), try increasing it", 4096 },
      { "Your input exceeds the context window of this model." },
    }
    for _, case in ipairs(cases) do
      local err = refusal(400, openai(case[1], nil, "invalid_request_error"))
      assert.same({ "context_length", case[2], case[3] }, { err.kind, err.limit, err.used }, case[1])
    end
    local err = refusal(400, { error = { type = "exceed_context_size_error", message = "too big",
      n_ctx = 4096, n_prompt_tokens = 5000 } })
    assert.same({ "context_length", 4096, 5000 }, { err.kind, err.limit, err.used })
  end)

  it("says what is worth another attempt", function()
    assert.is_true(refusal(429, openai("x")).retryable)
    assert.is_true(refusal(503).retryable)
    assert.is_false(refusal(400, openai("x")).retryable)
    assert.is_false(refusal(503, "", { ["x-should-retry"] = "false" }).retryable)
    assert.is_true(refusal(400, "", { ["x-should-retry"] = "true" }).retryable)
  end)

  it("never repeats a call for which nobody pays", function()
    for _, err in ipairs({
      refusal(402, openai("pay")), refusal(429, openai("pay", "insufficient_quota")),
      refusal(429, openai("pay", nil, "insufficient_quota"), { ["x-should-retry"] = "true" }),
    }) do
      assert.same({ "quota", false }, { err.kind, err.retryable })
    end
  end)

  it("keeps what a Retry-After asks for", function()
    assert.equal(7, refusal(429, "", { ["retry-after"] = "7" }).retry_after)
    assert.is_nil(refusal(429, "", { ["retry-after"] = "-7" }).retry_after)
  end)

  it("shows the host of a redirect, and no more of it", function()
    local err = refusal(302, "", { location = "https://u:p@evil.test/steal?key=1" })
    assert.equal("protocol", err.kind)
    assert.equal("the server redirects to evil.test, but a redirect could carry the key elsewhere",
      err.message)
    assert.truthy(refusal(301, "", { location = "/v2" }).message:find("redirects within the host"))
    assert.is_false(err.retryable)
  end)
end)

describe("provider.said", function()
  it("is nil for an answer that says no error", function()
    for _, value in ipairs({ {}, { error = json.null }, { error = false }, { choices = {} }, "x", 3 }) do
      assert.is_nil(provider.said(value))
    end
    assert.is_nil(provider.said({ message = "all well" }))
  end)

  it("reads errors in every form", function()
    assert.equal("x", provider.said({ error = "x" }).message)
    assert.equal("x", provider.said({ object = "error", message = "x", code = 400 }).message)
    assert.equal("x", provider.said(openai("x")).message)
  end)
end)

describe("provider.error_in", function()
  local function error_in(fields, headers)
    return provider.error_in(WHO, provider.said(fields), answer(200, "", headers))
  end

  it("maps a code that is a status as that status", function()
    local err = error_in({ error = { code = 429, message = "slow" } })
    assert.same({ "rate_limit", 429, true }, { err.kind, err.status, err.retryable })
    err = error_in({ error = { code = "503", message = "down" } })
    assert.same({ "http", 503, true }, { err.kind, err.status, err.retryable })
    err = error_in({ error = { code = 400, message = "bad" } })
    assert.same({ "refused_request", 400, false }, { err.kind, err.status, err.retryable })
  end)

  it("maps names where there is no status", function()
    local err = error_in(openai("down", nil, "server_error"))
    assert.same({ "http", 500, true }, { err.kind, err.status, err.retryable })
    err = error_in(openai("slow", "rate_limit_exceeded"))
    assert.same({ "rate_limit", nil, true }, { err.kind, err.status, err.retryable })
    err = error_in(openai("bad", nil, "invalid_request_error"))
    assert.same({ "refused_request", nil, false }, { err.kind, err.status, err.retryable })
    err = error_in(openai("odd", 7))
    assert.same({ "http", nil, false }, { err.kind, err.status, err.retryable })
    assert.equal("an error", error_in({ error = { code = 7 } }).message)
  end)

  it("keeps the request id", function()
    assert.equal("r", error_in(openai("x"), { ["x-request-id"] = "r" }).request_id)
  end)
end)

describe("provider.reject", function()
  it("raises the kind with the first bytes of the answer", function()
    local err = helper.raises("the answer is HTML: <html>", provider.reject, WHO,
      answer(200, "<html>", { ["x-request-id"] = "r" }), "protocol", "the answer is HTML", false)
    assert.same({ "protocol", 200, "r", "openai", false },
      { err.kind, err.status, err.request_id, err.provider, err.retryable })
    err = helper.raises("nothing came", provider.reject, WHO, answer(204), "protocol",
      "nothing came", true)
    assert.equal("nothing came", err.message)
  end)
end)

describe("provider.explain", function()
  local function explained(kind, who)
    local err = errors.new { kind = kind, message = "it failed" }
    provider.explain(who, err)
    return err.message
  end

  it("asks whether a server of this machine runs", function()
    for port, name in pairs({ ["11434"] = "Ollama", ["8080"] = "llama-server" }) do
      assert.equal("it failed; is " .. name .. " running?",
        explained("connect", { name = "x", base_url = "", loopback_port = port }))
    end
    assert.equal("it failed", explained("connect", { base_url = "", loopback_port = "9" }))
    assert.equal("it failed", explained("reset", { base_url = "", loopback_port = "8080" }))
    assert.equal("it failed", explained("connect", WHO))
  end)

  it("asks whether the base URL is right where its host is unknown", function()
    assert.equal("it failed; is the base URL right: 'https://api.test/v1'?", explained("dns", WHO))
  end)
end)
