--- Calls that are cancelled, or run out of time, at random moments: in the pauses of
--- retries, between fallbacks, in races, while they wait for a rate. The server is left
--- with no open request. MOONPIPE_SEED=n repeats one case alone.
local calls = require "spec.support.calls"
local chaos = require "spec.support.chaos"
local errors = require "moonpipe.error"
local helper = require "spec.helper"
local log = require "moonpipe.log"
local mp = require "moonpipe"
local native = require "moonpipe.native"
local scheduler = require "moonpipe.scheduler"
local server = require("spec.support.server").use()

local now = native.c.now
local only = tonumber(os.getenv("MOONPIPE_SEED") or nil)
local COUNT = helper.long and 2000 or 60

local SCRIPTS = {
  "answer=one two three", "tokens=20; gap=3", "never", "delay=30; answer=late", "status=503",
  "status=503; header=Retry-After-Ms: 20", "status=429; header=Retry-After-Ms: 15",
  "status=400", "reset=h4", "tokens=30; cut=900", "tokens=30; stall=900", "html",
}

local function any(random, list)
  return list[random(#list)]
end

local function model(random, limiter)
  local scripts = {}
  for i = 1, random(3) do scripts[i] = any(random, SCRIPTS) end
  scripts.default = any(random, SCRIPTS)
  local name = "m" .. random(1000000)
  return mp.ChatOpenAI {
    model = name, base_url = server:lane(name, scripts), max_retries = random(3) - 1,
    rate_limiter = random(3) == 1 and limiter or nil,
  }
end

local wrappers = {
  function(step) return step:with_retry { wait_exponential_jitter = { initial = 0.005, max = 0.02 } } end,
  function(step) return step:with_retry { retry_if = function() return true end } end,
  function(step, other) return step:with_fallbacks({ other() }) end,
  function(step, other)
    return step:with_fallbacks({ other(), other() }, { circuit = { failures = 1, seconds = 0.01 } })
  end,
  function(step) return step:with_hedge { after = 0.01 } end,
  function(step) return step:with_timeout(0.05) end,
  function(step) return step:with_timeout { first_chunk = 0.04, idle = 0.01 } end,
  function(step) return step:with_config { timeout = 0.1 } end,
  function(step, other) return mp.RunnableParallel { a = step, b = other() }:pick "a" end,
  function(step) return mp.pipe(step, mp.RunnablePassthrough()) end,
}

local function chain_of(random)
  local limiter = mp.RateLimiter { requests_per_minute = 6000, burst = 3, tokens_per_minute = 1e6 }
  local function other() return model(random, limiter) end
  local step = other()
  for _ = 1, random(4) do step = any(random, wrappers)(step, other) end
  return step
end

local ways = {
  function(step, config) return step:invoke("hi", config) end,
  function(step, config)
    for _ in step:stream("hi", config) do mp.sleep(0) end
  end,
  function(step, config)
    local stream = step:stream("hi", config)
    stream()
    stream:close()
  end,
  function(step, config)
    config.return_exceptions = true
    return step:batch({ "a", "b", "c" }, config)
  end,
}

-- Waits until nothing is left of a run, here or at the server.
local function settle()
  local limit = now() + 10
  while scheduler.pending() > 0 and now() < limit do mp.sleep(0.001) end
  assert.equal(0, scheduler.pending())
end

-- Ends the run at a random moment in one of three ways, or lets it end.
local function run_case(random)
  local step, way, config = chain_of(random), any(random, ways), {}
  local how, moment = random(4), random(60) / 1000
  if how == 1 then config.timeout = moment end
  if random(3) == 1 then config.max_concurrency = random(2) end
  -- whatever is never answered ends by this
  local task = mp.RunnableLambda(function() return way(step, config) end)
    :start(nil, { timeout = how == 2 and moment or 0.3 })
  if how == 3 then
    mp.sleep(moment)
    task:cancel()
  end
  local _, err = task:wait(20)
  assert.is_true(err == nil or errors.is(err), tostring(err))
  assert.is_true(task:status() ~= "running")
  settle()
end

describe("resilience #concurrency", function()
  before_each(function() log.sink = function() return true end end)
  after_each(function() log.sink = nil end)

  it("leaves nothing open, whenever a run is ended", function()
    for seed = only or 1, only or COUNT do
      local ok, err = pcall(run_case, chaos.random(seed))
      if not ok then error(("seed %d: %s"):format(seed, tostring(err)), 0) end
      if seed % 20 == 0 then
        helper.run(function()
          calls.wait(server, function(stats) return stats.in_flight == 0 end)
        end)
      end
    end
    local stats = helper.run(function()
      return calls.wait(server, function(stats) return stats.in_flight == 0 end)
    end)
    assert.is_true(only ~= nil or stats.requests > 0 and stats.aborted > 0)
  end)
end)
