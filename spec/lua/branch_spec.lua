local helper = require "spec.helper"
local mp = require "moonpipe"
local steps = require "spec.support.steps"

local read, letters = steps.chunks_of, steps.letters

local function says(text)
  return function() return text end
end

local function over(limit)
  return function(x) return x > limit end
end

describe("branch", function()
  local sizes = mp.RunnableBranch({ over(100), says "big" }, { over(10), says "middle" }, says "small")

  it("runs the step of the first condition that holds", function()
    assert.equal("big", sizes:invoke(101))
    assert.equal("middle", sizes:invoke(11))
  end)

  it("runs the default where none holds", function()
    assert.equal("small", sizes:invoke(1))
  end)

  it("asks each condition at most once, and none after one that holds", function()
    local asked = {}
    local function note(name, answer)
      return function()
        asked[#asked + 1] = name
        return answer
      end
    end
    local branch = mp.RunnableBranch({ note("a", false), says(1) }, { note("b", true), says(2) },
      { note("c", true), says(3) }, says(4))
    assert.equal(2, branch:invoke(0))
    assert.same({ "a", "b" }, asked)
  end)

  it("takes maps as conditions and bodies, and JSON's null for false", function()
    local branch = mp.RunnableBranch({ mp.itemgetter "flag", { a = mp.itemgetter "x" } }, says "no")
    assert.same({ a = 1 }, branch:invoke { flag = true, x = 1 })
    assert.equal("no", branch:invoke { flag = mp.null, x = 1 })
  end)

  it("gives the steps their input untouched", function()
    local input = {}
    local branch = mp.RunnableBranch({ says(true), mp.RunnablePassthrough() }, says(0))
    assert.equal(input, branch:invoke(input))
  end)

  it("streams the step that it chose", function()
    local branch = mp.RunnableBranch({ over(1), letters "abc" }, letters "xy")
    assert.same({ "a", "b", "c" }, read(branch:stream(2)))
    assert.same({ "x", "y" }, read(branch:stream(0)))
  end)

  it("takes its whole input before it chooses", function()
    local branch = mp.RunnableBranch({ function(x) return x == "abc" end, letters "yes" }, letters "no")
    assert.same({ "y", "e", "s" }, read(mp.pipe(letters "abc", branch):stream(1)))
  end)

  it("is not asked by an empty stream", function()
    local asked = false
    local branch = mp.RunnableBranch({ function() asked = true end, says(1) }, says(2))
    assert.same({}, read(mp.pipe(letters "", branch):stream(1)))
    assert.is_false(asked)
  end)

  it("chooses for each input of a batch", function()
    assert.same({ "small", "big", "middle", n = 3 }, sizes:batch { 1, 1000, 50 })
  end)

  it("names the branch in which a step failed", function()
    local bad = mp.pipe(mp.RunnablePassthrough(), function() error("no", 0) end)
    local branch = mp.RunnableBranch({ over(10), says(1) }, { over(1), bad }, bad)
    local _, err = mp.pipe({ x = branch }, mp.RunnablePassthrough()):try_invoke(5)
    assert.matches("^step 1 of 2 RunnableParallel<x> > map.x > branch 2 > step 2 of 2 function", err.path)
    assert.matches("branch_spec.lua:%d+$", err.where)
    local _, other = branch:try_invoke(0)
    assert.matches("^branch default > step 2 of 2", other.path)
  end)

  it("names the branch in which a stream failed", function()
    local branch = mp.RunnableBranch({ says(true), function() error("no", 0) end }, says(1))
    local err = helper.failure(read, branch:stream(1))
    assert.equal("branch 1", err.path)
  end)

  it("names the condition that failed", function()
    local err = helper.failure(function() return sizes:invoke "x" end)
    assert.equal("condition 1", err.path)
    assert.equal("lua", err.kind)
  end)

  it("refuses what is no branch where it is composed", function()
    assert.equal("RunnableBranch takes at least one pair {condition, step} and a default, got 1",
      helper.said(mp.RunnableBranch, says(1)))
    assert.equal("branch 2 of RunnableBranch takes a pair {condition, step}, got a list of 3",
      helper.said(mp.RunnableBranch, { over(1), says(1) }, { says(1), says(2), says(3) }, says(1)))
    assert.equal("branch 1 of RunnableBranch takes a pair {condition, step}, got a pair in which one is nil",
      helper.said(mp.RunnableBranch, { nil, says(1) }, says(1)))
    assert.matches("^branch 1 of RunnableBranch takes a pair {condition, step}, got a function",
      helper.said(mp.RunnableBranch, says(1), says(1)))
    assert.matches("^branch 1: a string is not a step; use mp.const%(\"x\"%)",
      helper.said(mp.RunnableBranch, { over(1), "x" }, says(1)))
    assert.matches("^the default: nil is not a step", helper.said(mp.RunnableBranch, { over(1), says(1) }, nil))
  end)

  it("refuses a branch that has no default", function()
    assert.equal("the last argument of RunnableBranch is the default, a step of its own, got a list of 2",
      helper.said(mp.RunnableBranch, { over(1), says(1) }, { over(2), says(2) }))
  end)

  it("checks the keys of every branch before the first call", function()
    local prompt = mp.ChatPromptTemplate.from_template "{quesion}"
    helper.raises("in branch 1: ChatPromptTemplate", mp.pipe, { question = mp.RunnablePassthrough() },
      mp.RunnableBranch({ says(true), prompt }, says(1)))
  end)

  it("knows its keys where all its branches do", function()
    local branch = mp.RunnableBranch({ says(true), { a = says(1) } }, { b = says(1) })
    helper.raises("key 'c' is missing: the step before gives {a, b}", mp.pipe, branch, mp.itemgetter "c")
    assert.is_truthy(mp.pipe(branch, mp.itemgetter "a"))
    assert.is_truthy(mp.pipe(mp.RunnableBranch({ says(true), says(1) }, { b = says(1) }), mp.itemgetter "a"))
  end)

  it("hands bound arguments on", function()
    local branch = mp.RunnableBranch({ over(1), function(_, config) return config.kwargs.k end }, says(1))
    assert.equal("v", branch:bind({ k = "v" }):invoke(2))
    helper.raises("takes bound arguments", function() return sizes:bind { k = 1 } end)
  end)

  it("gives each of several a copy where a map has more than one", function()
    local function spoil(x) x.seen = (x.seen or 0) + 1 return x.seen end
    local branch = mp.RunnableBranch({ spoil, spoil }, spoil)
    assert.same({ a = 2, b = 2 }, mp.RunnableParallel({ a = branch, b = branch }):invoke {})
  end)

  it("is shown as it is written", function()
    local branch = mp.RunnableBranch({ mp.itemgetter "a", mp.const(1) }, mp.const(2))
    assert.equal("RunnableBranch({itemgetter(\"a\"), const 1}, const 2)", tostring(branch))
    assert.equal("RunnableBranch", branch:get_name())
  end)
end)
