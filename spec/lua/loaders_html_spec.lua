local helper = require "spec.helper"
local mp = require "moonpipe"

local function load(page, opts)
  return mp.HTMLLoader(helper.temp(page), opts):load()[1]
end

local function text(page)
  return load(page).page_content
end

describe("HTMLLoader", function()
  it("gives the text that a reader sees", function()
    assert.equal("Head\n\nOne bold word.\n\nTwo", text("<html><body><h1>Head</h1><p>One <b>bold</b>\n"
      .. "   word.<p>Two</body></html>"))
  end)

  it("leaves out scripts, styles and what is no text", function()
    assert.equal("a\n\nb", text("<script>if (x < 1 && y) { '<p>' }</script><style>p {}</style>a"
      .. "<noscript>no</noscript><svg><title>s</title><text>t</text></svg><template>x</template>"
      .. "<!-- comment --><p>b"))
  end)

  it("notes the title and the links, each once", function()
    local doc = load("<title> A &amp;\n B </title><a href='/x?a=1&amp;b=2'>x</a><a href=' u\n v'>y</a>"
      .. "<a href='#top'>t</a><a name=n>n</a><a href='/x?a=1&amp;b=2'>x</a>")
    assert.equal("A & B", doc.metadata.title)
    assert.same({ "/x?a=1&b=2", "u v" }, doc.metadata.links)
    assert.equal("xytnx", doc.page_content)
    assert.is_nil(load("x").metadata.title)
    assert.same({}, load("x").metadata.links)
  end)

  it("reads entities", function()
    assert.equal("<ä> & €…\194\160\"😀", text("&lt;&auml;&gt; &amp; &#8364;&hellip;&nbsp;&quot;&#x1F600;"))
  end)

  it("sets lines, lists and cells apart", function()
    assert.equal("a\nb\n\nc", text("a<br>b<br><br>c"))
    assert.equal("one\ntwo", text("<ul><li>one<li>two</ul>"))
    assert.equal("a\tb\n1\t2", text("<table><tr><th>a<th>b<tr><td>1</td><td>2</td></table>"))
    assert.equal("a\n\nx\n   y\n\nb", text("a<pre>\nx\n   y\n</pre>b"))
  end)

  it("reads what is broken, in pieces or empty", function()
    assert.equal("", text(""))
    assert.equal("a b", text("<b>a <i>b</b></p></i>"))
    assert.equal("x", text("x<a href='y"))
    local long = ("<p>ä <b>b</b></p>"):rep(20000)
    assert.is_true(("ä b\n\n"):rep(20000):sub(1, -3) == text(long))
  end)

  it("goes by UTF-8, whatever the page says of itself", function()
    assert.equal("ä\239\191\189", text("<meta charset=iso-8859-1>ä\255"))
  end)

  it("refuses what is nested without end, is too large or is none", function()
    local kinds = {}
    for i, loader in ipairs { mp.HTMLLoader(helper.temp(("<i>"):rep(50000))),
      mp.HTMLLoader(helper.temp("<p>too long"), { max_bytes = 5 }),
      mp.HTMLLoader(helper.temp("\127ELF\0")), mp.HTMLLoader("/nowhere.html") } do
      local _, err = pcall(loader.load, loader)
      kinds[i] = err.kind
    end
    assert.same({ "too_large", "too_large", "decode", "io" }, kinds)
  end)

  it("lets other tasks run while it reads", function()
    local path, turns = helper.temp(("<p>text <a href='/a'>a</a></p>"):rep(100000)), 0
    local task = mp.chain(function(p) return #mp.HTMLLoader(p):load() end):start(path)
    while task:status() == "pending" or task:status() == "running" do
      turns = turns + 1
      mp.sleep(0.001)
    end
    assert.equal(1, task:wait())
    assert.is_true(turns > 3, turns)
  end)
end)
