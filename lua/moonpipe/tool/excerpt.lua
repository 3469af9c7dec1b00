--- A line of a source with a mark under a part of it, for a terminal.
--
-- Columns count in bytes from 1, as the translator counts them; here they become cells of the
-- screen: a tab is four, a wide character two, a combining one none. What a terminal would obey is
-- shown as U+FFFD, keys are masked, and of a long line only what is around the mark is shown.
local redact = require "moonpipe.redact"

local excerpt = {}

local CELLS = 100       -- of a line at most
local BEFORE = 40       -- of these before the mark
local MARGIN = 4096     -- bytes read on both sides of the mark: more than any key is long
local ODD = "\239\191\189"

-- ---- characters ------------------------------------------------------------------------------

-- First code point, last one, cells; the rest has one. After Unicode's East Asian Width.
local WIDTHS = {
  { 0x0300, 0x036F, 0 }, { 0x1100, 0x115F, 2 }, { 0x200B, 0x200F, 0 }, { 0x20D0, 0x20FF, 0 },
  { 0x2E80, 0x303E, 2 }, { 0x3041, 0xA4CF, 2 }, { 0xAC00, 0xD7A3, 2 }, { 0xF900, 0xFAFF, 2 },
  { 0xFE00, 0xFE0F, 0 }, { 0xFE20, 0xFE2F, 0 }, { 0xFE30, 0xFE6F, 2 }, { 0xFEFF, 0xFEFF, 0 },
  { 0xFF00, 0xFF60, 2 }, { 0xFFE0, 0xFFE6, 2 }, { 0x1F300, 0x1F64F, 2 }, { 0x1F680, 0x1F6FF, 2 },
  { 0x1F900, 0x1F9FF, 2 }, { 0x20000, 0x3FFFD, 2 },
}

local function width_of(code)
  for _, range in ipairs(WIDTHS) do
    if code < range[1] then return 1 end
    if code <= range[2] then return range[3] end
  end
  return 1
end

-- The character at byte [at] as the screen gets it, its cells, and where the next one begins.
local function character(line, at)
  local byte = line:byte(at)
  if byte == 9 then return "    ", 4, at + 1 end
  if byte < 32 or byte == 127 then return ODD, 1, at + 1 end
  if byte < 128 then return string.char(byte), 1, at + 1 end
  local text = line:match("^[\194-\244][\128-\191]+", at)
  local length = byte >= 240 and 4 or byte >= 224 and 3 or 2
  if not text or #text < length then return ODD, 1, at + 1 end
  local code = byte % 2 ^ (7 - length)
  for i = 2, length do code = code * 64 + text:byte(i) % 64 end
  if code < 160 then return ODD, 1, at + length end -- U+0080 to U+009F are controls
  return text:sub(1, length), width_of(code), at + length
end

-- { text, width, first, last } of each character; first and last are its bytes.
local function cells_of(line)
  local cells, at = {}, 1
  while at <= #line do
    local text, width, after = character(line, at)
    cells[#cells + 1] = { text = text, width = width, first = at, last = after - 1 }
    at = after
  end
  return cells
end

-- ---- lines ------------------------------------------------------------------------------------

---The line of that number, as LuaJIT counts: `\n`, `\r`, `\r\n` and `\n\r` end one each.
---@param text string
---@param number integer
---@return string?
function excerpt.line(text, number)
  local at = 1
  for _ = 2, number do
    local stop = text:find("[\r\n]", at)
    if not stop then return nil end
    local pair = text:sub(stop, stop + 1)
    at = stop + ((pair == "\r\n" or pair == "\n\r") and 2 or 1)
  end
  return text:match("^[^\r\n]*", at)
end

-- What is read of a long line, and where the mark is in that.
local function near(line, from, to)
  local low = math.max(1, from - MARGIN)
  while low > 1 and low < from and line:find("^[\128-\191]", low) do low = low + 1 end
  local high = math.min(#line, math.max(from, math.min(to, from + CELLS * 4)) + MARGIN)
  return line:sub(low, high), from - low + 1, to - low + 1, low > 1, high < #line
end

-- Without keys. Where one reaches over an end of the mark, there is no mark any more.
local function masked(line, from, to)
  local whole = redact.text(line)
  if whole == line then return line, from, to end
  local before, marked = redact.text(line:sub(1, from - 1)), redact.text(line:sub(from, to))
  if before .. marked .. redact.text(line:sub(to + 1)) ~= whole then return whole end
  return whole, #before + 1, #before + #marked
end

-- The characters from the first to the last that are shown, around the one at [mark].
local function window(cells, mark)
  local first, room = mark, BEFORE
  while first > 1 and room >= cells[first - 1].width do
    first, room = first - 1, room - cells[first - 1].width
  end
  local last = first - 1
  room = CELLS
  while cells[last + 1] and room >= cells[last + 1].width do
    last, room = last + 1, room - cells[last + 1].width
  end
  while first > 1 and room >= cells[first - 1].width do -- the end is near
    first, room = first - 1, room - cells[first - 1].width
  end
  return first, last
end

local function index_at(cells, byte)
  for i, cell in ipairs(cells) do
    if cell.last >= byte then return i end
  end
  return math.max(1, #cells)
end

-- ---- the picture ------------------------------------------------------------------------------

local function carets(cells, first, last, from, to, is_cut)
  local pad, width = is_cut and 1 or 0, 0
  for i = first, last do
    local cell = cells[i]
    if cell.last < from then
      pad = pad + cell.width
    elseif cell.first <= to then
      width = width + cell.width
    end
  end
  return (" "):rep(pad) .. ("^"):rep(math.max(1, width))
end

---The line with its number, and below it the mark. Without [from] there is no mark.
---@param line string
---@param number integer
---@param from integer?  first byte that is marked
---@param to integer?    last one
---@param paint fun(style: string, text: string): string
---@return string
function excerpt.draw(line, number, from, to, paint)
  local shown, start, stop, cut_before, cut_after = near(line, from or 1, to or 1)
  shown, start, stop = masked(shown, start, stop)
  local cells = cells_of(shown)
  local first, last = window(cells, index_at(cells, start or 1))
  cut_before, cut_after = cut_before or first > 1, cut_after or last < #cells
  local texts = {}
  for i = first, last do texts[#texts + 1] = cells[i].text end
  local gutter = ("%5d | "):format(number)
  local out = paint("faint", gutter) .. (cut_before and "…" or "") .. table.concat(texts)
    .. (cut_after and "…" or "")
  out = out:gsub("%s+$", "")
  if not from or not start then return out end
  return out .. "\n" .. paint("faint", (" "):rep(#gutter - 2) .. "| ")
    .. paint("red", carets(cells, first, last, start, stop, cut_before))
end

return excerpt
