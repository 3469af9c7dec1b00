--- The words behind a command: its options, and its help, both out of one table.
--
-- `--name value`, `--name=value`, `-n value`; options may stand behind words; `--` ends them.
local words = require "moonpipe.error_words"

---@class moonpipe.Command
---@field name string
---@field usage string      behind the name
---@field summary string    one line
---@field about string?     more of it
---@field example string    a whole line
---@field options moonpipe.CommandOption[]
---@field run fun(given: table, words: string[]): integer|string|nil  called in a task: gives the
---  exit code, or what is wrong with the words; nil is success

---@class moonpipe.CommandOption
---@field name string       long name; `given` has it under this name, with _ for -
---@field short string?     one letter
---@field value string?     what stands behind it; nil: nothing does, it is a switch
---@field is "integer"|nil  what the value must be
---@field among string[]?   which it must be one of
---@field help string

local options = {}

local function key_of(option)
  return (option.name:gsub("%-", "_"))
end

local HELP = { name = "help", short = "h", help = "print this" }

local function index_of(command)
  local by_name, names = { ["--help"] = HELP, ["-h"] = HELP }, { "--help" }
  for _, option in ipairs(command.options) do
    by_name["--" .. option.name], names[#names + 1] = option, "--" .. option.name
    if option.short then by_name["-" .. option.short] = option end
  end
  return by_name, names
end

local function one_of(option, shown, value)
  for _, name in ipairs(option.among) do
    if name == value then return value end
  end
  return nil, ("%s takes one of %s, got '%s'%s"):format(shown, table.concat(option.among, ", "),
    value, words.hint(value, option.among))
end

local function checked(option, shown, value)
  if option.among then return one_of(option, shown, value) end
  if option.is ~= "integer" then return value end
  local number = tonumber(value)
  if number and number >= 1 and number % 1 == 0 then return number end
  return nil, ("%s takes a positive integer, got '%s'"):format(shown, value)
end

-- The value of an option, and how many words behind it that took.
local function value_of(option, shown, inline, behind)
  if not option.value then
    if inline then return nil, 0, ("%s takes no value"):format(shown) end
    return true, 0
  end
  local value = inline or behind
  if not value then return nil, 0, ("%s takes a value: %s"):format(shown, option.value) end
  local good, problem = checked(option, shown, value)
  return good, inline and 0 or 1, problem
end

-- `--name=value` in two.
local function split(word)
  local name, value = word:match("^(%-%-[^=]+)=(.*)$")
  return name or word, value
end

--- Reads the words of a command line from [at] on.
---@param command moonpipe.Command
---@param argv string[]
---@param at integer
---@return table? given   by name
---@return string[]|string words  that are no options, or what is wrong
function options.read(command, argv, at)
  local by_name, names = index_of(command)
  local given, rest, ended = {}, {}, false
  while argv[at] do
    local word = argv[at]
    at = at + 1
    if ended or word == "-" or word:sub(1, 1) ~= "-" then
      rest[#rest + 1] = word
    elseif word == "--" then
      ended = true
    else
      local name, inline = split(word)
      local option = by_name[name]
      if not option then
        return nil, ("unknown option '%s' of %s%s"):format(name, command.name,
          words.hint(name, names))
      end
      local value, taken, problem = value_of(option, name, inline, argv[at])
      if problem then return nil, problem end
      given[key_of(option)], at = value, at + taken
    end
  end
  return given, rest
end

local WIDTH = 26

local function line_of(option)
  local left = (option.short and "-" .. option.short .. ", " or "") .. "--" .. option.name
    .. (option.value and " " .. option.value or "")
  local gap = #left + 2 > WIDTH and "\n" .. (" "):rep(WIDTH + 2) or (" "):rep(WIDTH - #left)
  return "  " .. left .. gap .. option.help:gsub("\n", "\n" .. (" "):rep(WIDTH + 2))
end

--- The options of a command, `--help` with them.
---@param command moonpipe.Command
---@return moonpipe.CommandOption[]
function options.all(command)
  local list = { unpack(command.options) }
  list[#list + 1] = HELP
  return list
end

--- What `moonpipe NAME --help` prints.
---@param command moonpipe.Command
---@return string
function options.help(command)
  local out = { ("usage: moonpipe %s %s\n\n%s"):format(command.name, command.usage,
    command.summary) }
  if command.about then out[#out + 1] = "\n" .. command.about end
  out[#out + 1] = "\noptions:"
  for _, option in ipairs(options.all(command)) do out[#out + 1] = line_of(option) end
  out[#out + 1] = "\nexample:\n  " .. command.example
  return table.concat(out, "\n")
end

return options
