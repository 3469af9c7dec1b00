local guest = require "spec.support.guest"
local helper = require "spec.helper"
local traversal = require "moonpipe.traversal"

-- What a compiler that gives up on a loop makes of it: the case of LuaJIT#827.
local function count_wrong(pairs)
  local inner = { 1, 2, 3, 4, 5 }
  local outer, wrong = { a = inner, b = inner, c = inner, d = inner, e = inner }, 0
  local function leave() for _ = 1, 100 do end end
  for _ = 1, 30000 do
    leave()
    local count = 0
    for _, list in pairs(outer) do
      for _ in pairs(list) do end
      count = count + 1
    end
    if count ~= 5 then wrong = wrong + 1 end
  end
  return wrong
end

describe("traversal", function()
  it("gives every key of nested loops", function()
    assert.equal(0, count_wrong(traversal.pairs))
  end)

  it("is the pairs of scripts in our binary", function()
    assert.equal(0, count_wrong(pairs))
    if traversal.is_broken() then assert.equal(traversal.pairs, pairs) end
  end)

  it("is the pairs of the library", function()
    local found
    for i = 1, 60 do
      local name, value = debug.getupvalue(require("moonpipe.tree").own, i)
      if name == "pairs" then found = value end
    end
    if not os.getenv "MOONPIPE_LUA_PATH" then assert.equal(traversal.pairs, found) end
  end)

  it("gives what pairs gives", function()
    local seen = {}
    for key, value in traversal.pairs({ 1, 2, a = 3 }) do seen[key] = value end
    assert.same({ 1, 2, a = 3 }, seen)
    assert.has_error(function() traversal.pairs(nil) end)
  end)
end)

-- Steps that give tables of two kinds by turns: what a compiler that takes them for one
-- makes of it is garbage, on which the collector crashes.
local BY_TURNS = [[
local mp = require "moonpipe"
local A, B
local function set(a, b) A, B = a, b end
set({}, {})
local n = 0
local function step(x)
  if getmetatable(x) == A then return setmetatable({ content = x.text }, B) end
  n = n + 1
  return setmetatable({ text = "t" .. n }, A)
end
local steps = {}
for i = 1, 50 do steps[i] = mp.RunnableLambda(step) end
local chain = mp.RunnableSequence(unpack(steps))
local rounds = mp.loop { body = step, until_ = function() return n % 50 == 0 end, max = 100 }
for round = 1, 300 do
  local x = setmetatable({ text = "a" .. round }, round % 2 == 0 and A or B)
  chain:invoke(x)
  rounds:invoke(x)
  if round % 10 == 0 then collectgarbage() end
end
io.write "right"
]]

describe("a chain of steps that give tables of two kinds", function()
  it("is compiled right in our binary", function()
    for _ = 1, 5 do
      local out, err, code = helper.moonpipe({ "-e", BY_TURNS })
      assert.same({ "right", "", 0 }, { out, err, code })
    end
  end)

  it("is compiled right in somebody else's LuaJIT", function()
    for _ = 1, 5 do
      local out, err, code = helper.execute({ "luajit", "-e", BY_TURNS }, nil, guest.environment)
      assert.same({ "right", "", 0 }, { out, err, code })
    end
  end)
end)
