local helper = require "spec.helper"
local lock = require "moonpipe.lock"
local mp = require "moonpipe"

-- A task that holds the lock for some turns of the loop, and notes when it has it.
local function holder(space, order, name, seconds)
  return mp.RunnableLambda(function()
    local hold = lock.take(space, "k", "for ever")
    order[#order + 1] = name
    mp.sleep(seconds or 0.001)
    hold:free()
    hold:free() -- twice is fine
    return name
  end):start(1)
end

describe("lock", function()
  it("is held by one at a time, in the order of asking", function()
    local space, order, tasks = {}, {}, {}
    for i = 1, 5 do tasks[i] = holder(space, order, i) end
    for i = 1, 5 do assert.equal(i, tasks[i]:wait(5)) end
    assert.same({ 1, 2, 3, 4, 5 }, order)
    assert.same({}, space) -- nothing is left of it
  end)

  it("of another key or space is another", function()
    helper.run(function()
      local one = { lock.take({}, "k"), lock.take({}, "k") }
      local space = {}
      local two = { lock.take(space, "a"), lock.take(space, "b"), lock.take(space, one) }
      for _, hold in ipairs(two) do hold:free() end
      assert.same({}, space)
    end)
  end)

  it("is not waited for by who is cancelled, before or after it was granted", function()
    local space, order = {}, {}
    local first, second, third = holder(space, order, 1, 0.005), holder(space, order, 2),
      holder(space, order, 3)
    mp.update()
    second:cancel()
    assert.equal("cancelled", select(2, second:wait(5)).kind)
    assert.equal(3, third:wait(5))
    assert.same({ 1, 3 }, order)
    assert.equal(1, first:wait())
    local hold, are_waiting
    local granted = mp.RunnableLambda(function()
      hold = lock.take(space, "k")
      repeat mp.sleep(0.001) until are_waiting
      hold:free() -- the next is granted, and cancelled before it goes on
      second:cancel()
    end):start(1)
    mp.update()
    second, third = holder(space, order, "second"), holder(space, order, "third")
    mp.update()
    are_waiting = true
    assert.equal("third", third:wait(5))
    assert.equal("cancelled", select(2, second:wait(5)).kind)
    assert.is_nil(select(2, granted:wait(5)))
    assert.same({ 1, 3, "third" }, order)
    assert.same({}, space)
  end)

  it("raises where a task would wait for a stream that it reads itself", function()
    helper.run(function()
      local space = {}
      local hold = lock.take(space, "k", "no")
      hold.reader = require("moonpipe.scheduler").current()
      local err = helper.failure(lock.take, space, "k", "it would wait for ever")
      assert.same({ "limit", "it would wait for ever" }, { err.kind, err.message })
      hold:free()
      lock.take(space, "k", "no"):free()
      assert.same({}, space)
    end)
  end)
end)
