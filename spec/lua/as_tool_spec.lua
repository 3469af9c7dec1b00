local helper = require "spec.helper"
local mp = require "moonpipe"

local function echo(x)
  return x
end

local step = mp.RunnableLambda(echo)
local add = mp.RunnableLambda(function(x) return x.a + x.b end)
  :as_tool { name = "add", description = "Adds.", arg_types = { a = "number", b = "number" } }

describe("as_tool", function()
  it("has what a model is told", function()
    assert.equal("add", add.name)
    assert.equal("Adds.", add.description)
    assert.same({ a = { type = "number" }, b = { type = "number" } }, add.args)
    assert.equal([[{"properties":{"a":{"type":"number"},"b":{"type":"number"}},"required":["a","b"],"type":"object"}]],
      require("moonpipe.json").encode(add.args_schema))
  end)

  it("runs the step on its arguments", function()
    assert.equal(3, add:invoke { a = 1, b = 2 })
    assert.equal(3, add { a = 1, b = 2 })
    assert.equal("add", add:get_name())
  end)

  it("knows the arguments of a prompt", function()
    local tool = mp.PromptTemplate.from_template("{b} {a}"):as_tool { name = "say", description = "Says." }
    assert.same({ "a", "b" }, { tool.args_schema.required[1], tool.args_schema.required[2] })
    assert.equal("2 1", tostring(tool:invoke { a = 1, b = 2 }))
  end)

  it("gives a text to a step that takes one", function()
    local shout = mp.RunnableLambda(string.upper)
      :as_tool { name = "shout", description = "Shouts.", arg_types = "string" }
    assert.equal("AB", shout:invoke { input = "ab" })
    assert.equal("AB", shout:invoke "ab")
    assert.same({ input = { type = "string" } }, shout.args)
  end)

  it("takes a JSON schema", function()
    local schema = { type = "object", properties = { a = { type = "integer" }, b = {} }, required = { "a" } }
    local tool = step:as_tool { name = "t", description = "d", args_schema = schema }
    assert.same({ a = 1 }, tool:invoke { a = 1 })
    assert.equal(schema, tool.args_schema)
  end)

  it("says which argument is missing, or is none", function()
    assert.equal("tool add: argument 'b' is missing; it takes {a, b}", helper.input_failure(add.invoke, add, { a = 1 }))
    assert.equal("tool add: there is no argument 'c'; it takes {a, b}",
      helper.input_failure(add.invoke, add, { a = 1, b = 2, c = 3 }))
    assert.equal("tool add: its arguments are a table, got the number 1; it takes {a, b}",
      helper.input_failure(add.invoke, add, 1))
  end)

  it("says which argument is of another type than the schema's", function()
    local function said(args) return helper.input_failure(add.invoke, add, args) end
    assert.equal([[tool add: $.b: expected number, got string "2"; it takes {a, b}]],
      said { a = 1, b = "2" })
    local tool = step:as_tool { name = "t", description = "d", args_schema = { type = "object", properties = {
      n = { type = "integer" }, unit = { type = { "string", "null" }, enum = { "C", "F", mp.null } },
      list = { type = "array", items = { type = "boolean" } }, any = {},
      point = { type = "object", properties = { x = { type = "number" } }, required = { "x" },
        additionalProperties = false },
    } } }
    local function problem(args)
      return helper.input_failure(tool.invoke, tool, args):match("^tool t: (.*); it takes")
    end
    assert.equal("$.n: expected integer, got number 1.5", problem { n = 1.5 })
    assert.equal([[$.unit: expected one of "C", "F", null, got string "K"]], problem { unit = "K" })
    assert.equal("$.unit: expected string or null, got number 1", problem { unit = 1 })
    assert.equal("$.list[2]: expected boolean, got number 1", problem { list = { true, 1 } })
    assert.equal("$.list: expected array, got object", problem { list = { a = 1 } })
    assert.equal('$.point: property "x" is missing', problem { point = {} })
    assert.equal("$.point.x: expected number, got boolean true", problem { point = { x = true } })
    assert.equal("$.point.y: unknown property; allowed: x", problem { point = { x = 1, y = 2 } })
    assert.same({}, tool:invoke { n = mp.null }) -- left out
    local right = { n = "12345678901234567890", unit = mp.null, list = mp.array {}, any = print, point = { x = 1 } }
    assert.same(right, tool:invoke(right))
    local shout = mp.RunnableLambda(string.upper):as_tool { name = "shout", description = "d", arg_types = "string" }
    assert.matches("$.input: expected string, got number 5",
      helper.input_failure(shout.invoke, shout, 5))
  end)

  it("streams as the step does", function()
    local spell = mp.RunnableGenerator(function(chunks, emit) for l in chunks():gmatch "." do emit(l) end end)
      :as_tool { name = "spell", description = "Spells.", arg_types = "string" }
    local stream = spell:stream { input = "ab" }
    assert.equal("a", stream())
    assert.equal("b", stream:collect())
  end)

  it("is a run of kind tool, with the step's below", function()
    local seen = {}
    add:invoke({ a = 1, b = 2 }, { callbacks = { { on_start = function(run) seen[#seen + 1] = run.kind end } } })
    assert.same({ "tool", "chain" }, seen)
  end)

  it("is held against the keys before it", function()
    helper.raises("tool add: argument 'b' is missing: the step before gives {a}", mp.pipe, { a = echo }, add)
  end)

  it("is refused where a model could not call it", function()
    local function said(opts) return helper.said(step.as_tool, step, opts) end
    assert.matches("^what function .* takes is not known: give as_tool arg_types",
      said { name = "t", description = "d" })
    local name = "as_tool takes a name of letters, digits, _ and -, by which models call it, got "
    assert.equal(name .. "nil", said { description = "d", arg_types = "string" })
    assert.equal(name .. '"a b"', said { name = "a b", description = "d", arg_types = "string" })
    assert.equal("as_tool takes a description, by which models choose it, got nil",
      said { name = "t", arg_types = "string" })
    assert.equal("arg_types of as_tool takes { argument = \"JSON type\" }",
      said { name = "t", description = "d", arg_types = { "a" } })
    assert.equal("args_schema of as_tool takes a JSON schema, got a string",
      said { name = "t", description = "d", args_schema = "x" })
    assert.matches("^unknown option 'desc' of as_tool", said { name = "t", desc = "d" })
  end)
end)
