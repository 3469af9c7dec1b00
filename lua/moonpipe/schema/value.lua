--- What a Lua value is in the eyes of a schema.
local chunk = require "moonpipe.chunk"
local json = require "moonpipe.json"

local value = {}

local NULL = json.null
local EXACT = 2 ^ 53
local MAX_SHOWN = 40 -- bytes of a text in a message

---The JSON type of a value: "null", "boolean", "number", "string", "array", "object"; "empty" for
---an empty table that may be either; else what Lua calls it. From JSON ([exact]) an empty table
---that is not marked is an object.
---@param v any
---@param exact boolean?
---@return string
function value.kind(v, exact)
  local kind = type(v)
  if v == NULL then return "null" end
  if kind == "number" and v ~= v then return "nan" end
  if kind ~= "table" then return kind end
  if json.is_array(v) then return "array" end
  if next(v) == nil then return exact and "object" or "empty" end
  return chunk.is_list(v) and "array" or "object"
end

-- Integers beyond 2^53 are read as texts of their digits.
local function is_large(v)
  return type(v) == "string" and v:find("^-?%d+$") ~= nil and math.abs(tonumber(v)) >= EXACT
end

---@param v any
---@param kind string  its kind
---@param name string  a type of JSON Schema
---@return boolean
function value.is(v, kind, name)
  if name == "integer" then
    return kind == "number" and v == math.floor(v) and math.abs(v) < math.huge or is_large(v)
  elseif name == "number" then
    return kind == "number" or is_large(v)
  elseif kind == "empty" then
    return name == "array" or name == "object"
  end
  return kind == name
end

---How many characters a text has.
---@param text string
---@return integer
function value.length(text)
  if not text:find("[\128-\255]") then return #text end
  local _, count = text:gsub("[^\128-\191]", "")
  return count
end

local same

local function same_members(a, b, exact)
  for key, member in pairs(a) do
    if b[key] == nil or not same(member, b[key], exact) then return false end
  end
  for key in pairs(b) do
    if a[key] == nil then return false end
  end
  return true
end

function same(a, b, exact)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  local of_a, of_b = value.kind(a, exact), value.kind(b)
  if of_a == "empty" or of_b == "empty" then return next(a) == nil and next(b) == nil end
  return of_a == of_b and same_members(a, b, exact)
end

---True where two values are the same JSON.
---@param a any             the value; [exact] as for kind
---@param b any             of the schema
---@param exact boolean?
---@return boolean
function value.same(a, b, exact)
  return same(a, b, exact)
end

local function shown_text(text)
  if #text <= MAX_SHOWN then return json.encode(text) end
  local cut = MAX_SHOWN
  while cut > 0 and text:byte(cut + 1) >= 0x80 and text:byte(cut + 1) < 0xC0 do cut = cut - 1 end
  return (json.encode(text:sub(1, cut)):sub(1, -2)) .. '…"'
end

---A value in a message: `string "x"`, `number 5`, `array of 3`.
---@param v any
---@return string
function value.describe(v)
  local kind = value.kind(v)
  if kind == "string" then return "string " .. shown_text(v) end
  if kind == "number" or kind == "boolean" then return kind .. " " .. tostring(v) end
  if kind == "array" then return "array of " .. #v end
  if kind == "empty" then return "empty object" end
  return kind
end

---A value of an enum or a const, as JSON.
---@param v any
---@return string
function value.constant(v)
  local ok, text = pcall(json.encode, v)
  return ok and text or value.describe(v)
end

return value
