-- What LangChain's runnables do (their sections of LCEL's inventory), fact by fact: true
-- here, or better on purpose. Each primitive's own spec goes deeper; this one is the map.
local log = require "moonpipe.log"
local mp = require "moonpipe"
local steps = require "spec.support.steps"

local named, chunks_of, source_of = steps.named, steps.chunks_of, steps.source_of

local function add(n)
  return function(x) return x + n end
end

local function message_of(fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  return type(err) == "table" and err.message or err
end

describe("coercion", function()
  it("keeps a step, makes lambdas of functions and callables, maps of tables", function()
    local step = named("a")
    assert.equal(step, mp.pipe(step, add(1)).steps[1])
    local callable = setmetatable({}, { __call = function(_, x) return x * 2 end })
    assert.equal(6, mp.pipe(add(1), callable):invoke(2))
    assert.same({ a = { b = 3 } }, mp.pipe(add(1), { a = { b = add(1) } }):invoke(1))
  end)

  it("refuses what is no step where it is composed, and names the key", function()
    local text = message_of(mp.RunnableParallel, { a = { b = "text" } })
    assert.is_truthy(text:find("in map key 'a.b': a string is not a step; use mp.const", 1, true))
    assert.is_truthy(message_of(mp.RunnableParallel, "x"):find("takes a table of steps", 1, true))
  end)

  it("has constants, where they are said", function()
    assert.same({ a = 3 }, mp.RunnableParallel({ a = mp.const(3) }):invoke(0))
  end)
end)

describe("composition", function()
  local pipe = assert(mp.load("local a, b = ... return a | b"))

  it("coerces both sides, also where neither is a step yet", function()
    assert.equal(4, pipe(add(1), named("f", add(1))):invoke(2))
    assert.same({ x = 2 }, pipe({ x = add(1) }, { x = mp.itemgetter "x" }):invoke(1))
    assert.equal(4, pipe(add(1), add(1)):invoke(2))
  end)

  it("flattens sequences, however they were made", function()
    local ab, cd = mp.pipe(add(1), add(2)), mp.pipe(add(3), add(4))
    assert.equal(4, #pipe(ab, cd).steps)
    assert.equal(3, #named("a"):pipe(mp.pipe(add(1), add(2))).steps)
    assert.equal(3, #mp.RunnableSequence(add(1), ab).steps)
  end)

  it("takes a sequence with a config, a retry or a fallback as one step", function()
    local ab = mp.pipe(add(1), add(2))
    for _, wrapped in ipairs { ab:with_config { tags = { "t" } }, ab:with_retry(),
      ab:with_fallbacks { add(1) } } do
      assert.equal(2, #wrapped:pipe(add(3)).steps)
    end
  end)

  -- A name is a config: what is named is one step, as whatever has a config of its own.
  it("names a sequence by its config", function()
    local sum = mp.pipe(add(1), add(2)):with_config { run_name = "sum" }
    assert.equal("sum", sum:get_name())
    assert.equal("RunnableSequence", sum:pipe(add(3)):get_name())
    assert.equal(7, sum:pipe(add(3)):invoke(1))
  end)

  it("needs two steps for a sequence", function()
    assert.is_truthy(message_of(mp.RunnableSequence, add(1)):find("at least two steps, got 1", 1, true))
  end)
end)

describe("methods of every step", function()
  it("bind reaches every step that takes arguments, and merges, the right side winning", function()
    local seen = {}
    local function note(_, config) seen[#seen + 1] = config.kwargs end
    local bound = mp.RunnableParallel({ a = note, b = note }):bind { x = 1, y = 1 }:bind { y = 2 }
    bound:invoke(1)
    assert.same({ { x = 1, y = 2 }, { x = 1, y = 2 } }, seen)
  end)

  it("bind raises where no step takes any", function()
    assert.is_truthy(message_of(mp.RunnablePassthrough().bind, mp.RunnablePassthrough(), { x = 1 }))
  end)

  it("with_config replaces at composition and joins at the call", function()
    local seen
    local step = named("a", function(_, config) seen = config.tags end)
    step:with_config({ tags = { "a" } }):with_config({ tags = { "b" } }):invoke(1, { tags = { "c" } })
    assert.same({ "b", "c" }, seen)
  end)

  it("configurable_fields and configurable_alternatives name what is not there", function()
    local model = mp.FakeListChatModel { responses = { "a" } }
    assert.is_truthy(message_of(model.configurable_fields, model,
      { nothing = mp.ConfigurableField { id = "x" } }):find("nothing", 1, true))
    local choice = model:configurable_alternatives(mp.ConfigurableField { id = "llm" },
      { other = mp.FakeListChatModel { responses = { "b" } } })
    assert.equal("a", choice:invoke("q").content)
    assert.equal("b", choice:invoke("q", { configurable = { llm = "other" } }).content)
    assert.is_truthy(message_of(choice.invoke, choice, "q", { configurable = { llm = "nope" } })
      :find("nope", 1, true))
  end)

  -- LangChain forwards every attribute that a wrapper does not know; here a wrapper says what it
  -- has, and what makes a model of a model goes through all that is around one.
  it("show the step within, and reach the model within", function()
    local tool = mp.tool { name = "t", description = "d", fn = tostring }
    local model = mp.ChatOpenAI { api_key = false, base_url = "http://127.0.0.1:1/v1" }
    assert.equal(model, model:bind({ stop = { "x" } }).bound)
    for _, wrapped in ipairs { model:with_retry(), model:with_fallbacks { model },
      model:with_timeout(1), model:bind { stop = { "x" } }, model:with_config { tags = { "a" } } } do
      assert.equal("function", type(wrapped:bind_tools({ tool }).invoke))
      assert.equal("StructuredOutput", wrapped:with_structured_output({ type = "object" }).class_name)
    end
  end)

  it("with_types changes what is told, not what is done", function()
    local step = named("a"):with_types { input_type = "string", output_type = "string" }
    assert.equal("string", step:input_schema().type)
    assert.equal(5, step:invoke(5))
  end)

  it("has the names of traces", function()
    assert.equal("RunnableSequence", mp.pipe(add(1), add(2)):get_name())
    assert.equal("RunnableParallel<a,b>", mp.RunnableParallel({ b = add(1), a = add(1) }):get_name())
    assert.equal("RunnableAssign<k>", mp.RunnablePassthrough.assign({ k = add(1) }):get_name())
    assert.equal("RunnableEach<f>", named("f"):map():get_name())
  end)
end)

describe("RunnableParallel", function()
  it("may be empty: an empty table, a stream without chunks", function()
    assert.same({}, mp.RunnableParallel({}):invoke(1))
    assert.same({}, chunks_of(mp.RunnableParallel({}):stream(1)))
  end)

  it("keeps a branch's writes from its siblings", function()
    local function write(input)
      input.seen = (input.seen or 0) + 1
      return input.seen
    end
    assert.same({ a = 1, b = 1 }, mp.RunnableParallel({ a = write, b = write }):invoke {})
  end)

  it("tells the first failure in time, its key and its siblings, and cancels them", function()
    local map = mp.RunnableParallel {
      late = function() mp.sleep(30) end,
      soon = function() mp.sleep(0.01) error("no", 0) end,
    }
    local _, err = map:try_invoke(1)
    assert.equal("map.soon", err.path:match("^map%.soon"))
    assert.equal("cancelled", err.siblings.late)
  end)

  it("gives one key a chunk, and marks the end of each branch", function()
    local model = mp.FakeListChatModel { responses = { "ab" } }:pipe(mp.StrOutputParser())
    local ends, text = {}, ""
    for chunk in mp.RunnableParallel({ m = model, f = tostring }):stream "x" do
      if mp.finished(chunk) then
        ends[mp.finished(chunk)] = true
      else
        local key = next(chunk)
        assert.is_nil(next(chunk, key))
        text = text .. (chunk.m or "")
      end
    end
    assert.same({ { m = true, f = true }, "ab" }, { ends, text })
  end)

  it("gives nothing where nothing comes in", function()
    local map = mp.RunnableParallel { a = mp.RunnablePassthrough(), b = add(1) }
    for chunk in map:transform(source_of {}) do assert.is_truthy(mp.finished(chunk)) end
  end)
end)

describe("RunnableSequence", function()
  it("streams on behind its last blocking step", function()
    local model = mp.FakeListChatModel { responses = { "abc" } }
    assert.equal(3, #chunks_of(mp.pipe(add(1), tostring, model, mp.StrOutputParser()):stream(1)))
    assert.equal(1, #chunks_of(mp.pipe(model, mp.StrOutputParser(), named("f")):stream "x"))
  end)

  it("has no barrier between the steps of a batch", function()
    local through = false
    local chain = mp.pipe(function(x)
      while x == 2 and not through do mp.sleep(0.001) end -- for ever, behind a barrier
      return x
    end, function(x)
      through = true
      return x
    end)
    assert.same({ 2, 1, n = 2 }, chain:batch({ 2, 1 }, { timeout = 20 }))
  end)

  it("takes one config for a batch or one for each input, and no other number", function()
    local step = named("f", function(x, config) return x .. config.tags[1] end)
    assert.same({ "1a", "2b", n = 2 }, step:batch({ "1", "2" },
      { { tags = { "a" } }, { tags = { "b" } } }))
    assert.is_truthy(message_of(step.batch, step, { "1", "2" }, { { tags = { "a" } } })
      :find("batch got 1 configs for 2 inputs", 1, true))
    assert.same({ n = 0 }, step:batch {})
  end)

  it("keeps the places of a batch whose items fail", function()
    local step = named("f", function(x)
      if x == 2 then error("two", 0) end
      return x
    end)
    local values = step:batch({ 1, 2, 3 }, { return_exceptions = true })
    assert.same({ 1, "two", 3 }, { values[1], values[2].message, values[3] })
  end)
end)

describe("RunnableLambda", function()
  it("runs a step that the function returns, on the same input, 25 deep at most", function()
    assert.equal(2, named("f", function() return named("g", add(1)) end):invoke(1))
    local endless
    endless = named("endless", function() return endless end)
    assert.is_truthy(message_of(endless.invoke, endless, 1):find("recursion limit reached", 1, true))
    local count = 0
    local counted
    counted = named("counted", function()
      count = count + 1
      return counted
    end)
    counted:try_invoke(1, { recursion_limit = 5 })
    assert.equal(5, count)
  end)

  it("hands the config on to chains that it calls", function()
    local seen
    local inner = named("inner", function(_, config) seen = config.metadata.user end)
    named("outer", function(x) inner:invoke(x) end):invoke(1, { metadata = { user = "u" } })
    assert.equal("u", seen)
  end)
end)

describe("RunnableGenerator", function()
  it("gives what its chunks add up to, tables by key", function()
    local tables = mp.RunnableGenerator(function(_, emit)
      emit { a = "1" }
      emit { a = "2", b = "3" }
    end)
    assert.same({ a = "12", b = "3" }, tables:invoke(1))
    assert.is_truthy(message_of(mp.RunnableGenerator, 5):find("takes a function(chunks, emit)", 1, true))
  end)
end)

describe("RunnablePassthrough", function()
  it("taps before the input goes on, and in a stream behind it", function()
    local seen = {}
    local tap = mp.RunnablePassthrough(function(x)
      seen[#seen + 1] = x
      return "ignored"
    end)
    assert.equal("x", tap:invoke "x")
    assert.same({ "a", "b" }, chunks_of(tap:transform(source_of { "a", "b" })))
    assert.same({ "x", "ab" }, seen)
  end)

  it("assigns beside the input, the new keys winning, from the original input", function()
    local chain = mp.RunnablePassthrough.assign {
      x = function() return "new" end,
      y = function(input) return input.x end,
    }
    assert.same({ x = "new", y = "old", z = 1 }, chain:invoke { x = "old", z = 1 })
    assert.is_truthy(message_of(chain.invoke, chain, "s"):find("takes a table to add keys to", 1, true))
  end)

  it("assigns one key after another where that is asked for", function()
    local chain = mp.RunnablePassthrough.assign({
      a = function(input) return input.n + 1 end,
      b = function(input) return input.a + 1 end,
    }, { after = { b = "a" } })
    assert.same({ n = 1, a = 2, b = 3 }, chain:invoke { n = 1 })
  end)
end)

describe("RunnablePick and itemgetter", function()
  it("pick what is there, and nothing where nothing is", function()
    assert.is_nil(mp.RunnablePick("a"):invoke {})
    assert.same({ a = 1 }, mp.RunnablePick({ "a", "b" }):invoke { a = 1, c = 2 })
    assert.is_nil(mp.RunnablePick({ "a", "b" }):invoke {})
    assert.is_truthy(message_of(mp.RunnablePick("a").invoke, mp.RunnablePick("a"), "s"))
  end)

  it("itemgetter names the missing key and what came", function()
    local text = message_of(mp.itemgetter("foo").invoke, mp.itemgetter("foo"), { fo = 1 })
    assert.is_truthy(text:find("key 'foo' is missing: got a table with keys {fo}", 1, true))
  end)
end)

describe("RunnableBranch", function()
  it("runs the first whose condition holds, and asks no further", function()
    local asked = 0
    local function count(result)
      return function()
        asked = asked + 1
        return result
      end
    end
    local branch = mp.RunnableBranch({ count(false), mp.const "a" }, { count(true), mp.const "b" },
      { count(true), mp.const "c" }, mp.const "d")
    assert.equal("b", branch:invoke(1))
    assert.equal(2, asked)
    assert.equal("d", mp.RunnableBranch({ count(false), mp.const "a" }, mp.const "d"):invoke(1))
  end)

  it("needs a pair and a default", function()
    assert.is_truthy(message_of(mp.RunnableBranch, mp.const(1)):find("at least one pair", 1, true))
    assert.is_truthy(message_of(mp.RunnableBranch, { mp.const(1) }, mp.const(1))
      :find("branch 1 of RunnableBranch takes a pair", 1, true))
  end)
end)

describe("RouterRunnable", function()
  it("runs the step of the key, and names one that is not there", function()
    local router = mp.RouterRunnable { a = add(1), b = add(2) }
    assert.equal(3, router:invoke { key = "b", input = 1 })
    assert.is_truthy(message_of(router.invoke, router, { key = "c", input = 1 })
      :find("no step for key 'c'; it has {a, b}", 1, true))
  end)
end)

describe("RunnableEach", function()
  it("keeps the order of its list, and streams items", function()
    local each = named("f", function(x)
      mp.sleep(x / 1000)
      return x
    end):map()
    assert.same({ 30, 1, 2 }, { unpack(each:invoke { 30, 1, 2 }) })
    assert.is_truthy(#chunks_of(each:stream { 3, 1, 2 }) >= 3)
  end)
end)

describe("with_retry", function()
  it("never gives an item of a batch the value of another", function()
    local tries = {}
    local step = named("f", function(x)
      tries[x] = (tries[x] or 0) + 1
      if x == "bad" or tries[x] == 1 then error(mp.Error { kind = "reset", message = x }, 0) end
      return x .. "!"
    end):with_retry { stop_after_attempt = 2, wait_exponential_jitter = false }
    local values = step:batch({ "ok", "bad" }, { return_exceptions = true })
    assert.same({ "ok!", "bad", 2 }, { values[1], values[2].message, values[2].attempts })
  end)

  it("does not repeat a programmer's mistake", function()
    local count = 0
    local step = named("f", function()
      count = count + 1
      error("a bug", 0)
    end):with_retry()
    step:try_invoke(1)
    assert.equal(1, count)
  end)
end)

describe("with_fallbacks", function()
  setup(function() log.sink = function() return true end end)
  teardown(function() log.sink = nil end)

  local function bad() error(mp.Error { kind = "connect", message = "down" }, 0) end

  it("raises the first error where all fail, and does not write to the input", function()
    local input = { q = 1 }
    local seen
    local chain = named("a", bad):with_fallbacks({ function(x)
      seen = x.why
      error("second", 0)
    end }, { exception_key = "why" })
    assert.equal("down", message_of(chain.invoke, chain, input))
    assert.equal("down", seen.message)
    assert.is_nil(input.why)
  end)

  it("takes an empty stream for what it is", function()
    local empty = mp.RunnableGenerator(function() end)
    assert.same({}, chunks_of(empty:with_fallbacks({ mp.const "never" }):stream(1)))
  end)

  it("has its children below it in a trace", function()
    local parents = {}
    local chain = named("a", bad):with_fallbacks { named("b") }
    chain:invoke(1, { callbacks = { { on_start = function(run)
      if run.parent then parents[#parents + 1] = run.parent.name end
    end } } })
    assert.equal(2, #parents)
    assert.equal(parents[1], parents[2])
  end)
end)

describe("the config", function()
  it("says what a call may choose", function()
    local model = mp.FakeListChatModel { responses = { "a" } }
      :configurable_fields { responses = { id = "r", name = "Said", annotation = "array" } }
    local chain = mp.pipe(tostring, model:configurable_alternatives({ id = "llm" },
      { other = mp.FakeListChatModel { responses = { "b" } } }, { prefix_keys = true }):with_retry())
    local function history(_session_id) return mp.InMemoryChatMessageHistory() end
    local asked = mp.RunnableWithMessageHistory(chain, history):config_schema().properties.configurable
    assert.same({ llm = { enum = { "default", "other" }, default = "default" },
      ["llm==default/r"] = { title = "Said", type = "array" }, session_id = {} }, asked.properties)
    assert.same({ "session_id" }, asked.required)
    assert.same({ type = "object", properties = {} }, named("f"):config_schema())
    assert.is_truthy(mp.init_chat_model(nil, { configurable_fields = "any", config_prefix = "my" })
      :config_schema().properties.configurable.properties.my_model)
  end)

  -- LangChain copies these into the metadata, and so into all traces.
  it("keeps what a call chooses out of the metadata", function()
    local seen
    named("f", function(_, config) seen = config.metadata end)
      :invoke(1, { configurable = { user = "u", password = "p" } })
    assert.same({}, seen)
  end)

  it("refuses unknown keys", function()
    local step = named("f")
    assert.is_truthy(message_of(step.invoke, step, 1, { tag = {} }):find("unknown option 'tag'", 1, true))
  end)

  it("merges metadata and configurable, joins tags and callbacks", function()
    local seen
    local step = named("f", function(_, config) seen = config end)
    step:with_config({ metadata = { a = 1, b = 1 }, configurable = { x = 1 }, tags = { "b" } })
      :invoke(1, { metadata = { b = 2 }, configurable = { y = 2 }, tags = { "a", "b" } })
    assert.same({ x = 1, y = 2 }, seen.configurable)
    assert.same({ "a", "b" }, seen.tags)
    assert.same({ a = 1 }, { a = seen.metadata.a })
  end)
end)
