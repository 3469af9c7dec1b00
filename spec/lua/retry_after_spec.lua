local after = require "moonpipe.http.retry_after"

local NOW = 784111777 -- Sun, 06 Nov 1994 08:49:37 GMT

describe("retry_after.date", function()
  it("reads all forms of one moment", function()
    for _, text in ipairs({
      "Sun, 06 Nov 1994 08:49:37 GMT",
      "Sun, 6 Nov 1994 08:49:37 GMT",
      "Sun, 06-Nov-1994 08:49:37 GMT",
      "Sunday, 06-Nov-94 08:49:37 GMT",
      "Sun Nov  6 08:49:37 1994",
      "1994-11-06T08:49:37Z",
      "1994-11-06t09:49:37+01:00",
      "1994-11-06 04:19:37-04:30",
      "  sun, 06 nov 1994 08:49:37 gmt  ",
    }) do
      assert.equal(NOW, after.date(text), text)
    end
  end)

  it("keeps a fraction", function()
    assert.equal(NOW + 0.25, after.date("1994-11-06T08:49:37.25Z"))
  end)

  it("knows the calendar", function()
    assert.equal(0, after.date("1970-01-01T00:00:00Z"))
    assert.equal(951782400, after.date("2000-02-29T00:00:00Z"))
    assert.equal(4107542400, after.date("2100-03-01T00:00:00Z"))
    assert.equal(1798761600, after.date("Fri, 01 Jan 2027 00:00:00 GMT"))
    assert.equal(-86400, after.date("1969-12-31T00:00:00Z"))
    assert.equal(2871763199, after.date("Wednesday, 31-Dec-60 23:59:59 GMT"))
    assert.equal(915148800 - 1, after.date("Thursday, 31-Dec-98 23:59:59 GMT"))
  end)

  it("agrees with os.time over forty years", function()
    local offset = os.time({ year = 2000, month = 1, day = 1, hour = 0 }) - 946684800
    for day = 0, 14600, 37 do
      local at = 946684800 + day * 86400 + day
      assert.equal(at, after.date(os.date("!%a, %d %b %Y %H:%M:%S GMT", at)))
    end
    assert.equal(0, offset % 900)
  end)

  it("is nil for what is no date", function()
    for _, text in ipairs({
      "", "soon", "Sun, 06 Foo 1994 08:49:37 GMT", "Sun, 32 Nov 1994 08:49:37 GMT",
      "Sun, 06 Nov 1994 24:49:37 GMT", "Sun, 06 Nov 1994 08:60:37 GMT",
      "Sun, 06 Nov 1994 08:49:61 GMT", "Sun, 06 Nov 1994", "1994-13-06T08:49:37Z",
      "1994-11-06T08:49:37", "1994-11-06T08:49:37+1", "1994-11-00T08:49:37Z",
    }) do
      assert.is_nil(after.date(text), text)
    end
  end)
end)

describe("retry_after.seconds", function()
  it("reads numbers and dates", function()
    assert.equal(0, after.seconds("0", NOW))
    assert.equal(20, after.seconds("20", NOW))
    assert.equal(1.5, after.seconds(" 1.5 ", NOW))
    assert.equal(-3, after.seconds("-3", NOW))
    assert.equal(1e9, after.seconds("1000000000", NOW))
    assert.equal(1e9, after.seconds("1e9", NOW))
    assert.equal(30, after.seconds("Sun, 06 Nov 1994 08:50:07 GMT", NOW))
    assert.equal(-37, after.seconds("Sun, 06 Nov 1994 08:49:00 GMT", NOW))
  end)

  it("is nil for all else", function()
    for _, text in ipairs({ "", "soon", "nan", "inf", "-inf", "0x10", "1e999", "1 2", "5s", "." }) do
      assert.is_nil(after.seconds(text, NOW), text)
    end
  end)
end)

describe("retry_after.milliseconds", function()
  it("reads numbers only", function()
    assert.equal(0.25, after.milliseconds("250"))
    assert.equal(-0.001, after.milliseconds("-1"))
    assert.is_nil(after.milliseconds("junk"))
    assert.is_nil(after.milliseconds("Sun, 06 Nov 1994 08:49:37 GMT"))
  end)
end)

describe("retry_after.duration", function()
  it("reads what rate limits are written in", function()
    local cases = {
      ["1s"] = 1, ["6m0s"] = 360, ["12ms"] = 0.012, ["1h2m3.5s"] = 3723.5, ["20"] = 20,
      ["0s"] = 0, ["88us"] = 88e-6, ["88µs"] = 88e-6, ["7.66s"] = 7.66, ["1994-11-06T08:50:07Z"] = 30,
    }
    for text, seconds in pairs(cases) do
      local read = after.duration(text, NOW)
      assert.is_true(read and math.abs(read - seconds) < 1e-9, text)
    end
  end)

  it("is nil for all else", function()
    for _, text in ipairs({ "", "s", "1x", "1s!", "..s", "soon" }) do
      assert.is_nil(after.duration(text, NOW), text)
    end
  end)
end)
