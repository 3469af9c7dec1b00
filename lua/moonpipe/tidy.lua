--- Collects garbage where that disturbs nobody: while nothing else is to be done, and at the
--- beginning of a frame.
--
-- LuaJIT begins to collect when the heap has doubled. Of a large one that is much:
-- thousands of streams that are held make garbage slowly, and would come to twice
-- what they need.
--
-- It collects where memory is asked for, so at any time in a frame, and what ends its marking is
-- not divided: all stacks, and all tables that were written to meanwhile; 1,000 streams take it
-- more than a millisecond. A frame that begins with that does less of the rest, and ends in time.
local native = require "moonpipe.native"

local now = native.c.now

local tidy = {}

local left_over = 0 -- KiB, by the last cycle

-- ---- while nothing is to be done ---------------------------------------------------

local LARGE = 16 * 1024 -- KiB, below which nothing is done
local GROWN = 1.1       -- times what was left over before
local EVERY = 5         -- seconds between two cycles
local STEP = 64         -- KiB

local next_at = 0

local function count_now()
  local count = collectgarbage "count"
  if count < left_over then left_over = count end
  return count
end

---For who is going to wait: takes a step of a cycle where one is worth it.
function tidy.idle()
  local count = count_now()
  if count < LARGE or count < left_over * GROWN or now() < next_at then return end
  if not collectgarbage("step", STEP) then return end
  left_over, next_at = collectgarbage "count", now() + EVERY
end

-- ---- at the beginning of a frame -----------------------------------------------------

local FRAME_GROWN = 1.5 -- times what was left over: a cycle begins
local PACE = 2          -- KiB of its steps for each that was asked for, as LuaJIT has it
local SHARE = 0.15      -- of a frame's time, after which steps are put off to the next
local SLACK = 0.25      -- of the heap: so many may be owed, or garbage would outrun its collector
local FRAME_STEP = 8    -- KiB between two looks at the clock, some 20 us

local is_cycling = false
local seen, owed = 0, 0 -- KiB: the heap behind the last frame's steps; steps to be taken

-- Takes the steps that are owed, until c.now() is [limit] where that can be.
local function take_steps(limit)
  local slack = left_over * SLACK
  repeat
    if collectgarbage("step", FRAME_STEP) then
      left_over, owed, is_cycling = collectgarbage "count", 0, false
      return
    end
    owed = owed - FRAME_STEP
  until owed <= 0 or owed < slack and now() >= limit
end

---For who begins a frame of [seconds]: collects, at the pace at which memory was asked for since
---the last one. Then the collector is at rest, until the heap has doubled.
---@param seconds number
function tidy.frame(seconds)
  if not collectgarbage "isrunning" then return end -- the host has its reasons
  local count = count_now()
  if left_over == 0 then left_over, seen = count, count end -- the first frame
  owed = owed + math.max(count - seen, 0) * PACE
  if not is_cycling and count > left_over * FRAME_GROWN then is_cycling, owed = true, 0 end
  if is_cycling then take_steps(now() + seconds * SHARE) end
  seen = collectgarbage "count"
  collectgarbage("restart", -1) -- what is in no manual: as at the end of a cycle
end

return tidy
