--- The form of a schema for providers that make sure of it: every object closed, and only words
--- that they know. What is left out is said in the description; who parses the answer checks it.
--
-- The words are those of Anthropic, the fewest: others are refused with a 400.
local check = require "moonpipe.schema.check"
local errors = require "moonpipe.error"
local json = require "moonpipe.json"

local closed = {}

local KEPT = { "type", "title", "description", "enum", "const", "default", "required", "$ref" }

-- Words that become part of the description, in this order.
local TOLD = {
  "minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "multipleOf", "minLength",
  "maxLength", "pattern", "format", "minItems", "maxItems", "uniqueItems", "minProperties",
  "maxProperties",
}

local FORMATS = {}
for name in ("date date-time duration email hostname ipv4 ipv6 time uri uuid"):gmatch("%S+") do
  FORMATS[name] = true
end

-- Words without which the schema would say another thing.
local REFUSED = { "not", "if", "patternProperties", "propertyNames", "dependentRequired",
  "dependentSchemas", "contains", "prefixItems" }

local function is_known(word, value)
  return word == "format" and FORMATS[value] or word == "minItems" and value <= 1
end

local function refuse(path)
  errors.usage(("this provider has no form for the schema at %s; use method ="
    .. " \"function_calling\""):format(path))
end

local function describe(schema, out)
  local told = {}
  for _, word in ipairs(TOLD) do
    local value = schema[word]
    if value ~= nil and is_known(word, value) then
      out[word] = value
    elseif value ~= nil then
      told[#told + 1] = word .. " " .. (type(value) == "string" and value or json.encode(value))
    end
  end
  if not told[1] then return end
  local text = "(" .. table.concat(told, ", ") .. ")"
  out.description = out.description and out.description .. " " .. text or text
end

local form

local function close(schema, out, path)
  if schema.additionalProperties then refuse(check.member(path, "additionalProperties")) end
  out.additionalProperties = false
  out.properties = check.map(form, schema.properties or {}, check.member(path, "properties"))
end

function form(schema, path)
  if type(schema) == "boolean" then refuse(path) end
  for _, word in ipairs(REFUSED) do
    if schema[word] ~= nil then refuse(check.member(path, word)) end
  end
  local out = {}
  for _, word in ipairs(KEPT) do out[word] = schema[word] end
  describe(schema, out)
  for _, word in ipairs { "$defs", "definitions" } do
    out[word] = schema[word] and check.map(form, schema[word], check.member(path, word))
  end
  for _, word in ipairs { "anyOf", "allOf", "oneOf" } do
    local list = schema[word] and check.list(form, schema[word], check.member(path, word))
    if list and word == "oneOf" and out.anyOf then refuse(check.member(path, word)) end
    if list then out[word == "oneOf" and "anyOf" or word] = list end
  end
  if schema.items ~= nil then out.items = form(schema.items, check.member(path, "items")) end
  if schema.type == "object" or schema.properties then close(schema, out, path) end
  return out
end

---@param schema table  checked
---@return table
function closed.form(schema)
  return form(schema, "$")
end

return closed
