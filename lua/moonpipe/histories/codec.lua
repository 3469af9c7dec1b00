--- Messages as texts that can be stored, in the field's form `{"type", "data"}`.
--
-- All fields come back: content blocks, tool calls, metadata, ids. Data only: nothing but
-- tables, strings, numbers, booleans and null is made of a stored text.
local errors = require "moonpipe.error"
local json = require "moonpipe.json"
local message = require "moonpipe.messages.message"

local codec = {}

local CLASS_OF = {
  system = message.SystemMessage, human = message.HumanMessage, ai = message.AIMessage,
  tool = message.ToolMessage, chat = message.ChatMessage,
}

-- The fields as they are, without those that come into being when they are read; but the id of
-- an answer must stay the same from now on.
local function fields_of(value)
  local data = {}
  for key, field in next, value do data[key] = field end
  if data.id == nil then data.id = value.id end
  if type(data.content) == "table" and data.content[1] == nil then
    data.content = json.array {}
  end
  return data
end

---The text of a message. Raises kind `input` with the path of what cannot be stored.
---@param value moonpipe.Message
---@return string
function codec.encode(value)
  local whole = message.to_message(value)
  return json.encode { type = whole.type, data = fields_of(whole) }
end

-- What the JSON of others has for a field that is not there.
local function drop_nulls(data)
  for key, field in pairs(data) do
    if field == json.null then data[key] = nil end
  end
  return data
end

---The message of a stored text. Raises kind `decode`.
---@param text string
---@param where string  of whom it is, for the message of an error
---@return moonpipe.Message
function codec.decode(text, where)
  local ok, value = pcall(json.decode, text)
  local problem = not ok and (errors.is(value) and value.message or errors.text(value))
  if ok then
    local class = type(value) == "table" and CLASS_OF[value.type]
    local data = type(value) == "table" and value.data
    if class and type(data) == "table" and message.is_content(data.content) then
      return setmetatable(drop_nulls(data), class.instance_mt)
    end
    problem = "it is no message"
  end
  errors.raise("decode", ("%s cannot be read: %s"):format(where, problem))
end

return codec
