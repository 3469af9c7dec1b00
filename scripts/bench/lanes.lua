-- A map of two branches that compute, in lanes, over the same two in one VM: wall
-- time, the median of five pairs. On a machine with two cores at rest the floor is 0.5.
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

local function time(map)
  local began = mp.now()
  local out = map:invoke(N)
  return mp.now() - began, out
end

local ratios, floors = {}, {}
for i = 1, PAIRS do
  local floor, expected = time(alone)
  local took, got = time(together)
  assert(got.a == expected.a and got.b == expected.b)
  ratios[i], floors[i] = took / floor, floor
end
local ratio = figures.median(ratios)
print(("two branches in lanes: %.2f (%.2f - %.2f) of %.2f s in one VM; goal <= %.1f, %s; load %.1f")
  :format(ratio, ratios[1], ratios[PAIRS], figures.median(floors), GOAL,
    ratio <= GOAL and "held" or "MISSED", figures.load_average()))
