local cjson = require "cjson"
local errors = require "moonpipe.error"
local json = require "moonpipe.json"
local helper = require "spec.helper"

local failure = helper.failure

-- The message of a programmer's error.
local function usage(fn, ...)
  local ok, message = pcall(fn, ...)
  assert.is_false(ok)
  assert.equal("string", type(message))
  return message
end

describe("json.decode", function()
  it("gives values of every kind", function()
    local v = json.decode('{"a":[1,-2.5,"x",true,false,null],"b":{"c":{}}}')
    assert.same({ 1, -2.5, "x", true, false, json.null }, { unpack(v.a) })
    assert.same({ c = {} }, v.b)
  end)

  it("gives null as the light userdata of cjson", function()
    assert.equal(cjson.null, json.decode "null")
  end)

  it("marks arrays, also empty ones, and leaves objects plain", function()
    local v = json.decode '[[],{}]'
    assert.is_true(json.is_array(v))
    assert.is_true(json.is_array(v[1]))
    assert.is_nil(getmetatable(v[2]))
  end)

  it("keeps integers beyond 2^53 as digits", function()
    local v = json.decode "[9007199254740992,9007199254740993,-12345678901234567890]"
    assert.same({ 2 ^ 53, "9007199254740993", "-12345678901234567890" }, { unpack(v) })
  end)

  it("replaces bad UTF-8 and lone surrogates", function()
    assert.equal("a\239\191\189b", json.decode '"a\255b"')
    assert.equal("\239\191\189!", json.decode [["\ud83d!"]])
    assert.equal("\240\159\152\128", json.decode [["\ud83d\ude00"]])
    local raw = require("moonpipe.native").c.json_decode('["\\ud83d", "\240\159", 1e400]', false, false, false, true)
    assert.same({ "\237\160\189", "\240\159", json.null }, { raw[1], raw[2], raw[3] })
  end)

  it("keeps NUL", function()
    assert.equal("a\0b", json.decode [["a\u0000b"]])
  end)

  it("lets the last of equal keys win", function()
    assert.same({ a = 2 }, json.decode '{"a":1,"a":2}')
  end)

  it("refuses equal keys on request", function()
    local opts = { unique_keys = true }
    local err = failure(json.decode, '{"a":null,\n "a":2}', opts)
    assert.equal("decode", err.kind)
    assert.equal("duplicate key 'a' at line 2 column 2 (offset 12)", err.message)
    assert.same({ { a = 1 }, { a = 2 } }, { unpack(json.decode('[{"a":1},{"a":2}]', opts)) })
  end)

  it("says what was expected, what was found, and where", function()
    local err = failure(json.decode, '{"a":1,\n "b" 2}')
    assert.equal("decode", err.kind)
    assert.equal("expected ':' but found '2' at line 2 column 6 (offset 13)", err.message)
    assert.equal(13, err.offset)
    assert.equal(2, err.line)
    assert.equal(6, err.column)
  end)

  it("refuses what JSON does not have", function()
    for _, text in ipairs { "NaN", "-Infinity", "1e400", "[1,]", "'a'", "01", "", "[1", "{} {}",
      '"a\nb"', "nil", "\239\187\191[]" } do
      assert.equal("decode", failure(json.decode, text).kind, text)
    end
  end)

  it("takes 128 containers in each other and no more", function()
    assert.is_table(json.decode(("["):rep(128) .. ("]"):rep(128)))
    local err = failure(json.decode, ("["):rep(129) .. ("]"):rep(129))
    assert.matches("nested deeper than 128", err.message)
  end)

  it("takes raw newlines and words behind the value where it may be lenient", function()
    assert.equal("a\nb", json.decode('"a\nb"\n```', { lenient = true }))
    assert.equal("decode", failure(json.decode, '["a\nb"', { lenient = true }).kind)
  end)

  it("refuses what is no text, and unknown options", function()
    assert.matches("json_spec.lua:%d+: json.decode takes a text, got nil", usage(json.decode))
    assert.matches("unknown option 'unique'", usage(json.decode, "1", { unique = true }))
  end)

  it("survives a failure: the next text is read as usual", function()
    failure(json.decode, '{"a":[1,{"b":')
    assert.same({ a = 1 }, json.decode '{"a":1}')
  end)
end)

describe("json.decode_partial", function()
  local function partial(text)
    local value = json.decode_partial(text)
    return value == nil and "nil" or json.encode(value)
  end

  it("closes what is open", function()
    assert.equal('{"a":[1,2,{"b":"c"}]}', partial '{"a":[1,2,{"b":"c')
    assert.equal("[[[]]]", partial "[[[")
    assert.equal('"so f"', partial '"so f')
  end)

  it("drops half a number, a half literal, a half escape and half a character", function()
    assert.equal("[1]", partial "[1,23")
    assert.equal("[true]", partial "[true,fal")
    assert.equal('["a"]', partial [=[["a\u00e]=])
    assert.equal('["a"]', partial '["a\226\130')
    assert.equal('["a"]', partial [=[["a\ud83d]=])
  end)

  it("drops a key without its value", function()
    assert.equal('{"a":1}', partial '{"a":1,"b')
    assert.equal('{"a":1}', partial '{"a":1,"b"')
    assert.equal('{"a":1}', partial '{"a":1,"b":')
    assert.equal('{"a":1}', partial '{"a":1,"b":-')
    assert.equal('{"a":1,"b":""}', partial '{"a":1,"b":"')
  end)

  it("gives nil where nothing is known", function()
    for _, text in ipairs { "", " ", "12", "tr" } do assert.equal("nil", partial(text), text) end
  end)

  it("gives a whole value whole", function()
    assert.equal('{"a":[1,2]}', partial ' {"a":[1,2]} ')
    assert.equal("null", partial "null")
    assert.equal("12", partial "12 ")
  end)

  it("raises where no continuation could help", function()
    assert.equal("decode", failure(json.decode_partial, "[1,]").kind)
    assert.equal("decode", failure(json.decode_partial, "Sure! {").kind)
  end)

  it("gives for every prefix what the decoder gives", function()
    local text = [==[{"a":[1,{"b":"c\nd"},[],true],"e":{"f":null,"g":-1.5e3},"h":"é😀"}]==]
    for i = 0, #text do
      local decoder = json.decoder()
      decoder:feed(text:sub(1, i))
      assert.equal(partial(text:sub(1, i)),
        decoder:value() == nil and "nil" or json.encode(decoder:value()), text:sub(1, i))
    end
  end)
end)

describe("json.decoder", function()
  local TEXT = [==[{"a":[1,{"b":"c\u00e9\ud83d\ude00"},[]],"e":{"f":null,"g":-1.5e3},"h":"é😀"}]==]

  it("gives the same value however the text is cut", function()
    local whole = json.encode(json.decode(TEXT))
    for split = 0, #TEXT do
      local decoder = json.decoder()
      decoder:feed(TEXT:sub(1, split)):feed(TEXT:sub(split + 1))
      assert.is_true(decoder:done())
      assert.equal(whole, json.encode(decoder:finish()), "split at " .. split)
    end
  end)

  it("gives the same value byte by byte, whoever looks on the way", function()
    local decoder = json.decoder()
    for byte in TEXT:gmatch "." do
      decoder:feed(byte)
      decoder:value()
    end
    assert.equal(json.encode(json.decode(TEXT)), json.encode(decoder:finish()))
  end)

  it("never changes a value that it gave", function()
    local decoder = json.decoder()
    decoder:feed '{"a":[{"b":1},{"c":'
    local early = decoder:value()
    decoder:feed '2}],"d":3}'
    assert.equal('{"a":[{"b":1},{}]}', json.encode(early))
    assert.equal('{"a":[{"b":1},{"c":2}],"d":3}', json.encode(decoder:value()))
  end)

  it("shares closed values between the values that it gives", function()
    local decoder = json.decoder()
    decoder:feed '[{"b":1},'
    local early = decoder:value()
    decoder:feed "2]"
    assert.equal(early[1], decoder:finish()[1])
    assert.not_equal(early, decoder:value())
  end)

  it("tells what a value cost: open members, and text by 16 bytes", function()
    local decoder = json.decoder()
    assert.is_nil(decoder:value())
    assert.equal(0, decoder:work())
    decoder:feed('[1, 2, {"a": 1, "b": "' .. ("x"):rep(160))
    decoder:value()
    assert.equal(2 + 1 + 10, decoder:work())
    decoder:feed '"}'
    decoder:value()
    assert.equal(3, decoder:work())
  end)

  it("knows the end of a number at the top only from finish", function()
    local decoder = json.decoder()
    decoder:feed "12"
    assert.is_false(decoder:done())
    assert.is_nil(decoder:value())
    assert.equal(12, decoder:finish())
    assert.is_true(decoder:done())
    assert.equal(12, decoder:value())
    assert.equal(12, decoder:finish())
  end)

  it("raises at the end of a text that is not whole", function()
    local decoder = json.decoder()
    decoder:feed '{"a":[1'
    local err = failure(decoder.finish, decoder)
    assert.equal("expected ',' or ']' but found the end of the text at line 1 column 8 (offset 7)",
      err.message)
  end)

  it("goes on failing after a failure, with the same words", function()
    local decoder = json.decoder { unique_keys = true }
    decoder:feed '{"a":1,'
    local err = failure(decoder.feed, decoder, '"a":2}')
    assert.equal("duplicate key 'a' at line 1 column 8 (offset 7)", err.message)
    assert.equal(err.message, failure(decoder.feed, decoder, "}").message)
    assert.equal(err.message, failure(decoder.finish, decoder).message)
    assert.equal('{"a":1}', json.encode(decoder:value()))
  end)

  it("counts lines over all pieces", function()
    local decoder = json.decoder()
    decoder:feed "[\n1,\n":feed " "
    local err = failure(decoder.feed, decoder, "?")
    assert.same({ 3, 2, 6 }, { err.line, err.column, err.offset })
  end)

  it("ignores what follows the value where it may be lenient", function()
    local decoder = json.decoder { lenient = true }
    decoder:feed '{"a":"x\ny"}\n``':feed "`\nThat is all."
    assert.same({ a = "x\ny" }, decoder:finish())
  end)

  it("refuses another self and another argument", function()
    local c = require("moonpipe.native").c
    assert.matches("mp.json_decoder", usage(c.json_decoder().feed, io.stdout, "1"))
    local decoder = json.decoder()
    assert.matches("feed takes a text, got nil", usage(decoder.feed, decoder))
  end)
end)

describe("json.encode", function()
  it("sorts keys by bytes", function()
    assert.equal('{"":0,"A":1,"a":2,"aa":3,"b":4,"\195\169":5}',
      json.encode { b = 4, aa = 3, A = 1, ["\195\169"] = 5, a = 2, [""] = 0 })
  end)

  it("tells arrays from objects by their keys", function()
    assert.equal("[1,[2],{}]", json.encode { 1, { 2 }, {} })
    assert.equal("[]", json.encode(json.array()))
    assert.equal("[1]", json.encode(json.array { 1 }))
    assert.equal('{"n":2}', json.encode { n = 2 })
  end)

  it("fills the holes of a list that carries n", function()
    assert.equal("[1,null,3,null]", json.encode { 1, nil, 3, n = 4 })
    assert.equal("[null,null]", json.encode(json.array { n = 2 }))
  end)

  it("writes numbers so that they read back equal", function()
    assert.equal("[0.1,1e+20,0.3333333333333333,9007199254740991,-5]",
      json.encode { 0.1, 1e20, 1 / 3, 2 ^ 53 - 1, -5 })
    assert.equal(2 ^ 60, json.decode(json.encode(2 ^ 60)))
  end)

  it("escapes what must be and repairs UTF-8", function()
    assert.equal([["\"\\/\n\u0001]] .. 'é\239\191\189"', json.encode "\"\\/\n\1é\255")
  end)

  it("writes scalars and nil", function()
    assert.equal("[true,false,null]", json.encode { true, false, json.null })
    assert.equal("null", json.encode(nil))
    assert.equal('"x"', json.encode "x")
  end)

  it("indents by spaces or by what is given", function()
    assert.equal('{\n  "a": [\n    1,\n    {}\n  ],\n  "b": []\n}',
      json.encode({ a = { 1, {} }, b = json.array() }, { indent = 2 }))
    assert.equal("[\n\t1\n]", json.encode({ 1 }, { indent = "\t" }))
    assert.equal("[\n1\n]", json.encode({ 1 }, { indent = 0 }))
  end)

  it("writes what __tojson returns", function()
    local mt = { __tojson = function(self) return { id = self.id } end }
    assert.equal('[{"id":7},{"id":null}]',
      json.encode { setmetatable({ id = 7 }, mt), setmetatable({ id = json.null }, mt) })
    assert.equal('"x"', json.encode(setmetatable({}, { __tojson = function() return "x" end })))
  end)

  it("may be called from __tojson", function()
    local mt = { __tojson = function() return json.encode { b = 1, a = 2 } end }
    local inner = setmetatable({}, mt)
    assert.equal([==[{"a":1,"b":"{\"a\":2,\"b\":1}","c":3}]==],
      json.encode { c = 3, a = 1, b = inner })
  end)

  it("passes on what __tojson raises", function()
    local bad = setmetatable({}, { __tojson = function() errors.raise("tool", "no") end })
    assert.equal("tool", failure(json.encode, { a = bad }).kind)
    assert.equal('{"a":1}', json.encode { a = 1 })
  end)

  it("survives a table that __tojson changes", function()
    local t = { b = 1, c = 2 }
    t.a = setmetatable({}, { __tojson = function() t.b = nil return 0 end })
    assert.equal('{"a":0,"b":null,"c":2}', json.encode(t))
  end)

  local function refused(value)
    local err = failure(json.encode, value)
    assert.equal("input", err.kind)
    return err.message
  end

  it("names the place of what it refuses", function()
    assert.equal("cannot encode a function at $.messages[2].content",
      refused { messages = { {}, { content = print } } })
    assert.equal('cannot encode a thread at $["a b"]["1"]',
      refused { ["a b"] = { ["1"] = coroutine.create(print) } })
    assert.equal("cannot encode a function at $", refused(print))
  end)

  it("refuses holes, mixed keys and keys that are no strings", function()
    assert.matches("holes and no field n at %$%.a", refused { a = { 1, nil, 3 } })
    assert.matches("holes", refused { [5] = 1 })
    assert.matches("both integers and strings as keys at %$", refused { 1, a = 2 })
    assert.matches("both integers", refused { 1, 2, n = 1 })
    assert.matches("both integers", refused(json.array { a = 1 }))
    assert.matches("boolean as key", refused { [true] = 1 })
    assert.matches("number 1.5 as key", refused { [1.5] = 1 })
    assert.matches("number 0 as key", refused { [0] = 1 })
  end)

  it("refuses numbers that JSON does not have", function()
    assert.equal("nan is not a number that JSON has at $.a[1]", refused { a = { 0 / 0 } })
    assert.equal("-inf is not a number that JSON has at $", refused(-math.huge))
  end)

  it("refuses userdata and cdata", function()
    assert.equal("cannot encode a userdata at $.f", refused { f = io.stdout })
    assert.equal("cannot encode a cdata at $", refused(1LL))
  end)

  it("refuses cycles, also through __tojson", function()
    local t = { a = {} }
    t.a.b = t
    assert.equal("cannot encode a table that contains itself at $.a.b", refused(t))
    local own = setmetatable({}, { __tojson = function(self) return self end })
    assert.matches("contains itself", refused(own))
  end)

  it("takes 128 containers in each other and no more", function()
    local t = {}
    for _ = 1, 127 do t = { t } end
    assert.equal(("["):rep(127) .. "{}" .. ("]"):rep(127), json.encode(t))
    assert.matches("more than 128 containers", refused { t })
    local endless = {}
    endless.__tojson = function() return setmetatable({}, endless) end
    assert.matches("more than 128 containers", refused(endless.__tojson()))
  end)

  it("cuts a path that is too long to be read", function()
    local t = print
    for _ = 1, 100 do t = { ["a longer key"] = t } end
    assert.matches("^cannot encode a function at %$%[\"a longer key\"%].*%.%.%.$", refused(t))
  end)

  it("refuses an indent that would not be JSON", function()
    assert.matches('got "%-%-"', usage(json.encode, {}, { indent = "--" }))
    assert.matches("got the number %-1", usage(json.encode, {}, { indent = -1 }))
    assert.matches("unknown option 'ident'", usage(json.encode, {}, { ident = 1 }))
  end)
end)

describe("json.array", function()
  it("marks and returns the table itself", function()
    local t = { 1 }
    assert.equal(t, json.array(t))
    assert.equal(t, json.array(t))
    assert.is_true(json.is_array(t))
    assert.is_false(json.is_array { 1 })
    assert.is_false(json.is_array "x")
  end)

  it("refuses what is no plain table", function()
    assert.matches("takes a plain table, got a string", usage(json.array, "x"))
    assert.matches("takes a plain table", usage(json.array, setmetatable({}, {})))
  end)
end)

-- ---- random documents ---------------------------------------------------------

local random = math.random

local function random_string()
  local parts = {}
  for i = 1, random(0, 6) do
    parts[i] = ({ "a", "key", " ", "é", "\240\159\152\128", '"', "\\", "\n", "/", "\1", "\127",
      tostring(random(1000)) })[random(12)]
  end
  return table.concat(parts)
end

local function random_number()
  return ({ random(-1000, 1000), random(), random(1e6) / 64, 2 ^ random(0, 52), random(9) * 1e-7 })
    [random(5)]
end

-- No empty containers and no null: there cjson loses what ours keeps.
local function random_value(depth)
  local kind = random(depth > 0 and 7 or 5)
  if kind == 1 then return random_string() end
  if kind <= 4 then return kind == 4 and random(2) == 1 or random_number() end
  if kind == 5 then return random_string() end
  local t = {}
  for i = 1, random(5) do
    t[kind == 6 and i or random_string() .. i] = random_value(depth - 1)
  end
  return t
end

describe("json against lua-cjson", function()
  local theirs = cjson.new()
  theirs.encode_keep_buffer(false)

  -- cjson writes 14 digits, so numbers are compared as it would write them
  local function as_cjson_sees_it(value)
    if type(value) == "number" then return tonumber(("%.14g"):format(value)) end
    if type(value) ~= "table" then return value end
    local copy = {}
    for key, member in pairs(value) do copy[key] = as_cjson_sees_it(member) end
    return copy
  end

  it("reads what cjson writes and is read by cjson, over random documents", function()
    for round = 1, 2000 do
      local value = random_value(5)
      local text = json.encode { value }
      local name = ("round %d: %s"):format(round, text)
      assert.same({ value }, theirs.decode(text), name)
      local mine = json.decode(text)
      assert.equal(text, json.encode(mine), name)
      assert.same(as_cjson_sees_it { value }, as_cjson_sees_it(mine), name)
      assert.same(as_cjson_sees_it { value },
        as_cjson_sees_it(json.decode(theirs.encode { value })), name)
    end
  end)

  it("accepts no damaged text that cjson refuses", function()
    theirs.decode_invalid_numbers(false)
    local accepted = 0
    for _ = 1, 3000 do
      local text = json.encode { random_value(3) }
      local at = random(#text)
      local damaged = text:sub(1, at - 1) .. ('{}[],:"\\0e-.x '):sub(random(15), -1):sub(1, 1)
        .. text:sub(at + random(0, 1))
      if pcall(json.decode, damaged) then
        accepted = accepted + 1
        -- cjson refuses lone surrogates only, which no damage of one byte makes
        assert.is_true(pcall(theirs.decode, damaged), damaged)
      end
    end
    assert.is_true(accepted > 0)
  end)
end)
