--- The options that every command has.
local common = {}

local COLORS = { "always", "auto", "never" }

---@type moonpipe.CommandOption[]
common.OPTIONS = {
  { name = "quiet", short = "q", help = "say nothing but results and errors" },
  { name = "verbose", short = "v",
    help = "tell of each request, its status and time, and of errors where they were raised" },
  { name = "color", value = "WHEN", among = COLORS,
    help = "always, auto or never; default: auto, on a terminal where NO_COLOR is not set" },
  { name = "timeout", value = "SECONDS", is = "number",
    help = "give up after so long, with exit code 124" },
  { name = "config", value = "FILE", files = { "lua" },
    help = "settings, instead of ~/.config/moonpipe/config.lua" },
  { name = "no-config", help = "read no file of settings" },
}

---The options [own] with those that every command has, but for those of the same name.
---@param own moonpipe.CommandOption[]
---@return moonpipe.CommandOption[]
function common.added(own)
  local list, names = {}, {}
  for i, option in ipairs(own) do list[i], names[option.name] = option, true end
  for _, option in ipairs(common.OPTIONS) do
    if not names[option.name] then list[#list + 1] = option end
  end
  return list
end

-- ---- what they do ------------------------------------------------------------------------------

local function tell_of(attempt)
  local shown = require("moonpipe.http.endpoint_origin").shown(attempt.url)
  local again = (attempt.number or 1) > 1 and (", attempt %d"):format(attempt.number) or ""
  local outcome = attempt.status and tostring(attempt.status)
    or require("moonpipe.error").brief(attempt.err)
  require("moonpipe.log").tell(("%s %s: %s, %.0f ms%s"):format(attempt.method, shown, outcome,
    attempt.seconds * 1000, again))
end

local function speak(given)
  local log = require "moonpipe.log"
  log.quiet = given.quiet or log.quiet
  if given.verbose then require "moonpipe.http.watch"(tell_of) end
end

---Does what the options of [given] say; of two that are given the later counts.
---@param given table
---@param host table  moonpipe.tool.host
function common.begin(given, host)
  local settings = require "moonpipe.settings"
  for _, name in ipairs { "color", "quiet", "verbose" } do
    if given[name] ~= nil then settings.flags[name] = given[name] end
  end
  if given.timeout then host.timeout = given.timeout end
  if given.jit == "off" and jit.status() then
    host.compiled = true -- till then
    jit.off()
  end
  if given.config or given.no_config then
    require("moonpipe.tool.config").install(given.config, given.no_config)
  end
  if given.quiet or given.verbose then speak(given) end
end

---Forgets what options of an earlier command line said.
---@param host table  moonpipe.tool.host
function common.forget(host)
  require("moonpipe.settings").flags, host.timeout = {}, nil
  if host.compiled then
    host.compiled = nil
    jit.on()
  end
  require("moonpipe.log").quiet = false
  local config = package.loaded["moonpipe.tool.config"]
  if config then config.install() end
  if package.loaded["moonpipe.http.watch"] then require "moonpipe.http.watch"(nil) end
end

return common
