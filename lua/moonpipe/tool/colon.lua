--- Commands at a prompt: `:help`, `:quit` and so on, out of one table.
local errors = require "moonpipe.error"
local traversal = require "moonpipe.traversal"

---@class moonpipe.ColonCommand
---@field usage string?
---@field help string
---@field takes "code"|"file"|string[]|nil  what can be completed
---@field run async fun(argument: string, is_forced: boolean): string?  "quit" leaves

---@class moonpipe.ColonCommands
---@field list table<string, moonpipe.ColonCommand>
---@field about string  what `:help` says behind them
local Commands = {}
Commands.__index = Commands

local colon = {}

local COLUMN = 23

---@return string[]
function Commands:names()
  return traversal.keys(self.list)
end

-- The command of this name, or the only one that begins so.
local function find(self, name)
  local found = {}
  for _, one in ipairs(self:names()) do
    if one == name then return self.list[one] end
    if one:sub(1, #name) == name then found[#found + 1] = one end
  end
  if #found == 1 then return self.list[found[1]] end
  return nil, found
end

---What can be completed behind a command.
---@param name string
---@return "code"|"file"|string[]|nil
function Commands:takes(name)
  local one = find(self, name)
  return one and one.takes
end

---Whether a text is a command.
---@param text string
---@return boolean
function colon.is(text)
  return text:find("^%s*:%a") ~= nil
end

---@async
---@param text string
---@return string? what  "quit"
function Commands:run(text)
  local name, mark, argument = text:match("^%s*:(%a+)(!?)%s*(.-)%s*$")
  local one, found = find(self, name)
  if one then return one.run(argument, mark == "!") end
  if #found > 1 then
    errors.raise("input", (":%s may be :%s"):format(name, table.concat(found, ", :")))
  end
  errors.raise("input", ("no command :%s; see :help%s"):format(name,
    errors.hint(name, self:names())))
end

local function help(self)
  for _, name in ipairs(self:names()) do
    local one = self.list[name]
    local left = (":%s %s"):format(name, one.usage or "")
    print(("  %-20s %s"):format(left, (one.help:gsub("\n", "\n" .. (" "):rep(COLUMN)))))
  end
  print("\n" .. self.about)
end

---The commands of [list], and `:help`.
---@param list table<string, moonpipe.ColonCommand>
---@param about string
---@return moonpipe.ColonCommands
function colon.commands(list, about)
  local self = setmetatable({ list = list, about = about }, Commands)
  list.help = { help = "print this", run = function() help(self) end }
  return self
end

return colon
