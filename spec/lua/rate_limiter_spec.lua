local calls = require "spec.support.calls"
local helper = require "spec.helper"
local mp = require "moonpipe"
local native = require "moonpipe.native"
local server = require("spec.support.server").use()

local now = native.c.now

-- How long fn() took.
local function timed(fn)
  local begun = now()
  fn()
  return now() - begun
end

describe("rate_limiter: requests", function()
  calls.it("begin at once while the bucket is full", function()
    local limiter = mp.RateLimiter { requests_per_minute = 60, burst = 5 }
    assert.is_true(timed(function()
      for _ = 1, 5 do limiter:take(0) end
    end) < 0.5)
  end)

  calls.it("wait for the bucket to fill", function()
    local limiter = mp.RateLimiter { requests_per_minute = 6000, burst = 1 }
    assert.is_true(timed(function()
      for _ = 1, 6 do limiter:take(0) end
    end) >= 0.045)
  end)

  calls.it("are served in their order", function()
    local limiter, order = mp.RateLimiter { requests_per_minute = 12000, burst = 1 }, {}
    mp.RunnableLambda(function(i)
      limiter:take(0)
      order[#order + 1] = i
    end):batch { 1, 2, 3, 4, 5 }
    assert.same({ 1, 2, 3, 4, 5 }, order)
  end)

  calls.it("that are cancelled while they wait leave their place", function()
    local limiter, order = mp.RateLimiter { requests_per_minute = 600, burst = 1 }, {}
    local step = mp.RunnableLambda(function(i)
      limiter:take(0)
      order[#order + 1] = i
    end)
    step:invoke(1)
    local tasks = { step:start(2), step:start(3) }
    mp.sleep(0.01)
    assert.equal(2, limiter.waiting)
    tasks[1]:cancel()
    tasks[2]:wait(5)
    assert.same({ 1, 3 }, order)
    assert.equal(0, limiter.waiting)
  end)

  calls.it("all wait through a pause", function()
    local limiter = mp.RateLimiter { requests_per_minute = 60000 }
    limiter:pause(0.05)
    assert.is_true(timed(function()
      mp.RunnableLambda(function() limiter:take(0) end):batch { 1, 2, 3 }
    end) >= 0.05)
  end)
end)

describe("rate_limiter: tokens", function()
  calls.it("are counted beside requests", function()
    local limiter = mp.RateLimiter { tokens_per_minute = 6000 } -- 100 a second
    limiter:take(6000)
    assert.is_true(timed(function() limiter:take(5) end) >= 0.045)
  end)

  calls.it("that were not used are given back", function()
    local limiter = mp.RateLimiter { tokens_per_minute = 60 }
    limiter:take(60)
    limiter:settle(60, 10)
    assert.is_true(timed(function() limiter:take(40) end) < 0.5)
  end)

  calls.it("that were used beyond the estimate are waited for", function()
    local limiter = mp.RateLimiter { tokens_per_minute = 6000 }
    limiter:take(5990)
    limiter:settle(5990, 6005)
    assert.is_true(timed(function() limiter:take(0) end) >= 0.045)
  end)

  calls.it("of a call larger than the bucket need a full one", function()
    local limiter = mp.RateLimiter { tokens_per_minute = 60 }
    assert.is_true(timed(function() limiter:take(1000) end) < 0.5)
    assert.is_true(limiter.tokens.level < -900)
  end)
end)

describe("rate_limiter: what servers say", function()
  it("lowers what is left", function()
    local limiter = mp.RateLimiter { requests_per_minute = 600 }
    limiter:learn("requests", 3, 10, 6)
    assert.is_true(limiter.requests.level <= 3.1)
    assert.equal(10, limiter.requests.rate) -- the user's
    limiter:learn("requests", 500, 1000, 6)
    assert.is_true(limiter.requests.level <= 3.5)
  end)

  it("is the limit where the user gave none", function()
    local limiter = mp.RateLimiter()
    limiter:learn("tokens", 9000, 10000, 0.5)
    assert.same({ 10000, 2000 }, { limiter.tokens.size, limiter.tokens.rate })
    assert.is_nil(limiter.requests)
    limiter:learn("requests", 5)
    assert.is_nil(limiter.requests)
  end)
end)

describe("rate_limiter: models", function()
  local lanes = 0

  local function model(limiter, scripts, opts)
    lanes = lanes + 1
    local name = "rate-" .. lanes
    opts = opts or {}
    opts.model, opts.rate_limiter = name, limiter
    opts.base_url = server:lane(name, scripts or "answer=x; usage=5,5")
    return mp.ChatOpenAI(opts), name
  end

  -- When the requests of a lane began at the server, in seconds.
  local function starts(lane)
    local list = {}
    for _, request in ipairs(server:requests()) do
      if request.lane == lane then list[#list + 1] = request.start_us / 1e6 end
    end
    table.sort(list)
    return list
  end

  it("share one", function()
    local limiter = mp.RateLimiter { requests_per_minute = 1200, burst = 1 }
    local a, b = model(limiter), model(limiter)
    local elapsed = timed(function() mp.RunnableParallel({ a, b, a, b, a }):invoke "hi" end)
    assert.is_true(elapsed >= 0.19)
  end)

  it("count every attempt", function()
    local limiter = mp.RateLimiter { requests_per_minute = 60, burst = 10 }
    local step = model(limiter, { "status=503; header=Retry-After-Ms: 1", "answer=x" })
    step:invoke "hi"
    assert.is_true(limiter.requests.level < 8.9)
  end)

  it("settle what an answer and a stream have used", function()
    local limiter = mp.RateLimiter { tokens_per_minute = 6000 }
    local step = model(limiter, nil, { max_tokens = 3000 })
    step:invoke "hi"
    local level = limiter.tokens.level
    assert.is_true(level > 5900 and level <= 5991, level)
    step:stream("hi"):collect()
    assert.is_true(limiter.tokens.level > 5900)
  end)

  it("reserve the longest answer while they wait for it", function()
    local limiter = mp.RateLimiter { tokens_per_minute = 6000 }
    local step = model(limiter, "never", { max_tokens = 3000 })
    local task = step:start 'do not read "max_tokens":99999 here'
    mp.sleep(0.02)
    assert.is_true(limiter.tokens.level < 3000 and limiter.tokens.level > 2800)
    task:cancel()
    task:wait(5)
  end)

  it("heed the headers", function()
    local limiter = mp.RateLimiter { requests_per_minute = 60 }
    local step = model(limiter, { default = {
      header = { "x-ratelimit-limit-requests: 60", "x-ratelimit-remaining-requests: 7",
        "x-ratelimit-reset-requests: 53s" },
    } })
    step:invoke "hi"
    assert.is_true(limiter.requests.level < 7.9)
  end)

  it("pause all who share it after a 429", function()
    local limiter = mp.RateLimiter { requests_per_minute = 60000 }
    local limited = model(limiter, { "status=429; header=Retry-After-Ms: 200", default = "answer=x" })
    local other, lane = model(limiter)
    local task = limited:start "hi"
    helper.run(function()
      calls.wait(server, function(stats) return stats.completed >= 1 end)
      mp.sleep(0.02)
    end)
    other:batch { "a", "b" }
    task:wait(5)
    local refused = server:requests()[1].start_us / 1e6
    for _, at in ipairs(starts(lane)) do assert.is_true(at - refused >= 0.19, at - refused) end
  end)

  it("hold no slot of the run while they wait for the rate", function()
    local limiter = mp.RateLimiter { requests_per_minute = 60, burst = 1 }
    local slow, quick = model(limiter), model(nil)
    slow:invoke "hi" -- the bucket is empty for a second
    local order = {}
    mp.RunnableParallel {
      a = mp.pipe(slow, function() order[#order + 1] = "slow" end),
      b = mp.pipe(quick, function() order[#order + 1] = "quick" end),
    }:invoke("hi", { max_concurrency = 1 })
    assert.same({ "quick", "slow" }, order)
  end)

  it("take nothing but a limiter", function()
    assert.equal("rate_limiter of ChatOpenAI must be an mp.RateLimiter, got a number",
      (helper.said(mp.ChatOpenAI, { base_url = server.base_url, rate_limiter = 3 })
        :gsub("the number 3", "a number")))
  end)
end)

describe("rate_limiter: options", function()
  it("are checked", function()
    for _, name in ipairs { "requests_per_minute", "tokens_per_minute", "burst" } do
      for _, value in ipairs { 0, -1, 1 / 0, "9" } do
        local said = helper.said(mp.RateLimiter, { [name] = value })
        assert.truthy(said:find(name .. " of RateLimiter must be a number above 0", 1, true), said)
      end
    end
    assert.truthy(helper.said(mp.RateLimiter, { requests_per_second = 1 }):find("unknown option"))
  end)
end)
