local chunk = require "moonpipe.chunk"
local errors = require "moonpipe.error"
local json = require "moonpipe.json"
local mp = require "moonpipe"
local helper = require "spec.helper"
local steps = require "spec.support.steps"

local source_of = steps.source_of

local failure = helper.failure

describe("chunk.merge", function()
  it("appends strings", function()
    assert.equal("ab", chunk.merge("a", "b"))
  end)

  it("appends lists", function()
    assert.same({ 1, 2, 3 }, chunk.merge({ 1 }, { 2, 3 }))
  end)

  it("keeps the mark of JSON arrays", function()
    local merged = chunk.merge(json.array({ 1 }), json.array({ 2 }))
    assert.is_true(json.is_array(merged))
    assert.equal(2, #merged)
  end)

  it("lets the last number and the last boolean win", function()
    assert.equal(2, chunk.merge(1, 2))
    assert.is_false(chunk.merge(true, false))
  end)

  it("merges maps by key, in each other", function()
    assert.same({ a = "xy", b = { c = "uv" }, d = 1 },
      chunk.merge({ a = "x", b = { c = "u" } }, { a = "y", b = { c = "v" }, d = 1 }))
  end)

  it("ignores nil and null on either side", function()
    assert.equal("a", chunk.merge(nil, "a"))
    assert.equal("a", chunk.merge("a", nil))
    assert.equal("a", chunk.merge(json.null, "a"))
    assert.equal("a", chunk.merge("a", json.null))
  end)

  it("takes an empty table for nothing", function()
    assert.same({ 1 }, chunk.merge({}, { 1 }))
    assert.same({ a = 1 }, chunk.merge({ a = 1 }, {}))
  end)

  it("writes to neither operand", function()
    local a, b = { x = { "p" }, n = 1 }, { x = { "q" }, m = 2 }
    chunk.merge(a, b)
    assert.same({ x = { "p" }, n = 1 }, a)
    assert.same({ x = { "q" }, m = 2 }, b)
  end)

  it("merges tables that carry n by index", function()
    assert.same({ "ab", "c", n = 2 },
      chunk.merge(chunk.merge({ "a", n = 2 }, { [2] = "c", n = 2 }), { "b", n = 2 }))
  end)

  it("loses no member of a table with list part and keys", function()
    assert.same({ "ab", k = "cd" }, chunk.merge({ "a", k = "c" }, { "b", k = "d" }))
  end)

  it("lets the last win inside metadata, whatever the types", function()
    for _, key in ipairs({ "response_metadata", "usage_metadata", "additional_kwargs" }) do
      assert.same({ [key] = { a = "y", b = { c = 1, d = 2 }, e = { 2 } } }, chunk.merge(
        { [key] = { a = 1, b = { c = 1 }, e = { 1 } } },
        { [key] = { a = "y", b = { d = 2 }, e = { 2 } } }), key)
    end
  end)

  it("asks __add of the left value", function()
    local mt = {}
    mt.__add = function(a, b) return setmetatable({ n = a.n + b.n }, mt) end
    assert.equal(3, chunk.merge(setmetatable({ n = 1 }, mt), setmetatable({ n = 2 }, mt)).n)
  end)

  it("names the types where they do not fit", function()
    local err = failure(chunk.merge, "a", { b = 1 })
    assert.equal("input", err.kind)
    assert.equal("chunks cannot be merged: a string, then a table with keys {b}", err.message)
  end)

  it("names the key where a member does not fit", function()
    assert.equal("chunks cannot be merged: key 'a.b' holds the number 1, then a string",
      failure(chunk.merge, { a = { b = 1 } }, { a = { b = "x" } }).message)
  end)

  it("refuses a list and a map", function()
    assert.equal("chunks cannot be merged: a list of 1, then a table with keys {a}",
      failure(chunk.merge, { 1 }, { a = 1 }).message)
  end)

  it("refuses two Documents", function()
    assert.equal("chunks cannot be merged: a Document, then a Document",
      failure(chunk.merge, mp.Document "a", mp.Document "b").message)
  end)

  it("refuses functions", function()
    assert.equal("chunks cannot be merged: a function, then a function",
      failure(chunk.merge, print, print).message)
  end)

  it("takes the later of two whole values", function()
    local whole = chunk.mark_whole({ name = "ab" })
    assert.equal(whole, chunk.merge({ name = "a" }, whole))
    assert.equal(whole, chunk.merge({ data = { name = "a" } }, { data = whole }).data)
    assert.is_true(chunk.is_whole(whole))
    assert.is_false(chunk.is_whole({}))
  end)
end)

describe("chunk.additions", function()
  local function whole(value) return chunk.mark_whole(value) end

  it("gives what each whole value brings under its keys", function()
    local list = { 1 }
    local pull = chunk.additions(source_of {
      whole {}, whole { a = "x" }, whole { a = "x", n = 1 }, whole { a = "xy", n = 2, list = list },
      whole { a = "xy", n = 2, list = list }, whole { a = "other", n = 2, list = { 1, 2 } },
    })
    assert.same({}, pull())
    assert.same({ a = "x" }, pull())
    assert.same({ n = 1 }, pull())
    local third = pull()
    assert.same({ a = "y", n = 2, list = { 1 } }, third)
    assert.is_true(chunk.is_whole(third.list))
    assert.is_false(chunk.is_whole(list))
    assert.same({ a = "other", list = { 1, 2 } }, pull())
    assert.is_nil(pull())
  end)

  it("leaves other chunks as they are", function()
    local list = whole { 1 }
    local pull = chunk.additions(source_of { "a", false, list, { k = "v" } })
    assert.equal("a", pull())
    assert.is_false(pull())
    assert.equal(list, pull())
    assert.same({ k = "v" }, pull())
  end)
end)

describe("chunk.collect", function()
  it("says that an empty stream has no chunk", function()
    local value, count = chunk.collect(source_of({}))
    assert.is_nil(value)
    assert.equal(0, count)
  end)

  it("gives a lone chunk as it is", function()
    local one = { a = 1 }
    local value, count = chunk.collect(source_of({ one }))
    assert.equal(one, value)
    assert.equal(1, count)
  end)

  it("merges any number of chunks in their order", function()
    for count = 2, 40 do
      local list, text = {}, ""
      for i = 1, count do
        list[i] = ("<%d>"):format(i)
        text = text .. list[i]
      end
      local value, n = chunk.collect(source_of(list))
      assert.equal(text, value)
      assert.equal(count, n)
    end
  end)

  it("keeps the last of whole values among many", function()
    local list = {}
    for i = 1, 7 do
      list[i] = chunk.mark_whole({ text = ("x"):rep(i) })
    end
    assert.same({ text = "xxxxxxx" }, (chunk.collect(source_of(list))))
  end)

  it("merges 20,000 chunks of text in linear time", function()
    local list = {}
    for i = 1, 20000 do
      list[i] = { answer = "some words " }
    end
    local begun = os.clock()
    assert.equal(220000, #chunk.collect(source_of(list)).answer)
    assert.is_true(os.clock() - begun < 2)
  end)

  it("lets an mp.Error take the place of what came before it", function()
    local err = errors.new { kind = "lua", message = "boom" }
    local value = chunk.collect(source_of({ { a = "x" }, { b = "y" }, { a = err }, { b = "z" } }))
    assert.equal(err, value.a)
    assert.equal("yz", value.b)
    assert.equal(err, chunk.merge(chunk.merge({ 1 }, err), "more"))
  end)

  it("merges the slots of an array in any order", function()
    local function slot(i, value) return { [i] = value, n = 3 } end
    for _, order in ipairs { { 1, 2, 3 }, { 2, 3, 1 }, { 3, 2, 1 }, { 2, 1, 3 } } do
      local list = {}
      for _, i in ipairs(order) do
        list[#list + 1] = slot(i, "a")
        list[#list + 1] = slot(i, "b")
      end
      assert.same({ "ab", "ab", "ab", n = 3 }, (chunk.collect(source_of(list))))
    end
  end)

  it("passes on an error of the source", function()
    local err = failure(chunk.collect, function() errors.raise("reset", "gone") end)
    assert.equal("reset", err.kind)
  end)

  it("takes false for a value", function()
    local value, count = chunk.collect(source_of({ true, false }))
    assert.is_false(value)
    assert.equal(2, count)
  end)
end)
