local helper = require "spec.helper"
local mp = require "moonpipe"
local steps = require "spec.support.steps"

local read = steps.chunks_of

local function add(key, n)
  return function(x) return x[key] + n end
end

local function failing()
  error("no", 0)
end

describe("assign with after", function()
  local chain = mp.RunnablePassthrough.assign({ b = add("a", 1), c = add("b", 10), d = add("c", 100) },
    { after = { c = "b", d = { "c" } } })

  it("gives a step the keys it comes after", function()
    assert.same({ a = 1, b = 2, c = 12, d = 112 }, chain:invoke { a = 1 })
  end)

  it("does the same in streams", function()
    assert.same({ a = 1, b = 2, c = 12, d = 112 }, chain:stream({ a = 1 }):collect())
    assert.same({ a = 1, b = 2, c = 12, d = 112 }, mp.pipe({ a = mp.RunnablePassthrough() }, chain):stream(1):collect())
  end)

  it("gives it those too that they came after, and no others", function()
    local keys
    mp.RunnableAssign({ b = mp.const(1), c = mp.const(2), other = mp.const(3), d = function(x)
      keys = x
      return 4
    end }, { after = { c = "b", d = "c" } }):invoke { a = 0 }
    assert.same({ a = 0, b = 1, c = 2 }, keys)
  end)

  it("leaves the input as it was", function()
    local input = { a = 1 }
    chain:invoke(input)
    assert.same({ a = 1 }, input)
  end)

  it("has the new value come after the old one of the same key", function()
    local twice = mp.RunnableAssign({ a = add("a", 1), b = add("a", 10) }, { after = { b = "a" } })
    assert.same({ a = 2, b = 12 }, twice:invoke { a = 1 })
  end)

  it("runs at once what need not wait #concurrency", function()
    local order = {}
    local function note(name, seconds)
      return function()
        order[#order + 1] = "begin " .. name
        mp.sleep(seconds)
        order[#order + 1] = "end " .. name
        return name
      end
    end
    mp.RunnableAssign({ a = note("a", 0), b = note("b", 0), slow = note("slow", 0.05) },
      { after = { b = "a" } }):invoke {}
    assert.same({ "begin a", "begin slow", "end a", "begin b", "end b", "end slow" }, order)
  end)

  it("streams the input and each key as they come", function()
    local letters = mp.RunnableGenerator(function(_, emit) for c in ("xy"):gmatch "." do emit(c) end end)
    local step = mp.RunnableAssign({ b = letters, c = function(x) return x.b .. x.a end }, { after = { c = "b" } })
    local order = {}
    for c in step:stream { a = 1 } do
      local key = mp.finished(c) or next(c)
      order[#order + 1] = (mp.finished(c) and "end " or "") .. key
    end
    assert.same({ "a", "b", "b", "end b", "c", "end c" }, order)
  end)

  it("gives nothing for an empty stream", function()
    local called = false
    local step = mp.RunnableAssign({ b = function() called = true end, c = function() called = true end },
      { after = { c = "b" } })
    local nothing = mp.RunnableGenerator(function() end)
    assert.same({ n = 0 }, { n = #read(mp.pipe(nothing, step, mp.RunnablePick "b"):stream(1)) })
    assert.is_false(called)
  end)

  it("names the key that failed, and cancels the rest", function()
    local step = mp.RunnableAssign({ b = failing, c = add("b", 1) }, { after = { c = "b" } })
    local err = helper.failure(step.invoke, step, {})
    assert.equal("map.b", err.path)
    assert.equal("not started", err.siblings.c)
    assert.equal("map.b", helper.failure(read, step:stream {}).path)
  end)

  it("says of what came after a failure why it did not run, with on_error = collect or wait", function()
    local step = mp.RunnableAssign({ b = failing, c = add("b", 1), d = mp.const(1) }, { after = { c = "b" } })
    local out = step:invoke({}, { on_error = "collect" })
    assert.equal("no", out.b.message)
    assert.equal("'b', which it waits for, failed: no", out.c.message)
    assert.equal(1, out.d)
    assert.equal("map.b", helper.failure(step.invoke, step, {}, { on_error = "wait" }).path)
  end)

  it("takes a key that came to nothing for missing", function()
    local step = mp.RunnableAssign({ b = function() end, c = function(x) return x.b == nil end },
      { after = { c = "b" } })
    assert.same({ c = true }, step:invoke {})
    assert.same({ c = true }, step:stream({ b = 1 }):collect())
    assert.same({ c = true }, step:invoke { b = 1 })
  end)

  it("refuses what cannot be put in order", function()
    local function said(map, after) return helper.said(mp.RunnableAssign, map, { after = after }) end
    local map = { a = failing, b = failing, c = failing }
    assert.equal("after of assign names 'x', which it does not add", said(map, { x = "a" }))
    assert.equal("in after of assign: 'a' waits for 'x', which assign does not add", said(map, { a = "x" }))
    assert.equal("in after of assign: 'a' waits for the number 1, which assign does not add", said(map, { a = 1 }))
    assert.equal("in after of assign: keys wait for one another: a after b after a", said(map, { a = "b", b = "a" }))
    assert.matches("keys wait for one another", said(map, { a = "b", b = "c", c = "b" }))
    assert.equal("in after of assign: keys wait for one another: a after a", said(map, { a = { "a" } }))
    assert.equal("after of assign takes a table, got a string", said(map, "a"))
    helper.raises("unknown option 'before' of assign", mp.RunnableAssign, map, { before = {} })
  end)

  it("holds each step against the keys that it will see", function()
    local prompt = mp.ChatPromptTemplate.from_template "{a} {b}"
    local maps = { b = mp.const(1), c = prompt }
    helper.raises("in map key 'c': ChatPromptTemplate", mp.pipe, { a = mp.const(1) }, mp.RunnableAssign(maps))
    local fine = mp.pipe({ a = mp.const(1) }, mp.RunnableAssign(maps, { after = { c = "b" } }))
    assert.equal("1 1", fine:invoke(0).c[1].content)
    helper.raises("gives {a, b, c}", mp.pipe, fine, mp.itemgetter "d")
  end)

  it("is an option of chain:assign", function()
    local made = mp.pipe({ a = mp.const(1) }, mp.RunnablePassthrough())
      :assign({ b = add("a", 1), c = add("b", 1) }, { after = { c = "b" } })
    assert.same({ a = 1, b = 2, c = 3 }, made:invoke(0))
  end)
end)
