--- Cuts text into what can be quoted by itself: sentences, list items, lines of code, table rows.
--
-- Markdown is understood as far as it helps: a heading belongs to what follows it, a fence holds
-- code, a paragraph goes on over the ends of lines.
local passages = {}

---@class moonpipe.Passage
---@field text string
---@field kind "prose"|"item"|"code"|"row"
---@field heading string?  the heading it stands under
---@field block integer    passages of one paragraph or list share it

-- A full stop behind these does not end a sentence.
local ABBREVIATION = {}
for word in ([[mr mrs ms dr prof sr jr st vs e.g i.e cf fig eq no vol pp p approx dept inc ltd co
  corp u.s u.k jan feb mar apr jun jul aug sep sept oct nov dec ca bzw z.b d.h]]):gmatch("%S+") do
  ABBREVIATION[word] = true
end

-- What may stand behind the mark that ends a sentence, and what may begin the next.
local CLOSING = "^[%]%)\"'\226\128\157\226\128\153]*"
local BEGINNING = "^%s+[%u%d\"'%(%[%*_`\128-\255]"

-- A single capital is an initial: "J. Smith"; a small number is that of an item.
local function ends_by_point(text, at)
  local word = text:sub(math.max(1, at - 12), at - 1):match("([^%s%(%[\"']+)$")
  if not word then
    return true
  end
  return not ABBREVIATION[word:lower()] and not word:find("^%u$") and not word:find("^%d%d?$")
end

-- The last byte of the sentence that begins at [from].
local function sentence_end(text, from)
  local at = from
  while true do
    local first, mark = text:find("[.!?]+", at)
    if not first then
      return #text
    end
    local _, close = text:find(CLOSING, mark + 1)
    local plain = mark > first or text:byte(mark) ~= 46
    if close == #text
      or text:find(BEGINNING, close + 1) and (plain or ends_by_point(text, mark)) then
      return close
    end
    at = close + 1
  end
end

-- Languages that write no blank between sentences.
local function mark_wide_stops(text)
  if not text:find("[\227\239]") then
    return text
  end
  return (text:gsub("\227\128\130", "%0 "):gsub("\239\188[\129\159]", "%0 "))
end

local function trim(text)
  return text:match("^%s*(.-)%s*$")
end

-- Splitting state: units so far, the open paragraph or item, the heading above.
local Splitter = {}
Splitter.__index = Splitter

local function add(self, text, kind)
  text = trim(text)
  if text ~= "" then
    self.units[#self.units + 1] = {
      text = text, kind = kind, heading = self.header or self.heading, block = self.block,
    }
  end
end

-- Longer ones are cut at their semicolons.
local LONG = 300

local function add_clauses(self, text, kind)
  if #text < LONG then
    return add(self, text, kind)
  end
  for clause in text:gsub(";%s", ";\n"):gmatch("[^\n]+") do
    add(self, clause, kind)
  end
end

local function add_sentences(self, text, kind)
  local from = 1
  while from <= #text do
    local last = sentence_end(text, from)
    add_clauses(self, text:sub(from, last), kind)
    from = last + 1
  end
end

-- Wide stops are sentence ends by their blank alone.
local function add_wide(self, text, kind)
  local marked = mark_wide_stops(text)
  if marked == text then
    return add_sentences(self, text, kind)
  end
  for part in marked:gsub("(\227\128\130) ", "%1\n"):gsub("(\239\188[\129\159]) ", "%1\n")
    :gmatch("[^\n]+") do
    add_sentences(self, part, kind)
  end
end

function Splitter:close()
  if self.open then
    add_wide(self, table.concat(self.open, " "), self.kind)
    self.open = nil
  end
end

function Splitter:begin(line, kind)
  self:close()
  self.open, self.kind = { line }, kind
end

-- Two short lines are two lines of a list without marks; long ones are one paragraph, wrapped. What
-- ends in a colon announces.
function Splitter:continues(line)
  local before = self.open and self.open[#self.open]
  if not before or before:find(":$") then
    return false
  end
  return self.kind == "item" or #before >= 45 or not line:find("^[%u%d\"']")
end

function Splitter:code(line)
  if line:find("^%s*```") or line:find("^%s*~~~") then
    self:close()
    self.fenced = not self.fenced
    self.block = self.block + 1
    return true
  elseif self.fenced then
    if line:find("%S") then
      self.units[#self.units + 1] = {
        text = line, kind = "code", heading = self.heading, block = self.block,
      }
    end
    return true
  end
  return false
end

-- The first row of a table heads the others once a line of dashes has followed it.
function Splitter:row(line)
  if not line:find("^%s*|.*|%s*$") then
    self.header = nil
    return false
  elseif line:find("[%w\128-\255]") then
    self:close()
    add(self, line, "row")
  elseif self.units[#self.units] and self.units[#self.units].kind == "row" then
    self.header = (self.heading or "") .. " " .. table.remove(self.units).text
  end
  return true
end

function Splitter:line(line)
  if self:code(line) or self:row(line) then
    return
  end
  local heading = line:match("^#+%s+(.-)%s*#*$")
  local item = line:match("^%s*[-*+]%s+(.*)$") or line:match("^%s*%d+[.)]%s+(.*)$")
  if heading or not line:find("%S") then
    self:close()
    self.block = self.block + 1
    self.heading = heading or self.heading
  elseif item then
    self:begin(item, "item")
  elseif self:continues(line) then
    self.open[#self.open + 1] = trim(line)
  else
    self:begin(trim(line), "prose")
  end
end

--- The passages of a text, in order.
---@param text string
---@return moonpipe.Passage[]
function passages.split(text)
  local splitter = setmetatable({ units = {}, block = 1 }, Splitter)
  for line in (text .. "\n"):gmatch("(.-)\r?\n") do
    splitter:line(line)
  end
  splitter:close()
  return splitter.units
end

return passages
