--- Filters in Qdrant: what the tree of filter.lua says, as far as Qdrant can say it.
--
-- Qdrant looks into lists where filter.lua does not, takes an empty list for nothing, and orders no
-- texts. So what it is asked lets through too much, never too little, and what it gives is tested
-- here: a condition that could leave out a match, such as all that is negated, is not sent.
local json = require "moonpipe.json"

local store_qdrant_filter = {}

local ROOT = "metadata"

local NOTHING = { has_id = json.array {} } -- matches no point

-- A key of the payload; nil where a part cannot be written: in quotes there is no escape.
local function key_of(path)
  local parts = { ROOT }
  for _, part in ipairs(path) do
    if part:find('["%c]') then return nil end
    parts[#parts + 1] = part:find("^[%w_]+$") and part or '"' .. part .. '"'
  end
  return table.concat(parts, ".")
end

local function is_empty(key)
  return { is_empty = { key = key } }
end

-- An integer matches no number that is written with a point, so numbers are ranges.
local function equals(key, value)
  if value == json.null then return is_empty(key) end
  if type(value) ~= "number" then return { key = key, match = { value = value } } end
  if math.abs(value) == math.huge then return NOTHING end
  return { key = key, range = { gte = value, lte = value } }
end

local TESTS = { eq = equals }

for _, name in ipairs { "gt", "gte", "lt", "lte" } do
  TESTS[name] = function(key, value)
    if type(value) == "number" and math.abs(value) ~= math.huge then
      return { key = key, range = { [name] = value } }
    end
  end
end

TESTS["in"] = function(key, list)
  if #list == 0 then return NOTHING end
  local conditions = {}
  for i, value in ipairs(list) do conditions[i] = equals(key, value) end
  return { should = conditions }
end

function TESTS.exists(key, wanted)
  if not wanted then return is_empty(key) end
end

-- A text may also be a part of one, which is a matter of Qdrant's indexes.
function TESTS.contains(key, value)
  if type(value) == "number" or type(value) == "boolean" then return equals(key, value) end
end

local condition_of

-- All that can be said of an "and"; of an "or" all or nothing.
local function conditions_of(node)
  local list = {}
  for _, child in ipairs(node) do
    local condition = condition_of(child)
    if condition then
      list[#list + 1] = condition
    elseif node.op == "or" then
      return nil
    end
  end
  if #list > 0 then return { [node.op == "or" and "should" or "must"] = list } end
end

function condition_of(node)
  if node.op == "and" or node.op == "or" then return conditions_of(node) end
  local test = TESTS[node.op]
  local key = test and key_of(node.path)
  return key and test(key, node.value)
end

--- The filter of a request, which lets through all that matches; nil where all must be let through.
---@param tree moonpipe.FilterNode
---@return table?
function store_qdrant_filter.of(tree)
  local condition = condition_of(tree)
  if not condition or condition.must or condition.should then return condition end
  return { must = { condition } }
end

return store_qdrant_filter
