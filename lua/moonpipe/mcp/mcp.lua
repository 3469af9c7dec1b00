--- Servers of the Model Context Protocol: `mp.mcp.connect{ command = { … } }` or `{ url = … }`.
--
-- Revisions 2025-06-18, 2025-03-26 and 2024-11-05. A client has no capabilities: servers may ask it
-- for nothing but a ping.
local content = require "moonpipe.mcp.content"
local context = require "moonpipe.context"
local errors = require "moonpipe.error"
local lambda = require "moonpipe.steps.lambda"
local log = require "moonpipe.log"
local native = require "moonpipe.native"
local options = require "moonpipe.mcp.options"
local rpcs = require "moonpipe.mcp.rpc"
local schema = require "moonpipe.schema.schema"
local scheduler = require "moonpipe.scheduler"
local task = require "moonpipe.task"
local tools = require "moonpipe.agents.tools"

---@class moonpipe.McpClient
---@field name string          of the server, for messages and logs
---@field version string       of the protocol
---@field server table         what the server says of itself: name, version, …
---@field instructions string? how the server wants to be used
---@field capabilities table
---@field timeout number|false seconds of one request
---@field confirm any          of the tools that may write
local Client = {}
local mt = { __name = "moonpipe.McpClient", __index = Client }

local mcp = {}

local NEWEST = "2025-06-18"
local KNOWN = { [NEWEST] = true, ["2025-03-26"] = true, ["2024-11-05"] = true }
local TIMEOUT = 60 -- seconds
local PAGES_MAX = 1000

-- ---- asking ------------------------------------------------------------------

local function too_slow(self, method)
  return function()
    return errors.new {
      kind = "timeout_total", message = ("%s: %s: no answer within %g s"):format(self.name, method,
        self.timeout), retryable = true,
    }
  end
end

-- In a task of its own, which can be ended alone.
local function ask(self, wanted)
  return self.rpc:request(wanted.method, wanted.params)
end

local function request(self, method, params)
  local wanted = { method = method, params = params }
  if not self.timeout then return task.attempt(context.current(), ask, self, wanted) end
  return task.within(self.timeout, too_slow(self, method), context.current(), ask, self, wanted)
end

local function table_of(value)
  return type(value) == "table" and value or {}
end

local function shake_hands(self)
  local said = request(self, "initialize", {
    protocolVersion = NEWEST,
    capabilities = {},
    clientInfo = { name = "moonpipe", version = native.c.version },
  })
  if type(said) ~= "table" or not KNOWN[said.protocolVersion] then
    errors.raise("protocol", ("%s speaks revision %s of the protocol, and we none of those"):format(
      self.name, errors.text(type(said) == "table" and said.protocolVersion or nil)))
  end
  self.version, self.server = said.protocolVersion, table_of(said.serverInfo)
  self.capabilities = table_of(said.capabilities)
  self.instructions = type(said.instructions) == "string" and said.instructions or nil
  self.transport:agreed(said.protocolVersion)
  -- some servers refuse what comes before
  self.transport:say { jsonrpc = "2.0", method = "notifications/initialized" }
end

-- A server behind HTTP may forget its sessions: then another one is begun, once.
local function requested(self, method, params)
  local ok, result = pcall(request, self, method, params)
  if ok then return result end
  if not errors.is(result) or result.status ~= 404 or not self.transport.session then
    error(result, 0)
  end
  self.transport:forget()
  shake_hands(self)
  return request(self, method, params)
end

local function call(self, method, params)
  if self.closed then errors.raise("closed", self.name .. " was closed") end
  local result = scheduler.call(requested, self, method, params)
  if type(result) == "table" then return result end
  errors.raise("protocol", ("%s: %s: the result is no object"):format(self.name, method))
end

-- All pages of a list.
local function pages(self, method, key)
  local out, cursor, seen = {}, nil, {}
  for _ = 1, PAGES_MAX do
    local page = call(self, method, cursor and { cursor = cursor } or nil)
    for _, item in ipairs(table_of(page[key])) do out[#out + 1] = item end
    cursor = type(page.nextCursor) == "string" and page.nextCursor or nil
    if not cursor then return out end
    if seen[cursor] then break end
    seen[cursor] = true
  end
  errors.raise("protocol", ("%s: %s: the pages do not end"):format(self.name, method))
end

-- A list, kept until the server says that it has changed. What a server does not offer it has none
-- of.
local function list(self, what, method, key)
  if not self.capabilities[what] then return {} end
  if not self.lists[method] then
    local changes = self.changes
    local found = pages(self, method, key)
    if changes ~= self.changes then return found end
    self.lists[method] = found
  end
  return self.lists[method]
end

local CHANGED = {
  ["notifications/tools/list_changed"] = true,
  ["notifications/resources/list_changed"] = true,
  ["notifications/prompts/list_changed"] = true,
}

local function on_notification(self)
  return function(method)
    if not CHANGED[method] then return end
    self.lists, self.changes = {}, self.changes + 1
  end
end

-- ---- tools -------------------------------------------------------------------

---Calls a tool: gives what it says, a text or a list of content blocks, and what it says in
---structure. A tool that fails is an error of kind `tool`.
---@async
---@param name string
---@param args table?
---@return string|table[] content
---@return table? structured
function Client:call(name, args)
  if next(args or {}) == nil then args = {} end -- an object, also where it was read as a list
  local result = call(self, "tools/call", { name = name, arguments = args })
  if result.isError == true then errors.raise("tool", content.text(result.content)) end
  local structured = result.structuredContent
  return content.of(result.content), type(structured) == "table" and structured or nil
end

-- A name by which every provider lets a tool be called; what it is there already is counted.
local function fit_name(name, taken)
  local fit = errors.text(name):gsub("[^%w_-]", "_"):sub(1, 64)
  local out, n = fit, 1
  while taken[out] or out == "" do
    n = n + 1
    out = fit:sub(1, 60) .. "_" .. n
  end
  taken[out] = true
  return out
end

local function schema_of(self, found)
  local given = found.inputSchema
  if type(given) == "table" and given.type == "object" and pcall(schema.unchecked, given) then
    return given
  end
  log.warn(("%s: the schema of tool '%s' is none: its arguments are not checked"):format(self.name,
    errors.text(found.name)))
  return { type = "object", additionalProperties = true }
end

-- Servers may write null for what they leave out.
local function first_text(a, b)
  return type(a) == "string" and a or type(b) == "string" and b or ""
end

-- What is not said to be reading only may write.
local function confirm_of(self, found)
  local hints = table_of(found.annotations)
  if self.confirm == false or hints.readOnlyHint == true then return nil end
  if type(self.confirm) ~= "function" then return true end
  return function(args, ctx) return self.confirm({ name = found.name, args = args }, ctx) end
end

---The server's tools, for bind_tools and create_agent. Those that are not said to be reading only
---ask before each call, as `confirm` of connect says.
---@async
---@return moonpipe.RunnableTool[]
function Client:tools()
  local out, taken = {}, {}
  for i, found in ipairs(list(self, "tools", "tools/list", "tools")) do
    out[i] = tools.make({
      bound = lambda.RunnableLambda(function(args) return self:call(found.name, args) end),
      inline = true,
      name = fit_name(found.name, taken),
      description = first_text(found.description, found.title),
      args_schema = schema_of(self, found),
      confirm = confirm_of(self, found),
    }, "an MCP tool")
  end
  return out
end

-- ---- resources and prompts ---------------------------------------------------

---What can be read, as the server lists it: { uri, name, description, mimeType, … }.
---@async
---@return table[]
function Client:resources()
  return { unpack(list(self, "resources", "resources/list", "resources")) }
end

---Reads a resource: a list of { uri, mimeType, text } or, in base64, { uri, mimeType, blob }.
---@async
---@param uri string
---@return table[]
function Client:read(uri)
  return table_of(call(self, "resources/read", { uri = uri }).contents)
end

---The prompts that the server has: { name, description, arguments }.
---@async
---@return table[]
function Client:prompts()
  return { unpack(list(self, "prompts", "prompts/list", "prompts")) }
end

---A prompt as messages.
---@async
---@param name string
---@param args table<string, string>?
---@return moonpipe.Message[]
function Client:prompt(name, args)
  return content.messages(call(self, "prompts/get", { name = name, arguments = args }).messages)
end

---Asks whether the server is there; raises where it is not.
---@async
function Client:ping()
  call(self, "ping")
end

---Ends the connection: a program is asked to end, then made to. Idempotent.
---@async
function Client:close()
  if self.closed then return end
  self.closed = true
  self.rpc:fail(errors.new { kind = "closed", message = self.name .. " was closed" })
  scheduler.call(self.transport.close, self.transport)
end

function mt.__tostring(self)
  return ("%s (%s)"):format(self.name, self.closed and "closed" or "open")
end

-- ---- connecting --------------------------------------------------------------

local function transport_of(self, opts)
  if opts.command then return require("moonpipe.mcp.stdio").open(self.rpc, opts) end
  return require("moonpipe.mcp.http").open(self.rpc, {
    url = opts.url, headers = options.headers(opts.headers), ca_file = opts.ca_file,
    proxy = opts.proxy,
  })
end

local function open(opts)
  local name = opts.name or opts.command and opts.command[1]:match("[^/]*$") or opts.url
  local self = setmetatable({
    name = "mcp " .. name, timeout = opts.timeout == nil and TIMEOUT or opts.timeout,
    confirm = opts.confirm, lists = {}, changes = 0, capabilities = {},
  }, mt)
  self.rpc = rpcs.new { name = self.name, on_notification = on_notification(self) }
  self.transport = transport_of(self, opts)
  self.rpc.transport = self.transport
  local ok, err = pcall(shake_hands, self)
  if ok then return self end
  self:close()
  error(err, 0)
end

---Connects to a server and agrees on the protocol.
---@async
---@param opts moonpipe.McpOptions
---@return moonpipe.McpClient
function mcp.connect(opts)
  opts = options.check(opts)
  return errors.placed(scheduler.call, open, opts)
end

return mcp
