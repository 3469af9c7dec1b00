local chunk = require "moonpipe.chunk"
local helper = require "spec.helper"
local mp = require "moonpipe"
local pieces = require "spec.support.pieces"

local stream, cut = pieces.stream, pieces.cut

local CASES = {
  NumberedListOutputParser = {
    { "1. foo\n2. bar\n\n10. baz", { "foo", "bar", "baz" } },
    { "Here:\n\n 1) foo \n 2) bar\r\nBye.", { "foo", "bar" } },
    { "**1.** no\n3.14 is pi\n1. 2. both", { "2. both" } },
    { "none", {} },
    { "1.\n2. \n3. x", { "x" } },
  },
  MarkdownListOutputParser = {
    { "- foo\n* bar\n+ baz", { "foo", "bar", "baz" } },
    { "Here:\n  - foo - bar\n-no\n---\nBye", { "foo - bar" } },
    { "", {} },
  },
}

for name, cases in pairs(CASES) do
  local parser = mp[name]()

  describe(name, function()
    for i, case in ipairs(cases) do
      it(("reads case %d, in pieces too"):format(i), function()
        assert.same(case[2], parser:invoke(case[1]))
        for size = 1, #case[1] do
          local seen = stream(parser, cut(case[1], size))
          assert.same(case[2], chunk.merged(seen), size)
        end
      end)
    end

    it("gives nothing for an empty stream", function()
      assert.same({}, stream(parser, {}))
    end)

    it("says what to ask for, and what it gives", function()
      assert.truthy(parser:get_format_instructions():find("list", 1, true))
      assert.same({ type = "array", items = { type = "string" } }, parser:output_schema())
    end)

    it("refuses what is no text", function()
      assert.truthy(helper.input_failure(parser.invoke, parser, 5):find("^" .. name .. " takes"))
    end)
  end)
end

describe("NumberedListOutputParser", function()
  it("gives an item when its line has ended", function()
    assert.same({ { "foo" }, { "bar" } },
      stream(mp.NumberedListOutputParser(), { "1. f", "oo\n2.", " bar" }))
  end)
end)
