--- Regular expressions of JSON Schema as Lua patterns, where that is exact.
--
-- The expression is made into alternatives without groups, each a list of sets of
-- bytes with a count; each of these is one Lua pattern. A text is matched with its
-- characters beyond ASCII mapped to one byte each, so that `.` and `[^a]` take
-- characters. What cannot be said so (look-around, \b, \p, references, a repeated
-- group, most counts {2,5} that something overlapping follows) is refused with the
-- reason: the keyword is then not checked, and schema.unchecked says so.
local regex = require "moonpipe.schema.regex"

local pattern = {}

local MAX_COPIES = 256
local MAX_CHOICES = 16 -- places where a Lua pattern may go back, of each kind

local complement, refuse = regex.complement, regex.refuse

local function byte_text(byte)
  if byte == 0 then return "%z" end
  local char = string.char(byte)
  return char:find("%p") and "%" .. char or char
end

-- The Lua pattern of a set.
local function class_text(set)
  local out = {}
  for byte = 0, 255 do out[#out + 1] = set[byte] and byte_text(byte) or nil end
  if #out == 1 then return out[1] end
  if #out == 0 then return "" end
  if #out > 128 then
    local rest = class_text(complement(set))
    if rest == "" then return "." end
    return "[^" .. (rest:match("^%[(.*)%]$") or rest) .. "]"
  end
  return "[" .. table.concat(out) .. "]"
end

local function overlap(a, b)
  for byte = 0, 255 do
    if a[byte] and b[byte] then return true end
  end
  return false
end

-- ---- Lua patterns ------------------------------------------------------------------------

-- Splits off the anchors; one in the middle is refused.
local function anchored(list)
  local elements, head, tail = {}, false, false
  for _, element in ipairs(list) do
    if element.anchor == "^" then
      if elements[1] then refuse("^ stands in the middle") end
      head = true
    elseif element.anchor then
      tail = true
    elseif tail then
      refuse("$ stands in the middle")
    else
      elements[#elements + 1] = element
    end
  end
  return elements, head, tail
end

-- Whether each element ends where the next begins, so that there is one way to match.
local function is_determined(elements, head, tail)
  if not head or not tail then return false end
  for i, element in ipairs(elements) do
    local rest = i + 1
    while element.min ~= element.max and elements[rest] do
      if overlap(element.set, elements[rest].set) then return false end
      if elements[rest].min > 0 then break end
      rest = rest + 1
    end
  end
  return true
end

-- The pattern of an element; a bound that Lua has no sign for goes to [limits].
local function count_text(element, limits, out)
  local text = class_text(element.set)
  local min, max = element.min, element.max
  if min > MAX_COPIES then refuse("a count in it is too large") end
  out[#out + 1] = text:rep(min)
  if max == min then return end
  if not max then
    out[#out + 1] = text .. "*"
  elseif max == min + 1 then
    out[#out + 1] = text .. "?"
  else
    out[#out + 1] = "()" .. text .. "*()"
    limits[#limits + 1] = max - min
  end
end

local function check_choices(elements)
  local choices = 0
  for _, element in ipairs(elements) do
    if element.min ~= element.max then choices = choices + 1 end
  end
  if choices > MAX_CHOICES then refuse("it leaves too much open") end
end

local function compile(list)
  local elements, head, tail = anchored(list)
  check_choices(elements)
  -- where nothing is asked behind it, the last need come only as often as it must
  local last = elements[#elements]
  if last and not tail then
    elements[#elements] = { set = last.set, min = last.min, max = last.min }
  end
  local out, limits = { head and "^" or "" }, {}
  for _, element in ipairs(elements) do count_text(element, limits, out) end
  if limits[1] and not is_determined(elements, head, tail) then
    refuse("a count in it overlaps with what stands beside it")
  end
  out[#out + 1] = tail and "$" or ""
  return { text = table.concat(out), limits = limits }
end

-- ---- matching ----------------------------------------------------------------------------

local function within(limits, first, ...)
  if first == nil then return false end
  local ends = { first, ... }
  for i, most in ipairs(limits) do
    if ends[2 * i] - ends[2 * i - 1] > most then return false end
  end
  return true
end

local function matcher_of(compiled, own)
  return function(text)
    text = regex.mapped(text, own)
    for _, one in ipairs(compiled) do
      local found
      if one.limits[1] then
        found = within(one.limits, text:match(one.text))
      else
        found = text:find(one.text) ~= nil
      end
      if found then return true end
    end
    return false
  end
end

local function translate(text)
  local alternatives, own = regex.alternatives(text)
  local compiled = {}
  for i, list in ipairs(alternatives) do compiled[i] = compile(list) end
  return matcher_of(compiled, own)
end

local cache = {} -- of expressions that schemas in use hold
local cached, MAX_CACHED = 0, 200

---A function that says whether a text matches the expression; nil and why not, where
---it cannot be said by Lua patterns.
---@param text string
---@return (fun(text: string): boolean)?
---@return string? why
function pattern.matcher(text)
  local known = cache[text]
  if known then return known.fn, known.why end
  local ok, fn = pcall(translate, text)
  if not ok and (type(fn) ~= "table" or not fn.why) then error(fn, 0) end
  if cached >= MAX_CACHED then cache, cached = {}, 0 end
  cache[text], cached = ok and { fn = fn } or { why = fn.why }, cached + 1
  if ok then return fn end
  return nil, fn.why
end

return pattern
