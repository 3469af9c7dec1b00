local chunk = require "moonpipe.chunk"
local helper = require "spec.helper"
local json = require "moonpipe.json"
local mp = require "moonpipe"
local pieces = require "spec.support.pieces"
local steps = require "spec.support.steps"

local failure = helper.failure
local stream, cut = pieces.stream, pieces.cut
local parser = mp.XMLOutputParser()

-- { text, value }
local CASES = {
  { "<a>x</a>", { a = "x" } },
  { "<a/>", { a = "" } },
  { "<a></a>", { a = "" } },
  { "<a> x y\n</a>", { a = "x y" } },
  { "<a><b>1</b><c><d>2</d></c></a>", { a = { { b = "1" }, { c = { { d = "2" } } } } } },
  { "<a><b/><b>2</b></a>", { a = { { b = "" }, { b = "2" } } } },
  { "<a>one<b>2</b> three </a>", { a = { "one", { b = "2" }, "three" } } },
  { '<a id="1" x:y = \'>"\'><b k="&lt;">t</b></a>',
    { a = { { b = "t", ["@k"] = "<" } }, ["@id"] = "1", ["@x:y"] = '>"' } },
  { "<a>1 &lt; 2 &amp;&quot;&apos;&gt; &#65;&#xe9;&#x1F600;</a>",
    { a = "1 < 2 &\"'> A\195\169\240\159\152\128" } },
  { "<a>&nbsp; &x; &amp &#0; &#xD800; R&D</a>", { a = "&nbsp; &x; &amp &#0; &#xD800; R&D" } },
  { "<a><![CDATA[<b>&lt;]]]]><![CDATA[>]]></a>", { a = "<b>&lt;]]>" } },
  { "<a><!-- <b> -- --><?php > ?>x</a>", { a = "x" } },
  { '<?xml version="1.0"?>\n<!-- c -->\n<a>x</a>\n', { a = "x" } },
  { "Sure, 1 < 2:\n```xml\n<a>x</a>\n```\nBye <b>", { a = "x" } },
  { "<été>x</été>", { ["été"] = "x" } },
}

-- { text, what is wrong }
local WRONG = {
  { "<a>", "the answer ends inside of <a>" },
  { "<a><b>x</b>", "the answer ends inside of <a>" },
  { "<a><b", "the answer ends inside of <a>" },
  { "<a><b></a>", "</a> closes <b>" },
  { "words", "there is no XML element in it" },
  { "", "there is no XML element in it" },
  { "<a b=1/>", "the attributes of <a> cannot be read" },
  { "<a b='1' b='2'/>", "<a> has two attributes b" },
  { "<a><1/></a>", "<1/> is no tag" },
  { "<a><b,c/></a>", "<b,c/> is no tag" },
  { '<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>', "declarations such as <!DOCTYPE are refused" },
  { '<a><!ENTITY x "y"></a>', "declarations such as <!DOCTYPE are refused" },
  { "<a b='" .. ("x"):rep(9000) .. "'/>", "a tag is longer than 8192 bytes" },
  { ("<a>"):rep(200), "elements are nested deeper than 128 levels" },
}

describe("XMLOutputParser", function()
  for i, case in ipairs(CASES) do
    it(("reads case %d, in pieces too: %s"):format(i, case[1]), function()
      assert.same(case[2], parser:invoke(case[1]))
      assert.same(case[2], parser:invoke(mp.AIMessage(case[1])))
      for size = 1, #case[1] do
        local seen = stream(parser, cut(case[1], size))
        assert.same(case[2], chunk.merged(seen), size)
      end
    end)
  end

  for _, case in ipairs(WRONG) do
    it("refuses " .. case[1]:sub(1, 40) .. ": " .. case[2], function()
      for size = 1, math.min(#case[1], 40) do
        local err = failure(stream, parser, cut(case[1], size))
        assert.equal("the answer is not XML: " .. case[2], err.message)
        assert.equal("decode", err.kind)
        assert.equal(case[1]:sub(1, #err.partial), err.partial)
      end
      local err = failure(parser.invoke, parser, case[1])
      assert.equal("the answer is not XML: " .. case[2], err.message)
      assert.equal(case[1], err.partial)
    end)
  end

  it("gives the children of the outermost element when they have ended", function()
    assert.same({
      { a = { { b = "1" } }, ["@id"] = "7" }, { a = { { c = { { d = "2" } } }, { b = "3" } } },
    }, stream(parser, { '<a id="7"><b>1', "</b><c>", "<d>2</d>", "</c><b>3</b>", "</a>" }))
  end)

  it("keeps lists of elements lists when they are written", function()
    assert.equal('{"a":[{"b":""}]}', json.encode(parser:invoke "<a><b/></a>"))
  end)

  it("gives nothing for an empty stream, and takes no options", function()
    assert.same({}, stream(parser, {}))
    assert.truthy(helper.said(mp.XMLOutputParser, { tags = {} }):find("^unknown option 'tags'"))
    assert.truthy(parser:get_format_instructions():find("XML", 1, true))
  end)

  it("says the same of any text, however it is cut", function()
    local parts = { "<a>", "</a>", "<b x='1'>", "</b>", "<c/>", "<!--", "-->", "<![CDATA[", "]]>",
      "<?", "?>", "&lt;", "&#65;", "&", ";", "<", ">", "'", "]", "-", "!", " ", "x", "é", "<!D" }
    local state = 1
    local function random(most)
      state = state * 16807 % 2147483647
      return state % most + 1
    end
    local function outcome(list)
      local ok, value = pcall(stream, parser, list)
      if ok then return { ok = chunk.merged(value) } end
      return { message = value.message }
    end
    for _ = 1, helper.long and 50000 or 2000 do
      local text = "<a>"
      for _ = 1, random(12) do text = text .. parts[random(#parts)] end
      if random(2) == 1 then text = text .. "</a>" end
      assert.same(outcome { text }, outcome(cut(text, random(7))), text)
    end
  end)

  it("reads a long text in small pieces without looking at it twice", function()
    local text = "<a>" .. ("<b>some words</b>"):rep(20000) .. "</a>"
    local value, count = chunk.collect(steps.source_of(stream(parser, cut(text, 3))))
    assert.equal(20000, #value.a)
    assert.truthy(count > 10000, count)
  end)
end)
