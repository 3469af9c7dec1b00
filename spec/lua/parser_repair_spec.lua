local helper = require "spec.helper"
local mp = require "moonpipe"
local steps = require "spec.support.steps"

local failure, said = helper.failure, helper.said
local json = mp.JsonOutputParser()

-- A model that gives these answers one by one, and notes what it is asked.
local function model(...)
  local answers, asked = { ... }, {}
  local step = mp.RunnableLambda(function(input)
    asked[#asked + 1] = input
    local answer = answers[#asked]
    if answer == nil then error("asked once too often") end
    return answer
  end)
  return step, asked
end

local function drain(step, input)
  return steps.chunks_of(step:stream(input))
end

describe("RetryOutputParser", function()
  it("gives a good answer at once", function()
    local m, asked = model "[1]"
    local step = mp.RetryOutputParser { model = m, parser = json }
    assert.same({ 1 }, step:invoke "hi")
    assert.same({ "hi" }, asked)
    assert.equal("Return a JSON object.", step:get_format_instructions())
  end)

  it("asks again with the answer and what is wrong with it", function()
    local m, asked = model("[1", mp.AIMessage "[1, 2]")
    assert.same({ 1, 2 }, mp.RetryOutputParser({ model = m, parser = json }):invoke "hi")
    local again = asked[2]
    assert.equal("hi", again[1].content)
    assert.equal("ai", again[2].type)
    assert.equal("[1", again[2].content)
    assert.equal("human", again[3].type)
    assert.truthy(again[3].content:find("This answer cannot be used: the answer is not JSON: ", 1,
      true))
    assert.truthy(again[3].content:find("Return a JSON object.", 1, true))
  end)

  it("sits behind a prompt, which may be its own", function()
    local prompt = mp.ChatPromptTemplate.from_template "give {x}"
    for _, make in ipairs {
      function(m) return mp.pipe(prompt, mp.RetryOutputParser { model = m, parser = json }) end,
      function(m) return mp.RetryOutputParser.from_llm { llm = m, parser = json, prompt = prompt } end,
    } do
      local m, asked = model("no", "{}")
      assert.same({}, make(m):invoke { x = "{y}" })
      assert.equal("give {y}", asked[2][1].content)
      assert.equal("no", asked[2][2].content)
    end
  end)

  it("keeps all that was said, and gives up with the last error", function()
    local m, asked = model("a", "b", "c")
    local step = mp.RetryOutputParser { model = m, parser = json, max_retries = 2 }
    local err = failure(step.invoke, step, "hi")
    assert.equal("decode", err.kind)
    assert.equal("c", err.partial)
    assert.equal(3, err.attempts)
    assert.equal("parser JsonOutputParser", err.path)
    assert.equal(5, #asked[3])
  end)

  it("is not asked again where max_retries is 0", function()
    local m, asked = model "a"
    local step = mp.RetryOutputParser { model = m, parser = json, max_retries = 0 }
    assert.equal(nil, failure(step.invoke, step, "hi").attempts)
    assert.equal(1, #asked)
  end)

  it("passes on what no other answer would mend", function()
    local m = model "x"
    local step = mp.RetryOutputParser { model = m, parser = function() error("mine") end }
    local err = failure(step.invoke, step, "hi")
    assert.equal("lua", err.kind)
    local failing = mp.RetryOutputParser {
      model = function() return nil, "broken" end, parser = json,
    }
    err = failure(failing.invoke, failing, "hi")
    assert.truthy(err.message:find("broken", 1, true))
    assert.truthy(err.path:find("^model "))
  end)

  it("answers every call of a tool with what is wrong", function()
    local bad = mp.AIMessage { content = "", tool_calls = {
      { name = "add", args = { x = "1" }, id = "a" }, { name = "add", args = { x = 2 }, id = "b" },
    } }
    local good = mp.AIMessage { content = "", tool_calls = {
      { name = "add", args = { x = 1 }, id = "c" } } }
    local m, asked = model(bad, good)
    local step = mp.RetryOutputParser { model = m, parser = mp.ToolsOutputParser {
      tools = { { name = "add", parameters = mp.schema.object { x = "integer" } } } } }
    assert.same({ { type = "add", args = { x = 1 } } }, step:invoke "hi")
    assert.equal(4, #asked[2])
    assert.same({ "a", "b" }, { asked[2][3].tool_call_id, asked[2][4].tool_call_id })
    assert.equal("error", asked[2][3].status)
  end)

  it("streams, and asks again where each chunk holds all that is known", function()
    local m = mp.FakeListChatModel { responses = { '{"a":1}}', '{"b":2}' } }
    local step = mp.RetryOutputParser { model = m, parser = json }
    local seen = drain(step, "hi")
    assert.same({ b = 2 }, seen[#seen])
    assert.truthy(#seen > 2)
    assert.same({ b = 2 }, mp.RetryOutputParser({ parser = json,
      model = mp.FakeListChatModel { responses = { "x", '{"b":2}' } } }):stream("hi"):collect())
  end)

  it("does not ask again where chunks were given that cannot be taken back", function()
    local m = mp.FakeListChatModel { responses = { "<a><b>1</b></c>", "<a/>" } }
    local step = mp.RetryOutputParser { model = m, parser = mp.XMLOutputParser() }
    local seen = {}
    local err = failure(function()
      for value in step:stream "hi" do seen[#seen + 1] = value end
    end)
    assert.same({ { a = { { b = "1" } } } }, seen)
    assert.truthy(err.message:find("</c> closes <a>", 1, true))
  end)

  it("passes on what breaks the model's stream", function()
    local m = mp.FakeListChatModel { responses = { "[1, 2]" }, error_on_chunk_number = 3 }
    local step = mp.RetryOutputParser { model = m, parser = json }
    local err = failure(drain, step, "hi")
    assert.equal("reset", err.kind)
    assert.equal("[1", err.partial)
    assert.truthy(err.path:find("^model "))
  end)

  it("ends the model's stream where the parser fails before it", function()
    local left = false
    local m = mp.RunnableGenerator(function(_, emit)
      for _, piece in ipairs { "<a>", "</b>", "never" } do emit(piece) end
      left = true
    end)
    local step = mp.RetryOutputParser { model = m, parser = mp.XMLOutputParser(), max_retries = 0 }
    assert.truthy(failure(drain, step, "hi").message:find("</b> closes <a>", 1, true))
    assert.falsy(left)
  end)

  it("is drawn, explained and traced as what it is made of", function()
    local names = {}
    local m = mp.FakeListChatModel { responses = { "x", "{}" } }
    local step = mp.RetryOutputParser { model = m, parser = json }
    step:invoke("hi", { callbacks = { { on_start = function(run)
      names[#names + 1] = run.name .. " " .. tostring(run.tag)
    end } } })
    assert.same({ "RetryOutputParser nil", "FakeListChatModel seq:step:1",
      "JsonOutputParser seq:step:2", "FakeListChatModel retry:attempt:2",
      "JsonOutputParser seq:step:2" }, names)
    assert.truthy(step:explain_stream():find("JsonOutputParser: passes chunks on", 1, true))
    assert.truthy(step:get_graph():draw_mermaid():find("FakeListChatModel", 1, true))
    assert.truthy(mp.RetryOutputParser({ model = m, parser = json }):bind { stop = { "x" } })
  end)

  it("needs a model and a parser", function()
    assert.equal("RetryOutputParser needs model", said(mp.RetryOutputParser, {}))
    assert.equal("RetryOutputParser needs parser",
      said(mp.RetryOutputParser, { model = function() end }))
    assert.equal("max_retries of RetryOutputParser must be a whole number from 0, got the number"
      .. " 0.5", said(mp.RetryOutputParser, { model = json, parser = json, max_retries = 0.5 }))
    assert.truthy(said(mp.RetryOutputParser, { model = 5, parser = json })
      :find("^model of RetryOutputParser: "))
  end)
end)

describe("OutputFixingParser", function()
  it("gives what its parser gives", function()
    local m, asked = model "never"
    assert.same({ 1 }, mp.OutputFixingParser({ parser = json, model = m }):invoke "[1]")
    assert.equal(0, #asked)
  end)

  it("has what cannot be parsed mended by the model", function()
    local m, asked = model(mp.AIMessage "[1]")
    local step = mp.OutputFixingParser.from_llm { parser = json, llm = m }
    assert.same({ 1 }, step:invoke "[1{x}")
    for _, part in ipairs { "Return a JSON object.", "[1{x}", "the answer is not JSON: " } do
      assert.truthy(asked[1]:find(part, 1, true), part)
    end
  end)

  it("asks with a prompt of the user's", function()
    local m, asked = model "{}"
    local prompt = mp.ChatPromptTemplate.from_template "{instructions} {completion} {error}"
    local step = mp.OutputFixingParser { parser = json, model = m, prompt = prompt }
    assert.same({}, step:invoke "x{y}")
    assert.truthy(asked[1]:to_messages()[1].content:find("Return a JSON object. x{y} the answer", 1,
      true))
  end)

  it("gives up with the last error and text", function()
    local m, asked = model("b", "c")
    local step = mp.OutputFixingParser { parser = json, model = m, max_retries = 2 }
    local err = failure(step.invoke, step, "a")
    assert.equal("decode", err.kind)
    assert.equal("c", err.partial)
    assert.equal(3, err.attempts)
    assert.equal(2, #asked)
  end)

  it("keeps the text where the model fails", function()
    local step = mp.OutputFixingParser {
      parser = json, model = function() return nil, "broken" end,
    }
    local err = failure(step.invoke, step, "a")
    assert.truthy(err.message:find("broken", 1, true))
    assert.equal("a", err.partial)
    assert.truthy(err.path:find("^model "))
  end)

  it("stands in the place of a parser", function()
    local m = model "[2]"
    local chain = mp.pipe(mp.FakeListChatModel { responses = { "no" } },
      mp.OutputFixingParser { parser = json, model = m })
    assert.same({ 2 }, chain:invoke "hi")
    assert.same({ { 1 } }, drain(mp.pipe(mp.FakeListChatModel { responses = { "[1]" } },
      mp.OutputFixingParser { parser = json, model = m }), "hi"))
    assert.equal("Return a JSON object.", chain.steps[2]:get_format_instructions())
    assert.truthy(chain:explain_stream():find("a model mends the whole answer", 1, true))
    assert.truthy(chain:get_graph():draw_mermaid():find("JsonOutputParser", 1, true))
  end)
end)
