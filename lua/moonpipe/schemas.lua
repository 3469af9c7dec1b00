--- What goes into a chain and what comes out, as far as it can be known.
--
-- A schema is a JSON Schema as a table; an empty one means that anything may
-- come. A step that knows better than its parts says so in `_input_schema()` or
-- `_output_schema()`, which may give nil.
local json = require "moonpipe.json"

local schemas = {}

-- ---- making ------------------------------------------------------------------

---The schema of a table with keys of which nothing else is known.
---@param required string[]
---@param optional string[]?
---@return table
function schemas.keys(required, optional)
  local properties = {}
  for _, key in ipairs(required) do properties[tostring(key)] = {} end
  for _, key in ipairs(optional or {}) do properties[tostring(key)] = {} end
  local names = {}
  for i, key in ipairs(required) do names[i] = tostring(key) end
  table.sort(names)
  return { type = "object", properties = properties, required = json.array(names) }
end

local function is_open(schema)
  return schema == nil or next(schema) == nil
end

-- Adds what [schema] asks for to [all]: two schemas of one key ask for both.
local function add(all, schema)
  if is_open(schema) or schema.type ~= "object" then return end
  for key, one in pairs(schema.properties or {}) do
    local other = all.properties[key]
    if is_open(other) then
      all.properties[key] = one
    elseif not is_open(one) then
      all.properties[key] = { allOf = json.array { other, one } }
    end
  end
  for _, key in ipairs(schema.required or {}) do all.needed[key] = true end
end

local function object_of(all)
  local names = {}
  for key in pairs(all.needed) do names[#names + 1] = key end
  if next(all.properties) == nil then return {} end
  table.sort(names)
  return { type = "object", properties = all.properties, required = json.array(names) }
end

-- All the same, or one of several.
local function any_of(list)
  local seen, out = {}, json.array {}
  for _, schema in ipairs(list) do
    if is_open(schema) then return {} end
    local text = json.encode(schema)
    if not seen[text] then out[#out + 1] = schema end
    seen[text] = true
  end
  if #out <= 1 then return out[1] or {} end
  return { anyOf = out }
end

-- ---- by shape ------------------------------------------------------------------

local input_of, output_of

local INPUT, OUTPUT = {}, {}

-- Of the first, or the only one.
local function first_input(items)
  return input_of(items[1].step)
end

INPUT.sequence, INPUT.frame, INPUT.same = first_input, first_input, first_input

---What those need together who get the same input.
---@param list table[]
---@return table
function schemas.together(list)
  local all = { properties = {}, needed = {} }
  for _, schema in ipairs(list) do add(all, schema) end
  return object_of(all)
end

local function shared_input(items)
  local list = {}
  for _, item in ipairs(items) do list[#list + 1] = item.step and input_of(item.step) end
  return schemas.together(list)
end

INPUT.map = shared_input

-- A step that is made at its first use is not known yet.
local function one_of(items, schema_of)
  local list = {}
  for i, item in ipairs(items) do list[i] = item.step and schema_of(item.step) or {} end
  return any_of(list)
end

function INPUT.choice(items)
  return one_of(items, input_of)
end

function OUTPUT.sequence(items)
  return output_of(items[#items].step)
end

function OUTPUT.map(items)
  local properties, required, goes_by = {}, json.array {}, false
  for _, item in ipairs(items) do
    if item.step then
      properties[item.label] = output_of(item.step)
      required[#required + 1] = item.label
    end
    goes_by = goes_by or not item.step
  end
  return {
    type = "object",
    properties = properties,
    required = required,
    additionalProperties = goes_by or nil,
  }
end

function OUTPUT.choice(items)
  return one_of(items, output_of)
end

function OUTPUT.frame(items)
  return output_of(items[1].step)
end

OUTPUT.same = OUTPUT.frame

local function reader(method, by_shape)
  return function(step)
    local known = step[method] and step[method](step)
    if known then return known end
    local parts = step:_parts()
    return parts and by_shape[parts.shape](parts.items) or {}
  end
end

input_of = reader("_input_schema", INPUT)
output_of = reader("_output_schema", OUTPUT)

---What [step] needs.
---@param step moonpipe.Runnable
---@return table
function schemas.input(step)
  return input_of(step)
end

---What [step] gives.
---@param step moonpipe.Runnable
---@return table
function schemas.output(step)
  return output_of(step)
end

return schemas
