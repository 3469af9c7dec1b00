--- JSON-RPC 2.0 as the Model Context Protocol has it: who asked what, and what was answered.
--
-- A transport has `exchange(message, entry)`, which sends and waits until `entry.answered`, and
-- `post(message)`, which sends and does not wait, and `say(message)`, after which nothing that is
-- sent can be heard earlier; it gives what comes to `rpc:receive(text)`.
local errors = require "moonpipe.error"
local json = require "moonpipe.json"
local scheduler = require "moonpipe.scheduler"
local tree = require "moonpipe.tree"

---@class moonpipe.McpEntry  a request that waits for its answer
---@field task moonpipe.Task
---@field answered boolean?
---@field result any
---@field error table?            as the server said it
---@field failure moonpipe.Error? of the transport

---@class moonpipe.McpRpc
---@field transport table
---@field name string           of the server, for messages
---@field pending table<integer, moonpipe.McpEntry>
---@field on_notification fun(method: string, params: table?)
local Rpc = {}
Rpc.__index = Rpc

local rpc = {}

local NULL = json.null

---@param fields table  taken
---@return moonpipe.McpRpc
function rpc.new(fields)
  fields.pending, fields.last = {}, 0
  return setmetatable(fields, Rpc)
end

-- ---- what comes --------------------------------------------------------------

local NOT_FOUND, BAD_PARAMS, NO_RESOURCE = -32601, -32602, -32002

-- We offer nothing but that we are there.
function Rpc:serve(message)
  local answer = { jsonrpc = "2.0", id = message.id }
  if message.method == "ping" then
    answer.result = {}
  else
    answer.error = { code = NOT_FOUND, message = "this client has no " .. message.method }
  end
  self.transport:post(answer)
end

function Rpc:settle(entry, result, err)
  entry.answered, entry.result, entry.error = true, result, err
  scheduler.unpark(entry.task)
end

function Rpc:take(message)
  if type(message) ~= "table" then return false end
  local id = message.id ~= NULL and message.id or nil
  if type(message.method) == "string" then
    if id ~= nil then
      self:serve(message)
    else
      self.on_notification(message.method, message.params)
    end
    return true
  end
  local entry = id ~= nil and self.pending[id]
  if entry and (message.result ~= nil or type(message.error) == "table") then
    self:settle(entry, message.result, type(message.error) == "table" and message.error or nil)
  end
  return message.result ~= nil or message.error ~= nil
end

---Takes a text that came: a message, or, as servers of 2025-03 may send, a list of them. False
---where it is none.
---@param text string
---@return boolean
function Rpc:receive(text)
  local ok, value = pcall(json.decode, text)
  if not ok or type(value) ~= "table" then return false end
  if not json.is_array(value) then return self:take(value) end
  local all = true
  for _, message in ipairs(value) do all = self:take(message) and all end
  return all
end

---Ends all that waits with [err], wherever it waits.
---@param err moonpipe.Error
function Rpc:fail(err)
  local entries = {}
  for _, entry in pairs(self.pending) do
    if not entry.answered then entries[#entries + 1] = entry end
  end
  for _, entry in ipairs(entries) do
    entry.answered, entry.failure = true, err
    tree.cancel(entry.task, err)
  end
end

-- ---- what is asked -----------------------------------------------------------

local KINDS = { [NOT_FOUND] = "unsupported", [BAD_PARAMS] = "input", [NO_RESOURCE] = "input" }

function Rpc:raise(method, said)
  local code = tonumber(said.code)
  errors.raise(KINDS[code] or "tool", ("%s: %s: %s"):format(self.name, method,
    errors.text(said.message or "failed")), { code = code })
end

---Asks, and waits for the answer, in a task of its own. A request that is given up is cancelled at
---the server.
---@async
---@param method string
---@param params table?
---@return any result
function Rpc:request(method, params)
  self.last = self.last + 1
  local id, entry = self.last, { task = scheduler.current() }
  self.pending[id] = entry
  local ok, err = pcall(self.transport.exchange, self.transport,
    { jsonrpc = "2.0", id = id, method = method, params = params }, entry)
  self.pending[id] = nil
  if not ok and not entry.answered then
    if method ~= "initialize" and errors.is(err) and scheduler.cancelled(entry.task) then
      self:notify("notifications/cancelled", { requestId = id, reason = err.message })
    end
    error(err, 0)
  end
  if entry.failure then error(tree.own(entry.failure), 0) end
  if entry.error then self:raise(method, entry.error) end
  return entry.result
end

---Says, and does not wait.
---@param method string
---@param params table?
function Rpc:notify(method, params)
  self.transport:post { jsonrpc = "2.0", method = method, params = params }
end

return rpc
