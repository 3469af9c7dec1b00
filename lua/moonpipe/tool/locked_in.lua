--- Scripts of others, run by the program (`run --sandbox`) or by a C host (moonpipe_Sandbox).
local errors = require "moonpipe.error"
local sandbox = require "moonpipe.sandbox.sandbox"

local locked_in = {}

local USAGE = 2

---@class moonpipe.Grants  what scripts may use, as their host says it
---@field name string
---@field text string?      a trusted script that returns the options of mp.sandbox
---@field isolate boolean?  each has a process of its own
---@field limits table<string, number>  0 is the usual one

-- A list of options, or what was returned in their place: then mp.sandbox says what is wrong.
local function options_of(host, grants)
  local given
  if grants.text then
    local fn, message = host.load_text(grants.name, grants.text)
    if not fn then errors.raise("lua", message) end
    given = fn()
  end
  if given ~= nil and type(given) ~= "table" then return given end
  local out = {}
  for name, value in pairs(given or {}) do out[name] = value end
  for name, value in pairs(grants.limits) do
    if value > 0 then out[name] = value end
  end
  out.isolate = grants.isolate or out.isolate
  return out
end

---Runs fn(sandbox) as the main task.
---@param host table  moonpipe.tool.host
---@param grants moonpipe.Grants
---@return integer code
---@return string? text
---@return moonpipe.Error? err
---@return any value
function locked_in.run(host, grants, fn)
  return host.run(function()
    return fn(sandbox.sandbox(options_of(host, grants)))
  end)
end

-- What --sandbox[=GRANTS] and --isolate say, or nil and what is wrong.
local function grants_of(host, given)
  local path = given.sandbox
  local grants = { name = "@" .. tostring(path), limits = {}, isolate = given.isolate }
  if type(path) == "string" then
    local message
    grants.text, message = host.read(path)
    if not grants.text then return nil, message end
  end
  return grants
end

---`moonpipe run --sandbox[=GRANTS] --isolate FILE`.
---@param given { sandbox: string|true|nil, isolate: true? }
function locked_in.command(host, file, given, arguments)
  local grants, message = grants_of(host, given)
  if not grants then return USAGE, "moonpipe: " .. message end
  local text, problem = host.read(file)
  if not text then return USAGE, "moonpipe: " .. problem end
  return locked_in.run(host, grants, function(box)
    host.main = { name = "@" .. file, text = text }
    return box:run(text, file, arguments)
  end)
end

---The chain that a script of somebody else's returns.
---@async
---@param given { sandbox: string|true|nil, isolate: true? }
---@return moonpipe.Runnable
function locked_in.chain(host, file, given)
  local grants, message = grants_of(host, given)
  if not grants then errors.raise("io", message) end
  local text, problem = host.read(file)
  if not text then errors.raise("io", problem) end
  return sandbox.sandbox(options_of(host, grants)):load(text, file)
end

return locked_in
