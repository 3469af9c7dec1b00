local mp = require "moonpipe"
local helper = require "spec.helper"

local said, failure = helper.said, helper.input_failure
local String, Chat = mp.PromptTemplate, mp.ChatPromptTemplate
local FewShot, FewShotChat = mp.FewShotPromptTemplate, mp.FewShotChatMessagePromptTemplate

local ANTONYMS = { { word = "happy", antonym = "sad" }, { word = "tall", antonym = "short" } }
local PAIR = String "{word}: {antonym}"

local function antonyms(more)
  local opts = { examples = ANTONYMS, example_prompt = PAIR, suffix = "{input}:" }
  for key, value in pairs(more or {}) do
    opts[key] = value
  end
  return FewShot(opts)
end

-- Gives what it is told to, and keeps what it was asked.
local function selector(list, keys)
  return {
    input_keys = keys,
    select_examples = function(self, values)
      self.asked = values
      return list
    end,
  }
end

describe("FewShotPromptTemplate", function()
  it("joins prefix, examples and suffix", function()
    local prompt = antonyms { prefix = "Give the antonym. {more}" }
    assert.same({ "input", "more" }, prompt.input_variables)
    assert.equal("Give the antonym. Please.\n\nhappy: sad\n\ntall: short\n\nbig:",
      prompt:invoke({ input = "big", more = "Please." }):to_string())
  end)

  it("takes a lone value, and another separator", function()
    assert.equal("happy: sad\ntall: short\nbig:", antonyms({ example_separator = "\n" }):format "big")
  end)

  it("never reads as a template what stands in examples or values", function()
    local prompt = FewShot {
      examples = { { q = "what is {x}?", a = '{"k": {}}' } },
      example_prompt = String "Q: {q}\nA: {a}", suffix = "Q: {q}", prefix = "{{literal}}",
    }
    assert.equal('{literal}\n\nQ: what is {x}?\nA: {"k": {}}\n\nQ: {a} {', prompt:format "{a} {")
  end)

  it("has no empty pieces", function()
    assert.equal("happy: sad\n\ntall: short", antonyms({ suffix = "" }):format {})
    assert.equal("big:", antonyms({ examples = {} }):format "big")
  end)

  it("speaks mustache", function()
    local prompt = FewShot {
      examples = ANTONYMS, suffix = "{{input}}:", template_format = "mustache",
      example_prompt = String.from_template("{{word}}-{{antonym}}", { template_format = "mustache" }),
    }
    assert.equal("happy-sad\n\ntall-short\n\nbig:", prompt:format "big")
  end)

  it("takes partial values", function()
    local calls = 0
    local prompt = antonyms({ prefix = "{a}{b}", partial_variables = { a = "A" } })
      :partial { b = function() calls = calls + 1; return "B" end }
    assert.same({ "input" }, prompt.input_variables)
    assert.equal("AB\n\nhappy: sad\n\ntall: short\n\nbig:", prompt:format { input = "big" })
    assert.equal(1, calls)
    assert.is_false(prompt.sync)
    assert.is_true(antonyms().sync)
  end)

  it("is a step, and an element of a chat prompt", function()
    local chain = antonyms():pipe(mp.FakeListChatModel { responses = { "small" } })
    assert.equal("small", chain:invoke({ input = "big" }).content)
    assert.equal(1, #chain:get_prompts())
    assert.equal("System: s\nHuman: happy: sad\n\ntall: short\n\nbig:",
      Chat.from_messages({ { "system", "s" }, antonyms() }):format "big")
  end)

  it("misses a variable", function()
    assert.equal('FewShotPromptTemplate "{input}:" misses {input}: expected {input}, received {inptu};'
      .. " if braces were meant literally write {{input}}; did you mean 'inptu'?",
      failure(antonyms().invoke, antonyms(), { inptu = "x" }))
  end)

  it("sees examples that do not fit when it is made", function()
    assert.equal('FewShotPromptTemplate: example 2: PromptTemplate "{word}: {antonym}" misses'
      .. " {antonym}: expected {antonym, word}, received {word}; if braces were meant literally write"
      .. " {{antonym}}", said(antonyms, { examples = { ANTONYMS[1], { word = "tall" } } }))
    assert.equal("FewShotPromptTemplate: example 1 is a string; it must be a table of values",
      said(antonyms, { examples = { "happy" } }))
  end)

  it("refuses wrong options", function()
    assert.equal("FewShotPromptTemplate needs either examples or example_selector",
      said(FewShot, { example_prompt = PAIR }))
    assert.equal("FewShotPromptTemplate needs either examples or example_selector",
      said(antonyms, { example_selector = selector {} }))
    assert.equal("examples of FewShotPromptTemplate is a string; it must be a list",
      said(antonyms, { examples = "x" }))
    assert.equal("example_selector of FewShotPromptTemplate is a table with keys {a}; it must have a"
      .. " method select_examples", said(FewShot, { example_prompt = PAIR,
        example_selector = { a = 1 } }))
    assert.equal("example_prompt of FewShotPromptTemplate is a string; it must be a PromptTemplate",
      said(antonyms, { example_prompt = "{word}" }))
    assert.equal("suffix of FewShotPromptTemplate is the number 5; it must be a string",
      said(antonyms, { suffix = 5 }))
    assert.equal("example_separator of FewShotPromptTemplate is the number 5; it must be a string",
      said(antonyms, { example_separator = 5 }))
    assert.equal("prefix of FewShotPromptTemplate: bad template at line 2, column 1: '{}' names no"
      .. " variable; write {{ and }} for literal braces", said(antonyms, { prefix = "a\n{}" }))
    assert.equal("input_variables of FewShotPromptTemplate \"{input}:\" are {word}, but a call must"
      .. " give {input}", said(antonyms, { input_variables = { "word" } }))
    assert.truthy(said(antonyms, { sufix = "" }):find("did you mean 'suffix'?", 1, true))
  end)
end)

describe("an example selector", function()
  it("is asked with the input of each call", function()
    local chosen = selector { ANTONYMS[2] }
    local prompt = FewShot { example_selector = chosen, example_prompt = PAIR, suffix = "{input}:" }
    assert.equal("tall: short\n\nbig:", prompt:format { input = "big", style = "x" })
    assert.same({ input = "big", style = "x" }, chosen.asked)
    assert.equal("tall: short\n\nbig:", prompt:format "big")
    assert.same({ input = "big" }, chosen.asked)
    assert.is_false(prompt.sync)
  end)

  it("gets partial values and the rest of the input", function()
    local chosen = selector {}
    FewShot({ example_selector = chosen, example_prompt = PAIR, suffix = "{a}{b}" })
      :partial({ a = "A" }):format { b = "B", c = "C" }
    assert.same({ a = "A", b = "B", c = "C" }, chosen.asked)
  end)

  it("that gives no examples is told so", function()
    local function ask(list)
      local prompt = FewShot { example_selector = selector(list), example_prompt = PAIR }
      return failure(prompt.invoke, prompt, {})
    end
    assert.equal("select_examples of the example_selector gave nil, not a list", ask(nil))
    assert.equal('example 1: PromptTemplate "{word}: {antonym}" misses {antonym}: expected {antonym,'
      .. " word}, received {word}; if braces were meant literally write {{antonym}}",
      ask { { word = "x" } })
  end)
end)

describe("FewShotChatMessagePromptTemplate", function()
  local SUMS = { { input = "2+2", output = "4" }, { input = "2+3", output = "{5}" } }
  local TURN = Chat.from_messages { { "human", "{input}" }, { "ai", "{output}" } }

  it("gives the messages of its examples", function()
    local prompt = FewShotChat { examples = SUMS, example_prompt = TURN }
    assert.same({}, prompt.input_variables)
    assert.equal("Human: 2+2\nAI: 4\nHuman: 2+3\nAI: {5}", prompt:format())
    assert.equal("Human: 2+2\nAI: 4\nHuman: 2+3\nAI: {5}", prompt:invoke({}):to_string())
    assert.equal(4, #prompt:format_messages {})
  end)

  it("stands in a chat prompt, which may have a lone value", function()
    local prompt = Chat.from_messages {
      { "system", "Add." }, FewShotChat { examples = SUMS, example_prompt = TURN },
      { "human", "{input}" },
    }
    assert.same({ "input" }, prompt.input_variables)
    assert.equal("System: Add.\nHuman: 2+2\nAI: 4\nHuman: 2+3\nAI: {5}\nHuman: 7+{8}",
      prompt:format "7+{8}")
  end)

  it("takes messages for one, or a text for a human's", function()
    assert.equal("Human: 2+2\nAI: 4", FewShotChat({ examples = { SUMS[1] },
      example_prompt = { "{input}", { "ai", "{output}" } } }):format())
    assert.equal("Human: 2+2=4", FewShotChat({ examples = { SUMS[1] },
      example_prompt = String "{input}={output}" }):format())
  end)

  it("asks a selector with the values of the whole prompt", function()
    local chosen = selector({ SUMS[2] }, { "input" })
    local few = FewShotChat { example_selector = chosen, example_prompt = TURN }
    assert.same({ "input" }, few.input_variables)
    local prompt = Chat.from_messages { few, "{q}" }
    assert.same({ "input", "q" }, prompt.input_variables)
    assert.is_false(prompt.sync)
    assert.equal("Human: 2+3\nAI: {5}\nHuman: why", prompt:format { input = "1+1", q = "why" })
    assert.same({ input = "1+1", q = "why" }, chosen.asked)
    Chat.from_messages({ few, "{input}" }):format "9"
    assert.same({ input = "9" }, chosen.asked)
  end)

  it("needs what it says", function()
    local few = FewShotChat {
      example_selector = selector {}, example_prompt = TURN, input_variables = { "input" },
    }
    assert.truthy(failure(few.invoke, few, { x = 1 }):find("misses {input}", 1, true))
    assert.equal("example_prompt of FewShotChatMessagePromptTemplate is nil; it must be a"
      .. " ChatPromptTemplate", said(FewShotChat, { examples = SUMS }))
    assert.truthy(said(FewShotChat, { examples = { {} }, example_prompt = TURN })
      :find("^FewShotChatMessagePromptTemplate: example 1: ChatPromptTemplate \"{input}\" misses"))
  end)
end)

describe("LengthBasedExampleSelector", function()
  local function chosen(opts, values)
    opts.examples, opts.example_prompt = opts.examples or ANTONYMS, PAIR
    return mp.LengthBasedExampleSelector(opts):select_examples(values)
  end

  it("takes examples as long as there is room", function()
    assert.equal(2, #chosen({ max_length = 5 }, { input = "big" }))
    assert.equal(1, #chosen({ max_length = 4 }, { input = "big" }))
    assert.equal(0, #chosen({ max_length = 4 }, { input = "big and huge" }))
    assert.equal(2, #chosen({}, { input = "big" }))
  end)

  it("counts lengths by a function", function()
    local function bytes(text) return #text end
    assert.same({ ANTONYMS[1] }, chosen({ max_length = 14, get_text_length = bytes }, { x = "abc" }))
  end)

  it("takes in more examples, and inputs of any sort", function()
    local it_chooses = mp.LengthBasedExampleSelector { examples = {}, example_prompt = PAIR }
    it_chooses:add_example(ANTONYMS[2])
    assert.same({ ANTONYMS[2] }, it_chooses:select_examples { x = print, y = { a = 1 }, z = 5 })
  end)

  it("refuses wrong options", function()
    assert.equal("examples of LengthBasedExampleSelector is nil; it must be a list",
      said(mp.LengthBasedExampleSelector, { example_prompt = PAIR }))
    assert.equal("example_prompt of LengthBasedExampleSelector is nil; it must be a prompt",
      said(mp.LengthBasedExampleSelector, { examples = {} }))
    assert.equal("max_length of LengthBasedExampleSelector is a string; it must be a number from 0",
      said(chosen, { max_length = "5" }))
    assert.equal("get_text_length of LengthBasedExampleSelector is the number 1; it must be a"
      .. " function", said(chosen, { get_text_length = 1 }))
  end)
end)
