--- Holds a value against a schema, keyword by keyword.
local check = require "moonpipe.schema.check"
local containers = require "moonpipe.schema.containers"
local errors = require "moonpipe.error"
local format = require "moonpipe.schema.format"
local pattern = require "moonpipe.schema.pattern"
local state_of = require "moonpipe.schema.state"
local values = require "moonpipe.schema.value"

local validate = {}

local MAX_NESTED = 512 -- schemas on the way to one place of a value

local add, fits, problems_with = state_of.add, state_of.fits, state_of.problems_with
local sized = containers.sized
local describe, constant = values.describe, values.constant

-- ---- any value ---------------------------------------------------------------------------

local apply

local ANY = {}
local OF_KIND = { array = containers.array, object = containers.object }

ANY["$ref"] = function(state, value, ref)
  apply(state, value, (check.resolve(state.root, ref)))
end

function ANY.enum(state, value, list)
  local shown = {}
  for i = 1, #list do
    if values.same(value, list[i], state.exact) then return end
    shown[i] = constant(list[i])
  end
  add(state, "enum", ("expected one of %s, got %s"):format(table.concat(shown, ", "),
    describe(value)))
end

function ANY.const(state, value, wanted)
  if values.same(value, wanted, state.exact) then return end
  add(state, "const", ("expected %s, got %s"):format(constant(wanted), describe(value)))
end

function ANY.allOf(state, value, list)
  for i = 1, #list do apply(state, value, list[i]) end
end

local NAMES_A_KIND = { type = true, const = true, enum = true }

-- Whether a value is of another kind than an alternative asks for: by itself, or by a member that
-- must be one value, as a tag is.
local function is_foreign(state, problems)
  for _, one in ipairs(problems) do
    if one.depth == state.depth and NAMES_A_KIND[one.keyword]
      or one.depth == state.depth + 1 and one.keyword == "const" then
      return true
    end
  end
  return false
end

-- Of alternatives that all fail the one that was meant: the only one that is not of another kind.
local function meant(state, found)
  local best
  for _, problems in ipairs(found) do
    if not is_foreign(state, problems) then
      if best then return nil end
      best = problems
    end
  end
  return best
end

local function none_fits(state, keyword, found)
  local best = meant(state, found)
  if best then return state_of.append(state, best) end
  local said, seen = {}, {}
  for _, problems in ipairs(found) do
    local text = tostring(problems[1]):sub(#state_of.path(state) + 1):gsub("^: ", "")
    if not seen[text] then said[#said + 1] = text end
    seen[text] = true
  end
  add(state, keyword, table.concat(said, ", or "))
end

function ANY.anyOf(state, value, list)
  local found = {}
  for i = 1, #list do
    found[i] = problems_with(state, value, list[i])
    if #found[i] == 0 then return end
  end
  none_fits(state, "anyOf", found)
end

function ANY.oneOf(state, value, list)
  local found, fitting = {}, {}
  for i = 1, #list do
    local problems = problems_with(state, value, list[i])
    if #problems == 0 then fitting[#fitting + 1] = i else found[#found + 1] = problems end
  end
  if #fitting == 0 then return none_fits(state, "oneOf", found) end
  if #fitting > 1 then
    add(state, "oneOf", ("fits %s of the %d alternatives of oneOf, where one is allowed"):format(
      table.concat(fitting, " and "), #list))
  end
end

ANY["not"] = function(state, value, schema)
  if fits(state, value, schema) then add(state, "not", "fits what is excluded by not") end
end

ANY["if"] = function(state, value, condition, schema)
  local branch = schema["else"]
  if fits(state, value, condition) then branch = schema["then"] end
  if branch ~= nil then apply(state, value, branch) end
end

-- ---- numbers and texts -------------------------------------------------------------------

local function bound(keyword, words, holds)
  return function(state, value, limit)
    if not holds(value, limit) then
      add(state, keyword, ("expected %s %s, got %s"):format(words, tostring(limit),
        tostring(value)))
    end
  end
end

-- Decimal fractions are not exact: 0.0075 is a multiple of 0.0001.
local function is_multiple(value, unit)
  local count = value / unit
  if math.abs(count) == math.huge then return math.fmod(value, unit) == 0 end
  return math.abs(count - math.floor(count + 0.5)) <= 1e-9
end

OF_KIND.number = {
  minimum = bound("minimum", "at least", function(v, limit) return v >= limit end),
  maximum = bound("maximum", "at most", function(v, limit) return v <= limit end),
  exclusiveMinimum = bound("exclusiveMinimum", "more than", function(v, l) return v > l end),
  exclusiveMaximum = bound("exclusiveMaximum", "less than", function(v, l) return v < l end),
  multipleOf = bound("multipleOf", "a multiple of", is_multiple),
}

OF_KIND.string = {
  minLength = sized("minLength", true, values.length, "character"),
  maxLength = sized("maxLength", false, values.length, "character"),
  pattern = function(state, value, text)
    local matches = pattern.matcher(text)
    if matches and not matches(value) then
      add(state, "pattern", ("%s does not match %s"):format(describe(value), text))
    end
  end,
  format = function(state, value, name)
    local is = format.CHECKS[name]
    if is and not is(value) then
      add(state, "format", ("%s is no %s"):format(describe(value), name))
    end
  end,
}

-- ---- schemas -----------------------------------------------------------------------------

local ANY_ORDER = { "$ref", "enum", "const", "allOf", "anyOf", "oneOf", "not", "if" }
local ORDER = {
  number = { "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf" },
  string = { "minLength", "maxLength", "pattern", "format" },
  array = { "minItems", "maxItems", "uniqueItems", "contains", "prefixItems", "items" },
  object = {
    "required", "properties", "patternProperties", "additionalProperties", "propertyNames",
    "minProperties", "maxProperties", "dependentRequired", "dependentSchemas",
  },
  empty = { "required", "minProperties", "minItems" },
}
OF_KIND.empty = {}
for _, name in ipairs(ORDER.empty) do
  OF_KIND.empty[name] = OF_KIND.object[name] or OF_KIND.array[name]
end

local function is_of_type(state, value, kind, types)
  if type(types) == "string" then types = { types } end
  for i = 1, #types do
    if values.is(value, kind, types[i]) then return true end
  end
  add(state, "type", ("expected %s, got %s"):format(table.concat(types, " or "), describe(value)))
  return false
end

local function apply_words(state, value, schema, order, words)
  for i = 1, #order do
    local word = schema[order[i]]
    if word ~= nil then words[order[i]](state, value, word, schema) end
  end
end

-- Without its type nothing else of a value is worth telling.
function apply(state, value, schema)
  if schema == true then return end
  if schema == false then return add(state, "false", "nothing is allowed here") end
  state.endless = state.endless or state.nested >= MAX_NESTED
  if state.endless then return end
  state.nested = state.nested + 1
  local kind = values.kind(value, state.exact)
  if not schema.type or is_of_type(state, value, kind, schema.type) then
    apply_words(state, value, schema, ANY_ORDER, ANY)
    if ORDER[kind] then apply_words(state, value, schema, ORDER[kind], OF_KIND[kind]) end
  end
  state.nested = state.nested - 1
end

---Holds [value] against [schema], which must be one: check.schema.
---@param value any
---@param schema table|boolean
---@param exact boolean?  the value was read from JSON: an empty table is what it says it is
---@param root table?     the whole that [schema] is a part of
---@return moonpipe.SchemaProblem[]  empty where it fits
function validate.problems(value, schema, exact, root)
  local state = {
    root = root or schema, exact = exact, apply = apply, keys = {}, depth = 0, nested = 0,
    problems = {},
  }
  apply(state, value, schema)
  if state.endless then
    errors.usage("the schema is malformed: it refers to itself without an end")
  end
  return state.problems
end

return validate
