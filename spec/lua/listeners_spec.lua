local helper = require "spec.helper"
local log = require "moonpipe.log"
local mp = require "moonpipe"
local steps = require "spec.support.steps"

local read = steps.chunks_of

local letters = mp.RunnableGenerator(function(chunks, emit)
  for c in chunks do for letter in c:gmatch "." do emit(letter) end end
end, { name = "letters" })

-- Listeners that note what they are told.
local function ears()
  local seen, runs = {}, {}
  local function note(what)
    return function(run)
      seen[#seen + 1] = what
      runs[what] = run
    end
  end
  return seen, runs, note "start", note "end", note "error"
end

describe("listeners", function()
  it("are told of the start and the end of a run", function()
    local seen, runs, on_start, on_end, on_error = ears()
    local step = letters:with_listeners(on_start, on_end, on_error)
    assert.equal("ab", step:invoke("ab", { tags = { "t" } }))
    assert.same({ "start", "end" }, seen)
    local run = runs["end"]
    assert.equal(runs.start, run)
    assert.same({ "letters", "ab", "ab", "t" }, { run.name, run.inputs, run.outputs, run.tags[1] })
    assert.is_true(run.ended >= run.started)
    assert.matches("^%x+%-%x+%-4", run.id)
  end)

  it("are told of an error, which goes on", function()
    local seen, runs, on_start, on_end, on_error = ears()
    local step = mp.RunnableLambda(function() error("no", 0) end):with_listeners(on_start, on_end, on_error)
    local err = helper.failure(step.invoke, step, 1)
    assert.same({ "start", "error" }, seen)
    assert.equal(err, runs.error.error)
    assert.is_nil(runs.error.outputs)
  end)

  it("are told of this step's runs only", function()
    local seen, _, on_start = ears()
    local chain = mp.pipe(string.lower, letters:with_listeners(on_start), string.upper)
    assert.equal("AB", chain:invoke "Ab")
    assert.same({ "start" }, seen)
  end)

  it("may be a table, and may look at the config", function()
    local tags
    local step = letters:with_listeners { on_end = function(_, config) tags = config.tags end }
    step:invoke("a", { tags = { "t" } })
    assert.same({ "t" }, tags)
  end)

  it("are told of a stream when it begins and when it ends", function()
    local seen, runs, on_start, on_end, on_error = ears()
    local stream = letters:with_listeners(on_start, on_end, on_error):stream "ab"
    assert.same({}, seen)
    assert.same({ "a", "b" }, read(stream))
    assert.same({ "start", "end" }, seen)
    assert.equal("ab", runs["end"].outputs)
  end)

  it("hold no stream up, and see its whole input at its end", function()
    local _, runs, on_start, on_end = ears()
    local chain = mp.pipe(letters, letters:with_listeners(on_start, on_end))
    local stream = chain:stream "ab"
    assert.equal("a", stream())
    assert.is_nil(runs.start.inputs)
    assert.equal("b", stream:collect())
    assert.equal("ab", runs["end"].inputs)
  end)

  it("are told of a stream that fails or is closed", function()
    local seen, runs, on_start, on_end, on_error = ears()
    local broken = mp.RunnableGenerator(function(_, emit)
      emit "a"
      error("no", 0)
    end)
    helper.failure(read, broken:with_listeners(on_start, on_end, on_error):stream(1))
    assert.equal("no", runs.error.error.message)
    local stream = letters:with_listeners(on_start, on_end, on_error):stream "ab"
    stream()
    stream:close()
    assert.same({ "start", "error", "start", "error" }, seen)
    assert.equal("cancelled", runs.error.error.kind)
  end)

  local upper = mp.map_chunks(string.upper)

  -- A stream that is left, with the listened one inside of it.
  local around = {
    ["first of a sequence"] = function(step) return mp.pipe(step, upper) end,
    ["behind another"] = function(step) return mp.pipe(letters, step) end,
    ["in a map"] = function(step) return mp.RunnableParallel { a = step } end,
    ["in a map behind another"] = function(step)
      return mp.pipe(letters, { a = step, b = mp.RunnablePassthrough() })
    end,
    ["in a branch"] = function(step) return mp.RunnableBranch({ mp.const(true), step }, letters) end,
    ["in a function"] = function(step) return mp.RunnableLambda(function() return step end) end,
    ["in a retry"] = function(step) return step:with_retry() end,
    ["in a hedge"] = function(step) return step:with_hedge { after = 5 } end,
    ["in a fallback"] = function(step) return step:with_fallbacks { letters } end,
    ["in a timeout"] = function(step) return step:with_timeout(5) end,
    ["around a timeout"] = function(step)
      local ear = step.handlers
      return step.bound:with_timeout(5):with_listeners(ear.on_start.fn, ear.on_end.fn, ear.on_error.fn)
    end,
    ["in a router"] = function(step)
      return mp.pipe({ key = mp.const "a", input = letters }, mp.RouterRunnable { a = step })
    end,
    ["in each"] = function(step) return mp.pipe(function(x) return { x } end, step:map()) end,
    ["in an assign"] = function(step)
      return mp.pipe({ a = letters }, mp.RunnableAssign { b = mp.pipe(mp.RunnablePick "a", step) })
    end,
  }
  for name, wrap in pairs(around) do
    it("are told once of a stream that is left " .. name .. " #concurrency", function()
      local seen, runs, on_start, on_end, on_error = ears()
      local chain = mp.pipe(wrap(letters:with_listeners(on_start, on_end, on_error)), mp.RunnablePassthrough())
      local stream = chain:stream "abc"
      repeat stream() until seen[1]
      stream:close()
      assert.same({ "start", "error" }, seen)
      assert.equal("cancelled", runs.error.error.kind)
      assert.equal("letters", runs.error.name)
    end)
  end

  it("are told of a stream within that nobody holds, and of the end of its task #concurrency", function()
    local seen, _, on_start, on_end, on_error = ears()
    local chain = mp.pipe(letters:with_listeners(on_start, on_end, on_error), upper)
    helper.run(function() chain:stream("abc")() end)
    assert.same({ "start", "error" }, seen)
    local task = mp.RunnableLambda(function()
      chain:stream("abc")()
      mp.sleep(60)
    end):start(1)
    mp.sleep(0.001)
    task:cancel()
    task:wait(10)
    assert.same({ "start", "error", "start", "error" }, seen)
  end)

  it("are told of an empty stream", function()
    local seen, _, on_start, on_end = ears()
    assert.same({}, read(mp.pipe(letters, letters:with_listeners(on_start, on_end)):stream ""))
    assert.same({ "start", "end" }, seen)
  end)

  it("say on standard error where they fail, and hurt nobody", function()
    local lines, sink = {}, log.sink
    log.sink = function(_, text)
      lines[#lines + 1] = text
      return true
    end
    local ok, value = pcall(function()
      return letters:with_listeners(function() error("deaf", 0) end):invoke "ab"
    end)
    log.sink = sink
    assert.same({ true, "ab" }, { ok, value })
    assert.same({ "listener on_start of letters failed: lua: deaf" }, lines)
  end)

  it("leave runs and graphs as they are", function()
    local names = {}
    letters:with_listeners(function() end):invoke("a", {
      callbacks = { { on_start = function(run) names[#names + 1] = run.name end } },
    })
    assert.same({ "letters" }, names)
    assert.equal("letters", tostring(letters:with_listeners(function() end)))
  end)

  it("refuse what they cannot call", function()
    assert.equal("with_listeners takes at least one function", helper.said(letters.with_listeners, letters))
    assert.equal("on_end of with_listeners takes a function, got a string",
      helper.said(letters.with_listeners, letters, nil, "x"))
    helper.raises("unknown option 'on_stop' of with_listeners", letters.with_listeners, letters, { on_stop = print })
  end)
end)
