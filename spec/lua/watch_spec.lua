local helper = require "spec.helper"

local SCRIPT = [[
local mp = require "moonpipe"
local map = mp.RunnableParallel {
  a = function(t) t.own = 1 %s return 1 end,
  b = function(t) return t.x end,
}
map:invoke { x = 1, deep = { list = { 1, 2 }, array = mp.array { 1, 2 } } }
]]

-- What is said on stderr when branch a does `what`.
local function told(what, check)
  local script = helper.temp(SCRIPT:format(what))
  local stdout, stderr, code = helper.moonpipe({ script }, nil, { MOONPIPE_CHECK = check })
  assert.equal("", stdout)
  assert.equal(0, code)
  return stderr
end

describe("MOONPIPE_CHECK", function()
  it("tells of a write into a shared nested table, with its path", function()
    assert.matches("^moonpipe: .-:2: a branch of {a, b} wrote into the input that it shares, at " ..
      "'deep.list.2'\n$", told("t.deep.list[2] = 5", "1"))
  end)

  it("tells of a write into an array that came as JSON", function()
    assert.matches("at 'deep.array.1'\n$", told("t.deep.array[1] = 5", "1"))
  end)

  it("tells of a key that is gone", function()
    assert.matches("at 'deep.list'\n$", told("t.deep.list = nil", "1"))
  end)

  it("says nothing of a branch's own copy", function()
    assert.equal("", told("t.x = 5", "1"))
  end)

  it("costs and says nothing when it is off", function()
    assert.equal("", told("t.deep.list[2] = 5", false))
  end)
end)
