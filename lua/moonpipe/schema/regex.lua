--- Reads a regular expression as alternatives without groups, each a list of sets of
--- bytes with a count. See pattern.lua for what is refused.
local bit = require "bit"

local reading = {}

local MAX_ALTERNATIVES = 64

-- Bytes that stand for characters beyond ASCII; those of the expression from FIRST_OWN on.
local OTHER, SPACE, LINE_END = 255, 254, 253
local FIRST_OWN, LAST_OWN = 128, 252

-- ---- sets of bytes -----------------------------------------------------------------------

local function set_of(first, last, set)
  set = set or {}
  for byte = first, last or first do set[byte] = true end
  return set
end

local function union(a, b)
  local out = {}
  for byte = 0, 255 do out[byte] = a[byte] or b[byte] or nil end
  return out
end

---The bytes that are not in a set.
function reading.complement(set)
  local out = {}
  for byte = 0, 255 do out[byte] = not set[byte] or nil end
  return out
end

local complement = reading.complement

local DIGIT = set_of(48, 57)
local WORD = set_of(97, 122, set_of(65, 90, set_of(95, 95, set_of(48, 57))))
local BLANK = set_of(SPACE, SPACE, set_of(LINE_END, LINE_END, set_of(9, 13, set_of(32))))
local CLASSES = {
  d = DIGIT, D = complement(DIGIT), w = WORD, W = complement(WORD), s = BLANK,
  S = complement(BLANK),
}
local ANY = complement(set_of(LINE_END, LINE_END, set_of(10, 10, set_of(13))))

local CONTROLS = { t = 9, n = 10, v = 11, f = 12, r = 13, ["0"] = 0 }

-- ---- reading -----------------------------------------------------------------------------

---Says that the expression is not supported.
function reading.refuse(why)
  error({ why = why }, 0)
end

local refuse = reading.refuse

local function code_point(char)
  local first = char:byte()
  if first < 128 then return first end
  local value = bit.band(first, first < 224 and 31 or first < 240 and 15 or 7)
  for i = 2, #char do value = value * 64 + bit.band(char:byte(i), 63) end
  return value
end

-- Characters beyond ASCII that \s takes, and those of them that end a line.
local function is_space(point)
  return point == 0xA0 or point == 0xFEFF or point == 0x1680 or point == 0x202F or point == 0x205F
    or point == 0x3000 or point >= 0x2000 and point <= 0x200A
end

-- The byte that stands for a character of the expression.
local function own_byte(reader, char)
  if #char == 1 then return char:byte() end
  local byte = reader.own[char]
  if byte then return byte end
  local point = code_point(char)
  if is_space(point) or point == 0x2028 or point == 0x2029 then
    refuse("it names a space beyond ASCII")
  end
  byte = reader.next_own
  if byte > LAST_OWN then refuse("it names too many characters beyond ASCII") end
  reader.own[char], reader.next_own = byte, byte + 1
  return byte
end

local CHARACTER = "^[%z\1-\127\194-\244][\128-\191]*"

local function next_char(reader)
  local char = reader.text:match(CHARACTER, reader.at)
  if not char then refuse("it ends too early") end
  reader.at = reader.at + #char
  return char
end

local function peek(reader, text)
  return reader.text:sub(reader.at, reader.at + #text - 1) == text
end

local function take(reader, text)
  if not peek(reader, text) then return false end
  reader.at = reader.at + #text
  return true
end

-- Behind a backslash: the set, or a single byte.
local function read_escape(reader, in_class)
  local char = next_char(reader)
  if CLASSES[char] then return CLASSES[char] end
  if char == "b" and in_class then return set_of(8), 8 end
  local digits = char == "x" and reader.text:match("^%x%x", reader.at)
    or char == "u" and reader.text:match("^%x%x%x%x", reader.at)
  local byte = CONTROLS[char]
  if digits and tonumber(digits, 16) < 128 then
    byte = tonumber(digits, 16)
    reader.at = reader.at + #digits
  elseif not byte and char:find("^[%w]") then
    refuse("\\" .. char .. " is not supported")
  end
  byte = byte or own_byte(reader, char)
  return set_of(byte), byte
end

local function read_member(reader)
  local char = next_char(reader)
  if char == "\\" then return read_escape(reader, true) end
  local byte = own_byte(reader, char)
  return set_of(byte), byte
end

local function read_class(reader)
  local negated, set = take(reader, "^"), {}
  while not take(reader, "]") do
    local member, first = read_member(reader)
    if first and peek(reader, "-") and not peek(reader, "-]") then
      reader.at = reader.at + 1
      local _, last = read_member(reader)
      if not last or first > 127 or last > 127 or last < first then
        refuse("a range in it is not of ASCII characters")
      end
      member = set_of(first, last)
    end
    set = union(set, member)
  end
  if negated then return complement(set) end
  if not next(set) then refuse("a class in it is empty") end
  return set
end

-- How often what stands before may come: min, max (nil: any number).
local function read_count(reader)
  local min, max = 1, 1
  if take(reader, "*") then
    min, max = 0, nil
  elseif take(reader, "+") then
    max = nil
  elseif take(reader, "?") then
    min = 0
  else
    local low, comma, high, stop = reader.text:match("^{(%d+)(,?)(%d*)}()", reader.at)
    if not low then return 1, 1 end
    reader.at, min = stop, tonumber(low)
    max = comma == "" and min or tonumber(high)
  end
  take(reader, "?") -- lazy or not is the same where only a match is asked for
  if peek(reader, "+") or peek(reader, "*") then refuse("a count follows a count") end
  return min, max
end

-- ---- alternatives ------------------------------------------------------------------------

-- An alternative is a list of { set, min, max }; anchors are { anchor = "^" }.

local function joined(a, b)
  local out = {}
  for _, one in ipairs(a) do
    for _, other in ipairs(b) do
      local list = { unpack(one) }
      for _, element in ipairs(other) do list[#list + 1] = element end
      out[#out + 1] = list
    end
  end
  if #out > MAX_ALTERNATIVES then refuse("it has too many alternatives") end
  return out
end

local read_alternatives

local function read_group(reader)
  if take(reader, "?") and not take(reader, ":") then
    refuse("groups that begin with (? are not supported")
  end
  local group = read_alternatives(reader)
  if not take(reader, ")") then refuse("a group has no end") end
  local min, max = read_count(reader)
  if not max or max > 8 then refuse("a group in it is repeated") end
  local out, power = {}, { {} }
  for count = 0, max do
    if count >= min then
      for _, one in ipairs(power) do out[#out + 1] = one end
    end
    if count < max then power = joined(power, group) end
  end
  if #out > MAX_ALTERNATIVES then refuse("it has too many alternatives") end
  return out
end

local function read_item(reader)
  local char = next_char(reader)
  if char == "(" then return read_group(reader) end
  if char == "^" or char == "$" then return { { { anchor = char } } } end
  local set
  if char == "." then
    set = ANY
  elseif char == "[" then
    set = read_class(reader)
  elseif char == "\\" then
    set = read_escape(reader)
  elseif char:find("^[*+?{}%]]") then
    refuse("'" .. char .. "' has nothing to count")
  else
    set = set_of(own_byte(reader, char))
  end
  local min, max = read_count(reader)
  return { { { set = set, min = min, max = max } } }
end

function read_alternatives(reader)
  local out, current = {}, { {} }
  while reader.at <= #reader.text and not peek(reader, ")") do
    if take(reader, string.char(124)) then
      for _, one in ipairs(current) do out[#out + 1] = one end
      current = { {} }
    else
      current = joined(current, read_item(reader))
    end
  end
  for _, one in ipairs(current) do out[#out + 1] = one end
  return out
end

-- ---- all ---------------------------------------------------------------------------------

---The alternatives of an expression, each a list of { set, min, max } and { anchor }; and the bytes
---of the characters beyond ASCII that it names. Raises { why = } where it is not supported.
---@param text string
---@return table[][] alternatives
---@return table<string, integer> own
function reading.alternatives(text)
  local reader = { text = text, at = 1, own = {}, next_own = FIRST_OWN }
  local alternatives = read_alternatives(reader)
  if reader.at <= #text then refuse("a group has no beginning") end
  return alternatives, reader.own
end

---The text with one byte for each character: those that the expression names have their own.
---@param text string
---@param own table<string, integer>
---@return string
function reading.mapped(text, own)
  if not text:find("[\128-\255]") then return text end
  return (text:gsub("[\194-\244][\128-\191]*", function(char)
    local byte = own[char]
    if byte then return string.char(byte) end
    local point = code_point(char)
    if point == 0x2028 or point == 0x2029 then return string.char(LINE_END) end
    return string.char(is_space(point) and SPACE or OTHER)
  end))
end

return reading
