local helper = require "spec.helper"
local mp = require "moonpipe"

local function add(n)
  return function(x) return x + n end
end

describe("sequence", function()
  it("feeds each step the result of the one before", function()
    assert.equal(12, mp.pipe(add(1), function(x) return x * 3 end):invoke(3))
  end)

  it("is flat, whichever way it is joined", function()
    local a, b, c = mp.RunnableLambda(add(1)), mp.RunnableLambda(add(2)), mp.RunnableLambda(add(3))
    assert.equal(3, #mp.pipe(mp.pipe(a, b), c).steps)
    assert.equal(3, #mp.pipe(a, mp.pipe(b, c)).steps)
    assert.equal(4, #mp.RunnableSequence(mp.pipe(a, b), mp.pipe(b, c)).steps)
    assert.equal(3, #a:pipe(b, c).steps)
  end)

  it("needs two steps", function()
    helper.raises("RunnableSequence takes at least two steps, got 1", mp.RunnableSequence, add(1))
    helper.raises("pipe takes at least two steps, got 1", mp.pipe, add(1))
  end)

  it("names the failing step, its number and where it was composed", function()
    local chain = mp.pipe(add(1), function() error("boom", 0) end, add(2))
    local _, err = chain:try_invoke(1)
    assert.equal("lua", err.kind)
    assert.equal("boom", err.message)
    assert.matches("^step 2 of 3 function .*sequence_spec.lua:%d+$", err.path)
    assert.matches("sequence_spec.lua:%d+$", err.where)
    assert.matches("^function ", err.step)
    assert.matches("stack traceback", err.traceback)
  end)

  it("names the path through maps and sequences", function()
    local chain = mp.pipe(add(0), { joke = mp.pipe(add(1), function() error("boom", 0) end) })
    local _, err = chain:try_invoke(1)
    assert.matches("^step 2 of 2 RunnableParallel<joke> > map.joke > step 2 of 2 function", err.path)
    assert.matches("in step 2 of 2 RunnableParallel<joke> > map key 'joke' > step 2 of 2", tostring(err))
  end)

  it("hands nil on as an input", function()
    local chain = mp.pipe(function() return nil end, function(x) return x == nil end)
    assert.is_true(chain:invoke(1))
  end)

  it("hands false on as a value", function()
    assert.is_true(mp.pipe(function() return false end, function(x) return x == false end):invoke(1))
  end)

  it("reads like its source", function()
    local chain = mp.pipe({ b = mp.const(1), a = mp.itemgetter("x") }, mp.RunnablePassthrough())
    assert.equal("{a, b} | RunnablePassthrough", tostring(chain))
  end)

  it("streams through steps that can", function()
    local chain = mp.pipe(mp.RunnableGenerator(function(_, emit)
      emit("a")
      emit("b")
    end), mp.RunnablePassthrough())
    local seen = {}
    for c in chain:stream(1) do seen[#seen + 1] = c end
    assert.same({ "a", "b" }, seen)
  end)

  it("gathers for a step that cannot", function()
    local chain = mp.pipe(mp.RunnableGenerator(function(_, emit)
      emit("a")
      emit("b")
    end), string.upper)
    local seen = {}
    for c in chain:stream(1) do seen[#seen + 1] = c end
    assert.same({ "AB" }, seen)
  end)

  it("names the failing step of a stream once, and after the chunks before it", function()
    local chain = mp.pipe(mp.RunnableGenerator(function(_, emit)
      emit("a")
      error("cut", 0)
    end), mp.RunnablePassthrough(), mp.RunnablePassthrough())
    local stream = chain:stream(1)
    assert.equal("a", stream())
    local ok, err = pcall(stream)
    assert.is_false(ok)
    assert.matches("^step 1 of 3 generator [^>]*$", err.path)
    assert.is_nil(stream())
  end)

  it("does not blame its steps for the source of a transform", function()
    local chain = mp.pipe(mp.RunnablePassthrough(), mp.RunnablePassthrough())
    local stream = chain:transform(function() error("source", 0) end)
    local ok, err = pcall(stream)
    assert.is_false(ok)
    assert.equal("source", err)
  end)

  it("transforms a stream of chunks", function()
    local given = { "x", "y" }
    local stream = mp.pipe(mp.RunnablePassthrough(), mp.RunnableGenerator(function(chunks, emit)
      for c in chunks do emit(c .. "!") end
    end)):transform(function() return table.remove(given, 1) end)
    assert.equal("x!", stream())
    assert.equal("y!", stream())
    assert.is_nil(stream())
  end)

  it("does not call a step whose input stream is empty", function()
    local called = false
    local chain = mp.pipe(mp.RunnableGenerator(function() end), function() called = true end)
    for _ in chain:stream(1) do error("no chunk was due") end
    assert.is_false(called)
  end)
end)

describe("an error", function()
  it("says what the failing step was given", function()
    local bad = mp.RunnableLambda(function(x) return x.a.b end)
    assert.equal("{ q = 1 }", helper.failure(bad.invoke, bad, { q = 1 }).input)
    local chain = mp.pipe(bad, mp.RunnablePassthrough())
    assert.equal("{ q = 1 }", helper.failure(chain.invoke, chain, { q = 1 }).input)
    assert.equal("{ q = 1 }", helper.failure(function() chain:stream({ q = 1 }):collect() end).input)
    local parser = mp.pipe(mp.const(5), mp.StrOutputParser())
    assert.equal("5", helper.failure(parser.invoke, parser, "x").input)
    local nested = mp.pipe(mp.const "outer", { a = mp.pipe(mp.const { k = 1 }, bad) })
    assert.equal("{ k = 1 }", helper.failure(nested.invoke, nested, 1).input)
  end)
end)

describe("try_invoke", function()
  it("gives the value, or nil and the error", function()
    assert.same({ 2 }, { mp.RunnableLambda(add(1)):try_invoke(1) })
    local value, err = mp.RunnableLambda(function() error("no", 0) end):try_invoke(1)
    assert.is_nil(value)
    assert.equal("no", err.message)
  end)

  it("has not failed when the value is nil or false", function()
    assert.same({ n = 1 }, { n = select("#", mp.RunnableLambda(function() end):try_invoke(1)) })
    local value, err = mp.const(false):try_invoke(1)
    assert.is_false(value)
    assert.is_nil(err)
  end)
end)
