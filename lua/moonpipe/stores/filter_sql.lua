--- Filters of documents as conditions on SQLite's JSON: what filter.lua's test takes, and no other.
--
-- Scalars are compared as JSON texts, of which our encoder has one for each value. What SQLite
-- would see otherwise than Lua is left to Lua: functions, no UTF-8, keys with quotes.
--
-- Limit: two numbers with fractions that differ in their last bit alone may be one to SQLite where
-- they are ordered ($gt $gte $lt $lte).
local json = require "moonpipe.json"

local filter_sql = {}

local MOST = 5000 -- values of a condition; SQLite takes 32,766
local WIDEST = 500 -- conditions that are joined: it takes expressions 1,000 deep
local EXACT = 2 ^ 53

-- Of a path, the JSON of a value. Raised where there is none: then Lua must look.
local untranslatable = {}

local function json_of(value)
  local ok, text = pcall(json.encode, value)
  if not ok or type(value) == "string" and json.decode(text) ~= value then
    error(untranslatable, 0)
  end
  return text
end

local function path_of(path)
  local out = { "$" }
  for i, key in ipairs(path) do
    if key:find("[%c\"\\]") then error(untranslatable, 0) end
    json_of(key)
    out[i + 1] = ('."%s"'):format(key)
  end
  return table.concat(out)
end

-- ---- conditions --------------------------------------------------------------------------------

-- One that is true or false and never NULL. `?P` stands for the path, `?` for the next value.
local function condition(out, path, text, ...)
  local values, at = { ... }, 0
  out[#out + 1] = (text:gsub("%?P?", function(mark)
    if mark ~= "?P" then at = at + 1 end
    out.values[#out.values + 1] = mark == "?P" and path or values[at]
    return "?"
  end))
end

local MISSING = "coalesce(json_type(metadata, ?P), 'null') = 'null'"

local LEAVES = {}

function LEAVES.eq(out, path, value)
  if value == json.null then return condition(out, path, MISSING) end
  if value == 0 then
    return condition(out, path, "coalesce((metadata -> ?P) IN ('0', '-0'), 0)")
  end
  condition(out, path, "(metadata -> ?P) IS ?", json_of(value))
end

function LEAVES.ne(out, path, value)
  out[#out + 1] = "NOT "
  LEAVES.eq(out, path, value)
end

LEAVES["in"] = function(out, path, list)
  if #list > MOST then error(untranslatable, 0) end
  local texts, has_null = {}, false
  for _, item in ipairs(list) do
    if item == json.null then
      has_null = true
    elseif item == 0 then
      texts[#texts + 1], texts[#texts + 2] = "0", "-0"
    else
      texts[#texts + 1] = json_of(item)
    end
  end
  if list[1] == nil then return condition(out, path, "0") end
  condition(out, path, "(coalesce((metadata -> ?P) IN (" .. ("?,"):rep(#texts):sub(1, -2)
    .. "), 0)", unpack(texts))
  condition(out, path, has_null and " OR " .. MISSING .. ")" or ")")
end

function LEAVES.nin(out, path, list)
  out[#out + 1] = "NOT "
  LEAVES["in"](out, path, list)
end

function LEAVES.exists(out, path, wanted)
  out[#out + 1] = wanted and "NOT " or ""
  condition(out, path, MISSING)
end

local function bound(out, path, value, sign, strict)
  if type(value) == "string" then
    json_of(value)
    return condition(out, path, "coalesce(json_type(metadata, ?P) = 'text' AND json_extract("
      .. "metadata, ?P) " .. sign .. " ?, 0)", value)
  end
  local same = strict and "AND (metadata -> ?P) <> ?" or "OR (metadata -> ?P) = ?"
  condition(out, path, "coalesce(json_type(metadata, ?P) IN ('integer', 'real') AND (json_extract("
    .. "metadata, ?P) " .. sign .. " ? " .. same .. "), 0)", value, json_of(value))
end

function LEAVES.gt(out, path, value) bound(out, path, value, ">", true) end

function LEAVES.gte(out, path, value) bound(out, path, value, ">=") end

function LEAVES.lt(out, path, value) bound(out, path, value, "<", true) end

function LEAVES.lte(out, path, value) bound(out, path, value, "<=") end

local MEMBER = "(coalesce(json_type(metadata, ?P), '') = 'array' AND EXISTS (SELECT 1 "
  .. "FROM json_each(metadata, ?P) AS each WHERE "

function LEAVES.contains(out, path, value)
  local kind = type(value)
  if kind == "string" then
    json_of(value)
    condition(out, path, "(coalesce(json_type(metadata, ?P) = 'text' AND instr(json_extract("
      .. "metadata, ?P), ?) > 0, 0) OR " .. MEMBER .. "each.type = 'text' AND each.atom = ?)))",
      value, value)
  elseif kind == "number" then
    if value ~= math.floor(value) or math.abs(value) > EXACT then error(untranslatable, 0) end
    condition(out, path, MEMBER .. "each.type IN ('integer', 'real') AND each.atom = ?))", value)
  else
    local name = value == json.null and "null" or tostring(value)
    condition(out, path, MEMBER .. "each.type = ?))", name)
  end
end

-- ---- the tree ----------------------------------------------------------------------------------

local translate

-- The nodes that can be translated; whether all could, each exactly.
local function translate_all(node, out, joint)
  local exact, count = true, 0
  if #node > WIDEST then return nil, false end
  out[#out + 1] = "("
  for _, child in ipairs(node) do
    local part, is_exact = translate(child)
    exact = exact and is_exact
    if part then
      count = count + 1
      out[#out + 1] = (count > 1 and joint or "") .. part.text
      for _, value in ipairs(part.values) do out.values[#out.values + 1] = value end
    elseif node.op == "or" then
      return nil, false
    end
  end
  if count == 0 then out[#out + 1] = node.op == "and" and "1" or "0" end
  out[#out + 1] = ")"
  return true, exact
end

local function translate_into(node, out)
  if node.op == "function" then return nil, false end
  if node.op == "and" then return translate_all(node, out, " AND ") end
  if node.op == "or" then return translate_all(node, out, " OR ") end
  if node.op == "not" then
    local part, exact = translate(node[1])
    if not part or not exact then return nil, false end
    out[#out + 1] = "NOT " .. part.text
    out.values = part.values
    return true, true
  end
  LEAVES[node.op](out, path_of(node.path), node.value)
  return true, true
end

--- The condition, on a column `metadata`, of a filter's tree; nil where there is none. Where it is
--- not exact it takes more documents than the filter.
---@param node moonpipe.FilterNode
---@return { text: string, values: any[] }? condition
---@return boolean exact
function translate(node)
  local out = { values = {} }
  local ok, part, exact = pcall(translate_into, node, out)
  if not ok then
    if part ~= untranslatable then error(part, 0) end
    return nil, false
  end
  if not part or #out.values > MOST then return nil, false end
  return { text = table.concat(out), values = out.values }, exact
end

filter_sql.translate = translate

return filter_sql
