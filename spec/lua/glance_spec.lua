local glance = require "moonpipe.http.glance"
local mp = require "moonpipe"

describe("a glance at JSON", function()
  it("gives what is there, by whichever decoder reads it", function()
    assert.same({ a = { 1, "x" }, b = true }, glance '{"a":[1,"x"],"b":true}')
    assert.equal(mp.null, glance('{"a":null}').a)
    assert.equal("a\239\191\189b", glance('{"a":"a\\ud800b"}').a) -- cjson refuses it
  end)

  it("gives nothing of what is no JSON, too deep, or no number", function()
    for _, text in ipairs { "", "<html>", '{"a":', '{"a":NaN}', ("["):rep(2000) } do
      assert.is_nil((glance(text)))
    end
  end)
end)
