--- Cancels of real model calls: at random moments, by a failing sibling, from inside.
--- MOONPIPE_SEED=n sets the seed of the random ones; a failure names it.
local calls = require "spec.support.calls"
local cancels = require "spec.support.cancels"
local child = require "spec.support.child"
local conversation = require "spec.support.conversation"
local helper = require "spec.helper"
local jobs = require "moonpipe.jobs"
local limiter = require "moonpipe.limiter"
local log = require "moonpipe.log"
local mp = require "moonpipe"
local native = require "moonpipe.native"
local scheduler = require "moonpipe.scheduler"
local server = require("spec.support.server").use()

local SEED = tonumber(os.getenv("MOONPIPE_SEED") or nil) or os.time() % 1000000
local COUNT = helper.long and 100000 or helper.sanitized and 500 or 2000
local BLOCK = 500  -- cancels between two looks at what is left
local WIDTH = 10   -- runs at once
local GOAL = 0.02  -- seconds
local now = native.c.now

local function with(script)
  return server:with(script)
end

local function closed()
  return server:wait(function(stats) return stats.in_flight == 0 end)
end

-- ---- what may be left ----------------------------------------------------------------

local function upvalue(fn, wanted)
  for i = 1, math.huge do
    local name, value = debug.getupvalue(fn, i)
    if name == wanted then return value end
    assert(name, "there is no upvalue " .. wanted)
  end
end

-- All limiters that are made while fn runs.
local function limiters_of(fn)
  local all, new = {}, limiter.new
  function limiter.new(...)
    local made = new(...)
    all[made] = true
    return made
  end
  local ok, err = pcall(fn)
  limiter.new = new
  if not ok then error(err, 0) end
  return all
end

local function check_limiters(all)
  for made in pairs(all) do
    assert.same({ 0, 0, nil }, { made.used, made.waiting, next(made.streams) })
  end
end

local function resident()
  local file = assert(io.open("/proc/self/statm"))
  local _, pages = file:read("*n", "*n")
  file:close()
  return pages * 4 -- KiB
end

-- Our ends of connections to the server, those that wait for their last packets left out.
local function connections()
  local port, count = ("^%%s*%%d+: %%x+:%%x+ %%x+:%04X (%%x%%x)"):format(server.port), 0
  for line in io.lines("/proc/self/net/tcp") do
    local state = line:match(port)
    if state and state ~= "06" then count = count + 1 end
  end
  return count
end

-- Waits until all jobs have been answered, then looks for what a run left behind.
local function check_left()
  local limit = now() + 5
  while scheduler.pending() > 0 and now() < limit do mp.sleep(0.001) end
  assert.equal(0, scheduler.pending())
  assert.is_nil(next(upvalue(jobs.listen, "waiting")))
  local stats = closed()
  assert.equal(stats.requests, stats.aborted + stats.completed)
  assert.equal(0, stats.bad)
  return stats
end

-- Turns are there whole or not at all, and nobody holds a conversation. Gives how many
-- messages there are, and forgets them: a long past would take its time.
local function check_histories(models)
  local found, count = rawget(mp.RunnableWithMessageHistory, "methods")._invoke, 0
  for _, name in ipairs { "begin", "take_lock", "space_of", "locks" } do found = upvalue(found, name) end
  assert.is_nil(next(found))
  for i = 1, 3 do
    local history = models.history("s" .. i)
    local list = history:messages()
    for k, one in ipairs(list) do assert.equal(k % 2 == 1 and "human" or "ai", one.type) end
    assert.equal(0, #list % 2)
    count = count + #list
    history:clear()
  end
  return count
end

-- Both ends of each connection are open, and no call begins any more.
local function check_connections()
  local requests = closed().requests
  mp.sleep(0.02)
  assert.equal(requests, closed().requests)
  server:wait(function(stats) return stats.connections.open == connections() end)
end

-- The gate that all went through has its slots: that many get in, no more.
local function check_gate(models)
  local tasks = {}
  server:reset()
  for i = 1, cancels.SLOTS + 1 do tasks[i] = models.held:start "x" end
  for i = 1, #tasks do
    local seen = math.min(cancels.SLOTS + i - 1, #tasks)
    calls.wait(server, function(stats) return stats.requests == seen end)
    if i == 1 then mp.sleep(0.02) end -- for one more to get in
    server:release()
  end
  for _, task in ipairs(tasks) do assert.equal("x", task:wait(10).content) end
  assert.equal(cancels.SLOTS, server:stats().peak)
end

-- ---- at random moments -----------------------------------------------------------------

-- One cancel in a hundred may meet a machine that does something else: under much
-- other load all of its time is waiting for a core.
local function check_times(all)
  local seed = "MOONPIPE_SEED=" .. SEED
  assert.is_true(all:percentile(0.99) <= 10 * GOAL, seed)
  assert.is_true(all:percentile(1) <= 100 * GOAL, seed)
end

local function report(all, seconds, kib)
  local parts = {}
  for _, p in ipairs({ 50, 90, 99, 99.9, 100 }) do
    parts[#parts + 1] = ("p%g %.1f"):format(p, all:percentile(p / 100) * 1000)
  end
  helper.figure(("%d cancels at random moments in %.0f s, seed %d: ms to the end: %s; %d KiB more resident")
    :format(#all.taken, seconds, SEED, table.concat(parts, ", "), kib))
end

local function run_block(all, models, seen)
  server:reset()
  check_limiters(limiters_of(function()
    helper.run(function() all:run(models, cancels.WAYS, BLOCK, WIDTH) end, 120)
  end))
  local stats = check_left()
  seen.aborted, seen.requests = seen.aborted + stats.aborted, seen.requests + stats.requests
  seen.messages = seen.messages + check_histories(models)
end

-- Gives how much memory the blocks after the first tenth took, in KiB.
local function run_blocks(all, models, seen)
  local blocks, before = COUNT / BLOCK, nil
  for i = 1, blocks do
    run_block(all, models, seen)
    if i == math.ceil(blocks / 10) then
      collectgarbage()
      before = resident()
    end
  end
  collectgarbage()
  return resident() - before
end

describe("a cancel #concurrency", function()
  after_each(function()
    conversation.remove()
    log.sink = nil
  end)

  it("at a random moment ends its run soon, and leaves nothing", function()
    local all, seen = cancels.new(SEED), { aborted = 0, requests = 0, messages = 0 }
    local models = cancels.models(with, (conversation.stored()))
    log.sink = function() return true end -- circuits tell of their switches
    local begun = now()
    local kib = run_blocks(all, models, seen)
    report(all, now() - begun, kib)
    check_connections()
    check_gate(models)
    assert.is_true(seen.messages > 0)
    check_times(all)
    for _, way in ipairs(cancels.WAYS) do
      assert.is_true((all.cancelled[way[1]] or 0) >= COUNT / #cancels.WAYS / 5, way[1])
    end
    assert.is_true(seen.aborted > COUNT / 10) -- many had begun
    assert.is_true(not helper.long or kib < 8 * 1024, ("%d KiB more"):format(kib))
  end)

  it("while a name is looked up ends its run soon, and leaves no thread", function()
    local count = helper.long and 5000 or helper.sanitized and 50 or 200
    local out = child.run({ preload = "slow_resolver" }, [[
      local cancels = require "spec.support.cancels"
      local all = cancels.new(tonumber(arg[2]))
      local models = cancels.models(function() return arg[1] end)
      local count = tonumber(arg[3])
      all:run(models, cancels.LOOKUPS, count, 20)
      assert(#all.taken >= count)
      assert(all:percentile(0.95) <= 0.2 and all:percentile(1) <= 2, all:percentile(1))
      local limit, threads = calls.now() + 10, nil
      repeat -- lookups that are given up end by themselves
        mp.sleep(0.02)
        threads = tonumber(io.open("/proc/self/status"):read("*a"):match("Threads:%s*(%d+)"))
      until threads <= 4 or calls.now() > limit
      io.write(threads <= 4 and "ended" or threads)
      io.stdout:write((" %.1f %.1f"):format(all:percentile(0.99) * 1000, all:percentile(1) * 1000))]],
      server.base_url, SEED, count)
    local p99, longest = out:match("^ended (%S+) (%S+)$")
    assert.truthy(p99, "MOONPIPE_SEED=" .. SEED .. ": " .. out)
    helper.figure(("%d cancels while names are looked up: ms to the end: p99 %s, p100 %s"):format(count,
      p99, longest))
    closed()
  end)
end)

-- ---- from inside -------------------------------------------------------------------------

describe("a cancel that a callback makes", function()
  it("is the last that a caller of start is told", function()
    local told, done, task = {}, false, nil
    local chain = mp.pipe(mp.ChatOpenAI { base_url = server.base_url }, mp.StrOutputParser())
    task = chain:start("a b c d e f", {
      on_token = function(text)
        told[#told + 1] = text
        if #told == 2 then task:cancel() end
      end,
      on_done = function() done = true end,
    })
    local value, err = task:wait(10)
    assert.same({ nil, "cancelled", "cancelled" }, { value, err.kind, task:status() })
    assert.same({ { "a ", "b " }, false }, { told, done })
  end)
end)

-- ---- by a sibling ------------------------------------------------------------------------

local function model(script, opts)
  opts = opts or {}
  opts.base_url = server:with(script)
  return mp.ChatOpenAI(opts)
end

local function open_stream()
  return mp.RunnableLambda(function(text)
    return model({ gap = "60s" }):stream(text):collect().content
  end)
end

-- A map one branch of which fails when all the others are under way: four calls.
local function breaking()
  return mp.RunnableParallel {
    bad = model({ status = 400, delay = 100 }),
    whole = model("never"),
    open = open_stream(),
    below = { deep = { model("never") }, other = mp.pipe(model("never"), mp.StrOutputParser()) },
  }
end

local function check_broken(err)
  assert.same({ "refused_request", "map.bad" }, { err.kind, err.path })
  local stats = closed()
  assert.same({ 5, 1, 4 }, { stats.requests, stats.completed, stats.aborted })
end

describe("a failing branch", function()
  it("closes the connections of its siblings, in invoke", function()
    check_broken(helper.failure(breaking().invoke, breaking(), "a b"))
  end)

  it("closes the connections of its siblings, in stream", function()
    check_broken(helper.failure(function() breaking():stream("a b"):collect() end))
  end)

  it("closes the connections of its siblings, in start", function()
    local _, err = breaking():start("a b"):wait(10)
    check_broken(err)
  end)

  it("closes the connections of its siblings, in batch", function()
    local err = helper.failure(function()
      mp.RunnableLambda(function(i)
        return (i == 2 and model({ status = 400, delay = 100 }) or model("never")):invoke "x"
      end):batch({ 1, 2, 3, 4 })
    end)
    assert.equal("refused_request", err.kind)
    local stats = closed()
    assert.same({ 4, 1, 3 }, { stats.requests, stats.completed, stats.aborted })
  end)

  it("keeps siblings from beginning that wait for a slot", function()
    local err = helper.failure(function()
      mp.RunnableParallel({ a = model({ status = 400, delay = 50 }), b = model("never"),
        c = model("never"), d = model("never") }):invoke("x", { max_concurrency = 2 })
    end)
    assert.equal("refused_request", err.kind)
    local stats = closed()
    assert.same({ 2, 1, 1 }, { stats.requests, stats.completed, stats.aborted })
    server:reset()
    helper.failure(function()
      mp.RunnableLambda(function(i)
        return (i == 1 and model({ status = 400, delay = 50 }) or model("never")):invoke "x"
      end):batch({ 1, 2, 3, 4 }, { max_concurrency = 2 })
    end)
    stats = closed()
    assert.same({ 2, 1, 1 }, { stats.requests, stats.completed, stats.aborted })
  end)

  it("keeps siblings from beginning that wait for a slot, in stream", function()
    helper.failure(function()
      mp.RunnableParallel({ a = model({ status = 400, delay = 50 }), b = model("never"),
        c = model("never"), d = model("never") }):stream("x", { max_concurrency = 2 }):collect()
    end)
    local stats = closed()
    assert.same({ 2, 1, 1 }, { stats.requests, stats.completed, stats.aborted })
  end)

  it("that fails at once keeps the later ones from beginning, in stream", function()
    local err = helper.failure(function()
      mp.RunnableParallel({ a = function() error "at once" end, b = model("never") })
        :stream("x"):collect()
    end)
    assert.same({ "lua", "not started" }, { err.kind, err.siblings.b })
    assert.equal(0, closed().requests)
  end)

  it("closes the connections of its siblings before its failure is read", function()
    local stream = mp.RunnableParallel({ a = model({ status = 400, delay = 50 }),
      b = model({ token = { "one ", "two" }, gap = "60s" }) }):stream "x"
    assert.equal("one ", stream:next().b.content)
    calls.wait(server, function(stats) return stats.aborted == 1 end)
    assert.equal("refused_request", helper.failure(stream).kind)
  end)

  it("keeps siblings from trying again that pause", function()
    local err = helper.failure(function()
      mp.RunnableParallel({ a = model({ status = 400, delay = 100 }),
        b = model({ status = 503, header = "retry-after: 1" }, { model = "paused" }) }):invoke "x"
    end)
    assert.equal("refused_request", err.kind)
    mp.sleep(0.05)
    assert.equal(2, closed().requests)
  end)

  it("leaves its siblings alone where that is asked for", function()
    local err = helper.failure(function()
      mp.RunnableParallel({ a = model({ status = 400 }), b = model({ delay = 100 }) })
        :invoke("x", { on_error = "wait" })
    end)
    assert.equal("refused_request", err.kind)
    assert.same({ 2, 0 }, { closed().completed, server:stats().aborted })
  end)
end)

describe("a run that is cancelled", function()
  it("leaves no open request", function()
    local chain = mp.RunnableParallel { a = open_stream(), b = breaking().steps.below, c = model("never") }
    local task = chain:start "a b"
    calls.wait(server, function(stats) return stats.in_flight == 4 end)
    task:cancel()
    local value, err = task:wait(10)
    assert.same({ nil, "cancelled" }, { value, err.kind })
    assert.equal(4, closed().aborted)
  end)

  it("by its timeout leaves none either", function()
    local _, err = mp.RunnableParallel({ a = model("never"), b = open_stream() })
      :try_invoke("x", { timeout = 0.2 })
    assert.equal("timeout_total", err.kind)
    local stats = closed()
    assert.equal(stats.requests - stats.completed, stats.aborted)
  end)
end)
