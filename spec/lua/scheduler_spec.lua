local errors = require "moonpipe.error"
local helper = require "spec.helper"
local mp = require "moonpipe"
local native = require "moonpipe.native"
local scheduler = require "moonpipe.scheduler"

local now = native.c.now

describe("scheduler", function()
  it("lets sleepers wake in the order of their times #concurrency", function()
    local order = {}
    local function sleeper(seconds)
      return function()
        mp.sleep(seconds)
        order[#order + 1] = seconds
      end
    end
    mp.RunnableParallel({ sleeper(0.03), sleeper(0.01), sleeper(0.02) }):invoke(1)
    assert.same({ 0.01, 0.02, 0.03 }, order)
  end)

  it("never wakes early", function()
    local begin = now()
    mp.sleep(0.02)
    assert.is_true(now() - begin >= 0.02)
  end)

  it("refuses to sleep for no number", function()
    helper.raises("sleep takes a number of seconds, got a string", mp.sleep, "1")
    helper.raises("sleep takes a number of seconds", mp.sleep, 0 / 0)
  end)

  it("waits in place where a coroutine cannot yield: table.sort #concurrency", function()
    local list = { 3, 1, 2 }
    table.sort(list, function(a, b)
      mp.sleep(0.001)
      return a < b
    end)
    assert.same({ 1, 2, 3 }, list)
  end)

  it("waits in place in a gsub callback, and others go on #concurrency", function()
    local ticks = 0
    local ticker = mp.RunnableLambda(function()
      for _ = 1, 5 do
        mp.sleep(0.002)
        ticks = ticks + 1
      end
    end):start(1)
    local text = ("ab"):gsub(".", function(letter)
      mp.sleep(0.02)
      return letter:upper()
    end)
    assert.equal("AB", text)
    assert.equal(5, ticks)
    ticker:wait()
  end)

  it("names the place of a foreign yield", function()
    local _, err = mp.RunnableLambda(function() coroutine.yield(42) end):start(1):wait()
    assert.equal("lua", err.kind)
    assert.matches("scheduler_spec.lua:%d+: a step yielded the number 42", err.message)
  end)

  it("runs a thousand tasks at once #concurrency", function()
    local steps = {}
    for i = 1, 1000 do
      steps[i] = function()
        mp.sleep(0.01)
        return i
      end
    end
    local out = mp.RunnableParallel(steps):invoke(0)
    for i = 1, 1000 do assert.equal(i, out[i]) end
  end)

  it("keeps going under a merciless collector #concurrency", function()
    local pause, step = collectgarbage("setpause", 1), collectgarbage("setstepmul", 1000)
    local chain = mp.RunnableLambda(function(x)
      mp.sleep(0.0005)
      return x
    end)
    local inputs = {}
    for i = 1, 200 do inputs[i] = i end
    local out = chain:batch(inputs)
    collectgarbage("setpause", pause)
    collectgarbage("setstepmul", step)
    for i = 1, 200 do assert.equal(i, out[i]) end
  end)

  it("raises where nothing is left that could wake a task", function()
    local script = [[
      local scheduler = require "moonpipe.scheduler"
      require "moonpipe"
      scheduler.park()
    ]]
    local _, stderr, code = helper.script(script)
    assert.equal(1, code)
    assert.matches("nothing is left that could wake", stderr)
  end)

  it("reports an unknown native failure as an mp.Error", function()
    local ok, err = pcall(native.check, nil, "no more", "fds")
    assert.is_false(ok)
    assert.is_true(errors.is(err))
    assert.equal("fds", err.kind)
  end)

  it("counts what is pending", function()
    local before = scheduler.pending()
    local task = mp.RunnableLambda(function() mp.sleep(0.01) end):start(1)
    assert.equal(before + 1, scheduler.pending())
    task:wait()
    assert.equal(before, scheduler.pending())
  end)

  it("updates no longer than its budget and never blocks", function()
    local script = [[
      local mp = require "moonpipe"
      local native = require "moonpipe.native"
      local co = coroutine.create(function() end)
      print(mp.update(0.001))
    ]]
    local stdout = helper.script(script)
    assert.equal("0\n", stdout)
  end)
end)

describe("coroutines", function()
  it("lets a task wait inside the user's own coroutines #concurrency", function()
    local function waits(seconds)
      return coroutine.wrap(function()
        mp.sleep(seconds)
        return now()
      end)
    end
    local begin = now()
    local out = mp.RunnableParallel({
      function() return waits(0.05)() end,
      function() return waits(0.1)() end,
      function() return waits(0.5)() end,
    }):invoke(1)
    assert.is_true(out[1] < out[2] and out[2] < out[3])
    assert.is_true(out[3] - begin < 5)
  end)

  it("passes values in and out of a coroutine that waits in between", function()
    local co = coroutine.create(function(a)
      mp.sleep(0.001)
      local b = coroutine.yield(a + 1)
      mp.sleep(0.001)
      return b * 2, nil, "end"
    end)
    assert.same({ true, 2 }, { coroutine.resume(co, 1) })
    assert.same({ true, 10, nil, "end" }, { coroutine.resume(co, 5) })
    assert.equal("dead", coroutine.status(co))
  end)

  it("raises what a wrapped coroutine raises", function()
    local fn = coroutine.wrap(function()
      mp.sleep(0.001)
      error("inside", 0)
    end)
    helper.raises("inside", fn)
  end)

  it("lets a chain run inside an iterator", function()
    local double = mp.RunnableLambda(function(x)
      mp.sleep(0.001)
      return x * 2
    end)
    local seen = {}
    for v in coroutine.wrap(function()
      for i = 1, 3 do coroutine.yield(double:invoke(i)) end
    end) do
      seen[#seen + 1] = v
    end
    assert.same({ 2, 4, 6 }, seen)
  end)

  it("refuses to resume a coroutine in which another task waits #concurrency", function()
    local co = coroutine.create(function()
      mp.sleep(0.005)
      return "value"
    end)
    local first = mp.RunnableLambda(function() return select(2, coroutine.resume(co)) end):start(1)
    local second = mp.RunnableLambda(function()
      local ok, message = coroutine.resume(co)
      return { ok = ok, message = message, status = coroutine.status(co) }
    end):start(1)
    assert.same({ ok = false, message = "cannot resume non-suspended coroutine", status = "normal" },
      (second:wait()))
    assert.equal("value", (first:wait()))
    assert.equal("dead", coroutine.status(co))
  end)

  it("waits inside a coroutine inside a sort", function()
    local list = { 2, 1 }
    table.sort(list, function(a, b)
      coroutine.wrap(function() mp.sleep(0.001) end)()
      return a < b
    end)
    assert.same({ 1, 2 }, list)
  end)
end)
