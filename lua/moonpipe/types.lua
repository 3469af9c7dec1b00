--- What a user says that a step takes and gives: `chain:with_types{ … }`.
--
-- A type is a list of keys `{ "question" }`, the name of a JSON type `"string"`, or
-- a JSON schema. It changes no value; compositions are held against it, and the
-- arguments of tools.
local errors = require "moonpipe.error"
local json = require "moonpipe.json"

local types = {}

local NAMES = {}
for name in ("array boolean integer null number object string"):gmatch "%a+" do
  NAMES[name] = true
end

local function schema_of_keys(keys)
  local properties, required = {}, {}
  for i, key in ipairs(keys) do
    if type(key) ~= "string" then
      errors.usage("a list of keys holds strings, got " .. errors.shape(key))
    end
    properties[key], required[i] = {}, key
  end
  table.sort(required)
  return { type = "object", properties = properties, required = required }
end

---The JSON schema of what may be written for a type.
---@param value string|string[]|table
---@param what string  for messages
---@return table
function types.schema(value, what)
  if type(value) == "string" and NAMES[value] then return { type = value } end
  if type(value) ~= "table" or getmetatable(value) ~= nil then
    local got = type(value) == "string" and ("%q"):format(value) or errors.shape(value)
    errors.usage(("%s takes a list of keys, the name of a JSON type or a JSON schema, got %s")
      :format(what, got))
  end
  if value[1] ~= nil then return schema_of_keys(value) end
  return value
end

local function sorted(names)
  table.sort(names)
  return names
end

---The keys of a table of this type; nil where it is none, or not known.
---@param schema table
---@return string[]?
function types.keys(schema)
  if type(schema.properties) ~= "table" then return nil end
  local names = {}
  for name in pairs(schema.properties) do names[#names + 1] = name end
  return sorted(names)
end

---What is wrong with a table of [keys] where [schema] is asked for.
---@param schema table
---@param keys string[]
---@return string? problem
function types.problem(schema, keys)
  local given, has = "{" .. table.concat(keys, ", ") .. "}", {}
  if schema.type and schema.type ~= "object" and keys[1] and not keys[1]:find("^%d+$") then
    return ("its input is declared as %s, the step before gives a table with keys %s"):format(
      schema.type, given)
  end
  for _, key in ipairs(keys) do has[key] = true end
  for _, key in ipairs(schema.required or {}) do
    if not has[key] then
      return ("its input is declared with '%s', the step before gives %s%s"):format(key, given,
        errors.hint(key, keys))
    end
  end
end

-- ---- values ------------------------------------------------------------------

local ARRAY = getmetatable(json.array({}))

local IS = {}

function IS.string(value)
  return type(value) == "string"
end

-- Whole numbers that no double holds come as digits: json.lua.
function IS.integer(value)
  if type(value) == "string" then return #value > 15 and value:find("^%-?%d+$") ~= nil end
  return type(value) == "number" and value == math.floor(value)
end

function IS.number(value)
  return type(value) == "number" or IS.integer(value)
end

function IS.boolean(value)
  return type(value) == "boolean"
end

IS["null"] = function(value)
  return value == json.null
end

function IS.array(value)
  if type(value) ~= "table" then return false end
  return getmetatable(value) == ARRAY or value[1] ~= nil or next(value) == nil
end

function IS.object(value)
  return type(value) == "table" and getmetatable(value) ~= ARRAY and value[1] == nil
end

local function list_of(value)
  return type(value) == "table" and value or { value }
end

local SHOWN = 40 -- bytes of a text

local function shown(value)
  if value == json.null then return "null" end
  if type(value) ~= "string" or #value > SHOWN then return errors.shape(value) end
  return ("%q"):format(value)
end

local function check_type(schema, value)
  if schema.type == nil then return nil end
  local names = list_of(schema.type)
  for _, name in ipairs(names) do
    if not IS[name] or IS[name](value) then return nil end
  end
  return ("must be of type %s, got %s"):format(table.concat(names, " or "),
    value == json.null and "null" or errors.shape(value))
end

local function check_enum(schema, value)
  if type(schema.enum) ~= "table" then return nil end
  local texts = {}
  for i, one in ipairs(schema.enum) do
    if one == value then return nil end
    texts[i] = shown(one)
  end
  return ("must be one of %s, got %s"):format(table.concat(texts, ", "), shown(value))
end

local mismatch

local function check_members(schema, value, path)
  local properties = schema.properties or {}
  for _, name in ipairs(schema.required or {}) do
    if value[name] == nil then return ("'%s' has no '%s'"):format(path, name) end
  end
  for name, field in pairs(value) do
    local one = properties[name]
    if one == nil and schema.additionalProperties == false then
      return ("'%s' has no place for '%s'"):format(path, errors.text(name))
    end
    local problem = one and mismatch(one, field, path .. "." .. name)
    if problem then return problem end
  end
end

function mismatch(schema, value, path)
  local problem = check_type(schema, value) or check_enum(schema, value)
  if problem then return ("'%s' %s"):format(path, problem) end
  if IS.object(value) then return check_members(schema, value, path) end
  if not IS.array(value) or type(schema.items) ~= "table" then return nil end
  for i, item in ipairs(value) do
    problem = mismatch(schema.items, item, ("%s[%d]"):format(path, i))
    if problem then return problem end
  end
end

---What is wrong with [value] where [schema] is asked for: its types, choices and keys.
---What else a schema may say is not looked at.
---@param schema table
---@param value any
---@param path string  how the value is called
---@return string? problem
function types.mismatch(schema, value, path)
  return mismatch(schema, value, path)
end

return types
