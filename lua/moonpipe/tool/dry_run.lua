--- `--dry-run`: what would be sent first, and nothing is.
local errors = require "moonpipe.error"
local http = require "moonpipe.http.http"
local json = require "moonpipe.json"
local origin = require "moonpipe.http.endpoint_origin"
local redact = require "moonpipe.redact"
local terminal = require "moonpipe.terminal"

local dry_run = {}

---@class moonpipe.DryTape: moonpipe.Tape  takes the place of the network
local Tape = { keyless = true, hurries = true }
Tape.__index = Tape

local function stop(self, plan, body)
  local about = http.recordable(plan)
  self.request = self.request or {
    method = about.method or body and "POST" or "GET", url = origin.shown(about.url),
    headers = about.headers, body = body,
  }
  errors.raise("cancelled", "a dry run")
end
Tape.send, Tape.open = stop, stop

local function readable(body)
  local ok, value = pcall(json.decode, body)
  return ok and value or body
end

-- Secrets print as their mask.
local function headers_of(request)
  local out = {}
  for i, header in ipairs(request.headers or {}) do out[i] = { header[1], tostring(header[2]) } end
  return out
end

local function text_of(request)
  local out = { ("%s %s"):format(request.method, request.url) }
  for _, header in ipairs(headers_of(request)) do
    out[#out + 1] = ("%s: %s"):format(header[1], header[2])
  end
  out[#out + 1] = ""
  local body = request.body and readable(request.body)
  out[#out + 1] = type(body) == "string" and body or body and json.encode(body, { indent = 2 })
  return table.concat(out, "\n")
end

local function object_of(request)
  local headers = {}
  for _, header in ipairs(headers_of(request)) do headers[header[1]] = header[2] end
  return json.encode { method = request.method, url = request.url, headers = headers,
    body = request.body and readable(request.body) }
end

---Calls fn() until it would send its first request, and prints that.
---@async
---@param fn fun()
---@param as_json boolean?
function dry_run.run(fn, as_json)
  local tape = setmetatable({}, Tape)
  http.insert(tape)
  local ok, err = pcall(fn)
  http.insert(nil)
  if not tape.request then
    if not ok then error(err, 0) end
    errors.raise("input", "nothing would be sent: this model answers without a server")
  end
  print(redact.text(terminal.json((as_json and object_of or text_of)(tape.request))))
end

return dry_run
