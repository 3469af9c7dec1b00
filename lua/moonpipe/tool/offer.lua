--- What Tab offers at a prompt, whoever's: how it is shown, commands and files.
local terminal = require "moonpipe.terminal"

local offer = {}

local LISTED = 200

---@class moonpipe.Offer
---@field word string     what is there of it
---@field names string[]  what it may become
---@field behind (fun(name: string): string)?  what follows one that is the only one

-- ---- what could stand here ---------------------------------------------------------------

-- What lies in a folder, at most as many as anybody looks at.
local function entries(folder)
  local native, scheduler = require "moonpipe.native", require "moonpipe.scheduler"
  local ok, text = pcall(function()
    local id = native.c.folder(folder)
    return id and scheduler.await(id)
  end)
  local list = {}
  for kind, name in (ok and text or ""):gmatch("(.)(%Z+)%z") do
    list[#list + 1] = kind == "d" and name .. "/" or name
  end
  return list
end

---@async
---@param word string  the beginning of a path
---@return string[]
function offer.files(word)
  local folder, rest = word:match("^(.*/)([^/]*)$")
  folder, rest = folder or "", rest or word
  local home = folder:match("^~/") and os.getenv "HOME"
  local place, names = home and home .. folder:sub(2) or folder, {}
  for _, name in ipairs(entries(place == "" and "." or place)) do
    if name:sub(1, 1) ~= "." or rest:sub(1, 1) == "." then names[#names + 1] = folder .. name end
  end
  return names
end

---What could stand in a command; of one that takes code that is nil, and the code.
---@async
---@param commands moonpipe.ColonCommands
---@param text string
---@return moonpipe.Offer?
---@return string? code
function offer.in_command(commands, text)
  local name, argument = text:match("^%s*:(%a*)!?%s+(.*)$")
  if not name then
    return { word = text:match("(%a*)$"), names = commands:names(),
      behind = function() return " " end }
  end
  local takes = commands:takes(name)
  if takes == "code" then return nil, argument end
  if takes ~= "file" then return { word = argument, names = takes or {} } end
  return { word = argument, names = offer.files(argument) }
end

-- ---- the answer ------------------------------------------------------------------------------

---The names that begin so, sorted; hidden ones only where the word says so.
---@param word string
---@param names string[]
---@return string[]
function offer.starting_with(word, names)
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

---What to insert, a newline, and what to show.
---@param choice moonpipe.Offer?
---@param columns integer  of the terminal
---@return string
function offer.answer(choice, columns)
  local names = choice and offer.starting_with(choice.word, choice.names) or {}
  if #names == 0 then return "\n" end
  if #names == 1 then
    return names[1]:sub(#choice.word + 1) .. (choice.behind and choice.behind(names[1]) or "")
      .. "\n"
  end
  local more = common_start(names):sub(#choice.word + 1)
  return more .. "\n" .. (more == "" and listed(names, columns) or "")
end

return offer
