local errors = require "moonpipe.error"
local calls = require "spec.support.calls"
local helper = require "spec.helper"
local mp = require "moonpipe"
local server = require("spec.support.server").use()

-- A step whose n-th call waits and answers, or fails, as the n-th plan says:
-- { seconds, answer or error }.
local function racer(...)
  local plans = { ... }
  local seen = { calls = 0, cancelled = 0, running = 0 }
  seen.step = mp.RunnableLambda(function()
    seen.calls = seen.calls + 1
    local plan = plans[seen.calls]
    seen.running = seen.running + 1
    local ok, err = pcall(mp.sleep, plan[1])
    seen.running = seen.running - 1
    if not ok then
      seen.cancelled = seen.cancelled + 1
      error(err, 0)
    end
    if plan[2].kind then error(errors.new(plan[2]), 0) end
    return plan[2].answer
  end, { name = "racer" })
  return seen
end

local function answer(text)
  return { answer = text }
end

local function failure(message)
  return { kind = "reset", message = message }
end

describe("hedge: invoke", function()
  it("runs the step once where it is in time", function()
    local seen = racer({ 0.001, answer "first" })
    assert.equal("first", seen.step:with_hedge({ after = 5 }):invoke "x")
    assert.same({ 1, 0 }, { seen.calls, seen.cancelled })
  end)

  it("runs it a second time where it is late, and ends the slower", function()
    local seen = racer({ 60, answer "first" }, { 0.001, answer "second" })
    assert.equal("second", seen.step:with_hedge({ after = 0.01 }):invoke "x")
    assert.same({ 2, 1, 0 }, { seen.calls, seen.cancelled, seen.running })
  end)

  it("takes the first where it answers after all", function()
    local seen = racer({ 0.03, answer "first" }, { 60, answer "second" })
    assert.equal("first", seen.step:with_hedge({ after = 0.005 }):invoke "x")
    assert.same({ 2, 1, 0 }, { seen.calls, seen.cancelled, seen.running })
  end)

  it("raises an early failure at once", function()
    local seen = racer({ 0.001, failure "early" })
    local _, err = seen.step:with_hedge({ after = 60 }):try_invoke "x"
    assert.same({ "early", 1 }, { err.message, seen.calls })
  end)

  it("waits for the other where one fails", function()
    local seen = racer({ 0.02, failure "one" }, { 0.05, answer "second" })
    assert.equal("second", seen.step:with_hedge({ after = 0.005 }):invoke "x")
    seen = racer({ 0.05, answer "first" }, { 0.001, failure "two" })
    assert.equal("first", seen.step:with_hedge({ after = 0.005 }):invoke "x")
  end)

  it("raises the first's error where both fail, with the other's beside it", function()
    local seen = racer({ 0.03, failure "one" }, { 0.001, failure "two" })
    local _, err = seen.step:with_hedge({ after = 0.005 }):try_invoke "x"
    assert.same({ "one", "two" }, { err.message, err.siblings["attempt 2"].message })
  end)

  it("ends both where it is cancelled", function()
    local seen = racer({ 60, answer "first" }, { 60, answer "second" })
    local task = seen.step:with_hedge({ after = 0.005 }):start "x"
    mp.sleep(0.05)
    task:cancel()
    local _, err = task:wait(5)
    assert.same({ "cancelled", 2, 2, 0 }, { err.kind, seen.calls, seen.cancelled, seen.running })
  end)

  it("gives nil where the step does", function()
    assert.is_nil(mp.RunnableLambda(function() end):with_hedge({ after = 0 }):invoke "x")
  end)

  it("frames the step in drawings", function()
    local graph = mp.RunnablePassthrough():with_hedge({ after = 2 }):get_graph()
    assert.equal("again after 2 s", graph.frames[1].name)
  end)

  it("checks its options", function()
    local step = mp.RunnablePassthrough()
    assert.equal("after of with_hedge must be seconds, got nil", helper.said(step.with_hedge, step))
    assert.truthy(helper.said(step.with_hedge, step, { affter = 1 }):find("did you mean 'after'?"))
  end)
end)

describe("hedge: streams", function()
  -- A stream whose n-th opening waits before each word as the n-th list says.
  local function words(...)
    local plans, seen = { ... }, { opened = 0, open = 0 }
    seen.step = mp.RunnableGenerator(function(_, emit)
      seen.opened = seen.opened + 1
      local number = seen.opened
      for i, pause in ipairs(plans[number]) do
        mp.sleep(pause)
        emit(("%d.%d "):format(number, i))
      end
    end, { name = "words" })
    return seen
  end

  it("race until the first chunk", function()
    local seen = words({ 60 }, { 0.001, 0.001, 0.001 })
    assert.equal("2.1 2.2 2.3 ", seen.step:with_hedge({ after = 0.01 }):stream("x"):collect())
    assert.equal(2, seen.opened)
  end)

  it("are not begun again where the first chunk is in time", function()
    local seen = words({ 0.001, 0.06 }, { 0 })
    assert.equal("1.1 1.2 ", seen.step:with_hedge({ after = 0.03 }):stream("x"):collect())
    assert.equal(1, seen.opened)
  end)

  it("never mix their chunks", function()
    for i = 1, 20 do
      local late = i / 4000
      local seen = words({ late + 0.001, 0, 0 }, { 0, 0, 0 })
      local text = seen.step:with_hedge({ after = late }):stream("x"):collect()
      assert.is_true(text == "1.1 1.2 1.3 " or text == "2.1 2.2 2.3 ", text)
    end
  end)

  it("may be empty", function()
    assert.is_nil(words({}).step:with_hedge({ after = 1 }):stream("x"):collect())
  end)

  it("break with what had come", function()
    local step = mp.RunnableGenerator(function(_, emit)
      emit "a"
      errors.raise("reset", "gone")
    end):with_hedge { after = 1 }
    local err = helper.failure(function() step:stream("x"):collect() end)
    assert.same({ "reset", "a" }, { err.kind, err.partial })
  end)
end)

describe("hedge: requests", function()
  local function model(lane, scripts)
    return mp.ChatOpenAI { base_url = server:lane(lane, scripts), max_retries = 0 }
  end

  local function wait_for(lane, check)
    return helper.run(function()
      return calls.wait(server, function(stats) return check(stats.lanes[lane]) end).lanes[lane]
    end)
  end

  it("that lose are closed at the server", function()
    local step = model("slow", { "never", "answer=quick" }):with_hedge { after = 0.05 }
    assert.equal("quick", tostring(step:invoke "hi"))
    local lane = wait_for("slow", function(lane) return lane.in_flight == 0 end)
    assert.same({ 2, 1, 1 }, { lane.requests, lane.aborted, lane.completed })
  end)

  it("of streams that lose are closed at the server", function()
    local step = model("stream", { "never", "answer=one two" }):with_hedge { after = 0.05 }
    local text = {}
    for chunk in step:stream "hi" do text[#text + 1] = chunk.content end
    assert.equal("one two", table.concat(text))
    local lane = wait_for("stream", function(lane) return lane.in_flight == 0 end)
    assert.same({ 2, 1, 1 }, { lane.requests, lane.aborted, lane.completed })
  end)

  it("end with their stream", function()
    local step = model("closed", { default = "tokens=50; gap=50" }):with_hedge { after = 60 }
    helper.run(function()
      local stream = step:stream "hi"
      stream()
      stream:close()
    end)
    local lane = wait_for("closed", function(lane) return lane.in_flight == 0 end)
    assert.same({ 1, 1 }, { lane.requests, lane.aborted })
  end)

  it("hold the run's limit", function()
    local step = model("limit", { default = "delay=60; answer=x" }):with_hedge { after = 0.01 }
    step:batch({ "a", "b", "c" }, { max_concurrency = 1 })
    assert.equal(1, server:stats().lanes.limit.peak)
  end)
end)
