--- Every primitive runs its inner steps through one door: each has a run below that
--- of the step around it, with the tag that says what it is there.
local mp = require "moonpipe"
local steps = require "spec.support.steps"

local named = steps.named

local a, b = named "a", named "b"
local yes, no = named("yes", function() return true end), named("no", function() return false end)

-- The runs of a call as `depth name tag`, in the order in which they began.
local function runs_of(call)
  local seen, depths, failed = {}, {}, {}
  call({ callbacks = { {
    on_start = function(run)
      depths[run] = run.parent and depths[run.parent] + 1 or 0
      seen[#seen + 1] = ("%d %s %s"):format(depths[run], run.name, run.tag or "-")
    end,
    on_error = function(run) failed[#failed + 1] = run.name end,
  } } })
  return seen, failed
end

local function invoked(step, input)
  return runs_of(function(config) step:invoke(input, config) end)
end

local function streamed(step, input)
  return runs_of(function(config) step:stream(input, config):collect() end)
end

describe("run", function()
  local cases = {
    branch = { mp.RunnableBranch({ no, a }, { yes, b }, a), 1, {
      "0 RunnableBranch -", "1 no condition:1", "1 yes condition:2", "1 b branch:2",
    } },
    default = { mp.RunnableBranch({ no, a }, b), 1, {
      "0 RunnableBranch -", "1 no condition:1", "1 b branch:default",
    } },
    router = { mp.RouterRunnable { a = a, b = b }, { key = "b", input = 1 }, {
      "0 RouterRunnable -", "1 b router:key:b",
    } },
    each = { a:map(), { 1, 2 }, { "0 RunnableEach<a> -", "1 a each:item:1", "1 a each:item:2" } },
    sync = { mp.RunnablePick("k"):map(), { { k = 1 } }, {
      "0 RunnableEach<RunnablePick<k>> -", "1 RunnablePick<k> each:item:1",
    } },
    loop = { mp.loop { body = named("inc", function(x) return x + 1 end),
      until_ = named("two", function(x) return x == 2 end) }, 0, {
      "0 RunnableLoop -", "1 inc loop:round:1", "1 two condition:1", "1 inc loop:round:2", "1 two condition:2",
    } },
    after = { mp.RunnableAssign({ a = a, b = b }, { after = { b = "a" } }), { x = 1 }, {
      "0 RunnableAssign<a,b> -", "1 a map:key:a", "1 b map:key:b",
    } },
    alternatives = { mp.pipe(a, a:configurable_alternatives({ id = "i" }, { b = b })
      :with_config { configurable = { i = "b" } }), 1, {
      "0 RunnableSequence -", "1 a seq:step:1", "1 b seq:step:2",
    } },
    chain = { mp.chain("outer", function() return a end), 1, { "0 outer -", "1 a -" } },
    tool = { a:as_tool { name = "t", description = "d", arg_types = "string" }, "x", { "0 t -", "1 a -" } },
  }

  for name, case in pairs(cases) do
    it("is that of each inner step of " .. name .. ", invoked", function()
      assert.same(case[3], (invoked(case[1], case[2])))
    end)

    it("is that of each inner step of " .. name .. ", streamed", function()
      assert.same(case[3], (streamed(case[1], case[2])))
    end)
  end

  it("tells the second attempt of a hedge from the first", function()
    for _, runs in ipairs { invoked, streamed } do
      local count = 0
      local slow = named("slow", function(x)
        count = count + 1
        if count == 1 then mp.sleep(10) end
        return x
      end)
      local seen, failed = runs(slow:with_hedge { after = 0.005 }, 1)
      assert.same({ "0 slow -", "1 slow -", "1 slow hedge:2" }, seen)
      assert.same({ "slow" }, failed)
    end
  end)

  it("is that of a step in a stream which leaves what comes unread", function()
    local deaf = mp.RunnableGenerator(function(_, emit) emit(1) end, { name = "deaf" })
    assert.same({ "0 RunnableSequence -", "1 a seq:step:1", "1 deaf seq:step:2" },
      (streamed(mp.pipe(a, deaf), 1)))
  end)

  it("is none of a step behind one that fails before its first chunk", function()
    local bad = named("bad", function() error("no", 0) end)
    local seen, failed = runs_of(function(config)
      pcall(function() mp.pipe(bad, mp.RunnablePassthrough()):stream(1, config):collect() end)
    end)
    assert.same({ "0 RunnableSequence -", "1 bad seq:step:1" }, seen)
    assert.same({ "bad", "RunnableSequence" }, failed)
  end)

  it("ends with an error for each step in which it was", function()
    local bad = named("bad", function() error("no", 0) end)
    local _, failed = runs_of(function(config)
      mp.pipe(a, mp.RunnableBranch({ yes, bad:map() }, a)):try_invoke({ 1 }, config)
    end)
    assert.same({ "bad", "RunnableEach<bad>", "RunnableBranch", "RunnableSequence" }, failed)
  end)

  it("is in the events of lists too", function()
    local names = {}
    for event in a:map():stream_events { 1, 2 } do
      if event.name == "a" then names[#names + 1] = event.event end
    end
    table.sort(names)
    assert.same({ "on_chain_end", "on_chain_end", "on_chain_start", "on_chain_start", "on_chain_stream",
      "on_chain_stream" }, names)
  end)
end)

describe("a config of a step's own", function()
  local seen = mp.RunnableLambda(function(_, config) return { config.tags, config.metadata } end)

  it("adds its tags to those of the call, whose metadata win", function()
    local step = seen:with_config { tags = { "own" }, metadata = { a = "own", b = "own" } }
    assert.same({ { "call", "own" }, { a = "call", b = "own" } },
      step:invoke(1, { tags = { "call" }, metadata = { a = "call" } }))
  end)

  it("replaces what was given to the same step before", function()
    assert.same({ "b" }, seen:with_config({ tags = { "a" } }):with_config({ tags = { "b" } }):invoke(1)[1])
  end)
end)
