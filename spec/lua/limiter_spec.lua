local context = require "moonpipe.context"
local helper = require "spec.helper"
local limiter = require "moonpipe.limiter"
local mp = require "moonpipe"

-- A stand-in for a native call: holds a slot of its run for a while.
local function calls()
  local seen = { now = 0, peak = 0, count = 0 }
  function seen.call(x)
    local slot = limiter.take(context.current())
    seen.now, seen.count = seen.now + 1, seen.count + 1
    seen.peak = math.max(seen.peak, seen.now)
    mp.sleep(0.002)
    seen.now = seen.now - 1
    if slot then slot:free() end
    return x
  end
  return seen
end

local function map_of(step, n)
  local map = {}
  for i = 1, n do map["key" .. i] = step end
  return mp.RunnableParallel(map)
end

local function nested(step)
  return map_of(map_of(step, 3), 3)
end

describe("limiter", function()
  it("lets all run where no config sets a limit", function()
    local seen = calls()
    nested(seen.call):invoke("x")
    assert.equal(9, seen.peak)
  end)

  it("holds one limit for nested maps, in invoke", function()
    local seen = calls()
    nested(seen.call):invoke("x", { max_concurrency = 2 })
    assert.same({ 9, 2 }, { seen.count, seen.peak })
  end)

  it("holds one limit for nested maps, in stream", function()
    local seen = calls()
    nested(seen.call):stream("x", { max_concurrency = 2 }):collect()
    assert.same({ 9, 2 }, { seen.count, seen.peak })
  end)

  it("holds one limit for nested maps, in start", function()
    local seen = calls()
    nested(seen.call):start("x", { max_concurrency = 2 }):wait()
    assert.same({ 9, 2 }, { seen.count, seen.peak })
  end)

  it("holds one limit for all items of a batch", function()
    local seen = calls()
    map_of(seen.call, 3):batch({ 1, 2, 3, 4, 5, 6 }, { max_concurrency = 2 })
    assert.same({ 18, 2 }, { seen.count, seen.peak })
  end)

  it("holds one limit for a batch whose items have a timeout", function()
    local seen = calls()
    map_of(seen.call, 3):batch({ 1, 2, 3 }, { max_concurrency = 2, timeout = 5 })
    assert.same({ 9, 2 }, { seen.count, seen.peak })
  end)

  it("takes the limit of a list of configs from the first", function()
    local seen = calls()
    map_of(seen.call, 3):batch({ 1, 2 }, { { max_concurrency = 2 }, { tags = { "b" } } })
    assert.same({ 6, 2 }, { seen.count, seen.peak })
  end)

  it("holds one limit for batch_as_completed", function()
    local seen = calls()
    local records = map_of(seen.call, 3):batch_as_completed({ 1, 2, 3 }, { max_concurrency = 2 })
    for _, record in records do assert.is_true(record.ok) end
    assert.same({ 9, 2 }, { seen.count, seen.peak })
  end)

  it("narrows a run by the limit of a step in it, and never widens it", function()
    local inner, outer = calls(), calls()
    mp.RunnableParallel({
      a = map_of(inner.call, 4):with_config({ max_concurrency = 1 }),
      b = map_of(outer.call, 6):with_config({ max_concurrency = 9 }),
    }):invoke("x", { max_concurrency = 3 })
    assert.same({ 4, 1 }, { inner.count, inner.peak })
    assert.same({ 6, 3 }, { outer.count, outer.peak })
  end)

  it("counts a narrowed call among those of the run", function()
    local seen = calls()
    mp.RunnableParallel({
      a = map_of(seen.call, 4):with_config({ max_concurrency = 2 }),
      b = map_of(seen.call, 4):with_config({ max_concurrency = 2 }),
    }):invoke("x", { max_concurrency = 3 })
    assert.same({ 8, 3 }, { seen.count, seen.peak })
  end)
end)

-- Starts `count` tasks that each take a slot, note their number, and free it.
local function line_up(queue, count, order)
  local tasks = {}
  for i = 1, count do
    tasks[i] = mp.RunnableLambda(function()
      local slot = queue:take()
      order[#order + 1] = i
      slot:free()
    end):start()
  end
  return tasks
end

describe("limiter: waiters", function()
  it("are served in their order", function()
    helper.run(function()
      local queue, order = limiter.new(1), {}
      local slot = queue:take()
      local tasks = line_up(queue, 5, order)
      mp.sleep(0)
      slot:free()
      for _, task in ipairs(tasks) do task:wait() end
      assert.same({ 1, 2, 3, 4, 5 }, order)
      assert.equal(0, queue.used)
    end)
  end)

  it("leave the queue when they are cancelled", function()
    helper.run(function()
      local queue, order = limiter.new(1), {}
      local slot = queue:take()
      local tasks = line_up(queue, 3, order)
      mp.sleep(0)
      tasks[2]:cancel()
      slot:free()
      local _, err = tasks[2]:wait()
      assert.equal("cancelled", err.kind)
      tasks[1]:wait()
      tasks[3]:wait()
      assert.same({ 1, 3 }, order)
      assert.same({ 0, 0 }, { queue.used, queue.waiting })
    end)
  end)

  it("pass on the slot that came together with the cancel", function()
    helper.run(function()
      local queue, order = limiter.new(1), {}
      local slot = queue:take()
      local tasks = line_up(queue, 2, order)
      mp.sleep(0)
      slot:free()
      tasks[1]:cancel()
      tasks[2]:wait()
      assert.same({ 2 }, order)
      assert.same({ 0, 0 }, { queue.used, queue.waiting })
    end)
  end)

  it("end at their deadline", function()
    helper.run(function()
      local queue = limiter.new(1)
      local slot = queue:take()
      local waits = mp.RunnableLambda(function() return queue:take() end)
      local _, err = waits:try_invoke(nil, { timeout = 0.01 })
      assert.equal("timeout_total", err.kind)
      assert.equal(0, queue.waiting)
      slot:free()
      assert.equal(0, queue.used)
    end)
  end)

  it("know how long they waited", function()
    helper.run(function()
      local queue = limiter.new(1)
      local slot = queue:take()
      assert.equal(0, slot.waited)
      local task = mp.RunnableLambda(function()
        local second = queue:take()
        second:free()
        return second.waited
      end):start()
      mp.sleep(0.02)
      slot:free()
      local waited = task:wait()
      assert.is_true(waited >= 0.015 and waited < 2)
    end)
  end)

  it("of an inner limit give it back when the outer wait is cancelled", function()
    helper.run(function()
      local outer = limiter.new(2)
      local inner = limiter.new(1, outer)
      local a, b = outer:take(), outer:take()
      local task = mp.RunnableLambda(function() return inner:take() end):start()
      mp.sleep(0)
      assert.equal(1, inner.used)
      task:cancel()
      task:wait()
      assert.same({ 0, 0, 0 }, { inner.used, inner.waiting, outer.waiting })
      a:free()
      b:free()
    end)
  end)
end)

describe("limiter: a slot", function()
  it("is freed once, however often it is asked to be", function()
    helper.run(function()
      local queue = limiter.new(2)
      local a, b = queue:take(), queue:take()
      a:free()
      a:free()
      assert.equal(1, queue.used)
      b:free()
    end)
  end)

  it("of a stream is told when somebody begins to wait", function()
    helper.run(function()
      local queue, told = limiter.new(1), 0
      local slot = queue:take()
      slot:on_wanted(function()
        told = told + 1
        slot:free()
      end)
      mp.sleep(0)
      assert.equal(0, told)
      queue:take():free() -- would wait for ever without the drain
      assert.equal(1, told)
      assert.equal(0, queue.used)
    end)
  end)

  it("of a stream is told at once where somebody waits already", function()
    helper.run(function()
      local queue, told = limiter.new(1), false
      local slot = queue:take()
      local task = line_up(queue, 1, {})[1]
      mp.sleep(0)
      slot:on_wanted(function() told = true end)
      assert.is_true(told)
      slot:free()
      task:wait()
    end)
  end)

  it("of a stream in a narrowed run is told of waiters of the whole run", function()
    helper.run(function()
      local outer = limiter.new(2)
      local inner = limiter.new(1, outer)
      local slot, other = inner:take(), outer:take()
      slot:on_wanted(function() slot:free() end)
      outer:take():free()
      other:free()
      assert.same({ 0, 0 }, { inner.used, outer.used })
    end)
  end)

  it("is nobody's business after its end", function()
    helper.run(function()
      local queue = limiter.new(1)
      local slot = queue:take()
      slot:free()
      slot:on_wanted(function() error("told") end)
      queue:take():free()
    end)
  end)
end)
