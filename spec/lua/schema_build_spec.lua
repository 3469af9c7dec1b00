local helper = require "spec.helper"
local json = require "moonpipe.json"
local mp = require "moonpipe"

local s, array = mp.schema, mp.array
local said = helper.said

local function written(schema)
  return json.encode(schema)
end

describe("the builder of mp.schema", function()
  it("makes the tables of JSON Schema", function()
    assert.same({ type = "string", minLength = 1 }, s.string { minLength = 1 })
    assert.same({ type = "integer", description = "years" }, s.integer "years")
    assert.same({ type = "number", maximum = 1 }, s.number { maximum = 1 })
    assert.same({ type = "boolean" }, s.boolean())
    assert.same({ type = "null" }, s.null())
    assert.same({}, s.any())
    assert.same({ const = 5 }, s.const(5))
    assert.same({ type = "array", items = { type = "string" }, maxItems = 2 },
      s.array("string", { maxItems = 2 }))
    assert.same({ type = "string", enum = { "a", "b" } }, s.enum { "a", "b" })
    assert.same({ enum = { "a", 1 } }, s.enum { "a", 1 })
    assert.same({ anyOf = { { type = "string" }, { type = "null" } } }, s.nullable "string")
    assert.same({ ["$ref"] = "#/$defs/a~1b" }, s.ref "a/b")
    assert.same({ ["$ref"] = "#" }, s.ref())
  end)

  it("requires the properties of an object, but the optional ones", function()
    local person = s.object({
      name = s.string { minLength = 1 },
      nick = s.optional "string",
      age = "integer",
      height = "number?",
      tags = { "string" },
      born = { type = "string", format = "date" },
      friend = s.optional(s.object { name = "string" }),
    }, "a person")
    assert.same({ "age", "born", "name", "tags" }, person.required)
    assert.same({ type = "array", items = { type = "string" } }, person.properties.tags)
    assert.same({ type = "string" }, person.properties.nick)
    assert.same({ type = "number" }, person.properties.height)
    assert.equal("a person", person.description)
    assert.truthy(s.validate({ name = "a", age = 1, tags = { "x" }, born = "2000-01-01" }, person))
  end)

  it("writes an empty list of names as one", function()
    assert.equal('{"properties":{},"required":[],"type":"object"}', written(s.object {}))
    local plain = { type = "object", required = {} }
    s.unchecked(plain)
    assert.equal('{"required":[],"type":"object"}', written(plain))
  end)

  it("refuses what is no schema", function()
    assert.equal("property 'a' of schema.object takes a schema, the name of a type or { items },"
      .. ' got "strin"', said(s.object, { a = "strin" }))
    assert.equal("schema.array takes a schema, the name of a type or { items }, got nil",
      said(s.array))
    assert.equal("alternative 2 of schema.any_of takes a schema, the name of a type or"
      .. " { items }, got a list of 2", said(s.any_of, { "string", { "a", "b" } }))
    assert.equal("schema.object takes a table of properties, got nil", said(s.object))
    assert.equal("schema.enum takes a list, got nil", said(s.enum))
    assert.equal("schema.ref takes a name in $defs, got the number 1", said(s.ref, 1))
  end)

  it("refuses keywords that are none of the type", function()
    assert.truthy(said(s.string, { minimum = 1 }):find(
      "^unknown option 'minimum' of schema.string; allowed: "))
    assert.truthy(said(s.string, { minLenght = 1 }):find("did you mean 'minLength'?", 1, true))
  end)
end)

describe("schema.strict", function()
  it("closes every object and requires every property", function()
    local strict = s.strict(s.object {
      name = "string", nick = "string?", list = { s.object { x = "number?" } },
    })
    assert.same({ "list", "name", "nick" }, strict.required)
    assert.equal(false, strict.additionalProperties)
    assert.same({ type = "string" }, strict.properties.name)
    assert.same({ anyOf = { { type = "string" }, { type = "null" } } }, strict.properties.nick)
    local item = strict.properties.list.items
    assert.same({ "x" }, item.required)
    assert.equal(false, item.additionalProperties)
  end)

  it("does not change the schema, and goes through references and alternatives", function()
    local node = s.object { value = "string" }
    local schema = s.object({ a = s.ref "node", b = s.nullable(node) }, { ["$defs"] = { node = node } })
    local strict = s.strict(schema)
    assert.equal(false, strict["$defs"].node.additionalProperties)
    assert.equal(false, strict.properties.b.anyOf[1].additionalProperties)
    assert.equal(nil, node.additionalProperties)
  end)

  it("refuses what strict mode has no form for", function()
    for schema, text in pairs {
      [s.array "string"] = "$.type is not object",
      [s.object({}, { additionalProperties = true })] = "$.additionalProperties is not false",
      [s.object { a = { allOf = { {} } } }] = "$.properties.a.allOf is not supported",
      [s.object { a = true }] = "$.properties.a is true",
    } do
      assert.equal("strict mode has no form for this schema: " .. text, said(s.strict, schema))
    end
  end)

  it("is undone in the answer: what is optional and null was left out", function()
    local without_nulls = require("moonpipe.schema.strict").without_nulls
    local schema = s.object({
      name = "string", nick = "string?", note = s.optional(s.nullable "string"),
      list = s.optional { s.ref "item" },
      either = s.optional(s.any_of { "string", s.object { y = "number?" } }),
    }, { ["$defs"] = { item = s.object { x = "number?" } } })
    local answer = json.decode [[{"name": "a", "nick": null, "note": null, "more": null,
      "list": [{"x": null}, {"x": 1}], "either": {"y": null}}]]
    local value = without_nulls(answer, schema)
    assert.same({ name = "a", note = mp.null, more = mp.null, list = { {}, { x = 1 } },
      either = {} }, value)
    assert.equal("null", tostring(answer.nick == mp.null and "null"))
    assert.truthy(s.validate(value, schema))
    assert.same({ name = "a" }, without_nulls(json.decode '{"name":"a","list":null}', schema))
    assert.same(array {}, without_nulls(array {}, s.array "string"))
  end)
end)

describe("schema.closed", function()
  it("closes every object, and leaves it what may be left out", function()
    local schema = s.object { name = "string", list = s.optional { s.object { x = "number?" } } }
    local closed = s.closed(schema)
    assert.equal(false, closed.additionalProperties)
    assert.same({ "name" }, closed.required)
    assert.equal(false, closed.properties.list.items.additionalProperties)
    assert.same({ type = "string" }, closed.properties.name)
    assert.equal(nil, schema.additionalProperties)
  end)

  it("says in the description what it has no word for", function()
    local closed = s.closed(s.object {
      age = s.integer { minimum = 0, maximum = 9, description = "years" },
      code = s.string { pattern = "^a$", minLength = 1 },
      born = s.string { format = "date" }, flag = s.string { format = "regex" },
      tags = s.array("string", { minItems = 1, maxItems = 3, uniqueItems = true }),
      kind = s.enum { "a" },
    })
    assert.same({ type = "integer", description = "years (minimum 0, maximum 9)" },
      closed.properties.age)
    assert.same({ type = "string", description = "(minLength 1, pattern ^a$)" },
      closed.properties.code)
    assert.same({ type = "string", format = "date" }, closed.properties.born)
    assert.same({ type = "string", description = "(format regex)" }, closed.properties.flag)
    assert.same({ type = "array", items = { type = "string" }, minItems = 1,
      description = "(maxItems 3, uniqueItems true)" }, closed.properties.tags)
    assert.same({ type = "string", enum = { "a" } }, closed.properties.kind)
  end)

  it("makes one of several, and follows names", function()
    local closed = s.closed { type = "object", ["$defs"] = { n = { type = "object" } },
      properties = { x = { oneOf = { s.ref "n", { type = "null" } } } } }
    assert.same({ s.ref "n", { type = "null" } }, closed.properties.x.anyOf)
    assert.equal(false, closed["$defs"].n.additionalProperties)
  end)

  it("refuses what it cannot say", function()
    for path, schema in pairs {
      ["$.additionalProperties"] = s.object({}, { additionalProperties = { type = "string" } }),
      ["$.properties.a.prefixItems"] = s.object { a = { prefixItems = { {} } } },
      ["$.properties.a"] = s.object { a = true },
      ["$.oneOf"] = { anyOf = { {} }, oneOf = { {} } },
    } do
      assert.equal("this provider has no form for the schema at " .. path .. "; use method ="
        .. ' "function_calling"', said(s.closed, schema))
    end
  end)
end)

describe("schema.sendable", function()
  it("gives the schema, or says why it cannot be sent", function()
    local schema = s.object {}
    assert.equal(schema, s.sendable(schema))
    assert.truthy(said(s.sendable, { type = "x" }):find("^the schema is malformed: %$.type must be"))
    local endless = s.object { a = "string" }
    endless.properties.b = endless
    for _, fn in ipairs { s.sendable, s.strict, s.closed } do
      assert.equal("the schema is malformed: cannot encode a table that contains itself at"
        .. " $.properties.b", said(fn, endless))
    end
    assert.equal("the schema is malformed: a table with keys {age, name} has no word of JSON Schema;"
      .. " for an object write mp.schema.object { … }",
      said(s.sendable, { name = "string", age = "integer" }))
    assert.truthy(s.sendable {})
    assert.truthy(s.sendable { const = 5 })
    assert.truthy(said(s.sendable, { type = "array", default = print }):find("cannot encode a function", 1, true))
  end)
end)
