local helper = require "spec.helper"
local log = require "moonpipe.log"
local mp = require "moonpipe"

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

local function read(stream)
  local seen = {}
  for value in stream do seen[#seen + 1] = value end
  return seen
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
