--- Where splitters cut: parts of one text as pairs of numbers, their first and last byte.
--
-- Nothing here makes a new text, so every chunk is a part of its text, byte for byte, and where it
-- begins is known exactly, also for text that occurs twice.
local cut = {}

---@alias moonpipe.Span integer[]  first and last byte in the text, both in it

-- The next place at or behind [at] to cut: what is cut out, or where the next character begins.
local function find(part, at, separator)
  if separator ~= "" then return part:find(separator, at, true) end
  local start = part:find("[^\128-\191]", math.max(at, 2))
  return start, start and start - 1
end

---The parts of text[first..last] between a separator, "" for between characters. The separator
---goes to the part behind it ("start"), before it ("end"), or to none (false).
---@param text string
---@param first integer
---@param last integer
---@param separator string
---@param keep "start"|"end"|false
---@return moonpipe.Span[]
function cut.apart(text, first, last, separator, keep)
  local part = text:sub(first, last) -- a search in the text would go on behind it
  local spans, from, at, before = {}, 1, 1, first - 1
  while true do
    local start, stop = find(part, at, separator)
    if not start then break end
    local upto = keep == "end" and stop or start - 1
    if upto >= from then spans[#spans + 1] = { before + from, before + upto } end
    from = keep == "start" and start or stop + 1
    at = math.max(stop, start) + 1
  end
  if from <= #part then spans[#spans + 1] = { before + from, last } end
  return spans
end

---The words of text[first..last], each with the blanks before it.
---@return moonpipe.Span[]
function cut.words(text, first, last)
  local spans, from = {}, first
  while from <= last do
    local _, stop = text:find("^%s*%S+", from)
    if not stop or stop > last then stop = last end
    spans[#spans + 1] = { from, stop }
    from = stop + 1
  end
  return spans
end

-- The last of the spans from [from] to [limit] on, [step] by step, for which fits(i) is true; it is
-- true for [from]. Few questions: they may cost much.
local function reach(from, limit, step, fits)
  local at, stride, growing = from, 1, true
  while stride >= 1 do
    local next_one = at + step * stride
    if (limit - next_one) * step >= 0 and fits(next_one) then
      at = next_one
      if growing then stride = stride * 2 end
    else
      growing = false
    end
    if not growing then stride = math.floor(stride / 2) end
  end
  return at
end

---Joins spans that follow one another to chunks of at most [size]; each but the first begins with
---as many of the last spans of the one before as [overlap] holds and the size allows. A span that
---is too long is a chunk of its own.
---@param spans moonpipe.Span[]
---@param size number
---@param overlap number
---@param measure fun(first: integer, last: integer): number  grows with the span
---@return moonpipe.Span[]
function cut.join(spans, size, overlap, measure)
  local chunks, first = {}, 1
  while first <= #spans do
    local last = reach(first, #spans, 1, function(i)
      return measure(spans[first][1], spans[i][2]) <= size
    end)
    chunks[#chunks + 1] = { spans[first][1], spans[last][2] }
    local next_one, before = last + 1, first + 1
    if next_one > #spans then break end
    first = reach(next_one, before, -1, function(i)
      return measure(spans[i][1], spans[next_one][1] - 1) <= overlap
        and measure(spans[i][1], spans[next_one][2]) <= size
    end)
  end
  return chunks
end

---A span without the blanks at its ends; nil if nothing is left.
---@param text string
---@param first integer
---@param last integer
---@return integer? first
---@return integer? last
function cut.strip(text, first, last)
  local part = text:sub(first, last)
  local start = part:find("%S")
  if not start then return nil end
  return first + start - 1, first + part:match("^.*%S()") - 2
end

return cut
