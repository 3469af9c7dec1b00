--- How far an ingest is: for a function, and as a line on a terminal.
--
--     [=========>          ] 1,200 of 2,500 documents, 410/s, 3 s left; 35 skipped
local native = require "moonpipe.native"
local terminal = require "moonpipe.terminal"

local c = native.c

local ingest_progress = {}

---@class moonpipe.IngestProgress
---@field documents integer  that are done
---@field total integer?     where it is known
---@field added integer      pieces, as of the result; so are
---@field updated integer
---@field skipped integer
---@field deleted integer
---@field failed integer
---@field elapsed number     seconds
---@field rate number        documents a second
---@field eta number?        seconds that are left, where the total is known

---@class moonpipe.IngestTeller
---@field fn fun(progress: moonpipe.IngestProgress)?
---@field file file*?        the terminal
---@field total integer?
---@field begun number
---@field drawn number?      when the line was
local Teller = {}
Teller.__index = Teller

local WIDTH = 20        -- of the bar
local DRAW_EVERY = 0.1  -- seconds

---@param opts { on_progress: function?, progress: boolean? }
---@param total integer?  documents
---@return moonpipe.IngestTeller
function ingest_progress.new(opts, total)
  return setmetatable({
    fn = opts.on_progress,
    file = opts.progress and terminal.redraws() and io.stderr or nil,
    total = total,
    begun = c.now(),
  }, Teller)
end

---@param counts table<string, integer>
---@return moonpipe.IngestProgress
function Teller:progress(counts)
  local out = { elapsed = c.now() - self.begun, total = self.total }
  for name, count in pairs(counts) do out[name] = count end
  out.rate = out.elapsed > 0 and out.documents / out.elapsed or 0
  if self.total and out.rate > 0 then
    out.eta = math.max(0, self.total - out.documents) / out.rate
  end
  return out
end

--- A number with its thousands apart.
---@param number number
---@return string
function ingest_progress.grouped(number)
  local text = ("%d"):format(number)
  return (text:reverse():gsub("(%d%d%d)", "%1,"):reverse():gsub("^,", ""))
end

local grouped = ingest_progress.grouped

--- The bar that shows a share, and a blank.
---@param share number  0 to 1
---@return string
function ingest_progress.bar(share)
  local filled = math.min(WIDTH, math.floor(share * WIDTH))
  local head = filled < WIDTH and ">" or ""
  return ("[%s%s%s] "):format(("="):rep(filled), head, (" "):rep(WIDTH - filled - #head))
end

--- The line that shows a progress.
---@param progress moonpipe.IngestProgress
---@return string
function ingest_progress.line(progress)
  local total, words = progress.total, {}
  local text = grouped(progress.documents)
  if total then
    local share = total > 0 and progress.documents / total or 1
    text = ("%s%s of %s"):format(ingest_progress.bar(share), text, grouped(total))
  end
  words[1] = ("%s documents, %s/s"):format(text, grouped(progress.rate))
  if progress.eta then words[1] = ("%s, %s s left"):format(words[1], grouped(progress.eta)) end
  for _, name in ipairs { "added", "updated", "skipped", "deleted", "failed" } do
    if progress[name] > 0 then words[#words + 1] = grouped(progress[name]) .. " " .. name end
  end
  return words[1] .. (words[2] and "; " .. table.concat(words, ", ", 2) or "")
end

local function draw(self, progress, ending)
  self.file:write("\r", ingest_progress.line(progress), "\27[K", ending)
  self.file:flush()
end

--- Tells of what has been done.
---@param counts table<string, integer>
function Teller:tell(counts)
  if not self.fn and not self.file then return end
  local progress = self:progress(counts)
  local now = c.now()
  if self.file and now - (self.drawn or 0) >= DRAW_EVERY then
    self.drawn = now
    draw(self, progress, "")
  end
  if self.fn then self.fn(progress) end
end

--- Ends the line.
---@param counts table<string, integer>
function Teller:finish(counts)
  if self.file then draw(self, self:progress(counts), "\n") end
end

return ingest_progress
