--- How far a batch is: a line on a terminal, elsewhere one each ten seconds.
--
--     [=========>          ] 48 %, 1,200 items, 410/s, about 3 s left; 35 failed; 80,000 tokens
--     [=================>  ] 1,200 of 1,350 items, 410/s, 1 s left; 35 failed; 80,000 tokens, $0.12
--
-- How many items there are is known when all of the input has been read, and not before: until
-- then the bar is the share of its bytes, and there is none where nobody knows their number. The
-- rate, and what is left by it, are those of the last half a minute.
local native = require "moonpipe.native"
local progress = require "moonpipe.ingest.progress"
local scheduler = require "moonpipe.scheduler"
local tree = require "moonpipe.tree"

local c = native.c

---@class moonpipe.BatchProgress
---@field done integer      items that have their result on disk, those of earlier runs too
---@field taken integer     those, and those that were read and have none
---@field fresh integer     done in this run
---@field failed integer
---@field read integer      bytes of the input
---@field size integer?     bytes that it has, where that is known
---@field ended boolean     all of it has been read
---@field elapsed number    seconds of this run
---@field over boolean?     nothing more comes
---@field usage moonpipe.UsageTotals?

---@class moonpipe.BatchTeller
---@field tty boolean
---@field make fun(): moonpipe.BatchProgress
---@field marks { at: number, fresh: integer }[]  of the last half a minute
---@field task moonpipe.Task?
---@field shown string?  the line that is on the terminal
local Teller = {}
Teller.__index = Teller

local batch_progress = {}

local DRAW_EVERY, TELL_EVERY = 0.1, 10 -- seconds
local RECENT, MARK_EVERY = 30, 1

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

-- ---- the line ----------------------------------------------------------------------------

local function span(seconds)
  if seconds < 100 then return ("%d s"):format(seconds) end
  if seconds < 6000 then return ("%d min"):format(seconds / 60 + 0.5) end
  return ("%d h %02d min"):format(seconds / 3600, seconds % 3600 / 60)
end

-- The share that is done, as far as it is known, and how it is said.
local function share_of(at)
  if at.ended then
    return at.taken > 0 and at.done / at.taken or 1, ("%s of %s items"):format(grouped(at.done),
      grouped(at.taken))
  end
  local items = grouped(at.done) .. " items"
  if not at.size or at.size == 0 or at.taken == 0 then return nil, items end
  local share = math.min(1, at.done / at.taken * at.read / at.size)
  return share, ("%d %%, %s"):format(share * 100, items)
end

-- How long the rest takes at this rate; a guess where the items are not counted yet.
local function left_of(at, rate)
  if rate <= 0 then return nil end
  if at.ended then return span((at.taken - at.done) / rate) .. " left" end
  if not at.size or at.read == 0 then return nil end
  local total = math.max(at.taken, at.taken * at.size / at.read)
  return ("about %s left"):format(span((total - at.done) / rate))
end

---The line that shows a progress, in two parts: the bar, which may be "", and the words.
---@param at moonpipe.BatchProgress
---@param rate number?  items a second; default: that of all of this run
---@return string bar
---@return string words
function batch_progress.parts(at, rate)
  local share, said = share_of(at)
  rate = rate or (at.elapsed > 0 and at.fresh / at.elapsed or 0)
  local words = { said, (rate < 10 and ("%.1f/s"):format(rate) or grouped(rate) .. "/s") }
  if not at.over then words[3] = left_of(at, rate) end
  local text = table.concat(words, ", ")
  if at.failed > 0 then text = ("%s; %s failed"):format(text, grouped(at.failed)) end
  local used = batch_progress.used(at.usage)
  return share and progress.bar(share) or "", used and text .. "; " .. used or text
end

---@param at moonpipe.BatchProgress
---@param rate number?
---@param columns integer?  that it may have; the bar goes first
---@return string
function batch_progress.line(at, rate, columns)
  local bar, words = batch_progress.parts(at, rate)
  if not columns or #bar + #words <= columns then return bar .. words end
  return words:sub(1, columns)
end

-- ---- telling -----------------------------------------------------------------------------

-- Items a second since the oldest mark.
local function rate_of(self, at)
  local now, marks = c.now(), self.marks
  local newest = marks[#marks]
  if now - newest.at >= MARK_EVERY then marks[#marks + 1] = { at = now, fresh = at.fresh } end
  while marks[2] and now - marks[2].at >= RECENT do table.remove(marks, 1) end
  local since = now - marks[1].at
  return since > 0 and (at.fresh - marks[1].fresh) / since or 0
end

-- A line that is as long as the terminal would move on to the next.
local function width()
  local columns = c.columns(2)
  return columns and columns - 1
end

local function draw(self, line)
  if line == self.shown then return end
  io.stderr:write("\r", line, "\27[K")
  io.stderr:flush()
  self.shown = line
end

local function tell(self)
  local at = self.make()
  local rate = rate_of(self, at)
  if self.tty then return draw(self, batch_progress.line(at, rate, width())) end
  io.stderr:write(batch_progress.line(at, rate), "\n")
  io.stderr:flush()
end

local function keep_telling(self)
  while true do
    scheduler.sleep(self.tty and DRAW_EVERY or TELL_EVERY)
    tell(self)
  end
end

---Takes the line off the terminal, for something else that is written there.
function Teller:clear()
  if not self.shown then return end
  io.stderr:write("\r\27[K")
  self.shown = nil
end

---Ends the line, which stays there with the last figures.
function Teller:finish()
  tree.cancel(self.task, tree.cancelled("the batch has ended"))
  if not self.tty then return end
  local at = self.make()
  at.over = true
  draw(self, batch_progress.line(at, nil, width()))
  io.stderr:write("\n")
  self.shown = nil
end

---Tells of a batch from now on, until `finish`; called in a task.
---@param make fun(): moonpipe.BatchProgress
---@param tty boolean  whether standard error is a terminal, for this alone
---@return moonpipe.BatchTeller
function batch_progress.start(make, tty)
  local self = setmetatable({ tty = tty, make = make, marks = { { at = c.now(), fresh = 0 } } },
    Teller)
  self.task = scheduler.spawn(nil, nil, keep_telling, self)
  return self
end

return batch_progress
