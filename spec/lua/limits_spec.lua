-- The limit of a run, seen from the server: never more in flight than it allows.
local http = require "moonpipe.http.http"
local mp = require "moonpipe"
local server = require("spec.support.server").use()

local function model(script)
  return mp.ChatOpenAI { base_url = server:with(script or { delay = 5 }) }
end

local function map_of(step, n)
  local map = {}
  for i = 1, n do map["key" .. i] = step end
  return mp.RunnableParallel(map)
end

local LIMIT = { max_concurrency = 2 }

local function seen()
  local stats = server:stats()
  return { stats.requests, stats.peak, stats.in_flight }
end

describe("max_concurrency", function()
  it("holds for nested maps, in invoke", function()
    map_of(map_of(model(), 3), 3):invoke("x", LIMIT)
    assert.same({ 9, 2, 0 }, seen())
  end)

  it("holds for nested maps, in stream", function()
    map_of(map_of(model(), 3), 3):stream("x", LIMIT):collect()
    assert.same({ 9, 2, 0 }, seen())
  end)

  it("holds for nested maps, in start", function()
    map_of(map_of(model(), 3), 3):start("x", LIMIT):wait()
    assert.same({ 9, 2, 0 }, seen())
  end)

  it("holds for nested maps, in start with a callback for each token", function()
    local task = map_of(map_of(model(), 3), 3):start("x", {
      max_concurrency = 2, on_token = function() end,
    })
    task:wait()
    assert.same({ 9, 2, 0 }, seen())
  end)

  it("holds for a batch over a map", function()
    map_of(model(), 3):batch({ "a", "b", "c", "d", "e", "f" }, LIMIT)
    assert.same({ 18, 2, 0 }, seen())
  end)

  it("holds for nested maps, in batch", function()
    map_of(map_of(model(), 3), 3):batch({ "a", "b" }, LIMIT)
    assert.same({ 18, 2, 0 }, seen())
  end)

  it("holds for a batch that a started task makes", function()
    local answers = mp.RunnableLambda(function()
      return map_of(model(), 3):batch({ "a", "b", "c", "d", "e", "f" })
    end):start(nil, LIMIT):wait()
    assert.equal("f", answers[6].key3.content)
    assert.same({ 18, 2, 0 }, seen())
  end)

  it("holds for a batch of streams", function()
    local step = mp.RunnableLambda(function(text)
      return map_of(model({ gap = 2 }), 3):stream(text):collect().key2.content
    end)
    local texts = step:batch({ "a b", "c d", "e", "f", "g", "h" }, LIMIT)
    assert.same({ "a b", "c d", "e", "f", "g", "h", n = texts.n }, texts)
    assert.same({ 18, 2, 0 }, seen())
  end)

  it("holds for batch_as_completed over a map", function()
    for _, record in map_of(model(), 3):batch_as_completed({ "a", "b", "c" }, LIMIT) do
      assert.is_true(record.ok)
    end
    assert.same({ 9, 2, 0 }, seen())
  end)

  -- Each makes six calls of a model, as many at once as it may.
  local around = {
    branch = function(step) return map_of(mp.RunnableBranch({ mp.const(true), step }, mp.const(1)), 6) end,
    router = function(step)
      return map_of(mp.pipe({ key = mp.const "a", input = mp.RunnablePassthrough() },
        mp.RouterRunnable { a = step }), 6)
    end,
    each = function(step) return mp.pipe(mp.const { "a", "b", "c", "d", "e", "f" }, step:map()) end,
    loop = function(step)
      local round = 0
      local body = mp.pipe(map_of(step, 3), function()
        round = round + 1
        return "x"
      end)
      return mp.loop { body = body, until_ = function() return round % 2 == 0 end }
    end,
    after = function(step)
      return mp.pipe({ x = mp.RunnablePassthrough() }, mp.RunnableAssign({
        a = mp.pipe(mp.itemgetter "x", map_of(step, 2)), b = mp.pipe(mp.itemgetter "x", map_of(step, 2)),
        c = mp.pipe(mp.itemgetter "x", map_of(step, 2)),
      }, { after = { c = "a" } }))
    end,
    alternatives = function(step)
      return map_of(mp.const(1):configurable_alternatives({ id = "i" }, { b = step })
        :with_config { configurable = { i = "b" } }, 6)
    end,
    listeners = function(step) return map_of(step:with_listeners(function() end), 6) end,
    chunks = function(step) return map_of(mp.pipe(step, mp.map_chunks(function(c) return c end)), 6) end,
  }

  for name, wrap in pairs(around) do
    it("holds for calls within " .. name .. ", in invoke and in stream", function()
      wrap(model()):invoke("x", LIMIT)
      assert.same({ 6, 2, 0 }, seen())
      wrap(model()):stream("x", LIMIT):collect()
      assert.same({ 12, 2, 0 }, seen())
    end)
  end

  it("holds for inputs that are read one by one", function()
    local count = 0
    local out = model():batch(function()
      count = count + 1
      return count <= 20 and "x" or nil
    end, LIMIT)
    assert.equal(20, out.n)
    assert.same({ 20, 2, 0 }, seen())
  end)

  it("is none by default", function()
    map_of(model({ delay = 50 }), 8):invoke("x")
    assert.same({ 8, 8, 0 }, seen())
  end)

  it("leaves its slot during a pause between attempts", function()
    local failing = server:lane("failing", { { status = 503, header = "retry-after-ms: 300" },
      "status=200" })
    local done = {}
    mp.RunnableParallel({
      a = mp.pipe(mp.ChatOpenAI { base_url = failing }, function() done[#done + 1] = "a" end),
      b = mp.pipe(model(), function() done[#done + 1] = "b" end),
    }):invoke("x", { max_concurrency = 1 })
    assert.same({ "b", "a" }, done)
    assert.same({ 3, 1, 0 }, seen())
  end)

  it("lets a call downstream of an open stream through", function()
    local words, second = model({ gap = 5 }), model()
    local answers = {}
    mp.RunnableLambda(function()
      for chunk in words:stream "a b c d" do
        if chunk.content ~= "" then answers[#answers + 1] = second:invoke(chunk.content).content end
      end
    end):invoke(nil, { max_concurrency = 1, timeout = 10 })
    assert.same({ "a ", "b ", "c ", "d" }, answers)
    assert.same({ 5, 1, 0 }, seen())
  end)

  it("lets a model through that reads the stream of another", function()
    local chain = mp.pipe(model({ gap = 2 }), mp.RunnableGenerator(function(chunks, emit)
      for chunk in chunks do emit(model():invoke(chunk.content .. "!")) end
    end), mp.StrOutputParser())
    local text = chain:stream("a b", { max_concurrency = 1, timeout = 10 }):collect()
    assert.equal("a !b!!", text)
    assert.equal(1, server:stats().peak)
  end)

  it("drains a stream that nobody reads while another call waits", function()
    local long, other = model({ tokens = 20000 }), model()
    mp.RunnableLambda(function()
      local s = long:stream "x"
      s:next()
      assert.equal("y", other:invoke("y").content)
      local count = 1
      for _ in s do count = count + 1 end
      assert.equal(20001, count)
    end):invoke(nil, { max_concurrency = 1, timeout = 20 })
    assert.same({ 2, 1, 0 }, seen())
  end)

  it("takes back the slot of a stream that is closed", function()
    local m = model({ gap = "10s" })
    mp.RunnableLambda(function()
      for _ = 1, 3 do
        local s = m:stream "a b"
        s:next()
        s:close()
      end
    end):invoke(nil, { max_concurrency = 1, timeout = 10 })
    server:wait(function(stats) return stats.aborted == 3 end)
    assert.equal(1, server:stats().peak)
  end)

  it("takes back the slot of a call that fails", function()
    local m = mp.ChatOpenAI { base_url = server:with("status=400") }
    local out = m:batch({ "a", "b", "c" }, { max_concurrency = 1, return_exceptions = true })
    for i = 1, 3 do assert.equal("refused_request", out[i].kind) end
    assert.same({ 3, 1, 0 }, seen())
  end)

  it("takes back the slots of calls that are cancelled", function()
    local m = model("never")
    mp.RunnableLambda(function()
      for _ = 1, 3 do
        local _, err = m:try_invoke("x", { timeout = 0.05 })
        assert.equal("timeout_total", err.kind)
      end
    end):invoke(nil, { max_concurrency = 1 })
    assert.equal(1, server:stats().peak)
  end)

  it("counts time in its queue against the caller's timeout only", function()
    local m = mp.ChatOpenAI { base_url = server:with({ delay = 150 }), timeout = 0.25 }
    local out = map_of(m, 3):invoke("x", { max_concurrency = 1 })
    assert.equal("x", out.key3.content)
    local _, err = map_of(m, 3):try_invoke("x", { max_concurrency = 1, timeout = 0.2 })
    assert.equal("timeout_total", err.kind)
  end)
end)

describe("the wait in a gate", function()
  -- A model whose gate lets nobody in for a while.
  local function gated(lane, scripts, seconds, timeout)
    local m = mp.ChatOpenAI { base_url = server:lane(lane, scripts), model = lane, timeout = timeout }
    http.gate(m.endpoint:plan("/chat/completions", lane).gate, { not_before = seconds })
    return m
  end

  it("is no time of the call, of its next attempts neither", function()
    local m = gated("twice", { { status = 503, header = "retry-after-ms: 5" }, "status=200" }, 1.2, 1)
    assert.equal("x", m:invoke("x").content)
    assert.equal(2, server:stats().requests)
  end)

  it("is none of a stream that is opened again", function()
    local m = gated("stream", { { status = 503, header = "retry-after-ms: 5" }, "status=200" }, 1.2, 1)
    assert.equal("x", m:stream("x"):collect().content)
    assert.equal(2, server:stats().requests)
  end)

  it("is not what an error calls elapsed", function()
    local _, err = gated("elapsed", "status=400", 1, 10):try_invoke("x")
    assert.equal("refused_request", err.kind)
    assert.is_true(err.elapsed < 0.9, err.elapsed)
  end)

  it("counts against the caller's timeout", function()
    local _, err = gated("caller", "status=200", 5, 0.1):try_invoke("x", { timeout = 0.1 })
    assert.equal("timeout_total", err.kind)
    assert.equal(0, server:stats().requests)
  end)
end)
