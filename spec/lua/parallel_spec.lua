local helper = require "spec.helper"
local mp = require "moonpipe"
local native = require "moonpipe.native"

local now = native.c.now

local function slow(seconds, value)
  return function()
    mp.sleep(seconds)
    return value
  end
end

local function failing(seconds, message)
  return function()
    mp.sleep(seconds)
    error(message, 0)
  end
end

describe("parallel", function()
  it("gives each branch's result under its key", function()
    local out = mp.RunnableParallel({ a = mp.const(1), b = function(x) return x end }):invoke(7)
    assert.same({ a = 1, b = 7 }, out)
  end)

  it("runs branches at the same time #concurrency", function()
    local running, peak = 0, 0
    local function branch()
      running = running + 1
      peak = math.max(peak, running)
      mp.sleep(0.005)
      running = running - 1
    end
    mp.RunnableParallel({ a = branch, b = branch, c = { d = branch } }):invoke(1)
    assert.equal(3, peak)
  end)

  it("gives an array, with n, for an array", function()
    local out = mp.RunnableParallel({ mp.const("x"), function() return nil end }):invoke(1)
    assert.same({ "x", n = 2 }, out)
  end)

  it("leaves the key of a nil result out and keeps false", function()
    local out = mp.RunnableParallel({ a = function() end, b = mp.const(false) }):invoke(1)
    assert.same({ b = false }, out)
  end)

  it("runs an empty map to an empty table, and streams no chunk", function()
    assert.same({}, mp.RunnableParallel({}):invoke(1))
    assert.is_nil(mp.RunnableParallel({}):stream(1)())
  end)

  it("lists integers first, then strings by bytes", function()
    local map = mp.RunnableParallel { b = mp.const(1), a = mp.const(1), [2] = mp.const(1),
      [1] = mp.const(1) }
    assert.equal("{1, 2, a, b}", tostring(map))
  end)

  it("refuses keys that are neither strings nor positive integers", function()
    helper.raises("map keys are strings or positive integers, got the number 0",
      mp.RunnableParallel, { [0] = mp.const(1) })
    helper.raises("map keys are strings or positive integers, got the boolean true",
      mp.RunnableParallel, { [true] = mp.const(1) })
  end)

  it("takes only plain tables", function()
    helper.raises("RunnableParallel takes a table of steps, got a string", mp.RunnableParallel, "x")
    helper.raises("RunnableParallel takes a table of steps, got a const", mp.RunnableParallel,
      mp.const(1))
  end)

  it("refuses what a step gave, where the step was meant", function()
    for shape, value in pairs { ["a Document"] = mp.Document "x", ["an AIMessage"] = mp.AIMessage "x" } do
      helper.raises("in map key 'a': " .. shape .. " is not a step; did you call the step?",
        mp.RunnableParallel, { a = value })
    end
  end)

  it("refuses a map that holds itself", function()
    local map = {}
    map.a = { b = map }
    helper.raises("in map key 'a.b.a.b.a.b.a.b.a.b.…': the map is nested too deep; does it hold "
      .. "itself?", mp.RunnableParallel, map)
  end)

  it("gives each branch of user code its own shallow copy", function()
    local seen
    local map = mp.RunnableParallel {
      a = function(t) t.x = "changed" end,
      b = function(t) seen = t.x end,
    }
    local input = { x = "kept" }
    map:invoke(input)
    assert.equal("kept", seen)
    assert.equal("kept", input.x)
  end)

  it("copies for user code inside of sequences and nested maps", function()
    local input = { x = "kept" }
    local write = function(t) t.x = "changed" end
    mp.RunnableParallel({ a = mp.pipe(write, mp.const(1)), b = { c = write } }):invoke(input)
    assert.equal("kept", input.x)
  end)

  it("copies for user code behind a passthrough", function()
    local out = mp.RunnableParallel({
      a = mp.pipe(mp.RunnablePassthrough(), function(t) t.x = "changed" end),
      b = function(t) return t.x end,
    }):invoke({ x = "kept" })
    assert.equal("kept", out.b)
  end)

  it("copies for user code behind whatever may hand on its input", function()
    local same = mp.RunnablePassthrough()
    local steps = {
      config = same:with_config { tags = { "t" } },
      timeout = same:with_timeout(1),
      branch = mp.RunnableBranch({ mp.const(false), mp.const(1) }, same),
      fallbacks = same:with_fallbacks { mp.const(1) },
      sequence = mp.pipe(same, same:with_retry()),
    }
    for name, step in pairs(steps) do
      local out = mp.RunnableParallel({
        a = mp.pipe(step, function(t) t.x = "changed" end),
        b = mp.pipe(step, function(t) return t.x end),
      }):invoke({ x = "kept" })
      assert.equal("kept", out.b, name)
    end
  end)

  it("copies for taps and listeners", function()
    local function write(t) t.x = "changed" end
    local tap = mp.RunnablePassthrough(write)
    local heard = mp.const(1):with_listeners(function(run) write(run.inputs) end)
    for name, step in pairs { tap = tap, listener = heard } do
      local out = mp.RunnableParallel({ a = step, b = function(t) return t.x end }):invoke { x = "kept" }
      assert.equal("kept", out.b, name)
    end
  end)

  it("shares the input with user code behind a step that makes something else of it", function()
    local input, seen = { x = { 1 } }, {}
    local function see(t) seen[#seen + 1] = t end
    local taken = mp.RunnablePick "x"
    for _, first in ipairs { taken, mp.pipe(mp.RunnablePassthrough(), taken):with_retry() } do
      local step = mp.pipe(first, see)
      mp.RunnableParallel({ a = step, b = step }):invoke(input)
    end
    assert.equal(4, #seen)
    for i = 1, 4 do assert.equal(input.x, seen[i]) end
  end)

  it("copies the chunks of a stream too", function()
    local chain = mp.pipe(mp.const({ x = "kept" }), {
      a = function(t) t.x = "changed" end,
      b = function(t) return t.x end,
    })
    assert.equal("kept", chain:stream(1):collect().b)
  end)

  it("copies what a JSON parser shows so far as that", function()
    local text = mp.RunnableGenerator(function(_, emit)
      for letter in ('{"a": "xyz"}'):gmatch "." do emit(letter) end
    end)
    local function get(t) return t.a end
    local json = mp.pipe(text, mp.JsonOutputParser())
    assert.same({ b = "xyz", c = "xyz" }, mp.pipe(json, { b = get, c = get }):stream(1):collect())
    assert.same({ a = "xyz", b = "xyz", c = "xyz", d = "xyz" },
      json:assign({ b = get, c = get, d = get }, { after = { d = "c" } }):stream(1):collect())
  end)

  it("shares the input where only one branch is user code", function()
    local input = { x = 1 }
    local out = mp.RunnableParallel({ a = function(t) return t end, b = mp.const(1) }):invoke(input)
    assert.equal(input, out.a)
  end)
end)

describe("parallel on_error", function()
  it("cancels the siblings, joins them and names key and place #concurrency", function()
    local map = mp.RunnableParallel { joke = failing(0.005, "boom"), poem = slow(10) }
    local begin = now()
    local _, err = map:try_invoke(1)
    assert.is_true(now() - begin < 0.2) -- the goal is 20 ms
    assert.equal("map.joke", err.path)
    assert.matches("parallel_spec.lua:%d+", err.where)
    assert.same({ poem = "cancelled" }, err.siblings)
  end)

  it("reports the first in time, not in order", function()
    local map = mp.RunnableParallel { a = failing(0.02, "late"), b = failing(0.001, "early") }
    local _, err = map:try_invoke(1)
    assert.equal("early", err.message)
  end)

  it("does not begin the branches after one that fails at once", function()
    local begun = false
    local map = mp.RunnableParallel {
      a = function() error("no", 0) end,
      b = function() begun = true end,
    }
    local _, err = map:try_invoke(1)
    assert.is_false(begun)
    assert.same({ b = "not started" }, err.siblings)
  end)

  it("'wait' lets all end before it raises #concurrency", function()
    local ended = false
    local map = mp.RunnableParallel {
      a = failing(0.001, "boom"),
      b = function()
        mp.sleep(0.01)
        ended = true
      end,
    }
    local _, err = map:try_invoke(1, { on_error = "wait" })
    assert.equal("boom", err.message)
    assert.is_true(ended)
    assert.same({ b = "done" }, err.siblings)
  end)

  it("'wait' runs the branches after one that fails at once", function()
    local ran = false
    local map = mp.RunnableParallel {
      a = function() error("no", 0) end,
      b = function() ran = true end,
    }
    local _, err = map:try_invoke(1, { on_error = "wait" })
    assert.equal("no", err.message)
    assert.is_true(ran)
  end)

  it("'wait' raises what failed first in time, with the others beside it", function()
    local map = mp.RunnableParallel {
      a = function() error("at once", 0) end,
      b = failing(0.001, "later"),
      c = function() error("at once too", 0) end,
      d = function() end,
    }
    local _, err = map:try_invoke(1, { on_error = "wait" })
    assert.equal("at once", err.message)
    assert.equal("later", err.siblings.b.message)
    assert.equal("at once too", err.siblings.c.message)
    assert.equal("done", err.siblings.d)
  end)

  it("begins nothing after a branch that failed while another pumped", function()
    local begun = false
    local map = mp.RunnableParallel {
      a = failing(0.001, "boom"),
      b = function() ("x"):gsub(".", function() mp.sleep(0.02) end) end,
      c = function() begun = true end,
    }
    local _, err = map:try_invoke(1)
    assert.equal("boom", err.message)
    assert.same({ b = "done", c = "not started" }, err.siblings)
    assert.is_false(begun)
  end)

  it("'collect' leaves an error as the branch's value", function()
    local map = mp.RunnableParallel {
      a = failing(0.001, "later"),
      b = function() error("at once", 0) end,
      c = mp.const("kept"),
    }
    local out = map:invoke(1, { on_error = "collect" })
    assert.equal("kept", out.c)
    assert.equal("later", out.a.message)
    assert.equal("map.b", out.b.path)
  end)

  it("refuses another policy", function()
    helper.raises("config on_error takes 'cancel', 'wait' or 'collect', got a string",
      mp.const(1).invoke, mp.const(1), 1, { on_error = "ignore" })
  end)
end)

describe("parallel stream", function()
  local function letters(text, seconds)
    return mp.RunnableGenerator(function(_, emit)
      for letter in text:gmatch(".") do
        if seconds then mp.sleep(seconds) end
        emit(letter)
      end
    end)
  end

  local function read(stream)
    local seen = {}
    for chunk in stream do
      local key = mp.finished(chunk)
      if key then
        assert.is_nil(next(chunk))
        seen[#seen + 1] = "end " .. key
      else
        seen[#seen + 1] = next(chunk) .. "=" .. select(2, next(chunk))
      end
    end
    return seen
  end

  it("interleaves branches and marks the end of each", function()
    local map = mp.RunnableParallel { a = letters("12"), b = letters("3") }
    assert.same({ "a=1", "b=3", "a=2", "end b", "end a" }, read(map:stream(1)))
  end)

  it("gives chunks as they arrive #concurrency", function()
    local map = mp.RunnableParallel { slow = letters("x", 0.02), fast = letters("y", 0.001) }
    assert.same({ "fast=y", "end fast", "slow=x", "end slow" }, read(map:stream(1)))
  end)

  it("merges to what invoke gives", function()
    local map = mp.RunnableParallel { a = letters("12"), b = letters("34") }
    assert.same({ a = "12", b = "34" }, map:stream(1):collect())
  end)

  it("feeds one stream to all branches", function()
    local map = mp.RunnableParallel { a = mp.RunnablePassthrough(), b = string.upper }
    assert.same({ a = "xy", b = "XY" }, mp.pipe(letters("xy"), map):stream(1):collect())
  end)

  it("cancels the other branches when one fails #concurrency", function()
    local stopped = false
    local map = mp.RunnableParallel {
      a = mp.pipe(letters("1", 0.002), function() error("boom", 0) end),
      b = mp.RunnableGenerator(function(_, emit)
        local ok = pcall(mp.sleep, 10)
        stopped = not ok
        emit("never")
      end),
    }
    local ok, err = pcall(read, map:stream(1))
    assert.is_false(ok)
    assert.matches("^map.a > step 2 of 2", err.path)
    assert.is_true(stopped)
  end)

  it("tells what became of the others", function()
    local map = mp.RunnableParallel {
      a = mp.pipe(letters("1", 0.005), function() error("boom", 0) end),
      b = letters("1", 60),
      c = letters "",
    }
    local ok, err = pcall(read, map:stream(1))
    assert.is_false(ok)
    assert.same({ b = "cancelled", c = "done" }, err.siblings)
  end)

  it("raises the failure of its source as it is", function()
    local stream = mp.RunnableParallel({ a = mp.RunnablePassthrough(), b = mp.RunnablePassthrough() })
      :transform(function() error("source", 0) end, { on_error = "collect" })
    local err = helper.raises("source", stream)
    assert.is_nil(err.path)
  end)

  it("lets go of what a branch that has ended did not read", function()
    local first = mp.RunnableGenerator(function(chunks) chunks() end)
    local source = mp.RunnableGenerator(function(_, emit)
      for i = 1, 200 do emit(("x"):rep(100000) .. i) end
    end)
    local most = 0
    for _ in mp.pipe(source, { a = first, b = mp.RunnablePassthrough() }):stream(1) do
      collectgarbage()
      most = math.max(most, collectgarbage("count"))
    end
    collectgarbage()
    assert.is_true(most - collectgarbage("count") < 5000) -- of 20,000 KiB
  end)

  it("'wait' raises after the others have ended", function()
    local map = mp.RunnableParallel { a = function() error("boom", 0) end, b = letters("12", 0.001) }
    local seen = {}
    local ok, err = pcall(function()
      for chunk in map:stream(1, { on_error = "wait" }) do
        seen[#seen + 1] = chunk.b
      end
    end)
    assert.is_false(ok)
    assert.equal("map.a", err.path)
    assert.same({ "1", "2" }, seen)
  end)

  it("'collect' gives the error as a chunk", function()
    local map = mp.RunnableParallel { a = function() error("boom", 0) end, b = mp.const(1) }
    local out = {}
    for chunk in map:stream(1, { on_error = "collect" }) do
      for key, value in pairs(chunk) do out[key] = value end
    end
    assert.equal("boom", out.a.message)
    assert.equal(1, out.b)
  end)

  it("stops its branches when it is closed #concurrency", function()
    local stopped = false
    local map = mp.RunnableParallel { a = mp.RunnableGenerator(function(_, emit)
      emit("1")
      local ok = pcall(mp.sleep, 10)
      stopped = not ok
    end) }
    local stream = map:stream(1)
    assert.same({ a = "1" }, stream())
    stream:close()
    stream:close()
    mp.sleep(0.01)
    assert.is_nil(stream())
    -- the branch waits for its consumer, so it never began to sleep
    assert.is_false(stopped)
  end)
end)

describe("parallel: input streams", function()
  it("go on for the others where a branch ends early", function()
    local words = mp.RunnableGenerator(function(_, emit)
      for i = 1, 5 do
        mp.sleep(0.002)
        emit("w" .. i)
      end
    end)
    local chain = mp.pipe({ x = words }, {
      a = mp.RunnableGenerator(function(chunks, emit) emit(chunks()) end),
      b = mp.RunnablePassthrough(),
    })
    assert.same({ a = { x = "w1" }, b = { x = "w1w2w3w4w5" } }, chain:stream("hi"):collect())
  end)
end)

describe("a map that is ended from outside", function()
  local sleep = mp.RunnableLambda(function() mp.sleep(60) end, { name = "sleep" })
  local ways = {
    invoke = function(step) return step:invoke(1, { timeout = 0.02 }) end,
    stream = function(step) return step:stream(1, { timeout = 0.02 }):collect() end,
  }

  for how, way in pairs(ways) do
    it("tells what the one branch that ran was doing, in " .. how .. " #concurrency", function()
      local chain = mp.RunnableParallel { a = { b = mp.pipe(mp.RunnablePassthrough(), sleep) }, c = mp.const(1) }
      local err = helper.failure(way, chain)
      assert.same({ "timeout_total", "map.a > map.b > step 2 of 2 sleep" }, { err.kind, err.path })
    end)

    it("tells what became of each, where several ran, in " .. how .. " #concurrency", function()
      local err = helper.failure(way, mp.RunnableParallel { a = mp.pipe(mp.RunnablePassthrough(), sleep), b = sleep,
        c = mp.const(1) })
      assert.same({ "timeout_total", "done" }, { err.kind, err.siblings.c })
      assert.is_nil(err.path)
      assert.same({ "timeout_total", "step 2 of 2 sleep" }, { err.siblings.a.kind, err.siblings.a.path })
      assert.equal("timeout_total", err.siblings.b.kind)
    end)
  end

  -- So do the other steps that run several things at once.
  for name, step in pairs {
    hedge = mp.pipe(mp.RunnablePassthrough(), sleep):with_hedge { after = 0.001 },
    assign = mp.RunnableAssign { step = mp.pipe(mp.RunnablePassthrough(), sleep) },
    retry = mp.pipe(mp.RunnablePassthrough(), sleep):with_retry(),
    fallbacks = mp.pipe(mp.RunnablePassthrough(), sleep):with_fallbacks { mp.const(1) },
  } do
    it("tells it through " .. name .. " #concurrency", function()
      for how, way in pairs(ways) do
        local err = helper.failure(way, mp.pipe(mp.const { q = 1 }, step))
        assert.equal("timeout_total", err.kind, how)
        assert.matches("step 2 of 2 sleep$", err.path, nil, nil, how)
      end
    end)
  end

  it("says of a cancel what it cancelled #concurrency", function()
    local task = mp.RunnableParallel({ a = sleep, b = sleep, c = mp.const(1) }):start(1)
    mp.sleep(0.002)
    task:cancel()
    local _, err = task:wait(10)
    assert.same({ "cancelled", { a = "cancelled", b = "cancelled", c = "done" } }, { err.kind, err.siblings })
  end)
end)
