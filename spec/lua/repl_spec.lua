--- The REPL: through a pipe, and in a terminal.
local child = require "spec.support.child"
local helper = require "spec.helper"
local terminal = require "spec.support.terminal"

-- What the REPL prints, and what it complains of, for lines through a pipe.
local function repl(lines)
  local stdout, stderr, code = helper.moonpipe({ "repl" }, lines)
  assert.equal(0, code)
  return stdout, stderr
end

local function prints(expected, lines)
  local stdout, stderr = repl(lines)
  assert.equal("", stderr)
  assert.equal(expected, stdout)
end

local function complains(expected, lines)
  local stdout, stderr = repl(lines .. "\nprint 'goes on'\n")
  assert.equal(expected .. "\n", stderr)
  assert.equal("goes on\n", stdout)
end

describe("repl", function()
  it("prints what an expression gives, by mp.inspect", function()
    prints('2\n"text"\n{ 1, a = true }\n1\tnil\n', '1 + 1\n"text"\n{ 1, a = true }\n1, nil\n')
  end)

  it("prints nothing for statements, comments and calls without a result", function()
    prints("said\n", "x = 1\n-- a comment\n\nprint 'said'\n")
  end)

  it("takes = before an expression", function()
    prints("3\n", "= 3\n")
  end)

  it("keeps the last value in _", function()
    prints("21\n42\n42\n", "21\n_ * 2\n_\n")
  end)

  it("keeps the variables of local at the top level", function()
    prints("5\n6\n", "local x, f = 5, function(y) return y + 1 end\nx\nf(x)\n")
  end)

  it("assigns to a variable that it keeps", function()
    prints("7\nnil\n", "local x = 5\nx = 7\nx\nlocal y\ny\n")
  end)

  it("keeps a local from the global of its name", function()
    prints("nil\ntrue\n", "local type\ntype\n_G.type ~= nil\n")
  end)

  it("has mp ready", function()
    prints('"a"\n', "mp.RunnablePassthrough():invoke 'a'\n")
  end)

  it("reads on until a text is complete", function()
    prints("1\n2\n", "for i = 1, 2 do\nprint(i)\nend\n")
    prints("3\n", "1 +\n2\n")
    prints('"a\\nb"\n', "[[a\nb]]\n")
  end)

  it("reads on after a trailing |, and where | begins the next line", function()
    prints("4\n", "local c = { a = function(x) return x end } |\nfunction(t) return t.a + 1 end\nc(3)\n")
    prints("4\n", "c =\n  { a = function(x) return x end }\n  | function(t) return t.a + 1 end\nc(3)\n")
  end)

  it("shows a chain as it was written", function()
    prints("prompt | StrOutputParser\n",
      "mp.PromptTemplate.from_template 'x' | mp.StrOutputParser()\n")
  end)

  it("prints a stream's tokens", function()
    prints("one two\n",
      "mp.GenericFakeChatModel { messages = { 'one two' } }:stream 'x'\n")
  end)

  it("lets chains wait", function()
    prints("1\n", "mp.RunnableLambda(function(x) mp.sleep(0.01) return x end)(1)\n")
  end)

  it("complains in one line, with its place, and goes on", function()
    complains("stdin:1: bad", "error 'bad'")
    complains("stdin:2: bad", "do\nerror 'bad' end")
    complains("stdin:1: undefined global 'nothing'", "nothing")
    complains("stdin:1: unexpected symbol near '*'", "1 + * 2")
    complains("stdin:1: '=' expected near 'bar'", "foo bar")
    complains("stdin:1: unexpected symbol near '<'", "local x <const> = 1")
    complains("stdin:1: undefined label 'nowhere'", "goto nowhere")
  end)

  it("says of an error value what it is", function()
    complains("input: bad (in nowhere)", "error(mp.Error { kind = 'input', message = 'bad', path = 'nowhere' })")
    complains("nil", "error(nil)")
  end)

  it("prints nothing of a stream that a terminal would obey", function()
    prints("a]0;titleb\n", "mp.FakeListChatModel { responses = { 'a\\27]0;title\\7b' } }:stream 'x'\n")
    prints("ab\n", "mp.RunnableGenerator(function(_, emit) emit 'a\\27[2Jb' end):stream()\n")
  end)

  it("ends the line of a stream that fails", function()
    local stdout, stderr = repl("mp.FakeListChatModel { responses = { 'one' }, error_on_chunk_number = 2 }"
      .. ":stream 'x'\n")
    assert.equal("o\n", stdout)
    assert.matches("reset", stderr, 1, true)
  end)

  it("complains of a text that never ends", function()
    local stdout, stderr = repl("for i = 1, 2 do\n")
    assert.equal("", stdout)
    assert.equal("stdin:2: 'end' expected (to close 'for' at line 1) near '<eof>'\n", stderr)
  end)

  it("hears Ctrl-C just before it waits #signal", function()
    local _, _, code = helper.execute({ "bash", "-c",
      'mkfifo "$2" && exec 3<>"$2" && rm "$2" && timeout 20 env "$1" "$3" repl <&3', "bash",
      child.preloaded("late_signal"), helper.temp() .. ".fifo", helper.bin })
    assert.equal(130, code)
  end)

  it("takes no more words", function()
    local _, stderr, code = helper.moonpipe({ "repl", "x" })
    assert.matches("repl takes no arguments", stderr, 1, true)
    assert.equal(2, code)
  end)
end)

describe("repl in a terminal #signal", function()
  local server = require("spec.support.server").use()
  local term, state

  before_each(function()
    state = os.tmpname()
    os.remove(state)
  end)

  after_each(function()
    term:stop()
    os.execute("rm -rf " .. state)
  end)

  -- The size of a terminal's prompt line: what stands after the last output.
  local function open(words)
    term = terminal.start(words or { helper.bin }, { XDG_STATE_HOME = state, LANG = "C.UTF-8" })
    term:wait("\n> *$")
  end

  it("is what moonpipe without words opens; Ctrl-D leaves", function()
    open()
    term:line("20 + 1")
    term:wait("\n21\n> *$")
    term:press("C-d")
    term:wait("exit 0$")
  end)

  it("asks for more with another prompt", function()
    open()
    term:line("for i = 1, 2 do")
    term:wait("\n>> *$")
    term:line("print(i * 100) end")
    term:wait("\n100\n200\n> *$")
  end)

  it("takes a pasted chain of 20 lines", function()
    local lines = { "chain =", "    { n = mp.RunnablePassthrough() }" }
    for _ = 1, 17 do lines[#lines + 1] = "  | function(t) return { n = t.n + 1 } end" end
    lines[#lines + 1] = "  | mp.itemgetter 'n'"
    open()
    term:paste(table.concat(lines, "\n") .. "\n")
    term:line("chain(100)")
    term:wait("\n117\n> *$")
  end)

  it("edits characters of more than one byte", function()
    open()
    term:type("'è日本x'")
    term:press("Left", "BSpace", "Enter")
    term:wait('\n"è日本"\n> *$')
  end)

  it("takes a paste with tabs", function()
    open()
    term:paste("t = {\n\ta = 1,\n\tb = 2,\n}\n")
    term:line("t.a + t.b")
    term:wait("\n3\n> *$")
  end)

  it("shows tokens as they come, and cancels the stream at Ctrl-C", function()
    open()
    term:line("mp.RunnableGenerator(function(_, emit) emit('fi' .. 'rst') mp.sleep(60) end):stream()")
    term:wait("\nfirst$")
    term:press("C-c")
    term:wait("interrupted\n> *$")
  end)

  it("lets started tasks go on while a line is awaited", function()
    open()
    term:line("task = mp.RunnableLambda(function(x) mp.sleep(0.05) print('says ' .. x) end):start 'hi'")
    term:wait("says hi")
    term:line("task:status()")
    term:wait('\n"done"\n> *$')
  end)

  it("clears the line at Ctrl-C", function()
    open()
    term:line("for i = 1, 2 do")
    term:wait("\n>> *$")
    term:type("garbage")
    term:press("C-c")
    term:wait("garbage\n> *$")
    term:line("5 + 5")
    term:wait("\n10\n> *$")
  end)

  it("cancels what waits at Ctrl-C", function()
    open()
    term:line("print('be' .. 'gins') mp.sleep(60)")
    term:wait("\nbegins")
    term:press("C-c")
    term:wait("interrupted\n> *$")
    term:line("5 + 5")
    term:wait("\n10\n> *$")
  end)

  it("cancels a model call at Ctrl-C, and closes its connection", function()
    local base_url = server:lane("repl", { { delay = 60000 }, { answer = "second" } })
    open()
    term:line(("model = mp.ChatOpenAI { base_url = '%s', api_key = 'k' }"):format(base_url))
    term:wait("\n> *$")
    term:line("model('hi')")
    server:wait(function(stats) return stats.requests == 1 end)
    term:press("C-c")
    term:wait("interrupted\n> *$")
    server:wait(function(stats) return stats.aborted == 1 end)
    term:line("(model | mp.StrOutputParser())('hi')")
    term:wait('"second"\n> *$')
  end)

  it("breaks a loop at Ctrl-C", function()
    open()
    term:line("print('be' .. 'gins') while true do end")
    term:wait("\nbegins")
    term:press("C-c")
    term:wait("interrupted\n> *$")
    term:line("mp.RunnableLambda(function(x) mp.sleep(0.01) return x end)(10)")
    term:wait("\n10\n> *$")
  end)

  it("ends with 130 at a second Ctrl-C within a second", function()
    open()
    term:line("print('be' .. 'gins') while true do pcall(function() while true do end end) end")
    term:wait("\nbegins")
    term:press("C-c")
    os.execute("sleep 0.2") -- two that come at once are one
    term:press("C-c")
    term:wait("exit 130$")
  end)

  it("remembers lines from run to run, for the owner alone", function()
    open()
    term:line("'remember' .. ' me'")
    term:wait('\n"remember me"\n> *$')
    term:line("local api_key = 'secret'")
    term:wait("secret'\n> *$")
    term:line("local key = mp.secret 'canary'")
    term:wait("canary'\n> *$")
    term:press("C-d")
    term:wait("exit 0$")
    term:stop()
    open()
    term:press("Up", "Enter")
    term:wait('\n"remember me"\n> *$')
    local mode = helper.execute({ "stat", "-c", "%a", state .. "/moonpipe/history" })
    assert.equal("600\n", mode)
    local history = helper.read(state .. "/moonpipe/history")
    assert.is_nil(history:find("secret", 1, true) or history:find("canary", 1, true))
  end)
end)
