local mp = require "moonpipe"

local letters = mp.RunnableGenerator(function(chunks, emit) for c in chunks do emit(c) end end, { name = "letters" })
local plain = mp.RunnableLambda(function(x) return x end, { name = "plain" })
local upper = mp.map_chunks(string.upper, { name = "upper" })
local prompt = mp.ChatPromptTemplate.from_template "{question}"
local model = mp.FakeListChatModel { responses = { "yes" } }

local WHOLE = ": takes its whole input, and answers in one piece"
local ANSWERS = ": takes its whole input, then streams its answer"
local PASSES = ": passes chunks on"

local function lines_of(step)
  local lines = {}
  for line in step:explain_stream():gmatch "[^\n]+" do lines[#lines + 1] = line end
  return lines
end

describe("explain", function()
  it("says that a model which calls choose answers, as models do", function()
    local any = mp.init_chat_model("openai:gpt-5.4-mini", { configurable_fields = "any" })
    local text = (mp.PromptTemplate.from_template "{a}" | any):explain_stream()
    assert.matches("the answer is streamed from step 2 of 2 ConfigurableChatModel on", text, 1, true)
  end)

  it("says step by step what becomes of a stream, and from where on it flows", function()
    assert.same({
      "step 1 of 4 {question}: gives the chunks of its branches as they come",
      "  'question' RunnablePassthrough" .. PASSES,
      "step 2 of 4 prompt" .. WHOLE .. " (a prompt needs all its values)",
      "step 3 of 4 FakeListChatModel" .. ANSWERS,
      "step 4 of 4 StrOutputParser" .. PASSES,
      "the answer is streamed from step 3 of 4 FakeListChatModel on",
    }, lines_of(mp.pipe({ question = mp.RunnablePassthrough() }, prompt, model, mp.StrOutputParser())))
  end)

  it("says where streaming stops, why, and what would help", function()
    local lines = lines_of(mp.pipe(letters, plain, upper))
    assert.equal("step 2 of 3 plain" .. WHOLE .. " (a function is given a whole value; mp.map_chunks(fn) gives it"
      .. " each chunk, and a step that it returns is streamed)", lines[2])
    assert.equal("the answer comes in one piece, because of step 2 of 3 plain", lines[4])
  end)

  it("says where all goes through", function()
    assert.same({ "step 1 of 2 letters" .. PASSES, "step 2 of 2 upper" .. PASSES, "chunks go through as they come" },
      lines_of(mp.pipe(letters, upper)))
    assert.same({ "letters" .. PASSES, "chunks go through as they come" }, lines_of(letters))
  end)

  it("says it of all that a branch may choose", function()
    local lines = lines_of(mp.RunnableBranch({ plain, letters }, plain))
    assert.equal("RunnableBranch({plain, letters}, plain)" .. ANSWERS
      .. " (its conditions look at the whole input)", lines[1])
    assert.equal("  'if plain' letters" .. PASSES, lines[2])
    assert.matches("^  'else' plain" .. WHOLE, lines[3])
    assert.matches("^RunnableBranch.*" .. WHOLE, lines_of(mp.RunnableBranch({ plain, plain }, plain))[1])
  end)

  it("lets a map pass chunks on only where all its branches do", function()
    assert.same({ "step 2 of 2 {a, b}: gives the chunks of its branches as they come",
      "  'a' letters" .. PASSES, "  'b' upper" .. PASSES, "chunks go through as they come" },
      { unpack(lines_of(mp.pipe(letters, { a = letters, b = upper })), 2) })
    local lines = lines_of(mp.pipe(letters, { a = letters, b = plain }))
    assert.equal("the answer is streamed from step 2 of 2 {a, b} on", lines[#lines])
  end)

  it("looks into sequences of sequences", function()
    local lines = lines_of(mp.pipe(letters, mp.pipe(letters, plain):with_config { tags = { "t" } }))
    assert.matches("^step 2 of 2 letters . plain" .. WHOLE, lines[2])
    assert.equal("  step 1 of 2 letters" .. PASSES, lines[3])
    assert.matches("^  step 2 of 2 plain" .. WHOLE, lines[4])
  end)

  it("looks through what only wraps", function()
    local around = {
      letters:with_config { tags = { "t" } },
      letters:with_listeners(function() end),
      letters:with_types { input_type = "string" },
      letters:configurable_alternatives({ id = "a" }, { plain = plain }),
    }
    for i, step in ipairs(around) do assert.equal("letters" .. PASSES, lines_of(step)[1], i) end
  end)

  it("says of the others what they do", function()
    local function first(step) return lines_of(step)[1] end
    assert.equal("letters:map(): gives the chunks of its items as they come", first(letters:map()))
    assert.matches("which round is the last shows when it has ended",
      first(mp.loop { body = letters, until_ = mp.const(true) }))
    assert.equal("RouterRunnable{a}: passes the chunks of its input on, once a map before it has given the key",
      first(mp.RouterRunnable { a = letters }))
    assert.matches("answer %(some of its steps do so%)", first(mp.RouterRunnable { a = letters, b = plain }))
    assert.matches(WHOLE, first(mp.RouterRunnable { b = plain }))
    assert.matches("it keeps its input for another attempt", first(letters:with_retry()))
    assert.matches("^assign{a}: gives the chunks", first(mp.RunnableAssign { a = letters }))
  end)

  -- What it says is what is so: of each step, read one chunk of a stream that goes on.
  local steps = {
    letters = letters, plain = plain, upper = upper, parser = mp.StrOutputParser(),
    branch = mp.RunnableBranch({ plain, letters }, plain), each = plain:map(),
    loop = mp.loop { body = plain, until_ = mp.const(true) }, map = mp.RunnableParallel { a = letters },
    retry = letters:with_retry(), passthrough = mp.RunnablePassthrough(),
    listeners = letters:with_listeners(function() end), pick = mp.RunnablePick "a", getter = mp.itemgetter "a",
  }
  local inputs = { each = { { 1 }, { 2 } }, pick = { { a = 1 }, { a = 2 } },
    getter = { { a = 1 }, { b = 2 } } }

  for name, step in pairs(steps) do
    it("says of " .. name .. " what is so", function()
      local read = 0
      local list = inputs[name] or { "x", "y" }
      local stream = step:transform(function()
        read = read + 1
        return list[read]
      end)
      stream()
      stream:close()
      local text = lines_of(step)[1]
      local passes = text:find(PASSES, 1, true) or text:find("gives the chunks", 1, true)
      assert.equal(passes and 1 or 3, read, text)
    end)
  end
end)

describe("empty streams", function()
  local nothing = mp.RunnableGenerator(function() end)

  -- None of these is called where nothing comes, and none invents a chunk.
  local steps = {
    lambda = plain, generator = letters, chunks = upper, prompt = prompt, model = model,
    parser = mp.StrOutputParser(), json = mp.CommaSeparatedListOutputParser(), pick = mp.RunnablePick "a",
    getter = mp.itemgetter "a", branch = mp.RunnableBranch({ plain, plain }, plain),
    router = mp.RouterRunnable { a = plain }, each = plain:map(), loop = mp.loop { body = plain, until_ = plain },
    passthrough = mp.RunnablePassthrough(), config = plain:with_config { timeout = 5 }, retry = plain:with_retry(),
    listeners = plain:with_listeners(function() end), constant = mp.const(1),
    alternatives = plain:configurable_alternatives({ id = "a" }, { b = plain }), chain = mp.pipe(plain, plain),
    tool = plain:as_tool { name = "t", description = "d", arg_types = "string" },
  }

  for name, step in pairs(steps) do
    it("are valid before " .. name, function()
      assert.is_nil(mp.pipe(nothing, step):stream(1)())
    end)
  end

  it("are valid before maps, of which every branch ends", function()
    local ended = {}
    for c in mp.pipe(nothing, { a = plain, b = letters }):stream(1) do ended[#ended + 1] = mp.finished(c) end
    table.sort(ended)
    assert.same({ "a", "b" }, ended)
  end)

  it("are valid as answers", function()
    assert.is_nil(nothing:invoke(1))
    assert.same({ n = 1 }, nothing:map():invoke { 1 })
    assert.same({}, mp.RunnableParallel({ a = nothing }):invoke(1))
    assert.same({ n = 2 }, nothing:batch { 1, 2 })
  end)
end)
