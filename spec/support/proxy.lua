--- What stands between a client and the test server: the fault proxy
--- (spec/support/proxy.c), and TLS with HTTP/2 (spec/support/tls).
local process = require "spec.support.process"

local proxy = {}

local OPTIONS = { to = true, connect = true, auth = true }

local function options_of(opts)
  local words = {}
  if opts.connect then words[#words + 1] = "--connect" end
  if opts.auth then
    words[#words + 1] = "--auth"
    words[#words + 1] = opts.auth
  end
  for name, value in pairs(opts.toxics or {}) do
    words[#words + 1] = ("%s=%d"):format(name, value)
  end
  for name in pairs(opts) do
    if name ~= "toxics" and not OPTIONS[name] then error("unknown option: " .. name, 3) end
  end
  return words
end

local function append(list, more)
  for _, word in ipairs(more) do list[#list + 1] = word end
  return list
end

--- Starts a proxy to a port.
---@param opts { to: integer, connect: boolean?, auth: string?, toxics: table<string, integer>? }
---@return table  with url, port and stop()
function proxy.start(opts)
  local self = process.start(append({ process.helper("proxy"), "--to", opts.to },
    options_of(opts)))
  self.port = self.ports[1]
  self.url = "http://127.0.0.1:" .. self.port
  return self
end

local function make_folder()
  local pipe = assert(io.popen("mktemp -d"))
  local folder = pipe:read("*l")
  pipe:close()
  return folder
end

--- Starts TLS in front of a port: HTTP/2 unless `protocols` says otherwise.
--- `certificate` is good, expired, wrong_name or self_signed.
---@param opts { to: integer, certificate: string?, protocols: string?, toxics: table? }
---@return table  with url (https://localhost:PORT), port, ca_file and stop()
function proxy.tls(opts)
  local folder = make_folder()
  local ok, self = pcall(process.start, append({ "spec/support/tls", folder, opts.to,
    opts.certificate or "good", opts.protocols or "h2,http/1.1", process.helper("proxy") },
    options_of({ toxics = opts.toxics })))
  if not ok then
    os.execute("rm -rf " .. process.quote(folder))
    error(self, 0)
  end
  self.port = self.ports[1]
  self.url = "https://localhost:" .. self.port
  self.ca_file = folder .. "/ca.pem"
  local stop = self.stop
  self.stop = function()
    stop(self)
    os.execute("rm -rf " .. process.quote(folder))
  end
  return self
end

return proxy
