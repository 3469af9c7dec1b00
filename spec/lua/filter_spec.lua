--- What filters take, and what is said of those that cannot be meant.
local filter = require "moonpipe.stores.filter"
local helper = require "spec.helper"
local mp = require "moonpipe"

local DOCUMENT = mp.Document("the text", {
  year = 2004, source = "a.md", draft = false, tags = { "lua", "c", 3 }, note = mp.null,
  author = { name = "ada", born = { year = 1815 } },
})

local function takes(given)
  local matches = filter.compile(given)
  return matches(DOCUMENT.metadata, DOCUMENT)
end

describe("filter", function()
  it("compares what stands behind a key", function()
    assert.is_true(takes { year = 2004 })
    assert.is_false(takes { year = "2004" })
    assert.is_true(takes { source = "a.md", draft = false })
    assert.is_false(takes { source = "a.md", draft = true })
    assert.is_true(takes { year = { ["$eq"] = 2004 } })
    assert.is_true(takes { year = { ["$ne"] = 2005 } })
    assert.is_false(takes { tags = "lua" })
  end)

  it("orders numbers among numbers and texts among texts", function()
    for operator, expected in pairs {
      ["$gt"] = { false, false, true }, ["$gte"] = { false, true, true },
      ["$lt"] = { true, false, false }, ["$lte"] = { true, true, false },
    } do
      for i, bound in ipairs { 2005, 2004, 2003 } do
        assert.equal(expected[i], takes { year = { [operator] = bound } })
      end
      for i, bound in ipairs { "b", "a.md", "a" } do
        assert.equal(expected[i], takes { source = { [operator] = bound } })
      end
      assert.is_false(takes { year = { [operator] = "2004" } })
      assert.is_false(takes { source = { [operator] = 1 } })
      assert.is_false(takes { missing = { [operator] = 1 } })
      assert.is_false(takes { tags = { [operator] = 1 } })
    end
  end)

  it("takes all operators of a key together", function()
    assert.is_true(takes { year = { ["$gte"] = 2000, ["$lt"] = 2010 } })
    assert.is_false(takes { year = { ["$gte"] = 2000, ["$lt"] = 2004 } })
  end)

  it("looks into lists", function()
    assert.is_true(takes { year = { ["$in"] = { 1, 2004 } } })
    assert.is_false(takes { year = { ["$in"] = {} } })
    assert.is_true(takes { year = { ["$nin"] = {} } })
    assert.is_false(takes { year = { ["$nin"] = { 2004 } } })
    assert.is_true(takes { tags = { ["$contains"] = "c" } })
    assert.is_true(takes { tags = { ["$contains"] = 3 } })
    assert.is_false(takes { tags = { ["$contains"] = "3" } })
    assert.is_true(takes { source = { ["$contains"] = "a.m" } })
    assert.is_false(takes { source = { ["$contains"] = "aXm" } })
    assert.is_false(takes { year = { ["$contains"] = "2" } })
    assert.is_true(takes { year = { ["$in"] = mp.JsonOutputParser():invoke "[2004]" } })
  end)

  it("takes what is nil or null for not there", function()
    for _, key in ipairs { "missing", "note", "author.missing", "source.x", "missing.x" } do
      assert.is_false(takes { [key] = { ["$exists"] = true } })
      assert.is_true(takes { [key] = { ["$exists"] = false } })
      assert.is_true(takes { [key] = mp.null })
      assert.is_true(takes { [key] = { ["$ne"] = 1 } })
      assert.is_false(takes { [key] = { ["$ne"] = mp.null } })
      assert.is_true(takes { [key] = { ["$nin"] = { 1 } } })
      assert.is_true(takes { [key] = { ["$in"] = { 1, mp.null } } })
      assert.is_false(takes { [key] = { ["$contains"] = "x" } })
    end
    assert.is_true(takes { draft = { ["$exists"] = true } })
  end)

  it("goes into tables by dots", function()
    assert.is_true(takes { ["author.name"] = "ada" })
    assert.is_true(takes { ["author.born.year"] = { ["$lt"] = 1900 } })
  end)

  it("joins filters", function()
    assert.is_true(takes { ["$or"] = { { year = 1 }, { draft = false } } })
    assert.is_false(takes { ["$or"] = { { year = 1 }, { draft = true } } })
    assert.is_true(takes { ["$and"] = { { year = 2004 }, { draft = false } } })
    assert.is_false(takes { ["$and"] = { { year = 2004 }, { draft = true } } })
    assert.is_false(takes { ["$not"] = { year = 2004 } })
    assert.is_true(takes { year = { ["$not"] = { ["$gt"] = 3000 } } })
    assert.is_false(takes { year = 2004, ["$or"] = { { draft = true } } })
  end)

  it("may be a function, also in a table", function()
    local function short(metadata, document)
      assert.equal(DOCUMENT.metadata, metadata)
      return #document.page_content < 10
    end
    assert.is_true(takes(short))
    assert.is_true(takes { year = 2004, ["$and"] = { short } })
    assert.is_false(takes { ["$not"] = short })
  end)

  it("has one tree for one meaning", function()
    assert.same({ op = "eq", key = "a.b", path = { "a", "b" }, value = 1 },
      filter.parse { ["a.b"] = 1 })
    assert.same({ op = "and",
      { op = "or", { op = "in", key = "b", path = { "b" }, value = { 1 } } },
      { op = "and", { op = "gt", key = "a", path = { "a" }, value = 1 },
        { op = "not", { op = "lt", key = "a", path = { "a" }, value = 0 } } },
    }, filter.parse { a = { ["$not"] = { ["$lt"] = 0 }, ["$gt"] = 1 },
      ["$or"] = { { b = { ["$in"] = { 1 } } } } })
    assert.same({ op = "function", fn = print }, filter.parse(print))
  end)

  for said, given in pairs {
    ["filter is the number 5; it must be a table or a function"] = 5,
    ["filter is an empty table; leave it out, or was a value in it nil?"] = {},
    ["filter is a list of 1; it must be a table of keys"] = { 1 },
    ["filter: unknown operator '$nott'; did you mean '$not'?"] = { ["$nott"] = {} },
    ["filter: '$gt' stands behind a key, as in { year = { [\"$gt\"] = … } }"] = { ["$gt"] = 1 },
    ["filter: $or takes a list of filters, got an empty table"] = { ["$or"] = {} },
    ["filter: $and takes a list of filters, got a table with keys {a}"] = { ["$and"] = { a = 1 } },
    ["filter 1 of $or is a string; it must be a table or a function"] = { ["$or"] = { "x" } },
    ["filter $not is the number 3; it must be a table or a function"] = { ["$not"] = 3 },
    ["filter key 'y': unknown operator '$gtr'; did you mean '$gt'?"] = { y = { ["$gtr"] = 1 } },
    ["filter key 'y': 'a' is no operator; a key within it is written 'y.a'"] = { y = { a = 1 } },
    ["filter key 'y' is a list of 2; write { [\"$in\"] = { … } }"] = { y = { 1, 2 } },
    ["filter key 'y' is an empty table; leave it out, or was a value in it nil?"] = { y = {} },
    ["filter key 'y': $eq takes a text, a number, a boolean or mp.null, got a function"] =
      { y = print },
    ["filter key 'y': $gt takes a text or a number, got the boolean true"] =
      { y = { ["$gt"] = true } },
    ["filter key 'y': $lt takes a text or a number, got the number nan"] =
      { y = { ["$lt"] = 0 / 0 } },
    ["filter key 'y': $in takes a list of texts, numbers and booleans, got the number 1"] =
      { y = { ["$in"] = 1 } },
    ["filter key 'y': $nin takes a list of texts, numbers and booleans, got a list of 2"] =
      { y = { ["$nin"] = { 1, {} } } },
    ["filter key 'y': $exists takes true or false, got the number 1"] = { y = { ["$exists"] = 1 } },
    ["filter key 'y': $not takes a table of operators, got the number 3"] =
      { y = { ["$not"] = 3 } },
    ["filter key 'a..b' has an empty part"] = { ["a..b"] = 1 },
  } do
    it("says: " .. said, function()
      assert.equal(said, (helper.said(filter.compile, given):gsub("number %-nan", "number nan")))
      assert.equal(said, (select(2, filter.parse(given)):gsub("number %-nan", "number nan")))
    end)
  end

  it("ends in a table that holds itself", function()
    local own = {}
    own["$not"] = own
    assert.truthy(helper.said(filter.compile, own):find("deeper than 64 tables", 1, true))
    local key = {}
    key["$not"] = key
    assert.equal("filter key 'y' is deeper than 64 tables", helper.said(filter.compile, { y = key }))
  end)
end)
