-- Random expressions on random texts, held against the regular expressions of JavaScript, which
-- JSON Schema means; where there is a Node.
local helper = require "spec.helper"
local json = require "moonpipe.json"
local mp = require "moonpipe"
local pattern = require "moonpipe.schema.pattern"

local COUNT, TEXTS = helper.long and 20000 or 1500, 6

local ATOMS = { "a", "b", "é", "ö", ".", "\\d", "\\w", "\\s", "\\S", "\\D", "\\W", "[ab]", "[^a]",
  "[^é]", "[é1]", "[a-c]", "-", "\\.", "\\$", "x", "1", " ", "[\\w-]", "[^\\d]", "[\\s\\S]" }
local COUNTS = { "", "", "", "", "*", "+", "?", "{2}", "{1,2}", "{2,}", "{0,3}", "*?", "{1,3}" }
local CHARACTERS = { "a", "b", "c", "é", "ö", "ü", "1", "2", "x", " ", "-", ".", "$", "\n",
  "\194\160", "\226\128\168", "\240\159\152\128" }

-- Prints the places at which JavaScript says otherwise: "expression: text".
local JUDGE = [[
const rows = JSON.parse(require("fs").readFileSync(0, "utf8"));
for (const row of rows) {
  const expression = new RegExp(row.pattern, "u");
  row.texts.forEach((text, i) => {
    if (expression.test(text) !== row.found[i])
      console.log(JSON.stringify(row.pattern) + ": " + JSON.stringify(text));
  });
}]]

local state = 7

local function random(most)
  state = state * 16807 % 2147483647
  return state % most + 1
end

local function one_of(list)
  return list[random(#list)]
end

local function expression(depth)
  local parts = {}
  for i = 1, random(5) - 1 do
    if depth > 0 and random(10) == 1 then
      local other = random(2) == 1 and "|" .. expression(depth - 1) or ""
      parts[i] = one_of { "(", "(?:" } .. expression(depth - 1) .. other .. ")"
        .. one_of { "", "", "?", "{2}" }
    else
      parts[i] = one_of(ATOMS) .. one_of(COUNTS)
    end
  end
  local text = table.concat(parts)
  if depth < 2 then return text end
  return (random(3) > 1 and "^" or "") .. text .. (random(3) > 1 and "$" or "")
end

local function row_of(text, matches)
  local row = { pattern = text, texts = mp.array {}, found = mp.array {} }
  for i = 1, TEXTS do
    local parts = {}
    for k = 1, random(7) - 1 do parts[k] = one_of(CHARACTERS) end
    row.texts[i] = table.concat(parts)
    row.found[i] = matches(row.texts[i])
  end
  return row
end

describe("a pattern of a schema", function()
  it("is matched as JavaScript matches it", function()
    local _, _, missing = helper.execute { "node", "--version" }
    if missing ~= 0 then return pending "there is no node" end
    local rows = mp.array {}
    for _ = 1, COUNT do
      local text = expression(2)
      local matches = pattern.matcher(text)
      rows[#rows + 1] = matches and row_of(text, matches)
    end
    assert.truthy(#rows > COUNT / 2)
    local out, err, code = helper.execute({ "node", "-e", JUDGE }, json.encode(rows))
    assert.equal("", out .. err)
    assert.equal(0, code)
  end)
end)
