--- What a turn of a conversation says: the messages in an input and in an answer.
local errors = require "moonpipe.error"
local joined = require("moonpipe.histories.history").joined
local message = require "moonpipe.messages.message"

local turn = {}

-- A table of named values, as prompts take them.
local function is_map(value)
  return type(value) == "table" and getmetatable(value) == nil and value[1] == nil
    and next(value) ~= nil and not (type(value.role) == "string" and value.content ~= nil)
end
turn.is_map = is_map

-- The key that is meant where none is named: the only one there is, or [usual].
local function key_in(map, usual)
  local only = next(map)
  return next(map, only) == nil and only or usual
end

---The messages of the user in [input].
---@param input any
---@param key string?  input_messages_key
---@return moonpipe.Message[]
function turn.asked(input, key)
  local value = input
  if is_map(input) then
    key = key or key_in(input, "input")
    value = input[key]
    if value == nil then
      errors.raise("input", ("the input has no '%s': it is %s; name the user's message with "
        .. "input_messages_key"):format(tostring(key), errors.shape(input)))
    end
  elseif key then
    errors.raise("input", ("the input is %s; with input_messages_key it must be a table that has "
      .. "'%s'"):format(errors.shape(input), key))
  end
  local list, problem = message.try_coerce_list(value)
  if not list then errors.raise("input", "what the user says: " .. problem) end
  return list
end

-- An answer may be text, or a list in which texts are the model's.
local function as_answer(value)
  if type(value) == "string" then return message.AIMessage(value) end
  return message.coerce(value)
end

---The messages in [answer]; none where there is none.
---@param answer any
---@param key string?  output_messages_key
---@return moonpipe.Message[]
function turn.answered(answer, key)
  local value = answer
  if is_map(answer) then
    key = key or key_in(answer, "output")
    value = answer[key]
    if value == nil then
      errors.raise("input", ("the answer has no '%s': it is %s; name the model's message with "
        .. "output_messages_key"):format(tostring(key), errors.shape(answer)))
    end
  end
  if value == nil then return {} end
  if type(value) ~= "table" or message.is(value) or value[1] == nil then
    return { as_answer(value) }
  end
  local list = {}
  for i, one in ipairs(value) do list[i] = as_answer(one) end
  return list
end

---What the chain is given: [input] with what was said before.
---@param input any
---@param asked moonpipe.Message[]
---@param past moonpipe.Message[]
---@param self moonpipe.RunnableWithMessageHistory
---@return any
function turn.with_past(input, asked, past, self)
  local key = self.history_messages_key or self.input_messages_key
  local list = joined(past, not self.history_messages_key and asked or nil)
  if not key then return list end
  if not is_map(input) then
    errors.raise("input", ("the input is %s; with history_messages_key it must be a table to which "
      .. "'%s' is added"):format(errors.shape(input), key))
  end
  local out = {}
  for name, value in pairs(input) do out[name] = value end
  out[key] = list
  return out
end

return turn
