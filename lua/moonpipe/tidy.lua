--- Collects garbage while there is nothing else to do.
--
-- LuaJIT begins to collect when the heap has doubled. Of a large one that is much:
-- thousands of streams that are held make garbage slowly, and would come to twice
-- what they need.
local native = require "moonpipe.native"

local now = native.c.now

local LARGE = 16 * 1024 -- KiB, below which nothing is done
local GROWN = 1.1       -- times what was left over before
local EVERY = 5         -- seconds between two cycles
local STEP = 64         -- KiB

local left_over, next_at = 0, 0

---For who is going to wait: takes a step of a cycle where one is worth it.
return function()
  local count = collectgarbage("count")
  if count < left_over then left_over = count end
  if count < LARGE or count < left_over * GROWN or now() < next_at then return end
  if not collectgarbage("step", STEP) then return end
  left_over, next_at = collectgarbage("count"), now() + EVERY
end
