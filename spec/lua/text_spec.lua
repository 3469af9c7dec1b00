local native = require "moonpipe.native"

local repair = native.c.utf8_repair
local BAD = "\239\191\189" -- U+FFFD

describe("utf8_repair", function()
  it("leaves good text as it is", function()
    for _, text in ipairs({ "", "a", "ascii over eight bytes", "aä€\240\159\152\128", ("ä"):rep(100) }) do
      assert.same({ text, "" }, { repair(text) })
      assert.same({ text, "" }, { repair(text, true) })
    end
  end)

  it("puts U+FFFD for what is bad", function()
    assert.same({ "a" .. BAD .. "b", "" }, { repair("a\255b") })
    assert.same({ "12345678" .. BAD .. BAD, "" }, { repair("12345678\128\192") })
    assert.same({ BAD .. "!", "" }, { repair("\226\130!", true) })
    assert.same({ "ä" .. BAD .. "ä", "" }, { repair("ä\195ä", true) })
  end)

  it("puts U+FFFD for a character that is cut", function()
    assert.same({ "a" .. BAD, "" }, { repair("a\240\159\152") })
  end)

  it("holds back a character that more may complete", function()
    assert.same({ "a", "\240\159\152" }, { repair("a\240\159\152", true) })
    assert.same({ "a" .. BAD, "\195" }, { repair("a\255\195", true) })
  end)

  it("joins two surrogates, which JSON may bring", function()
    local high, low = "\237\160\189", "\237\176\187" -- d83d, dc3b
    assert.same({ "a\240\159\144\187b", "" }, { repair("a" .. high .. low .. "b") })
    assert.same({ BAD .. "b" .. BAD, "" }, { repair(high .. "b" .. low, true) })
    assert.same({ BAD .. "\240\159\144\187", "" }, { repair(high .. high .. low) })
    assert.same({ "a", high }, { repair("a" .. high, true) })
    assert.same({ "a" .. BAD, "" }, { repair("a" .. high) })
    assert.same({ BAD, high }, { repair(low .. high, true) })
  end)

  it("gives the same for a text cut anywhere", function()
    local text = "aä€\240\159\152\128 b\255c\226\130 ä"
    local whole = repair(text)
    for i = 0, #text do
      local first, held = repair(text:sub(1, i), true)
      assert.equal(whole, first .. repair(held .. text:sub(i + 1)), i)
    end
  end)
end)

describe("uuid_of", function()
  local uuid_of = native.c.uuid_of

  it("is the same for the same texts, and says that it is of version 8", function()
    -- SHA-256 of "", which has no text behind no length
    assert.equal("e3b0c442-98fc-8c14-9afb-f4c8996fb924", uuid_of())
    assert.equal(uuid_of("a", "b"), uuid_of("a", "b"))
    assert.truthy(uuid_of("a\0"):find("^%x+%-%x%x%x%x%-8%x%x%x%-[89ab]%x%x%x%-%x+$"))
  end)

  it("tells apart what is cut elsewhere", function()
    local seen = {}
    for _, texts in ipairs { { "ab", "c" }, { "a", "bc" }, { "abc" }, { "abc", "" }, { "", "abc" },
      { "abc\0" } } do
      local id = uuid_of(unpack(texts))
      assert.is_nil(seen[id])
      seen[id] = true
    end
  end)
end)
