-- input_schema and output_schema: what is known of a chain's two ends.
local json = require "moonpipe.json"
local mp = require "moonpipe"
local steps = require "spec.support.steps"

local named = steps.named

local function text(schema)
  return json.encode(schema)
end

local prompt = mp.ChatPromptTemplate.from_template "{context} {question}"
local model = mp.FakeListChatModel { responses = { "a" } }

describe("input_schema", function()
  it("knows the variables of prompts", function()
    assert.equal('{"properties":{"context":{},"question":{}},'
      .. '"required":["context","question"],"type":"object"}', text(prompt:input_schema()))
    assert.equal('{"properties":{"question":{}},"required":["question"],"type":"object"}',
      text(prompt:partial({ context = "c" }):input_schema()))
    local optional = mp.ChatPromptTemplate.from_messages {
      mp.MessagesPlaceholder("history", { optional = true }), { "human", "{q}" },
    }
    assert.equal('{"properties":{"history":{},"q":{}},"required":["q"],"type":"object"}',
      text(optional:input_schema()))
  end)

  it("is that of a sequence's first step", function()
    assert.same({ "context", "question" }, { unpack(prompt:pipe(model):input_schema().required) })
    assert.equal("{}", text(named("f"):pipe(prompt):input_schema()))
  end)

  it("is what all branches of a map need", function()
    local map = mp.RunnableParallel {
      a = mp.itemgetter("x"), b = prompt, c = named("f"), d = mp.RunnablePick("maybe"),
    }
    local schema = map:input_schema()
    assert.same({ "context", "question", "x" }, { unpack(schema.required) })
    assert.is_truthy(schema.properties.maybe)
  end)

  it("is the input's keys of an assign, a list of each, key and input of a router", function()
    local assign = mp.RunnablePassthrough.assign { k = mp.itemgetter("x") }
    assert.same({ "x" }, { unpack(assign:input_schema().required) })
    assert.equal("array", mp.itemgetter("x"):map():input_schema().type)
    assert.same({ "input", "key" },
      { unpack(mp.RouterRunnable({ a = named("f") }):input_schema().required) })
  end)

  it("is one of several of a branch", function()
    local branch = mp.RunnableBranch({ named("c"), mp.itemgetter("x") }, mp.itemgetter("y"))
    assert.equal(2, #branch:input_schema().anyOf)
    local same = mp.RunnableBranch({ named("c"), mp.itemgetter("x") }, mp.itemgetter("x"))
    assert.same({ "x" }, { unpack(same:input_schema().required) })
    local open = mp.RunnableBranch({ named("c"), mp.itemgetter("x") }, named("f"))
    assert.equal("{}", text(open:input_schema()))
  end)

  it("looks through bindings", function()
    assert.same({ "x" },
      { unpack(mp.itemgetter("x"):with_config({ tags = { "t" } }):input_schema().required) })
  end)

  it("is what with_types says", function()
    local typed = named("f"):with_types { input_type = { "a", "b" }, output_type = "string" }
    assert.same({ "a", "b" }, { unpack(typed:pipe(named("g")):input_schema().required) })
    assert.equal("string", named("g"):pipe(typed):output_schema().type)
    local bound = typed:with_config { tags = { "t" } }
    assert.same({ "a", "b" }, { unpack(bound:input_schema().required) })
  end)

  it("asks for both where two branches know different things of a key", function()
    local inner = mp.itemgetter("x")
    local map = mp.RunnableParallel { a = inner, b = inner }
    assert.same({ "x" }, { unpack(map:input_schema().required) })
  end)
end)

describe("output_schema", function()
  it("is that of the last step", function()
    assert.equal('{"type":"string"}',
      text(prompt:pipe(model, mp.StrOutputParser()):output_schema()))
    assert.equal("AIMessage", prompt:pipe(model):output_schema().title)
    assert.equal('{"items":{"type":"string"},"type":"array"}',
      text(mp.CommaSeparatedListOutputParser():output_schema()))
    assert.equal("{}", text(named("f"):output_schema()))
  end)

  it("has the keys of a map, each with its branch's schema", function()
    local map = mp.RunnableParallel { a = mp.StrOutputParser(), b = named("f") }
    assert.equal('{"properties":{"a":{"type":"string"},"b":{}},"required":["a","b"],'
      .. '"type":"object"}', text(map:output_schema()))
  end)

  it("says that other keys go by an assign", function()
    local assign = mp.RunnablePassthrough.assign { k = mp.StrOutputParser() }
    local schema = assign:output_schema()
    assert.is_true(schema.additionalProperties)
    assert.equal("string", schema.properties.k.type)
  end)

  it("is an array of each, and the body's of a loop", function()
    assert.equal("string", mp.StrOutputParser():map():output_schema().items.type)
    local loop = mp.loop { body = mp.StrOutputParser(), until_ = named("c") }
    assert.equal("string", loop:output_schema().type)
  end)
end)
