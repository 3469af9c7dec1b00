--- How far a batch is: a line on a terminal, elsewhere one each ten seconds.
--
--     [=========>          ] 1,200 of 2,500 items, 410/s, 3 s left; 35 failed; 80,000 tokens, $0.12
local native = require "moonpipe.native"
local progress = require "moonpipe.ingest.progress"

local c = native.c

---@class moonpipe.BatchProgress
---@field done integer      items that have their result on disk, those of earlier runs too
---@field begun integer     those, and those under way
---@field fresh integer     done in this run
---@field failed integer
---@field read integer      bytes of the input
---@field size integer      bytes that it has
---@field ended boolean     all of it has been read
---@field elapsed number    seconds of this run
---@field usage moonpipe.UsageTotals?

---@class moonpipe.BatchTeller
---@field tty boolean
---@field begun number
---@field drawn number
local Teller = {}
Teller.__index = Teller

local batch_progress = {}

local DRAW_EVERY, TELL_EVERY = 0.1, 10 -- seconds

local grouped = progress.grouped

---What calls have used: "1,200 tokens, $0.0123"; nil where no model has told.
---@param usage moonpipe.UsageTotals?
---@return string?
function batch_progress.used(usage)
  if not usage or usage.total.total_tokens == 0 then return nil end
  local text = grouped(usage.total.total_tokens) .. " tokens"
  local cost = usage.total.cost
  if cost == 0 then return text end
  local lacks = next(usage.unpriced) and "at least " or ""
  return ("%s, %s$%.4f"):format(text, lacks, cost)
end

-- How many items there are: before the input's end from the bytes that were read, which is a guess.
local function total_of(at)
  if at.ended then return at.begun, "" end
  if at.read == 0 then return nil end
  return math.max(at.begun, math.floor(at.begun * at.size / at.read + 0.5)), "about "
end

---The line that shows a progress.
---@param at moonpipe.BatchProgress
---@return string
function batch_progress.line(at)
  local total, about = total_of(at)
  local rate = at.elapsed > 0 and at.fresh / at.elapsed or 0
  local text = grouped(at.done)
  if total then
    text = ("%s%s of %s%s"):format(progress.bar(total > 0 and at.done / total or 1), text, about,
      grouped(total))
  end
  text = ("%s items, %s/s"):format(text, rate < 10 and ("%.1f"):format(rate) or grouped(rate))
  if total and rate > 0 then
    text = ("%s, %s s left"):format(text, grouped(math.max(0, total - at.done) / rate))
  end
  if at.failed > 0 then text = ("%s; %s failed"):format(text, grouped(at.failed)) end
  local used = batch_progress.used(at.usage)
  return used and text .. "; " .. used or text
end

---@param make fun(): moonpipe.BatchProgress
function Teller:tell(make)
  local now = c.now()
  if now - self.drawn < (self.tty and DRAW_EVERY or TELL_EVERY) then return end
  self.drawn = now
  local line = batch_progress.line(make())
  io.stderr:write(self.tty and "\r" or "", line, self.tty and "\27[K" or "\n")
  io.stderr:flush()
end

---Ends the line on a terminal, which stays there with the last figures.
---@param make fun(): moonpipe.BatchProgress
function Teller:finish(make)
  if self.tty then io.stderr:write("\r", batch_progress.line(make()), "\27[K\n") end
end

---@return moonpipe.BatchTeller
function batch_progress.new()
  local tty, now = c.isatty(2), c.now()
  return setmetatable({ tty = tty, begun = now, drawn = tty and 0 or now }, Teller)
end

return batch_progress
