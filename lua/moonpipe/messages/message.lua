--- Messages: their classes, and what people write in their place (coerce.lua).
local words = require "moonpipe.messages.class"

---@class moonpipe.message
local message = {}

local class_of = words.class_of

--- True for a message or a chunk of one.
---@param value any
---@return boolean
function message.is(value)
  return class_of(value) ~= nil
end

-- Whole messages and chunks -----------------------------------------------------------------------

local function converted(value, class)
  local fields = {}
  for key, field in next, value do
    fields[key] = field
  end
  local lazy = class.run_mt and fields.id == nil and class_of(value).run_mt == getmetatable(value)
  return setmetatable(fields, lazy and class.run_mt or class.instance_mt)
end

--- An answer of a model, whose id comes into being when it is read.
---@param fields table  taken; `content` is needed
---@return moonpipe.AIMessage
function message.answer(fields)
  return setmetatable(fields, words.AIMessage.run_mt)
end

--- The first chunk of a model's answer, which brings its id.
---@param fields table  taken; `content` is needed
---@return moonpipe.AIMessageChunk
function message.first_chunk(fields)
  return setmetatable(fields, words.AIMessageChunk.run_mt)
end

--- A message as a single chunk; a chunk is itself.
---@param value moonpipe.Message
---@return moonpipe.Message
function message.to_chunk(value)
  local class = class_of(value)
  return class.chunk and converted(value, class.chunk) or value
end

--- A merged chunk as a whole message: the arguments of its tool calls are read strictly. A message
--- is itself.
---@param value moonpipe.Message
---@return moonpipe.Message
function message.to_message(value)
  local class = class_of(value)
  if not class.whole then
    return value
  end
  local result = converted(value, class.whole)
  local pieces = rawget(result, "tool_call_chunks")
  if pieces then
    local calls, invalid = require("moonpipe.agents.toolcall").parse(pieces, false)
    result.tool_calls, result.invalid_tool_calls = calls, invalid[1] and invalid or nil
  end
  result.tool_call_chunks, result.chunk_position = nil, nil
  return result
end

-- The classes are those of class.lua. What people write in the place of messages is read
-- by a module of its own: a chain of a prompt and a model makes messages only.
return setmetatable(message, {
  __index = function(_, name)
    local value = words[name]
    if value == nil then value = require("moonpipe.messages.coerce")[name] end
    message[name] = value
    return value
  end,
})
