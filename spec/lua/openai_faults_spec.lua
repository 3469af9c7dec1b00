-- What the world does to a call, and what comes of it; the numbers are the rows
-- of the fault list.
local helper = require "spec.helper"
local mp = require "moonpipe"
local native = require "moonpipe.native"
local server = require("spec.support.server").use()

local function model(script, opts)
  opts = opts or {}
  opts.base_url = opts.base_url or server:with(script)
  return mp.ChatOpenAI(opts)
end

-- A fresh lane: its requests, and so its retry budget, are its own.
local lanes = 0
local function lane(scripts)
  lanes = lanes + 1
  return ("lane-%d"):format(lanes), server:lane("lane-" .. lanes, scripts)
end

local function failure(m, input)
  local value, err = m:try_invoke(input or "hi")
  assert.is_nil(value)
  assert.equal("table", type(err), tostring(err))
  return err
end

-- Lets tasks run until the server has answered a request in a lane.
local function until_answered(name)
  local deadline = native.c.now() + 5
  repeat
    mp.sleep(0.01)
    local counted = server:stats().lanes[name]
  until counted and counted.completed > 0 or native.c.now() > deadline
  mp.sleep(0.02) -- the answer is on its way
end

-- A full retry budget for the origin of the server.
local function forget_retries()
  local budget = require("moonpipe.http.retry").budget_of(server.url)
  budget.repeats, budget.count, budget.at = {}, 0, 0
end

before_each(forget_retries)

-- Scripts one lane, calls it, and gives value, error and the number of requests.
local function called(scripts, opts, input)
  local name, base_url = lane(scripts)
  opts = opts or {}
  opts.base_url = base_url
  local begun = native.c.now()
  local value, err = mp.ChatOpenAI(opts):try_invoke(input or "hi")
  local counted = server:stats().lanes[name]
  return value, err, counted and counted.requests or 0, native.c.now() - begun
end

describe("row 1: a name that is not known", function()
  it("is dns, with the name and the base URL", function()
    local err = failure(model(nil, { base_url = "http://no-such-host.invalid/v1", api_key = false,
      max_retries = 0 }))
    assert.same({ "dns", "openai", "gpt-5.4-mini", 1 },
      { err.kind, err.provider, err.model, err.attempts })
    assert.truthy(err.message:find("no-such-host.invalid", 1, true), err.message)
    assert.truthy(err.message:find("is the base URL right: 'http://no-such-host.invalid/v1'?", 1, true))
  end)
end)

describe("row 2: a refused connection", function()
  it("is connect, tried again", function()
    local err = failure(model(nil, { base_url = server.closed_url .. "/v1", max_retries = 1 }))
    assert.same({ "connect", 2 }, { err.kind, err.attempts })
    assert.is_true(err.elapsed < 2)
  end)

  it("asks whether Ollama runs, at its port", function()
    local err = failure(model(nil, { base_url = "http://127.0.0.1:11434/v1", max_retries = 0 }))
    assert.truthy(err.message:find("is Ollama running?", 1, true), err.message)
  end)
end)

describe("row 4: a connection that is not made", function()
  it("is timeout_connect after its time", function()
    local err = failure(model(nil, { base_url = server.deaf_url .. "/v1", max_retries = 0,
      timeout = { connect = 0.1 } }))
    assert.equal("timeout_connect", err.kind)
    assert.is_true(err.elapsed >= 0.09 and err.elapsed < 2, err.elapsed)
  end)
end)

describe("row 5: no first byte", function()
  it("of a stream is timeout_first_byte, tried again", function()
    local name, base_url = lane({ "never", "never" })
    local ok, err = pcall(function()
      return mp.ChatOpenAI({ base_url = base_url, max_retries = 1, timeout = { first_byte = 0.1 } })
        :stream("hi"):collect()
    end)
    assert.is_false(ok)
    assert.same({ "timeout_first_byte", 2 }, { err.kind, err.attempts })
    assert.equal(2, server:stats().lanes[name].requests)
  end)

  it("of a whole answer ends with the total time", function()
    local err = failure(model("never", { timeout = 0.2 }))
    assert.same({ "timeout_total", 1 }, { err.kind, err.attempts })
    assert.is_true(err.elapsed >= 0.19 and err.elapsed < 1.2)
  end)
end)

describe("row 8: a reset", function()
  it("of a whole answer is tried again", function()
    local value, err, count = called({ "reset=20", "reset=h9", "status=200" })
    assert.is_nil(err)
    assert.same({ "hi", 3 }, { value.content, count })
    assert.equal("reset", failure(model("reset=20", { max_retries = 0 })).kind)
  end)
end)

describe("row 10: half an answer", function()
  it("of a false length is truncated, tried again", function()
    local value, err, count = called({ "length=+20", "length=+20", "status=200" })
    assert.is_nil(err)
    assert.same({ "hi", 3 }, { value.content, count })
    err = failure(model("length=+20", { max_retries = 0 }))
    assert.equal("truncated", err.kind)
  end)

  it("that is no JSON is decode with its place, tried again", function()
    local _, err, count = called("bad_json", { max_retries = 1 })
    assert.same({ "decode", 2, 2, 200 }, { err.kind, err.attempts, count, err.status })
    assert.is_true(err.offset > 0)
    assert.truthy(err.message:find("the answer is no JSON: ", 1, true))
  end)
end)

describe("row 14: 429 with a Retry-After", function()
  local function waits(header)
    local value, err, count, seconds = called({ { status = 429, error = "rate_limit_exceeded",
      header = header }, "status=200" })
    assert.is_nil(err)
    assert.same({ "hi", 2 }, { value.content, count })
    return seconds
  end

  it("of seconds is waited for", function()
    local seconds = waits("Retry-After: 0.2")
    assert.is_true(seconds >= 0.2 and seconds < 0.45, seconds)
  end)

  it("of milliseconds is waited for", function()
    local seconds = waits("Retry-After-Ms: 150")
    assert.is_true(seconds >= 0.15 and seconds < 0.37, seconds)
  end)

  it("of a date is waited for", function()
    local seconds = waits({ "Date: Sun, 06 Nov 1994 08:49:37 GMT",
      "Retry-After: Sun, 06 Nov 1994 08:49:38 GMT" })
    assert.is_true(seconds >= 1 and seconds < 2, seconds)
  end)

  it("of nothing usable leaves the formula", function()
    for _, text in ipairs({ "0", "-3", "junk" }) do
      local seconds = waits("Retry-After: " .. text)
      assert.is_true(seconds >= 0.375 and seconds < 1, text .. " " .. seconds)
    end
  end)

  it("of more than two minutes fails at once", function()
    local _, err, count, seconds = called({ default = { status = 429, message = "slow down",
      header = "Retry-After: 1000000000" } })
    assert.same({ "rate_limit", 429, 1e9, 1, 1 },
      { err.kind, err.status, err.retry_after, err.attempts, count })
    assert.equal("slow down", err.message)
    assert.is_true(seconds < 0.5)
  end)

  it("pauses all calls of the same key and model", function()
    local name, base_url = lane({ { status = 429, header = "Retry-After: 0.4" }, default = "status=200" })
    local m = mp.ChatOpenAI { base_url = base_url, api_key = "sk-shared-key-row-14" }
    local first = m:start "a"
    until_answered(name)
    local tasks = { first }
    for i = 1, 5 do tasks[#tasks + 1] = m:start("b" .. i) end
    for _, task in ipairs(tasks) do assert.truthy(task:wait()) end
    local log = {}
    for _, request in ipairs(server:requests()) do
      if request.lane == name then log[#log + 1] = request.start_us end
    end
    assert.equal(7, #log)
    assert.is_true(log[2] - log[1] >= 390000, log[2] - log[1])
  end)

  it("does not pause other keys, nor other models", function()
    local name, base_url = lane({ { status = 429, header = "Retry-After: 5" }, default = "status=200" })
    local opts = { base_url = base_url, api_key = "sk-one-key-for-row-14", max_retries = 0 }
    failure(mp.ChatOpenAI(opts))
    opts.api_key = "sk-another-key-for-row-14"
    assert.equal("hi", mp.ChatOpenAI(opts):invoke("hi").content)
    opts.api_key, opts.model = "sk-one-key-for-row-14", "another"
    assert.equal("hi", mp.ChatOpenAI(opts):invoke("hi").content)
    assert.equal(3, server:stats().lanes[name].requests)
  end)

  it("is told before it comes by a limit of which nothing is left", function()
    local name, base_url = lane({ { header = { "x-ratelimit-remaining-requests: 0",
      "x-ratelimit-reset-requests: 300ms", "x-ratelimit-remaining-tokens: 5" } }, default = "status=200" })
    local m = mp.ChatOpenAI { base_url = base_url, api_key = "sk-limits-of-row-14" }
    m:invoke "a"
    m:invoke "b"
    local log = server:requests()
    assert.equal(2, server:stats().lanes[name].requests)
    local pause = log[#log].start_us - log[#log - 1].start_us
    assert.is_true(pause >= 280000 and pause < 2000000, pause)
  end)

  it("of x-should-retry: false is final", function()
    local _, err, count = called({ default = { status = 429, header = "x-should-retry: false" } })
    assert.same({ "rate_limit", 1, false }, { err.kind, count, err.retryable })
  end)

  it("is not what x-should-retry: true makes of a 400", function()
    local value, _, count = called({ { status = 400, header = { "x-should-retry: true",
      "retry-after-ms: 10" } }, "status=200" })
    assert.same({ "hi", 2 }, { value.content, count })
  end)
end)

describe("row 15: nothing is paid", function()
  it("is quota and never tried again", function()
    for _, script in ipairs({
      { status = 429, error = "insufficient_quota", message = "pay first" },
      { status = 402, error = "billing", message = "pay first" },
      { status = 429, error = "insufficient_quota", header = "Retry-After: 1", message = "pay first" },
    }) do
      local _, err, count = called({ default = script })
      assert.same({ "quota", script.status, 1, "pay first", false },
        { err.kind, err.status, count, err.message, err.retryable })
    end
  end)
end)

describe("row 16: a storm of 5xx", function()
  it("is tried again twice", function()
    for _, status in ipairs({ 500, 502, 503, 504, 529 }) do
      forget_retries()
      local script = { status = status, header = "retry-after-ms: 5" }
      local value, err, count = called({ script, script, "status=200" })
      assert.is_nil(err)
      assert.same({ "hi", 3 }, { value.content, count })
    end
  end)

  it("raises the last answer when that is in vain", function()
    local _, err, count = called({ default = { status = 503, message = "down", request_id = "req-5",
      header = "retry-after-ms: 5" } })
    assert.same({ "http", 503, 3, 3, "req-5", true },
      { err.kind, err.status, err.attempts, count, err.request_id, err.retryable })
  end)

  it("is not fed: at most a tenth more requests", function()
    local name, base_url = lane({ default = { status = 503, header = "retry-after-ms: 5" } })
    local m = mp.ChatOpenAI { base_url = base_url }
    local inputs = {}
    for i = 1, 200 do inputs[i] = "x" .. i end
    for _, err in ipairs(m:batch(inputs, { return_exceptions = true })) do
      assert.equal("http", err.kind)
    end
    local count = server:stats().lanes[name].requests
    assert.is_true(count > 200 and count <= 220, count)
    local err = failure(m)
    assert.truthy(err.message:find("not tried again: too many calls to http://127.0.0.1:", 1, true))
  end)
end)

describe("row 17: a key that is refused", function()
  it("is auth and never tried again, and names what holds the key", function()
    local _, err, count = called({ default = { status = 401, error = "invalid_api_key",
      message = "Incorrect API key provided: sk-canary-of-row-17-abcdef" } },
      { api_key = "sk-canary-of-row-17-abcdef" })
    assert.same({ "auth", 401, 1 }, { err.kind, err.status, count })
    assert.equal("Incorrect API key provided: sk-…cdef; check api_key", err.message)
    _, err = called({ default = "status=403" })
    assert.equal("auth", err.kind)
  end)

  it("names the variable where the key came from there", function()
    local _, err, code = helper.moonpipe({ "-e", [[
      require "moonpipe".ChatOpenAI { max_retries = 0 }:invoke "x"]] }, nil, {
      OPENAI_API_KEY = "sk-canary-of-row-17-abcdef", OPENAI_BASE_URL = server:with("status=401"),
    })
    assert.equal(4, code)
    assert.truthy(err:find("check OPENAI_API_KEY", 1, true), err)
    assert.is_nil(err:find("canary", 1, true))
  end)
end)

describe("row 18: a context that is too long", function()
  it("is context_length with the limit and what was used", function()
    local _, err, count = called({ default = { status = 400, error = "context_length_exceeded",
      message = "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens" } })
    assert.same({ "context_length", 400, 8192, 9000, 1, false },
      { err.kind, err.status, err.limit, err.used, count, err.retryable })
  end)

  it("is told from other mistakes", function()
    local _, err = called({ default = { status = 400, error = "invalid_value", message = "no" } })
    assert.same({ "refused_request", "no" }, { err.kind, err.message })
  end)
end)

describe("row 19: a model that is not there", function()
  local function missing(name, listed)
    local _, base_url = lane({ { status = 404, error = "model_not_found",
      message = ("The model '%s' does not exist"):format(name) }, default = listed })
    return failure(mp.ChatOpenAI { base_url = base_url, model = name })
  end

  it("is http, with the nearest name that the server lists", function()
    local err = missing("gpt-mok", { body = '{"data":[{"id":"gpt-mock"},{"id":"other"},{"x":1}]}' })
    assert.same({ "http", 404, 1, "gpt-mok" }, { err.kind, err.status, err.attempts, err.model })
    assert.equal("The model 'gpt-mok' does not exist; did you mean 'gpt-mock'?", err.message)
    local list = server:requests()
    assert.same({ "GET", "/v1/models" }, { list[#list].method, list[#list].path })
  end)

  it("is http, with all names where they are few and none is near", function()
    local err = missing("qwen", { body = '{"data":[{"id":"llama-3"},{"id":"gemma"}]}' })
    assert.equal("The model 'qwen' does not exist; the server has: gemma, llama-3", err.message)
  end)

  it("is http, no more, where the server lists none", function()
    for _, listed in ipairs({ "status=404", "html", "cut=0", '{"data":{}}', "bad_json" }) do
      if listed:find("^{") then listed = { body = listed } end
      assert.equal("The model 'x' does not exist", missing("x", listed).message)
    end
  end)

  it("is asked for once by each model", function()
    local name, base_url = lane({ { status = 404, error = "model_not_found" },
      { body = '{"data":[{"id":"a-model"}]}' }, default = { status = 404, error = "model_not_found" } })
    local m = mp.ChatOpenAI { base_url = base_url, model = "b-model" }
    local first, second = failure(m), failure(m)
    assert.equal(first.message, second.message)
    assert.truthy(first.message:find("did you mean 'a-model'?", 1, true))
    assert.equal(3, server:stats().lanes[name].requests)
  end)
end)

describe("row 20: a redirect", function()
  it("is protocol, not followed, and shows the host", function()
    local _, err, count = called({ default = { redirect = "http://evil.test/v1?key=1" } },
      { api_key = "sk-test-of-row-20" })
    assert.same({ "protocol", 302, 1 }, { err.kind, err.status, count })
    assert.truthy(err.message:find("redirects to evil.test, but", 1, true))
  end)
end)

describe("row 21: another kind of answer", function()
  it("of HTML is protocol with its first bytes, never tried again", function()
    local _, err, count = called({ default = "html" })
    assert.same({ "protocol", 1 }, { err.kind, count })
    assert.truthy(err.message:find("the answer is HTML, not JSON: <", 1, true), err.message)
    local ok, streamed = pcall(function() return model("html"):stream("x"):collect() end)
    assert.is_false(ok)
    assert.same({ "protocol", 1 }, { streamed.kind, streamed.attempts })
    assert.truthy(streamed.message:find("the answer is HTML", 1, true))
  end)

  it("of a stream where none was asked for is protocol", function()
    local err = failure(model("stream=yes"))
    assert.equal("protocol", err.kind)
    assert.truthy(err.message:find("the answer is a stream, not JSON: data:", 1, true), err.message)
  end)

  it("of JSON that is no object, or has no choices, is protocol", function()
    assert.truthy(failure(model({ body = "[1]" })).message:find("no choices", 1, true))
    assert.truthy(failure(model({ body = '"x"' })).message:find("JSON, but no object", 1, true))
    for _, body in ipairs({ "{}", '{"choices":null}', '{"choices":[]}', '{"choices":[null]}' }) do
      local err = failure(model({ body = body }))
      assert.same({ "protocol", "the answer has no choices: " .. body }, { err.kind, err.message })
    end
  end)
end)

describe("row 22: an error with a status of success", function()
  it("is mapped as its own status", function()
    local cases = {
      { '{"error":{"code":429,"message":"slow"}}', "rate_limit", 429 },
      { '{"error":{"code":401,"message":"who"}}', "auth", 401 },
      { '{"object":"error","message":"bad","code":400}', "refused_request", 400 },
      { '{"error":{"message":"full","code":"context_length_exceeded"}}', "context_length", nil },
      { '{"error":"it broke"}', "http", nil },
      { '{"choices":[{"error":{"code":502,"message":"up"}}]}', "http", 502 },
    }
    for _, case in ipairs(cases) do
      local err = failure(model({ body = case[1] }, { max_retries = 0 }))
      assert.same({ case[2], case[3] }, { err.kind, err.status }, case[1])
    end
  end)

  it("is tried again where that status would be", function()
    local value, _, count = called({ { body = '{"error":{"code":503,"message":"down"}}',
      header = "retry-after-ms: 5" }, "status=200" })
    assert.same({ "hi", 2 }, { value.content, count })
    local _, err, once = called({ default = { body = '{"error":{"code":400,"message":"bad"}}' } })
    assert.same({ "refused_request", 1 }, { err.kind, once })
  end)
end)

describe("row 23: an empty answer", function()
  it("is protocol, tried again", function()
    local value, _, count = called({ "empty", "status=204; empty", "status=200" })
    assert.same({ "hi", 3 }, { value.content, count })
    local err = failure(model("empty", { max_retries = 0 }))
    assert.same({ "protocol", "the answer is empty" }, { err.kind, err.message })
  end)
end)

describe("a call", function()
  it("does not try again after the first byte of a stream", function()
    local name, base_url = lane({ "cut=300", "status=200" })
    local ok, err = pcall(function()
      return mp.ChatOpenAI({ base_url = base_url }):stream("a b c"):collect()
    end)
    assert.is_false(ok)
    assert.truthy(({ truncated = 1, reset = 1 })[err.kind], err.kind)
    assert.equal(1, server:stats().lanes[name].requests)
  end)

  it("tries a stream again before its first byte", function()
    local name, base_url = lane({ { status = 503, header = "retry-after-ms: 5" }, "status=200" })
    local all = mp.ChatOpenAI({ base_url = base_url }):stream("a b"):collect()
    assert.same({ "a b", 2 }, { all.content, server:stats().lanes[name].requests })
  end)

  it("that is cancelled in its pause makes no more requests", function()
    local name, base_url = lane({ default = { status = 503, header = "retry-after: 1" } })
    -- the gate of its model stays closed for a second
    local task = mp.ChatOpenAI({ base_url = base_url, model = "cancelled" }):start "x"
    until_answered(name)
    task:cancel()
    local _, err = task:wait()
    assert.equal("cancelled", err.kind)
    mp.sleep(0.05)
    assert.equal(1, server:stats().lanes[name].requests)
  end)

  it("ends at the caller's deadline, backoff included", function()
    local _, err = model({ status = 503 }):try_invoke("x", { timeout = 0.3 })
    assert.equal("http", err.kind)
    assert.truthy(err.message:find("no time is left for another attempt", 1, true))
    _, err = model("never"):try_invoke("x", { timeout = 0.1 })
    assert.equal("timeout_total", err.kind)
    server:wait(function(stats) return stats.aborted == 1 end)
  end)

  it("says in its error how far it came", function()
    local _, err = called({ default = { status = 503, header = "retry-after-ms: 20" } })
    assert.equal(3, err.attempts)
    assert.is_true(err.elapsed >= 0.04 and err.elapsed < 5)
    assert.truthy(tostring(err):find("attempt 3", 1, true))
  end)

end)
