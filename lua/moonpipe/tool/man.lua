--- `moonpipe man`: manual pages, in the macros of man(7), out of the tables of the commands.
local commands = require "moonpipe.tool.commands"
local errors = require "moonpipe.error"
local help = require "moonpipe.tool.help"
local native = require "moonpipe.native"
local options = require "moonpipe.tool.options"

local man = {
  name = "man",
  usage = "[COMMAND]",
  summary = "Prints a manual page, that of the program or of a command.",
  about = "It is the source of the page; `man -l -` shows it. With --output all pages are written, "
    .. "as moonpipe.1 and moonpipe-COMMAND.1; an installation has them already.",
  example = "moonpipe man batch | man -l -",
  exits = { 0, 1, 2 },
  among = commands.names(),
  options = {
    { name = "output", short = "o", value = "FOLDER", files = {},
      help = "write all pages to this folder, which is there" },
  },
}

local WIDTH = 78

-- ---- text ------------------------------------------------------------------------------------

local ESCAPES = {
  ["\\"] = "\\e", ["-"] = "\\-", ["'"] = "\\(aq", ["^"] = "\\(ha", ["~"] = "\\(ti",
  ["…"] = "\\&...",
}

-- A text that shows as it is, wherever it stands in a line.
local function plain(text)
  text = text:gsub("[\\%-'^~]", ESCAPES):gsub("…", ESCAPES["…"])
  return (text:gsub("^%.", "\\&."):gsub("\n%.", "\n\\&."))
end

-- The same, with `code` in bold.
local function prose(text)
  local out, at = {}, 1
  for before, code, behind in text:gmatch "(.-)`([^`]+)`()" do
    out[#out + 1] = plain(before) .. "\\fB" .. plain(code) .. "\\fR"
    at = behind
  end
  return table.concat(out) .. plain(text:sub(at))
end

-- Where a page's source is longer than a line, its words are in several.
local function prose_lines(text)
  local lines = help.wrapped(prose(text), WIDTH, {})
  for i, line in ipairs(lines) do lines[i] = line:gsub("^%.", "\\&.") end
  return table.concat(lines, "\n")
end

local function add(out, ...)
  for _, line in ipairs { ... } do out[#out + 1] = line end
end

local function raised(text)
  return text:sub(1, 1):upper() .. text:sub(2)
end

local function lowered(text)
  return (text:gsub("^%u%l", string.lower))
end

local function add_code(out, text)
  add(out, ".nf", ".RS 2", plain((text:gsub("^  ", ""):gsub("\n  ", "\n"))), ".RE", ".fi")
end

-- The paragraphs of a text; the first follows what stands before it.
local function add_text(out, text)
  for i, paragraph in ipairs(help.paragraphs(text)) do
    if i > 1 then add(out, ".PP") end
    if paragraph.is_code then
      add_code(out, paragraph.text)
    else
      add(out, prose_lines(paragraph.text))
    end
  end
end

-- ---- sections ----------------------------------------------------------------------------------

local function page_of(name)
  return name == "" and "moonpipe" or "moonpipe-" .. name
end

-- Builds that shall repeat say which day it is.
local function date()
  return os.date("!%Y-%m-%d", tonumber(os.getenv "SOURCE_DATE_EPOCH"))
end

local function add_head(out, command)
  local page = page_of(command.name)
  add(out, (".TH %s 1 %s \"moonpipe %s\" \"moonpipe\""):format(plain(page:upper()), date(),
    native.c.version))
  local name = prose_lines((page .. " @@ " .. lowered(command.summary)):gsub("%.$", ""))
  add(out, ".SH NAME", (name:gsub("@@", "\\-")))
end

-- Words in capitals are what stands for something.
local function usage(line)
  return (plain(line):gsub("%u[%u_]+", "\\fI%0\\fR"))
end

local function add_synopsis(out, command)
  add(out, ".SH SYNOPSIS")
  local name = "\\fBmoonpipe" .. (command.name == "" and "" or " " .. command.name)
    .. "\\fR [\\fIOPTIONS\\fR]"
  local lines = 0
  for line in (command.usage .. "\n"):gmatch "(.-)\n" do
    if lines > 0 then add(out, ".br") end
    add(out, name .. (line == "" and "" or " " .. usage(line)))
    lines = lines + 1
  end
end

local function shown(option)
  local name, value = options.shown(option):match "^(%-%-[%l%d-]+)(.*)$"
  value = plain(value):gsub("%u[%u/]*", "\\fI%0\\fR")
  local short = option.short and "\\fB\\-" .. option.short .. "\\fR, " or ""
  return short .. "\\fB" .. plain(name) .. "\\fR" .. value
end

local function add_options(out, command)
  add(out, ".SH OPTIONS")
  for i, option in ipairs(options.all(command)) do
    if i == #command.options + 1 and i > 1 then add(out, ".SS Of every command") end
    add(out, ".TP", shown(option), prose_lines(raised(option.help) .. "."))
  end
end

local function add_exits(out, command)
  add(out, ".SH EXIT STATUS")
  for _, exit in ipairs(help.exit_rows(command)) do
    add(out, ".TP", ("\\fB%d\\fR"):format(exit.code),
      prose_lines(raised(exit.text) .. "."))
  end
end

local function add_examples(out, command)
  add(out, ".SH EXAMPLES")
  for line in command.example:gmatch "[^\n]+" do
    if out[#out] == ".fi" then add(out, ".PP") end
    add_code(out, line)
  end
end

local function add_see_also(out, names)
  local list = {}
  for i, name in ipairs(names) do list[i] = (".BR %s (1)"):format(plain(page_of(name))) end
  add(out, ".SH SEE ALSO", table.concat(list, " ,\n"))
end

-- ---- what only the program's page has ----------------------------------------------------------

local function add_commands(out)
  add(out, ".SH COMMANDS")
  for _, group in ipairs(commands.GROUPS) do
    add(out, ".SS " .. raised(group.title))
    for _, name in ipairs(group) do
      add(out, ".TP", "\\fB" .. name .. "\\fR", prose_lines(commands.find(name).summary))
    end
  end
end

local function add_environment(out)
  add(out, ".SH ENVIRONMENT")
  for _, group in ipairs(require "moonpipe.tool.environment") do
    add(out, ".SS " .. raised(group.title))
    if group.about then add(out, prose_lines(group.about)) end
    for _, variable in ipairs(group) do
      local name, text, other = unpack(variable)
      add(out, ".TP", ("\\fB%s\\fR%s"):format(name, other and ", \\fB" .. other .. "\\fR" or ""),
        prose_lines(text))
    end
  end
end

local FILES = {
  { "~/.config/moonpipe/config.lua", "What holds for all calls: a script that returns a table of "
    .. table.concat(require("moonpipe.tool.config").names(), ", ") .. "." },
  { "~/.local/state/moonpipe/history", "What was typed in the REPL." },
  { "~/.local/share/moonpipe/chats.db", "What `moonpipe chat` was told to keep, in SQLite." },
  { "~/.local/share/moonpipe/chats.db", "Conversations of `moonpipe chat` that were kept." },
  { "FILE.mp", "An index that `moonpipe index` made; `FILE.mp.records` tells what was read." },
  { "OUT.jsonl.journal", "The results of `moonpipe batch`, in SQLite, until and after they are "
    .. "written to OUT.jsonl." },
}

local function add_files(out)
  add(out, ".SH FILES")
  for _, file in ipairs(FILES) do
    add(out, ".TP", "\\fI" .. plain(file[1]) .. "\\fR", prose_lines(file[2]))
  end
end

-- ---- pages ---------------------------------------------------------------------------------

local function page(command)
  local out, names = {}, { "" }
  add_head(out, command)
  add_synopsis(out, command)
  add(out, ".SH DESCRIPTION")
  add_text(out, command.summary .. (command.about and "\n\n" .. command.about or ""))
  if command.name == "" then add_commands(out) end
  add_options(out, command)
  add_exits(out, command)
  if command.name == "" then
    names = commands.names()
    add_environment(out)
    add_files(out)
  end
  add_examples(out, command)
  add_see_also(out, names)
  return table.concat(out, "\n") .. "\n"
end

--- The source of a page.
---@param name string  of a command; "": the program
---@return string
function man.page(name)
  return page(name == "" and require "moonpipe.tool.program" or commands.find(name))
end

local function write(folder, name)
  local path = ("%s/%s.1"):format(folder, page_of(name))
  local file, problem = io.open(path, "wb")
  if not file then errors.raise("io", "cannot write " .. problem) end
  file:write(man.page(name))
  if not file:close() then errors.raise("io", ("cannot write '%s'"):format(path)) end
end

function man.run(given, words)
  if given.output then
    if words[1] then return "man --output takes no words: it writes all pages" end
    write(given.output, "")
    for _, name in ipairs(commands.names()) do write(given.output, name) end
    return
  end
  local name = words[1] or ""
  if #words > 1 then return "man takes one command" end
  if name ~= "" and not commands.has(name) then return help.unknown(name) end
  io.write(man.page(name))
end

return man
