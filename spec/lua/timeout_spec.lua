local helper = require "spec.helper"
local calls = require "spec.support.calls"
local mp = require "moonpipe"
local native = require "moonpipe.native"
local server = require("spec.support.server").use()

local now = native.c.now

-- Emits words, waiting before each as long as it is told.
local function words(...)
  local pauses = { ... }
  return mp.RunnableGenerator(function(_, emit)
    for i, pause in ipairs(pauses) do
      if pause > 0 then mp.sleep(pause) end
      emit("w" .. i)
    end
  end, { name = "words" })
end

local function read(stream, pause)
  local got = {}
  local ok, err = pcall(function()
    for chunk in stream do
      got[#got + 1] = chunk
      if pause then mp.sleep(pause) end
    end
  end)
  return got, not ok and err or nil
end

for name, limited in pairs {
  with_timeout = function(step, seconds) return step:with_timeout(seconds) end,
  ["with_config{ timeout }"] = function(step, seconds)
    return step:with_config { timeout = seconds }
  end,
} do
  describe("timeout: " .. name, function()
    it("ends an invoke", function()
      local begun = now()
      local _, err = limited(mp.RunnableLambda(function() mp.sleep(60) end, { name = "slow" }), 0.02)
        :try_invoke("x")
      assert.same({ "timeout_total", "no answer within 0.02 s", "slow", true },
        { err.kind, err.message, err.step, err.retryable })
      assert.is_true(now() - begun < 10)
    end)

    it("gives what was in time", function()
      assert.equal("x", limited(mp.RunnableLambda(function(x) return x end), 10):invoke("x"))
      assert.equal("w1w2w3", limited(words(0, 0, 0.001), 10):invoke("x"))
    end)

    it("lets a stream through, chunk by chunk", function()
      assert.same({ "w1", "w2", "w3" }, (read(limited(words(0, 0.001, 0), 10):stream("x"))))
    end)

    it("ends a stream, with what had come", function()
      local got, err = read(limited(words(0, 0, 60), 0.05):stream("x"))
      assert.same({ { "w1", "w2" }, "timeout_total", "w1w2", "words" },
        { got, err.kind, err.partial, err.step })
    end)

    it("lets an input stream through", function()
      local chain = mp.pipe(words(0, 0, 0), limited(mp.RunnablePassthrough(), 10))
      assert.same({ "w1", "w2", "w3" }, (read(chain:stream("x"))))
    end)

    it("does not count the time that the step before takes", function()
      local chain = mp.pipe(words(0.06, 0.06, 0.15), limited(mp.RunnablePassthrough(), 0.1))
      assert.same({ "w1", "w2", "w3" }, (read(chain:stream("x"))))
    end)

    it("ends a stream inside a map without its siblings", function()
      local got, err = read(mp.RunnableParallel {
        a = limited(words(0, 60), 0.03), b = words(0, 0.1),
      }:with_config({ on_error = "collect" }):stream("x"))
      assert.is_nil(err)
      local all = {}
      for _, chunk in ipairs(got) do
        for key, value in pairs(chunk) do
          all[key] = (all[key] or "") .. (type(value) == "table" and value.kind or value)
        end
      end
      assert.same({ a = "w1timeout_total", b = "w1w2" }, all)
    end)

    it("leaves the nearer deadline of the run in force", function()
      local _, err = limited(mp.RunnableLambda(function() mp.sleep(60) end), 30)
        :try_invoke("x", { timeout = 0.02 })
      assert.equal("no answer within 0.02 s", err.message)
    end)

    it("is seen by what runs below", function()
      local left
      limited(mp.RunnableLambda(function() left = mp.current():remaining() end), 5):invoke("x")
      assert.is_true(left > 0 and left <= 5)
    end)
  end)
end

describe("timeout: chunks", function()
  it("must begin to come in time", function()
    local got, err = read(words(60):with_timeout { first_chunk = 0.02 }:stream("x"))
    assert.same({ {}, "timeout_first_byte", "no chunk within 0.02 s" },
      { got, err.kind, err.message })
  end)

  it("must go on coming in time", function()
    local got, err = read(words(0.05, 0, 60):with_timeout { first_chunk = 10, idle = 0.02 }:stream("x"))
    assert.same({ { "w1", "w2" }, "timeout_idle", "no further chunk within 0.02 s", "w1w2" },
      { got, err.kind, err.message, err.partial })
  end)

  it("that the reader is slow to take are in time", function()
    local got, err = read(words(0, 0, 0):with_timeout { idle = 0.02, first_chunk = 5 }:stream("x"),
      0.05)
    assert.is_nil(err)
    assert.equal(3, #got)
  end)

  it("are counted in invoke too", function()
    local step = words(0, 0, 60):with_timeout { idle = 0.02 }
    local _, err = step:try_invoke("x")
    assert.same({ "timeout_idle", "w1w2" }, { err.kind, err.partial })
    assert.equal("w1w2", words(0, 0):with_timeout { idle = 5, total = 9 }:invoke("x"))
  end)

  it("of the step before are not its own", function()
    local chain = mp.pipe(words(0.05, 0.05), mp.RunnablePassthrough():with_timeout {
      first_chunk = 0.02, idle = 0.02,
    })
    assert.same({ "w1", "w2" }, (read(chain:stream("x"))))
  end)

  it("are limited in all, also while nobody reads", function()
    local got, err = read(words(0, 0, 0):with_timeout { total = 0.03, idle = 5 }:stream("x"), 0.1)
    assert.same({ { "w1" }, "timeout_total" }, { got, err.kind })
  end)
end)

describe("timeout: transfers", function()
  it("are closed at once, by each limit", function()
    for limit, lane in pairs { total = "a", first_chunk = "b", idle = "c" } do
      local script = limit == "idle" and "tokens=50; gap=1; stall=2000" or "never"
      local model = mp.ChatOpenAI { base_url = server:lane(lane, script), max_retries = 0 }
      local _, err = read(model:with_timeout { [limit] = 0.15 }:stream("hi"))
      assert.equal(limit == "total" and "timeout_total" or limit == "idle" and "timeout_idle"
        or "timeout_first_byte", err.kind)
      if limit == "idle" then assert.truthy(err.partial:find("^tok0")) end
      helper.run(function()
        calls.wait(server, function(stats) return stats.lanes[lane].aborted == 1 end)
      end)
    end
  end)
end)

describe("timeout: a stream's source", function()
  local function counting(count)
    return mp.RunnableGenerator(function(chunks, emit)
      for _ in chunks do end
      for i = 1, count do
        mp.sleep(0.001)
        emit(tostring(i))
      end
    end)
  end

  -- The readers of a map's chunks take turns at pulling: who pulls first may be over first.
  it("outlives the reader that opened it", function()
    local map = mp.RunnableParallel { x = mp.itemgetter "a", y = mp.itemgetter "b" }
    local chain = mp.pipe(mp.RunnableParallel { a = counting(3), b = counting(9) },
      mp.pipe(map, mp.RunnablePassthrough.assign { z = mp.itemgetter "x" }):with_timeout(60))
    local whole = mp.RunnableParallel { k = chain, l = counting(1) }
    assert.same({ k = { x = "123", y = "123456789", z = "123" }, l = "1" },
      whole:stream("q"):collect())
  end)
end)

describe("timeout: options", function()
  local step = mp.RunnablePassthrough()

  it("are checked", function()
    for said, given in pairs {
      ["with_timeout takes seconds or { total, first_chunk, idle }, got a string"] = "5",
      ["total of with_timeout must be seconds, got the number -1"] = -1,
      ["idle of with_timeout must be seconds, got a string"] = { idle = "1" },
      ["with_timeout needs total, first_chunk or idle"] = {},
    } do
      assert.equal(said, helper.said(step.with_timeout, step, given))
    end
    assert.truthy(helper.said(step.with_timeout, step, { totl = 1 }):find("did you mean 'total'?"))
  end)
end)
