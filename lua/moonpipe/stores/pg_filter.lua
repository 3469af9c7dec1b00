--- Filters in PostgreSQL: what the tree of filter.lua says, over a column of jsonb.
--
-- The answers are those of filter.lua: each test is true or false, never NULL, and what is of
-- another type is compared with nothing. CASE, unlike AND, keeps casts from what they cannot cast.
-- Keys and values are bound; no text of theirs is part of a statement.
local json = require "moonpipe.json"
local native = require "moonpipe.native"

local c = native.c

local store_pg_filter = {}

-- What stands at the path. `->` with a text finds nothing in a list, as in Lua.
local function at_path(path, column, bind)
  local out = { column }
  for _, key in ipairs(path) do out[#out + 1] = "->" .. bind(key, "text") end
  return "(" .. table.concat(out, " ") .. ")"
end

local function typed(place, kind, test)
  return ("CASE WHEN jsonb_typeof(%s) = '%s' THEN %s ELSE false END"):format(place, kind, test)
end

local function is_there(place)
  return ("(coalesce(jsonb_typeof(%s), 'null') <> 'null')"):format(place)
end

local function text_of(place)
  return ("((%s #>> '{}') COLLATE \"C\")"):format(place)
end

-- Numbers are compared as Lua's are: whoever wrote them wrote doubles.
local function compare(place, operator, value, bind)
  if type(value) == "number" then
    return typed(place, "number", ("(%s)::float8 %s %s"):format(place, operator,
      bind(value, "float8")))
  end
  return typed(place, "string", ("%s %s %s"):format(text_of(place), operator, bind(value, "text")))
end

local function equals(place, value, bind)
  if type(value) == "boolean" then
    return typed(place, "boolean", ("%s = '%s'::jsonb"):format(place, value and "true" or "false"))
  end
  return compare(place, "=", value, bind)
end

local TESTS = {}

function TESTS.eq(place, value, bind)
  if value == json.null then return "NOT " .. is_there(place) end
  return equals(place, value, bind)
end

-- One value for all texts and one for all numbers: as many values as there are items would be more
-- than a statement may have, and each a part of what the server compiles. What JSON cannot hold is
-- asked for by itself.
TESTS["in"] = function(place, list, bind)
  local tests, texts, numbers = { "false" }, json.array {}, json.array {}
  for _, value in ipairs(list) do
    if type(value) == "string" and c.utf8_repair(value) == value then
      texts[#texts + 1] = value
    elseif type(value) == "number" and value - value == 0 then
      numbers[#numbers + 1] = value
    else
      tests[#tests + 1] = TESTS.eq(place, value, bind)
    end
  end
  local items = "%s IN (SELECT jsonb_array_elements_text(%s::jsonb)%s)"
  if texts[1] then
    tests[#tests + 1] = typed(place, "string", items:format(text_of(place),
      bind(json.encode(texts), "text"), ' COLLATE "C"'))
  end
  if numbers[1] then
    tests[#tests + 1] = typed(place, "number", items:format(("(%s)::float8"):format(place),
      bind(json.encode(numbers), "text"), "::float8"))
  end
  return "(" .. table.concat(tests, " OR ") .. ")"
end

function TESTS.exists(place, wanted)
  return (wanted and "" or "NOT ") .. is_there(place)
end

local OPERATORS = { gt = ">", gte = ">=", lt = "<", lte = "<=" }

for name, operator in pairs(OPERATORS) do
  TESTS[name] = function(place, value, bind) return compare(place, operator, value, bind) end
end

function TESTS.contains(place, wanted, bind)
  local member = wanted == json.null and "item.value = 'null'::jsonb"
    or equals("item.value", wanted, bind)
  local within = ("EXISTS (SELECT 1 FROM jsonb_array_elements(CASE WHEN jsonb_typeof(%s) = 'array' "
    .. "THEN %s ELSE '[]'::jsonb END) AS item(value) WHERE %s)"):format(place, place, member)
  if type(wanted) ~= "string" then return within end
  return ("(%s OR %s)"):format(within, typed(place, "string",
    ("strpos(%s, %s) > 0"):format(text_of(place), bind(wanted, "text"))))
end

function TESTS.ne(...) return "NOT " .. TESTS.eq(...) end

function TESTS.nin(...) return "NOT " .. TESTS["in"](...) end

local to_sql

local function joined(node, word, nothing, column, bind)
  local parts = { nothing }
  for _, child in ipairs(node) do parts[#parts + 1] = to_sql(child, column, bind) end
  return "(" .. table.concat(parts, word) .. ")"
end

function to_sql(node, column, bind)
  if node.op == "and" then return joined(node, " AND ", "true", column, bind) end
  if node.op == "or" then return joined(node, " OR ", "false", column, bind) end
  if node.op == "not" then return ("(NOT %s)"):format(to_sql(node[1], column, bind)) end
  return ("(%s)"):format(TESTS[node.op](at_path(node.path, column, bind), node.value, bind))
end

local function has_function(node)
  if node.op == "function" then return true end
  for _, child in ipairs(node) do
    if has_function(child) then return true end
  end
  return false
end

--- The condition that [tree] is, or what of it can be one: functions run here, not there. Second
--- whether something is missing in it.
---@param tree moonpipe.FilterNode
---@param column string  an expression of jsonb
---@param bind fun(value: any, kind: "text"|"float8"): string  a place for a value
---@return string condition
---@return boolean is_part
function store_pg_filter.condition(tree, column, bind)
  if not has_function(tree) then return to_sql(tree, column, bind), false end
  local parts = { op = "and" }
  for _, child in ipairs(tree.op == "and" and tree or {}) do
    if not has_function(child) then parts[#parts + 1] = child end
  end
  return to_sql(parts, column, bind), true
end

return store_pg_filter
