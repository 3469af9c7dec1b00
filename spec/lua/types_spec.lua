local helper = require "spec.helper"
local mp = require "moonpipe"

local function echo(x)
  return x
end

describe("types", function()
  local typed = mp.RunnableLambda(echo):with_types { input_type = { "question" }, output_type = { "answer" } }

  it("change no value", function()
    assert.equal(5, typed:invoke(5))
    assert.equal("ab", mp.RunnablePassthrough():with_types({ input_type = "string" }):invoke "ab")
  end)

  it("are held against the keys that arrive", function()
    helper.raises("its input is declared with 'question', the step before gives {quesion}; did you mean 'quesion'?",
      mp.pipe, { quesion = echo }, typed)
    assert.equal("x", mp.pipe({ question = echo }, typed):invoke("x").question)
  end)

  it("are what the next step is held against", function()
    helper.raises("key 'anwser' is missing: the step before gives {answer}", mp.pipe, typed, mp.itemgetter "anwser")
  end)

  it("may be names of JSON types", function()
    local text = mp.RunnableLambda(echo):with_types { input_type = "string" }
    helper.raises("its input is declared as string, the step before gives a table with keys {a}", mp.pipe,
      { a = echo }, text)
  end)

  it("may be JSON schemas, of which only what is required must be there", function()
    local schema = { type = "object", properties = { a = {}, b = {} }, required = { "a" } }
    local step = mp.RunnableLambda(echo):with_types { input_type = schema, output_type = schema }
    assert.is_truthy(mp.pipe({ a = echo }, step, mp.itemgetter "b"))
    helper.raises("declared with 'a'", mp.pipe, { b = echo }, step)
    assert.equal(schema, step.input_type)
  end)

  it("say nothing of keys where they are no tables", function()
    local step = mp.RunnableLambda(echo):with_types { output_type = "object" }
    assert.is_truthy(mp.pipe(step, mp.itemgetter "x"))
  end)

  it("are the newer ones where they are given twice", function()
    local again = typed:with_types { input_type = "string" }
    assert.equal("string", again.input_type.type)
    assert.same({ "answer" }, again.output_type.required)
  end)

  it("refuse what is none", function()
    assert.equal("input_type of with_types takes a list of keys, the name of a JSON type or a JSON schema, got \"str\"",
      helper.said(typed.with_types, typed, { input_type = "str" }))
    helper.raises("got the number 1", typed.with_types, typed, { output_type = 1 })
    helper.raises("a list of keys holds strings, got a function", typed.with_types, typed, { input_type = { echo } })
    helper.raises("unknown option 'inputs' of with_types", typed.with_types, typed, { inputs = "string" })
  end)
end)
