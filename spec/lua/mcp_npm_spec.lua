-- The official servers of the Model Context Protocol, fetched by npm.
local child = require "moonpipe.child"
local helper = require "spec.helper"
local log = require "moonpipe.log"
local mp = require "moonpipe"

local FOLDER = "build/mcp"
local PACKAGES = {
  "@modelcontextprotocol/server-everything@2026.8.31", "@modelcontextprotocol/server-filesystem@2026.8.31",
}
local SERVERS = FOLDER .. "/node_modules/@modelcontextprotocol/"

local problem -- why they are not there
local running, clients = {}, {}

local function fetch()
  if io.open(SERVERS .. "server-filesystem/package.json") then return end
  helper.execute { "mkdir", "-p", FOLDER }
  local _, err, code = helper.execute { "npm", "install", "--prefix", FOLDER, "--no-audit", "--no-fund",
    unpack(PACKAGES) }
  if code ~= 0 then problem = "npm: " .. err:sub(-200) end
end

local function it_has(name, fn)
  it(name, function()
    if problem then return pending(problem) end
    fn()
  end)
end

local function connect(opts)
  opts.name = "spec"
  local client = mp.mcp.connect(opts)
  clients[#clients + 1] = client
  return client
end

-- Starts a program and waits for a line that `wanted` finds; gives what it found.
local function start(command, env, wanted)
  local found
  local function look(_, line) found = found or line:match(wanted) end
  local one = child.start(command, { env = env }, { on_line = look, on_error_line = look, on_end = function() end })
  running[#running + 1] = one
  while not found and not one.ended do mp.sleep(0.01) end
  return assert(found, one.ended and tostring(one.ended))
end

local function by_name(tools)
  local out = {}
  for _, tool in ipairs(tools) do out[tool.name] = tool end
  return out
end

setup(fetch)

before_each(function() log.sink = function() return true end end)

after_each(function()
  for i, client in ipairs(clients) do
    client:close()
    clients[i] = nil
  end
  helper.run(function()
    for i, one in ipairs(running) do
      one:close()
      running[i] = nil
    end
  end)
  log.sink = nil
end)

-- What every transport gives.
local function check_everything(client)
  local tools = by_name(client:tools())
  assert.equal("Echo: hi", tools.echo:invoke { message = "hi" })
  assert.matches("5", tools["get-sum"]:invoke { a = 2, b = 3 }, 1, true)
  local call = { name = "get-tiny-image", args = {}, id = "1", type = "tool_call" }
  local image = tools["get-tiny-image"]:invoke(call)
  local kinds = {}
  for i, block in ipairs(image.content) do kinds[i] = block.type end
  assert.same({ "text", "image", "text" }, kinds)
  local answer = tools["get-structured-content"]:invoke { name = "get-structured-content", id = "2", type = "tool_call",
    args = { location = "New York" } }
  assert.is_table(answer.artifact)
  assert.matches("MCP error %-32602", helper.failure(client.call, client, "no-such-tool").message)
  assert.matches("missing", helper.input_failure(tools.echo.invoke, tools.echo, {}))
  assert.equal("human", client:prompt("simple-prompt")[1].type)
  assert.is_true(#client:resources() > 0)
  assert.is_string(client:read(client:resources()[1].uri)[1].text)
  client:ping()
end

describe("mcp: server-everything", function()
  local script = SERVERS .. "server-everything/dist/index.js"

  it_has("by standard streams", function()
    check_everything(connect { command = { "node", script, "stdio" }, confirm = false })
  end)

  it_has("by HTTP", function()
    local port = helper.execute { "node", "-e",
      "const s=require('net').createServer().listen(0,'127.0.0.1',()=>{console.log(s.address().port);s.close()})" }
    start({ "node", script, "streamableHttp" }, { PORT = port:match "%d+" }, "listening on port")
    check_everything(connect { url = ("http://127.0.0.1:%s/mcp"):format(port:match "%d+"), confirm = false })
  end)
end)

describe("mcp: server-filesystem", function()
  it_has("writes what is confirmed, reads, and refuses what is outside", function()
    local folder = helper.temp()
    os.remove(folder)
    helper.execute { "mkdir", folder }
    local asked = {}
    local client = connect {
      command = { "node", SERVERS .. "server-filesystem/dist/index.js", folder },
      confirm = function(call)
        asked[#asked + 1] = call.name
        return call.name ~= "edit_file"
      end,
    }
    local tools, path = by_name(client:tools()), folder .. "/a.txt"
    tools.write_file:invoke { path = path, content = "hello" }
    assert.equal("hello", helper.read(path))
    assert.equal("hello", tools.read_text_file:invoke { path = path })
    local _, err = tools.edit_file:try_invoke { path = path, edits = {} }
    assert.matches("not allowed", err.message)
    _, err = tools.read_text_file:try_invoke { path = "/etc/passwd" }
    assert.same({ "tool", true }, { err.kind, err.message:find("outside allowed directories", 1, true) ~= nil })
    assert.same({ "write_file", "edit_file" }, asked)
    client:close()
    os.remove(path)
    os.remove(folder)
  end)
end)

describe("mcp: a server of the SDK, by HTTP", function()
  local function open(mode, opts)
    local script = FOLDER .. "/" .. helper.temp():match "[^/]+$" .. ".mjs" -- where its modules are found
    helper.write(script, helper.read "spec/support/mcp_sdk.mjs")
    opts = opts or {}
    opts.url = ("http://127.0.0.1:%s/mcp"):format(start({ "node", script, mode }, {}, "^%d+$"))
    os.remove(script)
    return connect(opts)
  end

  for _, mode in ipairs { "events", "json" } do
    it_has("answers calls in " .. mode, function()
      local client = open(mode)
      local all = mp.RunnableLambda(function(x) return client:call("echo", { x = x }) end):map():invoke { "a", "b",
        "c" }
      assert.same({ "a", "b", "c" }, { all[1], all[2], all[3] })
    end)
  end

  it_has("says unasked that its tools have changed", function()
    local client = open "events"
    assert.is_nil(by_name(client:tools()).grown)
    client:call "grow"
    for _ = 1, 500 do
      if by_name(client:tools()).grown then break end
      mp.sleep(0.01)
    end
    assert.equal("new", by_name(client:tools()).grown:invoke {})
  end)

  it_has("that forgets a session is begun with anew", function()
    local client = open "events"
    assert.equal("1 0 0 ", (client:call "count"))
    client:call "forget"
    local said
    for _ = 1, 500 do
      said = client:call "count"
      if said == "2 0 0 " then break end
      mp.sleep(0.01)
    end
    assert.equal("2 0 0 ", said)
  end)

  it_has("is told of what is given up, and of the end", function()
    local client = open "events"
    client.timeout = 0.3
    assert.equal("timeout_total", helper.failure(client.call, client, "wait").kind)
    client.timeout = 60
    local url, said = client.transport.url, nil
    for _ = 1, 500 do
      said = client:call "count"
      if said == "1 1 0 " then break end
      mp.sleep(0.01)
    end
    assert.equal("1 1 0 ", said)
    client:close()
    assert.equal("2 1 1 ", (connect({ url = url }):call "count"))
  end)

  it_has("gets the headers, keys too", function()
    local client = open("events", { headers = { ["X-Key"] = mp.secret "sk-canary" } })
    assert.equal("1 0 0 sk-canary", (client:call "count"))
    assert.is_nil(mp.inspect(client.transport.headers):find("sk-canary", 1, true))
  end)

  it_has("leaves nobody waiting when it is closed", function()
    local client = open("events", { timeout = false })
    local waits = mp.RunnableLambda(function() return client:call "wait" end):start()
    client:ping()
    client:close()
    assert.equal("closed", select(2, waits:wait(5)).kind)
    assert.equal("closed", helper.failure(client.ping, client).kind)
  end)

  it_has("says what it does not offer", function()
    local client = open "events"
    assert.same({}, client:prompts())
    assert.equal("unsupported", helper.failure(client.prompt, client, "greet").kind)
  end)

  it_has("that goes away is an error", function()
    local client = open "events"
    helper.run(function() running[1]:close() end)
    assert.equal("connect", helper.failure(client.call, client, "count").kind)
  end)
end)
