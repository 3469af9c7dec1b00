--- What the C API calls: scripts, errors, the log; calls.lua has the rest.
--
-- A function here raises what fails; C tells its host by `describe`. What a script
-- needs is here: starting a process is mostly compiling Lua, so chains and calls of
-- the host load with the first of them.
local errors = require "moonpipe.error"
local host = require "moonpipe.tool.host"
local log = require "moonpipe.log"

local CALLS = "moonpipe.tool.calls"

local embed = { attach = host.attach }

-- ---- errors --------------------------------------------------------------------

-- The fields that JSON can hold; a cause or a traceback is for Lua.
local function fields(err)
  local out = {}
  for key, value in pairs(err) do
    local kind = type(value)
    if kind == "string" or kind == "boolean" or kind == "number" and value == value
      and math.abs(value) ~= math.huge then
      out[key] = value
    end
  end
  return require("moonpipe.json").encode(out)
end

---What C knows of an error: text, kind, message, path, where, JSON.
---@param value any
---@param text string?  if it is known better
---@return string[]
function embed.describe(value, text)
  local err = errors.wrap(value)
  local ok, object = pcall(fields, err) -- it needs memory, which may be what is missing
  return {
    text or require("moonpipe.tool.failure").text_of(err), err.kind, errors.text(err.message),
    err.path or "", err.where or "", ok and object or "{}",
  }
end

---Locks in the scripts of the host: [grants] is a text that returns what they may use,
---a limit of 0 is the usual one. With [isolate] each has a process.
function embed.set_sandbox(grants, memory, seconds, instructions, isolate)
  embed.grants = {
    name = "=grants", text = grants, isolate = isolate,
    limits = { memory = memory, seconds = seconds, instructions = instructions },
  }
end

---Gives notices and warnings to C's `sink(level, text)`.
function embed.set_log(sink)
  log.sink = sink
end

-- ---- scripts -------------------------------------------------------------------

local function coded(code, text, err)
  if code == 0 then return 0 end
  if text == nil and err == nil then return code end -- the script has said it itself
  return code, embed.describe(err or text, text)
end

local function run_locked_in(name, text, arguments)
  return coded(require("moonpipe.tool.locked_in").run(host, embed.grants, function(box)
    box:run(text, name, arguments)
  end))
end

function embed.run_file(path, arguments)
  if rawget(embed, "grants") then
    local text, message = host.read(path)
    if not text then return coded(2, "moonpipe: " .. message) end
    return run_locked_in(path, text, arguments)
  end
  return coded(host.run_file(arguments, path))
end

function embed.run_text(name, text)
  if rawget(embed, "grants") then return run_locked_in(name, text) end
  return coded(host.run_text({}, name, text))
end

function embed.command(argv)
  return coded(host.command(argv))
end

-- ---- the rest ------------------------------------------------------------------

---Ends all calls, if there was one.
function embed.close()
  local calls = package.loaded[CALLS]
  if type(calls) == "table" then calls.close() end
end

return setmetatable(embed, {
  __index = function(_, name) return require(CALLS)[name] end,
})
