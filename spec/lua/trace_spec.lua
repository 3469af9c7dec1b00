-- Runs and callbacks: the tree of runs is that of the composition.
local mp = require "moonpipe"
local steps = require "spec.support.steps"

local named = steps.named

-- Notes of a recorder: "start name tag" and so on, in order.
local function recorder()
  local notes = {}
  local function note(stage)
    return function(run)
      notes[#notes + 1] = ("%s %s %s"):format(stage, run.name, run.tag or "-")
    end
  end
  return notes, { on_start = note "start", on_end = note "end", on_error = note "error" }
end

local function tree_of(chain, input, config)
  local runs = {}
  config = config or {}
  config.callbacks = { { on_start = function(run)
    runs[#runs + 1] = run
  end } }
  chain:invoke(input, config)
  return runs
end

local function id(x) return x end

describe("trace", function()
  it("gives each step a run below that of the step around it", function()
    local inner = mp.RunnableSequence(named("a", id), named("b", id))
    local map = mp.RunnableParallel { x = inner, y = named("c", id) }
    local runs = tree_of(mp.RunnableSequence(map, named("d", id)), 1)
    local seen = {}
    for i, run in ipairs(runs) do
      seen[i] = (run.parent and run.parent.name or "-") .. " > " .. run.name .. " "
        .. (run.tag or "-")
    end
    assert.same({
      "- > RunnableSequence -",
      "RunnableSequence > RunnableParallel<x,y> seq:step:1",
      "RunnableParallel<x,y> > RunnableSequence map:key:x",
      "RunnableSequence > a seq:step:1",
      "RunnableSequence > b seq:step:2",
      "RunnableParallel<x,y> > c map:key:y",
      "RunnableSequence > d seq:step:2",
    }, seen)
    for _, run in ipairs(runs) do
      assert.equal(runs[1], run.root)
      assert.is_truthy(run.ended >= run.started)
    end
  end)

  it("gives a chain that a function runs a run below the function's", function()
    local inner = named("inner", id)
    local outer = named("outer", function(x) return inner:invoke(x) end)
    local runs = tree_of(mp.RunnableSequence(outer, named("last", id)), 1)
    assert.equal("inner", runs[3].name)
    assert.equal("outer", runs[3].parent.name)
    assert.equal("RunnableSequence", runs[4].parent.name)
  end)

  it("gives a step that a function returned a run below the function's", function()
    local runs = tree_of(named("outer", function() return named("inner", id) end), 1)
    assert.equal("outer", runs[2].parent.name)
  end)

  it("gives a binding no run of its own, and the step the binding's name and tags", function()
    local bound = named("a", id):with_config { run_name = "named", tags = { "t" } }
    local runs = tree_of(bound:pipe(named("b", id)), 1, { tags = { "root" } })
    assert.equal(3, #runs)
    assert.equal("named", runs[2].name)
    assert.same({ "seq:step:1", "root", "t" }, runs[2].tags)
    assert.same({ "seq:step:2", "root" }, runs[3].tags)
    assert.equal("b", runs[3].name)
  end)

  it("gives run_name and run_id to the first run alone", function()
    local runs = tree_of(named("a", id):pipe(named("b", id)), 1,
      { run_name = "top", run_id = "7", metadata = { user = 3 } })
    assert.equal("top", runs[1].name)
    assert.equal("7", runs[1].id)
    assert.equal("a", runs[2].name)
    assert.is_truthy(runs[2].id:find("^%x+%-%x+%-4%x+%-%x+%-%x+$"))
    assert.same({ "7" }, runs[2]:parent_ids())
    assert.same({ user = 3 }, runs[2].metadata)
  end)

  it("tells inputs, outputs, and of streams what they add up to", function()
    local ends = {}
    local config = { callbacks = { { on_end = function(run) ends[run.name] = run end } } }
    local model = mp.FakeListChatModel { responses = { "abc" } }
    local chain = model:pipe(mp.StrOutputParser())
    assert.equal("abc", chain:stream("hi", config):collect())
    assert.equal("abc", ends.StrOutputParser.outputs)
    assert.equal("abc", ends.StrOutputParser.inputs.content)
    assert.equal("hi", ends.FakeListChatModel.inputs)
    assert.equal("abc", ends.FakeListChatModel.outputs.content)
    assert.equal("hi", ends.RunnableSequence.inputs)
    local first = ends.FakeListChatModel
    assert.is_truthy(first.first >= first.started and first.first <= first.ended)
  end)

  it("tells of errors, the innermost first", function()
    local notes, callback = recorder()
    local chain = named("a", id):pipe(named("b", function() error("no", 0) end))
    local _, err = chain:try_invoke(1, { callbacks = { callback } })
    assert.equal("no", err.message)
    assert.same({
      "start RunnableSequence -", "start a seq:step:1", "end a seq:step:1",
      "start b seq:step:2", "error b seq:step:2", "error RunnableSequence -",
    }, notes)
  end)

  it("ends the runs of a stream that is closed early, the innermost first", function()
    local notes, callback = recorder()
    local chain = mp.FakeListChatModel { responses = { "abc" } }:pipe(mp.StrOutputParser())
    local stream = chain:stream("x", { callbacks = { callback } })
    stream:next()
    stream:close()
    assert.same({ "error StrOutputParser seq:step:2", "error FakeListChatModel seq:step:1",
      "error RunnableSequence -" }, { notes[4], notes[5], notes[6] })
    assert.equal(6, #notes)
  end)

  it("ends the siblings of a branch that failed as cancelled", function()
    local kinds = {}
    local callback = { on_error = function(run, err) kinds[run.name] = err.kind end }
    local map = mp.RunnableParallel {
      bad = named("bad", function() mp.sleep(0.01) error("no", 0) end),
      slow = named("slow", function() mp.sleep(30) end),
    }
    map:try_invoke(1, { callbacks = { callback } })
    assert.same({ bad = "lua", slow = "cancelled", ["RunnableParallel<bad,slow>"] = "lua" }, kinds)
  end)

  it("calls the callbacks of a run's kind", function()
    local seen = {}
    local callback = {}
    for _, name in ipairs { "on_chat_model_start", "on_parser_end", "on_prompt_end",
      "on_chain_end" } do
      callback[name] = function(run) seen[#seen + 1] = name .. " " .. run.name end
    end
    local chain = mp.ChatPromptTemplate.from_template("{x}")
      :pipe(mp.FakeListChatModel { responses = { "a" } }, mp.StrOutputParser())
    chain:invoke({ x = 1 }, { callbacks = { callback } })
    assert.same({ "on_prompt_end ChatPromptTemplate", "on_chat_model_start FakeListChatModel",
      "on_parser_end StrOutputParser", "on_chain_end RunnableSequence" }, seen)
  end)

  it("hands custom events to the callbacks of the call", function()
    local seen
    local callback = { on_custom_event = function(run, name, data)
      seen = { run.name, name, data }
    end }
    named("a", function() mp.dispatch_custom_event("progress", 0.5) end)
      :invoke(1, { callbacks = { callback } })
    assert.same({ "a", "progress", 0.5 }, seen)
    mp.dispatch_custom_event("nobody", 1)
  end)

  it("warns of what a callback raises and goes on", function()
    local written = {}
    local real = io.stderr
    -- luacheck: push ignore 122
    io.stderr = { write = function(_, text) written[#written + 1] = text end }
    local value = named("a", id):invoke(5, { callbacks = {
      { on_start = function() error("ouch", 0) end },
    } })
    io.stderr = real
    -- luacheck: pop
    assert.equal(5, value)
    assert.equal("moonpipe: callback on_start failed: lua: ouch\n", table.concat(written))
  end)

  it("does not tell a callback of the chain that it runs itself", function()
    local count = 0
    local inner = named("inner", id)
    local callback = { on_start = function()
      count = count + 1
      inner:invoke(1)
    end }
    named("a", id):invoke(1, { callbacks = { callback } })
    assert.equal(1, count)
  end)

  it("does not tell it of that by way of another callback that runs a chain too", function()
    local counts = { 0, 0 }
    local callbacks = {}
    for i = 1, 2 do
      callbacks[i] = { on_start = function()
        counts[i] = counts[i] + 1
        if counts[i] > 20 then error "endless" end
        mp.RunnableParallel { x = named("inner", function() mp.sleep(0.001) end) }:invoke(1)
      end }
    end
    named("a", function() named("b", id):invoke(1) end):invoke(1, { callbacks = callbacks })
    assert.is_true(counts[1] < 20 and counts[2] < 20)
  end)

  it("tells a callback that waits of what other branches do meanwhile", function()
    local counts = { 0, 0 }
    local callbacks = {
      { on_start = function() counts[1] = counts[1] + 1 mp.sleep(0.004) end },
      { on_start = function() counts[2] = counts[2] + 1 mp.sleep(0.007) end },
    }
    local function pause(x) mp.sleep(0.001) return x end
    local map = mp.RunnableParallel { a = named("a", pause), b = named("b", pause) }
    for _ = 1, 3 do map:invoke(1, { callbacks = callbacks }) end
    assert.same({ 9, 9 }, counts)
  end)

  it("traces every item of a batch as a call of its own", function()
    local roots = {}
    local callback = { on_start = function(run) roots[run.root] = true end }
    named("a", id):pipe(named("b", id)):batch({ 1, 2, 3 }, { callbacks = { callback } })
    local count = 0
    for _ in pairs(roots) do count = count + 1 end
    assert.equal(3, count)
  end)

  it("traces started calls", function()
    local notes, callback = recorder()
    local task = named("a", id):start(1, { callbacks = { callback } })
    assert.equal(1, task:wait())
    assert.same({ "start a -", "end a -" }, notes)
  end)

  it("names a callback that nobody would call", function()
    local ok, err = pcall(function()
      named("a", id):invoke(1, { callbacks = { { on_chian_start = print } } })
    end)
    assert.is_false(ok)
    assert.is_truthy(err:find("unknown callback 'on_chian_start'; did you mean 'on_chain_start'?",
      1, true))
    ok, err = pcall(function() named("a", id):invoke(1, { callbacks = { print } }) end)
    assert.is_false(ok)
    assert.is_truthy(err:find("callback 1 is a function; it must be a table of functions", 1, true))
  end)
end)
