--- What a model is told of a search with conditions, and what becomes of its answer: the check
--- against the attributes that documents have, and the filter as stores take it.
--
-- A condition is `{ attribute, comparator, value }` or `{ operator, arguments }`.
local errors = require "moonpipe.error"
local json = require "moonpipe.json"
local language = require "moonpipe.retrievers.query_language"

local form = {}

---@class moonpipe.AttributeInfo  what documents have in their metadata
---@field name string
---@field description string
---@field type string  string, integer, float, number, boolean, date, list[string]; any other: any

local DEEPEST = 32 -- of operations in one another
local TOLD = 2     -- of them a provider is told

local COMPARATORS = { "contain", "eq", "gt", "gte", "in", "lt", "lte", "ne", "nin" }
local OPERATORS = { "and", "not", "or" }

local OPERATOR_OF = { contain = "$contains" }
for _, name in ipairs(COMPARATORS) do OPERATOR_OF[name] = OPERATOR_OF[name] or "$" .. name end

-- ---- types -------------------------------------------------------------------------------------

local function is_number(value) return type(value) == "number" and value == value end

local KINDS = {
  string = { "a text", function(value) return type(value) == "string" end },
  number = { "a number", is_number },
  integer = { "an integer", function(value) return is_number(value) and value % 1 == 0 end },
  boolean = { "true or false", function(value) return type(value) == "boolean" end },
  date = { "a date such as \"2024-12-31\"", function(value)
    return type(value) == "string" and value:find("^%d%d%d%d%-%d%d%-%d%d") ~= nil
  end },
  any = { "a text, a number or true or false", function(value)
    return type(value) == "string" or is_number(value) or type(value) == "boolean"
  end },
}

local NAMES = {
  bool = "boolean", datetime = "date", double = "number", float = "number", int = "integer",
  str = "string",
}

-- The kind of an attribute, and of the members where it may be a list of them.
local function kind_of(info)
  local name = tostring(info.type):lower()
  local member = name:match("^list%[(.-)%]$") or name == "list" and "any"
  name = member or name
  return KINDS[NAMES[name] or name] or KINDS.any, member ~= nil and member ~= false
end

-- ---- what the model is told --------------------------------------------------------------------

local function names_of(attributes)
  local names = {}
  for i, info in ipairs(attributes) do names[i] = info.name end
  return names
end

--- The attributes, checked.
---@param list moonpipe.AttributeInfo[]
---@param what string  whose
---@return moonpipe.AttributeInfo[]
function form.attributes(list, what)
  local out = {}
  for i, info in ipairs(errors.list(list, what)) do
    if type(info) ~= "table" or type(info.name) ~= "string" or type(info.type) ~= "string" then
      errors.usage(("item %d of %s is %s; it must be { name =, description =, type = }"):format(
        i, what, errors.shape(info)))
    end
    out[i] = { name = info.name, type = info.type, description = info.description or "" }
  end
  if out[1] == nil then errors.usage(what .. " is an empty list") end
  return out
end

local function limit_schema()
  return { anyOf = json.array { { type = "integer", minimum = 1 }, { type = "null" } },
    description = "How many documents are asked for, null where the question does not say." }
end

local function comparison(attributes)
  local scalars = { { type = "string" }, { type = "number" }, { type = "boolean" } }
  local list = { type = "array", items = { anyOf = json.array { unpack(scalars) } } }
  return {
    type = "object", additionalProperties = false,
    required = json.array { "attribute", "comparator", "value" },
    properties = {
      attribute = { type = "string", enum = json.array(names_of(attributes)) },
      comparator = { type = "string", enum = json.array { unpack(COMPARATORS) } },
      value = { anyOf = json.array { scalars[1], scalars[2], scalars[3], list } },
    },
  }
end

-- The forms of a condition, operations within operations to a depth: references that lead back to
-- themselves not all providers take. What is deeper is read, too.
local function conditions(attributes, depth)
  if depth == 0 then return { comparison(attributes) } end
  return { comparison(attributes), {
    type = "object", additionalProperties = false,
    required = json.array { "operator", "arguments" },
    properties = {
      operator = { type = "string", enum = json.array { unpack(OPERATORS) } },
      arguments = {
        type = "array", minItems = 1,
        items = { anyOf = json.array(conditions(attributes, depth - 1)) },
      },
    },
  } }
end

--- The form of an answer, as a provider is told of it.
---@param attributes moonpipe.AttributeInfo[]
---@param enable_limit boolean?
---@return table schema
function form.schema(attributes, enable_limit)
  local required = { "query", "filter", enable_limit and "limit" or nil }
  local forms = conditions(attributes, TOLD)
  forms[#forms + 1] = { type = "null" }
  return {
    title = "search", type = "object", additionalProperties = false,
    required = json.array(required),
    properties = {
      query = { type = "string", description = "What to look for in the texts of documents." },
      filter = { anyOf = json.array(forms) },
      limit = enable_limit and limit_schema() or nil,
    },
  }
end

--- What must hold before `form.read` looks at an answer, which may have a filter as a text.
form.LOOSE = { title = "search", type = "object", properties = { query = { type = "string" } } }

local INTRODUCTION = [[
Documents are searched: %s. Make a search of the question below. Answer with one JSON object:
- "query": what to look for in the texts of documents, in a few words, without what the filter says;
  "" where nothing is left of the question.
- "filter": a condition on the attributes of documents, or null where the question asks for none.]]

local LIMIT = [[

- "limit": how many documents the question asks for, or null where it does not say.]]

local CONDITION = [[


A condition is {"attribute": name, "comparator": comparator, "value": value}, or {"operator": "and",
"arguments": [conditions]}, also with "or" or "not". Comparators are eq, ne, gt, gte, lt, lte, in
and nin (the value is a list), contain (a list has the value, or a text has it as a part). Values
are as documents have them; dates are texts such as "2024-12-31". There are these attributes and no
others:
]]

--- What the model is told, all but the question.
---@param contents string  what is in the documents
---@param attributes moonpipe.AttributeInfo[]
---@param enable_limit boolean?
---@return string
function form.instructions(contents, attributes, enable_limit)
  local lines = {}
  for i, info in ipairs(attributes) do
    lines[i] = ("- %q (%s): %s"):format(info.name, info.type, info.description)
  end
  return INTRODUCTION:format(contents) .. (enable_limit and LIMIT or "") .. CONDITION
    .. table.concat(lines, "\n")
end

-- ---- what it answers ---------------------------------------------------------------------------

local function refuse(message, ...)
  errors.raise("schema", message:format(...))
end

local function attribute_of(attributes, name)
  for _, info in ipairs(attributes) do
    if info.name == name then return info end
  end
  local names = names_of(attributes)
  refuse("documents have no attribute '%s'%s; they have %s", errors.text(name),
    errors.hint(name, names), table.concat(names, ", "))
end

-- LangChain's own models write dates as { date = "2024-12-31", type = "date" }.
local function plain(value)
  return type(value) == "table" and type(value.date) == "string" and value.date or value
end

local function check_value(info, kind, value, comparator)
  value = plain(value)
  if kind[2](value) then return value end
  refuse("'%s' with %s takes %s, got %s", info.name, comparator, kind[1],
    type(value) == "string" and ("%q"):format(value) or errors.shape(value))
end

local function values_of(info, kind, value, comparator)
  if type(value) ~= "table" or value[1] == nil then
    refuse("'%s' with %s takes a list, got %s", info.name, comparator, errors.shape(value))
  end
  local list = {}
  for i, item in ipairs(value) do list[i] = check_value(info, kind, item, comparator) end
  return list
end

local function comparison_filter(attributes, node)
  local name = node.comparator
  if not OPERATOR_OF[name] then
    refuse("there is no comparator '%s'%s; there are %s", errors.text(name),
      errors.hint(name, COMPARATORS), table.concat(COMPARATORS, ", "))
  end
  local info = attribute_of(attributes, node.attribute)
  local kind, is_list = kind_of(info)
  local value
  if is_list and name ~= "contain" then
    refuse("'%s' is a list, which is compared by contain, not by %s", info.name, name)
  elseif name == "in" or name == "nin" then
    value = values_of(info, kind, node.value, name)
  else
    value = check_value(info, kind, node.value, name)
  end
  return { [info.name] = { [OPERATOR_OF[name]] = value } }
end

local filter_of

local function operation_filter(attributes, node, depth)
  local operator, list = node.operator, node.arguments
  if operator ~= "and" and operator ~= "or" and operator ~= "not" then
    refuse("there is no operator '%s'; there are and, or, not", errors.text(operator))
  elseif type(list) ~= "table" or list[1] == nil then
    refuse("the arguments of '%s' are %s; they must be a list of conditions", operator,
      errors.shape(list))
  elseif operator == "not" and list[2] ~= nil then
    refuse("'not' takes one condition, got %d", #list)
  end
  local filters = {}
  for i, item in ipairs(list) do filters[i] = filter_of(attributes, item, depth + 1) end
  if operator == "not" then return { ["$not"] = filters[1] } end
  return filters[2] and { ["$" .. operator] = filters } or filters[1]
end

function filter_of(attributes, node, depth)
  if type(node) ~= "table" then
    refuse("a condition is %s; it must be an object", errors.shape(node))
  elseif depth > DEEPEST then
    refuse("the filter is deeper than %d", DEEPEST)
  elseif node.operator ~= nil then
    return operation_filter(attributes, node, depth)
  end
  return comparison_filter(attributes, node)
end

local function filter_in(value, attributes)
  local given = value.filter
  if type(given) == "string" then
    local text = given:match("^%s*(.-)%s*$")
    given = text ~= "" and text ~= "NO_FILTER" and language.parse(text) or nil
  end
  if given == nil or given == json.null then return nil end
  return filter_of(attributes, given, 1)
end

local function limit_in(value)
  local limit = value.limit
  if limit == nil or limit == json.null then return nil end
  if not is_number(limit) or limit < 1 or limit % 1 ~= 0 then
    refuse("limit is %s; it must be an integer from 1, or null", errors.shape(limit))
  end
  return limit
end

---@class moonpipe.StructuredQuery
---@field query string   "" where the question is nothing but conditions
---@field filter table?  as stores take it
---@field limit integer?

--- The search that an answer asks for; raises kind `schema` where it cannot be made.
---@param value table  has a `query`
---@param attributes moonpipe.AttributeInfo[]
---@param enable_limit boolean?
---@return moonpipe.StructuredQuery
function form.read(value, attributes, enable_limit)
  return {
    query = type(value.query) == "string" and value.query or "",
    filter = filter_in(value, attributes),
    limit = enable_limit and limit_in(value) or nil,
  }
end

return form
