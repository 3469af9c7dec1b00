local helper = require "spec.helper"
local mp = require "moonpipe"
local native = require "moonpipe.native"
local scheduler = require "moonpipe.scheduler"
local steps = require "spec.support.steps"

local letters = steps.letters

local now = native.c.now
local step, map = mp.RunnableLambda, mp.RunnableParallel

-- Waits where no coroutine can yield.
local function wait_in_gsub(seconds)
  return (("a"):gsub(".", function()
    mp.sleep(seconds)
    return "b"
  end))
end

describe("loop", function()
  it("runs maps that are nested deeper than C's stack", function()
    local function nest(depth)
      if depth == 0 then return "leaf" end
      return map({ a = function() return nest(depth - 1) end }):invoke(1).a
    end
    assert.equal("leaf", nest(2000))
  end)

  it("ends an endless recursion of maps with an error", function()
    local function endless(x) return map({ a = endless }):invoke(x) end
    local _, err = step(endless):try_invoke(1)
    assert.equal("limit", err.kind)
    assert.matches("endless recursion", err.message)
    assert.is_true(#err.path < 5000)
  end)

  it("lets thousands wait where none can yield #concurrency", function()
    local tasks = {}
    for i = 1, 3000 do tasks[i] = step(function() return wait_in_gsub(0.001) end):start(1) end
    for i = 1, 3000 do assert.equal("b", (tasks[i]:wait())) end
  end)

  it("refuses to wait for tasks that have no room to run", function()
    local inner = map { a = function() mp.sleep(0.001) end }
    local limited = 0
    local tasks = {}
    for i = 1, 200 do
      tasks[i] = step(function()
        return (("a"):gsub(".", function() inner:invoke(1) end))
      end):start(1)
    end
    for i = 1, 200 do
      local _, err = tasks[i]:wait()
      if err then
        assert.equal("limit", err.kind)
        assert.matches("too many tasks wait inside of one another", err.message)
        limited = limited + 1
      end
    end
    assert.is_true(limited < 200)
  end)

  it("cancels a branch that has pumped since it began #concurrency", function()
    local begin = now()
    local task = map({ a = function() return wait_in_gsub(60) end }):start(1)
    step(function() task:cancel() end):start(1)
    local _, err = task:wait()
    assert.equal("cancelled", err.kind)
    assert.is_true(now() - begin < 30)
  end)

  it("holds a timeout for what pumps #concurrency", function()
    local begin = now()
    local _, err = step(function() return wait_in_gsub(60) end):try_invoke(1, { timeout = 0.005 })
    assert.equal("timeout_total", err.kind)
    assert.is_true(now() - begin < 30)
  end)

  it("counts the time before the first wait into a timeout", function()
    local _, err = step(function()
      local busy = now() + 0.02
      while now() < busy do end -- luacheck: ignore 542
      mp.sleep(60)
    end):try_invoke(1, { timeout = 0.01 })
    assert.equal("timeout_total", err.kind)
  end)

  it("gives each who is cancelled an error with a path of its own", function()
    local slow = step(function() mp.sleep(60) end)
    local chain = mp.pipe(map { a = mp.pipe(slow, slow), b = mp.pipe(slow, slow) }, mp.const(1))
    local _, err = chain:try_invoke(1, { timeout = 0.002 })
    assert.equal("step 1 of 2 RunnableParallel<a,b>", err.path)
  end)

  it("joins the children of a task that yields to nobody", function()
    local child
    local task = step(function()
      child = step(function() mp.sleep(60) end):start(1)
      mp.sleep(0)
      coroutine.yield(1)
    end):start(1)
    local _, err = task:wait()
    assert.matches("a step yielded the number 1", err.message)
    assert.equal("cancelled", child:status())
  end)

  it("cancels branches whose reader has ended", function()
    local first = mp.RunnableGenerator(function(chunks, emit) emit(next(chunks())) end)
    local chain = mp.pipe(map { a = letters "123", b = letters "456" }, first)
    local value, err = chain:start(1, { on_token = function() end }):wait(5)
    assert.is_nil(err)
    assert.equal("a", value)
  end)

  it("leaves nothing pending", function()
    mp.sleep(0.01)
    assert.equal(0, scheduler.pending())
  end)

  it("raises where all wait for one another", function()
    local _, stderr, code = helper.script([[
      local mp = require "moonpipe"
      local a, b
      a = mp.RunnableLambda(function() b:wait() end):start(1)
      b = mp.RunnableLambda(function() a:wait() end):start(1)
      a:wait()]])
    assert.equal(1, code)
    assert.matches("nothing is left that could wake", stderr)
  end)
end)
