-- An MCP server by standard streams, for specs: it does what servers do, and what they should not.
--
--   luajit spec/support/mcp_server.lua [MODE]
--
-- MODE: `old` (an older revision), `strange` (one that nobody knows), `endless` (pages without
-- end), `mute` (answers nothing), `deaf` (ends only when it is killed), `bare` (offers nothing).
local json = require "cjson"

local mode = arg[1]
local changed, cancelled = false, {}

local function say(message)
  message.jsonrpc = "2.0"
  io.write(json.encode(message), "\n")
  io.flush()
end

local function answer(message, result)
  say { id = message.id, result = result }
end

local function text(message, value, more)
  local result = { content = { { type = "text", text = value } } }
  for key, field in pairs(more or {}) do result[key] = field end
  answer(message, result)
end

local function tool(name, more)
  local out = { name = name, description = "Does " .. name .. ".", inputSchema = {
    type = "object", properties = { x = { type = "string" } },
  } }
  for key, value in pairs(more or {}) do out[key] = value end
  return out
end

local function read()
  local line = io.read "*l"
  return line and json.decode(line)
end

-- What the client answers to [method].
local function ask(id, method)
  say { id = id, method = method }
  return read()
end

local CALLS = {}

function CALLS.echo(message, args) text(message, json.encode(args)) end

function CALLS.ask(message)
  local pong, refused = ask("p1", "ping"), ask("p2", "sampling/createMessage")
  text(message, ("%s %s %s"):format(pong.id, json.encode(pong.result), refused.error.code))
end

function CALLS.never() end

function CALLS.cancelled(message) text(message, table.concat(cancelled, ",")) end

function CALLS.die()
  io.stderr:write("I \27[31mdie\n")
  os.exit(3)
end

function CALLS.noise(message)
  io.write("listening on a port\n\n{}\n")
  say { id = 999, result = {} } -- nobody asked
  text(message, "quiet")
end

function CALLS.huge(message)
  io.write(('{"x":"%s'):format(("x"):rep(9 * 1024 * 1024)))
  io.flush()
  text(message, "")
end

function CALLS.change(message)
  changed = true
  say { method = "notifications/tools/list_changed" }
  text(message, "changed")
end

function CALLS.fail(message) text(message, "no such city", { isError = true }) end

function CALLS.env(message, args) text(message, tostring(os.getenv(args.x))) end

function CALLS.batch(message)
  io.write(json.encode({
    { jsonrpc = "2.0", method = "notifications/message", params = { level = "info" } },
    { jsonrpc = "2.0", id = message.id, result = { content = { { type = "text", text = "both" } } } },
  }), "\n")
  io.flush()
end

function CALLS.refuse(message) say { id = message.id, error = { code = -32602, message = "bad x" } } end

function CALLS.odd(message) answer(message, "text") end

function CALLS.blocks(message)
  answer(message, { structuredContent = { n = 1 }, content = {
    { type = "text", text = "one" }, { type = "image", data = "aGk=", mimeType = "image/png" },
    { type = "audio", data = "aGk=", mimeType = "audio/wav" },
    { type = "resource_link", uri = "a://b", name = "b" },
    { type = "resource", resource = { uri = "a://c", text = "inside" } },
    { type = "resource", resource = { uri = "a://d", mimeType = "image/png", blob = "aGk=" } }, { type = "hologram" },
  } })
end

local METHODS = {}

function METHODS.initialize(message)
  local versions = { old = "2025-03-26", strange = "1999-01-01" }
  answer(message, {
    protocolVersion = versions[mode] or message.params.protocolVersion,
    capabilities = mode ~= "bare" and { tools = {}, prompts = {}, resources = {} } or {},
    serverInfo = { name = "spec", version = "1" }, instructions = "be kind",
  })
end

METHODS["tools/list"] = function(message)
  local cursor = message.params and message.params.cursor
  if mode == "endless" then return answer(message, { tools = {}, nextCursor = "2" }) end
  if not cursor then
    answer(message, { tools = { tool("echo", { annotations = { readOnlyHint = true } }) }, nextCursor = "2" })
  else
    answer(message, { tools = {
      tool "a.b", tool "a_b", tool("open", { inputSchema = { type = "strin" }, description = json.null, title = "T" }),
      changed and tool "new" or tool "fail",
    } })
  end
end

METHODS["tools/call"] = function(message)
  CALLS[message.params.name](message, message.params.arguments)
end

METHODS["prompts/list"] = function(message)
  answer(message, { prompts = { { name = "greet" } } })
end

METHODS["prompts/get"] = function(message)
  answer(message, { messages = {
    { role = "user", content = { type = "text", text = "hi " .. message.params.arguments.name } },
    { role = "assistant", content = { type = "image", data = "aGk=", mimeType = "image/png" } },
  } })
end

METHODS["resources/list"] = function(message)
  answer(message, { resources = { { uri = "a://b", name = "b" } } })
end

METHODS["resources/read"] = function(message)
  if message.params.uri ~= "a://b" then
    return say { id = message.id, error = { code = -32002, message = "Resource not found" } }
  end
  answer(message, { contents = { { uri = "a://b", mimeType = "text/plain", text = "hello" } } })
end

METHODS["notifications/cancelled"] = function(message)
  cancelled[#cancelled + 1] = message.params.reason
end

METHODS["notifications/initialized"] = function() end

function METHODS.ping(message) answer(message, {}) end

if mode == "mute" then io.read "*a" end
for line in io.lines() do
  local message = json.decode(line)
  METHODS[message.method](message)
end
while mode == "deaf" do os.execute "sleep 0.05" end
