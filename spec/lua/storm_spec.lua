-- A server that is down, seen from the server: how much it is asked, and how soon it
-- is used again. Row 16 of the fault list.
local helper = require "spec.helper"
local log = require "moonpipe.log"
local mp = require "moonpipe"
local native = require "moonpipe.native"
local server = require("spec.support.server").use()

local now = native.c.now

local DOWN = "status=503; header=Retry-After-Ms: 1"
local CALLS = helper.long and 2000 or 300
local SECONDS = helper.long and 10 or 0.4 -- that a circuit stays open

local lanes = 0

local function lane()
  lanes = lanes + 1
  return "storm-" .. lanes
end

local function model(name, script, opts)
  opts = opts or {}
  opts.model, opts.base_url = name, server:lane(name, { default = script })
  return mp.ChatOpenAI(opts)
end

local function requests(name)
  local counted = server:stats().lanes[name]
  return counted and counted.requests or 0
end

-- Calls the step again and again, a few at a time; gives how many failed.
local function storm(step, opts)
  local inputs, failed = {}, 0
  for i = 1, CALLS do inputs[i] = "call " .. i end
  for _, record in step:batch_as_completed(inputs, { max_concurrency = opts and opts.width or 8 }) do
    if not record.ok then failed = failed + 1 end
  end
  return failed
end

describe("storm of 503", function()
  before_each(function() log.sink = function() return true end end)
  after_each(function() log.sink = nil end)

  -- Whoever repeats: the model, a step around it, both, or one beside it.
  for how, wrap in pairs {
    ["the model"] = function(step) return step end,
    with_retry = function(step)
      return step:with_retry { stop_after_attempt = 5, wait_exponential_jitter = false }
    end,
    ["with_retry twice"] = function(step)
      return step:with_retry({ wait_exponential_jitter = false })
        :with_retry { wait_exponential_jitter = false }
    end,
    ["with_retry of a chain"] = function(step)
      return mp.pipe(mp.RunnablePassthrough(), step, mp.StrOutputParser())
        :with_retry { wait_exponential_jitter = false }
    end,
  } do
    it("grows by a tenth at most, repeated by " .. how, function()
      local name = lane()
      assert.equal(CALLS, storm(wrap(model(name, DOWN))))
      local count = requests(name)
      assert.is_true(count >= CALLS and count <= 1.1 * CALLS + 3, count)
    end)
  end

  it("is met with fewer calls, where another answers", function()
    local down, up = lane(), lane()
    local step = model(down, DOWN):with_fallbacks({ model(up, "answer=here") },
      { circuit = { seconds = 60 } })
    assert.equal(0, storm(step))
    assert.equal(CALLS, requests(up))
    -- five in a row, those that the batch had begun by then, and their repeats
    assert.is_true(requests(down) <= 100, requests(down))
  end)

  it("ends at once for those who wait for a slot, where another answers #concurrency", function()
    local down, up = lane(), lane()
    local step = model(down, "delay=20; status=503", { max_retries = 0 })
      :with_fallbacks({ model(up, "answer=here") }, { circuit = { seconds = 60 } })
    assert.equal(0, storm(step, { width = 4 }))
    assert.equal(CALLS, requests(up))
    assert.is_true(requests(down) >= 5 and requests(down) <= 8, requests(down)) -- 3 on the wire
  end)

  it("ends at once for those who wait for a rate, where another answers #concurrency", function()
    local down, up = lane(), lane()
    local limit = mp.RateLimiter { requests_per_minute = 6, burst = 5 }
    local step = model(down, DOWN, { max_retries = 0, rate_limiter = limit })
      :with_fallbacks({ model(up, "answer=here") }, { circuit = { seconds = 60 } })
    helper.run(function()
      assert.equal("here", tostring(step:batch({ "a", "b", "c", "d", "e", "f", "g", "h" })[8]))
    end)
    assert.same({ 5, 8 }, { requests(down), requests(up) })
    assert.same({ 0, 5 }, { limit.waiting, limit.requests.size })
  end)

  it("ends at once for those who pause, where another answers #concurrency", function()
    local step = mp.RunnableLambda(function(input)
      if input == "pause" then error(mp.Error { kind = "reset", message = "a pause" }, 0) end
      mp.sleep(0.01)
      error(mp.Error { kind = "reset", message = "for good" }, 0)
    end):with_retry { retry_if = function(err) return err.message ~= "for good" end,
        wait_exponential_jitter = { initial = 60, max = 60 } }
      :with_fallbacks({ function(input) return input end })
    local out = helper.run(function()
      return step:batch { "pause", "pause", "1", "2", "3", "4", "5" }
    end)
    assert.same({ "pause", "pause", "1", "2", "3", "4", "5", n = 7 }, out)
  end)

  it("is told to callers as what it is, where all wait in vain #concurrency", function()
    local down, up = lane(), lane()
    local first = model(down, "delay=20; status=503", { max_retries = 0 })
    local second = model(up, "status=400", { max_retries = 0 })
    local step = first:with_fallbacks({ second }, { circuit = { failures = 1, seconds = 60 } })
    local errs = step:batch({ "a", "b" }, { max_concurrency = 1, return_exceptions = true })
    assert.same({ "http", "refused_request" }, { errs[1].kind, errs[2].kind })
    assert.matches("^not asked, as too many calls before failed: ", errs[2].siblings.primary.message)
    assert.equal(errs[1].request_id, errs[2].siblings.primary.cause.request_id)
  end)

  it("is over as soon as the server is back", function()
    local name = lane()
    local step = model(name, DOWN)
    storm(step)
    server:lane(name, { default = "answer=back" })
    assert.equal("back", tostring(step:invoke "hi"))
  end)

  -- One call after the other, until the first server answers; gives the seconds.
  local function until_back(step, limit)
    local begun = now()
    while tostring(step:invoke "hi") ~= "back" do
      assert.is_true(now() - begun < limit, "it is not asked again")
      mp.sleep(0.01)
    end
    return now() - begun
  end

  it("ends within fifteen seconds of the server's return, where another answered", function()
    local down, up = lane(), lane()
    local step = model(down, DOWN):with_fallbacks({ model(up, "answer=here") },
      { circuit = { seconds = SECONDS } })
    storm(step)
    local before = requests(down)
    server:lane(down, { default = "answer=back" })
    until_back(step, 15)
    -- one probe found it, and all that follow are its
    assert.is_true(requests(down) - before <= 2)
    assert.equal(0, storm(step))
    assert.is_true(requests(down) - before >= CALLS)
  end)

  it("is probed by one call at a time", function()
    local down, up = lane(), lane()
    local step = model(down, DOWN, { max_retries = 0 })
      :with_fallbacks({ model(up, "answer=here") }, { circuit = { seconds = SECONDS } })
    storm(step)
    server:lane(down, { default = "delay=100; status=503" })
    mp.sleep(SECONDS)
    local before = requests(down)
    step:batch { "a", "b", "c", "d", "e" }
    assert.is_true(requests(down) - before <= 1)
  end)
end)
