--- The file in which the user of the program says once what is to hold for all calls:
-- ${XDG_CONFIG_HOME:-~/.config}/moonpipe/config.lua. It is read when something of it is asked for.
--
-- It is Lua, locked in (mp.sandbox): a table, and no more than can be computed from nothing.
local errors = require "moonpipe.error"
local host = require "moonpipe.tool.host"

local config = {}

-- ---- settings ----------------------------------------------------------------------------------

local function has_type(expected)
  return function(value)
    if type(value) == expected then return value end
    return nil, (" takes a %s, got %s"):format(expected, errors.shape(value))
  end
end

local function among(list)
  return function(value)
    for _, one in ipairs(list) do
      if value == one then return value end
    end
    return nil, (" takes one of %s, got %s"):format(table.concat(list, ", "),
      type(value) == "string" and ("'%s'%s"):format(value, errors.hint(value, list))
        or errors.shape(value))
  end
end

local function check_provider(name)
  local known = require("moonpipe.models.names").providers()
  for _, one in ipairs(known) do
    if name == one then return true end
  end
  return nil, (" knows no provider '%s'%s"):format(errors.text(name), errors.hint(name, known))
end

-- A text of each provider.
local function of_providers(value)
  if type(value) ~= "table" then
    return nil, " takes a table such as { openai = \"…\" }, got " .. errors.shape(value)
  end
  for name, text in pairs(value) do
    local known, problem = check_provider(name)
    if not known then return nil, problem end
    if type(text) ~= "string" then
      return nil, (" takes a text for '%s', got %s"):format(name, errors.shape(text))
    end
  end
  return value
end

-- By the variable that would have the key.
local function key_commands(value)
  local good, problem = of_providers(value)
  if not good then return nil, problem end
  local commands, names = {}, require "moonpipe.models.names"
  for name, command in pairs(value) do
    local variable = (names.home(name).env or {})[1] or ""
    if not variable:find("_API_KEY$") then return nil, (" '%s' needs no key"):format(name) end
    commands[variable] = command
  end
  return commands
end

local function one_or_each(value)
  if type(value) == "string" then return value end
  return of_providers(value)
end

local function prices(value)
  local ok, problem = pcall(require("moonpipe.models.usage").UsageTotals, { prices = value })
  if ok then return value end
  return nil, (errors.text(problem):gsub("^[^:]*:%d+:", ""):gsub("^ ?", ": "))
end

config.COLORS = { "always", "auto", "never" }

local text, number = has_type "string", has_type "number"

-- How each is checked: gives what it means, or nil and what is wrong.
local CHECK = {
  base_url = one_or_each, color = among(config.COLORS), embeddings = text, key_cmd = key_commands,
  model = text, prices = prices, system = text, temperature = number,
}

---@return string[]  sorted
function config.names()
  local list = {}
  for name in pairs(CHECK) do list[#list + 1] = name end
  table.sort(list)
  return list
end

-- ---- the file ----------------------------------------------------------------------------------

-- The line on which a setting stands, as far as can be told: `name =` outside of comments.
local function line_of(source, name)
  local line = 0
  for one in (source .. "\n"):gmatch("([^\n]*)\n") do
    line = line + 1
    if one:gsub("%-%-.*", ""):find("%f[%w_]" .. name .. "%f[^%w_][\"'%]]*%s*=") then return line end
  end
  return 1
end

local function wrong(path, source, name, problem)
  errors.raise("config", ("%s:%d: %s"):format(path, line_of(source, name), problem))
end

local function checked(values, path, source)
  if type(values) ~= "table" then
    errors.raise("config", ("%s gives %s; end it with `return { model = \"…\" }`"):format(path,
      errors.shape(values)))
  end
  local out = {}
  for name, value in pairs(values) do
    if not CHECK[name] then
      wrong(path, source, errors.text(name), ("there is no setting '%s'%s; there are %s"):format(
        errors.text(name), errors.hint(name, config.names()), table.concat(config.names(), ", ")))
    end
    local good, problem = CHECK[name](value)
    if good == nil then wrong(path, source, name, ("'%s'%s"):format(name, problem)) end
    out[name] = good
  end
  return out
end

local SECONDS = 1 -- of computing

local function run(source, path)
  local box = require("moonpipe.sandbox.sandbox").sandbox { seconds = SECONDS }
  local ok, values = pcall(box.run, box, source, path)
  if ok then return values end
  local message = errors.text(errors.is(values) and values.message or values)
  errors.raise("config", message:find(path, 1, true) and message or path .. ": " .. message)
end

---Where the file is, or would be; nil where there is no home.
---@return string?
function config.path()
  if config.given then return config.given end
  local base, home = os.getenv "XDG_CONFIG_HOME", os.getenv "HOME"
  if base and base:sub(1, 1) == "/" then return base .. "/moonpipe/config.lua" end
  return home and home:sub(1, 1) == "/" and home .. "/.config/moonpipe/config.lua" or nil
end

local function read()
  local path = config.path()
  if config.off or not path then return {} end
  if not config.given and not host.exists(path) then return {} end
  local source, problem = host.read(path)
  if not source then errors.raise("config", problem) end
  return checked(run(source, path), path, source), path
end

-- A file that is wrong is read once too: who tells of it asks for colours.
local function read_once()
  local ok, values, from = pcall(read)
  if ok then
    config.values, config.from = values, from
    return
  end
  config.problem = errors.is(values) and values.kind == "config" and values or nil
  error(values, 0)
end

---What the file says; nothing where there is none. Raises kind `config` where it is wrong.
---@async
---@return table<string, any> values
---@return string? path
function config.read()
  if config.problem then error(config.problem, 0) end
  if not config.values then read_once() end
  return config.values, config.from
end

---Has the settings come from another file, or from none.
---@param path string?
---@param off boolean?
function config.install(path, off)
  config.given, config.off, config.values, config.problem = path, off, nil, nil
end

return config
