--- Messages of a chat prompt whose content is a list of blocks with variables.
local template = require "moonpipe.template"

local blocks = {}

local function fill_part(part, values, only, owner)
  local result = {}
  for key, value in pairs(part) do
    if type(value) ~= "table" then
      result[key] = value
    elseif template.is(value) then
      result[key] = value:format(values, only, owner)
    else
      result[key] = fill_part(value, values, only, owner)
    end
  end
  return result
end

local function fill_parts(element, list, count, values, only, owner)
  local content = fill_part(element.parts, values, only, owner)
  list[count + 1] = setmetatable({ content = content }, element.message_mt)
  return count + 1
end

local function add_names(names, more)
  for _, name in ipairs(more) do
    names[#names + 1] = name
  end
end

-- Every string in a content block may hold variables, but for the block's type.
local function compile_part(part, names)
  local result = {}
  for key, value in pairs(part) do
    local compiled, problem = value, nil
    if type(value) == "string" and key ~= "type" then
      compiled, problem = template.compile(value)
    elseif type(value) == "table" then
      compiled, problem = compile_part(value, names)
    end
    if problem then
      return nil, problem
    elseif template.is(compiled) then
      add_names(names, compiled.variables)
    end
    result[key] = compiled
  end
  return result
end

--- Gives an element its content, a list of strings and content blocks; or nil and the problem.
---@param element table
---@param content table
---@return table? element
---@return string? problem
function blocks.compile(element, content)
  local parts = {}
  for i, part in ipairs(content) do
    parts[i] = type(part) == "string" and { type = "text", text = part } or part
  end
  local problem
  element.variables = {}
  element.parts, problem = compile_part(parts, element.variables)
  element.fill = fill_parts
  return element.parts and element, problem
end

return blocks
