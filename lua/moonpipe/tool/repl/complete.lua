--- What Tab does: names, fields, methods, options, files and commands that fit what stands before
--- the cursor.
local commands = require "moonpipe.tool.repl.commands"
local env = require "moonpipe.tool.repl.env"
local members = require "moonpipe.tool.repl.members"
local offer = require "moonpipe.tool.offer"
local scan = require "moonpipe.tool.repl.scan"

local KEYWORDS = {}
for word in ([[and break do else elseif end false for function goto if in local nil not or repeat
  return then true until while]]):gmatch("%a+") do
  KEYWORDS[#KEYWORDS + 1] = word
end

-- ---- what could stand here ---------------------------------------------------------------

local function in_string(open)
  local word = open.text:sub(2)
  if open.open == "[[" or word:find("[\\\n]") then return nil end
  return { word = word, names = offer.files(word), behind = function(name)
    return name:sub(-1) == "/" and "" or open.open
  end }
end

local function in_table(bracket, word)
  return { word = word, names = members.options(bracket.callee, bracket.argument),
    behind = function() return " = " end }
end

local function globals(word)
  local names, of_language = env.names()
  for _, list in ipairs { of_language, KEYWORDS } do
    for _, name in ipairs(list) do names[#names + 1] = name end
  end
  return { word = word, names = names }
end

local function fields(path)
  local owner, separator, word = path:match("^(.*)([.:])([^.:]*)$")
  local value = members.at(owner)
  if value == nil then return nil end
  return { word = word, names = members.names(value, separator == ":") }
end

-- Of a word at the end: an option where one may stand, else a name.
local function in_code(text, brackets)
  local before, path = text:match("^(.-)([%a_][%w_.:]*)$")
  before, path = before or text, path or ""
  if before:find("[.:]%s*$") and not before:find("%.%.%s*$") then return nil end
  if path:find("[.:]") then return fields(path) end
  local top = brackets[#brackets]
  if top and top.mark == "{" and top.wants_key and top.callee then
    local choice = in_table(top, path)
    if #offer.starting_with(path, choice.names) > 0 then return choice end
  end
  if path ~= "" then return globals(path) end
end

-- ---- the answer ------------------------------------------------------------------------------

local function choice_for(text)
  local code = text
  if text:find("^%s*:%a*") and not text:find("^%s*::") then
    local choice
    choice, code = offer.in_command(commands, text)
    if choice then return choice end
  end
  local brackets, open = scan.stop(code)
  if open then return open.kind == "string" and in_string(open) or nil end
  return in_code(code, brackets)
end

---What Tab does: what to insert, a newline, and what to show.
---@async
---@param input string  columns of the terminal, a newline, the text up to the cursor
---@return string
return function(input)
  local columns, text = input:match("^(%d+)\n(.*)$")
  if text:match("[^\n]*$"):find("^%s*$") then return "  \n" end -- at a line's beginning it indents
  return offer.answer(choice_for(text), tonumber(columns))
end
