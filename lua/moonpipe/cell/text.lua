--- The string library of a locked-in VM: what takes long can be stopped.
--
-- Patterns are matched by a matcher of ours (pattern.h). The loops around it are Lua, so that the
-- hook is heard in them, and a function that gsub calls may wait.
local c = require "moonpipe.c"

local pattern_find, plain_find, is_plain = c.pattern_find, c.plain_find, c.pattern_is_plain
local sub, rep = string.sub, string.rep
local concat = table.concat
local BLOCK_MAX = c.block_max()
local ANCHOR = ("^"):byte()

local function check_text(text, at, name)
  local kind = type(text)
  if kind == "number" then return tostring(text) end
  if kind == "string" then return text end
  error(("bad argument #%d to '%s' (string expected, got %s)"):format(at, name,
    text == nil and "no value" or kind), 3)
end

function string.find(text, pattern, init, plain)
  text, pattern = check_text(text, 1, "find"), check_text(pattern, 2, "find")
  if plain or is_plain(pattern) then return plain_find(text, pattern, init) end
  return pattern_find(text, pattern, init)
end

-- What a match gives: its captures, or all of it where there are none.
local function captured(text, first, last, ...)
  if not first then return nil end
  if select("#", ...) == 0 then return sub(text, first, last) end
  return ...
end

function string.match(text, pattern, init)
  text, pattern = check_text(text, 1, "match"), check_text(pattern, 2, "match")
  return captured(text, pattern_find(text, pattern, init))
end

function string.gmatch(text, pattern)
  text, pattern = check_text(text, 1, "gmatch"), check_text(pattern, 2, "gmatch")
  local at = 1
  local function passed(first, last, ...)
    at = not first and #text + 2 or last < first and last + 2 or last + 1
    return captured(text, first, last, ...)
  end
  return function()
    if at > #text + 1 then return nil end
    return passed(pattern_find(text, pattern, at, true))
  end
end

-- ---- gsub ---------------------------------------------------------------------

local function capture_of(found, digit, text)
  if digit == "0" or digit == "1" and found.n == 2 then return sub(text, found[1], found[2]) end
  local value = found[2 + tonumber(digit)]
  if value == nil then error("invalid capture index", 0) end
  return tostring(value)
end

-- A replacement text with its `%1`.
local function fill(template, found, text)
  local pieces, at = {}, 1
  while true do
    local sign = plain_find(template, "%", at)
    pieces[#pieces + 1] = sub(template, at, (sign or 0) - 1)
    if not sign then return concat(pieces) end
    local letter = sub(template, sign + 1, sign + 1)
    pieces[#pieces + 1] = letter:byte() and letter >= "0" and letter <= "9"
      and capture_of(found, letter, text) or letter
    at = sign + 2
  end
end

-- What a table or a function gives for a match.
local function looked_up(replacement, found, text)
  local key = found.n == 2 and sub(text, found[1], found[2]) or found[3]
  if type(replacement) == "table" then return replacement[key] end
  if found.n == 2 then return (replacement(key)) end
  return (replacement(unpack(found, 3, found.n)))
end

local function replaced(replacement, found, text)
  if type(replacement) == "string" then return fill(replacement, found, text) end
  local value = looked_up(replacement, found, text)
  if not value then return sub(text, found[1], found[2]) end
  if type(value) == "string" or type(value) == "number" then return value end
  error(("invalid replacement value (a %s)"):format(type(value)), 0)
end

local function pack(...)
  return { n = select("#", ...), ... }
end

local REPLACEMENTS = { string = true, table = true, ["function"] = true }

local function check_replacement(value)
  if type(value) == "number" then return tostring(value) end
  if REPLACEMENTS[type(value)] then return value end
  error(("bad argument #3 to 'gsub' (string/function/table expected, got %s)"):format(
    value == nil and "no value" or type(value)), 3)
end

function string.gsub(text, pattern, replacement, max)
  text, pattern = check_text(text, 1, "gsub"), check_text(pattern, 2, "gsub")
  replacement, max = check_replacement(replacement), tonumber(max) or #text + 1
  local out, count, at = {}, 0, 1
  while count < max and at <= #text + 1 do
    local found = pack(pattern_find(text, pattern, at))
    local first, last = found[1], found[2]
    if not first then break end
    count = count + 1
    out[#out + 1] = sub(text, at, first - 1)
    out[#out + 1] = replaced(replacement, found, text)
    at = last + 1
    if last < first then -- an empty match: the byte there stays
      out[#out + 1] = sub(text, first, first)
      at = first + 1
    end
    if pattern:byte() == ANCHOR then break end
  end
  out[#out + 1] = sub(text, at)
  return concat(out), count
end

-- ---- length -------------------------------------------------------------------

---As LuaJIT's, which repeats nothing two thousand million times if asked to.
function string.rep(text, count, between)
  text, count = check_text(text, 1, "rep"), tonumber(count) or 0
  between = between and check_text(between, 3, "rep") or ""
  local length = (#text + #between) * count
  if length ~= length or length <= 0 then return "" end
  if length > BLOCK_MAX then error("not enough memory", 0) end
  return rep(text, count, between)
end
