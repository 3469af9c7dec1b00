--- moonpipe chat: through a pipe, and in a terminal, against the test server.
local cjson = require "cjson"
local helper = require "spec.helper"
local server = require("spec.support.server").use()
local terminal = require "spec.support.terminal"

local home

before_each(function()
  home = helper.fresh()
  os.execute("mkdir " .. home)
end)
after_each(function() os.execute("rm -r " .. home) end)

local function user(base_url)
  return { MOONPIPE_MODEL = "openai:gpt-5.4-mini", OPENAI_API_KEY = "sk-test",
    OPENAI_BASE_URL = base_url or server.base_url, XDG_DATA_HOME = home, XDG_STATE_HOME = home,
    XDG_CONFIG_HOME = home }
end

local function chat(lines, words, base_url)
  return helper.moonpipe({ "chat", "-q", unpack(words or {}) }, lines, user(base_url))
end

local function says(expected, lines, words, base_url)
  local stdout, stderr, code = chat(lines, words, base_url)
  assert.same({ expected, "", 0 }, { stdout, stderr, code })
end

local function refused(code, said, lines, words, base_url)
  local stdout, stderr, got = chat(lines, words, base_url)
  assert.equal(code, got, stderr)
  assert.truthy(stderr:find(said, 1, true), stderr)
  return stdout
end

-- What the last request told of the conversation.
local function sent()
  local list, out = server:requests(), {}
  for i, one in ipairs(cjson.decode(list[#list].body).messages) do
    out[i] = one.role .. ": " .. one.content
  end
  return out
end

describe("moonpipe chat through a pipe", function()
  it("takes each line as a turn, and knows what was said", function()
    says("one\ntwo\n", "one\n\ntwo", { "--system", "Be brief." })
    assert.same({ "system: Be brief.", "user: one", "assistant: one", "user: two" }, sent())
  end)

  it("goes on in the next line after a backslash", function()
    says("one\ntwo\n", "one\\\ntwo\n")
    assert.same({ "user: one\ntwo" }, sent())
    says("|x\n", "|x\n")
  end)

  it("answers a line before the next one comes", function()
    local stdout, stderr, code = helper.execute({ "bash", "-c", ([[
      coproc %s chat -q
      echo one >&${COPROC[1]}; read -t 20 -r answer <&${COPROC[0]}
      echo "$answer two" >&${COPROC[1]}; read -t 20 -r answer <&${COPROC[0]}
      echo "$answer"; eval "exec ${COPROC[1]}>&-"; wait $COPROC_PID]]):format(helper.bin) }, nil,
      user())
    assert.same({ "one two\n", "", 0 }, { stdout, stderr, code })
  end)

  it("ends at the first failure, with its code", function()
    local base_url = server:lane("fails", { "", "status=401", "" })
    assert.equal("one\n", refused(4, "auth", "one\ntwo\nthree\n", nil, base_url))
    assert.equal(2, server:stats().lanes.fails.requests)
    refused(5, "truncated", "one\ntwo\n", nil, server:with "finish=length")
    refused(1, "no command :nosuch", ":nosuch\none\n")
    refused(124, "timeout_total", "one\n", { "--timeout=0.2" }, server:with "never")
  end)

  it("ends with 130 where an answer is interrupted #signal", function()
    local base_url = server:lane("waits", { "hold" })
    local command = ([[exec 3> >(exec %s chat -q); pid=$!; echo one >&3
      while ! curl -s %s/stats | grep -q '"waits":{[^}]*"requests":1'; do sleep 0.05; done
      kill -INT $pid; wait $pid]]):format(helper.bin, server.control_url)
    local stdout, stderr, code = helper.execute({ "bash", "-mc", command }, nil, user(base_url))
    assert.same({ "", 130 }, { stdout, code }, stderr)
  end)

  it("shows nothing that a terminal would obey", function()
    says("ab\n", "a\27]0;title\7b\n")
  end)

  it("needs what it can understand", function()
    refused(2, "chat takes no words", "", { "hello" })
    refused(2, "--save and --continue do not go together", "", { "--save=a", "--continue=b" })
    local env = user()
    env.OPENAI_BASE_URL, env.OPENAI_API_KEY = false, false
    local _, stderr, code = helper.moonpipe({ "chat" }, "x\n", env)
    assert.equal(3, code)
    assert.truthy(stderr:find("OPENAI_API_KEY", 1, true), stderr)
  end)
end)

describe("a command of moonpipe chat", function()
  it("changes the model and what it is told to be", function()
    says("gpt-5.4-mini\nnothing\nhi\n", ":model\n:system\n:model openai:gpt-x\n:system Be kind.\nhi\n")
    local list = server:requests()
    assert.equal("gpt-x", cjson.decode(list[#list].body).model)
    assert.same({ "system: Be kind.", "user: hi" }, sent())
  end)

  it("forgets, and asks again", function()
    local base_url = server:lane("again", { "answer=a", "answer=b", "answer=c", "answer=d" })
    says("a\nb\nc\nd\n", "one\n:retry\ntwo\n:clear\nthree\n", nil, base_url)
    assert.same({ "user: three" }, sent())
    local list = server:requests()
    assert.equal(1, #cjson.decode(list[2].body).messages)
    assert.equal("b", cjson.decode(list[3].body).messages[2].content)
  end)

  it("leaves, counts, and tells what there is", function()
    says("hi\n1 calls, 3 tokens in, 2 out, $0.0000\n", "hi\n:tokens\n:quit\nnever\n", nil,
      server:with "usage=3,2")
    local stdout = chat ":help\n"
    for _, name in ipairs { "clear", "help", "model", "quit", "retry", "save", "system" } do
      assert.truthy(stdout:find("\n?  :" .. name .. " "), name)
    end
    refused(1, "nothing was asked yet", ":retry\n")
  end)
end)

describe("a conversation that is kept", function()
  it("goes on in the next program, and nobody else may read it", function()
    says("one\n", "one\n", { "--save", "trip", "--system=Be brief." })
    says("two\n", "two\n", { "-c", "trip" })
    assert.same({ "system: Be brief.", "user: one", "assistant: one", "user: two" }, sent())
    local path = home .. "/moonpipe/chats.db"
    assert.equal("600 700\n", (helper.execute { "sh", "-c",
      ("echo $(stat -c %%a %s %s/moonpipe)"):format(path, home) }))
    local stdout = chat("", { "--list" })
    assert.truthy(stdout:find("^%d+%-%d+%-%d+ [%d:]+     5  trip\n$"), stdout)
  end)

  it("is kept from its beginning once somebody says so", function()
    local base_url = server:lane("save", { "answer=a", "answer=b", "answer=c" })
    says("a\nb\n", "one\n:save late\ntwo\n", nil, base_url)
    says("c\n", ":retry\n", { "-c", "late" }, base_url)
    assert.same({ "user: one", "assistant: a", "user: two" }, sent())
    says("", ":clear\n", { "-c", "late" })
    refused(1, "no conversation 'late'", "", { "-c", "late" })
  end)

  it("has a name of its own", function()
    says("one\n", "one\n", { "--save", "trip" })
    refused(1, "there is a conversation 'trip' already: --continue trip", "", { "--save", "trip" })
    refused(1, "there is no conversation 'trp'; did you mean 'trip'?", "", { "-c", "trp" })
  end)

  it("is not there where nobody asked for it", function()
    says("one\n", "one\n")
    says("", "", { "--list" })
    assert.equal("", (helper.execute { "sh", "-c", "find " .. home .. " -type f" }))
  end)
end)

describe("moonpipe chat over an index", function()
  it("has the texts that are found for each question, and keeps the questions", function()
    local docs = home .. "/bees.txt"
    helper.write(docs, "A bee makes honey in the summer.\n")
    local env = user()
    env.MOONPIPE_EMBEDDINGS = "hash"
    helper.moonpipe({ "index", "-q", docs, "-o", home .. "/docs.mp" }, nil, env)
    local stdout, stderr, code = chat("What does a bee make?\nWhen?\n", { "--index",
      home .. "/docs.mp", "-s", "--save", "bees" }, server:with "answer=Honey.")
    assert.same({ "Honey.\nHoney.\n", 0 }, { stdout, code }, stderr)
    assert.equal(("[1] %s\n"):format(docs):rep(2), (stderr:gsub(":1\n", "\n")))
    local list = sent()
    assert.same({ "user: What does a bee make?", "assistant: Honey." }, { list[2], list[3] })
    assert.truthy(list[4]:find("makes honey", 1, true), list[4])
  end)
end)

describe("moonpipe chat in a terminal", function()
  local shown

  local function start(words, base_url)
    local env = user(base_url)
    env.TERM = "xterm"
    shown = terminal.start({ helper.bin, "chat", "-q", unpack(words or {}) }, env)
    finally(function() shown:stop() end)
    shown:wait "\n>$"
  end

  it("keeps what was said of an answer that Ctrl-C ends, and goes on #signal", function()
    local base_url = server:lane("stop", { { token = { "begun", " never" }, gap = 60000 }, "" })
    start({ "--save", "trip" }, base_url)
    shown:line "one"
    shown:wait "begun"
    shown:press "C-c"
    shown:wait "interrupted"
    shown:line "two"
    shown:wait "\ntwo\n"
    assert.same({ "user: one", "assistant: begun", "user: two" }, sent())
    shown:press "C-d"
    shown:wait "exit 0"
    says("", "", { "-c", "trip" })
    assert.truthy(chat("", { "--list" }):find("  4  trip", 1, true))
  end)

  it("goes on after a failure, and asks again", function()
    start(nil, server:lane("fails", { "status=401", "answer=well" }))
    shown:line "one"
    shown:wait "401"
    shown:line ":retry"
    shown:wait "well"
    assert.same({ "user: one" }, sent())
    shown:line ":quit"
    shown:wait "exit 0"
  end)

  it("completes commands and providers", function()
    start()
    shown:type ":mo"
    shown:press "Tab"
    shown:type "anthr"
    shown:press "Tab"
    shown:wait ":model anthropic$"
    shown:press "C-c"
    shown:type "plain"
    shown:press "Tab"
    shown:press "Enter"
    shown:wait "\nplain\n"
  end)

  it("takes a paste as one question, recalls it, and writes no line down", function()
    start()
    shown:paste("first\n  | second\nthird", true)
    shown:press "Enter"
    shown:wait "third\n.*third"
    assert.same({ "user: first\n  | second\nthird" }, sent())
    shown:press "Up"
    shown:press "Enter"
    shown:wait "third\n.*third\n.*third\n.*third"
    shown:press "C-d"
    shown:wait "exit 0"
    assert.equal("", (helper.execute { "sh", "-c", "cat " .. home .. "/moonpipe/history 2>/dev/null" }))
  end)
end)
