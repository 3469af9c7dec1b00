local glimpse = require "moonpipe.glimpse"
local mp = require "moonpipe"

describe("glimpse", function()
  it("says what a value is, how much of it there is and how it begins", function()
    assert.equal("nil", glimpse(nil))
    assert.equal("3", glimpse(3))
    assert.equal("false", glimpse(false))
    assert.equal("function", glimpse(print))
    assert.equal('"why" (string, 3 bytes)', glimpse "why")
    assert.equal("{}", glimpse {})
    assert.equal("list of 3 string", glimpse { "a", "b", "c" })
    assert.equal("list of 2", glimpse { "a", 1 })
    assert.equal("list of 2 Document", glimpse { mp.Document "a", mp.Document "b" })
    assert.equal('HumanMessage "hi" (string, 2 bytes)', glimpse(mp.HumanMessage "hi"))
    assert.equal('Document "a" (string, 1 byte)', glimpse(mp.Document "a"))
    assert.equal('StringPromptValue "a 1" (string, 3 bytes)',
      glimpse(mp.PromptTemplate.from_template("a {b}"):invoke { b = 1 }))
    assert.equal("Error", glimpse(mp.Error { kind = "io", message = "x" }))
    assert.equal('{ [1.5] = {}, [" "] = list of 1 number, a = table, b = AIMessage }',
      glimpse { [1.5] = {}, a = { c = 1 }, b = mp.AIMessage "x", [" "] = { 1 } })
  end)

  it("is of bounded length", function()
    local wide = {}
    for i = 1, 5000 do wide[("key%04d"):format(i):rep(100)] = ("x"):rep(1e5) end
    assert.is_true(#glimpse(wide) < 1500)
    assert.equal('"' .. ("x"):rep(40) .. '…" (string, 100 bytes)', glimpse(("x"):rep(100)))
    assert.equal('"' .. ("é"):rep(20) .. '…" (string, 60 bytes)', glimpse(("é"):rep(30)))
    assert.equal('"x' .. ("é"):rep(19) .. '…" (string, 61 bytes)', glimpse("x" .. ("é"):rep(30)))
  end)

  it("shows no key, also of one that it would cut", function()
    local key = "sk-0123456789abcdefghijklmnopqrstuvwxyz0123456789"
    assert.equal('"my key is sk-…" (string, 59 bytes)', glimpse("my key is " .. key))
    assert.is_nil(glimpse { [key] = 1 }:find("0123", 1, true))
  end)

  it("shows nothing that a terminal obeys", function()
    assert.equal('"a\\nb" (string, 11 bytes)', glimpse "a\n\27]0;t\7b\0\27")
  end)

  it("runs no code of the value's", function()
    local trap = setmetatable({}, { __index = error, __tostring = error, __len = error })
    assert.equal("an empty table", glimpse(trap))
    assert.equal('{ a = {} }', glimpse { a = trap })
  end)
end)
