local mp = require "moonpipe"
local terminal = require "moonpipe.terminal"
local helper = require "spec.helper"

describe("printable text", function()
  it("is text as it is", function()
    for _, text in ipairs({ "", "a\tb\n", "größe €5 😀", "©®" }) do
      assert.equal(text, mp.printable(text))
    end
  end)

  it("has no sequences", function()
    local cases = {
      "\27[31m", "\27[2J", "\27[1;1H", "\27[?25l", "\27]0;title\7", "\27]52;c;AAAA\27\\",
      "\27]8;;http://x\27\\", "\27P1$r\27\\", "\27_x\27\\", "\27^x\27\\", "\27X x\27\\", "\27c",
      "\27(B", "\27#8", "\27M", "\194\155" .. "31m", "\194\157" .. "0;t\7",
      "\194\157" .. "0;t\194\156", "\194\144" .. "q\194\156",
    }
    for _, case in ipairs(cases) do
      assert.equal("ab", terminal.printable("a" .. case .. "b"), (("%q"):format(case)))
    end
  end)

  it("has no control characters", function()
    assert.equal("abc", terminal.printable("a\0\1\7\8b\r\11\12\127c"))
    assert.equal("ab", terminal.printable("a\194\133b"))
    assert.equal("a\nb", terminal.printable("a\r\nb"))
  end)

  it("keeps the harmless rest of a sequence that was cut", function()
    assert.equal("a]0;ti", terminal.printable("a\27]0;ti"))
    assert.equal("[31", terminal.printable("\27[31"))
    assert.equal("tle", terminal.printable("tle\7"))
  end)

  it("has none, wherever a sequence is cut in two", function()
    local text = "x\27]52;c;AA\27\\y\27[31mz\194\155" .. "1mw\27"
    for at = 0, #text do
      local both = terminal.printable(text:sub(1, at)) .. terminal.printable(text:sub(at + 1))
      assert.is_nil(both:find("[%z\1-\8\11-\31\127]"), at)
    end
  end)
end)

describe("JSON", function()
  it("has what terminals obey as escapes, and means the same", function()
    local json = require "moonpipe.json"
    local text = "a\127b\194\128c\194\1551md\194\159e\194\160©é\27[2J"
    local shown = terminal.json(json.encode { text })
    assert.is_nil(shown:find("[%z\1-\31\127]"))
    assert.is_nil(shown:find("\194[\128-\159]"))
    assert.truthy(shown:find("\194\160©é", 1, true), shown)
    assert.same({ text }, json.decode(shown))
  end)

  it("is so in what commands print", function()
    local code = 'return "x\\194\\1552Jy\\127z"'
    local out = helper.moonpipe { "run", "--json", helper.temp(code) }
    assert.equal('"x\\u009b2Jy\\u007fz"\n', out)
    local chain = helper.temp 'return require "moonpipe".RunnablePassthrough()'
    for _, given in ipairs { { "x\194\155y\n", 0 }, { '"x\194\155y\n', 6, "--format=jsonl" } } do
      local printed, err, exit = helper.moonpipe({ "batch", chain, "-", "-o", "-", given[3] }, given[1])
      assert.equal(given[2], exit, err)
      assert.truthy((printed .. err):find("x\\u009by", 1, true), printed .. err)
      assert.is_nil((printed .. err):find("\194\155", 1, true), printed .. err)
    end
    out = helper.moonpipe({ "ask", "--json", "x\194\155y" }, nil, { MOONPIPE_MODEL = "echo" })
    assert.is_nil(out:find("\194\155", 1, true), out)
  end)
end)

describe("what people are told", function()
  it("has none in notices and in the tree of a call", function()
    local _, stderr = helper.script([[
      local mp = require "moonpipe"
      local function fail() error(mp.Error { kind = "http", message = "a\27]0;t\7b" }) end
      local chain = mp.RunnableLambda(fail):with_fallbacks { mp.const "x" }
      chain:invoke(1, { callbacks = { mp.TimelineTracer() } })
      require("moonpipe.log").warn("c\27[2Jd")
    ]])
    assert.truthy(stderr:find("http: ab", 1, true), stderr)
    assert.truthy(stderr:find("moonpipe: cd\n", 1, true), stderr)
    assert.is_nil(stderr:find("\27", 1, true))
  end)
end)

describe("may_color", function()
  local function asked(code, env)
    local before = 'local t = require "moonpipe.terminal" local s = require "moonpipe.settings" '
    env.XDG_CONFIG_HOME = env.XDG_CONFIG_HOME or "/nonexistent"
    return (helper.moonpipe({ "-e", before .. code .. " io.write(tostring(t.may_color(2)))" }, nil, env))
  end

  it("is for terminals, unless somebody says otherwise", function()
    local stub = 'require("moonpipe.native").c.isatty = function(fd) return fd == 2 end '
    assert.equal("false", asked("", { NO_COLOR = false, TERM = "xterm" }))
    assert.equal("true", asked(stub, { NO_COLOR = false, TERM = "xterm" }))
    assert.equal("true", asked(stub, { NO_COLOR = "", TERM = "xterm" }))
    assert.equal("false", asked(stub, { NO_COLOR = "1", TERM = "xterm" }))
    assert.equal("false", asked(stub, { NO_COLOR = false, TERM = "dumb" }))
    assert.equal("true", asked("s.flags.color = 'always'", { NO_COLOR = "1", TERM = "dumb" }))
    assert.equal("false", asked(stub .. "s.flags.color = 'never'", { NO_COLOR = false, TERM = "xterm" }))
    assert.equal("false", asked(stub .. "s.file = function() return { color = 'never' } end",
      { NO_COLOR = false, TERM = "xterm" }))
    assert.equal("true", asked("s.file = function() return { color = 'always' } end",
      { NO_COLOR = false, TERM = "xterm" }))
    assert.equal("true", asked(stub .. "s.file = function() error 'broken' end",
      { NO_COLOR = false, TERM = "xterm" }))
  end)
end)

describe("redraws", function()
  it("is so on a terminal that can go back in its line", function()
    local code = [[require("moonpipe.native").c.isatty = function(fd) return fd == %d end
      io.write(tostring(require("moonpipe.terminal").redraws()))]]
    for term, said in pairs { xterm = "true", dumb = "false" } do
      assert.equal(said, (helper.moonpipe({ "-e", code:format(2) }, nil, { TERM = term })))
      assert.equal("false", (helper.moonpipe({ "-e", code:format(1) }, nil, { TERM = term })))
    end
  end)
end)
