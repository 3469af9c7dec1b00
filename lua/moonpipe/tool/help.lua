--- What `--help` prints, laid out for 80 columns, out of the tables of the commands.
local commands = require "moonpipe.tool.commands"
local exits = require "moonpipe.tool.exits"
local options = require "moonpipe.tool.options"

local help = {
  name = "help",
  usage = "[COMMAND]",
  summary = "Tells what there is, or what a command does.",
  example = "moonpipe help batch",
  exits = { 0, 2 },
  among = commands.names(),
  options = {},
}

local WIDTH, LEFT, INDENT = 80, 28, 14

-- ---- layout ------------------------------------------------------------------------------

local function columns(text)
  local _, continued = text:gsub("[\128-\191]", "")
  return #text - continued
end

--- The words of a text in lines of at most [width] columns, behind those of [out].
---@param text string
---@param width integer
---@param out string[]
---@return string[]
function help.wrapped(text, width, out)
  local line = ""
  for word in text:gmatch "%S+" do
    if line ~= "" and columns(line) + 1 + columns(word) > width then
      out[#out + 1], line = line, ""
    end
    line = line == "" and word or line .. " " .. word
  end
  out[#out + 1] = line
  return out
end

--- The paragraphs of a text, which blank lines part. A line that begins with two spaces stands
--- as it is.
---@param text string
---@return { text: string, is_code: boolean }[]
function help.paragraphs(text)
  local list = {}
  for line in (text .. "\n"):gmatch "(.-)\n" do
    local last, is_code = list[#list], line:find "^  " ~= nil
    if line == "" then
      list[#list + 1] = { text = "", is_code = false }
    elseif last and last.text ~= "" and last.is_code == is_code then
      last.text = last.text .. (is_code and "\n" or " ") .. line
    elseif last and last.text == "" then
      last.text, last.is_code = line, is_code
    else
      list[#list + 1] = { text = line, is_code = is_code }
    end
  end
  return list
end

local function laid_out(text)
  local out = {}
  for i, paragraph in ipairs(help.paragraphs(text)) do
    if i > 1 then out[#out + 1] = "" end
    if paragraph.is_code then
      out[#out + 1] = paragraph.text
    else
      help.wrapped(paragraph.text, WIDTH, out)
    end
  end
  return table.concat(out, "\n")
end

-- A name on the left, a text beside it, or below where the name is long.
local function row(name, text, left)
  local lines, pad = help.wrapped(text, WIDTH - left, {}), "\n" .. (" "):rep(left)
  local gap = columns(name) + 4 > left and pad or (" "):rep(left - columns(name) - 2)
  return "  " .. name .. gap .. table.concat(lines, pad)
end

-- ---- a command -----------------------------------------------------------------------------

local function usage_of(command)
  local lines = {}
  for line in (command.usage .. "\n"):gmatch "(.-)\n" do
    lines[#lines + 1] = (#lines == 0 and "usage: " or "       ")
      .. (("moonpipe %s [OPTIONS] %s"):format(command.name, line):gsub("%s+", " "):gsub(" $", ""))
  end
  return table.concat(lines, "\n")
end

local function add_options(command, out)
  for i, option in ipairs(options.all(command)) do
    if i == #command.options + 1 then
      out[#out + 1] = "\noptions of every command:"
    elseif i == 1 then
      out[#out + 1] = "\noptions:"
    end
    local short = option.short and "-" .. option.short .. ", " or "    "
    out[#out + 1] = row(short .. options.shown(option), option.help, LEFT)
  end
end

local function add_examples(command, out)
  local _, more = command.example:gsub("\n", "\n  ")
  out[#out + 1] = ("\n%s:\n  %s"):format(more > 0 and "examples" or "example",
    (command.example:gsub("\n", "\n  ")))
end

local function add_exits(command, out)
  out[#out + 1] = "\nexit codes:"
  for _, exit in ipairs(help.exit_rows(command)) do
    out[#out + 1] = row(tostring(exit.code), exit.text, 7)
  end
end

--- The exit codes of a command, and what they mean.
---@param command moonpipe.Command
---@return { code: integer, text: string }[]
function help.exit_rows(command)
  local list = {}
  for i, code in ipairs(command.exits or { 0, 1, 2, 3, 4, 5, 124, 130, 141, 143 }) do
    list[i] = { code = code, text = command.meaning and command.meaning[code] or exits[code] }
  end
  return list
end

--- What `moonpipe NAME --help` prints.
---@param command moonpipe.Command
---@return string
function help.of(command)
  local out = { usage_of(command), "\n" .. laid_out(command.summary) }
  if command.about then out[#out + 1] = "\n" .. laid_out(command.about) end
  add_options(command, out)
  add_exits(command, out)
  add_examples(command, out)
  return table.concat(out, "\n")
end

-- ---- the program ---------------------------------------------------------------------------

local function add_commands(out)
  for _, group in ipairs(commands.GROUPS) do
    out[#out + 1] = "\n" .. group.title .. ":"
    for _, name in ipairs(group) do
      out[#out + 1] = row(name, commands.find(name).summary, INDENT)
    end
  end
end

--- What `moonpipe --help` prints.
---@return string
function help.overview()
  local program = require "moonpipe.tool.program"
  local out = { usage_of(program), "\n" .. laid_out(program.summary),
    "\n" .. laid_out(program.about) }
  add_commands(out)
  add_options(program, out)
  add_exits(program, out)
  add_examples(program, out)
  out[#out + 1] = "\n`moonpipe COMMAND --help` tells the rest, and so does `man moonpipe-COMMAND`."
  return table.concat(out, "\n")
end

--- What is said of a command that there is not.
---@param name string
---@return string
function help.unknown(name)
  return ("there is no command '%s'%s"):format(name,
    require("moonpipe.error_words").hint(name, commands.names()))
end

function help.run(_, words)
  if #words > 1 then return "help takes one command" end
  if not words[1] then return print(help.overview()) end
  if not commands.has(words[1]) then return help.unknown(words[1]) end
  print(help.of(commands.find(words[1])))
end

return help
