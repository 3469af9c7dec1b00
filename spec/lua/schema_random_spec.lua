-- Random schemas with values made to fit them; the same values with one place made wrong.
local helper = require "spec.helper"
local json = require "moonpipe.json"
local mp = require "moonpipe"

local ROUNDS = helper.long and 20000 or 400

local state = 1

local function random(most)
  state = state * 16807 % 2147483647
  return state % most + 1
end

local make -- make(depth) -> schema, value, break(): a value that does not fit, path

local LEAVES = {
  function()
    local least = random(4) - 1
    local text = ("é"):rep(least + random(3))
    return { type = "string", minLength = least + 1, maxLength = least + 3 }, text,
      function() return random(2) == 1 and text .. "ééé" or random(100) end
  end,
  function()
    local low = random(100) - 50
    return { type = "integer", minimum = low, exclusiveMaximum = low + 10 }, low + random(9),
      function() return ({ low - 1, low + 10, low + 0.5, "x", mp.null })[random(5)] end
  end,
  function()
    return { enum = { "a", "b", 3, mp.null } }, ({ "a", "b", 3, mp.null })[random(4)],
      function() return ({ "c", 4, true, { a = 1 } })[random(4)] end
  end,
  function()
    return { const = { a = { 1, 2 } } }, { a = { 1, 2 } },
      function() return { a = { 1, 3 } } end
  end,
  function()
    return { type = "string", pattern = "^[a-f]{2,4}$" }, ("af"):rep(random(2)),
      function() return ({ "a", "abcdef", "xy" })[random(3)] end
  end,
  function()
    return { type = { "boolean", "null" } }, random(2) == 1 or mp.null,
      function() return ({ 0, "true", mp.array {} })[random(3)] end
  end,
}

local function copy(list)
  local out = mp.array {}
  for i = 1, #list do out[i] = list[i] end
  return out
end

local function array_of(depth)
  local items, value, wrong = make(depth - 1)
  local list = mp.array {}
  for i = 1, random(3) do list[i] = value end
  return { type = "array", items = items, minItems = 1, maxItems = 3 }, list, function()
    local broken = copy(list)
    local at = random(#list)
    local member, path = wrong()
    broken[at] = member
    return broken, ("[%d]%s"):format(at, path or "")
  end
end

local function object_of(depth)
  local schema = { type = "object", properties = {}, required = {}, additionalProperties = false }
  local value, breakers, names = {}, {}, {}
  for i = 1, random(4) do
    local name = "p" .. i
    local one, member, wrong = make(depth - 1)
    schema.properties[name], schema.required[i] = one, name
    value[name], breakers[name], names[i] = member, wrong, name
  end
  return schema, value, function()
    local broken = {}
    for name, member in pairs(value) do broken[name] = member end
    local name, way = names[random(#names)], random(4)
    if way == 1 then broken[name] = nil return broken, "" end
    if way == 2 then broken.more = 1 return broken, ".more" end
    local member, path = breakers[name]()
    broken[name] = member
    return broken, "." .. name .. (path or "")
  end
end

local function alternative_of(depth)
  local one, value, wrong = make(depth - 1)
  local word = ({ "anyOf", "allOf", "oneOf" })[random(3)]
  local list = { one }
  if word ~= "allOf" then list[2] = { type = "object", required = { "never" } } end
  return { [word] = list }, value, wrong
end

local BRANCHES = { array_of, object_of, object_of, alternative_of }

function make(depth)
  if depth == 0 or random(3) == 1 then return LEAVES[random(#LEAVES)]() end
  return BRANCHES[random(#BRANCHES)](depth)
end

describe("schema.validate", function()
  it("takes what was made to fit, and tells the one place that was made wrong", function()
    for round = 1, ROUNDS do
      state = round * 7919
      local schema, value, wrong = make(4)
      local text = json.encode { schema = schema, value = value }
      local ok, problems = mp.schema.validate(value, schema)
      assert.truthy(ok, text .. (problems and mp.schema.text(problems) or ""))
      assert.truthy(mp.schema.validate(json.decode(text).value, json.decode(text).schema,
        { json = true }), text)
      local broken, path = wrong()
      ok, problems = mp.schema.validate(broken, schema)
      assert.falsy(ok, text .. " " .. json.encode { broken })
      local at = "$" .. (path or "")
      assert.equal(at:sub(1, #problems[1].path), problems[1].path, text)
    end
  end)
end)
