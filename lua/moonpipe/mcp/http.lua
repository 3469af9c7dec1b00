--- An MCP server behind HTTP ("streamable HTTP"): each message is a POST, whose answer is JSON or a
--- stream of events; what the server says unasked comes by a GET that stays open.
--
-- Limit: a stream that is cut is an error; it is not resumed by its last event id.
local errors = require "moonpipe.error"
local http = require "moonpipe.http.http"
local jobs = require "moonpipe.jobs"
local json = require "moonpipe.json"
local native = require "moonpipe.native"
local provider = require "moonpipe.http.provider"

local c = native.c

---@class moonpipe.McpHttp
---@field rpc moonpipe.McpRpc
---@field url string
---@field headers table[]     { name, value or secret }
---@field session string?     what the server calls this client
---@field version string?     of the protocol, once agreed
---@field listening integer?  the job of the open GET
local Http = {}
Http.__index = Http

local mcp_http = {}

local CONNECT, GREETING, GOODBYE, FINISH = 5, 30, 5, 1 -- seconds

---@param rpc moonpipe.McpRpc
---@param opts { url: string, headers: table[], ca_file: string?, proxy: string? }
---@return moonpipe.McpHttp
function mcp_http.open(rpc, opts)
  return setmetatable({
    rpc = rpc, url = opts.url, headers = opts.headers, plans = {}, ca_file = opts.ca_file,
    proxy = opts.proxy,
  }, Http)
end

local function headers_of(self, method)
  local list = {}
  for _, header in ipairs(self.headers) do list[#list + 1] = header end
  list[#list + 1] = { "Accept", method == "GET" and "text/event-stream"
    or "application/json, text/event-stream" }
  if method == "POST" then list[#list + 1] = { "Content-Type", "application/json" } end
  if self.version then list[#list + 1] = { "MCP-Protocol-Version", self.version } end
  if self.session then list[#list + 1] = { "Mcp-Session-Id", self.session } end
  return list
end

local function plan_of(self, method)
  local plan = self.plans[method]
  if not plan then
    plan = http.plan {
      url = self.url, method = method, headers = headers_of(self, method), connect = CONNECT,
      ca_file = self.ca_file, proxy = self.proxy, untaped = true,
    }
    self.plans[method] = plan
  end
  return plan
end

-- ---- answers -----------------------------------------------------------------

-- What a status that is no success says.
local function refuse(self, response)
  local status, body = response.status, response.body or ""
  local kind = (status == 401 or status == 403) and "auth" or status == 429 and "rate_limit"
    or "http"
  local said = body ~= "" and ": " .. provider.excerpt(body) or ""
  errors.raise(kind, ("%s answered %d%s"):format(self.rpc.name, status, said), { status = status })
end

local function learn_session(self, message, response)
  if message.method ~= "initialize" then return end
  local session = response.header("mcp-session-id")
  if session == nil then return end
  self.session, self.plans = session, {}
end

local function read_body(self, entry, body)
  if not self.rpc:receive(body) or not entry.answered then
    errors.raise("protocol", ("%s: no answer to the request in: %s"):format(self.rpc.name,
      provider.excerpt(body)))
  end
end

local function read_events(self, entry, reader)
  while not entry.answered do
    local data = reader:read()
    if data == nil then
      errors.raise("truncated", self.rpc.name .. ": the stream ended before the answer came")
    end
    self.rpc:receive(data)
  end
  reader:finish(FINISH)
end

---@async
function Http:exchange(message, entry)
  if self.closed then errors.raise("closed", self.rpc.name .. " was closed") end
  self:listen()
  local reader = http.open(plan_of(self, "POST"), json.encode(message))
  if reader.status < 200 or reader.status >= 300 then refuse(self, reader) end
  if reader.status == 202 then
    errors.raise("protocol", self.rpc.name .. " took the request, and gives no answer")
  end
  learn_session(self, message, reader)
  if reader.body then return read_body(self, entry, reader.body) end
  local ok, err = pcall(read_events, self, entry, reader)
  if ok then return end
  reader:close()
  error(err, 0)
end

---Says, and waits until the server has heard it.
---@async
function Http:say(message)
  local total_at = c.now() + GREETING
  local response = http.send(plan_of(self, "POST"), json.encode(message), total_at)
  if response.status < 200 or response.status >= 300 then refuse(self, response) end
end

-- Whether a POST that nobody waits for arrives is not known.
local function send(self, method, body)
  local ok, plan = pcall(plan_of, self, method)
  if ok then c.http(plan, body, nil, c.now() + GOODBYE) end
end

function Http:post(message)
  if not self.closed then send(self, "POST", json.encode(message)) end
end

-- ---- what the server says unasked ----------------------------------------------

local Listener = {}
Listener.__index = Listener

function Listener:on_event(kind, _, _, head)
  head = head or self.inbox:head()
  self.status = self.status or head and tonumber(head:sub(1, 3))
  while true do
    local data = self.inbox:read()
    if not data then break end
    if self.status == 200 then self.owner.rpc:receive(data) end
  end
  if kind == jobs.CHUNK or self.owner.listener ~= self then return end
  self.owner.listening = nil
  if self.status ~= 200 then self.owner.deaf = true end -- it offers no such stream
end

---Opens the GET where it is not open: servers that have none say so once.
function Http:listen()
  if self.listening or self.deaf or not self.version then return end
  local id, inbox = c.http(plan_of(self, "GET"), nil, "sse")
  if not id then return end
  self.listener = setmetatable({ owner = self, inbox = inbox }, Listener)
  self.listening = id
  jobs.listen(id, self.listener)
end

---The handshake is over: from now on each message names the version.
---@param version string
function Http:agreed(version)
  self.version, self.plans = version, {}
end

---The server has forgotten this client.
function Http:forget()
  self:hang_up()
  self.session, self.version, self.deaf, self.plans = nil, nil, nil, {}
end

function Http:hang_up()
  if self.listening then jobs.cancel(self.listening) end
  self.listening, self.listener = nil, nil
end

---@async
function Http:close()
  if self.closed then return end
  self.closed = true
  self:hang_up()
  if not self.session then return end
  -- servers need not let a session be ended, or may be gone
  pcall(http.send, plan_of(self, "DELETE"), nil, c.now() + GOODBYE)
end

return mcp_http
