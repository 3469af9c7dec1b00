--- The test server (spec/support/server.c) for specs.
---
---     local server = require("spec.support.server").use() -- in a describe
---
---     it("waits as long as it is told", function()
---       local base_url = server:lane("slow", { "status=503", { delay = 20, answer = "late" } })
---       ... calls of base_url; the first gets a 503, the second is late ...
---       assert.equal(2, server:stats().lanes.slow.requests)
---     end)
---
--- A script is a line as spec/support/server/script.h describes it, or a table
--- of its keys: `{ delay = 20, header = { "a: 1", "b: 2" }, no_done = true }`.
local busted = require "busted"
local cjson = require "cjson"
local process = require "spec.support.process"

local server = {}

---@class spec.Server
---@field url string          http://127.0.0.1:PORT
---@field base_url string     url .. "/v1"
---@field port integer
---@field deaf_url string     takes no connection: connecting times out
---@field closed_url string   refuses connections
local Server = {}
Server.__index = Server

-- --- scripts -----------------------------------------------------------------

local function percent(text)
  return (text:gsub("[%%;%c ]", function(c) return ("%%%02x"):format(c:byte()) end))
end

local function setting(key, value)
  if value == true then return key end
  return key .. "=" .. percent(tostring(value))
end

local function encode(script)
  if type(script) == "string" then return script end
  local out = {}
  for key, value in pairs(script) do
    for _, one in ipairs(type(value) == "table" and value or { value }) do
      if one then out[#out + 1] = { key = key, at = #out, text = setting(key, one) } end
    end
  end
  table.sort(out, function(a, b)
    if a.key ~= b.key then return a.key < b.key end
    return a.at < b.at
  end)
  for i, entry in ipairs(out) do out[i] = entry.text end
  return table.concat(out, "; ")
end

local function lines_of(scripts)
  if type(scripts) == "string" then return "default " .. scripts end
  local out = {}
  for i, script in ipairs(scripts) do out[i] = encode(script) end
  if #out == 0 and scripts.default == nil then return "default " .. encode(scripts) end
  if scripts.default then out[#out + 1] = "default " .. encode(scripts.default) end
  return table.concat(out, "\n")
end

-- --- control -----------------------------------------------------------------

local function control(self, method, path, body)
  if not self.process then error("the server is not running", 3) end
  local command = ("curl -sS -m 20 -w '\\n%%{http_code}' -X %s %s %s 2>&1"):format(method,
    body and "--data-binary " .. process.quote(body) or "",
    process.quote(self.control_url .. path))
  local pipe = assert(io.popen(command))
  local text, status = pipe:read("*a"):match("^(.*)\n(%d+)$")
  pipe:close()
  if status ~= "200" then error(("%s %s: %s"):format(method, path, text or status), 3) end
  return cjson.decode(text)
end

local function escape_path(name)
  return (name:gsub("[^%w._-]", function(c) return ("%%%02X"):format(c:byte()) end))
end

--- Scripts a lane: a list has one for each next request, with `default` for
--- those behind; a single one is for all. Returns the base URL whose requests
--- run in this lane. Without scripts it only gives the URL.
---@param name string
---@param scripts? string|table
function Server:lane(name, scripts)
  if scripts then control(self, "POST", "/script/" .. escape_path(name), lines_of(scripts)) end
  return ("%s/lane/%s/v1"):format(self.url, escape_path(name))
end

--- Scripts the requests of all lanes that have no scripts left.
function Server:script(scripts)
  control(self, "POST", "/script", lines_of(scripts))
end

--- The base URL whose requests all follow one script.
function Server:with(script)
  return ("%s/with/%s/v1"):format(self.url, escape_path(encode(script)))
end

--- What was counted; see spec/support/server/record.h.
function Server:stats()
  return control(self, "GET", "/stats")
end

--- The last requests: list of { method, path, query, headers, body, lane, id, status,
--- outcome, start_us, first_us, end_us, ... }.
function Server:requests()
  return control(self, "GET", "/requests")
end

--- Lets go on what `hold` or `stall` stopped, in one lane or in all.
---@param lane? string
function Server:release(lane)
  control(self, "POST", "/release" .. (lane and "/" .. escape_path(lane) or ""))
end

--- Forgets scripts, counters and the log.
function Server:reset()
  control(self, "POST", "/reset")
end

--- Asks for the stats until `check(stats)` holds, and returns them.
---@param check fun(stats: table): boolean
---@param seconds? number  5
function Server:wait(check, seconds)
  local deadline = os.time() + (seconds or 5) + 1
  repeat
    local stats = self:stats()
    if check(stats) then return stats end
    os.execute("sleep 0.005")
  until os.time() > deadline
  error("the server never saw it: " .. cjson.encode(self:stats()), 2)
end

-- --- the process --------------------------------------------------------------

local function start(self, opts)
  local words = { process.helper("server") }
  if opts.ipv6 then words[#words + 1] = "--ipv6" end
  for option, value in pairs({ script = opts.script and encode(opts.script), keep = opts.keep }) do
    words[#words + 1] = "--" .. option
    words[#words + 1] = value
  end
  self.process = process.start(words)
  local port, control_port, deaf, closed = unpack(self.process.ports)
  self.port = port
  self.url = "http://127.0.0.1:" .. port
  self.base_url = self.url .. "/v1"
  self.control_url = "http://127.0.0.1:" .. control_port
  self.deaf_url = "http://127.0.0.1:" .. deaf
  self.closed_url = "http://127.0.0.1:" .. closed
  return self
end

--- Ends the server. Twice is fine.
function Server:stop()
  if self.process then self.process:stop() end
  self.process = nil
end

--- Starts a server, which the caller stops.
---@param opts? { ipv6: boolean, script: string|table, keep: integer }
---@return spec.Server
function server.start(opts)
  return start(setmetatable({}, Server), opts or {})
end

--- Inside a describe: a server that runs for its tests, reset before each.
---@param opts? table  as for start
---@return spec.Server
function server.use(opts)
  local self = setmetatable({}, Server)
  busted.setup(function() start(self, opts or {}) end)
  busted.before_each(function() self:reset() end)
  busted.teardown(function() self:stop() end)
  return self
end

return server
