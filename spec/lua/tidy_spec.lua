--- Where garbage is collected: at the beginning of frames.
local scheduler = require "moonpipe.scheduler"

local BUDGET = 0.002

local made = 0

-- Runs `count` frames, in each of which a task makes `kib` KiB of garbage. Weak tables are cleared
-- where marking ends: in how many tasks that was, and between how many.
local function frames(count, kib)
  local during, between = 0, 0
  local weak = setmetatable({}, { __mode = "v" })
  local function task()
    if weak[1] == nil then between = between + 1 end
    weak[1] = {}
    for _ = 1, kib do
      made = made + 1 -- equal strings are one
      weak[2] = { ("x"):rep(1000) .. made }
    end
    if weak[1] == nil then during = during + 1 end
  end
  for _ = 1, count do
    scheduler.start(nil, task)
    scheduler.update(BUDGET)
  end
  return during, between - 1
end

describe("tidy", function()
  before_each(function() collectgarbage() end)
  after_each(function() collectgarbage "restart" end)

  it("collects before the tasks of a frame run, not while they do", function()
    local heap = collectgarbage "count"
    local during, between = frames(math.ceil(heap / 20), 100) -- five times the heap
    assert.equal(0, during)
    assert.is_true(between >= 3, between)
    assert.is_true(collectgarbage "count" < 4 * heap, collectgarbage "count" .. " of " .. heap)
  end)

  it("is not outrun by tasks that make much garbage", function()
    local heap = collectgarbage "count"
    frames(100, heap / 10)
    assert.is_true(collectgarbage "count" < 4 * heap, collectgarbage "count" .. " of " .. heap)
  end)

  it("lets a heap that doubles in one frame be collected there", function()
    frames(2, 1)
    local during = frames(1, 4 * collectgarbage "count")
    assert.equal(1, during)
  end)

  it("leaves a collector alone that the host has stopped", function()
    collectgarbage "stop"
    assert.same({ 0, 0 }, { frames(50, 100) })
    assert.is_false(collectgarbage "isrunning")
  end)
end)
