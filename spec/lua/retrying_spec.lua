local attempts = require "moonpipe.steps.attempts"
local errors = require "moonpipe.error"
local helper = require "spec.helper"
local mp = require "moonpipe"
local native = require "moonpipe.native"
local server = require("spec.support.server").use()

-- No test may wait for the formula's half seconds.
local QUICK = { initial = 0.001, max = 0.002 }

local function fails(kind, fields)
  fields = fields or {}
  errors.raise(kind or "reset", fields.message or "gone", fields)
end

-- A step that fails `count` times, then gives its input with a mark.
local function flaky(count, kind, fields)
  local seen = { calls = 0 }
  seen.step = mp.RunnableLambda(function(input)
    seen.calls = seen.calls + 1
    if seen.calls <= count then
      local own = {}
      for key, value in pairs(fields or {}) do own[key] = value end
      fails(kind, own)
    end
    return input .. "!"
  end, { name = "flaky" })
  return seen
end

local function retried(seen, opts)
  opts = opts or {}
  if opts.wait_exponential_jitter == nil then opts.wait_exponential_jitter = QUICK end
  return seen.step:with_retry(opts)
end

describe("retrying: invoke", function()
  it("tells the callbacks of the call of each repeat", function()
    local told = {}
    retried(flaky(2)):invoke("a", { callbacks = { { on_custom_event = function(_, name, data)
      told[#told + 1] = { name, data.attempt, data.error.kind }
    end } } })
    assert.same({ { "retry", 2, "reset" }, { "retry", 3, "reset" } }, told)
  end)

  it("gives the first success", function()
    local seen = flaky(2)
    assert.same({ "a!", 3 }, { retried(seen):invoke("a"), seen.calls })
  end)

  it("stops after three attempts, or as many as it is told", function()
    local seen = flaky(9)
    local _, err = retried(seen):try_invoke("a")
    assert.same({ 3, 3, "reset" }, { seen.calls, err.attempts, err.kind })
    assert.is_true(err.elapsed > 0 and err.elapsed < 5)
    seen = flaky(9)
    _, err = retried(seen, { stop_after_attempt = 1 }):try_invoke("a")
    assert.same({ 1, 1 }, { seen.calls, err.attempts })
    seen = flaky(9)
    assert.equal("a!", retried(seen, { stop_after_attempt = 10 }):invoke("a"))
  end)

  it("repeats by default what may pass: the network's failures, not mistakes", function()
    for _, kind in ipairs({ "lua", "input", "auth", "quota", "schema", "timeout_total" }) do
      local seen = flaky(1, kind)
      retried(seen):try_invoke("a")
      assert.equal(1, seen.calls, kind)
    end
    local seen = flaky(1, "http", { retryable = true, status = 503 })
    assert.equal("a!", retried(seen):invoke("a"))
  end)

  it("repeats what retry_if names: a function, a kind or kinds", function()
    for _, test in ipairs({
      function(err) return err.kind == "schema" end, "schema", { "input", "schema" },
    }) do
      local seen = flaky(1, "schema")
      assert.equal("a!", retried(seen, { retry_if = test }):invoke("a"))
      seen = flaky(1, "reset")
      retried(seen, { retry_if = test }):try_invoke("a")
      assert.equal(1, seen.calls)
    end
  end)

  it("wraps what a function raises before retry_if sees it", function()
    local seen, calls = nil, 0
    local step = mp.RunnableLambda(function(x)
      calls = calls + 1
      if calls == 1 then error("plain", 0) end
      return x
    end):with_retry { wait_exponential_jitter = false, retry_if = function(err)
      seen = err
      return true
    end }
    assert.equal("a", step:invoke("a"))
    assert.same({ "lua", "plain" }, { seen.kind, seen.message })
  end)

  it("waits as long as the error asks", function()
    local pauses = {}
    local seen = flaky(1, "rate_limit", { retry_after = 0.03 })
    local begun = native.c.now()
    retried(seen, { on_retry = function(err, attempt, seconds)
      pauses[1] = { err.kind, attempt, seconds }
    end }):invoke("a")
    assert.is_true(native.c.now() - begun >= 0.03)
    assert.same({ { "rate_limit", 1, 0.03 } }, pauses)
  end)

  it("waits as long as the error asks where it would not wait else", function()
    local begun = native.c.now()
    retried(flaky(1, "rate_limit", { retry_after = 0.03 }),
      { wait_exponential_jitter = false }):invoke("a")
    assert.is_true(native.c.now() - begun >= 0.03)
  end)

  it("fails at once where the error asks for more than two minutes", function()
    local seen = flaky(1, "rate_limit", { retry_after = 121 })
    local _, err = retried(seen):try_invoke("a")
    assert.same({ 1, 121 }, { seen.calls, err.retry_after })
  end)

  it("begins no attempt that the deadline would not let end", function()
    local seen = flaky(9)
    local _, err = seen.step:with_retry { wait_exponential_jitter = { initial = 9, max = 9 } }
      :try_invoke("a", { timeout = 0.5 })
    assert.equal(1, seen.calls)
    assert.equal("gone (no time is left for another attempt)", err.message)
  end)

  it("tries again after the time limit of one attempt", function()
    local calls = 0
    local step = mp.RunnableLambda(function(x)
      calls = calls + 1
      if calls == 1 then mp.sleep(60) end
      return x
    end):with_config({ timeout = 0.02 })
    assert.equal("a", step:with_retry { wait_exponential_jitter = QUICK }:invoke("a"))
    assert.equal(2, calls)
  end)

  it("ends in its pause when it is cancelled", function()
    local seen = flaky(9)
    local task = seen.step:with_retry { wait_exponential_jitter = { initial = 60, max = 60 } }
      :start("a")
    mp.sleep(0.01)
    task:cancel()
    local _, err = task:wait(5)
    assert.same({ "cancelled", 1 }, { err.kind, seen.calls })
  end)

  it("leaves nothing of a failed attempt behind", function()
    local open = 0
    local step = mp.RunnableLambda(function()
      mp.RunnableLambda(function()
        open = open + 1
        local ok, err = pcall(mp.sleep, 60)
        open = open - 1
        if not ok then error(err, 0) end
      end):start()
      mp.sleep(0.001)
      assert.equal(1, open)
      fails()
    end)
    local _, err = step:with_retry { wait_exponential_jitter = QUICK }:try_invoke("a")
    assert.same({ "reset", 3, 0 }, { err.kind, err.attempts, open })
  end)

  it("names the step and the place in its error", function()
    local chain = mp.pipe(mp.RunnablePassthrough(), retried(flaky(9)))
    local _, err = chain:try_invoke("a")
    assert.equal("step 2 of 2 flaky", err.path)
    assert.truthy(err.where:find("retrying_spec", 1, true))
    assert.truthy(tostring(err):find("attempt 3", 1, true))
  end)

  it("counts the attempts of steps below it", function()
    local seen = flaky(99)
    local _, err = retried({ step = retried(seen, { stop_after_attempt = 2 }) }):try_invoke("a")
    assert.same({ 6, 6 }, { seen.calls, err.attempts })
  end)
end)

describe("retrying: options", function()
  local step = mp.RunnablePassthrough()

  it("are checked", function()
    for _, case in ipairs({
      { { attempts = 3 }, "unknown option 'attempts' of with_retry" },
      { { stop_after_attempt = 0 }, "stop_after_attempt of with_retry must be a whole number" },
      { { stop_after_attempt = 1.5 }, "stop_after_attempt of with_retry must be a whole number" },
      { { retry_if = 3 }, "retry_if of with_retry takes a function, a kind or a list of kinds" },
      { { retry_if = "resett" }, "names the kind 'resett', which no error has" },
      { { wait_exponential_jitter = 3 }, "must be true, false or a table, got the number 3" },
      { { wait_exponential_jitter = { inital = 1 } }, "unknown option 'inital'" },
      { { wait_exponential_jitter = { max = -1 } }, "wait_exponential_jitter.max of with_retry" },
      { { on_retry = 1 }, "on_retry of with_retry must be a function" },
    }) do
      local said = helper.said(step.with_retry, step, case[1])
      assert.truthy(said:find(case[2], 1, true), said)
    end
  end)

  it("give the waits of the field", function()
    local wait = { initial = 1, max = 5, exp_base = 3, jitter = 0.5 }
    assert.equal(1, attempts.delay(0, nil, 0, wait))
    assert.equal(3.25, attempts.delay(1, nil, 0.5, wait))
    assert.equal(5, attempts.delay(2, nil, 1, wait))
  end)
end)

describe("retrying: streams", function()
  -- A stream of words that breaks before word `at` in its first `count` openings.
  local function words(count, at)
    local seen = { opened = 0 }
    seen.step = mp.RunnableGenerator(function(_, emit)
      seen.opened = seen.opened + 1
      for i, word in ipairs({ "one ", "two ", "three" }) do
        if i == at and seen.opened <= count then fails() end
        emit(word)
      end
    end, { name = "words" })
    return seen
  end

  it("are begun again until their first chunk", function()
    local seen, chunks = words(2, 1), {}
    for chunk in retried(seen):stream("x") do chunks[#chunks + 1] = chunk end
    assert.same({ 3, { "one ", "two ", "three" } }, { seen.opened, chunks })
  end)

  it("break for good after it, with what had come", function()
    local seen, chunks = words(1, 3), {}
    local err = helper.failure(function()
      for chunk in retried(seen):stream("x") do chunks[#chunks + 1] = chunk end
    end)
    assert.same({ 1, { "one ", "two " }, "one two " }, { seen.opened, chunks, err.partial })
  end)

  it("give up with the attempts that were made", function()
    local seen = words(9, 1)
    local err = helper.failure(function() retried(seen):stream("x"):collect() end)
    assert.same({ 3, 3 }, { seen.opened, err.attempts })
  end)

  it("may be empty", function()
    local calls = 0
    local step = mp.RunnableGenerator(function() calls = calls + 1 end)
    assert.is_nil(step:with_retry():stream("x"):next())
    assert.equal(1, calls)
  end)

  it("that are transformed repeat with the whole input", function()
    local seen = flaky(1)
    local pieces, i = { "a", "b" }, 0
    local value = retried(seen):transform(function()
      i = i + 1
      return pieces[i]
    end):collect()
    assert.same({ "ab!", 2 }, { value, seen.calls })
  end)
end)

describe("retrying: batch", function()
  -- 'ok' fails once, 'bad' always.
  local function mixed()
    local calls = {}
    return mp.RunnableLambda(function(x)
      calls[x] = (calls[x] or 0) + 1
      if x == "bad" or calls[x] == 1 then fails("reset", { message = x .. " fails" }) end
      return x .. "!"
    end):with_retry { stop_after_attempt = 2, wait_exponential_jitter = QUICK }, calls
  end

  it("gives each item its own result", function()
    local step, calls = mixed()
    local out = step:batch({ "ok", "bad" }, { return_exceptions = true })
    assert.equal("ok!", out[1])
    assert.same({ "reset", "bad fails", 2 }, { out[2].kind, out[2].message, out[2].attempts })
    assert.same({ ok = 2, bad = 2 }, calls)
  end)

  it("gives records by index as items end", function()
    local got = {}
    for i, record in mixed():batch_as_completed { "bad", "ok" } do
      got[i] = record.ok and record.value or record.error.message
    end
    assert.same({ "bad fails", "ok!" }, got)
  end)

  it("never gives an item the result of another", function()
    for seed = 1, 20 do
      local calls, inputs = {}, {}
      for i = 1, 20 do inputs[i] = (i * seed * 7919) % 5 * 100 + i end
      local out = mp.RunnableLambda(function(x)
        calls[x] = (calls[x] or 0) + 1
        mp.sleep(x % 3 / 5000)
        if calls[x] <= math.floor(x / 100) then fails("reset", { message = tostring(x) }) end
        return x
      end):with_retry { wait_exponential_jitter = false }
        :batch(inputs, { return_exceptions = true })
      for i, x in ipairs(inputs) do
        local got = errors.is(out[i]) and tonumber(out[i].message) or out[i]
        assert.equal(x, got)
        assert.equal(x >= 300, errors.is(out[i]))
      end
    end
  end)

  it("repeats no more where the repeats of the run go on failing", function()
    local calls, inputs = 0, {}
    for i = 1, 200 do inputs[i] = i end
    local out = mp.RunnableLambda(function()
      calls = calls + 1
      fails()
    end):with_retry { wait_exponential_jitter = false }:batch(inputs, { return_exceptions = true })
    assert.equal(250, calls)
    assert.equal("gone (not tried again: too many repeats of this run fail)", out[200].message)
  end)

  it("repeats on and on where that helps", function()
    local calls, inputs = {}, {}
    for i = 1, 200 do inputs[i] = i end
    local out = mp.RunnableLambda(function(x)
      calls[x] = (calls[x] or 0) + 1
      if calls[x] == 1 then fails() end
      return x
    end):with_retry { wait_exponential_jitter = false }:batch(inputs)
    assert.same({ 1, 200 }, { out[1], out[200] })
  end)
end)

describe("retrying: requests", function()
  local lanes = 0

  local function model(scripts, opts)
    lanes = lanes + 1
    opts = opts or {}
    opts.base_url = server:lane("retrying-" .. lanes, scripts)
    return mp.ChatOpenAI(opts), "retrying-" .. lanes
  end

  local function requests(lane)
    return server:stats().lanes[lane].requests
  end

  it("are made again, as often as the step says", function()
    local step, lane = model({ "status=503", "answer=late" }, { max_retries = 0 })
    local value = step:with_retry { wait_exponential_jitter = QUICK }:invoke("hi")
    assert.same({ "late", 2 }, { tostring(value), requests(lane) })
  end)

  it("count the model's own attempts", function()
    local step = model("status=429; header=Retry-After-Ms: 1", { max_retries = 1 })
    local _, err = step:with_retry { stop_after_attempt = 2, wait_exponential_jitter = QUICK }
      :try_invoke("hi")
    assert.same({ "rate_limit", 4 }, { err.kind, err.attempts })
  end)

  it("of a stream are made again until its first chunk", function()
    local step, lane = model({ "status=503", "reset=h5", "answer=one two" }, { max_retries = 0 })
    local text = {}
    for chunk in step:with_retry { wait_exponential_jitter = QUICK }:stream("hi") do
      text[#text + 1] = chunk.content
    end
    assert.same({ "one two", 3 }, { table.concat(text), requests(lane) })
  end)

  it("of a stream that breaks later are not made again", function()
    local step, lane = model({ "tokens=9; cut=700" }, { max_retries = 0 })
    local err = helper.failure(function() step:with_retry():stream("hi"):collect() end)
    assert.equal(1, requests(lane))
    assert.truthy(err.partial:find("^tok0"))
  end)
end)

describe("retrying: drawings", function()
  it("frame what is run again", function()
    local step = mp.RunnablePassthrough():with_retry({ stop_after_attempt = 4 })
    local graph = step:get_graph()
    assert.same({ "4 attempts", "RunnablePassthrough" },
      { graph.frames[1].name, graph.nodes[2].name })
    assert.equal("RunnablePassthrough:with_retry()", tostring(step))
  end)
end)
