--- What values of a C host (moonpipe_Value) cannot say: what an object was in Lua.
--
-- C turns tables into values and back; what has a metatable it gives to `open` before, and its
-- fields to `close` after.
local document = require "moonpipe.document"
local errors = require "moonpipe.error"
local json = require "moonpipe.json"
local message = require "moonpipe.messages.message"
local prompt_values = require "moonpipe.prompts.value"

local values = {}

local PLAIN, MESSAGE, DOCUMENT = 0, 1, 2 -- as in value.h

local CLASS_OF = {
  system = message.SystemMessage, human = message.HumanMessage, ai = message.AIMessage,
  tool = message.ToolMessage, chat = message.ChatMessage,
}

local function copied(value)
  local copy = {}
  for key, member in next, value do copy[key] = member end
  return copy
end

local function open_message(value)
  local whole = message.to_message(value)
  local fields = copied(whole)
  fields.id, fields.text, fields.type = whole.id, message.text(whole), whole.type
  if whole.type == "ai" then fields.tool_calls = json.array(copied(whole.tool_calls)) end
  return fields, MESSAGE
end

-- A cause or a traceback is for Lua.
local function open_error(err)
  local fields = {}
  for key, member in next, err do
    if type(member) ~= "table" and type(member) ~= "function" and key ~= "traceback" then
      fields[key] = member
    end
  end
  return fields, PLAIN
end

---What stands for a table with a metatable, and what it was.
---@param value table
---@return any
---@return integer class
function values.open(value)
  if message.is(value) then return open_message(value) end
  if document.is(value) then return copied(value), DOCUMENT end
  if errors.is(value) then return open_error(value) end
  local mt = getmetatable(value)
  if mt == prompt_values.string_mt then return value.text, PLAIN end
  if mt == prompt_values.chat_mt then return copied(value), PLAIN end
  return value, PLAIN
end

local function close_document(fields)
  local score = fields.score
  fields.score = nil
  return document.scored(document.Document(fields), score)
end

---The opposite: an object that came from Lua, and may have been written to since.
---@param fields table  taken
---@param class integer
---@return table
function values.close(fields, class)
  for key, member in pairs(fields) do
    if member == json.null then fields[key] = nil end
  end
  if class == DOCUMENT then return close_document(fields) end
  local kind = fields.type
  fields.text, fields.type = nil, nil
  local make = CLASS_OF[kind]
  if not make then
    errors.raise("input", ("a message of the type %s: there is none"):format(errors.text(kind)))
  end
  return make(fields)
end

---A value for C, in a box.
---@param take function  C's
---@param value any
---@param keep boolean?  it outlives the callback
---@return userdata
function values.take(take, value, keep)
  local box, problem, kind = take(value, values.open, keep)
  if not box then errors.raise(kind, problem) end
  return box
end

return values
