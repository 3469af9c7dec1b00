-- A map of two branches that compute, in lanes, over the same two in one VM: the
-- median of five pairs, by the clock and, for a machine with other work on it, by
-- processor time: half of what the two lanes took, as on two free cores.
--
--   build/moonpipe run scripts/bench/lanes.lua
local mp = require "moonpipe"

local figures = dofile(arg[0]:match("^(.-)[^/]*$") .. "figures.lua")

local PAIRS, GOAL = 5, 0.6

local function count(n)
  local x = 1
  for _ = 1, n do x = x * 16807 % 2147483647 end
  return x
end

local N = 5e7 -- a second, about

local lane, here = mp.lane(count), mp.RunnableLambda(count)
local together = mp.RunnableParallel { a = lane, b = lane }
local alone = mp.RunnableParallel { a = here, b = here }

-- Seconds of the clock and of processors, and what came of it.
local function time(map)
  local began, cpu = mp.now(), os.clock()
  local out = map:invoke(N)
  return mp.now() - began, os.clock() - cpu, out
end

local by_clock, by_cpu = {}, {}
for i = 1, PAIRS do
  local floor, floor_cpu, expected = time(alone)
  local took, cpu, got = time(together)
  assert(got.a == expected.a and got.b == expected.b)
  by_clock[i], by_cpu[i] = took / floor, cpu / 2 / floor_cpu
end
local ratio = figures.median(by_clock)
print(("two branches in lanes over both in one VM: %.2f (%.2f - %.2f), by processor time %.2f; "
  .. "goal <= %.1f, %s; load %.1f"):format(ratio, by_clock[1], by_clock[PAIRS],
  figures.median(by_cpu), GOAL, ratio <= GOAL and "held" or "MISSED", figures.load_average()))
