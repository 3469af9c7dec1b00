local attempts = require "moonpipe.steps.attempts"
local context = require "moonpipe.context"
local errors = require "moonpipe.error"
local helper = require "spec.helper"
local mp = require "moonpipe"
local native = require "moonpipe.native"
local retry = require "moonpipe.http.retry"

local function headers(fields)
  return function(name) return fields[name] end
end

describe("attempts.delay", function()
  it("is the official formula", function()
    local base = { [0] = 0.5, 1, 2, 4, 8, 8, 8 }
    for attempt = 0, 6 do
      for _, rand in ipairs({ 0, 0.25, 0.5, 1 }) do
        local delay = attempts.delay(attempt, nil, rand)
        assert.equal(base[attempt] * (1 - 0.25 * rand), delay, attempt .. " " .. rand)
      end
    end
    assert.equal(8, attempts.delay(1000, nil, 0))
  end)

  it("stays inside its bounds over a million schedules", function()
    for i = 1, helper.long and 1000000 or 20000 do
      local attempt, rand = i % 12, (i * 0.61803398875) % 1
      local delay, top = attempts.delay(attempt, {}, rand), math.min(0.5 * 2 ^ attempt, 8)
      assert(delay <= top and delay >= top * 0.75, attempt)
    end
  end)

  it("is what the server asks for, exactly", function()
    for _, asked in ipairs({ 0.001, 1, 1.5, 60, 120 }) do
      assert.equal(asked, attempts.delay(0, { retry_after = asked }, 0.7))
      assert.equal(asked, attempts.delay(5, { retry_after = asked }, 0))
    end
  end)

  it("is none where the server asks for more than two minutes", function()
    for _, asked in ipairs({ 120.001, 121, 3600, 1e9, math.huge }) do
      assert.is_nil(attempts.delay(0, { retry_after = asked }, 0))
    end
  end)

  it("is the formula where the server asks for nothing usable", function()
    for _, asked in ipairs({ 0, -1, -1e9 }) do
      assert.equal(0.5, attempts.delay(0, { retry_after = asked }, 0))
    end
  end)
end)

describe("retry.asked", function()
  local function asked(fields, wall)
    return retry.asked(headers(fields), wall or 784111777)
  end

  it("reads every form", function()
    assert.is_nil(asked({}))
    assert.equal(3, asked({ ["retry-after"] = "3" }))
    assert.equal(0.5, asked({ ["retry-after"] = "0.5" }))
    assert.equal(1e9, asked({ ["retry-after"] = "1000000000" }))
    assert.equal(0.25, asked({ ["retry-after-ms"] = "250" }))
    assert.equal(30, asked({ ["retry-after"] = "Sun, 06 Nov 1994 08:50:07 GMT" }))
  end)

  it("is nil where nothing can be waited for", function()
    for _, text in ipairs({ "0", "-5", "junk", "", "nan", "Sun, 06 Nov 1994 08:49:00 GMT" }) do
      assert.is_nil(asked({ ["retry-after"] = text }), text)
    end
    assert.is_nil(asked({ ["retry-after-ms"] = "0" }))
  end)

  it("prefers milliseconds, unless they are junk", function()
    assert.equal(0.1, asked({ ["retry-after-ms"] = "100", ["retry-after"] = "9" }))
    assert.equal(9, asked({ ["retry-after-ms"] = "junk", ["retry-after"] = "9" }))
    assert.is_nil(asked({ ["retry-after-ms"] = "-1", ["retry-after"] = "9" }))
  end)

  it("measures a date by the server's own clock", function()
    assert.equal(7, retry.asked(headers({
      ["retry-after"] = "Sun, 06 Nov 1994 08:49:44 GMT",
      date = "Sun, 06 Nov 1994 08:49:37 GMT",
    })))
  end)

  it("measures a date by ours where the server names none", function()
    local text = os.date("!%a, %d %b %Y %H:%M:%S GMT", os.time() + 50)
    local seconds = retry.asked(headers({ ["retry-after"] = text, date = "junk" }))
    assert.is_true(seconds > 40 and seconds <= 50)
  end)
end)

describe("retry.is_transient", function()
  local function statuses(fields)
    local list = {}
    for status = 300, 599 do
      if retry.is_transient(status, headers(fields)) then list[#list + 1] = status end
    end
    return list
  end

  it("is 408, 409, 429 and all from 500", function()
    local list = { 408, 409, 429 }
    for status = 500, 599 do list[#list + 1] = status end
    assert.same(list, statuses({}))
    assert.same(list, statuses({ ["x-should-retry"] = "maybe" }))
  end)

  it("is what x-should-retry says", function()
    assert.equal(300, #statuses({ ["x-should-retry"] = "true" }))
    assert.equal(0, #statuses({ ["x-should-retry"] = "false" }))
  end)
end)

describe("attempts.is_retryable", function()
  it("is for the transport's failures and answers that were not whole", function()
    local yes = {}
    for kind in pairs(errors.KINDS) do
      if attempts.is_retryable(errors.new { kind = kind, message = "x" }) then yes[#yes + 1] = kind end
    end
    table.sort(yes)
    assert.same({ "connect", "decode", "dns", "rate_limit", "reset", "timeout_connect",
      "timeout_first_byte", "timeout_idle", "truncated" }, yes)
  end)

  it("is what the error says itself", function()
    assert.is_true(attempts.is_retryable(errors.new { kind = "http", message = "x", retryable = true }))
    assert.is_false(attempts.is_retryable(errors.new { kind = "dns", message = "x", retryable = false }))
  end)
end)

-- Runs fn with a clock that it can set.
local function with_clock(fn)
  local real, clock = native.c.now, { now = 1000 }
  native.c.now = function() return clock.now end
  local ok, err = pcall(fn, clock)
  native.c.now = real
  if not ok then error(err, 0) end
end

describe("attempts.budget", function()
  it("allows three retries to those who call little", function()
    local budget = attempts.budget()
    for _ = 1, 3 do assert.is_true(budget:take()) end
    assert.is_false(budget:take())
  end)

  it("allows one retry for ten of the last hundred requests", function()
    local budget, repeats = attempts.budget(), 0
    for _ = 1, 100 do budget:note(false) end
    while budget:take() do repeats = repeats + 1 end
    assert.equal(9, repeats)
    for _ = 1, 92 do budget:note(false) end
    assert.is_true(budget:take())
  end)

  it("keeps a storm of failures within a tenth", function()
    local budget, repeats = attempts.budget(), 0
    for _ = 1, 10000 do
      budget:note(false)
      for _ = 1, 2 do
        if budget:take() then repeats = repeats + 1 end
      end
    end
    assert.is_true(repeats <= 1003 and repeats > 900)
  end)

  it("forgets retries of long ago", function()
    with_clock(function(clock)
      local budget = attempts.budget()
      for _ = 1, 3 do budget:take() end
      clock.now = clock.now + 299
      assert.is_false(budget:take())
      clock.now = clock.now + 2
      assert.is_true(budget:take())
    end)
  end)

  it("is one for an origin", function()
    assert.equal(retry.budget_of("https://a.test"), retry.budget_of("https://a.test"))
    assert.not_equal(retry.budget_of("https://a.test"), retry.budget_of("https://b.test"))
  end)
end)

local function call_with(fields)
  local call = { max_retries = 2, origin = "http://x.test", budget = attempts.budget(), total = 60 }
  for key, value in pairs(fields or {}) do call[key] = value end
  return call
end

-- Runs a call that fails `count` times with `fields` and then gives "done".
local function run(count, fields, call)
  call = call or call_with()
  local made = 0
  local value, err = mp.RunnableLambda(function()
    call.ctx = context.current()
    return retry.run(call, function(_, a, b)
      made = made + 1
      assert(a == "a" and b == "b")
      if made > count then return "done" end
      local failure = { kind = "reset", message = "gone", retry_after = 0.001 }
      for key, field in pairs(fields or {}) do failure[key] = field end
      errors.raise(failure.kind, failure.message, failure)
    end, "a", "b")
  end):try_invoke()
  return value, err, made
end

describe("retry.run", function()
  it("gives the first success", function()
    assert.same({ "done", nil, 1 }, { run(0) })
    assert.same({ "done", nil, 3 }, { run(2) })
  end)

  it("raises the last failure with the attempts and the time they took", function()
    local _, err, made = run(9)
    assert.equal(3, made)
    assert.equal(3, err.attempts)
    assert.is_true(err.elapsed >= 0.002 and err.elapsed < 5)
    assert.equal("gone", err.message)
  end)

  it("makes no attempt too many", function()
    local _, err, made = run(9, nil, call_with({ max_retries = 0 }))
    assert.same({ 1, 1 }, { made, err.attempts })
    _, _, made = run(9, nil, call_with({ max_retries = 5, budget = retry.budget_of("a test") }))
    assert.equal(4, made) -- the budget: three
  end)

  it("leaves alone what will not change", function()
    local _, err, made = run(9, { kind = "auth" })
    assert.same({ 1, 1, "auth" }, { made, err.attempts, err.kind })
    _, _, made = run(9, { retryable = false })
    assert.equal(1, made)
  end)

  it("fails at once where the server asks for too long", function()
    local _, err, made = run(9, { kind = "rate_limit", retry_after = 1e9 })
    assert.same({ 1, 1e9 }, { made, err.retry_after })
  end)

  it("begins no retry that the total time would not let end", function()
    local _, err, made = run(9, { retry_after = 30 }, call_with({ total = 10 }))
    assert.equal(1, made)
    assert.equal("gone (no time is left for another attempt)", err.message)
  end)

  it("begins no retry that a deadline would not let end", function()
    local call, made = call_with(), 0
    local begun = native.c.now()
    local _, err = mp.RunnableLambda(function()
      call.ctx = context.current()
      return retry.run(call, function()
        made = made + 1
        errors.raise("reset", "gone")
      end)
    end):try_invoke(nil, { timeout = 0.2 })
    assert.same({ 1, "reset" }, { made, err.kind })
    assert.is_true(native.c.now() - begun < 0.15)
  end)

  it("says so where the budget of an origin is spent", function()
    local budget = attempts.budget()
    for _ = 1, 3 do budget:take() end
    local _, err, made = run(9, nil, call_with({ budget = budget }))
    assert.equal(1, made)
    assert.equal("gone (not tried again: too many calls to http://x.test fail)", err.message)
  end)

  it("says before each pause how long it is", function()
    local pauses = {}
    run(9, nil, call_with({
      on_delay = function(call, err, seconds)
        pauses[#pauses + 1] = { call.origin, err.kind, seconds }
      end,
    }))
    assert.same({ { "http://x.test", "reset", 0.001 }, { "http://x.test", "reset", 0.001 } }, pauses)
  end)

  it("passes on what is no failure of the world", function()
    local value, err, made = run(9, { kind = "cancelled" })
    assert.same({ 1, "cancelled" }, { made, err.kind })
    assert.is_nil(value)
    assert.is_nil(err.attempts)
    value, err = mp.RunnableLambda(function()
      return retry.run(call_with({ ctx = context.current() }), function() error("a mistake", 0) end)
    end):try_invoke()
    assert.is_nil(value)
    assert.equal("a mistake", err.message)
  end)

  it("ends in its pause when it is cancelled", function()
    local call = call_with()
    local task = mp.RunnableLambda(function()
      call.ctx = context.current()
      return retry.run(call, function() errors.raise("reset", "gone", { retry_after = 50 }) end)
    end):start()
    mp.sleep(0.01)
    task:cancel()
    local _, err = task:wait(1)
    assert.equal("cancelled", err.kind)
  end)

  it("ends in its pause at the deadline, which is no failure of the call", function()
    local call = call_with()
    local _, err = mp.RunnableLambda(function()
      return mp.RunnableLambda(function()
        call.ctx = setmetatable({ deadline = false }, { __index = context.current() })
        return retry.run(call, function() errors.raise("reset", "gone", { retry_after = 50 }) end)
      end):invoke()
    end):try_invoke(nil, { timeout = 0.02 })
    assert.same({ "timeout_total", nil }, { err.kind, err.attempts })
  end)
end)
