--- Many streams at once: held open for a while, nothing of them is lost and each
--- takes little memory; read as they come, each keeps its order.
local calls = require "spec.support.calls"
local helper = require "spec.helper"
local mp = require "moonpipe"
local server = require("spec.support.server").use()

local now = calls.now

local function model(script)
  return mp.ChatOpenAI { base_url = server:with(script), timeout = { idle = 300, total = 600 } }
end

local function resident()
  collectgarbage()
  collectgarbage()
  local file = assert(io.open("/proc/self/statm"))
  local _, pages = file:read("*n", "*n")
  file:close()
  return pages * 4 -- KiB
end

local function numbers(count)
  local list = {}
  for i = 1, count do list[i] = i end
  return list
end

-- The text of a stream that was read to its end.
local function reading(m)
  return mp.RunnableLambda(function() return m:stream("x"):collect().content end)
end

local function all_in_flight(count)
  return calls.wait(server, function(stats) return stats.in_flight == count end, 60)
end

-- How many descriptors this process may have: the server may have as many.
local function descriptors()
  return tonumber(helper.read("/proc/self/limits"):match("Max open files%s+(%d+)"))
end

-- Those that the engine keeps for the next calls and for others come on top.
local function need(count)
  local limit = descriptors()
  if limit < 2 * count then
    pending(("%d streams need %d descriptors, the machine allows %d (ulimit -Hn)"):format(count,
      2 * count, limit))
  end
end

-- ---- held ----------------------------------------------------------------------------

local COUNT = helper.long and 10000 or 1000
local SECONDS = helper.long and 60 or 2
-- KiB each, of which libcurl 7.88 takes 10 for a transfer and 1 to read into.
local GOAL = 20

-- Tokens that come one by one, all the time and longer than it takes; or one token,
-- and the others when the server is told.
local SCRIPT = helper.long and { tokens = 18, gap = "5s" } or { tokens = 18, stall = 700 }

-- Holds COUNT streams; gives their texts, the KiB that each took, and the seconds that
-- all were held.
local function hold()
  helper.run(function() reading(model({ tokens = 18 })):batch(numbers(50)) end) -- what is made once
  server:reset()
  local before = resident()
  local task = mp.RunnableLambda(function() return reading(model(SCRIPT)):batch(numbers(COUNT)) end):start()
  all_in_flight(COUNT)
  local begun = now()
  mp.sleep(SECONDS / 2)
  local kib = (resident() - before) / COUNT
  mp.sleep(SECONDS / 2)
  all_in_flight(COUNT)
  local held = now() - begun
  server:release()
  local texts, err = task:wait(120)
  if err then error(err, 0) end
  return texts, kib, held
end

describe("streams #concurrency", function()
  it("are held, many at once, and lose nothing", function()
    need(COUNT)
    local expected = helper.run(function() return reading(model({ tokens = 18 })):invoke() end)
    local texts, kib, held = hold()
    assert.equal(COUNT, texts.n)
    for i = 1, COUNT do assert.equal(expected, texts[i]) end
    local stats = server:stats()
    assert.same({ COUNT, COUNT, 0, 0, COUNT }, { stats.requests, stats.completed, stats.aborted,
      stats.in_flight, stats.peak })
    helper.figure(("%d streams held for %.0f s: none lost, %.1f KiB each (goal: %d)"):format(COUNT,
      held, kib, GOAL))
    assert.is_true(helper.sanitized or kib <= GOAL, ("%.1f KiB each"):format(kib))
  end)

  it("keep the order of their tokens, each its own", function()
    local count, tokens = helper.sanitized and 200 or 1000, 200
    local chain = mp.pipe(model({ gap = 2 }), mp.StrOutputParser())
    local texts = {}
    for i = 1, count do
      local words = {}
      for k = 1, tokens do words[k] = i .. "." .. k end
      texts[i] = table.concat(words, " ")
    end
    local begun = now()
    local seen = helper.run(function()
      return mp.RunnableLambda(function(text)
        local parts = {}
        for part in chain:stream(text) do if part ~= "" then parts[#parts + 1] = part end end
        return { #parts, table.concat(parts) }
      end):batch(texts)
    end, 120)
    for i = 1, count do assert.same({ tokens, texts[i] }, seen[i]) end
    assert.is_true(server:stats().peak > count / 10) -- they came at the same time
    helper.figure(("%d streams of %d tokens in %.1f s: all in order"):format(count, tokens,
      now() - begun))
  end)
end)
