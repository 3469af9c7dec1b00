local helper = require "spec.helper"
local errors = require "moonpipe.error"
local floats = require "moonpipe.floats"
local jobs = require "moonpipe.jobs"
local json = require "moonpipe.json"
local mp = require "moonpipe"
local native = require "moonpipe.native"

local Floats = floats.Floats
local c = native.c

-- The message of a programmer's error; it must blame a line of this file.
local usage = helper.said

local function make(values)
  return function() return Floats(values) end
end

describe("floats of numbers", function()
  it("is mp.Floats", function()
    assert.equal(Floats, mp.Floats)
    assert.equal("Floats", tostring(Floats))
  end)

  it("counts and gives its numbers", function()
    local v = Floats { 1, -2.5, 0.1 }
    assert.equal(3, #v)
    assert.equal(-2.5, v[2])
    assert.near(0.1, v[3], 1e-8)
    assert.not_equal(0.1, v[3]) -- float32
  end)

  it("becomes a table again", function()
    assert.same({ 1, 2, 3 }, Floats({ 1, 2, 3 }):totable())
  end)

  it("has one row, itself", function()
    local v = Floats { 1, 2, 3 }
    assert.same({ 1, 3 }, { v:shape() })
    assert.is_true(rawequal(v, v:row(1)))
    assert.equal("this Floats has the rows 1 to 1, not 2", usage(function() return v:row(2) end))
  end)

  it("prints its size", function()
    assert.equal("mp.Floats(3)", tostring(Floats { 1, 2, 3 }))
  end)

  it("takes a Floats as it is", function()
    local v = Floats { 1 }
    assert.is_true(rawequal(v, Floats(v)))
  end)

  it("holds what float32 holds", function()
    local v = Floats { 2 ^ 24, -0.0, 1e-45, 3.4e38 }
    assert.equal(2 ^ 24, v[1])
    assert.equal(-math.huge, 1 / v[2])
    assert.is_true(v[3] > 0)
    assert.is_true(v[4] < math.huge)
  end)
end)

describe("floats of rows", function()
  it("counts and gives its rows", function()
    local m = Floats { { 1, 2, 3 }, { 4, 5, 6 } }
    assert.equal(2, #m)
    assert.same({ 2, 3 }, { m:shape() })
    assert.equal(6, m[2][3])
    assert.equal(Floats { 1, 2, 3 }, m[1])
    assert.equal(Floats { 4, 5, 6 }, m:row(2))
    assert.equal("mp.Floats(2 x 3)", tostring(m))
  end)

  it("becomes a table of tables", function()
    assert.same({ { 1, 2 }, { 3, 4 } }, Floats({ { 1, 2 }, { 3, 4 } }):totable())
  end)

  it("is a matrix with one row too", function()
    local m = Floats { { 1, 2 } }
    assert.equal(1, #m)
    assert.equal(Floats { 1, 2 }, m[1])
    assert.is_false(m == m[1])
  end)

  it("takes vectors as rows, beside lists", function()
    local v = Floats { 1, 2 }
    assert.same({ { 1, 2 }, { 3, 4 }, { 1, 2 } }, Floats({ v, { 3, 4 }, v }):totable())
  end)

  it("takes the arrays of JSON", function()
    assert.same({ { 1, 2 } }, Floats(json.decode "[[1,2]]"):totable())
  end)

  it("has no rows where the list is empty", function()
    local m = Floats {}
    assert.equal(0, #m)
    assert.same({ 0, 0 }, { m:shape() })
    assert.same({}, m:totable())
    assert.equal("this Floats has no rows", usage(function() return m[1] end))
  end)
end)

describe("floats as values", function()
  it("are equal by shape and numbers", function()
    assert.is_true(Floats { 1, 2 } == Floats { 1, 2 })
    assert.is_false(Floats { 1, 2 } == Floats { 1, 3 })
    assert.is_false(Floats { 1, 2 } == Floats { 1, 2, 3 })
    assert.is_true(Floats { { 1 }, { 2 } } == Floats { { 1 }, { 2 } })
    assert.is_false(Floats { { 1 }, { 2 } } == Floats { { 1, 2 } })
    assert.is_true(Floats {} == Floats {})
  end)

  it("are told from other values", function()
    assert.is_true(floats.is(Floats { 1 }))
    assert.is_false(floats.is { 1 })
    assert.is_false(floats.is(io.stdout))
    assert.is_false(floats.is(json.null))
    assert.is_false(floats.is(nil))
    assert.is_false(floats.is(Floats))
  end)

  it("have no fields but their methods", function()
    assert.is_nil(Floats({ 1 }).size)
    assert.is_nil(Floats({ 1 })[true])
  end)

  it("cannot be changed", function()
    local v = Floats { 1 }
    assert.equal("a Floats cannot be changed", usage(function() v[1] = 2 end))
    assert.equal("a Floats cannot be changed", usage(function() v.size = 2 end))
  end)

  it("refuse an index that is not there", function()
    local v = Floats { 1, 2, 3 }
    local function at(i)
      return usage(function() return v[i] end)
    end
    assert.equal("this Floats has the numbers 1 to 3, not 0", at(0))
    assert.equal("this Floats has the numbers 1 to 3, not 4", at(4))
    assert.equal("this Floats has the numbers 1 to 3, not -1", at(-1))
    assert.equal("this Floats has the numbers 1 to 3, not 1.5", at(1.5))
    assert.equal("this Floats has the numbers 1 to 3, not nan", at(0 / 0):gsub("-nan", "nan"))
    assert.equal("this Floats has the numbers 1 to 3, not 1e+300", at(1e300))
  end)

  it("keep their methods to themselves", function()
    local row = Floats({ 1 }).row
    assert.matches("moonpipe.Floats expected, got table", usage(function() return (row({}, 1)) end))
    assert.matches("number expected", usage(function() return (row(Floats { 1 }, "x")) end))
  end)
end)

describe("mp.Floats refuses", function()
  it("what is no list", function()
    local words = "mp.Floats takes a list of numbers or of rows, got "
    assert.equal(words .. "nil", usage(make(nil)))
    assert.equal(words .. "a string", usage(make "1 2 3"))
    assert.equal(words .. "a table with keys {x}", usage(make { x = 1 }))
  end)

  it("what is no finite float32", function()
    local words = "mp.Floats takes finite numbers: "
    assert.equal(words .. "number 2 is a string", usage(make { 1, "2" }))
    assert.equal(words .. "number 2 is a table", usage(make { 1, {} }))
    assert.equal(words .. "number 2 is nil", usage(make { 1, nil, 3 }))
    assert.equal(words .. "number 1 is a boolean", usage(make { true }))
    assert.equal(words .. "number 2 is no finite float32", usage(make { 1, 0 / 0 }))
    assert.equal(words .. "number 1 is no finite float32", usage(make { math.huge }))
    assert.equal(words .. "number 1 is no finite float32", usage(make { 1e39 }))
    assert.equal(words .. "number 2 of row 2 is a string", usage(make { { 1, 2 }, { 3, "4" } }))
    assert.equal(words .. "number 1 of row 1 is nil", usage(make { { nil, 2 } }))
    assert.equal(words .. "number 2 is nil", usage(make { 1, nil, nil, 4 }))
    assert.equal(words .. "number 2 is nil", usage(make { 1, [1.5] = 2 }))
  end)

  it("rows that do not fit", function()
    local words = "mp.Floats takes finite numbers: "
    assert.equal(words .. "row 2 has 1 numbers, row 1 has 2", usage(make { { 1, 2 }, { 3 } }))
    assert.equal(words .. "row 2 is a number, no row", usage(make { { 1, 2 }, 3 }))
    assert.equal(words .. "row 2 is nil, no row", usage(make { { 1 }, nil, { 3 } }))
    assert.equal(words .. "row 1 has no numbers", usage(make { {} }))
    assert.equal(words .. "row 1 is a matrix", usage(make { Floats { { 1 } } }))
    assert.equal(words .. "row 2 is a matrix, no row", usage(make { { 1 }, Floats { { 1 } } }))
  end)
end)

-- "AACAPwAAAEA=" is 1, 2
local ANSWER = [[{"data":[{"index":1,"embedding":[3,4]},{"index":0,"embedding":"AACAPwAAAEA="}],
  "usage":{"prompt_tokens":7,"total_tokens":8}}]]

-- What the job answered: kind, rows or message, kind of error, usage.
local function decode_on_pool(body, texts)
  local got
  jobs.listen(jobs.submit(c.embed, body, texts), {
    on_event = function(_, ...) got = { ... } end,
  })
  while not got do
    c.wait(1)
    jobs.drain()
  end
  return got
end

describe("an answer with embeddings", function()
  it("is decoded at once", function()
    local m, usage_text = c.embed_decode(ANSWER, 2)
    assert.equal(Floats { { 1, 2 }, { 3, 4 } }, m)
    assert.same({ prompt_tokens = 7, total_tokens = 8 }, json.decode(usage_text))
    assert.equal("{}", select(2, c.embed_decode('{"data":[{"index":0,"embedding":[1]}]}', 1)))
  end)

  it("is decoded on the pool", function()
    local got = decode_on_pool(ANSWER, 2)
    assert.equal(jobs.DONE, got[1])
    assert.equal(Floats { { 1, 2 }, { 3, 4 } }, got[2])
    assert.equal('{"prompt_tokens":7,"total_tokens":8}', got[4])
  end)

  it("is an error of kind decode where it is wrong", function()
    local m, message, kind = c.embed_decode(ANSWER, 3)
    assert.is_nil(m)
    assert.equal("the answer has no embedding with index 2 (2 of 3)", message)
    assert.equal("decode", kind)
    local ok, err = pcall(jobs.check, unpack(decode_on_pool("{}", 1), 1, 3))
    assert.is_false(ok)
    assert.is_true(errors.is(err))
    assert.equal("decode: the answer has no 'data'", tostring(err))
  end)

  it("is freed before the collector thinks of it", function()
    local made = setmetatable({}, { __mode = "k" })
    local row = ("AACAPwAAAEAAAEBA"):rep(683)
    local list = {}
    for i = 1, 256 do
      list[i] = ('{"index":%d,"embedding":"%s"}'):format(i - 1, row)
    end
    local body = '{"data":[' .. table.concat(list, ",") .. "]}"
    collectgarbage()
    collectgarbage("stop")
    for _ = 1, 20 do made[decode_on_pool(body, 256)[2]] = true end -- 2 MiB each
    collectgarbage("restart")
    local alive = 0
    for v in pairs(made) do alive = alive + (#v == 256 and 1 or 0) end
    assert.is_true(alive > 0 and alive <= 10, alive .. " of 20 alive")
  end)
end)
