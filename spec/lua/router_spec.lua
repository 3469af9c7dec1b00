local helper = require "spec.helper"
local mp = require "moonpipe"

local function read(stream)
  local seen = {}
  for value in stream do seen[#seen + 1] = value end
  return seen
end

local function emitting(...)
  local list = { ... }
  return mp.RunnableGenerator(function(_, emit)
    for _, value in ipairs(list) do emit(value) end
  end)
end

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
