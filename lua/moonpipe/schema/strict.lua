--- The form of a schema that strict modes ask for, and the way back.
local check = require "moonpipe.schema.check"
local errors = require "moonpipe.error"
local json = require "moonpipe.json"
local validate = require "moonpipe.schema.validate"

local strict = {}

local NULL = json.null

-- Keywords that strict mode has no form for.
local REFUSED = { "allOf", "oneOf", "not", "if", "then", "else", "dependentRequired",
  "dependentSchemas", "patternProperties", "propertyNames", "contains", "prefixItems" }

local function refuse(path, what)
  errors.usage(("strict mode has no form for this schema: %s %s"):format(path, what))
end

local form

local function is_required(schema, name)
  for _, one in ipairs(schema.required or {}) do
    if one == name then return true end
  end
  return false
end

-- Whether null fits a schema; [root] is the whole, for references.
local function takes_null(schema, root)
  if type(schema) == "table" and schema["$ref"] then
    schema = check.resolve(root, schema["$ref"])
  end
  return #validate.problems(NULL, schema, true, root) == 0
end

local function or_null(schema)
  return { anyOf = json.array { schema, { type = "null" } } }
end

local function form_object(schema, out, path)
  if schema.additionalProperties then
    refuse(check.member(path, "additionalProperties"), "is not false")
  end
  local names = {}
  out.properties = check.map(form, schema.properties or {}, check.member(path, "properties"))
  for name, one in pairs(out.properties) do
    names[#names + 1] = name
    local open = one.type == nil and one["$ref"] == nil and one.anyOf == nil and one.enum == nil
    if not is_required(schema, name) and not open then out.properties[name] = or_null(one) end
  end
  table.sort(names)
  out.required, out.additionalProperties = json.array(names), false
end

function form(schema, path)
  if type(schema) == "boolean" then refuse(path, "is " .. tostring(schema)) end
  for _, word in ipairs(REFUSED) do
    if schema[word] ~= nil then refuse(check.member(path, word), "is not supported") end
  end
  local out = {}
  for key, value in pairs(schema) do out[key] = value end
  for _, word in ipairs { "$defs", "definitions" } do
    out[word] = schema[word] and check.map(form, schema[word], check.member(path, word))
  end
  if schema.items ~= nil then out.items = form(schema.items, check.member(path, "items")) end
  if schema.anyOf then out.anyOf = check.list(form, schema.anyOf, check.member(path, "anyOf")) end
  if schema.type == "object" or schema.properties then form_object(schema, out, path) end
  return out
end

---@param schema table  checked
---@return table
function strict.form(schema)
  if schema.type ~= "object" then refuse("$.type", "is not object") end
  return form(schema, "$")
end

-- ---- the way back ------------------------------------------------------------------------

local without

local function without_in_object(value, schema, root)
  local out = {}
  for name, member in pairs(value) do
    local one = schema.properties[name]
    if one == nil then
      out[name] = member
    elseif member ~= NULL or is_required(schema, name) or takes_null(one, root) then
      out[name] = without(member, one, root)
    end
  end
  return out
end

function without(value, schema, root)
  if type(value) ~= "table" or type(schema) ~= "table" then return value end
  if schema["$ref"] then return without(value, check.resolve(root, schema["$ref"]), root) end
  for _, one in ipairs(schema.anyOf or {}) do
    local tried = without(value, one, root)
    if #validate.problems(tried, one, true, root) == 0 then return tried end
  end
  if json.is_array(value) then
    local out = json.array {}
    for i = 1, #value do out[i] = without(value[i], schema.items, root) end
    return out
  end
  return schema.properties and without_in_object(value, schema, root) or value
end

---The value that was answered to a strict form, for the schema as it was: optional properties that
---are null are left out.
---@param value any     read from JSON
---@param schema table  the original
---@return any
function strict.without_nulls(value, schema)
  return without(value, schema, schema)
end

return strict
