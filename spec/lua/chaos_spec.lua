--- Random chains, run in every way, ended at random moments. A failure names the
--- seed: MOONPIPE_SEED=n repeats that chain alone.
local chaos = require "spec.support.chaos"
local helper = require "spec.helper"
local mp = require "moonpipe"
local native = require "moonpipe.native"
local scheduler = require "moonpipe.scheduler"

local now = native.c.now
local seed = tonumber(os.getenv("MOONPIPE_SEED") or nil)
local MODES = { "cancel", "wait", "collect" }

-- What user code finds in the metadata of its config.
local function new_run()
  return { ticks = 0, over = false, ran_late = false }
end

-- Ways to get a chain's value.
local ways = {
  invoke = function(step, input, config) return step:invoke(input, config) end,
  stream = function(step, input, config) return step:stream(input, config):collect() end,
  start = function(step, input, config)
    local value, err = step:start(input, config):wait()
    if err then error(err, 0) end
    return value
  end,
  transform = function(step, input, config)
    local given = false
    return step:transform(function()
      if given then return nil end
      given = true
      return input
    end, config):collect()
  end,
}

-- Starts the chain below a root task; `run.task` is that.
local function begin(tree, way, input, mode)
  local run = new_run()
  local config = { metadata = { run = run }, on_error = mode }
  run.task = mp.RunnableLambda(function() return way(tree.step, input, config) end):start(1)
  return run
end

-- Waits for the end of a run; after it no code of its may run.
local function finish(run)
  local value, err = run.task:wait(60)
  assert(run.task:status() ~= "running", "the run did not end")
  run.over = true
  return value, err
end

local function settle(run)
  local deadline = now() + 10
  while scheduler.pending() > 0 and now() < deadline do mp.sleep(0) end
  assert.equal(0, scheduler.pending())
  assert.is_false(run.ran_late)
end

local function check_value(tree, input, mode, value, err)
  local ok, expected = tree.oracle(input, mode)
  if ok then
    if err ~= nil then error("it should not fail: " .. tostring(err), 0) end
    assert(chaos.same(value, expected), "another value than expected")
  else
    assert(err ~= nil, "it should fail")
    assert(chaos.is_one_of(err, expected), "not one of the failures: " .. tostring(err))
  end
end

-- The same where the run may have been ended from outside too.
local function check_ended(tree, input, mode, value, err, kind)
  if err ~= nil and err.kind == kind then return end
  check_value(tree, input, mode, value, err)
end

-- Calls case(random) for many seeds.
local function each_seed(count, case)
  if helper.long then count = count * 100 end
  for i = seed or 1, seed or count do
    local ok, err = pcall(case, chaos.random(i))
    if not ok then error(("seed %d: %s"):format(i, tostring(err)), 0) end
  end
end

local function depth_of(random)
  return 1 + random(3)
end

describe("chaos #concurrency", function()
  for name, way in pairs(ways) do
    it("gives what a simple oracle gives, by " .. name, function()
      each_seed(60, function(random)
        local tree = chaos.tree(random, { depth = depth_of(random), failing = 1000 })
        local input, mode = random(1000), MODES[random(3)]
        local run = begin(tree, way, input, mode)
        check_value(tree, input, mode, finish(run))
        settle(run)
      end)
    end)

    it("reports a failure with its place, by " .. name, function()
      each_seed(60, function(random)
        local tree = chaos.tree(random, { depth = depth_of(random), failing = 10 })
        local input, mode = random(1000), MODES[random(3)]
        local run = begin(tree, way, input, mode)
        check_value(tree, input, mode, finish(run))
        settle(run)
      end)
    end)

    it("ends whenever it is cancelled, by " .. name, function()
      each_seed(60, function(random)
        local tree = chaos.tree(random, { depth = depth_of(random), failing = 30 })
        local input, mode = random(1000), MODES[random(3)]
        local run = begin(tree, way, input, mode)
        if random(2) == 1 then
          run.cancel_at = random(30) -- from inside
        else
          mp.sleep(random(5) / 5000)
          run.task:cancel()
        end
        local value, err = finish(run)
        check_ended(tree, input, mode, value, err, "cancelled")
        settle(run)
      end)
    end)
  end

  it("ends whenever its time is over", function()
    each_seed(60, function(random)
      local tree = chaos.tree(random, { depth = depth_of(random), failing = 30, hasty = true })
      local input = random(1000)
      local run = begin(tree, ways[random(2) == 1 and "invoke" or "stream"], input, "cancel")
      local value, err = finish(run)
      check_ended(tree, input, "cancel", value, err, "timeout_total")
      settle(run)
    end)
  end)

  it("ends whenever its stream is closed", function()
    each_seed(60, function(random)
      local tree = chaos.tree(random, { depth = depth_of(random), failing = 30 })
      local count, forget = random(6), random(2) == 1
      local run = begin(tree, function(step, input, config)
        local stream = step:stream(input, config)
        for _ = 1, count do
          if not pcall(stream) then return end
        end
        if not forget then stream:close() end
      end, 1, "cancel")
      finish(run)
      settle(run)
    end)
  end)

  it("keeps many runs apart", function()
    each_seed(4, function(random)
      local runs = {}
      for i = 1, 20 do
        local tree = chaos.tree(random, { depth = depth_of(random), failing = 20 })
        local input, mode = random(1000), MODES[random(3)]
        local way = ways[({ "invoke", "stream", "start", "transform" })[random(4)]]
        runs[i] = { run = begin(tree, way, input, mode), tree = tree, input = input, mode = mode }
      end
      for _, one in ipairs(runs) do
        check_value(one.tree, one.input, one.mode, finish(one.run))
      end
      for _, one in ipairs(runs) do settle(one.run) end
    end)
  end)

  it("leaves nothing in memory", function()
    local function round()
      for i = 1, 10 do
        local random = chaos.random(i)
        local tree = chaos.tree(random, { depth = depth_of(random), failing = 20 })
        for _, way in pairs(ways) do finish(begin(tree, way, 1, "cancel")) end
      end
      collectgarbage()
      collectgarbage()
      return collectgarbage("count")
    end
    local compiling = jit.status()
    jit.off() -- or compiled traces would be most of what comes and goes
    jit.flush()
    for _ = 1, 3 do round() end
    local before = round()
    for _ = 1, helper.long and 100 or 20 do round() end
    local after = round()
    if compiling then jit.on() end
    assert.is_true(after - before < 64) -- KiB: tables of the loop grow and shrink
  end)
end)
