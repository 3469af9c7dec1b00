-- What the program says of a failure, as a person at a terminal reads it.
local helper = require "spec.helper"
local server = require("spec.support.server").use()

local KEY = "sk-0123456789abcdefghijklmnop"
local ENV = { NO_COLOR = "1", OPENAI_API_KEY = false, XDG_CONFIG_HOME = "/nonexistent" }

-- What a script, called FILE in it, says on standard error.
local function told(text, ...)
  local path = helper.temp(text)
  local argv = { ... }
  argv[#argv + 1] = path
  local _, stderr = helper.moonpipe(argv, nil, ENV)
  return (stderr:gsub(path:gsub("%p", "%%%0"), "FILE"))
end

local HEAD = 'local mp = require "moonpipe"\n'

local function says(expected, text, ...)
  assert.equal("moonpipe: " .. expected, told(HEAD .. text, ...))
end

local HINT = "err.partial has the answer; mp.OutputFixingParser lets a model mend it, "
  .. "with_structured_output asks for the right form"

describe("a failing step", function()
  it("is told with its place, its line, what went in and what to try", function()
    local url = server:lane("busy", { default = { status = 429, header = "retry-after: 7" } })
    local text = told(HEAD .. ([[
local model = mp.ChatOpenAI { base_url = %q, max_retries = 0 }
local chain = { joke = mp.PromptTemplate.from_template "{topic}"
    | model | mp.StrOutputParser() }
  | mp.RunnablePassthrough()
chain:invoke { topic = "bears", docs = { mp.Document "a", mp.Document "b" } }
]]):format(url))
    text = text:gsub("rate_limit: [^\n]*", "rate_limit: …"):gsub("attempt 1, %d%.%d s", "TIMES")
      :gsub("at once: [^;]*;", "at once: …;")
    assert.equal([[
moonpipe: http 429 rate_limit: …
  in step 1 of 2 RunnableParallel<joke> > map key 'joke' > step 2 of 3 ChatOpenAI, composed at FILE:4, TIMES
    4 |     | model | mp.StrOutputParser() }
      |       ^^^^^
  input: StringPromptValue "bears" (string, 5 bytes)
  try: ask less at once: …; or with_retry (the server asks to wait 7 s)
]], text)
  end)

  it("that is a function is told with the function's line", function()
    says([[
FILE:2: attempt to index field 'missing' (a nil value)
  in step 1 of 2 function FILE:2, composed at FILE:3
    2 | local f = function(x) return x.missing.field end
      |                                ^^^^^^^
  input: { docs = list of 2 Document, n = 1, question = "why" (string, 3 bytes) }
  try: is the name written right, and is there a value in every case?
  stack traceback:
    FILE:2: in function <FILE:2>
    FILE:4: in function <FILE:1>
]], [[
local f = function(x) return x.missing.field end
local chain = f | mp.StrOutputParser()
chain:invoke { n = 1, question = "why", docs = { mp.Document "a", mp.Document "b" } }
]])
  end)

  it("is marked behind tabs and wide characters, as far as its line goes", function()
    says([[
tool: no
  in step 2 of 2 function FILE:3, composed at FILE:2
    2 |     local 日 = mp.const "日本"    | mp.RunnableLambda(
      |                                     ^^^^^^^^^^^^^^^^^^
  input: "日本" (string, 6 bytes)
  try: the function of the tool failed: `err.cause` has what it raised
]], "\tlocal 日 = mp.const \"日本\"\t| mp.RunnableLambda(\r\n"
      .. "  function() error(mp.Error { kind = 'tool', message = 'no' }, 0) end)\r\n日:invoke(1)\r\n")
  end)

  it("in no step is told with the line that asked for it", function()
    says([[
io: cannot read 'none.txt': No such file or directory
  at FILE:2
    2 | mp.TextLoader("none.txt"):load()
  try: is the path right, and may this user read and write there?
]], 'mp.TextLoader("none.txt"):load()\n')
  end)

  it("in a map is marked at its key's value", function()
    says([[
input: no
  in step 1 of 2 RunnableParallel<a,b> > map key 'b', composed at FILE:3
    3 | local c = { a = mp.const(1), b = f } | mp.const(2)
      |                                  ^
  input: 1
]], "local f = function() error(mp.Error { kind = 'input', message = 'no' }, 0) end\n"
      .. "local c = { a = mp.const(1), b = f } | mp.const(2)\nc:invoke(1)\n")
  end)

  it("that plain Lua joined is marked where its name stands once", function()
    says([[
decode: the answer is not JSON: expected a value but found 'x' at line 1 column 1 (offset 0)
  in step 2 of 2 JsonOutputParser, composed at FILE:2
    2 | local c = mp.pipe(mp.const "x", mp.JsonOutputParser())
      |                                    ^^^^^^^^^^^^^^^^
  input: "x" (string, 1 byte)
  try: ]] .. HINT .. "\n", 'local c = mp.pipe(mp.const "x", mp.JsonOutputParser())\nc:invoke(1)\n')
  end)

  it("is told without keys, of the line and of what went in", function()
    local text = told(HEAD .. ([[
local c = mp.const(%q) | mp.RunnableLambda(function() error(mp.Error { kind = "io", message = "no" }, 0) end)
c:invoke(1)
]]):format(KEY))
    assert.is_nil(text:find("0123456789", 1, true), text)
    assert.truthy(text:find('    2 | local c = mp.const("sk-…") | mp.', 1, true), text)
    assert.truthy(text:find('input: "sk-…" (string, 29 bytes)', 1, true), text)
    assert.truthy(text:find("      |" .. (" "):rep(30) .. "^^^^", 1, true), text)
  end)

  it("shows of a very long line what is around it", function()
    local text = told(HEAD .. "local c = mp.const(\"" .. ("x"):rep(10000)
      .. "\") | mp.JsonOutputParser() | mp.const(\"" .. ("y"):rep(10000) .. "\") c:invoke(1)\n")
    local line, mark = text:match("\n(    2 | [^\n]*)\n(      | [^\n]*)\n")
    assert.equal("    2 | …" .. ("x"):rep(35) .. "\") | mp.JsonOutputParser() | mp.const(\""
      .. ("y"):rep(26) .. "…", line)
    assert.equal("      | " .. (" "):rep(41) .. ("^"):rep(21), mark)
  end)
end)

describe("a mistake", function()
  it("in an operand is marked", function()
    says([[
FILE:2: cannot pipe 'x' (nil) into a chain
    2 | local x; local c = mp.const "x" | x
      |                                   ^
]], "local x; local c = mp.const \"x\" | x\n")
  end)

  it("in an option's name is marked, with the nearest one", function()
    says("FILE:2: unknown option 'sleeep' of FakeListChatModel; allowed: error_on_chunk_number, " .. [[
responses, sleep; did you mean 'sleep'?
    2 | mp.FakeListChatModel { sleeep = 1 }
      |                        ^^^^^^
]], "mp.FakeListChatModel { sleeep = 1 }\n")
  end)

  it("in an error of one's own does not hide it", function()
    assert.equal("moonpipe: a table whose __tostring fails\n",
      told(HEAD .. 'error(mp.Error { kind = "io", message = "x", where = {} })\n'))
  end)

  it("of raising a table is told with what is in it", function()
    assert.equal("moonpipe: a table was raised: { code = 7 }\n", told("error { code = 7 }\n"))
  end)

  it("in a name that stands twice in the line is not guessed at", function()
    assert.equal("moonpipe: FILE:1: attempt to call global 'f' (a nil value)\n"
      .. "    1 | f = nil; f()\n  try: is the name written right, and is there a value in every case?\n",
      told("f = nil; f()\n"))
  end)

  it("of syntax is marked at its column, whatever ends the lines", function()
    for _, stop in ipairs { "\n", "\r\n", "\r", "\n\r" } do
      assert.equal("moonpipe: FILE:2: unexpected symbol near '='\n    2 | local é    = = 1\n"
        .. "      |              ^\n", told("local x = 1" .. stop .. "local é\t= = 1" .. stop))
    end
  end)

  it("of syntax at the end of the text is marked behind it", function()
    assert.equal("moonpipe: FILE:1: ')' expected near '<eof>'\n    1 | local x = (1 | 2\n"
      .. "      |                 ^\n", told("local x = (1 | 2"))
  end)

  it("of syntax that only LuaJIT sees is marked where the word stands once", function()
    assert.equal("moonpipe: FILE:1: malformed number near '3x'\n    1 | local x = 3x\n"
      .. "      |           ^^\n", told("local x = 3x\n"))
  end)
end)

describe("the line of a source", function()
  it("is that which runs, though the file is another by now", function()
    assert.truthy(told([[
local file = io.open(arg[0], "w")
file:write(("-- other\n"):rep(9))
file:close()
error "mine"
]]):find("\n    4 | error \"mine\"\n", 1, true))
  end)

  it("is left out where it cannot be read any more", function()
    local text = told(([[
local path = %q
local file = io.open(path, "w")
file:write "return function() error 'gone' end"
file:close()
local f = dofile(path)
os.remove(path)
f()
]]):format(helper.temp()))
    assert.matches("^moonpipe: [^\n]*:1: gone\n  stack traceback:\n", text)
  end)

  it("is that of a module that does not load", function()
    local folder = helper.temp()
    os.remove(folder)
    os.execute("mkdir " .. folder)
    helper.write(folder .. "/wrong.lua", "\nlocal y = = 2\n")
    local text = told(("package.path = %q\nrequire 'wrong'\n"):format(folder .. "/?.lua"))
    os.execute("rm -r " .. folder)
    assert.truthy(text:find("\n    2 | local y = = 2\n      |           ^\n", 1, true), text)
    assert.is_nil(text:find("stack traceback", 1, true), text)
  end)

  it("is of no file that was not run", function()
    local path = helper.temp "a secret\n"
    assert.equal("moonpipe: " .. path .. ":1: boo\n", told(("error(%q, 0)"):format(path .. ":1: boo")))
  end)

  it("is found where LuaJIT cuts the name", function()
    local folder = helper.temp()
    os.remove(folder)
    local path = folder .. "/" .. ("x"):rep(80) .. ".lua"
    os.execute("mkdir " .. folder)
    helper.write(path, "\nerror 'far'\n")
    local _, stderr = helper.moonpipe({ path }, nil, ENV)
    os.execute("rm -r " .. folder)
    assert.truthy(stderr:find("\n    2 | error 'far'\n", 1, true), stderr)
  end)

  it("is known of a script that is locked in", function()
    local line = "local c = mp.RunnablePassthrough() | function(x) return x.a.b end"
    local path = helper.temp(HEAD .. line .. "\nc:invoke {}\n")
    local _, stderr = helper.moonpipe({ "run", "--sandbox", path }, nil, ENV)
    assert.truthy(stderr:find("\n    2 | " .. line .. "\n      | " .. (" "):rep(line:find(".b end", 1, true) - 2)
      .. "^\n", 1, true), stderr)
  end)

  it("is known of standard input and of -e", function()
    local _, stderr = helper.moonpipe({ "-" }, "\nerror 'x'", ENV)
    assert.equal("moonpipe: stdin:2: x\n    2 | error 'x'\n      |        ^\n", stderr)
    _, stderr = helper.moonpipe({ "-e", "local a = 1 error 'y'" }, nil, ENV)
    assert.equal("moonpipe: (command line):1: y\n    1 | local a = 1 error 'y'\n"
      .. "      |                    ^\n", stderr)
  end)
end)

describe("-v", function()
  it("adds the frames of moonpipe behind those of the user, and the causes", function()
    local text = HEAD .. [[
local innermost = mp.Error { kind = "dns", message = "innermost" }
local inner = mp.Error { kind = "io", message = "inner", cause = innermost }
local chain = mp.RunnableLambda(function() error(mp.Error { kind = "tool", message = "outer", cause = inner,
  request_id = "req-7" }, 0) end) | mp.StrOutputParser()
chain:invoke {}
]]
    assert.is_nil(told(text):find("cause: ", 1, true))
    assert.truthy(told(text, "-v"):find(
      "\n  request_id: req-7\n  cause: io: inner\n  cause: dns: innermost\n", 1, true))
    local lambda = HEAD
      .. "local c = mp.RunnableLambda(function(x) return x.y end)\nc:invoke(nil)\n"
    assert.is_nil(told(lambda):find("within moonpipe", 1, true))
    assert.matches("\n  stack traceback:\n    FILE:2: .*\n    FILE:3: [^\n]*\n  within moonpipe:\n"
      .. ".*moonpipe:", told(lambda, "-v"))
  end)
end)

describe("colours", function()
  local text = "local x = = 1\n"

  it("are for terminals", function()
    assert.is_nil(told(text):find("\27", 1, true))
  end)

  it("mark the message and the place", function()
    local path = helper.temp(text)
    local _, out = helper.execute({ helper.bin, path }, nil, { NO_COLOR = false, TERM = "xterm" })
    assert.is_nil(out:find("\27", 1, true))
    local command = ("NO_COLOR= TERM=xterm script -qec '%s %s' /dev/null"):format(helper.bin, path)
    local shown = helper.execute({ "sh", "-c", command })
    assert.truthy(shown:find("\27[1;31m" .. path .. ":1: unexpected symbol", 1, true), shown)
    assert.truthy(shown:find("\27[1;31m          ^\27[0m", 1, true), shown)
  end)
end)
