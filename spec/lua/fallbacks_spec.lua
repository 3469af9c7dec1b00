local errors = require "moonpipe.error"
local helper = require "spec.helper"
local log = require "moonpipe.log"
local mp = require "moonpipe"
local server = require("spec.support.server").use()

-- Notices of a test, instead of on standard error.
local notices

local function listen()
  notices = {}
  log.sink = function(_, text)
    notices[#notices + 1] = text
    return true
  end
end

local function boom(kind, message, fields)
  errors.raise(kind or "reset", message or "gone", fields)
end

-- A step that fails while `down` is set; counts its calls.
local function service(name, down, kind, fields)
  local self = { calls = 0, down = down }
  self.step = mp.RunnableLambda(function(input)
    self.calls = self.calls + 1
    self.input = input
    if self.down then
      local own = {}
      for key, value in pairs(fields or {}) do own[key] = value end
      boom(kind, name .. " is down", own)
    end
    return name
  end, { name = name })
  return self
end

describe("fallbacks: invoke", function()
  before_each(listen)
  after_each(function() log.sink = nil end)

  it("gives the first answer", function()
    local a, b = service "a", service "b"
    local step = a.step:with_fallbacks { b.step }
    assert.same({ "a", 0 }, { step:invoke "x", b.calls })
    a.down = true
    assert.equal("b", step:invoke "x")
  end)

  it("goes on along the list, in order", function()
    local a, b, c = service("a", true), service("b", true), service "c"
    assert.equal("c", a.step:with_fallbacks({ b.step, c.step }):invoke "x")
    assert.same({ 1, 1, 1 }, { a.calls, b.calls, c.calls })
  end)

  it("raises the first error where all fail, with the others beside it", function()
    local a, b, c = service("a", true), service("b", true, "auth"), service("c", true)
    local _, err = a.step:with_fallbacks({ b.step, c.step }):try_invoke "x"
    assert.same({ "a is down", "primary a" }, { err.message, err.path })
    assert.same({ "auth", "c is down" },
      { err.siblings["fallback 1"].kind, err.siblings["fallback 2"].message })
    assert.truthy(err.where:find("fallbacks_spec", 1, true))
  end)

  it("handles what it is told to, and raises the rest at once", function()
    for _, test in ipairs {
      "reset", { "reset", "dns" }, function(err) return err.kind == "reset" end,
    } do
      local a, b = service("a", true, "auth"), service "b"
      local step = a.step:with_fallbacks({ b.step }, { exceptions_to_handle = test })
      local _, err = step:try_invoke "x"
      assert.same({ "auth", 0, "primary a" }, { err.kind, b.calls, err.path })
      a = service("a", true)
      assert.equal("b", a.step:with_fallbacks({ b.step }, { exceptions_to_handle = test })
        :invoke "x")
    end
  end)

  it("takes functions, and strings that are raised", function()
    local step = mp.RunnableLambda(function() error("plain", 0) end)
      :with_fallbacks { function(x) return x .. "!" end }
    assert.equal("x!", step:invoke "x")
  end)

  it("does not answer what was cancelled", function()
    local b = service "b"
    local task = mp.RunnableLambda(function() mp.sleep(60) end):with_fallbacks({ b.step }):start "x"
    mp.sleep(0.005)
    task:cancel()
    local _, err = task:wait(5)
    assert.same({ "cancelled", 0 }, { err.kind, b.calls })
  end)

  it("does not answer after the deadline of the run", function()
    local b = service "b"
    local _, err = mp.RunnableLambda(function() mp.sleep(60) end):with_fallbacks({ b.step })
      :try_invoke("x", { timeout = 0.02 })
    assert.same({ "timeout_total", 0 }, { err.kind, b.calls })
  end)

  it("answers where one step has no time left", function()
    local b = service "b"
    assert.equal("b", mp.RunnableLambda(function() mp.sleep(60) end):with_timeout(0.02)
      :with_fallbacks({ b.step }):invoke "x")
  end)

  it("answers each item of a batch on its own", function()
    local step = mp.RunnableLambda(function(x)
      if x % 2 == 1 then boom("input", "odd") end
      return x
    end):with_fallbacks { function(x)
      if x == 3 then boom("input", "three") end
      return -x
    end }
    local out = step:batch({ 1, 2, 3, 4 }, { return_exceptions = true })
    assert.same({ -1, 2, "odd", 4 }, { out[1], out[2], out[3].message, out[4] })
  end)
end)

describe("fallbacks: exception_key", function()
  before_each(listen)
  after_each(function() log.sink = nil end)

  it("gives the error to the next, in a copy", function()
    local a, b, c = service("a", true), service("b", true), service "c"
    local input = { question = "x" }
    local step = a.step:with_fallbacks({ b.step, c.step }, { exception_key = "failure" })
    assert.equal("c", step:invoke(input))
    assert.same({ question = "x" }, input)
    assert.equal(input, a.input)
    assert.same({ "x", "a is down" }, { b.input.question, b.input.failure.message })
    assert.equal("b is down", c.input.failure.message)
  end)

  it("needs a table", function()
    local a = service("a", true)
    local step = a.step:with_fallbacks({ a.step }, { exception_key = "failure" })
    assert.truthy(helper.input_failure(step.invoke, step, "x"):find(
      "with exception_key the input of RunnableWithFallbacks must be a table, got a string", 1, true))
    assert.equal(0, a.calls)
  end)
end)

describe("fallbacks: the circuit", function()
  before_each(listen)
  after_each(function() log.sink = nil end)

  local function call(step, times)
    for _ = 1, times do assert.equal("b", step:invoke "x") end
  end

  it("opens after five failures in a row", function()
    local a, b = service("a", true), service "b"
    call(a.step:with_fallbacks { b.step }, 20)
    assert.same({ 5, 20 }, { a.calls, b.calls })
  end)

  it("does not open while one in five succeeds", function()
    local a, b = service("a"), service "b"
    local step = a.step:with_fallbacks { b.step }
    for i = 1, 25 do
      a.down = i % 5 ~= 0
      step:invoke "x"
    end
    assert.equal(25, a.calls)
  end)

  it("lets one call probe after a while, and closes when that succeeds", function()
    local a, b = service("a", true), service "b"
    local step = a.step:with_fallbacks({ b.step }, { circuit = { failures = 2, seconds = 0.05 } })
    call(step, 4)
    assert.equal(2, a.calls)
    mp.sleep(0.06)
    call(step, 3) -- one probes, and opens it again
    assert.equal(3, a.calls)
    mp.sleep(0.06)
    a.down = false
    assert.same({ "a", "a" }, { step:invoke "x", step:invoke "x" })
    assert.equal(5, a.calls)
  end)

  it("lets no second call probe beside the first", function()
    local slow, calls = nil, 0
    local primary = mp.RunnableLambda(function()
      calls = calls + 1
      if not slow then boom() end
      mp.sleep(0.05)
      return "a"
    end)
    local step = primary:with_fallbacks({ function() return "b" end },
      { circuit = { failures = 1, seconds = 0.02 } })
    step:invoke "x"
    mp.sleep(0.03)
    slow = true
    assert.same({ "a", "b", "b", n = 3 }, step:batch { 1, 2, 3 })
    assert.equal(2, calls)
  end)

  it("lets another probe where the first was cancelled", function()
    local hang, calls = nil, 0
    local primary = mp.RunnableLambda(function()
      calls = calls + 1
      if not hang then boom() end
      if calls == 2 then mp.sleep(60) end
      return "a"
    end)
    local step = primary:with_fallbacks({ function() return "b" end },
      { circuit = { failures = 1, seconds = 0.02 } })
    step:invoke "x"
    mp.sleep(0.03)
    hang = true
    local probe = step:start "x"
    mp.sleep(0.005)
    probe:cancel()
    probe:wait(5)
    assert.same({ "a", 3 }, { step:invoke "x", calls })
  end)

  it("takes no input that is refused for an outage", function()
    local a, b = service("a", true, "context_length"), service "b"
    call(a.step:with_fallbacks { b.step }, 20)
    assert.equal(20, a.calls)
  end)

  it("opens at once for as long as a 429 asks", function()
    local a, b = service("a", true, "rate_limit", { retry_after = 0.05 }), service "b"
    local step = a.step:with_fallbacks { b.step }
    call(step, 5)
    assert.equal(1, a.calls)
    mp.sleep(0.06)
    a.down = false
    assert.equal("a", step:invoke "x")
  end)

  it("is one for all fallbacks of a step", function()
    local a, b = service("a", true), service "b"
    for _ = 1, 20 do call(a.step:with_fallbacks { b.step }, 1) end
    assert.equal(5, a.calls)
  end)

  it("can be left out", function()
    local a, b = service("a", true), service "b"
    call(a.step:with_fallbacks({ b.step }, { circuit = false }), 20)
    assert.equal(20, a.calls)
    local limited = service("a", true, "rate_limit", { retry_after = 60 })
    call(limited.step:with_fallbacks({ b.step }, { circuit = false }), 5)
    assert.equal(5, limited.calls)
  end)

  it("raises the error of what was tried", function()
    local a, b = service("a", true), service("b", true, "auth")
    local step = a.step:with_fallbacks({ b.step }, { circuit = { failures = 1, seconds = 60 } })
    step:try_invoke "x"
    local _, err = step:try_invoke "x"
    assert.same({ "auth", "fallback 1 b", "a is down" },
      { err.kind, err.path, err.siblings.primary.message })
  end)
end)

describe("fallbacks: switches", function()
  before_each(listen)
  after_each(function() log.sink = nil end)

  it("are told once, and so is the way back", function()
    local a, b = service("a", true, "http", { status = 503 }), service "b"
    local step = a.step:with_fallbacks { b.step }
    step:invoke "x"
    step:invoke "x"
    a.down = false
    step:invoke "x"
    step:invoke "x"
    assert.same({ "a fails (http 503 http: a is down); b answers instead", "a answers again" },
      notices)
  end)

  it("of functions that refuse their input are not told", function()
    mp.RunnableLambda(function() error("no") end):with_fallbacks({ service("b").step }):invoke "x"
    assert.same({}, notices)
  end)

  it("are given to on_switch, each of them", function()
    local a, b, seen = service("a", true), service "b", {}
    local step = a.step:with_fallbacks({ b.step }, { on_switch = function(switch)
      seen[#seen + 1] = { switch.from, switch.to, switch.error.kind }
    end })
    step:invoke "x"
    step:invoke "x"
    assert.same({ { a.step, b.step, "reset" }, { a.step, b.step, "reset" } }, seen)
  end)

  it("are told to callbacks", function()
    local a, b, seen = service("a", true), service "b", nil
    a.step:with_fallbacks({ b.step }):invoke("x", { callbacks = { {
      on_custom_event = function(_, name, data) seen = { name, data.error.kind } end,
    } } })
    assert.same({ "fallback", "reset" }, seen)
  end)
end)

describe("fallbacks: streams", function()
  before_each(listen)
  after_each(function() log.sink = nil end)

  local function words(list, at)
    return mp.RunnableGenerator(function(_, emit)
      for i, word in ipairs(list) do
        if i == at then boom() end
        emit(word)
      end
    end, { name = "words" })
  end

  local function read(stream)
    local got = {}
    local ok, err = pcall(function()
      for chunk in stream do got[#got + 1] = chunk end
    end)
    return got, not ok and err or nil
  end

  it("fall back until the first chunk", function()
    local step = words({ "a" }, 1):with_fallbacks { words { "b", "c" } }
    assert.same({ "b", "c" }, (read(step:stream "x")))
  end)

  it("break for good after it, with what had come", function()
    local got, err = read(words({ "a", "b" }, 2):with_fallbacks({ words { "c" } }):stream "x")
    assert.same({ { "a" }, "reset", "a", "primary words" },
      { got, err.kind, err.partial, err.path })
  end)

  it("may be empty, which is no failure", function()
    local b = service "b"
    assert.same({}, (read(words({}):with_fallbacks({ b.step }):stream "x")))
    assert.equal(0, b.calls)
  end)

  it("raise the first error where all fail", function()
    local _, err = read(words({ "a" }, 1):with_fallbacks({ service("b", true).step }):stream "x")
    assert.same({ "gone", "b is down" }, { err.message, err.siblings["fallback 1"].message })
  end)

  it("of the input are given whole to whoever answers", function()
    local chain = mp.pipe(words { "a", "b" }, service("c", true).step:with_fallbacks {
      function(x) return x .. "!" end,
    })
    assert.same({ "ab!" }, (read(chain:stream "x")))
  end)
end)

describe("fallbacks: models", function()
  before_each(listen)
  after_each(function() log.sink = nil end)

  it("are asked at once where the first limits its rate", function()
    local first = mp.ChatOpenAI { model = "limited", base_url = server:lane("limited",
      "status=429; header=Retry-After: 60") }
    local second = mp.ChatOpenAI { base_url = server:lane("free", "answer=here") }
    local step = first:with_fallbacks { second }
    for _ = 1, 3 do assert.equal("here", tostring(step:invoke "hi")) end
    local lanes = server:stats().lanes
    assert.same({ 1, 3 }, { lanes.limited.requests, lanes.free.requests })
    assert.equal(1, #notices)
    assert.truthy(notices[1]:find("ChatOpenAI fails (http 429 rate_limit:", 1, true), notices[1])
  end)

  it("take over a stream before its first chunk", function()
    local first = mp.ChatOpenAI { base_url = server:lane("broken", "reset=h9"), max_retries = 0 }
    local second = mp.ChatOpenAI { base_url = server:lane("whole", "answer=one two") }
    local text = {}
    for chunk in first:with_fallbacks({ second }):stream "hi" do text[#text + 1] = chunk.content end
    assert.equal("one two", table.concat(text))
  end)
end)

describe("fallbacks: options", function()
  local step = mp.RunnablePassthrough()

  it("are checked", function()
    for _, case in ipairs {
      { {}, nil, "with_fallbacks takes a list of steps, got an empty table" },
      { { "x" }, nil, "fallback 1: a string is not a step" },
      { { step }, { keys = 1 }, "unknown option 'keys' of with_fallbacks" },
      { { step }, { exception_key = 1 }, "exception_key of with_fallbacks must be a string" },
      { { step }, { exceptions_to_handle = 1 }, "exceptions_to_handle of with_fallbacks takes" },
      { { step }, { on_switch = 1 }, "on_switch of with_fallbacks must be a function" },
      { { step }, { circuit = 1 }, "circuit of with_fallbacks must be a boolean or" },
      { { step }, { circuit = { failures = 0 } }, "circuit.failures of with_fallbacks must be" },
    } do
      local said = helper.said(step.with_fallbacks, step, case[1], case[2])
      assert.truthy(said:find(case[3], 1, true), said)
    end
  end)

  it("tell of the time that was over, and of the failure behind it", function()
    local late = mp.RunnableLambda(function()
      pcall(mp.sleep, 60)
      error("boom", 0)
    end)
    local chain = late:with_fallbacks({ service("b").step }):with_timeout(0.05)
    local _, err = chain:try_invoke("x")
    assert.equal("timeout_total", err.kind)
    assert.equal("boom", err.cause.message)
    assert.truthy(err.cause.path:find("^primary "))
  end)

  it("show in drawings", function()
    local edges = {}
    for _, edge in ipairs(step:with_fallbacks({ step, step }):get_graph().edges) do
      if edge.label then edges[#edges + 1] = edge.label end
    end
    assert.same({ "primary", "fallback 1", "fallback 2" }, edges)
  end)

  it("show in the chain's text", function()
    local chain = service("a").step:with_fallbacks {
      service("b").step:with_retry(),
    }
    assert.equal("a:with_fallbacks{b:with_retry()}", tostring(chain))
  end)
end)
