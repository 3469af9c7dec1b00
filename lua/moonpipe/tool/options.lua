--- The words behind a command: its options, out of one table, of which help, manual pages and
--- completion are made as well.
--
-- `--name value`, `--name=value`, `-n value`, `-nvalue`; options may stand behind words; `--` ends
-- them. A text in the table is laid out where it is shown: a blank line parts paragraphs, a line
-- that begins with two spaces stands as it is, `code` is in such quotes.

---@class moonpipe.Command
---@field name string
---@field usage string      behind the name
---@field summary string    one sentence
---@field about string?     more of it
---@field example string    whole lines, each as it can be typed
---@field exits integer[]?  codes that it ends with; nil: those of a chain
---@field meaning table<integer, string>?  of its exit codes, where it is not that of exits.lua
---@field options moonpipe.CommandOption[]
---@field files string[]?   its words are files that end so; {}: it takes none; nil: any files
---@field among string[]?   its words are these
---@field stops boolean?    what stands behind the first word is that word's
---@field direct boolean?   `run` is called in no task, and gives an exit code and a text
---@field run fun(given: table, words: string[], state: table): integer|string|nil  called in a
---  task: gives the exit code, or what is wrong with the words; nil is success

---@class moonpipe.CommandOption
---@field name string       long name; `given` has it under this name, with _ for -
---@field short string?     one letter
---@field value string?     what stands behind it; nil: nothing does, it is a switch
---@field is "integer"|"number"|nil  what the value must be
---@field among string[]?   which it must be one of
---@field files string[]?   the value is a file that ends so; {}: any file
---@field inline boolean?   the value stands behind = only
---@field optional boolean? the value may be left out: `given` has true
---@field many boolean?     it may come again: `given` has a list
---@field last boolean?     what follows are words
---@field help string

local common = require "moonpipe.tool.common"

local options = {}

local function key_of(option)
  return (option.name:gsub("%-", "_"))
end

local HELP = { name = "help", short = "h", help = "print this" }

local function index_of(command)
  local by_name, names = { ["--help"] = HELP, ["-h"] = HELP }, { "--help" }
  for _, option in ipairs(common.added(command.options)) do
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
    value, require("moonpipe.error_words").hint(value, option.among))
end

local function checked(option, shown, value)
  if option.among then return one_of(option, shown, value) end
  if not option.is then return value end
  local number, is_integer = tonumber(value), option.is == "integer"
  if number and number >= (is_integer and 1 or 0) and (not is_integer or number % 1 == 0) then
    return number
  end
  return nil, ("%s takes a %s, got '%s'"):format(shown,
    is_integer and "positive integer" or "number from 0", value)
end

-- The value of an option, and how many words behind it that took.
local function value_of(option, shown, inline, behind)
  if not option.value then
    if inline then return nil, 0, ("%s takes no value"):format(shown) end
    return true, 0
  end
  if not inline and option.optional then return true, 0 end
  local value = inline or not option.inline and behind
  if not value or value == "" and option.inline then
    return nil, 0, ("%s takes a value: %s"):format(shown, option.value)
  end
  local good, problem = checked(option, shown, value)
  return good, inline and 0 or 1, problem
end

-- `--name=value` and `-nvalue` in two.
local function split(word)
  local name, value = word:match("^(%-%-[^=]+)=(.*)$")
  if name then return name, value end
  name, value = word:match("^(%-[^-])(.+)$")
  return name or word, value
end

local function put(given, option, value)
  local key = key_of(option)
  if not option.many then
    given[key] = value
  else
    given[key] = given[key] or {}
    table.insert(given[key], value)
  end
end

-- `-ab 1` is `-a -b 1`.
local function is_joined(option, name, inline)
  return option and inline and not option.value and name:sub(1, 2) ~= "--"
end

local function put_back(argv, at, letters)
  argv = { unpack(argv) }
  argv[at] = "-" .. letters
  return argv
end

-- One of the program's is no mistake but of its place.
local function misplaced(command, word)
  for _, option in ipairs(require("moonpipe.tool.program").options) do
    if command.name ~= "" and word:match("^%-%-([^=]+)") == option.name then
      return ("; it stands before the command: moonpipe %s %s …"):format(word, command.name)
    end
  end
end

local function unknown(command, word, names)
  local place = misplaced(command, word)
  local shown = place and word or word:gsub("^(%-%-[^=]+)=.*$", "%1") -- the value may be a key
  return ("unknown option '%s' of %s%s"):format(shown,
    command.name == "" and "moonpipe" or command.name,
    place or require("moonpipe.error_words").hint(split(word), names))
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
      rest[#rest + 1], ended = word, ended or command.stops
    elseif word == "--" then
      ended = true
    else
      local name, inline = split(word)
      local option = by_name[name]
      if is_joined(option, name, inline) then
        at, inline, argv = at - 1, nil, put_back(argv, at - 1, inline)
      end
      if not option then return nil, unknown(command, word, names) end
      local value, taken, problem = value_of(option, name, inline, argv[at])
      if problem then return nil, problem end
      put(given, option, value)
      at, ended = at + taken, option.last
    end
  end
  return given, rest
end

--- `--name VALUE`, as it is typed.
---@param option moonpipe.CommandOption
---@return string
function options.shown(option)
  local name = "--" .. option.name
  if not option.value then return name end
  if not option.inline then return name .. " " .. option.value end
  return option.optional and ("%s[=%s]"):format(name, option.value) or name .. "=" .. option.value
end

--- The options of a command: its own, then those that all have, then `--help`.
---@param command moonpipe.Command
---@return moonpipe.CommandOption[]
function options.all(command)
  local list = common.added(command.options)
  list[#list + 1] = HELP
  return list
end

return options
