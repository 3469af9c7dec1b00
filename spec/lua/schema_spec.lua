local helper = require "spec.helper"
local mp = require "moonpipe"

local s, array, null = mp.schema, mp.array, mp.null
local said = helper.said

-- What is said of a value; "" where it fits.
local function told(value, schema)
  local ok, problems = s.validate(value, schema, { json = true })
  assert.equal(problems == nil, ok)
  local lines = {}
  for i, one in ipairs(problems or {}) do lines[i] = tostring(one) end
  return table.concat(lines, "\n")
end

local PERSON = {
  type = "object",
  properties = {
    name = { type = "string", minLength = 1 },
    age = { type = "integer", minimum = 0 },
    tags = { type = "array", items = { type = "string" } },
  },
  required = { "name" },
  additionalProperties = false,
}

-- { schema, a value, what is said of it }
local CASES = {
  { { type = "string" }, "a", "" },
  { { type = "string" }, 5, "$: expected string, got number 5" },
  { { type = "integer" }, 3.0, "" },
  { { type = "integer" }, 3.5, "$: expected integer, got number 3.5" },
  { { type = "integer" }, "x", '$: expected integer, got string "x"' },
  { { type = "integer" }, 1 / 0, "$: expected integer, got number inf" },
  { { type = "number" }, 0 / 0, "$: expected number, got nan" },
  { { type = "integer" }, "12345678901234567890", "" },
  { { type = "integer" }, "123", '$: expected integer, got string "123"' },
  { { type = "boolean" }, null, "$: expected boolean, got null" },
  { { type = { "string", "null" } }, null, "" },
  { { type = { "string", "null" } }, 1, "$: expected string or null, got number 1" },
  { { type = "array" }, array {}, "" },
  { { type = "array" }, {}, "$: expected array, got empty object" },
  { { type = "object" }, {}, "" },
  { { type = "object" }, array {}, "$: expected object, got array of 0" },
  { { type = "object" }, { 1, 2 }, "$: expected object, got array of 2" },
  { { type = "string" }, print, "$: expected string, got function" },
  { { type = "string" }, { a = 1 }, "$: expected string, got object" },
  { { type = "integer" }, ("é"):rep(30), '$: expected integer, got string "' .. ("é"):rep(20) .. '…"' },
  { true, 5, "" },
  { false, 5, "$: nothing is allowed here" },
  { PERSON, { name = "a", age = 3, tags = { "x" } }, "" },
  { PERSON, { age = 3 }, '$: property "name" is missing' },
  { PERSON, { name = "", age = -1 },
    "$.age: expected at least 0, got -1\n$.name: expected at least 1 character, got 0" },
  { PERSON, { name = "a", tags = { "x", 2 } }, "$.tags[2]: expected string, got number 2" },
  { PERSON, { name = "a", nam = "b" },
    "$.nam: unknown property; allowed: age, name, tags; did you mean 'name'?" },
  { { properties = { ["a b"] = { type = "null" } } }, { ["a b"] = 1 },
    '$["a b"]: expected null, got number 1' },
  { { properties = { people = { items = PERSON } } },
    { people = { { name = "a" }, { name = "b", age = "x" } } },
    '$.people[2].age: expected integer, got string "x"' },
  { { enum = { "a", 1, null } }, null, "" },
  { { enum = { "a", { b = 1 } } }, { b = 1 }, "" },
  { { enum = { "a", 1 } }, "b", '$: expected one of "a", 1, got string "b"' },
  { { const = { 1, 2 } }, { 1, 2 }, "" },
  { { const = array {} }, array {}, "" },
  { { const = array {} }, {}, "$: expected [], got empty object" },
  { { const = { a = array { 1 } } }, { a = array { 2 } }, '$: expected {"a":[1]}, got object' },
  { { const = "x" }, "y", '$: expected "x", got string "y"' },
  { { maximum = 3 }, 4, "$: expected at most 3, got 4" },
  { { exclusiveMinimum = 3 }, 3, "$: expected more than 3, got 3" },
  { { exclusiveMaximum = 3 }, 3, "$: expected less than 3, got 3" },
  { { multipleOf = 0.01 }, 19.99, "" },
  { { multipleOf = 2 }, 3, "$: expected a multiple of 2, got 3" },
  { { minimum = 3 }, "text", "" },
  { { maxLength = 2 }, "éé", "" },
  { { maxLength = 2 }, "ééé", "$: expected at most 2 characters, got 3" },
  { { pattern = "^a+$" }, "b", '$: string "b" does not match ^a+$' },
  { { pattern = "b" }, "abc", "" },
  { { format = "date" }, "2024-02-30", '$: string "2024-02-30" is no date' },
  { { minItems = 1 }, array {}, "$: expected at least 1 member, got 0" },
  { { maxItems = 1 }, { 1, 2 }, "$: expected at most 1 member, got 2" },
  { { uniqueItems = true }, { 1, { a = 1 }, "1", { a = 1 } }, "$: members 2 and 4 are equal" },
  { { uniqueItems = true }, { 1, "1", true, false, null }, "" },
  { { prefixItems = { { type = "string" } }, items = false }, { "a", 1 },
    "$: expected at most 1 member, got 2" },
  { { prefixItems = { { type = "string" } }, items = { type = "number" } }, { 1, 2, "c" },
    '$[1]: expected string, got number 1\n$[3]: expected number, got string "c"' },
  { { contains = { const = 1 }, maxContains = 1 }, { 1, 1 },
    "$: 2 members fit contains, expected at most 1" },
  { { contains = { const = 1 } }, { 2 }, "$: 0 members fit contains, expected at least 1" },
  { { minProperties = 1 }, {}, "$: expected at least 1 property, got 0" },
  { { maxProperties = 1 }, { a = 1, b = 1 }, "$: expected at most 1 property, got 2" },
  { { propertyNames = { maxLength = 1 } }, { ab = 1 }, "$: expected at most 1 character, got 2" },
  { { patternProperties = { ["^n_"] = { type = "number" } }, additionalProperties = false },
    { n_a = "x", b = 1 }, '$.n_a: expected number, got string "x"\n$.b: unknown property' },
  { { additionalProperties = { type = "number" } }, { a = "x" },
    '$.a: expected number, got string "x"' },
  { { dependentRequired = { a = { "b" } } }, { a = 1 },
    '$: property "b" is missing, which "a" asks for' },
  { { dependentSchemas = { a = { required = { "c" } } } }, { a = 1 },
    '$: property "c" is missing' },
  { { anyOf = { { type = "string" }, { type = "null" } } }, 5,
    "$: expected string, got number 5, or expected null, got number 5" },
  { { anyOf = { PERSON, { type = "null" } } }, { name = "" },
    "$.name: expected at least 1 character, got 0" },
  { { anyOf = { { properties = { kind = { const = "a" }, x = { type = "number" } } },
    { properties = { kind = { const = "b" }, x = { type = "string" } } } } },
    { kind = "b", x = 1 }, "$.x: expected string, got number 1" },
  { { oneOf = { { minimum = 1 }, { minimum = 2 }, { minimum = 9 } } }, 3,
    "$: fits 1 and 2 of the 3 alternatives of oneOf, where one is allowed" },
  { { allOf = { { minimum = 3 }, { maximum = 1 } } }, 2,
    "$: expected at least 3, got 2\n$: expected at most 1, got 2" },
  { { ["not"] = { type = "string" } }, "x", "$: fits what is excluded by not" },
  { { ["if"] = { required = { "a" } }, ["then"] = { required = { "b" } },
    ["else"] = { required = { "c" } } }, { a = 1 }, '$: property "b" is missing' },
  { { ["$defs"] = { n = { type = "number" } }, items = { ["$ref"] = "#/$defs/n" } }, { 1, "x" },
    '$[2]: expected number, got string "x"' },
  { { ["$ref"] = "#/$defs/a~1b%25", ["$defs"] = { ["a/b%"] = false } }, 1,
    "$: nothing is allowed here" },
  { { unknownKeyword = 5, title = "x" }, 1, "" },
}

describe("schema.validate", function()
  for i, case in ipairs(CASES) do
    it(("case %d: says %s"):format(i, case[3]:gsub("\n.*", "")), function()
      assert.equal(case[3], told(case[2], case[1]))
    end)
  end

  it("takes an empty table of Lua for an array and for an object", function()
    assert.truthy(s.validate({}, { type = "array", items = { type = "string" } }))
    assert.truthy(s.validate({}, { type = "object" }))
    assert.falsy(s.validate({}, { type = "string" }))
    local _, problems = s.validate({}, { required = { "a" } })
    assert.equal('$: property "a" is missing', tostring(problems[1]))
    assert.equal("$: expected string, got empty object",
      tostring(select(2, s.validate({}, { type = "string" }))[1]))
  end)

  it("gives path, message and keyword of each problem", function()
    local _, problems = s.validate({ age = "x" }, PERSON)
    assert.equal(2, #problems)
    assert.equal("$", problems[1].path)
    assert.equal("required", problems[1].keyword)
    assert.equal("$.age", problems[2].path)
    assert.equal('expected integer, got string "x"', problems[2].message)
    assert.equal('$: property "name" is missing; $.age: expected integer, got string "x"',
      s.text(problems))
  end)

  it("tells five problems in a line, and at most a hundred", function()
    local list = {}
    for i = 1, 200 do list[i] = "x" end
    local _, problems = s.validate(list, { items = { type = "number" } })
    assert.equal(100, #problems)
    assert.truthy(s.text(problems):find("%$%[5%]: [^;]*; 95 more$"))
  end)

  it("follows a reference to the whole, as deep as JSON is read", function()
    local tree = { type = "object", properties = { child = { ["$ref"] = "#" } } }
    local value = {}
    for _ = 1, 127 do value = { child = value } end
    assert.truthy(s.validate(value, tree))
    for _ = 1, 3 do value = { child = value } end
    local _, problems = s.validate(value, tree)
    assert.truthy(tostring(problems[1]):find("nested deeper than 128 levels$"))
  end)

  it("ends with a value that contains itself", function()
    local value = {}
    value.child = value
    assert.falsy(s.validate(value, { properties = { child = { ["$ref"] = "#" } } }))
  end)

  it("takes a schema that contains itself as a table", function()
    local tree = { type = "object", properties = {} }
    tree.properties.child = tree
    assert.truthy(s.validate({ child = { child = {} } }, tree))
    assert.falsy(s.validate({ child = { child = 5 } }, tree))
  end)

  it("refuses unknown options", function()
    assert.truthy(said(s.validate, 1, true, { strict = true }):find("^unknown option 'strict'"))
  end)
end)

local MALFORMED = {
  { 5, "$ must be a schema: a table, true or false, got the number 5" },
  { { "string" }, "$ must be a schema: a table, true or false, got a list of 1" },
  { { type = "strin" }, "$.type must be one of array, boolean, integer, null, number, object,"
    .. " string; did you mean 'string'?, got \"strin\"" },
  { { type = {} }, "$.type must be the name of a type, got an empty table" },
  { { properties = { a = { minimum = "1" } } }, '$.properties.a.minimum must be a number, got "1"' },
  { { exclusiveMinimum = true },
    "$.exclusiveMinimum must be a number, got the boolean true" },
  { { items = { { type = "string" } } },
    "$.items must be a schema (a list of them is prefixItems), got a list of 1" },
  { { required = "a" }, '$.required must be a list of names, got "a"' },
  { { required = { 1 } }, "$.required[1] must be a name, got the number 1" },
  { { properties = { "a" } }, "$.properties must be a table of schemas, got a list of 1" },
  { { properties = { a = "string" } },
    '$.properties.a must be a schema: a table, true or false, got "string"' },
  { { anyOf = {} }, "$.anyOf must be a list of schemas, got an empty table" },
  { { enum = "a" }, '$.enum must be a list of values, got "a"' },
  { { minLength = -1 }, "$.minLength must be a whole number from 0, got the number -1" },
  { { multipleOf = 0 }, "$.multipleOf must be more than 0, got the number 0" },
  { { uniqueItems = 1 }, "$.uniqueItems must be true or false, got the number 1" },
  { { pattern = 1 }, "$.pattern must be a text, got the number 1" },
  { { dependentRequired = 1 },
    "$.dependentRequired must be a table of lists of names, got the number 1" },
}

describe("schema.unchecked", function()
  for _, case in ipairs(MALFORMED) do
    it("refuses: " .. case[2], function()
      assert.equal("the schema is malformed: " .. case[2], said(s.unchecked, case[1]))
      assert.equal("the schema is malformed: " .. case[2], said(s.validate, 1, case[1]))
    end)
  end

  it("refuses references that lead nowhere", function()
    assert.equal('the schema is malformed: $.items.$ref: "#/$defs/x" leads nowhere',
      (said(s.unchecked, { items = { ["$ref"] = "#/$defs/x" } }):gsub('%["%$ref"%]', ".$ref")))
    assert.truthy(said(s.unchecked, { ["$ref"] = "http://a/b" }):find(
      '"http://a/b" is not followed; a reference begins with #/', 1, true))
    assert.truthy(said(s.unchecked, { ["$ref"] = "#/title", title = "x" }):find(
      "leads to no schema", 1, true))
  end)

  it("refuses a schema that never ends when it is met", function()
    assert.equal("the schema is malformed: it refers to itself without an end",
      said(s.validate, 1, { ["$ref"] = "#" }))
  end)

  it("tells what is not checked", function()
    assert.same({}, s.unchecked(PERSON))
    local list = s.unchecked {
      properties = { a = { pattern = "(?=x)" }, b = { format = "iri" } },
      unevaluatedProperties = false,
    }
    assert.same({
      { path = "$.properties.a.pattern",
        why = "the pattern (?=x) is not checked: groups that begin with (? are not supported" },
      { path = "$.properties.b.format", why = "the format iri is not checked" },
      { path = "$.unevaluatedProperties", why = "unevaluatedProperties is not checked" },
    }, list)
  end)
end)
