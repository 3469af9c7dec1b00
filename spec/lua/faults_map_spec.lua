-- Model calls side by side of which one goes wrong: what becomes of the others, as the
-- server saw it. The numbers are the rows of the fault list.
local calls = require "spec.support.calls"
local errors = require "moonpipe.error"
local helper = require "spec.helper"
local mp = require "moonpipe"

local server = require("spec.support.server").use()
local it, model = calls.it, calls.models(server)

-- A model whose answer is a failure, once the server is told to let go.
local function failing()
  return mp.ChatOpenAI { base_url = server:lane("failing", { { hold = true, status = 400,
    error = "invalid_value", message = "no" } }) }
end

-- Waits until [count] requests are under way, then lets the held ones go.
local function release(count, lane)
  calls.wait(server, function(stats) return stats.in_flight == count end)
  server:release(lane)
end

-- Waits until the server has lost [count] connections, and no request is left.
local function check_closed(count)
  local stats = calls.wait(server, function(s) return s.in_flight == 0 end)
  assert.same({ count, 0 }, { stats.aborted, stats.broken })
end

local function kind_of(value)
  return errors.is(value) and value.kind or value
end

describe("row 30: a branch that fails", function()
  it("closes the connections of its siblings, nested ones too", function()
    local map = mp.RunnableParallel {
      bad = failing(),
      whole = model "never",
      stalled = model { tokens = 9, stream = "yes", stall = 300 },
      nested = { deep = model "never" },
    }
    local task = map:start("hi")
    release(4, "failing")
    local _, err = task:wait()
    assert.same({ "refused_request", "no", "failed" }, { err.kind, err.message, task:status() })
    assert.matches("^map.bad", err.path)
    assert.same({ whole = "cancelled", stalled = "cancelled", nested = "cancelled" }, err.siblings)
    check_closed(3)
  end)

  it("closes the streams of its siblings", function()
    local map = mp.RunnableParallel {
      bad = failing(),
      one = model { tokens = 1000, gap = 20 },
      two = mp.pipe(model { tokens = 1000, gap = 20 }, mp.StrOutputParser()),
    }
    local seen = {}
    local task = mp.RunnableLambda(function()
      for chunk in map:stream("hi") do seen[next(chunk)] = true end
    end):start()
    calls.wait(server, function() return seen.one and seen.two end)
    release(3, "failing")
    local _, err = task:wait()
    assert.same({ "refused_request", { one = "cancelled", two = "cancelled" } },
      { err.kind, err.siblings })
    check_closed(2)
  end)

  it("is a value with collect, and its siblings go on to their end", function()
    local map = mp.RunnableParallel { bad = failing(), good = model { hold = true } }
    local task = map:start("hi", { on_error = "collect" })
    release(2, "failing")
    calls.wait(server, function(stats) return stats.completed == 1 end)
    assert.equal("running", task:status())
    server:release()
    local out = assert(task:wait())
    assert.same({ "refused_request", "hi" }, { out.bad.kind, out.good.content })
    assert.matches("^map.bad", out.bad.path)
    assert.same({ 2, 0 }, { server:stats().completed, server:stats().aborted })
  end)

  it("is raised with wait, when its siblings have ended", function()
    local map = mp.RunnableParallel { bad = failing(), good = model { hold = true } }
    local task = map:start("hi", { on_error = "wait" })
    release(2, "failing")
    calls.wait(server, function(stats) return stats.completed == 1 end)
    assert.equal("running", task:status())
    server:release()
    local _, err = task:wait()
    assert.same({ "refused_request", { good = "done" } }, { err.kind, err.siblings })
    assert.same({ 2, 0 }, { server:stats().completed, server:stats().aborted })
  end)

  it("lists siblings that failed too", function()
    local both = { hold = true, status = 400, message = "no" }
    local map = mp.RunnableParallel { a = model(both), b = model(both), c = model { tokens = 2 } }
    local task = map:start("hi", { on_error = "wait" })
    release(2)
    local _, err = task:wait()
    local other = err.path:find("^map.a") and "b" or "a"
    assert.same({ "refused_request", "done" }, { err.siblings[other].kind, err.siblings.c })
  end)

  it("ends a batch item, and the others go on", function()
    local chain = mp.RunnableParallel {
      call = mp.RunnableLambda(function(text)
        return text == "bad" and model "status=400" or model { delay = 30 }
      end),
      other = model { delay = 60 },
    }
    local out = chain:batch({ "x", "bad", "y" }, { return_exceptions = true })
    assert.same({ "x", "refused_request", "y" },
      { out[1].call.content, kind_of(out[2]), out[3].other.content })
    check_closed(1)
  end)
end)

describe("row 29: a call that is cancelled", function()
  it("ends soon, and the server sees its connection closed", function()
    local task = model("never"):start("hi")
    calls.wait(server, function(stats) return stats.in_flight == 1 end)
    local begun = calls.now()
    task:cancel()
    local _, err = task:wait()
    assert.truthy(calls.now() - begun < 0.2)
    assert.same({ "cancelled", "cancelled" }, { err.kind, task:status() })
    check_closed(1)
  end)

  it("may be cancelled again, in the middle and at its end", function()
    local slow = model { tokens = 100, gap = 20 }
    local task = mp.RunnableLambda(function() return slow:stream("hi"):collect() end):start()
    calls.wait(server, function(stats) return stats.in_flight == 1 end)
    for _ = 1, 3 do task:cancel() end
    local _, err = task:wait()
    task:cancel("again")
    local _, same = task:wait()
    assert.same({ "cancelled", true, "cancelled" }, { err.kind, err == same, task:status() })
    check_closed(1)
  end)

  it("is left alone when it is done", function()
    local task = model({ tokens = 2 }):start("hi")
    assert.equal("tok0 tok1", task:wait().content)
    task:cancel()
    assert.same({ "done", "tok0 tok1" }, { task:status(), task:wait().content })
    assert.same({ 1, 0 }, { server:stats().completed, server:stats().aborted })
  end)

  it("gives its slot to the next one", function()
    local never, good = model "never", model { tokens = 1 }
    local task = mp.RunnableLambda(function()
      local first = never:start("hi")
      local second = good:start("hi")
      calls.wait(server, function(stats) return stats.in_flight == 1 end)
      assert.equal("running", second:status())
      first:cancel()
      return assert(second:wait()).content
    end):start(nil, { max_concurrency = 1 })
    assert.equal("tok0", (task:wait()))
    assert.equal(1, server:stats().peak)
    check_closed(1)
  end)
end)

-- Runs fn as a branch beside two model calls that never end; gives the error, when the
-- server has seen that their connections were closed.
local function beside(fn)
  server:reset()
  local ready = false
  local map = mp.RunnableParallel {
    bad = function(x)
      while not ready do mp.sleep(0.002) end
      return fn(x)
    end,
    one = model "never",
    two = model { tokens = 9, stream = "yes", stall = 300 },
  }
  local task = map:start("hi")
  calls.wait(server, function(stats) return stats.in_flight == 2 end)
  ready = true
  local _, err = task:wait()
  check_closed(2)
  assert.same({ one = "cancelled", two = "cancelled" }, err.siblings)
  return err
end

describe("row 42: a Lua error beside model calls", function()
  it("is that branch's, with place and traceback", function()
    local err = beside(function() error("my own") end)
    assert.equal("lua", err.kind)
    assert.matches("faults_map_spec.lua:%d+: my own$", err.message)
    assert.matches("^map.bad", err.path)
    assert.matches("faults_map_spec.lua:%d+: in function", err.traceback)
  end)

  it("after a model call of its own, in which it waited, is the same", function()
    local good = model { tokens = 1 }
    local err = beside(function()
      local text = good:invoke("hi").content
      return text + {} -- luacheck: ignore
    end)
    assert.equal("lua", err.kind)
    assert.matches("attempt to perform arithmetic", err.message)
    assert.matches("faults_map_spec.lua:%d+: in function", err.traceback)
  end)

  it("leaves nothing behind", function()
    local function count()
      collectgarbage()
      collectgarbage()
      local entries = 0
      for _ in pairs(debug.getregistry()) do entries = entries + 1 end
      return entries
    end
    local map = mp.RunnableParallel {
      a = function() mp.sleep(0.002) error("no") end,
      call = model "never",
    }
    local function fail() assert.equal("lua", helper.failure(map.invoke, map, "hi").kind) end
    fail()
    local before = count()
    for _ = 1, 20 do fail() end
    assert.equal(before, count())
    calls.wait(server, function(stats) return stats.in_flight == 0 end)
  end)
end)

describe("row 43: a strange error value beside model calls", function()
  local function liar(fn)
    return setmetatable({}, { __tostring = fn })
  end

  it("is kept as it is", function()
    local value = { code = 7 }
    local err = beside(function() error(value) end)
    assert.same({ "lua", true }, { err.kind, err.cause == value })
    local guard = newproxy(true)
    assert.equal(guard, beside(function() error(guard) end).cause)
    assert.equal(42, beside(function() error(42, 0) end).cause)
    assert.equal(false, beside(function() error(false) end).cause)
  end)

  it("may be nothing at all", function()
    local err = beside(function() error() end)
    assert.same({ "lua", "nil" }, { err.kind, err.message })
  end)

  it("whose __tostring fails, or lies, has a text all the same", function()
    for _, fn in ipairs { function() error("in __tostring") end, function() return 7 end,
      function(self) return tostring(self) .. "" end } do
      local value = liar(fn)
      local err = beside(function() error(value) end)
      assert.same({ "lua", true, "a table whose __tostring fails" },
        { err.kind, err.cause == value, err.message })
      assert.matches("whose __tostring fails", tostring(err), 1, true)
    end
  end)

  it("from a handler that fails itself is an error like others", function()
    local err = beside(function()
      local ok, value = xpcall(error, function() error("in the handler") end, "first")
      assert(not ok)
      error(value, 0)
    end)
    assert.equal("lua", err.kind)
  end)

  it("from an endless recursion is an error like others", function()
    local err = beside(function()
      local function deeper() return 1 + deeper() end
      return deeper()
    end)
    assert.equal("lua", err.kind)
    assert.matches("stack overflow", err.message)
  end)
end)

describe("row 45: a step with coroutines and callbacks of its own", function()
  it("that yields something strange fails, naming it, beside model calls", function()
    local err = beside(function() coroutine.yield("what is this") end)
    assert.equal("lua", err.kind)
    assert.matches("yield", err.message)
    assert.matches("faults_map_spec.lua:%d+", err.message)
  end)

  it("calls a model in a coroutine.wrap, at the same time as others", function()
    local held = model { hold = true }
    local map = mp.RunnableParallel {
      a = function(x)
        local next_text = coroutine.wrap(function()
          coroutine.yield(held:invoke(x .. "1").content)
          coroutine.yield(held:invoke(x .. "2").content)
        end)
        return next_text() .. next_text()
      end,
      b = held,
    }
    local task = map:start("x")
    release(2)
    calls.wait(server, function(stats) return stats.in_flight == 1 and stats.completed == 2 end)
    server:release()
    local out = assert(task:wait())
    assert.same({ "x1x2", "x", 2 }, { out.a, out.b.content, server:stats().peak })
  end)

  it("waits in place in table.sort and gsub, and other calls go on", function()
    local quick = model {}
    local map = mp.RunnableParallel {
      sorted = function()
        local list = { "c", "a", "b" }
        table.sort(list, function(x, y) return quick:invoke(x).content < quick:invoke(y).content end)
        return table.concat(list)
      end,
      replaced = function()
        return (("1 2 3"):gsub("%d", function(digit) return quick:invoke("<" .. digit .. ">").content end))
      end,
      -- begun first: the others come back from their callbacks only at their end
      a_slow_one = mp.pipe(model { tokens = 30, delay = 100 }, mp.StrOutputParser()),
    }
    local out = map:invoke("hi")
    assert.same({ "abc", "<1> <2> <3>" }, { out.sorted, out.replaced })
    assert.matches("^tok0 .*tok29$", out.a_slow_one)
    assert.truthy(server:stats().peak >= 2)
    assert.equal(0, server:stats().aborted)
  end)

  it("that fails in gsub closes what it opened there", function()
    local never = model "never"
    local err = helper.failure(function()
      return mp.RunnableLambda(function()
        return (("x"):gsub(".", function()
          return mp.RunnableParallel { call = never, bad = function()
            calls.wait(server, function(stats) return stats.in_flight == 1 end)
            error("in gsub")
          end }:invoke("hi")
        end))
      end):invoke(1)
    end)
    assert.matches("in gsub", err.message)
    check_closed(1)
  end)
end)
