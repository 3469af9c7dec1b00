local helper = require "spec.helper"
local mp = require "moonpipe"
local native = require "moonpipe.native"

local function sleeper(seconds, value)
  return mp.RunnableLambda(function()
    mp.sleep(seconds)
    return value
  end)
end

describe("task", function()
  it("tells no token after a cancel, and not that it is done", function()
    local seen, task = {}, nil
    local step = mp.RunnableGenerator(function(_, emit) for i = 1, 3 do emit(i) end end)
    task = step:start(1, {
      on_token = function(token)
        seen[#seen + 1] = token
        task:cancel()
      end,
      on_done = function() seen[#seen + 1] = "done" end,
    })
    local _, err = task:wait(5)
    assert.equal("cancelled", err.kind)
    assert.same({ 1 }, seen)
  end)

  it("refuses to wait for what is no time", function()
    local task = mp.const(1):start(1)
    helper.raises("wait takes a number of seconds, got a string", task.wait, task, "5")
    helper.raises("wait takes a number of seconds, got the number nan", task.wait, task, 0 / 0)
    assert.equal(1, (task:wait()))
  end)

  it("is pending, then running, then done", function()
    local go = false
    local task = mp.RunnableLambda(function()
      while not go do mp.sleep(0.001) end
      return "x"
    end):start(1)
    assert.equal("pending", task:status())
    mp.sleep(0.001)
    assert.equal("running", task:status())
    go = true
    assert.equal("x", (task:wait()))
    assert.equal("done", task:status())
    assert.equal("task (done)", tostring(task))
  end)

  it("gives nil and the error when it fails", function()
    local task = mp.RunnableLambda(function() error("no", 0) end):start(1)
    local value, err = task:wait()
    assert.is_nil(value)
    assert.equal("lua", err.kind)
    assert.equal("failed", task:status())
  end)

  it("gives a timeout to who waits too short, and goes on #concurrency", function()
    local task = sleeper(0.05, "late"):start(1)
    local value, err = task:wait(0.005)
    assert.is_nil(value)
    assert.equal("timeout_total", err.kind)
    assert.matches("did not end within 0.005 s", err.message)
    assert.equal("late", (task:wait(10)))
  end)

  it("raises cancelled at the wait and at every later one #concurrency", function()
    local raised = {}
    local task = mp.RunnableLambda(function()
      for i = 1, 3 do
        local ok, err = pcall(mp.sleep, 10)
        raised[i] = not ok and err.kind
      end
      error("left", 0)
    end):start(1)
    mp.sleep(0.001)
    task:cancel("enough")
    local _, err = task:wait(5)
    assert.same({ "cancelled", "cancelled", "cancelled" }, raised)
    assert.equal("left", err.message)
  end)

  it("ends as cancelled, with the reason", function()
    local task = sleeper(10):start(1)
    mp.sleep(0.001)
    task:cancel("enough")
    local _, err = task:wait(5)
    assert.equal("cancelled: enough", tostring(err))
    assert.equal("cancelled", task:status())
  end)

  it("can be cancelled before it begins, and twice", function()
    local task = sleeper(10):start(1)
    task:cancel()
    task:cancel()
    local _, err = task:wait(5)
    assert.equal("cancelled", err.kind)
  end)

  it("is not touched by a cancel after its end", function()
    local task = sleeper(0, "x"):start(1)
    task:wait()
    task:cancel()
    assert.equal("done", task:status())
    assert.equal("x", (task:wait()))
  end)

  it("cancels the children of children #concurrency", function()
    local task = mp.RunnableParallel({ a = { b = sleeper(10) } }):start(1)
    mp.sleep(0.002)
    task:cancel()
    task:wait(5)
    assert.equal("cancelled", task:status())
  end)

  it("ends after the children that it started #concurrency", function()
    local child
    local parent = mp.RunnableLambda(function()
      child = sleeper(0.01, "c"):start(1)
      return "p"
    end):start(1)
    assert.equal("p", (parent:wait()))
    assert.equal("done", child:status())
  end)

  it("cancels the children of a task that failed", function()
    local child
    local parent = mp.RunnableLambda(function()
      child = sleeper(10):start(1)
      mp.sleep(0.001)
      error("no", 0)
    end):start(1)
    parent:wait(5)
    assert.equal("cancelled", child:status())
  end)

  it("refuses to wait for itself", function()
    local task
    task = mp.RunnableLambda(function() return task:wait() end):start(1)
    local _, err = task:wait()
    assert.matches("a task cannot wait for itself", err.message)
  end)

  it("refuses to wait for who waits for its end", function()
    local task
    task = mp.RunnableParallel({ a = function()
      mp.sleep(0)
      task:wait()
    end }):start(1)
    local _, err = task:wait()
    assert.matches("a task cannot wait for the one that started it", err.message)
  end)

  it("is never pending again once it has begun", function()
    local task = sleeper(0.001):start(1)
    while task:status() == "pending" do mp.sleep(0) end
    while task:status() ~= "done" do
      assert.equal("running", task:status())
      mp.sleep(0)
    end
  end)

  it("forgets who waited too short", function()
    local task = sleeper(0.05):start(1)
    for _ = 1, 5 do task:wait(0.001) end
    assert.equal(0, #task.waiters)
    task:wait()
  end)

  it("polls without blocking", function()
    local task = sleeper(0.005):start(1)
    assert.is_false(task:poll())
    task:wait()
    assert.is_true(task:poll())
  end)

  it("tells tokens, the end, and errors", function()
    local seen = {}
    local function note(name)
      return function(v) seen[#seen + 1] = name .. ":" .. tostring(v) end
    end
    local stream = mp.RunnableGenerator(function(_, emit)
      emit("a")
      emit("b")
    end)
    stream:start(1, { on_token = note "token", on_done = note "done" }):wait()
    mp.RunnableLambda(function() error("no", 0) end):start(1, { on_error = note "error" }):wait()
    assert.same({ "token:a", "token:b", "done:ab", seen[4] }, seen)
    assert.matches("^error:lua: no", seen[4])
  end)

  it("refuses callbacks that are no functions and options it does not know", function()
    helper.raises("on_done takes a function", sleeper(0).start, sleeper(0), 1, { on_done = 5 })
    helper.raises("unknown option 'on_tokn' of start", sleeper(0).start, sleeper(0), 1,
      { on_tokn = print })
  end)

  it("takes the config that a function was given", function()
    local inner = mp.RunnableLambda(function(_, config) return config.tags end)
    local outer = mp.RunnableLambda(function(x, config) return (inner:start(x, config):wait()) end)
    assert.same({ "a" }, outer:invoke(1, { tags = { "a" }, timeout = 10 }))
  end)

  it("does not begin what was cancelled before, and tells so", function()
    local ran, told = false, nil
    local task = mp.RunnableLambda(function() ran = true end):start(1, {
      on_error = function(err) told = err.kind end,
    })
    task:cancel()
    task:wait()
    assert.is_false(ran)
    assert.equal("cancelled", told)
  end)

  it("tells no result of what was cancelled while it ran", function()
    local seen, task = {}, nil
    task = mp.RunnableLambda(function()
      task:cancel()
      return "late"
    end):start(1, {
      on_done = function() seen[#seen + 1] = "done" end,
      on_error = function(err) seen[#seen + 1] = err.kind end,
    })
    task:wait()
    assert.same({ "cancelled" }, seen)
  end)

  it("fails when a callback of its own raises", function()
    local _, err = sleeper(0):start(1, { on_done = function() error("oops", 0) end }):wait()
    assert.equal("oops", err.message)
  end)
end)

describe("timeout", function()
  it("ends the call with the step and the seconds #concurrency", function()
    local begin = native.c.now()
    local _, err = sleeper(10):try_invoke(1, { timeout = 0.01 })
    assert.equal("timeout_total", err.kind)
    assert.matches("no answer within 0.01 s", err.message)
    assert.is_true(native.c.now() - begin < 5)
  end)

  it("does not touch a call that ends in time", function()
    assert.equal("x", sleeper(0.001, "x"):invoke(1, { timeout = 10 }))
    assert.equal("y", mp.const("y"):invoke(1, { timeout = 10 }))
  end)

  it("holds for what is below", function()
    local chain = mp.RunnableParallel { a = mp.pipe(sleeper(10), sleeper(10)) }
    local _, err = chain:try_invoke(1, { timeout = 0.01 })
    assert.equal("timeout_total", err.kind)
  end)

  it("is judged by arrival: what came in time is a success", function()
    local chain = mp.RunnableLambda(function()
      mp.sleep(0.005)
      return "in time"
    end)
    local task = chain:start(1, { timeout = 0.03 })
    mp.sleep(0.001)
    local busy = native.c.now() + 0.06 -- nobody looks for twice the timeout
    while native.c.now() < busy do end -- luacheck: ignore 542
    assert.equal("in time", (task:wait()))
  end)

  it("of a stream ends it", function()
    local slow = mp.RunnableGenerator(function(_, emit)
      emit("a")
      mp.sleep(10)
      emit("b")
    end)
    local stream = slow:stream(1, { timeout = 0.01 })
    assert.equal("a", stream())
    helper.raises("the stream did not end within 0.01 s", stream)
  end)
end)
