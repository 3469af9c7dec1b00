--- Reads the definitions for editors, lua/moonpipe/meta/mp/: classes with their fields, methods
--- and parents, and what `mp` has.
local helper = require "spec.helper"

local definitions = { folder = "lua/moonpipe/meta/mp/" }

local function files()
  local list = {}
  for path in io.popen("ls " .. definitions.folder .. "*.lua"):lines() do list[#list + 1] = path end
  return list
end

local function parents_of(text)
  local list = {}
  for name in text:gmatch("mp%.([%w_]+)") do list[#list + 1] = name end
  return list
end

-- What a class said so far is added to.
local function class_of(found, name)
  local class = found.classes[name]
  if not class then
    class = { name = name, fields = {}, methods = {}, parents = {}, operators = {}, overloads = {} }
    found.classes[name] = class
  end
  return class
end

-- One line of a block of annotations.
local function take_annotation(found, state, line)
  local name, rest = line:match("^%-%-%-@class ([%w_.]+)(.*)$")
  if name then
    state.class = class_of(found, (name:gsub("^mp%.", "")))
    for _, parent in ipairs(parents_of(rest)) do table.insert(state.class.parents, parent) end
    return
  end
  local field, type_of = line:match("^%-%-%-@field ([%w_]+) (.*)$")
  if field then
    if state.class.fields[field] then error(("%s.%s is there twice"):format(state.class.name, field)) end
    state.class.fields[field] = type_of
  end
  local operator, result = line:match("^%-%-%-@operator (%w+)%(?.-%)?: (.*)$")
  if operator then state.class.operators[operator] = result end
  local overload = line:match("^%-%-%-@overload (.*)$")
  if overload and state.class then table.insert(state.class.overloads, overload) end
  local param, param_type = line:match("^%-%-%-@param ([%w_.]+%??) (.*)$")
  if param then state.params[param] = param_type end
  if line:find("^%-%-%-@return") then state.returns = true end
end

local function take_code(found, state, line)
  local class, separator, method = line:match("^function ([%w_]+)([.:])([%w_]+)%(.*%) end$")
  local variable = line:match("^local ([%w_]+) = {}$")
  local value = line:match("^mp%.([%w_]+) = {}$")
  if class == "mp" then
    found.functions[method] = { params = state.params, returns = state.returns }
  elseif class then
    class_of(found, assert(found.variables[class], class .. " is no class")).methods[method] = {
      params = state.params, is_static = separator == ".",
    }
  elseif variable then
    found.variables[variable] = assert(state.class, variable .. " is no class").name
  elseif value then
    found.values[value] = true
  elseif line ~= "return mp" and line:find("%S") and not line:find("^%-%-") then
    error("not understood: " .. line)
  end
end

local function read_file(found, path)
  local state = { params = {} }
  found.variables = {}
  for line in (helper.read(path) .. "\n"):gmatch("(.-)\n") do
    if line:find("^%-%-%-") then
      take_annotation(found, state, line)
    else
      take_code(found, state, line)
      state = { params = {} }
    end
    found.lines[#found.lines + 1] = { path = path, text = line }
  end
end

---@return table found  classes by name, functions and values of mp, lines
function definitions.read()
  local found = { classes = {}, functions = {}, values = {}, lines = {} }
  for _, path in ipairs(files()) do read_file(found, path) end
  return found
end

--- All fields, methods, … of a class and those it inherits from.
---@param what "fields"|"methods"|"operators"
function definitions.flat(found, name, what, into)
  into = into or {}
  local class = assert(found.classes[name], name .. " is not defined")
  for key, value in pairs(class[what]) do
    if into[key] == nil then into[key] = value end
  end
  for _, parent in ipairs(class.parents) do definitions.flat(found, parent, what, into) end
  return into
end

--- The class of options that [name] of mp takes, nil for none.
function definitions.options_of(found, name)
  local types = {}
  local fn = found.functions[name]
  if fn then
    for _, type_of in pairs(fn.params) do types[#types + 1] = type_of end
  else
    local class = (found.classes.moonpipe.fields[name] or ""):match("mp%.([%w_]+)")
    for _, overload in ipairs(class and found.classes[class] and found.classes[class].overloads or {}) do
      types[#types + 1] = overload
    end
  end
  for _, type_of in ipairs(types) do
    for options in type_of:gmatch("mp%.([%w_]+)") do
      if options:find("Options$") or options == "Config" then return options end
    end
  end
end

return definitions
