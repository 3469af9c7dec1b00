--- What mp.mcp.connect is given.
local errors = require "moonpipe.error"
local origin = require "moonpipe.http.endpoint_origin"
local secret = require "moonpipe.secret"

local options = {}

---@class moonpipe.McpOptions
---@field command string[]?   a program and its arguments; its standard streams are spoken to
---@field env table<string, string|boolean>?  what it gets besides HOME, PATH, …; true: our value
---@field cwd string?
---@field url string?         of a server behind HTTP
---@field headers table<string, string|moonpipe.Secret>?
---@field allow_http boolean? headers may go over a network without TLS
---@field ca_file string?
---@field proxy string?
---@field timeout number|false|nil  seconds of one request; 60
---@field confirm boolean|(fun(call: moonpipe.ToolCall, ctx: table): boolean, string?)|nil
---  asked before a tool that may write is called; default true: the host is asked; false: nobody is
---@field name string?        for messages and logs

local OPTIONS = {
  "allow_http", "ca_file", "command", "confirm", "cwd", "env", "headers", "name", "proxy",
  "timeout", "url",
}

local TYPES = {
  allow_http = "boolean", ca_file = "string", command = "table", cwd = "string", env = "table",
  headers = "table", name = "string", proxy = "string", url = "string",
}

local function check_types(opts)
  for key, expected in pairs(TYPES) do
    if opts[key] ~= nil and type(opts[key]) ~= expected then
      errors.usage(("%s of mcp.connect must be a %s, got %s"):format(key, expected,
        errors.shape(opts[key])))
    end
  end
  local timeout, confirm = opts.timeout, opts.confirm
  local is_time = type(timeout) == "number" and timeout > 0 -- no NaN
  if timeout ~= nil and timeout ~= false and not is_time then
    errors.usage("timeout of mcp.connect takes seconds, or false for none, got "
      .. errors.shape(timeout))
  end
  if confirm ~= nil and type(confirm) ~= "boolean" and type(confirm) ~= "function" then
    errors.usage("confirm of mcp.connect takes a function, true or false, got "
      .. errors.shape(confirm))
  end
end

local function check_words(command)
  if type(command[1]) ~= "string" then
    errors.usage("command of mcp.connect takes a program and its arguments: { \"npx\", … }")
  end
  for _, word in ipairs(command) do
    if type(word) ~= "string" or word:find("%z") then
      errors.usage("command of mcp.connect takes texts, got " .. errors.shape(word))
    end
  end
end

local function check_env(env)
  for name, value in pairs(env or {}) do
    local is_value = type(value) == "boolean" or type(value) == "string" and not value:find("%z")
    if type(name) ~= "string" or name:find("[=%z]") or not is_value then
      errors.usage(("env of mcp.connect takes { NAME = \"text\" }, or true for the value that we"
        .. " have, got %s = %s"):format(errors.text(name), errors.shape(value)))
    end
  end
end

-- Header lines; a value may be a key, which goes to its server alone.
---@param headers table?
---@return table[]  { name, value }
function options.headers(headers)
  local lines = {}
  for name, value in pairs(headers or {}) do
    local is_value = secret.is(value) or type(value) == "string" and not value:find("%c")
    if type(name) ~= "string" or not name:find("^[%w!#$%%&'*+.^_`~-]+$") or not is_value then
      errors.usage(("headers of mcp.connect takes { Name = text or key }, got %s = %s"):format(
        errors.text(name), errors.shape(value)))
    end
    lines[#lines + 1] = { name, value }
  end
  table.sort(lines, function(a, b) return a[1] < b[1] end)
  return lines
end

-- A key goes over the network only where nobody reads along.
local function check_url(opts)
  local where = origin.parse(opts.url, "url of mcp.connect")
  local given = next(opts.headers or {}) ~= nil
  if given and where.scheme == "http" and not (where.is_loopback or opts.allow_http) then
    errors.raise("config", "headers of mcp.connect would go over http to " .. where.name
      .. ", where everybody can read them; use https, or say allow_http = true")
  end
end

---Checks what connect is given; raises a usage error, or kind `config` for a URL that will not do.
---@param opts moonpipe.McpOptions
---@return moonpipe.McpOptions
function options.check(opts)
  opts = errors.options(opts, OPTIONS, "mcp.connect")
  if (opts.command == nil) == (opts.url == nil) then
    errors.usage("mcp.connect takes a command or a url")
  end
  check_types(opts)
  if opts.command then check_words(opts.command) end
  check_env(opts.env)
  options.headers(opts.headers)
  if opts.url then check_url(opts) end
  return opts
end

return options
