-- Filters as SQLite answers them, against filter.lua's own test.
local filter = require "moonpipe.stores.filter"
local filter_sql = require "moonpipe.stores.filter_sql"
local docstores = require "spec.support.docstores"
local helper = require "spec.helper"
local mp = require "moonpipe"

local random = math.random

local function any(list)
  return list[random(#list)]
end

-- ---- random metadata and filters ---------------------------------------------------------------

local KEYS = { "a", "b", "c", "d e", "f.g", "é", "", "1", "$x", "q\"", "back\\slash", "t\t", "$" }
local TEXTS = { "", "a", "b", "ab", "A", "é", "e\204\129", "\u{fffd}", "\u{10ffff}", "\0", "a\0b",
  "a\0", "1", "true", "null", "\"", "\\", "\n", "%", "_" }
local NUMBERS = { 0, -0.0, 1, -1, 2, 0.5, 1 / 3, 0.1 + 0.2, 0.3, 2 ^ 53, 2 ^ 53 + 2, 2 ^ 60, 2 ^ 63,
  -2 ^ 63, 1e20, 1e300, 5e-324, 1.7976931348623157e308, 123456.789 }

local function scalar()
  local kind = random(8)
  if kind <= 3 then return any(NUMBERS) end
  if kind <= 6 then return any(TEXTS) end
  if kind == 7 then return random(2) == 1 end
  return mp.null
end

local function value(depth)
  local kind = random(6)
  if kind <= 4 or depth > 2 then return scalar() end
  local out = kind == 5 and mp.array {} or {}
  for i = 1, random(0, 4) do
    if kind == 5 then out[i] = value(depth + 1) else out[any(KEYS)] = value(depth + 1) end
  end
  return out
end

local function metadata()
  local out = {}
  for _ = 1, random(0, 5) do out[any(KEYS)] = value(1) end
  return out
end

local function some_path()
  local parts = {}
  for i = 1, random(8) <= 6 and 1 or 2 do
    repeat parts[i] = any(KEYS) until parts[i] ~= "" and not parts[i]:find(".", 1, true)
  end
  if parts[1]:sub(1, 1) == "$" then parts[1] = "a" end
  return table.concat(parts, ".")
end

local function list()
  local out = {}
  for i = 1, random(0, 4) do out[i] = scalar() end
  return out
end

local function ordered()
  return any(random(2) == 1 and NUMBERS or TEXTS)
end

local OPERATORS = {
  ["$eq"] = scalar, ["$ne"] = scalar, ["$gt"] = ordered, ["$gte"] = ordered, ["$lt"] = ordered,
  ["$lte"] = ordered, ["$in"] = list, ["$nin"] = list, ["$contains"] = scalar,
  ["$exists"] = function() return random(2) == 1 end,
}
local NAMES = {}
for name in pairs(OPERATORS) do NAMES[#NAMES + 1] = name end
table.sort(NAMES)

local function a_filter(depth)
  local kind = random(10)
  if kind == 1 and depth < 3 then return { ["$not"] = a_filter(depth + 1) } end
  if kind <= 4 and depth < 3 then
    local nodes = {}
    for i = 1, random(3) do nodes[i] = a_filter(depth + 1) end
    return { [random(2) == 1 and "$and" or "$or"] = nodes }
  end
  if kind == 5 then return { [some_path()] = scalar() } end
  if kind == 6 and random(3) == 1 then
    return function(found, doc) return found.a ~= nil or #doc.page_content % 2 == 0 end
  end
  local name = any(NAMES)
  local operators = { [name] = OPERATORS[name]() }
  if random(4) == 1 then operators = { ["$not"] = operators } end
  return { [some_path()] = operators }
end

local function documents(first, count)
  local out = {}
  for i = 1, count do
    out[i] = mp.Document { page_content = ("x"):rep(random(0, 5)), metadata = metadata(),
      id = tostring(first + i) }
  end
  return out
end

describe("filters in SQLite", function()
  it("take what they take in Lua", function()
    local seed, translated = os.time(), 0
    math.randomseed(seed)
    local memory, file = docstores.both(documents(0, 100))
    for i = 1, helper.long and 20000 or 600 do
      local given = a_filter(1)
      local tree = assert(filter.parse(given))
      if filter_sql.translate(tree) then translated = translated + 1 end
      assert.same(docstores.matching(memory, given), docstores.matching(file, given),
        ("seed %d, filter %d: %s"):format(seed, i, mp.inspect(given)))
    end
    assert.is_true(translated > 200, translated .. " were translated")
    file:close()
  end)

  local CASES = {
    { { a = 1 }, { a = 1 } }, { { a = 0 }, { a = -0.0 } }, { { a = "1" }, { a = "1" } },
    { { a = mp.null }, { b = 1 } }, { { a = { ["$ne"] = 1 } }, {} },
    { { ["a.b"] = 1 }, { a = { b = 1 } } },
    { { a = { ["$gt"] = 2 ^ 53 } }, { a = 2 ^ 53 + 2 } },
    { { a = { ["$lt"] = "b" } }, { a = "a" } }, { { a = { ["$contains"] = "" } }, { a = "" } },
    { { a = { ["$contains"] = 2 } }, { a = { 1, 2 } } },
    { { a = { ["$contains"] = mp.null } }, { a = { 1, mp.null } } },
    { { a = { ["$in"] = { -0.0 } } }, { a = 0 } },
    { { a = { ["$in"] = { mp.null } } }, {} }, { { a = { ["$nin"] = {} } }, { a = 1 } },
    { { ["$and"] = { { a = 1 }, { ["$not"] = { b = 1 } } } }, { a = 1 } },
  }
  local NOT = {
    { { a = 1 }, { a = "1" } }, { { a = true }, { a = "true" } }, { { a = "null" }, { a = mp.null } },
    { { a = "1" }, { a = 1 } }, { { ["a.1"] = 1 }, { a = { 1 } } },
    { { a = { ["$gt"] = 1 } }, { a = "2" } },
    { { a = { ["$contains"] = 1 } }, { a = { b = 1 } } }, { { a = { ["$in"] = {} } }, { a = 1 } },
    { { a = "a" }, { a = "a\0b" } }, { { a = { ["$lte"] = "a" } }, { a = "a\0" } },
  }

  it("are right where values look alike", function()
    for expected, cases in ipairs { NOT, CASES } do
      for i, case in ipairs(cases) do
        local file = mp.SQLiteDocstore(helper.fresh())
        helper.run(function()
          file:put(0, { mp.Document { page_content = "", metadata = case[2], id = "x" } })
        end)
        assert.equal(expected - 1, #docstores.matching(file, case[1]), ("case %d: %s of %s"):format(i,
          mp.inspect(case[1]), mp.inspect(case[2])))
        assert.is_true((select(2, filter_sql.translate(filter.parse(case[1])))))
        file:close()
      end
    end
  end)

  it("ask SQLite for all that it can know", function()
    local function translated(given)
      local where, exact = filter_sql.translate(filter.parse(given))
      return where ~= nil, exact
    end
    local fn = function() return true end
    assert.same({ true, true }, { translated { a = 1, b = { ["$in"] = { 1, 2 } } } })
    assert.same({ true, false }, { translated { ["$and"] = { { a = 1 }, fn } } })
    assert.same({ false, false }, { translated { ["$or"] = { { a = 1 }, fn } } })
    assert.same({ false, false }, { translated { ["$not"] = { ["$and"] = { { a = 1 }, fn } } } })
    assert.same({ false, false }, { translated { a = "\255" } })
    assert.same({ false, false }, { translated { ["a\""] = 1 } })
    local many = {}
    for i = 1, 6000 do many[i] = i end
    assert.same({ false, false }, { translated { a = { ["$in"] = many } } })
  end)
end)
