local helper = require "spec.helper"
local mp = require "moonpipe"
local steps = require "spec.support.steps"

local read, letters = steps.chunks_of, steps.letters

describe("lambda", function()
  it("calls a function with the input alone", function()
    local count
    mp.RunnableLambda(function(...) count = select("#", ...) end):invoke(1)
    assert.equal(1, count)
  end)

  it("gives the config to a function of two parameters", function()
    local tags
    mp.RunnableLambda(function(_, config) tags = config.tags end):invoke(1, { tags = { "b", "a" } })
    assert.same({ "a", "b" }, tags)
  end)

  it("takes C functions and callable values", function()
    local callable = setmetatable({}, { __call = function(_, x) return x .. "!" end })
    assert.equal("X!", mp.pipe(string.upper, callable):invoke("x"))
  end)

  it("refuses what cannot be called", function()
    helper.raises("RunnableLambda takes a function, got a string", mp.RunnableLambda, "x")
    helper.raises("unknown option 'nme' of RunnableLambda", mp.RunnableLambda, print, { nme = 1 })
  end)

  it("counts only the first result", function()
    assert.equal(1, select("#", mp.RunnableLambda(function() return 1, 2 end):invoke(0)))
  end)

  it("takes nil with a message as a failure", function()
    local _, err = mp.RunnableLambda(function() return nil, "no such city" end):try_invoke(1)
    assert.equal("lua", err.kind)
    assert.equal("no such city", err.message)
  end)

  it("keeps an mp.Error that a function returns or raises", function()
    local mine = mp.Error { kind = "tool", message = "mine" }
    local _, returned = mp.RunnableLambda(function() return nil, mine end):try_invoke(1)
    local _, raised = mp.RunnableLambda(function() error(mine) end):try_invoke(1)
    for _, err in ipairs { returned, raised } do
      assert.same({ "tool", "mine" }, { err.kind, err.message })
    end
  end)

  it("gives an mp.Error that is raised again and again its places anew each time", function()
    local mine = mp.Error { kind = "reset", message = "mine", retryable = true }
    local tries = 0
    local chain = mp.pipe(function() tries = tries + 1 error(mine, 0) end, tostring)
    local emitting = mp.pipe(mp.RunnableGenerator(function() error(mine, 0) end), tostring)
    for _, step in ipairs { chain, chain, emitting, emitting } do
      local _, err = step:try_invoke(1)
      assert.matches("^step 1 of 2 %S+ %S+$", err.path)
    end
    local again = chain:with_retry { stop_after_attempt = 3, wait_exponential_jitter = false }
    local _, err = mp.RunnableParallel({ a = again }):try_invoke(1)
    assert.matches("^map%.a > step 1 of 2 %S+ %S+$", err.path)
    assert.same({ 5, 3 }, { tries, err.attempts })
    assert.is_nil(mine.path)
  end)

  it("keeps an error value that is no string as the cause", function()
    local cause = { code = 5 }
    local _, err = mp.RunnableLambda(function() error(cause) end):try_invoke(1)
    assert.equal(cause, err.cause)
  end)

  it("runs a step that the function returns with the same input", function()
    local chain = mp.RunnableLambda(function() return mp.RunnableLambda(function(x) return x * 2 end) end)
    assert.equal(10, chain:invoke(5))
    assert.same({ 10 }, read(chain:stream(5)))
  end)

  it("stops at the recursion limit", function()
    local chain
    chain = mp.RunnableLambda(function() return chain end, { name = "loop" })
    local _, err = chain:try_invoke(5, { recursion_limit = 3 })
    assert.equal("limit", err.kind)
    assert.matches("recursion limit reached: loop went on returning steps for the number 5", err.message)
  end)

  it("streams a step that the function returns", function()
    assert.same({ "a", "b" }, read(mp.RunnableLambda(function() return letters("ab") end):stream(1)))
  end)

  it("gives the running config anywhere, and the outer one after it", function()
    local inner, after
    mp.RunnableLambda(function()
      mp.RunnableLambda(function() inner = mp.current().metadata.a end):invoke(1, { metadata = { a = 1 } })
      after = mp.current().metadata.a
    end):invoke(1)
    assert.equal(1, inner)
    assert.is_nil(after)
  end)

  it("is named after its place, or as it is told", function()
    assert.matches("^function .*steps_spec.lua:%d+$", tostring(mp.RunnableLambda(function() end)))
    assert.equal("mine", tostring(mp.RunnableLambda(print, { name = "mine" })))
  end)

  it("can be called like a function", function()
    assert.equal(3, mp.RunnableLambda(function(x) return x + 1 end)(2))
  end)
end)

describe("generator", function()
  it("reads its input as a stream of one chunk", function()
    local twice = mp.RunnableGenerator(function(chunks, emit)
      for chunk in chunks do emit(chunk .. chunk) end
    end)
    assert.equal("abab", twice:invoke "ab")
    assert.equal("abab", twice:stream("ab"):collect())
  end)

  it("is given bound arguments in the config, its third parameter", function()
    local told = mp.RunnableGenerator(function(_, emit, config) emit(config.kwargs.k) end)
    assert.equal("v", told:bind({ k = "v" }):invoke(1))
    helper.raises("takes bound arguments", function() return letters("a"):bind { k = 1 } end)
  end)

  it("sees chunks and emits others", function()
    local twice = mp.RunnableGenerator(function(chunks, emit)
      for c in chunks do
        emit(c)
        emit(c)
      end
    end)
    assert.same({ "a", "a", "b", "b" }, read(mp.pipe(letters("ab"), twice):stream(1)))
  end)

  it("runs only while somebody pulls", function()
    local made = 0
    local stream = mp.RunnableGenerator(function(_, emit)
      for i = 1, 10 do
        made = i
        emit(i)
      end
    end):stream(1)
    stream()
    stream()
    assert.equal(2, made)
    stream:close()
  end)

  it("merges its chunks when it is invoked", function()
    assert.equal("abc", letters("abc"):invoke(1))
    assert.is_nil(mp.RunnableGenerator(function() end):invoke(1))
  end)

  it("drops nil and keeps false", function()
    assert.same({ false }, read(mp.RunnableGenerator(function(_, emit)
      emit(nil)
      emit(false)
    end):stream(1)))
  end)

  it("waits inside, for time and for its input", function()
    local slow = mp.RunnableGenerator(function(chunks, emit)
      for c in chunks do
        mp.sleep(0.001)
        emit(c)
      end
    end)
    assert.same({ "a", "b" }, read(mp.pipe(letters("ab"), slow):stream(1)))
  end)

  it("raises what its function raises, after what it emitted", function()
    local stream = mp.RunnableGenerator(function(_, emit)
      emit("a")
      error("cut", 0)
    end):stream(1)
    assert.equal("a", stream())
    helper.raises("cut", stream)
  end)

  it("names the place of a yield of the user's own", function()
    local stream = mp.RunnableGenerator(function() coroutine.yield("data") end):stream(1)
    local err = helper.raises("a generator yielded a string; use emit(value)", stream)
    assert.matches("steps_spec.lua:%d+: a generator", err.message)
  end)

  it("refuses an emit outside of its function", function()
    local stream = mp.RunnableGenerator(function(_, emit)
      coroutine.wrap(function() emit(1) end)()
    end):stream(1)
    helper.raises("emit was called outside of its generator function", stream)
  end)

  it("refuses what is no function", function()
    helper.raises("RunnableGenerator takes a function(chunks, emit), got a string",
      mp.RunnableGenerator, "x")
  end)
end)

describe("passthrough", function()
  it("gives its input", function()
    local input = {}
    assert.equal(input, mp.RunnablePassthrough():invoke(input))
  end)

  it("calls its tap, whose answer is ignored", function()
    local seen
    local step = mp.RunnablePassthrough(function(x)
      seen = x
      return "ignored"
    end)
    assert.equal("in", step:invoke("in"))
    assert.equal("in", seen)
  end)

  it("shows its tap the whole stream after the last chunk", function()
    local seen
    local chain = mp.pipe(letters("ab"), mp.RunnablePassthrough(function(x) seen = x end))
    local stream = chain:stream(1)
    assert.equal("a", stream())
    assert.is_nil(seen)
    assert.equal("b", stream())
    assert.is_nil(stream())
    assert.equal("ab", seen)
  end)

  it("does not call its tap for an empty stream", function()
    local called = false
    read(mp.pipe(letters(""), mp.RunnablePassthrough(function() called = true end)):stream(1))
    assert.is_false(called)
  end)

  it("refuses a tap that is no function", function()
    helper.raises("RunnablePassthrough takes a function or nothing", mp.RunnablePassthrough, 5)
  end)
end)

describe("assign", function()
  it("adds keys computed from the input, in parallel", function()
    local step = mp.RunnablePassthrough.assign { y = function(t) return t.x + 1 end, x = mp.const(0) }
    local input = { x = 1, z = 3 }
    assert.same({ x = 0, y = 2, z = 3 }, step:invoke(input))
    assert.same({ x = 1, z = 3 }, input)
  end)

  it("is a method of every step", function()
    local chain = mp.RunnablePassthrough():assign { n = mp.const(1) }
    assert.same({ a = 1, n = 1 }, chain:invoke { a = 1 })
    assert.equal("RunnablePassthrough | assign{n}", tostring(chain))
  end)

  it("refuses an input that is no table, naming itself", function()
    local _, err = mp.RunnablePassthrough.assign({ y = mp.const(1) }):try_invoke("s")
    assert.equal("input: RunnableAssign<y> takes a table to add keys to, got a string", tostring(err))
  end)

  it("refuses a message", function()
    local _, err = mp.RunnablePassthrough.assign({ y = mp.const(1) }):try_invoke(mp.HumanMessage "x")
    assert.matches("got a HumanMessage", err.message)
  end)

  it("refuses positions, which have no meaning beside names", function()
    helper.raises("assign adds by name, got key 1", mp.RunnablePassthrough.assign, { mp.const(1) })
  end)

  it("never writes to its input", function()
    local input = setmetatable({ a = 1 }, {})
    local out = mp.RunnablePassthrough.assign({ b = mp.const(2) }):invoke(input)
    assert.same({ a = 1 }, input)
    assert.same({ a = 1, b = 2 }, out)
  end)

  it("refuses a map that is no table", function()
    helper.raises("assign takes a table of steps, got a function", mp.RunnablePassthrough.assign, print)
  end)

  it("streams the input's keys first, then the new ones", function()
    local step = mp.RunnablePassthrough.assign { b = letters("12") }
    local stream = step:stream { a = 1, b = "overwritten" }
    assert.same({ a = 1 }, stream())
    assert.same({ a = 1, b = "12" }, step:stream({ a = 1, b = "overwritten" }):collect())
    stream:close()
  end)

  it("names the failing key in a stream", function()
    local step = mp.RunnablePassthrough.assign { b = function() error("boom", 0) end }
    local ok, err = pcall(read, step:stream { a = 1 })
    assert.is_false(ok)
    assert.equal("map.b", err.path)
  end)
end)

describe("assign behind a JSON parser", function()
  it("streams what it gives when it is invoked", function()
    local chain = mp.pipe(letters '{"a": "xy", "b": [1, 2], "c": "old"}', mp.JsonOutputParser())
      :assign { c = mp.RunnablePick "a", d = function(x) return x.a end }
    assert.same(chain:invoke(1), chain:stream(1):collect())
    assert.same({ a = "xy", b = { 1, 2 }, c = "xy", d = "xy" }, chain:stream(1):collect())
  end)
end)

describe("pick", function()
  it("gives a key's value, or nil", function()
    assert.equal(1, mp.RunnablePick("a"):invoke { a = 1 })
    assert.is_nil(mp.RunnablePick("b"):invoke { a = 1 })
  end)

  it("gives a table of the keys that are there, or nil", function()
    assert.same({ a = 1 }, mp.RunnablePick({ "a", "b" }):invoke { a = 1, c = 2 })
    assert.is_nil(mp.RunnablePick({ "b" }):invoke { a = 1 })
  end)

  it("drops chunks without the key", function()
    local map = mp.RunnableParallel { a = letters("12"), b = letters("xy") }
    assert.same({ "1", "2" }, read(map:pick("a"):stream(1)))
  end)

  it("gives the rest of a text that a JSON parser shows anew each time", function()
    local json = mp.pipe(letters '{"a": "xy", "b": [1, 2], "c": {"d": "z"}}', mp.JsonOutputParser())
    assert.same({ "", "x", "y" }, read(json:pick("a"):stream(1)))
    for _, keys in ipairs { "a", "b", "c", { "a", "b", "c" } } do
      local chain = json:pick(keys)
      assert.same(chain:invoke(1), chain:stream(1):collect())
    end
    local chain = json:pick("b"):pipe(mp.RunnableLambda(function(x) return x + 1 end):map())
    assert.same({ 2, 3, n = 2 }, chain:stream(1):collect())
  end)

  it("refuses an input that is no table, in its own words", function()
    local _, err = mp.RunnablePick("a"):try_invoke("s")
    assert.equal("input: RunnablePick<a> takes a table, got a string", tostring(err))
  end)

  it("refuses keys that are none", function()
    helper.raises("RunnablePick takes keys, got nil", mp.RunnablePick)
    helper.raises("RunnablePick takes keys, got a function", mp.RunnablePick, { print })
    helper.raises("item 2 of RunnablePick is nil", mp.RunnablePick, { "a", nil, "b" })
    helper.raises("itemgetter takes keys, got nil", mp.itemgetter, "a", nil, "b")
    helper.raises("itemgetter takes keys, got nil", mp.itemgetter, "a", nil)
  end)
end)

describe("itemgetter", function()
  it("gives the value of a key, or an array of several", function()
    assert.equal(1, mp.itemgetter("a"):invoke { a = 1 })
    assert.same({ 1, 2, n = 2 }, mp.itemgetter("a", "b"):invoke { a = 1, b = 2 })
  end)

  it("names the missing key and what there was", function()
    local _, err = mp.itemgetter("foo"):try_invoke { bar = 1 }
    assert.equal("input: itemgetter(\"foo\"): key 'foo' is missing: got a table with keys {bar}",
      tostring(err))
  end)

  it("refuses an input that is no table", function()
    local _, err = mp.itemgetter("foo"):try_invoke "text"
    assert.equal('input: itemgetter("foo") takes a table, got a string', tostring(err))
  end)

  it("is checked where it is composed, if the keys before it are known", function()
    helper.raises("itemgetter: key 'contxt' is missing: the step before gives {context}; " ..
      "did you mean 'context'?", mp.pipe, { context = mp.const(1) }, mp.itemgetter("contxt"))
  end)
end)

describe("const", function()
  it("gives its value whatever comes", function()
    assert.equal("x", mp.const("x"):invoke(5))
    assert.equal('const "x"', tostring(mp.const("x")))
  end)

  it("refuses nil", function()
    helper.raises("const takes a value, got nil", mp.const, nil)
  end)
end)

describe("binding", function()
  it("gives arguments to a function of two parameters", function()
    local step = mp.RunnableLambda(function(x, config) return x .. config.kwargs.suffix end)
    assert.equal("a!", step:bind({ suffix = "!" }):invoke("a"))
  end)

  it("merges a bind of a bind, the newer winning", function()
    local step = mp.RunnableLambda(function(_, config) return config.kwargs end)
    assert.same({ a = 1, b = 3 }, step:bind({ a = 1, b = 2 }):bind({ b = 3 }):invoke(0))
  end)

  it("reaches the steps of a sequence and of a map", function()
    local step = mp.RunnableLambda(function(_, config) return config.kwargs.a end)
    local chain = mp.pipe(mp.RunnablePassthrough(), { x = step, y = step }):bind { a = 1 }
    assert.same({ x = 1, y = 1 }, chain:invoke(0))
  end)

  it("refuses where nothing takes the arguments, never drops them", function()
    helper.raises("nothing in RunnablePassthrough takes bound arguments, " ..
      "so a table with keys {a} would be lost",
      mp.RunnablePassthrough().bind, mp.RunnablePassthrough(), { a = 1 })
  end)

  it("does not leak arguments by the config that a function hands on", function()
    local inner = mp.RunnableLambda(function(_, config) return config.kwargs == nil end)
    local outer = mp.RunnableLambda(function(x, config) return inner:invoke(x, config) end)
    assert.is_true(outer:bind({ a = 1 }):invoke(0))
  end)

  it("does not leak arguments into chains that a function runs", function()
    local inner = mp.RunnableLambda(function(_, config) return config.kwargs == nil end)
    local outer = mp.RunnableLambda(function(x, _) return inner:invoke(x) end)
    assert.is_true(outer:bind({ a = 1 }):invoke(0))
  end)

  it("refuses arguments that are no table", function()
    local step = mp.RunnableLambda(function(_, _) end)
    helper.raises("bind takes a table of arguments, got a string", step.bind, step, "x")
  end)

  it("gives a step a config of its own", function()
    local step = mp.RunnableLambda(function(_, config) return config.tags end)
    assert.same({ "a", "b" }, step:with_config({ tags = { "a" } }):invoke(0, { tags = { "b" } }))
  end)

  it("gives a step a timeout of its own", function()
    local step = mp.RunnableLambda(function() mp.sleep(10) end):with_config { timeout = 0.005 }
    local _, err = mp.pipe(mp.const(1), step):try_invoke(0)
    assert.equal("timeout_total", err.kind)
    assert.matches("^step 2 of 2", err.path)
  end)

  it("bears the run name", function()
    assert.equal("mine", tostring(mp.const(1):with_config { run_name = "mine" }))
  end)
end)

describe("config", function()
  local step = mp.const(1)

  it("refuses unknown keys", function()
    helper.raises("unknown option 'tag' of config; allowed: callbacks, configurable", step.invoke, step,
      1, { tag = 1 })
  end)

  it("refuses wrong types", function()
    helper.raises("config tags takes a list of strings, got a string", step.invoke, step, 1,
      { tags = "a" })
    helper.raises("config tags takes a list of strings, got a list of 2", step.invoke, step, 1,
      { tags = { "a", 1 } })
    helper.raises("config run_id takes a string, got the number 5", step.invoke, step, 1,
      { run_id = 5 })
    helper.raises("config on_progress takes a function, got the boolean true", step.batch, step,
      { 1 }, { on_progress = true })
    helper.raises("config timeout takes seconds, got a string", step.invoke, step, 1,
      { timeout = "5" })
    helper.raises("config max_concurrency takes a whole number from 1, got the number 0", step.invoke,
      step, 1, { max_concurrency = 0 })
  end)

  it("is inherited: tags joined, metadata merged, run_name of one call only", function()
    local seen
    local inner = mp.RunnableLambda(function(_, config) seen = config end)
    mp.RunnableLambda(function(x)
      inner:invoke(x, { tags = { "b" }, metadata = { y = 2 } })
    end):invoke(1, { tags = { "a" }, metadata = { x = 1 }, run_name = "outer" })
    assert.same({ "a", "b" }, seen.tags)
    assert.same({ x = 1, y = 2 }, seen.metadata)
    assert.is_nil(seen.run_name)
  end)

  it("takes the config that a function was given", function()
    local seen
    local inner = mp.RunnableLambda(function(_, config) seen = config.tags end)
    mp.RunnableLambda(function(x, config) inner:invoke(x, config) end):invoke(1, { tags = { "a" } })
    assert.same({ "a" }, seen)
  end)

  it("tells the time that remains", function()
    local remaining
    mp.RunnableLambda(function(_, config) remaining = config:remaining() end):invoke(1, { timeout = 10 })
    assert.is_true(remaining > 5 and remaining <= 10)
    assert.is_nil(mp.current():remaining())
  end)
end)
