-- The cases follow the files of the language's specification: interpolation, sections, inverted
-- sections, partials, delimiters, comments.
local json = require "moonpipe.json"
local mp = require "moonpipe"
local mustache = require "moonpipe.templates.mustache"
local helper = require "spec.helper"

local lenient = { _missing = function() end }

local function render(text, values, partials)
  return assert(mustache.compile(text, partials)):format(values, nil, lenient)
end

local function problem(text, partials)
  local compiled, why = mustache.compile(text, partials)
  assert.is_nil(compiled)
  return why
end

local function failure(text, values)
  local prompt = mp.PromptTemplate.from_template(text, { template_format = "mustache" })
  return helper.input_failure(prompt.invoke, prompt, values)
end

describe("a mustache template", function()
  it("without tags is its text", function()
    assert.equal("Hello from {x}!\n", render("Hello from {x}!\n", {}))
    assert.equal("", render("", {}))
  end)

  it("inserts values, numbers and booleans", function()
    assert.equal("Hello, world!", render("Hello, {{subject}}!", { subject = "world" }))
    assert.equal("85 miles, 1.21, true", render("{{n}} miles, {{f}}, {{b}}",
      { n = 85, f = 1.21, b = true }))
    assert.equal("| x |", render("| {{ a }} |", { a = "x" }))
    assert.equal("  x\n", render("  {{a}}\n", { a = "x" }))
  end)

  it("escapes for HTML, but not in three braces or behind &", function()
    assert.equal("&amp; &quot; &lt; &gt; '", render("{{x}}", { x = "& \" < > '" }))
    assert.equal('& " < >', render("{{{x}}}", { x = '& " < >' }))
    assert.equal('& " < >', render("{{&x}}", { x = '& " < >' }))
    assert.equal('<|<', render("{{& x }}|{{{ x }}}", { x = "<" }))
  end)

  it("inserts nothing for null", function()
    assert.equal("I () be seen", render("I ({{x}}) be seen", { x = json.null }))
    assert.equal("I () be seen", render("I ({{{x.y}}}) be seen", { x = { y = json.null } }))
  end)

  it("inserts messages, Documents and lists as every template does", function()
    assert.equal("a\n\nb", render("{{x}}", { x = { mp.Document "a", mp.Document "b" } }))
    assert.equal("hi", render("{{x}}", { x = mp.AIMessage "hi" }))
  end)

  it("never reads again what it inserted", function()
    assert.equal("{{y}} {{#y}}", render("{{x}} {{{z}}}", { x = "{{y}}", y = "no", z = "{{#y}}" }))
  end)

  it("follows dotted names", function()
    assert.equal("Joe", render("{{person.name}}", { person = { name = "Joe" } }))
    assert.equal("Phil", render("{{a.b.c.d.name}}",
      { a = { b = { c = { d = { name = "Phil" } } } } }))
    assert.equal("<>", render("<{{a.b.c}}>", { a = {} }))
    assert.equal("<>", render("<{{a.b.c.name}}>", { a = { b = {} }, c = { name = "Jim" } }))
    assert.equal("facts.txt: text", render("{{d.metadata.source}}: {{d.page_content}}",
      { d = mp.Document("text", { source = "facts.txt" }) }))
  end)

  it("looks for the first part of a name only from inside outwards", function()
    assert.equal("Phil", render("{{#a}}{{b.name}}{{/a}}",
      { a = { b = { name = "Phil" } }, b = { name = "Wrong" } }))
    assert.equal("<>", render("<{{#a}}{{b.c}}{{/a}}>", { a = { b = {} }, b = { c = "WRONG" } }))
  end)

  it("reaches into data only", function()
    local model = mp.FakeListChatModel { responses = { "x" } }
    assert.equal("<>", render("<{{m.responses}}{{m.name}}>", { m = model }))
    assert.equal("<>", render("<{{s.upper}}{{f.x}}>", { s = "text", f = print }))
    assert.equal("<>", render("<{{t.secret}}>", {
      t = setmetatable({}, { __index = { secret = "s" }, __tostring = function() return "t" end }),
    }))
  end)

  it("stands for a lone value by its one variable", function()
    local one = mustache.compile "{{x}} and {{#x}}{{.}}{{/x}}"
    assert.equal("1 and 1", one:format(nil, "1", lenient))
    assert.equal("Hello, world", mustache.compile("Hello, {{.}}"):format("world", nil, lenient))
  end)
end)

describe("a section of mustache", function()
  it("is there once for a value, and not for nothing", function()
    assert.equal("<yes>", render("<{{#x}}yes{{/x}}>", { x = true }))
    for _, nothing in ipairs({ false, json.null, "", 0, {}, json.array {} }) do
      assert.equal("<>", render("<{{#x}}yes{{/x}}>", { x = nothing }), tostring(nothing))
      assert.equal("<no>", render("<{{^x}}no{{/x}}>", { x = nothing }), tostring(nothing))
    end
    assert.equal("<>", render("<{{#x}}yes{{/x}}>", {}))
    assert.equal("<no>", render("<{{^x}}no{{/x}}>", {}))
    assert.equal("<>", render("<{{^x}}no{{/x}}>", { x = { 1 } }))
  end)

  it("has the names of its value, then those outside", function()
    assert.equal("Hi Joe of x", render("{{#who}}Hi {{name}} of {{place}}{{/who}}",
      { who = { name = "Joe" }, place = "x" }))
    assert.equal("1 121 1", render("{{#a}}{{one}} {{#b}}{{one}}{{two}}{{one}}{{/b}} {{two}}{{one}}{{/a}}",
      { a = { one = 1 }, b = { two = 2 } }))
  end)

  it("is there for each member of a list", function()
    assert.equal("123", render("{{#list}}{{item}}{{/list}}",
      { list = { { item = 1 }, { item = 2 }, { item = 3 } } }))
    assert.equal("(a)(b)(&lt;)", render("{{#list}}({{.}}){{/list}}", { list = { "a", "b", "<" } }))
    assert.equal("(<)", render("{{#list}}({{{.}}}){{/list}}", { list = { "<" } }))
    assert.equal("(12)(3)", render("{{#list}}({{#.}}{{.}}{{/.}}){{/list}}",
      { list = { { 1, 2 }, { 3 } } }))
  end)

  it("shows Documents and messages", function()
    assert.equal("a (x)b (y)", render("{{#docs}}{{page_content}} ({{metadata.source}}){{/docs}}",
      { docs = { mp.Document("a", { source = "x" }), mp.Document("b", { source = "y" }) } }))
    assert.equal("human: hi;ai: ho;", render("{{#h}}{{type}}: {{content}};{{/h}}",
      { h = { mp.HumanMessage "hi", mp.AIMessage "ho" } }))
  end)

  it("may stand in another, and twice", function()
    assert.equal("| A B C D E |",
      render("| A {{#b}}B {{#b}}C {{/b}}D {{/b}}E |", { b = true }))
    assert.equal("| A E |", render("| A {{#b}}B {{#b}}C {{/b}}D {{/b}}E |", { b = false }))
    assert.equal("* first\n* second\n", render(
      "{{#b}}\n* first\n{{/b}}\n{{#b}}\n* second\n{{/b}}\n", { b = true }))
  end)

  it("takes a dotted name", function()
    assert.equal("Here", render("{{#a.b.c}}Here{{/a.b.c}}", { a = { b = { c = true } } }))
    assert.equal("Not here", render("{{^a.b.c}}Not here{{/a.b.c}}", { a = {} }))
  end)

  it("takes its line with it where it stands alone", function()
    assert.equal("| This Is\n|\n| A Line\n", render(
      "| This Is\n{{#b}}\n|\n{{/b}}\n| A Line\n", { b = true }))
    assert.equal("| This Is\n|\n| A Line\n", render(
      "| This Is\n  {{#b}}\n|\n  {{/b}}\n| A Line\n", { b = true }))
    assert.equal("|\r\n|", render("|\r\n{{#b}}\r\n{{/b}}\r\n|", { b = true }))
    assert.equal("#\n/\n", render("#{{#b}}\n/\n  {{/b}}", { b = true }))
    assert.equal("  YES\n  GOOD\n", render(" {{#b}} YES{{/b}}\n {{#b}} GOOD{{/b}}\n", { b = true }))
    assert.equal(" | \t|\t | \n", render(" | {{#b}}\t|\t{{/b}} | \n", { b = true }))
  end)

  it("says that a function is no value", function()
    assert.equal("prompt variable 'f' is a function; call it, or make it a map key before the prompt",
      failure("{{#f}}x{{/f}}", { f = print }))
  end)
end)

describe("a comment of mustache", function()
  it("is not there", function()
    assert.equal("1234567890", render("12345{{! not\n here }}67890", {}))
    assert.equal("Begin.\nEnd.\n", render("Begin.\n  {{! a\nb }}\nEnd.\n", {}))
    assert.equal("  12 \n", render("  12 {{! 34 }}\n", {}))
  end)
end)

describe("delimiters of mustache", function()
  it("can be chosen", function()
    assert.equal("(Hey!)", render("{{=<% %>=}}(<%text%>)", { text = "Hey!" }))
    assert.equal('{"k": "{{v}}", "w": 1}', render('{{=<% %>=}}{"k": "{{v}}", "w": <%w%>}', { w = 1 }))
    assert.equal("(It worked!)", render("({{= | | =}}|text|)", { text = "It worked!" }))
    assert.equal("<x>[x]", render("{{=[ ]=}}<[&x]>[={{ }}=][{{x}}]", { x = "x" }))
    assert.equal("Begin.\nEnd.\n", render("Begin.\n{{=@ @=}}\nEnd.\n", {}))
  end)
end)

describe("a partial of mustache", function()
  it("is a template that was given", function()
    assert.equal('"from partial"', render('"{{>text}}"', {}, { text = "from partial" }))
    assert.equal("*content*", render("{{> p }}", { text = "content" }, { p = "*{{text}}*" }))
    assert.equal("\t|", render("\t{{>p}}\t", {}, { p = "|" }))
  end)

  it("may hold itself", function()
    assert.equal("X<Y<>>", render("{{>node}}",
      { content = "X", nodes = { { content = "Y", nodes = {} } } },
      { node = "{{content}}<{{#nodes}}{{>node}}{{/nodes}}>" }))
  end)

  it("indents its lines, but not those of values", function()
    assert.equal("\\\n |\n <\n->\n |\n/\n", render("\\\n {{>p}}\n/\n", { content = "<\n->" },
      { p = "|\n{{{content}}}\n|\n" }))
    assert.equal("  a\n  b>", render("  {{>p}}>", {}, { p = "a\n  b" }))
    assert.equal("    x\n", render("  {{>p}}\n", {}, { p = "  {{>q}}\n", q = "x\n" }))
  end)

  it("keeps delimiters for itself", function()
    assert.equal("[ .yes. ]\n[ .no. ]", render("[ {{>p}} ]\n[ .no. ]", { x = "yes" },
      { p = "{{= | | =}}.|x|." }))
  end)

  it("stops where it never ends", function()
    local prompt = mp.PromptTemplate.from_template("{{>p}}", {
      template_format = "mustache", mustache_partials = { p = "{{>p}}" },
    })
    local _, err = prompt:try_invoke {}
    assert.equal("limit", err.kind)
    assert.equal("the partial 'p' goes deeper than 100", err.message)
  end)

  it("stops where partials double too often", function()
    local partials = { p40 = "x" }
    for i = 1, 39 do partials["p" .. i] = ("{{>p%d}}"):rep(2):format(i + 1, i + 1) end
    local prompt = mp.PromptTemplate.from_template("{{>p1}}", {
      template_format = "mustache", mustache_partials = partials,
    })
    local _, err = prompt:try_invoke {}
    assert.equal("limit", err.kind)
    assert.truthy(err.message:find("is one of more than 10000", 1, true))
  end)

  it("must be there, and a template", function()
    assert.equal("the partial 'p' is nil; give its text: mustache_partials = { p = … }",
      problem("{{#x}}{{>p}}{{/x}}"))
    assert.equal("the partial 'q' is the number 1; give its text: mustache_partials = { q = … }",
      problem("{{>p}}", { p = "{{>q}}", q = 1 }))
    assert.truthy(problem("{{>p}}", { p = "a\n{{#b}}" }):find(
      "^bad partial 'p' at line 2, column 1: '{{#b}}' is never closed; "))
  end)
end)

describe("a wrong mustache template", function()
  local HINT = "; if braces were meant literally choose other delimiters first: {{=<% %>=}}"

  local function place(text)
    local why = problem(text)
    assert.equal(HINT, why:sub(-#HINT))
    return why:sub(1, -#HINT - 1):match("^bad template at (.*)$")
  end

  it("has a tag or section that is not closed", function()
    assert.equal("line 1, column 3: '{{' is never closed", place "a {{x")
    assert.equal("line 1, column 1: '{{{' is never closed", place "{{{x}}")
    assert.equal("line 2, column 2: '{{#x}}' is never closed", place "a\n {{#x}} {{y}}")
  end)

  it("closes what is not open", function()
    assert.equal("line 1, column 6: '{{/x}}' closes a section that is not open", place "{{x}}{{/x}}")
    assert.equal("line 1, column 13: '{{/a}}' closes a section, but '{{#b}}' is open",
      place "{{#a}}{{#b}}{{/a}}{{/b}}")
  end)

  it("has a tag without a name, or with no name", function()
    assert.equal("line 1, column 1: '{{}}' names no variable", place "{{}}")
    assert.equal("line 1, column 1: '{{#}}' names no variable", place "{{#}}")
    assert.equal("line 1, column 1: '{{user input}}' is not a variable", place "{{user input}}")
    assert.equal("line 1, column 1: '{{a..b}}' has an empty part between its dots",
      place "{{a..b}}")
    assert.equal([[line 1, column 1: '{{"a": 1}}' is not a variable]], place '{{"a": 1}}')
    assert.equal("line 1, column 1: '{{a\\nb}}' is not a variable", place "{{a\nb}}")
  end)

  it("was meant for Handlebars", function()
    assert.equal("line 1, column 1: '{{#if x}}' is a helper of Handlebars; mustache has"
      .. " {{#name}}…{{/name}}", place "{{#if x}}{{/if}}")
    assert.equal("line 1, column 1: '{{#each x}}' is a helper of Handlebars; mustache has"
      .. " {{#name}}…{{/name}}", place "{{#each x}}{{/each}}")
  end)

  it("sets delimiters that are none", function()
    assert.equal("line 1, column 1: '{{=<%=}}' must hold two delimiters, as {{=<% %>=}}",
      place "{{=<%=}}")
  end)
end)

describe("a prompt in mustache", function()
  local function prompt(text, opts)
    opts = opts or {}
    opts.template_format = "mustache"
    return mp.PromptTemplate.from_template(text, opts)
  end

  it("must be given what stands in no section", function()
    assert.same({ "a", "b", "c", "d" }, prompt("{{a.x}}{{#b}}{{in}}{{/b}}{{^c}}{{/c}}{{{d}}}{{a}}")
      .input_variables)
    assert.same({ "x", "y" }, prompt("{{>p}}{{#y}}{{>q}}{{/y}}",
      { mustache_partials = { p = "{{x}}", q = "{{z}}" } }).input_variables)
  end)

  it("misses a variable", function()
    assert.equal('PromptTemplate "Dear {{name}}" misses {name}: expected {name}, received {nam}; if'
      .. " braces were meant literally choose other delimiters first: {{=<% %>=}}; did you mean"
      .. " 'nam'?", failure("Dear {{name}}", { nam = "x" }))
    assert.truthy(failure("{{#list}}x{{/list}}", {}):find("misses {list}", 1, true))
  end)

  it("takes a lone value, partial values and more text", function()
    assert.equal("<b>", prompt("{{{x}}}"):format "<b>")
    assert.equal("1 2 3", (prompt("{{x}} {{y}}"):partial { y = 2 } + " {{z}}")
      :format { x = 1, z = 3 })
  end)

  it("is not added to one in another language", function()
    assert.equal("cannot add a PromptTemplate in f-string to one in mustache",
      helper.said(function() return prompt "{{x}}" + mp.PromptTemplate "{x}" end))
  end)

  it("may give messages", function()
    local chat = mp.ChatPromptTemplate.from_messages({
      { "system", "{{#strict}}Be strict.{{/strict}}{{^strict}}Be kind.{{/strict}}" },
      { "placeholder", "{{history}}" },
      { "human", { { type = "image_url", image_url = "{{&url}}" }, "{{q}}" } },
    }, { template_format = "mustache" })
    assert.same({ "q", "strict", "url" }, chat.input_variables)
    local list = chat:format_messages { strict = false, q = "a{b}", url = "http://x/?a&b",
      history = { "hi" } }
    assert.equal("System: Be kind.\nHuman: hi\nHuman: a{b}", mp.get_buffer_string(list))
    assert.same({ url = "http://x/?a&b" }, list[3].content[1].image_url)
    assert.equal("Human: why", ((chat + "{{r}}"):slice(-1)):format("why"))
  end)

  it("has partials for mustache alone", function()
    assert.equal('mustache_partials of PromptTemplate need template_format = "mustache"',
      helper.said(mp.PromptTemplate.from_template, "x", { mustache_partials = {} }))
    assert.equal("mustache_partials of PromptTemplate is a string; it must be a table",
      helper.said(prompt, "x", { mustache_partials = "x" }))
  end)
end)

describe("any text at all", function()
  local PIECES = { "{{", "}}", "{{{", "}}}", "{{#a}}", "{{/a}}", "{{^a}}", "{{>p}}", "{{=", "=}}",
    "<%", "%>", "{{!", "{{&", "a", "b.c", ".", " ", "\n", "\r\n", "{", "}", "é", "\255", "\0" }
  local VALUES = { a = { "x", { b = 1 }, true }, b = { c = "y" }, p = false }

  local function random_text(random)
    local parts = {}
    for i = 1, random(12) do
      parts[i] = PIECES[random(#PIECES)]
    end
    return table.concat(parts)
  end

  it("is a template or a problem with a place", function()
    math.randomseed(5)
    local made = 0
    for _ = 1, 5000 do
      local text = random_text(math.random)
      local compiled, why = mustache.compile(text, { p = "[{{a.b}}]" })
      if compiled then
        made = made + 1
        local ok, result = pcall(compiled.format, compiled, VALUES, nil, lenient)
        assert.truthy(ok and type(result) == "string"
          or type(result) == "table" and result.kind == "input", text)
      else
        assert.truthy(why:find("^bad template at line %d+, column %d+: "), text)
      end
    end
    assert.truthy(made > 200, made)
  end)
end)
