--- Reads types as lua-language-server does: `mp.Error?`, `fun(a: string, ...): integer?, any`,
--- `{ k: integer, [string]: any }[]`, `"a"|"b"|nil`, `table<string, any>`.
local luacats = {}

local read_type -- of types in one another

local Reader = {}
Reader.__index = Reader

function Reader:take(pattern)
  local found, after = self.text:match("^ ?(" .. pattern .. ")()", self.at)
  if found then self.at = after end
  return found
end

function Reader:need(pattern, what)
  return self:take(pattern) or error(("%s expected at '%s' of '%s'"):format(what,
    self.text:sub(self.at), self.text), 0)
end

local function separated(reader, close, read)
  if reader:take(close) then return end
  repeat read() until not reader:take(",")
  reader:need(close, "'" .. close .. "'")
end

local function read_function(reader)
  reader:need("%(", "'('")
  separated(reader, "%)", function()
    if not reader:take("%.%.%.") then reader:need("[%a_][%w_]*%??", "a name") end
    if reader:take(":") then read_type(reader) end
  end)
  if not reader:take(":") then return end
  repeat read_type(reader) until not reader:take(",")
end

local function read_table(reader)
  separated(reader, "}", function()
    if reader:take("%[") then
      read_type(reader)
      reader:need("%]", "']'")
    else
      reader:need("[%a_][%w_]*%??", "a key")
    end
    reader:need(":", "':'")
    read_type(reader)
  end)
end

local function read_one(reader)
  if reader:take("fun%f[(]") then return read_function(reader) end
  if reader:take("{") then return read_table(reader) end
  if reader:take("%(") then
    read_type(reader)
    return reader:need("%)", "')'")
  end
  if reader:take('"[^"]*"') or reader:take("%d+") then return end
  reader:need("[%a_][%w_.]*%*?", "a type")
  if not reader:take("<") then return end
  repeat read_type(reader) until not reader:take(",")
  reader:need(">", "'>'")
end

function read_type(reader)
  repeat
    read_one(reader)
    while reader:take("%[%]") or reader:take("%?") do end
  until not reader:take("|")
end

--- Reads the type that [text] begins with; raises where there is none. Gives what is behind it.
---@param text string
---@return string rest
function luacats.read(text)
  local reader = setmetatable({ text = text, at = 1 }, Reader)
  read_type(reader)
  return text:sub(reader.at)
end

return luacats
