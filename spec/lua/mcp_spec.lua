local helper = require "spec.helper"
local log = require "moonpipe.log"
local mp = require "moonpipe"
local server = require("spec.support.server").use()

local clients, lines = {}, {}

local function connect(mode, opts)
  opts = opts or {}
  opts.command = opts.command or { "luajit", "spec/support/mcp_server.lua", mode }
  opts.name = "spec"
  local client = mp.mcp.connect(opts)
  clients[#clients + 1] = client
  return client
end

local function told(text)
  for _, line in ipairs(lines) do
    if line:find(text, 1, true) then return true end
  end
  return false
end

before_each(function()
  lines = {}
  log.sink = function(_, text)
    lines[#lines + 1] = text
    return true
  end
end)

after_each(function()
  for i, client in ipairs(clients) do
    client:close()
    clients[i] = nil
  end
  log.sink = nil
end)

describe("mcp: a program", function()
  it("is spoken to once both have agreed", function()
    local client = connect()
    assert.same({ "2025-06-18", "spec", "be kind", "mcp spec (open)" },
      { client.version, client.server.name, client.instructions, tostring(client) })
    client:ping()
    assert.equal("2025-03-26", connect("old").version)
  end)

  it("has tools, of all pages, that are steps", function()
    local tools, names = connect(nil, { confirm = false }):tools(), {}
    for i, tool in ipairs(tools) do names[i] = tool.name end
    assert.same({ "echo", "a_b", "a_b_2", "open", "fail" }, names)
    assert.same({ "Does echo.", "T" }, { tools[1].description, tools[4].description })
    assert.equal('{"x":"y"}', tools[1]:invoke { x = "y" })
    assert.matches("$.x: expected string", helper.input_failure(tools[1].invoke, tools[1], { x = 1 }), 1, true)
    assert.is_true(told "the schema of tool 'open' is none")
  end)

  it("is asked by an agent", function()
    local tools = connect():tools()
    local call = { name = "echo", args = { x = "a" }, id = "1", type = "tool_call" }
    local model = mp.GenericFakeChatModel { messages = { mp.AIMessage { tool_calls = { call } }, "done" } }
    local state = mp.create_agent({ model = model, tools = tools }):invoke "go"
    assert.same({ '{"x":"a"}', "done" }, { state.messages[3].content, state.output.content })
  end)

  it("answers calls side by side #concurrency", function()
    local client = connect()
    local all = mp.RunnableLambda(function(x) return client:call("echo", { x = x }) end):map():invoke { "a", "b", "c" }
    assert.same({ '{"x":"a"}', '{"x":"b"}', '{"x":"c"}' }, { all[1], all[2], all[3] })
  end)

  it("gives content as messages have it", function()
    local client = connect()
    local blocks, structured = client:call "blocks"
    assert.same({ n = 1 }, structured)
    assert.same({
      { type = "text", text = "one" }, { type = "image", base64 = "aGk=", mime_type = "image/png" },
      { type = "audio", base64 = "aGk=", mime_type = "audio/wav" }, { type = "text", text = "b <a://b>" },
      { type = "text", text = "inside" }, { type = "text", text = "<a://d: image/png>" },
      { type = "text", text = "<hologram>" },
    }, blocks)
    assert.equal("{}", (client:call("echo", mp.array {})))
  end)

  it("has resources and prompts", function()
    local client = connect()
    assert.equal("a://b", client:resources()[1].uri)
    assert.equal("hello", client:read("a://b")[1].text)
    assert.equal("greet", client:prompts()[1].name)
    local messages = client:prompt("greet", { name = "Ann" })
    assert.same({ "human", "hi Ann", "ai", "image" },
      { messages[1].type, messages[1].content, messages[2].type, messages[2].content[1].type })
    assert.equal("input", helper.failure(client.read, client, "a://z").kind)
  end)

  it("that offers nothing has nothing", function()
    local client = connect "bare"
    assert.same({ 0, 0, 0 }, { #client:tools(), #client:resources(), #client:prompts() })
  end)

  it("may ask for a ping, and for nothing else", function()
    assert.equal("p1 {} -32601", (connect():call "ask"))
  end)

  it("says when its tools have changed", function()
    local client = connect()
    assert.equal("fail", client:tools()[5].name)
    client:call "change"
    assert.equal("new", client:tools()[5].name)
  end)

  it("may answer in a list", function()
    assert.equal("both", (connect("old"):call "batch"))
  end)

  it("may say on its output what is no message, which is told", function()
    assert.equal("quiet", (connect():call "noise"))
    assert.is_true(told "mcp spec: its output is no message: listening on a port")
  end)

  it("gets no variables but those that it is given", function()
    local client = connect(nil, { env = { SPEC_WORD = "said", USER = true } })
    local function env(name) return (client:call("env", { x = name })) end
    assert.same({ "said", tostring(os.getenv "PATH"), tostring(os.getenv "USER"), "nil" },
      { env "SPEC_WORD", env "PATH", env "USER", env "MOONPIPE_BIN" })
  end)

  it("runs where it is told, and what it says beside is told", function()
    local command = { "sh", "-c", "echo in $(pwd) >&2; read x" }
    helper.failure(connect, nil, { cwd = "/usr", command = command })
    assert.is_true(told "mcp spec: in /usr")
  end)
end)

describe("mcp: leave", function()
  local NOBODY = { configurable = { confirm_tool = function() return false, "no" end } }

  local function call(tools, name)
    for _, tool in ipairs(tools) do
      if tool.name == name then return select(2, tool:try_invoke({}, NOBODY)) end
    end
  end

  it("is asked for tools that may write", function()
    local tools = connect():tools()
    assert.is_nil(call(tools, "echo"))
    assert.equal("tool fail: the call was not allowed: no", call(tools, "fail").message)
  end)

  it("is asked of a function where one is given", function()
    local asked
    local tools = connect(nil, { confirm = function(one) asked = one.name end }):tools()
    assert.matches("not allowed", call(tools, "a_b").message)
    assert.equal("a.b", asked)
  end)

  it("is not asked for where nobody wants it", function()
    assert.equal("no such city", call(connect(nil, { confirm = false }):tools(), "fail").message)
  end)
end)

describe("mcp: what fails", function()
  local function failure(client, name)
    return helper.failure(client.call, client, name)
  end

  it("in a tool is an error of it", function()
    local err = failure(connect(), "fail")
    assert.same({ "tool", "no such city" }, { err.kind, err.message })
  end)

  it("is an error with the server's words", function()
    local err = failure(connect(), "refuse")
    assert.same({ "input", "mcp spec: tools/call: bad x", -32602 }, { err.kind, err.message, err.code })
  end)

  it("because a result is none is the protocol's", function()
    assert.same({ "protocol", "mcp spec: tools/call: the result is no object" },
      { failure(connect(), "odd").kind, failure(connect(), "odd").message })
  end)

  it("because the program died says so, with its last words #concurrency", function()
    local client = connect()
    local waits = mp.RunnableLambda(function() return client:call "never" end):start()
    local err = failure(client, "die")
    assert.same({ "closed", "mcp spec: the program ended (exit code 3): I die" }, { err.kind, err.message })
    assert.equal("closed", select(2, waits:wait(5)).kind)
    assert.equal("closed", failure(client, "echo").kind)
  end)

  it("because a line has no end, does not fill the memory", function()
    local err = failure(connect(), "huge")
    assert.equal("too_large", err.kind)
  end)

  it("because nothing is answered in time is told to the server", function()
    local client = connect()
    client.timeout = 0.3
    local err = failure(client, "never")
    assert.same({ "timeout_total", "mcp spec: tools/call: no answer within 0.3 s" }, { err.kind, err.message })
    client.timeout = 60
    assert.equal("mcp spec: tools/call: no answer within 0.3 s", (client:call "cancelled"))
  end)

  it("by a cancel is told to the server", function()
    local client = connect(nil, { timeout = false })
    local task = mp.RunnableLambda(function() return client:call "never" end):start()
    client:ping() -- the call was sent before
    task:cancel "enough"
    assert.equal("cancelled", select(2, task:wait(5)).kind)
    assert.matches("enough", (client:call "cancelled"))
  end)

  it("at the handshake leaves no program behind", function()
    assert.equal("protocol", helper.failure(connect, "strange").kind)
    local err = helper.failure(connect, "mute", { timeout = 0.2 })
    assert.same({ "timeout_total", "mcp spec: initialize: no answer within 0.2 s" }, { err.kind, err.message })
    err = helper.failure(connect, nil, { command = { "false" } })
    assert.same({ "closed", "mcp spec: the program ended (exit code 1)" }, { err.kind, err.message })
  end)

  it("because there is no such program names it", function()
    local err = helper.failure(connect, nil, { command = { "no-such-program" } })
    assert.equal("io", err.kind)
    assert.matches("cannot start 'no-such-program': No such file", err.message, 1, true)
  end)

  it("because pages have no end is the protocol's", function()
    local client = connect "endless"
    assert.matches("the pages do not end", helper.failure(client.tools, client).message)
  end)

  it("after close is closed", function()
    local client = connect()
    local waits = mp.RunnableLambda(function() return client:call "never" end):start()
    client:ping()
    client:close()
    client:close()
    assert.same({ "closed", "mcp spec was closed" }, { failure(client, "echo").kind, failure(client, "echo").message })
    assert.equal("closed", select(2, waits:wait(5)).kind)
    assert.equal("mcp spec (closed)", tostring(client))
  end)

  it("to end is made to #concurrency", function()
    local client = connect "deaf"
    client:close()
    assert.equal(0, require("moonpipe.native").c.live())
  end)
end)

describe("mcp: a program that stays", function()
  -- Answers the handshake, and ends neither with its input nor at SIGTERM.
  local SCRIPT = [==[
    local mp = require "moonpipe"
    local answer = '{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-06-18"}}'
    mp.mcp.connect { command = { "sh", "-c", "trap '' TERM; echo $$ >" .. (...) .. "; read x; echo '" .. answer
      .. "'; while :; do sleep 0.05; done" } }
    if select(2, ...) == "exit" then os.exit(4) end
  ]==]

  for _, way in ipairs { "exit", "return" } do
    it("does not outlive ours, by " .. way, function()
      local path = helper.temp()
      local _, err, code = helper.moonpipe({ "run", helper.temp(SCRIPT), path, way }, nil,
        { ASAN_OPTIONS = "detect_leaks=0" }) -- os.exit frees nothing
      assert.same({ way == "exit" and 4 or 0, "" }, { code, err })
      local alive = "kill -0 " .. helper.read(path):match "%d+" .. " 2>/dev/null"
      for _ = 1, 500 do
        if os.execute(alive) ~= 0 then break end
        mp.sleep(0.01)
      end
      assert.not_equal(0, os.execute(alive))
    end)
  end
end)

describe("mcp: a server behind HTTP", function()
  local function failure(script)
    return helper.failure(mp.mcp.connect, { url = server:with(script), timeout = 5, name = "spec" })
  end

  it("that answers otherwise is an error that says how", function()
    local err = failure { status = 401, body = "who are you?" }
    assert.same({ "auth", 401, "mcp spec answered 401: who are you?" }, { err.kind, err.status, err.message })
    assert.same({ "http", "rate_limit" }, { failure({ status = 500 }).kind, failure({ status = 429 }).kind })
    assert.equal("http", failure({ redirect = "http://127.0.0.1:1/" }).kind)
    assert.equal("protocol", failure({ html = true }).kind)
    assert.equal("protocol", failure({ body = "{}" }).kind)
    assert.equal("protocol", failure({ status = 202, empty = true }).kind)
    assert.equal("truncated", failure({ content_type = "text/event-stream", body = ": nothing\n\n" }).kind)
  end)

  it("that is not there is an error of the network", function()
    assert.equal("connect", helper.failure(mp.mcp.connect, { url = server.closed_url }).kind)
  end)

  it("gets no header over a line that all can read", function()
    local err = helper.failure(mp.mcp.connect, { url = "http://example.com/mcp", headers = { Authorization = "x" } })
    assert.equal("config", err.kind)
    assert.matches("everybody can read them; use https", err.message)
    local far = server.closed_url:gsub("127.0.0.1", "0.0.0.0") -- by its name no loopback
    err = helper.failure(mp.mcp.connect, { url = far, allow_http = true, headers = { A = "x" } })
    assert.equal("connect", err.kind)
  end)
end)

describe("mcp.connect: what is written wrong", function()
  it("is said where it is written", function()
    local function said(opts) return helper.said(mp.mcp.connect, opts) end
    assert.equal("mcp.connect takes a command or a url", said {})
    assert.equal("mcp.connect takes a command or a url", said { command = { "a" }, url = "b" })
    assert.equal("command of mcp.connect must be a table, got a string", said { command = "npx a" })
    assert.matches("^command of mcp.connect takes a program and its arguments", said { command = {} })
    assert.equal("command of mcp.connect takes texts, got the number 1", said { command = { "a", 1 } })
    assert.equal("timeout of mcp.connect takes seconds, or false for none, got the number 0",
      said { command = { "a" }, timeout = 0 })
    assert.equal("confirm of mcp.connect takes a function, true or false, got the number 1",
      said { command = { "a" }, confirm = 1 })
    assert.matches("^env of mcp.connect takes .*, got A = the number 1$", said { command = { "a" }, env = { A = 1 } })
    assert.matches("^headers of mcp.connect takes .*, got A = a string$", said { url = "http://localhost/",
      headers = { A = "b\nc" } })
    assert.matches("^unknown option 'comand' of mcp.connect; .*did you mean 'command'%?", said { comand = { "a" } })
  end)
end)
