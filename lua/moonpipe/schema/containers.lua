--- What the keywords of arrays and objects say of a value.
local errors = require "moonpipe.error"
local json = require "moonpipe.json"
local pattern = require "moonpipe.schema.pattern"
local state_of = require "moonpipe.schema.state"

local add, apply_at, descend, fits = state_of.add, state_of.at, state_of.descend, state_of.fits

local containers = {}

---The names of an object, sorted.
---@param t table
---@return string[]
local function sorted_names(t)
  local names = {}
  for name in pairs(t) do
    if type(name) == "string" then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

local function plural(count, noun, nouns)
  return ("%d %s"):format(count, count == 1 and noun or nouns or noun .. "s")
end

---A keyword that bounds a size: [least]: at least so many, else at most.
function containers.sized(keyword, least, size_of, noun, nouns)
  return function(state, value, limit)
    local size = size_of(value)
    if least and size >= limit or not least and size <= limit then return end
    add(state, keyword, ("expected %s %s, got %d"):format(least and "at least" or "at most",
      plural(limit, noun, nouns), size))
  end
end

local sized = containers.sized

-- ---- arrays ------------------------------------------------------------------------------

local function size_of_list(list)
  return #list
end

-- Equal values have the same text; what has none is equal to itself only.
local function fingerprint(value)
  if type(value) ~= "table" and type(value) ~= "string" then return value end
  local ok, text = pcall(json.encode, value)
  return ok and text or value
end

local function unique(state, list, wanted)
  local seen = {}
  for i = 1, wanted and #list or 0 do
    local key = fingerprint(list[i])
    if seen[key] then
      return add(state, "uniqueItems", ("members %d and %d are equal"):format(seen[key], i))
    end
    seen[key] = i
  end
end

local function contains(state, list, schema, whole)
  local count = 0
  for i = 1, #list do
    if fits(state, list[i], schema) then count = count + 1 end
  end
  local least, most = whole.minContains or 1, whole.maxContains
  if count < least or most and count > most then
    add(state, "contains", ("%d members fit contains, expected %s"):format(count,
      count < least and "at least " .. least or "at most " .. most))
  end
end

containers.array = {
  minItems = sized("minItems", true, size_of_list, "member"),
  maxItems = sized("maxItems", false, size_of_list, "member"),
  uniqueItems = unique,
  contains = contains,
  prefixItems = function(state, list, schemas)
    for i = 1, math.min(#schemas, #list) do descend(state, i, list[i], schemas[i]) end
  end,
  items = function(state, list, schema, whole)
    local first = #(whole.prefixItems or {}) + 1
    if schema == false and #list >= first then
      return add(state, "items", ("expected at most %s, got %d"):format(
        plural(first - 1, "member"), #list))
    end
    for i = first, #list do descend(state, i, list[i], schema) end
  end,
}

-- ---- objects -----------------------------------------------------------------------------

local function size_of_object(object)
  return #sorted_names(object)
end

-- Whether a name is one of those that the schema knows.
local function is_known(name, schema)
  if schema.properties and schema.properties[name] ~= nil then return true end
  for text in pairs(schema.patternProperties or {}) do
    local matches = pattern.matcher(text)
    if not matches or matches(name) then return true end
  end
  return false
end

local function refuse_name(state, name, schema)
  local names = sorted_names(schema.properties or {})
  local allowed = names[1] and "; allowed: " .. table.concat(names, ", ") or ""
  apply_at(state, name, add, "additionalProperties", ("unknown property%s%s"):format(allowed,
    errors.hint(name, names)))
end

local function additional(state, object, more, schema)
  if more == true then return end
  for _, name in ipairs(sorted_names(object)) do
    if not is_known(name, schema) then
      if more == false then
        refuse_name(state, name, schema)
      else
        descend(state, name, object[name], more)
      end
    end
  end
end

local function need(state, object, names, because)
  for i = 1, #names do
    if object[names[i]] == nil then
      add(state, "required", ("property %s is missing%s"):format(json.encode(names[i]), because))
    end
  end
end

containers.object = {
  minProperties = sized("minProperties", true, size_of_object, "property", "properties"),
  maxProperties = sized("maxProperties", false, size_of_object, "property", "properties"),
  required = function(state, object, names) need(state, object, names, "") end,
  properties = function(state, object, schemas)
    for _, name in ipairs(sorted_names(schemas)) do
      if object[name] ~= nil then descend(state, name, object[name], schemas[name]) end
    end
  end,
  patternProperties = function(state, object, schemas)
    for _, text in ipairs(sorted_names(schemas)) do
      local matches = pattern.matcher(text)
      for _, name in ipairs(matches and sorted_names(object) or {}) do
        if matches(name) then descend(state, name, object[name], schemas[text]) end
      end
    end
  end,
  additionalProperties = additional,
  propertyNames = function(state, object, schema)
    for _, name in ipairs(sorted_names(object)) do state:apply(name, schema) end
  end,
  dependentRequired = function(state, object, lists)
    for _, name in ipairs(sorted_names(lists)) do
      if object[name] ~= nil then
        need(state, object, lists[name], ", which " .. json.encode(name) .. " asks for")
      end
    end
  end,
  dependentSchemas = function(state, object, schemas)
    for _, name in ipairs(sorted_names(schemas)) do
      if object[name] ~= nil then state:apply(object, schemas[name]) end
    end
  end,
}

return containers
