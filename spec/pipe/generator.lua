--- Writes random Lua programs that use `|` beside every other operator. Plain
--- Lua that gives the same text under Lua 5.4 and LuaJIT: the oracle of the
--- translator runs it in both.
--
-- Programs end, and do not fail: what an operand may be follows from where it
-- stands. Between objects every operator is defined (see oracle.lua). A number,
-- string, boolean, nil, plain table or function stands only where it is the
-- whole operand of a `|` whose other side is an object. Functions never assign
-- a variable that an expression around their call reads: whether `x | f()` sees
-- the old or the new x is nobody's promise.

local Generator = {}
Generator.__index = Generator

-- Park and Miller's generator: exact in doubles and in 64-bit integers.
function Generator:below(n)
  self.state = self.state * 16807 % 2147483647
  return self.state % n
end

function Generator:chance(percent)
  return self:below(100) < percent
end

function Generator:pick(list)
  return list[self:below(#list) + 1]
end

-- ---- layout ----------------------------------------------------------------------

local BLANKS = { " ", " ", " ", " ", "  ", "\n", "\n  ", " --[[ | ]] ", " -- a | b\n",
  "\t", " --[==[ ]] |\n ]==] ", "\r\n" }

function Generator:blank()
  if self:chance(70) then return " " end
  return self:pick(BLANKS)
end

-- Blanks that may be left out.
function Generator:gap()
  if self:chance(30) then return "" end
  return self:blank()
end

-- ---- names and scopes --------------------------------------------------------------

function Generator:fresh(prefix)
  self.names = self.names + 1
  return prefix .. self.names
end

-- Counts what is written: a program that is long enough gets only plain ends.
function Generator:is_long()
  self.size = self.size + 1
  return self.size > self.most
end

-- Remembers the scope; the function given back leaves it.
function Generator:enter()
  local objects, functions, vararg = #self.objects, #self.functions, self.vararg
  self.depth = self.depth + 1
  return function()
    for i = #self.objects, objects + 1, -1 do self.objects[i] = nil end
    for i = #self.functions, functions + 1, -1 do self.functions[i] = nil end
    self.vararg = vararg
    self.depth = self.depth - 1
  end
end

-- ---- operands that are no objects ----------------------------------------------------

local STRINGS = { '"s"', "'a|b'", '"\\"|"', "[[ | ]]", "[==[ ]] | ]=] ]==]", "'\\z\n  |'",
  "'\\x41\\65'", '""' }
local KEYS = { "a", "b", "context", "question", "x1" }

function Generator:natural()
  local roll = self:below(10)
  if roll == 0 then return self:natural() .. self:gap() .. "|" .. self:gap() .. self:below(100) end
  if roll == 1 then return "(" .. self:natural() .. " + " .. self:below(100) .. ")" end
  if roll == 2 then return "0x" .. self:below(10) .. "f" end
  return tostring(self:below(100))
end

-- Keys are different, values never nil: in ours, a vanished key is an error.
function Generator:fields()
  local list, used = {}, {}
  for _ = 1, self:is_long() and 0 or self:below(4) do
    local key = self:pick(KEYS)
    local roll = self:below(3)
    local value = self:value()
    if roll == 0 or used[key] then
      list[#list + 1] = value
    elseif roll == 1 then
      list[#list + 1] = key .. self:gap() .. "=" .. self:gap() .. value
    else
      list[#list + 1] = "[" .. self:gap() .. "'" .. key .. "']" .. self:gap() .. "=" .. value
    end
    if roll > 0 then used[key] = true end
  end
  return list
end

function Generator:table()
  local text = "{" .. self:gap()
  for _, field in ipairs(self:fields()) do
    text = text .. field .. self:gap() .. self:pick { ",", ";" } .. self:gap()
  end
  if self:chance(50) then text = text:gsub("[,;]%s*$", "") end
  return text .. "}"
end

function Generator:lambda()
  local leave = self:enter()
  local parameter = self:fresh("p")
  self.objects[#self.objects + 1] = parameter
  self.vararg = self:chance(30)
  local head = "function(" .. parameter .. (self.vararg and ", ..." or "") .. ")"
  local body = ""
  if self.depth < 5 and self:chance(40) then body = self:block(2) end
  local text = head .. self:blank() .. body .. "return " .. self:object() .. self:blank() .. "end"
  leave()
  return text
end

-- What may stand alone at one side of a `|`.
function Generator:foreign()
  local roll = self:below(9)
  if self:is_long() then return "nil" end
  if roll == 0 then return "nil" end
  if roll == 1 then return self:pick { "true", "false" } end
  if roll == 2 then return self:pick(STRINGS) end
  if roll == 3 and self.depth < 5 then return self:lambda() end
  if roll == 4 then return "(" .. self:table() .. ")" end
  if roll <= 6 then return self:table() end
  if roll == 7 then return "not " .. self:atom() end
  return tostring(self:below(100))
end

-- ---- objects -----------------------------------------------------------------------

function Generator:arguments()
  local list = {}
  for i = 1, self:below(3) do list[i] = self:value() end
  if self.vararg and self:chance(20) then list[#list + 1] = "..." end
  return "(" .. self:gap() .. table.concat(list, "," .. self:gap()) .. self:gap() .. ")"
end

function Generator:suffix()
  local roll = self:below(7)
  if roll == 0 then return "." .. self:pick(KEYS) end
  if roll == 1 then return "[ " .. self:object() .. self:gap() .. "]" end
  if roll == 2 then return self:arguments() end
  if roll == 3 then return ":" .. self:pick(KEYS) .. self:arguments() end
  if roll == 4 then return self:gap() .. self:pick(STRINGS) end
  if roll == 5 then return ":" .. self:pick(KEYS) .. self:table() end
  return "['" .. self:pick(KEYS) .. "']"
end

function Generator:primary()
  local roll = self:is_long() and 9 or self:below(10)
  if roll <= 1 and #self.functions > 0 then
    return self:pick(self.functions) .. "(" .. self:object() .. self:pick { "", ", 1" } .. ")"
  end
  if roll == 2 and self.depth < 6 then
    self.depth = self.depth + 1
    local text = "(" .. self:gap() .. self:object() .. self:gap() .. ")"
    self.depth = self.depth - 1
    return text
  end
  if roll == 3 and self.depth < 4 then
    return "(" .. self:lambda() .. ")(" .. self:object() .. ")"
  end
  if roll == 4 and self.vararg then return "first(...)" end
  if roll <= 6 then return "o" .. self:gap() .. "'" .. self:pick(KEYS) .. "'" end
  return self:pick(self.objects)
end

function Generator:atom()
  local text = self:primary()
  while self:chance(15) and self.depth < 6 do
    self.depth = self.depth + 1
    text = text .. self:suffix()
    self.depth = self.depth - 1
  end
  return text
end

local OPERATORS = { "..", "..", "+", "-", "*", "/", "%", "^" }

function Generator:operators(count)
  local list = {}
  for i = 1, count do list[i] = self:chance(55) and "|" or self:pick(OPERATORS) end
  return list
end

-- Whether operand [i] of the row is the whole operand of a `|` that has an
-- object beside it.
local function may_be_foreign(operators, kinds, i)
  if #operators == 0 then return false end
  local before, after = operators[i - 1], operators[i]
  if (before or "|") ~= "|" or (after or "|") ~= "|" then return false end
  return i > 1 or kinds[2] ~= "foreign"
end

-- A row of operands and operators whose value is an object.
function Generator:object()
  local count = self.depth < 6 and not self:is_long() and self:below(4) or 0
  if self.depth < 3 and self:chance(3) then count = 9 + self:below(20) end
  local operators, kinds, text = self:operators(count), {}, ""
  for i = count + 1, 1, -1 do
    local foreign = i ~= 2 and self:chance(40) and may_be_foreign(operators, kinds, i)
    kinds[i] = foreign and "foreign" or "object"
  end
  for i = 1, count + 1 do
    local unary = self:chance(8) and self:pick { "-", "- " } or ""
    if i > 1 and operators[i - 1] == "-" then unary = "" end -- `--` is a comment
    local operand = kinds[i] == "foreign" and self:foreign() or unary .. self:atom()
    if i > 1 then text = text .. self:gap() .. operators[i - 1] .. self:blank() end
    text = text .. operand
  end
  return text
end

function Generator:comparison()
  local text = self:object()
  if self:chance(30) then
    text = text .. self:blank() .. self:pick { "==", "~=", "<", ">", "<=", ">=" } .. self:blank()
      .. self:object()
  end
  return text
end

-- Any value but nil.
function Generator:value()
  local roll = self:below(12)
  if roll == 0 or self:is_long() then return self:natural() end
  if roll == 1 then return self:pick(STRINGS) end
  if roll == 2 and self.depth < 5 then return self:table() end
  if roll == 3 and self.depth < 5 then return self:lambda() end
  self.depth = self.depth + 1
  local text = self:comparison()
  while self:chance(15) do
    local right = self:chance(30) and "not " .. self:atom() or self:comparison()
    text = text .. self:blank() .. self:pick { "and", "or" } .. self:blank() .. right
  end
  self.depth = self.depth - 1
  return text
end

-- ---- statements --------------------------------------------------------------------

local statements = {}

function statements:local_object()
  local name = self:fresh("v")
  local text = "local " .. name .. self:gap() .. "=" .. self:blank() .. self:object()
  self.objects[#self.objects + 1] = name
  return text
end

function statements:local_two()
  local a, b = self:fresh("v"), self:fresh("v")
  local text = ("local %s, %s = %s, %s"):format(a, b, self:object(), self:object())
  self.objects[#self.objects + 1] = a
  self.objects[#self.objects + 1] = b
  return text
end

-- Only a name of this very block: no function of this block has seen it.
function statements:assignment()
  local name = self:fresh("g")
  return ("local %s = %s; %s = %s | %s; out(%s)"):format(name, self:object(), name, name,
    self:object(), name)
end

function statements:output()
  local list = {}
  for i = 1, 1 + self:below(2) do list[i] = self:value() end
  return "out(" .. table.concat(list, "," .. self:gap()) .. ")"
end

function statements:call()
  return self:pick(self.objects) .. self:pick { "", ".a", "['b']" } .. ":" .. self:pick(KEYS)
    .. self:arguments()
end

function statements:field()
  return ("fields.%s, fields['%s'] = %s, %s"):format(self:pick(KEYS), self:pick(KEYS),
    self:object(), self:object())
end

function statements:conditional()
  local text = "if " .. self:value() .. self:blank() .. "then" .. self:blank() .. self:body()
  if self:chance(40) then text = text .. "elseif " .. self:value() .. " then " .. self:body() end
  if self:chance(50) then text = text .. "else " .. self:body() end
  return text .. "end"
end

function statements:numeric()
  local name = self:fresh("i")
  return ("for %s = %d|0,%s%d do %sout(%s | %d) end"):format(name, self:below(2), self:gap(),
    1 + self:below(2), self:body(), name, self:below(50))
end

function statements:generic()
  local leave = self:enter()
  local name = self:fresh("e")
  local head = ("for _, %s in ipairs { %s, (%s) } do "):format(name, self:object(), self:object())
  self.objects[#self.objects + 1] = name
  local text = head .. self:block(2) .. "end"
  leave()
  return text
end

function statements:loop()
  local name = self:fresh("n")
  if self:chance(50) then
    return ("local %s = 0 while %s < 2 do %s = %s + 1 %sif %s == 1 then out(%s | 1) else break end "
      .. "end"):format(name, name, name, name, self:body(), name, name)
  end
  return ("local %s = 0 repeat %s = %s + 1 %suntil %s >= 2 or (%s | 1) == 1"):format(name, name,
    name, self:body(), name, name)
end

function statements:definition()
  local name = self:fresh("f")
  local leave = self:enter()
  self.objects[#self.objects + 1] = "a"
  self.vararg = self:chance(40)
  local text = ("local function %s(a%s) %sreturn %s%s end"):format(name,
    self.vararg and ", ..." or "", self:body(), self:object(),
    self:chance(50) and ", " .. self:value() or "")
  leave()
  self.functions[#self.functions + 1] = name
  return text
end

function statements:method()
  local name = self:fresh("m")
  local leave = self:enter()
  self.objects[#self.objects + 1] = "self"
  local text = ("local %s = o'%s' function fields:%s(...) local self = %s %sreturn %s end "):format(
    name, name, name, name, self:body(), self:object())
  leave()
  return text .. ("out(fields:%s(1, %s))"):format(name, self:object())
end

function statements:scope()
  return "do " .. self:body() .. "end"
end

local PLAIN = { "local_object", "local_object", "local_two", "assignment", "output", "output",
  "call", "field" }
local NESTING = { "conditional", "numeric", "generic", "loop", "definition", "definition",
  "method", "scope" }

function Generator:block(count)
  local text = ""
  for _ = 1, count do
    local nested = self.depth < 4 and not self:is_long() and self:chance(45)
    local kinds = nested and NESTING or PLAIN
    local separator = self:pick { ";", ";", ";\n", " ;  " } -- a `(` may follow
    text = text .. statements[self:pick(kinds)](self) .. separator .. self:gap()
  end
  return text
end

function Generator:body()
  local leave = self:enter()
  local text = self:block(1 + self:below(2))
  leave()
  return text
end

---The program of a seed.
---@param seed integer  from 1
---@return string text
return function(seed)
  local generator = setmetatable({
    state = seed % 2147483646 + 1, names = 0, depth = 0, vararg = true, size = 0, most = 0,
    objects = { "x", "y" }, functions = {},
  }, Generator)
  for _ = 1, 10 do generator:below(2) end
  generator.most = 30 + generator:below(200)
  return "local x, y, fields = o'x', o'y', {};\n" .. generator:block(3 + generator:below(8))
    .. "return " .. generator:object() .. "\n"
end
