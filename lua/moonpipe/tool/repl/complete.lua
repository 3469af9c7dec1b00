--- What Tab does: names, fields, methods, options, files and commands that fit what stands before
--- the cursor.
local commands = require "moonpipe.tool.repl.commands"
local env = require "moonpipe.tool.repl.env"
local members = require "moonpipe.tool.repl.members"
local scan = require "moonpipe.tool.repl.scan"
local terminal = require "moonpipe.terminal"

local LISTED = 200

local KEYWORDS = {}
for word in ([[and break do else elseif end false for function goto if in local nil not or repeat
  return then true until while]]):gmatch("%a+") do
  KEYWORDS[#KEYWORDS + 1] = word
end

---@class moonpipe.ReplChoice
---@field word string     what is there of it
---@field names string[]  what it may become
---@field behind (fun(name: string): string)?  what follows one that is the only one

-- ---- what could stand here ---------------------------------------------------------------

-- What lies in a folder, at most as many as anybody looks at.
local function entries(folder)
  local native, scheduler = require "moonpipe.native", require "moonpipe.scheduler"
  local id = native.c.folder(folder)
  local ok, text = pcall(function() return id and scheduler.await(id) end)
  local list = {}
  for kind, name in (ok and text or ""):gmatch("(.)(%Z+)%z") do
    list[#list + 1] = kind == "d" and name .. "/" or name
  end
  return list
end

local function files(word)
  local folder, rest = word:match("^(.*/)([^/]*)$")
  folder, rest = folder or "", rest or word
  local home = folder:match("^~/") and os.getenv "HOME"
  local place, names = home and home .. folder:sub(2) or folder, {}
  for _, name in ipairs(entries(place == "" and "." or place)) do
    if name:sub(1, 1) ~= "." or rest:sub(1, 1) == "." then names[#names + 1] = folder .. name end
  end
  return names
end

local function in_command(text)
  local name, argument = text:match("^%s*:(%a*)!?%s+(.*)$")
  if not name then
    return { word = text:match("(%a*)$"), names = commands:names(),
      behind = function() return " " end }
  end
  local takes = commands:takes(name)
  if takes == "code" then return nil, argument end
  if takes ~= "file" then return { word = argument, names = takes or {} } end
  return { word = argument, names = files(argument) }
end

local function in_string(open)
  local word = open.text:sub(2)
  if open.open == "[[" or word:find("[\\\n]") then return nil end
  return { word = word, names = files(word), behind = function(name)
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

local function starting_with(word, names)
  local out, seen = {}, {}
  for _, name in ipairs(names) do
    local is_hidden = name:find("^_") and not word:find("^_")
    if name:sub(1, #word) == word and not seen[name] and not is_hidden then
      out[#out + 1], seen[name] = name, true
    end
  end
  table.sort(out)
  return out
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
    if #starting_with(path, choice.names) > 0 then return choice end
  end
  if path ~= "" then return globals(path) end
end

-- ---- the answer ------------------------------------------------------------------------------

local function common_start(names)
  local start = names[1]
  for _, name in ipairs(names) do
    local same = 0
    while same < #start and start:byte(same + 1) == name:byte(same + 1) do same = same + 1 end
    start = start:sub(1, same)
  end
  while start:find("[\192-\255][\128-\191]*$") do -- not in the middle of a character
    if require("moonpipe.json").encode(start) == '"' .. start .. '"' then break end
    start = start:sub(1, -2)
  end
  return start
end

-- The names in columns, the last part of a path.
local function listed(names, columns)
  local shown, width = {}, 0
  for i = 1, math.min(#names, LISTED) do
    shown[i] = terminal.printable(names[i]:match("[^/]+/?$") or names[i])
    width = math.max(width, #shown[i] + 2)
  end
  local in_row = math.max(1, math.floor(columns / width))
  local rows, lines = math.ceil(#shown / in_row), {}
  for row = 1, rows do
    local cells = {}
    for at = row, #shown, rows do cells[#cells + 1] = ("%-" .. width .. "s"):format(shown[at]) end
    lines[row] = table.concat(cells):gsub("%s+$", "")
  end
  if #names > LISTED then lines[#lines + 1] = ("… %d more"):format(#names - LISTED) end
  return table.concat(lines, "\n") .. "\n"
end

local function answer(choice, columns)
  local names = choice and starting_with(choice.word, choice.names) or {}
  if #names == 0 then return "\n" end
  if #names == 1 then
    return names[1]:sub(#choice.word + 1) .. (choice.behind and choice.behind(names[1]) or "")
      .. "\n"
  end
  local more = common_start(names):sub(#choice.word + 1)
  return more .. "\n" .. (more == "" and listed(names, columns) or "")
end

local function choice_for(text)
  local code = text
  if text:find("^%s*:%a*") and not text:find("^%s*::") then
    local choice
    choice, code = in_command(text)
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
  return answer(choice_for(text), tonumber(columns))
end
