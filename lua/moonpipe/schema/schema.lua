--- JSON Schema: what a value must look like, as Lua tables.
--
--   local s = mp.schema
--   local person = s.object { name = s.string { minLength = 1 }, age = "integer" }
--   local ok, problems = s.validate(value, person)
--
-- A schema is a plain table in the words of draft 2020-12; the functions here only
-- save writing. Where one is asked for, "string" is short for s.string(), "string?"
-- makes a property optional, and { x } is an array of x.
local check = require "moonpipe.schema.check"
local errors = require "moonpipe.error"
local json = require "moonpipe.json"
local validate = require "moonpipe.schema.validate"

---@class moonpipe.schema
local schema = {}

-- ---- validating --------------------------------------------------------------------------

---Whether [value] is as [schema] asks; where not, what is wrong, and where: a list of
---`{ path, message }` whose tostring is `$.people[2].age: expected integer, got string "x"`.
---Raises a usage error where the schema is none. An empty table is an array and an object, unless
---`json` says that the value was read from JSON.
---@param value any
---@param wanted table|boolean
---@param opts { json: boolean? }?
---@return boolean ok
---@return moonpipe.SchemaProblem[]? problems
function schema.validate(value, wanted, opts)
  opts = errors.options(opts, { "json" }, "schema.validate")
  check.schema(wanted)
  local problems = validate.problems(value, wanted, opts.json)
  if problems[1] then return false, problems end
  return true
end

local MAX_TOLD = 5

---Problems in one line, for messages.
---@param problems moonpipe.SchemaProblem[]
---@return string
function schema.text(problems)
  local lines = {}
  for i = 1, math.min(#problems, MAX_TOLD) do lines[i] = tostring(problems[i]) end
  local more = #problems - #lines
  if more > 0 then lines[#lines + 1] = ("%d more"):format(more) end
  return table.concat(lines, "; ")
end

---Raises a usage error with the place of the mistake where [wanted] is no schema. Gives what of it
---is not checked, and why: patterns that Lua's cannot say, formats, some keywords.
---@param wanted table|boolean
---@return { path: string, why: string }[]
function schema.unchecked(wanted)
  return check.schema(wanted)
end

-- ---- building ----------------------------------------------------------------------------

-- What may stand beside the word that a function is named for.
local COMMON = { "$defs", "default", "description", "enum", "examples", "title" }
local WORDS = {
  string = { "format", "maxLength", "minLength", "pattern" },
  number = { "exclusiveMaximum", "exclusiveMinimum", "maximum", "minimum", "multipleOf" },
  array = { "contains", "maxContains", "maxItems", "minContains", "minItems", "prefixItems",
    "uniqueItems" },
  object = { "additionalProperties", "maxProperties", "minProperties", "patternProperties",
    "propertyNames" },
}
WORDS.integer = WORDS.number

-- A description alone may be given as a text.
local function words_of(opts, more, what)
  if type(opts) == "string" then opts = { description = opts } end
  local allowed = { unpack(COMMON) }
  for _, word in ipairs(more or {}) do allowed[#allowed + 1] = word end
  table.sort(allowed)
  local out = {}
  for key, value in pairs(errors.options(opts, allowed, "schema." .. what)) do out[key] = value end
  return out
end

-- Checked as a part: what it refers to may stand in the whole.
local function made(fields, kind)
  fields.type = kind
  return fields
end

for _, kind in ipairs { "string", "number", "integer", "boolean", "null" } do
  schema[kind] = function(opts)
    return made(words_of(opts, WORDS[kind], kind), kind)
  end
end

local optional_mt = { __name = "moonpipe.OptionalSchema" }

local function refuse(value, what)
  errors.usage(("%s takes a schema, the name of a type or { items }, got %s"):format(what,
    type(value) == "string" and ("%q"):format(value) or errors.shape(value)))
end

-- The schema that is written for one, and whether its property is optional.
local function coerce(value, what)
  if getmetatable(value) == optional_mt then return value.schema, true end
  if type(value) == "boolean" then return value end
  if type(value) == "string" then
    local name, mark = value:match("^(%l+)(%??)$")
    for _, kind in ipairs(check.TYPES) do
      if kind == name then return { type = name }, mark == "?" end
    end
    refuse(value, what)
  end
  if type(value) ~= "table" or getmetatable(value) ~= nil then refuse(value, what) end
  if value[1] == nil then return value end
  if value[2] ~= nil or next(value, 1) ~= nil then refuse(value, what) end
  return { type = "array", items = (coerce(value[1], what)) }
end

---`schema.object({ name = schema.string() })`: all properties are required but the optional ones.
---@param properties table<string, table|string>
---@param opts table|string|nil  keywords, or a description
---@return table
function schema.object(properties, opts)
  if type(properties) ~= "table" or properties[1] ~= nil then
    errors.usage("schema.object takes a table of properties, got " .. errors.shape(properties))
  end
  local out = made(words_of(opts, WORDS.object, "object"), "object")
  local required = {}
  out.properties = {}
  for name, value in pairs(properties) do
    local one, is_optional = coerce(value, ("property '%s' of schema.object"):format(
      errors.text(name)))
    out.properties[name] = one
    if not is_optional then required[#required + 1] = name end
  end
  table.sort(required)
  out.required = json.array(required)
  return out
end

---An array whose members are all so.
---@param items table|string
---@param opts table|string|nil
---@return table
function schema.array(items, opts)
  local out = made(words_of(opts, WORDS.array, "array"), "array")
  out.items = (coerce(items, "schema.array"))
  return out
end

---A property of an object that may be left out.
---@param value table|string
---@return table
function schema.optional(value)
  return setmetatable({ schema = (coerce(value, "schema.optional")) }, optional_mt)
end

local function list_of(list, what)
  if type(list) ~= "table" or list[1] == nil then
    errors.usage(("schema.%s takes a list, got %s"):format(what, errors.shape(list)))
  end
  return list
end

---One of these values.
---@param values any[]
---@param opts table|string|nil
---@return table
function schema.enum(values, opts)
  local out, kind = words_of(opts, nil, "enum"), "string"
  out.enum = json.array { unpack(list_of(values, "enum")) }
  for _, value in ipairs(values) do
    if type(value) ~= "string" then kind = nil end
  end
  return made(out, kind)
end

---This value.
---@param value any
---@param opts table|string|nil
---@return table
function schema.const(value, opts)
  local out = words_of(opts, nil, "const")
  out.const = value
  return out
end

---Anything.
---@param opts table|string|nil
---@return table
function schema.any(opts)
  return words_of(opts, nil, "any")
end

---As one of these.
---@param list (table|string)[]
---@param opts table|string|nil
---@return table
function schema.any_of(list, opts)
  local out = words_of(opts, nil, "any_of")
  out.anyOf = json.array {}
  for i, one in ipairs(list_of(list, "any_of")) do
    out.anyOf[i] = (coerce(one, ("alternative %d of schema.any_of"):format(i)))
  end
  return out
end

---So, or null.
---@param value table|string
---@return table
function schema.nullable(value)
  return schema.any_of { value, "null" }
end

---The schema that `$defs` of the whole has under [name]; without a name the whole.
---@param name string?
---@return table
function schema.ref(name)
  if name ~= nil and type(name) ~= "string" then
    errors.usage("schema.ref takes a name in $defs, got " .. errors.shape(name))
  end
  return { ["$ref"] = name and "#/$defs/" .. name:gsub("~", "~0"):gsub("/", "~1") or "#" }
end

---[wanted], a schema that can be sent: raises a usage error where it is none, or no JSON.
---@param wanted table
---@return table
function schema.sendable(wanted)
  check.schema(wanted)
  if not check.says_something(wanted) then
    errors.usage(("the schema is malformed: %s has no word of JSON Schema; for an object write"
      .. " mp.schema.object { … }"):format(errors.shape(wanted)))
  end
  local ok, err = pcall(json.encode, wanted)
  if not ok then errors.usage("the schema is malformed: " .. errors.text(err.message)) end
  return wanted
end

---The form that OpenAI's strict mode asks for: every object closed, every property required; what
---was optional may be null. Raises where a schema cannot be said so.
---@param wanted table
---@return table
function schema.strict(wanted)
  return require("moonpipe.schema.strict").form(schema.sendable(wanted))
end

---The form for providers that make sure of a schema but know few words (Anthropic): every object
---closed, sizes and bounds said in descriptions. Raises where a schema cannot be said so.
---@param wanted table
---@return table
function schema.closed(wanted)
  return require("moonpipe.schema.closed").form(schema.sendable(wanted))
end

return schema
