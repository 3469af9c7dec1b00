--- Filters of documents: what a table says, or a function.
--
--     { source = "a.md", year = { ["$gte"] = 2000, ["$lt"] = 2010 } }
--     { ["$or"] = { { lang = "lua" }, { ["tags.name"] = { ["$exists"] = false } } } }
--     function(metadata, document) return #document.page_content < 100 end
--
-- A key leads into the metadata, by dots into tables in it. What is nil or mp.null there is not
-- there: it is equal to mp.null alone, so `$ne` and `$nin` match it, as they do in MongoDB. Numbers
-- are compared with numbers, texts with texts byte by byte; what is of another type matches none of
-- `$gt $gte $lt $lte`. `$contains` asks for a member of a list or a part of a text.
--
-- `filter.parse` makes a tree, which stores that filter elsewhere translate. A node is one of
--
--     { op = "and" or "or", node… }        without nodes, "and" matches all
--     { op = "not", node }
--     { op = "eq" or other, key = "a.b", path = { "a", "b" }, value = … }
--     { op = "function", fn = … }
--
-- with the operators of keys eq ne gt gte lt lte in nin exists contains.
local errors = require "moonpipe.error"
local json = require "moonpipe.json"

---@alias moonpipe.Filter table|fun(metadata: table, document: moonpipe.Document): any

---@class moonpipe.FilterNode
---@field op string
---@field [integer] moonpipe.FilterNode
---@field key string?
---@field path string[]?
---@field value any
---@field fn function?

local filter = {}

local DEEPEST = 64 -- a table that holds itself ends here

local OF_FILTERS = { "$and", "$not", "$or" }

-- ---- what may be written -----------------------------------------------------------------------

-- A complaint of the filter itself, apart from what else is raised.
local problem_mt = {}

local function complain(message, ...)
  error(setmetatable({ message:format(...) }, problem_mt), 0)
end

local function is_scalar(value)
  local kind = type(value)
  return kind == "string" or kind == "boolean" or value == json.null
    or kind == "number" and value == value
end

local function is_ordered(value)
  return type(value) == "string" or type(value) == "number" and value == value
end

local function is_list(value)
  if type(value) ~= "table" then return false end
  local count = 0
  for _ in pairs(value) do count = count + 1 end
  return count == #value and (getmetatable(value) == nil or json.is_array(value))
end

local function is_list_of_scalars(value)
  if not is_list(value) then return false end
  for _, item in ipairs(value) do
    if not is_scalar(item) then return false end
  end
  return true
end

local SCALAR = { is_scalar, "a text, a number, a boolean or mp.null" }
local ORDERED = { is_ordered, "a text or a number" }
local LIST = { is_list_of_scalars, "a list of texts, numbers and booleans" }
local BOOLEAN = { function(value) return type(value) == "boolean" end, "true or false" }

local TAKES = {
  ["$eq"] = SCALAR, ["$ne"] = SCALAR, ["$contains"] = SCALAR, ["$gt"] = ORDERED,
  ["$gte"] = ORDERED, ["$lt"] = ORDERED, ["$lte"] = ORDERED, ["$in"] = LIST, ["$nin"] = LIST,
  ["$exists"] = BOOLEAN,
}

local OF_KEYS = { "$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin", "$exists",
  "$contains", "$not" }

-- ---- the tree ----------------------------------------------------------------------------------

-- The keys of a filter, sorted: the tree of a filter is always the same.
local function keys_of(given, place)
  local keys = {}
  for key in pairs(given) do
    if type(key) ~= "string" then
      complain("%s is %s; it must be a table of keys", place, errors.shape(given))
    end
    keys[#keys + 1] = key
  end
  if #keys == 0 then
    complain("%s is an empty table; leave it out, or was a value in it nil?", place)
  end
  table.sort(keys)
  return keys
end

-- One node is itself; several are an "and".
local function all_of(nodes)
  if #nodes == 1 then return nodes[1] end
  nodes.op = "and"
  return nodes
end

local function path_of(key)
  local path = {}
  for part in (key .. "."):gmatch("(.-)%.") do
    if part == "" then complain("filter key '%s' has an empty part", key) end
    path[#path + 1] = part
  end
  return path
end

local function leaf(key, operator, value)
  local takes = TAKES[operator]
  if not takes[1](value) then
    complain("filter key '%s': %s takes %s, got %s", key, operator, takes[2],
      errors.shape(value))
  end
  return { op = operator:sub(2), key = key, path = path_of(key), value = value }
end

local function no_operator(key, name)
  if name:sub(1, 1) ~= "$" then
    complain("filter key '%s': '%s' is no operator; a key within it is written '%s.%s'", key, name,
      key, name)
  end
  complain("filter key '%s': unknown operator '%s'%s", key, name, errors.hint(name, OF_KEYS))
end

-- The nodes of `{ ["$gte"] = 2000, ["$lt"] = 2010 }`, which stands behind a key.
local function operators_of(key, given, depth)
  if depth > DEEPEST then complain("filter key '%s' is deeper than %d tables", key, DEEPEST) end
  local nodes = {}
  for i, name in ipairs(keys_of(given, ("filter key '%s'"):format(key))) do
    local value = given[name]
    if TAKES[name] then
      nodes[i] = leaf(key, name, value)
    elseif name ~= "$not" then
      no_operator(key, name)
    elseif type(value) ~= "table" then
      complain("filter key '%s': $not takes a table of operators, got %s", key,
        errors.shape(value))
    else
      nodes[i] = { op = "not", operators_of(key, value, depth + 1) }
    end
  end
  return all_of(nodes)
end

local function of_key(key, value, depth)
  if key:sub(1, 1) == "$" then
    if TAKES[key] then
      complain("filter: '%s' stands behind a key, as in { year = { [\"%s\"] = … } }", key, key)
    end
    complain("filter: unknown operator '%s'%s", key, errors.hint(key, OF_FILTERS))
  elseif type(value) ~= "table" then
    return leaf(key, "$eq", value)
  elseif value[1] ~= nil then
    complain("filter key '%s' is %s; write { [\"$in\"] = { … } }", key, errors.shape(value))
  end
  return operators_of(key, value, depth + 1)
end

local node_of

local function nodes_of(name, list, depth)
  if not is_list(list) or #list == 0 then
    complain("filter: %s takes a list of filters, got %s", name, errors.shape(list))
  end
  local node = { op = name:sub(2) }
  for i, item in ipairs(list) do
    node[i] = node_of(item, ("filter %d of %s"):format(i, name), depth + 1)
  end
  return node
end

function node_of(given, place, depth)
  if type(given) == "function" then return { op = "function", fn = given } end
  if type(given) ~= "table" then
    complain("%s is %s; it must be a table or a function", place, errors.shape(given))
  elseif depth > DEEPEST then
    complain("%s is deeper than %d tables", place, DEEPEST)
  end
  local nodes = {}
  for i, key in ipairs(keys_of(given, place)) do
    local value = given[key]
    if key == "$and" or key == "$or" then
      nodes[i] = nodes_of(key, value, depth)
    elseif key == "$not" then
      nodes[i] = { op = "not", node_of(value, "filter $not", depth + 1) }
    else
      nodes[i] = of_key(key, value, depth)
    end
  end
  return all_of(nodes)
end

--- The tree of a filter, or what is wrong with it.
---@param given moonpipe.Filter
---@return moonpipe.FilterNode? tree
---@return string? problem
function filter.parse(given)
  local ok, tree = pcall(node_of, given, "filter", 1)
  if ok then return tree end
  if getmetatable(tree) == problem_mt then return nil, tree[1] end
  error(tree, 0)
end

-- ---- the test ----------------------------------------------------------------------------------

local NULL = json.null

local TESTS = {}

function TESTS.eq(wanted)
  if wanted == NULL then wanted = nil end
  return function(value) return value == wanted end
end

function TESTS.gt(bound)
  local kind = type(bound)
  return function(value) return type(value) == kind and value > bound end
end

function TESTS.gte(bound)
  local kind = type(bound)
  return function(value) return type(value) == kind and value >= bound end
end

function TESTS.lt(bound)
  local kind = type(bound)
  return function(value) return type(value) == kind and value < bound end
end

function TESTS.lte(bound)
  local kind = type(bound)
  return function(value) return type(value) == kind and value <= bound end
end

TESTS["in"] = function(list)
  local set, has_null = {}, false
  for _, item in ipairs(list) do
    if item == NULL then has_null = true else set[item] = true end
  end
  return function(value)
    if value == nil then return has_null end
    return set[value] == true
  end
end

function TESTS.exists(wanted)
  return function(value) return (value ~= nil) == wanted end
end

function TESTS.contains(wanted)
  return function(value)
    if type(value) == "table" then
      for i = 1, #value do
        if value[i] == wanted then return true end
      end
      return false
    end
    return type(value) == "string" and type(wanted) == "string"
      and value:find(wanted, 1, true) ~= nil
  end
end

local function negated(test)
  return function(a, b) return not test(a, b) end -- of a value, or of metadata and document
end

function TESTS.ne(wanted) return negated(TESTS.eq(wanted)) end

function TESTS.nin(list) return negated(TESTS["in"](list)) end

-- What stands at [path] of the metadata.
local function value_at(value, path)
  for i = 1, #path do
    if type(value) ~= "table" then return nil end
    value = value[path[i]]
  end
  if value == NULL then return nil end
  return value
end

local test_of

local function tests_of(node)
  local tests = {}
  for i, child in ipairs(node) do tests[i] = test_of(child) end
  return tests, #tests
end

local function every(tests, count)
  return function(metadata, doc)
    for i = 1, count do
      if not tests[i](metadata, doc) then return false end
    end
    return true
  end
end

local function any(tests, count)
  return function(metadata, doc)
    for i = 1, count do
      if tests[i](metadata, doc) then return true end
    end
    return false
  end
end

function test_of(node)
  if node.op == "function" then return node.fn end
  if node.op == "not" then return negated(test_of(node[1])) end
  if node.op == "and" then return every(tests_of(node)) end
  if node.op == "or" then return any(tests_of(node)) end
  local test, path = TESTS[node.op](node.value), node.path
  return function(metadata) return test(value_at(metadata, path)) end
end

--- A test of documents and the tree that it was made of. A filter that says nothing sensible is the
--- programmer's error.
---@param given moonpipe.Filter
---@return fun(metadata: table, document: moonpipe.Document?): any matches
---@return moonpipe.FilterNode tree
function filter.compile(given)
  local tree, problem = filter.parse(given)
  if not tree then errors.usage(problem) end
  return test_of(tree), tree
end

return filter
