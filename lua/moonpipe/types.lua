--- What a user says that a step takes and gives: `chain:with_types{ … }`.
--
-- A type is a list of keys `{ "question" }`, the name of a JSON type `"string"`, or
-- a JSON schema. It changes no value; compositions are held against it.
local errors = require "moonpipe.error"

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

return types
