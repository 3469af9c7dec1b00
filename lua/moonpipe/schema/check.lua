--- Whether a schema is one: mistakes in it are the programmer's, and raise with their place.
local errors = require "moonpipe.error"
local format = require "moonpipe.schema.format"
local json = require "moonpipe.json"
local pattern = require "moonpipe.schema.pattern"
local traversal = require "moonpipe.traversal"

local check = {}

local TYPES = { "array", "boolean", "integer", "null", "number", "object", "string" }
local IS_TYPE = {}
for _, name in ipairs(TYPES) do IS_TYPE[name] = true end

-- Keywords that say something of values, and are not looked at.
local UNCHECKED = {
  "$anchor", "$dynamicAnchor", "$dynamicRef", "contentEncoding", "contentMediaType",
  "contentSchema", "unevaluatedItems", "unevaluatedProperties",
}

check.TYPES = TYPES

---The path with a member behind it: `$.a`, `$["a b"]`, `$[2]`.
---@param path string
---@param key string|integer
---@return string
function check.member(path, key)
  if type(key) == "number" then return ("%s[%d]"):format(path, key) end
  if key:find("^[%a_][%w_]*$") then return path .. "." .. key end
  return ("%s[%s]"):format(path, json.encode(key))
end

local member = check.member

---fn(schema, path) of each schema of a table by names.
---@param fn fun(schema: any, path: string): any
---@param map table<string, any>
---@param path string
---@return table<string, any>
function check.map(fn, map, path)
  local out = {}
  for name, one in pairs(map) do out[name] = fn(one, member(path, name)) end
  return out
end

---The same of a list.
---@param fn fun(schema: any, path: string): any
---@param list any[]
---@param path string
---@return any[]
function check.list(fn, list, path)
  local out = json.array {}
  for i = 1, #list do out[i] = fn(list[i], member(path, i)) end
  return out
end

local function refuse(path, what, value)
  errors.usage(("the schema is malformed: %s must be %s, got %s"):format(path, what,
    type(value) == "string" and json.encode(value) or errors.shape(value)))
end

local function is_list(value)
  return type(value) == "table" and (json.is_array(value) or next(value) == nil
    or #value > 0 and next(value, #value) == nil)
end

-- Mistakes are told in one order, always.
-- ---- keywords ----------------------------------------------------------------------------

local look -- at a schema: look(state, schema, path)

local function schema(state, value, path)
  look(state, value, path)
end

local function schema_map(state, value, path)
  if type(value) ~= "table" or value[1] ~= nil then refuse(path, "a table of schemas", value) end
  for _, key in ipairs(traversal.keys(value)) do
    if type(key) ~= "string" then refuse(path, "a table of schemas by name", value) end
    look(state, value[key], member(path, key))
  end
end

local function schema_list(state, value, path)
  if not is_list(value) or #value == 0 then refuse(path, "a list of schemas", value) end
  for i = 1, #value do look(state, value[i], member(path, i)) end
end

local function strings(_, value, path)
  if not is_list(value) then refuse(path, "a list of names", value) end
  for i = 1, #value do
    if type(value[i]) ~= "string" then refuse(member(path, i), "a name", value[i]) end
  end
  -- so that it is a list in JSON too
  if next(value) == nil and getmetatable(value) == nil then json.array(value) end
end

local function type_word(_, value, path)
  local list = type(value) == "string" and { value } or value
  if type(list) ~= "table" or #list == 0 then refuse(path, "the name of a type", value) end
  for i = 1, #list do
    if not IS_TYPE[list[i]] then
      refuse(path, ("one of %s%s"):format(table.concat(TYPES, ", "),
        errors.hint(list[i], TYPES)), list[i])
    end
  end
end

local function number(_, value, path)
  if type(value) ~= "number" or value ~= value then refuse(path, "a number", value) end
end

local function positive(state, value, path)
  number(state, value, path)
  if value <= 0 then refuse(path, "more than 0", value) end
end

local function count(_, value, path)
  if type(value) ~= "number" or value < 0 or value ~= math.floor(value) then
    refuse(path, "a whole number from 0", value)
  end
end

local function boolean(_, value, path)
  if type(value) ~= "boolean" then refuse(path, "true or false", value) end
end

local function text(_, value, path)
  if type(value) ~= "string" then refuse(path, "a text", value) end
end

local function note(state, path, why)
  state.unchecked[#state.unchecked + 1] = { path = path, why = why }
end

local function expression(state, value, path)
  text(state, value, path)
  local _, why = pattern.matcher(value)
  if why then note(state, path, ("the pattern %s is not checked: %s"):format(value, why)) end
end

local function expressions(state, value, path)
  schema_map(state, value, path)
  for _, key in ipairs(traversal.keys(value)) do expression(state, key, member(path, key)) end
end

local function format_word(state, value, path)
  text(state, value, path)
  if not format.CHECKS[value] then
    note(state, path, ("the format %s is not checked"):format(value))
  end
end

local function values(_, value, path)
  if not is_list(value) or #value == 0 then refuse(path, "a list of values", value) end
end

local function name_lists(state, value, path)
  if type(value) ~= "table" then refuse(path, "a table of lists of names", value) end
  for _, key in ipairs(traversal.keys(value)) do strings(state, value[key], member(path, key)) end
end

local function items(state, value, path)
  if is_list(value) and #value > 0 then
    refuse(path, "a schema (a list of them is prefixItems)", value)
  end
  look(state, value, path)
end

local function reference(state, value, path)
  text(state, value, path)
  local _, problem = check.resolve(state.root, value)
  if problem then
    errors.usage(("the schema is malformed: %s: %s"):format(path, problem))
  end
end

local KEYWORDS = {
  ["$ref"] = reference, ["$defs"] = schema_map, definitions = schema_map, type = type_word,
  properties = schema_map, patternProperties = expressions, additionalProperties = schema,
  propertyNames = schema, required = strings, dependentRequired = name_lists,
  dependentSchemas = schema_map, minProperties = count, maxProperties = count, items = items,
  prefixItems = schema_list, contains = schema, minContains = count, maxContains = count,
  minItems = count, maxItems = count, uniqueItems = boolean, enum = values, anyOf = schema_list,
  oneOf = schema_list, allOf = schema_list, ["not"] = schema, ["if"] = schema, ["then"] = schema,
  ["else"] = schema, minimum = number, maximum = number, exclusiveMinimum = number,
  exclusiveMaximum = number, multipleOf = positive, minLength = count, maxLength = count,
  pattern = expression, format = format_word,
}

local ORDER = traversal.keys(KEYWORDS)

function look(state, value, path)
  if type(value) == "boolean" or state.seen[value] then return end
  if type(value) ~= "table" or value[1] ~= nil then
    refuse(path, "a schema: a table, true or false", value)
  end
  state.seen[value] = true
  for _, key in ipairs(ORDER) do
    if value[key] ~= nil then KEYWORDS[key](state, value[key], member(path, key)) end
  end
  for _, key in ipairs(UNCHECKED) do
    if value[key] ~= nil then note(state, member(path, key), key .. " is not checked") end
  end
end

-- ---- references --------------------------------------------------------------------------

local function unescaped(token)
  token = token:gsub("%%(%x%x)", function(digits) return string.char(tonumber(digits, 16)) end)
  return (token:gsub("~1", "/"):gsub("~0", "~"))
end

local function step_into(place, token)
  if type(place) ~= "table" then return nil end
  local index = token:find("^%d+$") and tonumber(token) + 1
  return index and place[index] or place[token]
end

---The schema that a reference within [root] names; nil and why not.
---@param root table
---@param ref string
---@return table|boolean|nil
---@return string? problem
function check.resolve(root, ref)
  local place = root
  if ref ~= "#" and not ref:find("^#/") then
    return nil, ("%s is not followed; a reference begins with #/"):format(json.encode(ref))
  end
  for token in ref:gmatch("/([^/]*)") do
    place = step_into(place, unescaped(token))
    if place == nil then return nil, ("%s leads nowhere"):format(json.encode(ref)) end
  end
  if type(place) ~= "table" and type(place) ~= "boolean" then
    return nil, ("%s leads to no schema"):format(json.encode(ref))
  end
  return place
end

-- ---- schemas -----------------------------------------------------------------------------

---Whether a schema has a word of JSON Schema, or says nothing at all: a table of properties alone
---is what people write by mistake.
---@param value table
---@return boolean
function check.says_something(value)
  for _, word in ipairs(ORDER) do
    if value[word] ~= nil then return true end
  end
  return value.const ~= nil or next(value) == nil
end

-- A schema that was looked at is not looked at again; it is not to be changed.
local known = setmetatable({}, { __mode = "k" })

---Raises a usage error with the place of the mistake where [value] is no schema; gives what of it
---is not checked.
---@param value table|boolean
---@return { path: string, why: string }[]
function check.schema(value)
  if known[value] then return known[value] end
  local state = { root = value, seen = {}, unchecked = {} }
  look(state, value, "$")
  table.sort(state.unchecked, function(a, b) return a.path < b.path end)
  if type(value) == "table" then known[value] = state.unchecked end
  return state.unchecked
end

return check
