--- Prompt templates: text with `{name}` in it, compiled once.
--
-- `{{` and `}}` are literal braces. A template inserts whole variables and does nothing else: no
-- positions, no reaching into values, no formats; and what was inserted is never read again.
local template = {}

local value_text -- loaded by the first value that is none of the plain ones

--- The text that a template inserts for a value. Raises kind `input`, naming [path] and shape.
---@param value any
---@param path string  the variable's name
---@return string
function template.text_of(value, path)
  local kind = type(value)
  if kind == "string" then
    return value
  elseif kind == "number" then
    return ("%.14g"):format(value)
  elseif kind == "boolean" then
    return tostring(value)
  end
  value_text = value_text or require "moonpipe.templates.value"
  return value_text(value, path)
end

local text_of = template.text_of

-- Compiling ---------------------------------------------------------------------------------------

local HINT = "; write {{ and }} for literal braces"
local NAME = "^[%a_\128-\255][%w_\128-\255]*$"

local function problems()
  return require "moonpipe.templates.problem"
end

-- Cuts the text at its variables: literals[i] stands before names[i]. Gives nil, problem and the
-- place of it where it cannot.
local function cut(text)
  local literals, names, literal, from = {}, {}, "", 1
  while true do
    local at = text:find("[{}]", from)
    if not at then
      literals[#literals + 1] = literal .. text:sub(from)
      return literals, names
    end
    local brace = text:sub(at, at)
    literal = literal .. text:sub(from, at - 1)
    if text:sub(at + 1, at + 1) == brace then
      literal, from = literal .. brace, at + 2
    elseif brace == "}" then
      return nil, "'}' without a '{' before it", at
    else
      local inner, stop = text:match("^([^{}]*)(.?)", at + 1)
      if stop ~= "}" or not inner:find(NAME) then
        return nil, problems().of(inner, stop), at
      end
      literals[#literals + 1], names[#names + 1] = literal, inner
      literal, from = "", at + #inner + 2
    end
  end
end

local function sorted_set(names)
  local set, list = {}, {}
  for _, name in ipairs(names) do
    if not set[name] then
      set[name] = true
      list[#list + 1] = name
    end
  end
  table.sort(list)
  return list
end

---@class moonpipe.Template
---@field variables string[]  sorted, each once
local methods = {}
local mt = { __name = "moonpipe.Template", __index = methods, is_template = true }

--- Compiles a text. Gives nil and the problem with its line and column where it is no template.
---@param text string
---@return moonpipe.Template?
---@return string? problem
function template.compile(text)
  local literals, names, at = cut(text)
  if not literals then
    local line, column = problems().position(text, at)
    return nil, ("bad template at line %d, column %d: %s%s"):format(line, column, names, HINT)
  end
  return setmetatable({
    source = text, literals = literals, names = names, count = #names,
    first = literals[1], second = literals[2], third = literals[3],
    variables = sorted_set(names),
  }, mt)
end

--- True for a compiled template.
---@param value any
---@return boolean
function template.is(value)
  local its = getmetatable(value)
  return its == mt or type(its) == "table" and its.is_template == true
end

-- [only] stands for every variable, where there is just one.
local function piece(name, values, only, owner)
  local value = only
  if value == nil then
    value = values[name]
  end
  if type(value) == "string" then
    return value
  elseif value == nil then
    owner:_missing(values)
  end
  return text_of(value, name)
end

local function format_many(self, values, only, owner)
  local literals, names = self.literals, self.names
  local parts = { literals[1] }
  for i = 1, self.count do
    parts[2 * i] = piece(names[i], values, only, owner)
    parts[2 * i + 1] = literals[i + 1]
  end
  return table.concat(parts)
end

--- The text with its variables filled in.
---@param values table  name -> value
---@param only any  stands for every variable, if given: then [values] is not read
---@param owner table  its method `_missing(values)` raises for a variable without a value
---@return string
function methods:format(values, only, owner)
  local count, names = self.count, self.names
  if count == 1 then
    return self.first .. piece(names[1], values, only, owner) .. self.second
  elseif count == 2 then
    return self.first .. piece(names[1], values, only, owner) .. self.second
      .. piece(names[2], values, only, owner) .. self.third
  elseif count == 0 then
    return self.first
  end
  return format_many(self, values, only, owner)
end

return template
