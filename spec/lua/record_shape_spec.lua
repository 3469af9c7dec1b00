local cjson = require "cjson"
local shapes = require "moonpipe.models.record_shape"

local function record(text, more)
  return ('{"id":"x","choices":[{"index":0,"delta":{"content":%s},"finish_reason":null}]%s}'):format(
    cjson.encode(text), more or "")
end

local function learned(data, text)
  local shape = shapes.new("content")
  shape:learn(data, text)
  return shape
end

describe("record_shape", function()
  it("knows the text of a record that differs in it alone", function()
    local shape = learned(record("one"), "one")
    for _, text in ipairs({ "two", "a longer one", "x", "ä€", " " }) do
      assert.equal(text, shape:text(record(text)))
    end
  end)

  it("knows nothing before it has learned", function()
    assert.is_nil(shapes.new("content"):text(record("one")))
  end)

  it("does not know a record that differs elsewhere", function()
    local shape = learned(record("one"), "one")
    for _, data in ipairs({
      record("two", ',"usage":1'), "", "[DONE]", record("two"):sub(1, -2), " " .. record("two"),
      (record("two"):gsub("null", '"stop"')), '{"error":"x"}', (record("two"):gsub("x", "y")),
    }) do
      assert.is_nil(shape:text(data), data)
    end
  end)

  it("does not know a text that is written with escapes, or none", function()
    local shape = learned(record("one"), "one")
    for _, text in ipairs({ 'a"b', "a\\b", "a\nb", "a/b", "" }) do
      assert.is_nil(shape:text(record(text)), text)
    end
    assert.is_nil(shape:text((record("two"):gsub("two", "a\0b"))))
    assert.is_nil(shape:text((record("two"):gsub("two", 'a","content":"b'))))
  end)

  it("learns no record that could mislead it", function()
    local twice = '{"choices":[{"delta":{"content":"a"},"content":"a"}]}'
    assert.is_nil(learned(twice, "a"):text(twice))
    assert.is_nil(learned(record("a\nb"), "a\nb"):text(record("c")))
    assert.is_nil(learned(record("one"), "other"):text(record("c")))
    assert.is_nil(learned(record("one"), "on"):text(record("c")))
    assert.is_nil(learned('{"text":"a"}', "a"):text('{"text":"b"}'))
  end)

  it("learns records with blanks behind the colon", function()
    local shape = learned('{"delta": {"content": "a"}}', "a")
    assert.equal("b", shape:text('{"delta": {"content": "b"}}'))
    assert.is_nil(shape:text('{"delta": {"content":"b"}}'))
  end)

  it("gives up on records of which no two are alike", function()
    local shape = shapes.new("content")
    for i = 1, 17 do shape:learn(record("a", (',"n":%d'):format(i)), "a") end
    shape:learn(record("a"), "a")
    assert.is_nil(shape:text(record("b")))
  end)

  it("agrees with a decoder on whatever it knows", function()
    local shape, pieces, known = learned(record("one"), "one"), { '"', "\\", "{", "}", "content",
      ":", ",", "null", "a", "ä", "\\u0041", "/", " ", '"}}' }, 0
    local seed = 7
    for _ = 1, 5000 do
      local text = {}
      for i = 1, 1 + seed % 5 do
        seed = seed * 16807 % 2147483647
        text[i] = pieces[1 + seed % #pieces]
      end
      local data = record("\1"):gsub("\\u0001", (table.concat(text):gsub("%%", "%%%%")))
      local fast = shape:text(data)
      if fast then
        known = known + 1
        assert.equal(cjson.decode(data).choices[1].delta.content, fast)
      end
    end
    assert.is_true(known > 100)
  end)
end)
