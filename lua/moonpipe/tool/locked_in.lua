--- Scripts of others, run by the program (`run --sandbox`) or by a C host (moonpipe_Sandbox).
local sandbox = require "moonpipe.sandbox.sandbox"

local locked_in = {}

local FAILED, USAGE = 1, 2

-- What a trusted text returns: the options of mp.sandbox.
local function options_of(host, name, text)
  if not text then return 0, nil, nil, nil end
  local fn, message = host.load_text(name, text)
  if not fn then return FAILED, "moonpipe: " .. message end
  return host.run(fn)
end

-- The options, with the limits that C gave: 0 is the usual one.
local function limited(options, limits)
  local out = {}
  for name, value in pairs(options or {}) do out[name] = value end
  for name, value in pairs(limits) do
    if value > 0 then out[name] = value end
  end
  return out
end

---Runs fn(sandbox) as the main task.
---@param host table  moonpipe.tool.host
---@param grants { name: string, text: string?, limits: table<string, number> }
---@return integer code
---@return string? text
---@return moonpipe.Error? err
---@return any value
function locked_in.run(host, grants, fn)
  local code, said, err, options = options_of(host, grants.name, grants.text)
  if code ~= 0 then return code, said, err end
  return host.run(function()
    return fn(sandbox.sandbox(type(options) == "table" and limited(options, grants.limits)
      or options or limited(nil, grants.limits)))
  end)
end

---`moonpipe run --sandbox[=GRANTS] FILE`.
---@param path string  of the grants; "": none
function locked_in.command(host, file, path, arguments)
  local grants = { name = "@" .. path, limits = {} }
  local message
  if path ~= "" then
    grants.text, message = host.read(path)
    if not grants.text then return USAGE, "moonpipe: " .. message end
  end
  local text, problem = host.read(file)
  if not text then return USAGE, "moonpipe: " .. problem end
  return locked_in.run(host, grants, function(box) box:run(text, file, arguments) end)
end

return locked_in
