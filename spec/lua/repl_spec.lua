--- The REPL through a pipe; repl_terminal_spec has it in a terminal.
local child = require "spec.support.child"
local helper = require "spec.helper"

-- What the REPL prints, what it complains of, and its exit code, for lines through a pipe.
local function repl(lines, ...)
  return helper.moonpipe({ "repl", ... }, lines)
end

local function prints(expected, lines)
  local stdout, stderr, code = repl(lines)
  assert.equal("", stderr)
  assert.equal(expected, stdout)
  assert.equal(0, code)
end

local function complains(expected, lines)
  local stdout, stderr, code = repl(lines .. "\nprint 'goes on'\n")
  assert.equal(expected .. "\n", stderr)
  assert.equal("goes on\n", stdout)
  assert.equal(1, code)
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
    complains("input: bad\n  in nowhere", "error(mp.Error { kind = 'input', message = 'bad', path = 'nowhere' })")
    complains("nil", "error(nil)")
  end)

  it("prints nothing of a stream that a terminal would obey", function()
    prints("a]0;titleb\n", "mp.FakeListChatModel { responses = { 'a\\27]0;title\\7b' } }:stream 'x'\n")
    prints("ab\n", "mp.RunnableGenerator(function(_, emit) emit 'a\\27[2Jb' end):stream()\n")
  end)

  it("ends the line of a stream that fails", function()
    local stdout, stderr, code = repl("mp.FakeListChatModel { responses = { 'one' }, error_on_chunk_number = 2 }"
      .. ":stream 'x'\n")
    assert.equal("o\n", stdout)
    assert.matches("reset", stderr, 1, true)
    assert.equal(5, code)
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
    assert.matches("repl takes no", stderr, 1, true)
    assert.equal(2, code)
  end)

  it("has the language's names without mp., of which the globals come first", function()
    prints("prompt | StrOutputParser\nfunction: builtin#23\n",
      "PromptTemplate.from_template 'x' | StrOutputParser()\nprint(load == _G.load and "
      .. "'function: builtin#23')\n")
    prints("nil\n", "rawget(_G, 'PromptTemplate')\n")
    complains("stdin:1: undefined global 'StrOutputPaser'; did you mean 'StrOutputParser'?",
      "StrOutputPaser()")
    complains("stdin:1: undefined global 'exit'; did you mean :quit?", "exit")
    complains("stdin:1: undefined global 'help'; did you mean :help?", "help")
  end)

  it("takes a comment between the steps of a chain", function()
    prints('"a"\n', "chain = RunnablePassthrough()\n  -- and then\n\n  | RunnablePassthrough()\nchain 'a'\n")
  end)

  it("shows a model's answer as it comes, once", function()
    local chain = "chain = PromptTemplate.from_template '{x}' | GenericFakeChatModel { messages = { 'one two', "
      .. "'three four', 'five six' } } | StrOutputParser()\n"
    prints('one two\n"one two"\n', chain .. "chain:invoke { x = 1 }\n_\n")
    prints('one two\n10\n', chain .. "chain { x = 1 }\n#chain { x = 1 }\n")
    prints('one two\n', chain .. "local x = chain { x = 1 }\nprint(x)\n")
    prints('one two\n', chain .. "print(chain { x = 1 })\n")
    prints('one two\n', chain:gsub("^chain = ", "("):gsub("\n$", "):invoke { x = 1 }\n"))
    prints('one two\n', chain .. "t = { c = chain }\nt.c{ x = 1 } -- said\n")
    prints('"eno"\n', "(FakeListChatModel { responses = { 'one' } } | StrOutputParser() | string.reverse)'x'\n")
  end)

  it("shows as it comes only what the line itself calls", function()
    prints("{ a = 1 }\n", "inner = FakeListChatModel { responses = { 'abc' } }\n"
      .. "RunnableLambda(function(x) inner:invoke(x) return { a = 1 } end):invoke 'x'\n")
  end)

  it("strips what a terminal would obey from an answer that is shown as it comes", function()
    prints("a]0;titleb\n", "(FakeListChatModel { responses = { 'a\\27]0;title\\7b' } } | StrOutputParser()) 'x'\n")
  end)

  it("waits at the end for what was started", function()
    prints("late\n", "RunnableLambda(function() mp.sleep(0.05) print 'late' end):start(1) x = 1\n")
  end)

  it("colours values and failures where it is told to, or has a terminal", function()
    local stdout, stderr = repl("{ 'a', 1 }\nerror 'bad'\n", "--color=always")
    assert.equal('{ \27[32m"a"\27[0m, \27[33m1\27[0m }\n', stdout)
    assert.equal("\27[31mstdin:1: bad\27[0m\n", stderr)
    stdout = repl("1\n", "--color", "auto")
    assert.equal("1\n", stdout)
  end)
end)

describe("repl's commands", function()
  local path
  before_each(function() path = helper.temp() end)

  it("are listed by :help", function()
    local stdout = repl(":help\n")
    for _, name in ipairs { "explain", "graph", "help", "jit", "load", "model", "quit", "reload", "save",
      "time", "tokens", "trace" } do
      assert.matches("\n  :" .. name .. " ", "\n" .. stdout)
    end
  end)

  it("may be cut short; what is none is complained of", function()
    prints("", ":q\nprint 'not reached'\n")
    complains("input: :t may be :time, :tokens, :trace", ":t")
    complains("input: no command :grph; see :help; did you mean 'graph'?", ":grph x")
    prints("1\n", "::label:: print(1)\n")
  end)

  it("draw and explain chains", function()
    local stdout = repl(":graph RunnablePassthrough() | StrOutputParser()\n"
      .. ":explain RunnablePassthrough() | StrOutputParser()\n")
    assert.matches("| StrOutputParser |", stdout, 1, true)
    assert.matches("output", (repl(":graph { a = print }\n")), 1, true)
    assert.matches("chunks go through as they come", stdout, 1, true)
    complains("input: :graph takes a chain, got the number 5", ":graph 5")
    complains("input: :explain takes CHAIN", ":explain")
  end)

  it("tell times", function()
    local stdout, stderr = repl(":time 1 + 1\n:time on\n2\n:time\n:time off\n3\n")
    assert.equal("2\n2\n:time on\n3\n", stdout)
    assert.equal(4, select(2, stderr:gsub("%d%.%d%d%d s\n", "")))
  end)

  it("trace calls, and give tracebacks", function()
    local stdout, stderr = repl(":trace RunnablePassthrough():invoke 'x'\n1\n")
    assert.equal('"x"\n1\n', stdout)
    assert.matches("RunnablePassthrough +%d", stderr)
    stderr = select(2, repl("function f() error 'bad' end\nf()\n:trace on\nf()\n"))
    assert.equal(1, select(2, stderr:gsub("stack traceback", "")))
  end)

  it("count tokens", function()
    local server = "x = GenericFakeChatModel { messages = { AIMessage { content = 'a', usage_metadata = "
      .. "{ input_tokens = 3, output_tokens = 4, total_tokens = 7 } } } }\nx:batch { 'hi' }\n:tokens\n"
    assert.matches("1 calls, 3 tokens in, 4 out, $0.0000\n$", (repl(server)))
  end)

  it("switch LuaJIT's compiler", function()
    prints(":jit off\nfalse\n:jit on\ntrue\nfalse\n",
      ":jit\nprint((jit.status()))\n:jit on\n:jit\nprint((jit.status()))\n:jit off\nprint((jit.status()))\n")
  end)

  it("choose the model", function()
    local stdout, stderr = repl(":model extractive\nmodel\ninit_chat_model()\n")
    assert.equal("ExtractiveChatModel\nExtractiveChatModel\n", stdout)
    assert.matches("moonpipe: model ExtractiveChatModel", stderr, 1, true)
  end)

  it("load a script, keep its locals, and load it again", function()
    helper.write(path, "local inside = 5\nlocal function f() return inside end\nreturn { f = f }\n")
    prints(("{ f = function <%s:2> }\n5\n5\n"):format(path),
      (":load %s\ninside\n_G.f == nil and f()\n"):format(path))
    complains(("undefined global 'PromptTemplate'"):gsub("^", path .. ":1: "), (function()
      helper.write(path, "local p = PromptTemplate")
      return ":load " .. path
    end)())
    complains("input: nothing was loaded: see :load", ":reload")
  end)

  it("read modules anew with :reload", function()
    local folder = helper.fresh()
    os.execute("mkdir " .. folder)
    helper.write(folder .. "/part_of_mine.lua", "return 1")
    helper.write(path, "part = require 'part_of_mine'")
    prints("1\n1\n2\n", ("package.path = '%s/?.lua'\n:load %s\npart\n"):format(folder, path)
      .. ("f = io.open('%s/part_of_mine.lua', 'w')\nf = f:write('return 2') and f:close()\n"):format(folder)
      .. "part\n:reload\npart\n")
    os.execute("rm -r " .. folder)
  end)

  it("save what was typed as a script that runs", function()
    os.remove(path)
    local stdout, stderr = repl("local x = 20\nerror 'bad'\nx + 1 -- said\nk = 'sk-abc'\n"
      .. ("const(5)(1);\n:save %s\n:save %s\n:save! %s\n"):format(path, path, path))
    local said = ("3 texts in %s, 1 left out that hold a key\n"):format(path)
    assert.equal("21\n5\n" .. said .. said, stdout)
    assert.matches("is there already; :save! writes over it", stderr, 1, true)
    local out, _, code = helper.moonpipe { "run", path }
    assert.same({ "21\n5\n", 0 }, { out, code })
  end)
end)

