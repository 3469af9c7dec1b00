local helper = require "spec.helper"
local mp = require "moonpipe"

local it_with_vectors = helper.with_vectors(it)

local function fake(...)
  return mp.FakeListChatModel { responses = { ... } }
end

local function says(text)
  return function(_) return text end
end

local function with(values)
  return { configurable = values }
end

describe("configurable_fields", function()
  local model = mp.pipe(fake "a":configurable_fields {
    responses = mp.ConfigurableField { id = "answers", name = "Answers" },
  }, mp.StrOutputParser())

  it("leave the step as it is where nothing is chosen", function()
    assert.equal("a", model:invoke "x")
    assert.equal("a", model:invoke("x", with { other = 1 }))
  end)

  it("make the step with the options that a call chooses", function()
    assert.equal("b", model:invoke("x", with { answers = { "b" } }))
    assert.equal("a", model:invoke "x")
  end)

  it("change nothing that the model was made with, whatever became of that table", function()
    local options = { responses = { "a" }, sleep = 0 }
    local step = mp.FakeListChatModel(options):configurable_fields { sleep = { id = "s" } }
    options.responses = { "changed" }
    assert.equal("a", step:invoke("x", with { s = 0.001 }).content)
  end)

  it("hold for streams too", function()
    local seen = {}
    for c in model:stream("x", with { answers = { "bcd" } }) do seen[#seen + 1] = c end
    assert.same({ "b", "c", "d" }, seen)
  end)

  it("are chosen by a config of the chain's own", function()
    assert.equal("b", model:with_config(with { answers = { "b" } }):invoke "x")
    assert.equal("c", model:with_config(with { answers = { "b" } }):invoke("x", with { answers = { "c" } }))
  end)

  it("add up", function()
    local twice = fake("a"):configurable_fields({ responses = { id = "r" } })
      :configurable_fields({ sleep = { id = "s" } })
    assert.equal("b", twice:invoke("x", with { r = { "b" }, s = 0 }).content)
  end)

  it("are those of a prompt too", function()
    local prompt = mp.PromptTemplate.from_template("{greeting}, {name}", { partial_variables = { greeting = "Hi" } })
      :configurable_fields { template = { id = "text" }, partial_variables = { id = "given" } }
    assert.equal("Hi, Ann", tostring(prompt:invoke { name = "Ann" }))
    assert.equal("Ann: Hi", tostring(prompt:invoke({ name = "Ann" }, with { text = "{name}: {greeting}" })))
    assert.equal("Yo, Ann", tostring(prompt:invoke({ name = "Ann" }, with { given = { greeting = "Yo" } })))
    local chat = mp.ChatPromptTemplate.from_messages({ { "system", "be {how}" }, { "human", "{q}" } })
      :configurable_fields { messages = { id = "messages" }, partial_variables = { id = "given" } }
    local function said(how, config)
      return mp.get_buffer_string(chat:invoke({ q = "why?", how = how }, config))
    end
    assert.equal("System: be kind\nHuman: why?", said "kind")
    assert.equal("Human: So, why?", said("kind", with { messages = { "So, {q}" } }))
    assert.equal("System: be brief\nHuman: why?", said(nil, with { given = { how = "brief" } }))
    local err = helper.failure(chat.invoke, chat, { q = 1 }, with { messages = "{q}" })
    assert.matches("ChatPromptTemplate cannot be configured so: .*from_messages takes a list", err.message)
    helper.raises("unknown option 'text' of PromptTemplate; allowed: partial_variables, template",
      mp.PromptTemplate("{a}").configurable_fields, mp.PromptTemplate "{a}", { text = { id = "t" } })
  end)

  it("are those of every model", function()
    local generic = mp.GenericFakeChatModel { messages = { "a", "b", "c" } }
      :configurable_fields { messages = { id = "m" }, sleep = { id = "s" } }
    assert.equal("a", generic:invoke("x", with { s = 0 }).content)
    assert.equal("b", generic:invoke("x").content)
    assert.equal("x", generic:invoke("x", with { m = { "x" } }).content)
    assert.equal("c", generic:invoke("x").content)
    local extractive = mp.ExtractiveChatModel():configurable_fields { max_sentences = { id = "max" } }
    assert.equal(7, extractive:_with_options({ max_sentences = 7 }).bound.max_sentences)
    assert.equal(3, extractive.bound.max_sentences)
  end)

  it_with_vectors("are those of a retriever too", function()
    local store = mp.FAISS.from_texts({ "bears", "honey", "moon" }, { embedding = mp.HashEmbeddings() })
    local retriever = store:as_retriever({ search_kwargs = { k = 1 } }):configurable_fields {
      search_kwargs = { id = "search" },
    }
    assert.equal(1, #retriever:invoke "honey")
    assert.equal(2, #retriever:invoke("honey", with { search = { k = 2 } }))
  end)

  it("say at the call what cannot be chosen", function()
    local err = helper.failure(model.invoke, model, "x", with { answers = 5 })
    assert.equal("config", err.kind)
    assert.matches("FakeListChatModel cannot be configured so: .*responses of FakeListChatModel is the number 5",
      err.message)
  end)

  it("are refused where they are written, if the step has none such", function()
    local step = fake "a"
    helper.raises("unknown option 'temprature' of FakeListChatModel; allowed: error_on_chunk_number, responses, sleep",
      step.configurable_fields, step, { temprature = { id = "t" } })
    helper.raises("has no fields that can be configured", mp.const(1).configurable_fields, mp.const(1), {})
    assert.equal("configurable_fields takes at least one field", helper.said(step.configurable_fields, step, {}))
    assert.equal("id of ConfigurableField takes a string, got nil",
      helper.said(step.configurable_fields, step, { sleep = {} }))
    helper.raises("unknown option 'ids' of ConfigurableField", mp.ConfigurableField, { ids = "x" })
  end)

  it("do not show a key", function()
    local openai = mp.ChatOpenAI { api_key = "sk-very-secret", base_url = "http://127.0.0.1:9/v1" }
      :configurable_fields { temperature = { id = "t" } }
    assert.is_nil(mp.inspect(openai):find("very-secret", 1, true))
    assert.equal(0.5, openai:_with_options({ temperature = 0.5 }).bound.params.temperature)
  end)
end)

describe("configurable_alternatives", function()
  local field = mp.ConfigurableField { id = "voice" }
  local voices = mp.RunnableLambda(says "low"):configurable_alternatives(field, {
    high = says "high",
    spelled = mp.RunnableGenerator(function(_, emit) emit "s" emit "p" end),
  }, { default_key = "low" })

  it("run the default where nothing is chosen, or it is", function()
    assert.equal("low", voices:invoke(1))
    assert.equal("low", voices:invoke(1, with { voice = "low" }))
  end)

  it("run what the call chooses, in every mode", function()
    assert.equal("high", voices:invoke(1, with { voice = "high" }))
    local seen = {}
    for c in voices:stream(1, with { voice = "spelled" }) do seen[#seen + 1] = c end
    assert.same({ "s", "p" }, seen)
    assert.same({ "sp", n = 1 }, voices:batch({ 1 }, with { voice = "spelled" }))
  end)

  it("say which there are where one is unknown", function()
    local err = helper.failure(voices.invoke, voices, 1, with { voice = "hgh" })
    assert.equal("config", err.kind)
    assert.equal("unknown alternative 'hgh' of 'voice'; there are {high, low, spelled}; did you mean 'high'?",
      err.message)
  end)

  it("are made at their first use, once, by a function without parameters", function()
    local made = 0
    local lazy = mp.const(1):configurable_alternatives({ id = "a" }, { two = function()
      made = made + 1
      return mp.const(2)
    end })
    assert.equal(1, lazy:invoke(0))
    assert.equal(0, made)
    assert.equal(2, lazy:invoke(0, with { a = "two" }))
    assert.equal(2, lazy:invoke(0, with { a = "two" }))
    assert.equal(1, made)
  end)

  it("nest, each with its id", function()
    local inner = mp.const("a"):configurable_alternatives({ id = "inner" }, { b = mp.const "b" })
    local outer = inner:configurable_alternatives({ id = "outer" }, { c = mp.const "c" })
    assert.equal("b", outer:invoke(0, with { inner = "b" }))
    assert.equal("c", outer:invoke(0, with { inner = "b", outer = "c" }))
  end)

  it("have ids of their own within an alternative, with prefix_keys", function()
    local function named(text)
      return mp.pipe(fake(text):configurable_fields { responses = { id = "r" } }, mp.StrOutputParser())
    end
    local both = named("a"):configurable_alternatives({ id = "m" }, { b = named "b" }, { prefix_keys = true })
    local values = { ["m==default/r"] = { "A" }, ["m==b/r"] = { "B" } }
    assert.equal("A", both:invoke("x", with(values)))
    values.m = "b"
    assert.equal("B", both:invoke("x", with(values)))
    assert.equal("b", both:invoke("x", with { m = "b", ["m==default/r"] = { "A" } }))
  end)

  it("are all held against the keys before them, and after", function()
    local prompt = mp.ChatPromptTemplate.from_template "{question}"
    local other = prompt:configurable_alternatives({ id = "p" },
      { long = mp.ChatPromptTemplate.from_template "{text}" })
    helper.raises("in alternative 'long': ChatPromptTemplate", mp.pipe, { question = says(1) }, other)
    local maps = mp.RunnableParallel({ a = says(1) }):configurable_alternatives({ id = "m" }, { b = { b = says(1) } })
    helper.raises("the step before gives {a, b}", mp.pipe, maps, mp.itemgetter "c")
  end)

  it("are one run and one choice", function()
    local names = {}
    voices:invoke(1, { configurable = { voice = "spelled" }, callbacks = {
      { on_start = function(run) names[#names + 1] = run.name end },
    } })
    assert.equal(1, #names)
    assert.matches("voice = high", voices:get_graph():draw_mermaid())
  end)

  it("are refused where they are no steps", function()
    local step = mp.const(1)
    local function said(...) return helper.said(step.configurable_alternatives, step, ...) end
    assert.equal("configurable_alternatives takes a table of steps, got nil", said(field))
    assert.matches("^alternative 'b': a string is not a step", said(field, { b = "x" }))
    assert.equal("keys of alternatives are strings besides 'default', got 'default'", said(field, { default = step }))
    assert.equal("keys of alternatives are strings besides 'default', got the number 1", said(field, { step }))
    assert.matches("^unknown option 'prefix' of configurable_alternatives",
      said(field, { b = step }, { prefix = true }))
  end)
end)
