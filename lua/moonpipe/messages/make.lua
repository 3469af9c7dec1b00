--- Messages made by users: `AIMessage("text", fields)`, `AIMessage{ content = … }`, checked.
local errors = require "moonpipe.error"
local native = require "moonpipe.native"

local make = {}

local ARRAY = native.c.json_array_mt

--- True for what a message may hold: text, or a list of strings and content blocks.
---@param value any
---@return boolean
function make.is_content(value)
  local mt = getmetatable(value)
  return type(value) == "string" or type(value) == "table" and (mt == nil or mt == ARRAY)
    and (value[1] ~= nil or next(value) == nil)
end

local function check_content(class, content)
  if not make.is_content(content) then
    errors.usage(("content of %s is %s; it must be a string or a list of content blocks"):format(
      class.name, errors.shape(content)))
  end
  for i = 1, type(content) == "table" and #content or 0 do
    local block = content[i]
    if type(block) ~= "string" and type(block) ~= "table" then
      errors.usage(("content block %d of %s is %s; it must be a string or a table with a type")
        :format(i, class.name, errors.shape(block)))
    end
  end
end

local function check_calls(class, list)
  if type(list) ~= "table" then
    errors.usage(("tool_calls of %s is %s; it must be a list"):format(class.name,
      errors.shape(list)))
  end
  for i, call in ipairs(list) do
    if type(call) ~= "table" then
      errors.usage(("tool call %d of %s is %s; write { name =, args =, id = }"):format(i,
        class.name, errors.shape(call)))
    end
  end
end

local function check_required(class, fields)
  for _, key in ipairs(class.required) do
    if fields[key] == nil then
      errors.usage(("%s needs %s"):format(class.name, key))
    end
  end
end

-- The calls as OpenAI's API and older messages have them.
local function raw_calls(class, fields)
  local kwargs = class.type == "ai" and not class.whole and fields.additional_kwargs
  return type(kwargs) == "table" and type(kwargs.tool_calls) == "table" and kwargs.tool_calls or nil
end

-- An answer that only calls tools has no text, and a chunk may carry anything but text.
local function complete(class, fields)
  fields.tool_calls = fields.tool_calls or raw_calls(class, fields)
  if fields.content == nil and (fields.tool_calls or class.whole) then
    fields.content = ""
  end
  if fields.tool_calls then
    local invalid
    check_calls(class, fields.tool_calls)
    fields.tool_calls, invalid = require("moonpipe.agents.toolcall").normalise(fields.tool_calls)
    if invalid[1] and not fields.invalid_tool_calls then
      fields.invalid_tool_calls = invalid
    end
  end
end

--- A message of what the call of its class was given: content and options, or a table of fields.
---@param class table
---@param content any
---@param opts table?
---@return moonpipe.Message
function make.construct(class, content, opts)
  local given = opts
  if type(content) == "table" and content[1] == nil and not getmetatable(content) then
    given, content = content, nil
  end
  local fields = {}
  for key, value in pairs(errors.options(given, class.allowed, class.name)) do
    fields[key] = value
  end
  if content ~= nil then
    fields.content = content
  end
  complete(class, fields)
  check_required(class, fields)
  check_content(class, fields.content)
  return setmetatable(fields, class.instance_mt)
end

return make
