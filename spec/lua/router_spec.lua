local helper = require "spec.helper"
local mp = require "moonpipe"
local steps = require "spec.support.steps"

local read, emitting = steps.chunks_of, steps.emitting

describe("router", function()
  local router = mp.RouterRunnable {
    double = function(x) return x * 2 end,
    letters = emitting("a", "b"),
  }

  it("runs the step that the input names", function()
    assert.equal(6, router:invoke { key = "double", input = 3 })
    assert.equal("ab", router:invoke { key = "letters", input = 3 })
  end)

  it("gives nil where there is no input", function()
    assert.is_true(mp.RouterRunnable({ a = function(x) return x == nil end }):invoke { key = "a" })
  end)

  it("says which keys there are where it has none", function()
    assert.equal("RouterRunnable has no step for key 'duoble'; it has {double, letters}; did you mean 'double'?",
      helper.input_failure(router.invoke, router, { key = "duoble", input = 1 }))
  end)

  it("says which item of a batch has no step", function()
    local out = router:batch({ { key = "double", input = 1 }, { key = "b" } }, { return_exceptions = true })
    assert.equal(2, out[1])
    assert.equal("batch[2]", out[2].path)
    assert.matches("no step for key 'b'", out[2].message)
  end)

  it("refuses input of another shape", function()
    assert.equal("RouterRunnable takes a table { key =, input = }, got a string",
      helper.input_failure(router.invoke, router, "x"))
    assert.matches("got a table with keys {input}",
      helper.input_failure(router.invoke, router, { input = 1 }))
  end)

  it("streams the step that it was told", function()
    assert.same({ "a", "b" }, read(router:stream { key = "letters" }))
  end)

  it("streams its input to the step, once a map has given the key #concurrency", function()
    local made = {}
    local source = mp.RunnableGenerator(function(_, emit)
      for _, text in ipairs { "a", "b", "c" } do
        made[#made + 1] = text
        emit(text)
      end
    end)
    local spelt = mp.RouterRunnable { upper = mp.map_chunks(string.upper), none = mp.const(0) }
    local chain = mp.pipe({ key = mp.const "upper", input = source }, spelt)
    local stream = chain:stream(1)
    assert.equal("A", stream())
    assert.is_true(#made < 3)
    assert.equal("BC", stream:collect())
    assert.equal("ABC", chain:invoke(1))
  end)

  it("waits for a key that comes in pieces, or last #concurrency", function()
    local late = mp.RunnableGenerator(function(chunks, emit)
      while chunks() do mp.sleep(0) end
      emit "dou"
      emit "ble"
    end)
    local chain = mp.pipe(emitting(1, 2, 4), { key = late, input = mp.RunnablePassthrough() }, router)
    assert.same({ 8 }, read(chain:stream(1)))
    local wrong = mp.pipe(emitting(1), { key = mp.const "b", input = mp.RunnablePassthrough() }, router)
    assert.matches("no step for key 'b'", helper.failure(read, wrong:stream(1)).message)
  end)

  it("is not blamed for its source", function()
    local broken = mp.RunnableGenerator(function(_, emit)
      emit "a"
      error("cut", 0)
    end, { name = "broken" })
    local chain = mp.pipe(broken, { key = mp.const "letters", input = mp.RunnablePassthrough() }, router)
    assert.equal("step 1 of 3 broken", helper.failure(read, chain:stream(1)).path)
    local failing = mp.RouterRunnable { a = emitting(), b = mp.map_chunks(function() error("no", 0) end) }
    chain = mp.pipe(emitting("x"), { key = mp.const "b", input = mp.RunnablePassthrough() }, failing)
    assert.matches("> router%.b$", helper.failure(read, chain:stream(1)).path)
  end)

  it("takes its whole input before it chooses", function()
    local source = emitting({ key = "dou" }, { input = 4 }, { key = "ble" })
    assert.same({ 8 }, read(mp.pipe(source, router):stream(1)))
    assert.same({}, read(mp.pipe(emitting(), router):stream(1)))
  end)

  it("names the key under which a step failed", function()
    local err = helper.failure(router.invoke, router, { key = "double", input = "x" })
    assert.equal("router.double", err.path)
    assert.matches("in router key 'double', composed at .*router_spec.lua:%d+", tostring(err))
    local streamed = helper.failure(read, router:stream { key = "double", input = "x" })
    assert.equal("router.double", streamed.path)
  end)

  it("refuses what is no table of steps", function()
    assert.equal("RouterRunnable takes a table of steps, got an empty table", helper.said(mp.RouterRunnable, {}))
    helper.raises("in map key 'a': a string is not a step", mp.RouterRunnable, { a = "x" })
  end)

  it("checks its two keys before the first call", function()
    helper.raises("RouterRunnable: 'input' is missing: the step before gives {key, text}", mp.pipe,
      { key = mp.const "double", text = mp.RunnablePassthrough() }, router)
    assert.equal(4, mp.pipe({ key = mp.const "double", input = mp.RunnablePassthrough() }, router):invoke(2))
  end)

  it("hands bound arguments on", function()
    local told = mp.RouterRunnable { a = function(_, config) return config.kwargs.k end, b = mp.const(1) }
    assert.equal("v", told:bind({ k = "v" }):invoke { key = "a" })
    helper.raises("takes bound arguments", function() return router:bind { k = 1 } end)
  end)

  it("is shown with its keys", function()
    assert.equal("RouterRunnable{double, letters}", tostring(router))
  end)
end)
