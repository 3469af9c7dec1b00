--- Messages of a chat prompt whose content is a list of blocks with variables.
local errors = require "moonpipe.error"
local template = require "moonpipe.templates.template"

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
local function compile_part(part, names, compile)
  local result = {}
  for key, value in pairs(part) do
    local compiled, problem = value, nil
    if type(value) == "string" and key ~= "type" then
      compiled, problem = compile(value)
    elseif type(value) == "table" then
      compiled, problem = compile_part(value, names, compile)
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

-- A string is a text, and the address of an image may stand by itself.
local function block_of(part)
  if type(part) == "string" then
    return { type = "text", text = part }
  elseif type(part) ~= "table" or getmetatable(part) ~= nil then
    return nil, errors.shape(part) .. "; write a string or a table with a type"
  elseif type(part.type) ~= "string" then
    return nil, errors.shape(part) .. "; it needs a type, such as 'text' or 'image_url'"
  elseif part.type ~= "image_url" or type(part.image_url) ~= "string" then
    return part
  end
  local copy = {}
  for key, value in pairs(part) do
    copy[key] = value
  end
  copy.image_url = { url = part.image_url }
  return copy
end

--- Gives an element its content, a list of strings and content blocks; or nil and the problem.
---@param element table
---@param content table
---@param compile fun(text: string): moonpipe.Template?, string?
---@return table? element
---@return string? problem
function blocks.compile(element, content, compile)
  local parts = {}
  for i, part in ipairs(content) do
    local made, wrong = block_of(part)
    if not made then
      return nil, ("content block %d is %s"):format(i, wrong)
    end
    parts[i] = made
  end
  local problem
  element.variables = {}
  element.parts, problem = compile_part(parts, element.variables, compile)
  element.fill = fill_parts
  return element.parts and element, problem
end

return blocks
