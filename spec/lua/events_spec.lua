-- chain:stream_events: names and payloads of version 2, with error events.
local mp = require "moonpipe"
local steps = require "spec.support.steps"

local named, collect = steps.named, steps.chunks_of

local function brief(list)
  local out = {}
  for i, event in ipairs(list) do out[i] = event.event .. " " .. event.name end
  return out
end

local chain = mp.ChatPromptTemplate.from_template("{x}")
  :pipe(mp.FakeListChatModel { responses = { "ab" } }, mp.StrOutputParser())

describe("stream_events", function()
  it("takes callbacks beside its own, and refuses what is none", function()
    local count = 0
    local callback = { on_start = function() count = count + 1 end }
    collect(mp.const(1):stream_events(1, { callbacks = { callback } }))
    assert.equal(1, count)
    local ok, err = pcall(mp.const(1).stream_events, mp.const(1), 1, { callbacks = 5 })
    assert.is_false(ok)
    assert.matches("config callbacks takes a table, got the number 5", err)
  end)

  it("gives starts, chunks and ends in the order in which they happen", function()
    assert.same({
      "on_chain_start RunnableSequence",
      "on_prompt_start ChatPromptTemplate",
      "on_prompt_stream ChatPromptTemplate",
      "on_prompt_end ChatPromptTemplate",
      "on_chat_model_start FakeListChatModel",
      "on_chat_model_stream FakeListChatModel",
      "on_parser_start StrOutputParser",
      "on_parser_stream StrOutputParser",
      "on_chain_stream RunnableSequence",
      "on_chat_model_stream FakeListChatModel",
      "on_parser_stream StrOutputParser",
      "on_chain_stream RunnableSequence",
      "on_chat_model_end FakeListChatModel",
      "on_parser_end StrOutputParser",
      "on_chain_end RunnableSequence",
    }, brief(collect(chain:stream_events { x = 1 })))
  end)

  it("gives every event the fields of version 2", function()
    local list = collect(chain:stream_events({ x = 1 }, { tags = { "t" }, metadata = { m = 1 } }))
    local root, model = list[1], list[6]
    assert.same({}, root.parent_ids)
    assert.same({ input = { x = 1 } }, root.data)
    assert.same({ "t" }, root.tags)
    assert.same({ m = 1 }, root.metadata)
    assert.same({ root.run_id }, model.parent_ids)
    assert.same({ "seq:step:2", "t" }, model.tags)
    assert.equal("a", model.data.chunk.content)
    assert.equal("1", list[5].data.input[1].content) -- a model begins with all that it is asked
    assert.same({ output = "ab" }, list[#list].data)
    assert.equal("ab", list[#list - 1].data.output)
    assert.equal("ab", list[#list - 1].data.input.content)
  end)

  it("gives an error event for each step that failed, then raises", function()
    local bad = named("a", function(x) return x end):pipe(named("b", function() error("no", 0) end))
    local list = {}
    local ok = pcall(function()
      for event in bad:stream_events(1) do list[#list + 1] = event end
    end)
    assert.is_false(ok)
    local names = brief(list)
    assert.same({ "on_chain_error b", "on_chain_error RunnableSequence" },
      { names[#names - 1], names[#names] })
    local err = list[#list].data.error
    assert.equal("no", err.message)
    assert.is_truthy(mp.inspect(err))
  end)

  it("gives every token of a model that a function invokes", function()
    local model = mp.FakeListChatModel { responses = { "abc" } }
    local outer = named("outer", function(x) return model:invoke(x).content end)
    local tokens = {}
    for event in outer:stream_events "q" do
      if event.event == "on_chat_model_stream" then
        tokens[#tokens + 1] = event.data.chunk.content
      end
    end
    assert.same({ "a", "b", "c" }, tokens)
  end)

  it("filters by name, type and tag", function()
    local function names(options)
      local set = {}
      for _, event in ipairs(collect(chain:stream_events({ x = 1 }, options))) do
        set[event.name] = true
      end
      local list = {}
      for name in pairs(set) do list[#list + 1] = name end
      table.sort(list)
      return list
    end
    assert.same({ "StrOutputParser" }, names { include_names = { "StrOutputParser" } })
    assert.same({ "FakeListChatModel" }, names { include_types = { "chat_model" } })
    assert.same({ "ChatPromptTemplate", "FakeListChatModel" },
      names { include_tags = { "seq:step:1" }, include_types = { "chat_model" } })
    assert.same({ "ChatPromptTemplate", "StrOutputParser" },
      names { exclude_types = { "chat_model" }, exclude_names = { "RunnableSequence" } })
  end)

  it("gives custom events", function()
    local step = named("a", function() mp.dispatch_custom_event("halfway", { done = 1 }) end)
    local found
    for event in step:stream_events(1) do
      if event.event == "on_custom_event" then found = event end
    end
    assert.equal("halfway", found.name)
    assert.same({ done = 1 }, found.data)
  end)

  it("waits while nobody reads, and is cancelled where it is closed", function()
    local began, ended = 0, 0
    local step = mp.RunnableGenerator(function(_, emit)
      for i = 1, 1000 do
        began = i
        emit(i)
      end
      ended = 1
    end)
    local stream = step:stream_events(1)
    for _ = 1, 5 do stream:next() end
    assert.is_truthy(began < 10)
    stream:close()
    assert.equal(0, ended)
    assert.is_nil(stream:next())
  end)

  it("takes a timeout, and refuses unknown options and filters that are no lists", function()
    local slow = named("slow", function() mp.sleep(30) end)
    local ok, err = pcall(function() collect(slow:stream_events(1, { timeout = 0.01 })) end)
    assert.is_false(ok)
    assert.equal("timeout_total", err.kind)
    ok, err = pcall(slow.stream_events, slow, 1, { include_name = {} })
    assert.is_false(ok)
    assert.is_truthy(err:find("unknown option 'include_name' of stream_events", 1, true))
    ok, err = pcall(slow.stream_events, slow, 1, { include_names = "x" })
    assert.is_false(ok)
    assert.is_truthy(err:find("include_names takes a list, got a string", 1, true))
  end)

  it("keeps the callbacks of the config", function()
    local count = 0
    collect(chain:stream_events({ x = 1 }, { callbacks = {
      { on_chain_end = function() count = count + 1 end },
    } }))
    assert.equal(1, count)
  end)
end)
