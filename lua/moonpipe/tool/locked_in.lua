--- `moonpipe run --sandbox[=GRANTS] FILE`: a script of others, with what another script grants it.
local USAGE = 2

-- What the trusted script at [path] returns: the options of mp.sandbox.
local function grants_of(host, path)
  if path == "" then return 0, nil, nil, {} end
  local text, message = host.read(path)
  if not text then return USAGE, "moonpipe: " .. message end
  local fn, problem = host.load_text("@" .. path, text)
  if not fn then return 1, "moonpipe: " .. problem end
  return host.run(fn)
end

---@param host table    moonpipe.tool.host
---@param file string
---@param grants string  the path of a script; "": none
---@param arguments string[]
---@return integer code
---@return string? text
---@return moonpipe.Error? err
return function(host, file, grants, arguments)
  local code, said, err, options = grants_of(host, grants)
  if code ~= 0 then return code, said, err end
  local text, message = host.read(file)
  if not text then return USAGE, "moonpipe: " .. message end
  return host.run(function()
    require("moonpipe.sandbox").sandbox(options):run(text, file, arguments)
  end)
end
