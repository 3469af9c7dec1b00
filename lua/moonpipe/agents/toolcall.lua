--- Tool calls: from the pieces of a stream, or from a provider's wire form, to
-- `{ name =, args =, id =, type = "tool_call" }`; what does not parse becomes an invalid call that
-- keeps its raw text.
local errors = require "moonpipe.error"
local json = require "moonpipe.json"

local toolcall = {}

local function given(id)
  return id ~= nil and id ~= ""
end

local function joined(a, b)
  if a and b then
    return a .. b
  end
  return a or b
end

-- Pieces belong together when their index is the same and their ids do not contradict.
local function same_call(a, b)
  return b.index ~= nil and a.index == b.index
    and (not given(a.id) or not given(b.id) or a.id == b.id)
end

local function merge_piece(a, b)
  return {
    type = a.type or b.type,
    index = a.index,
    id = given(a.id) and a.id or b.id,
    name = joined(a.name, b.name),
    args = joined(a.args, b.args),
  }
end

--- Merges two lists of `{ index =, id =, name =, args = }` pieces; names and argument texts append.
---@param a table[]
---@param b table[]
---@return table[]
function toolcall.merge(a, b)
  local result = {}
  for i = 1, #a do
    result[i] = a[i]
  end
  for i = 1, #b do
    local slot = #result + 1
    for k = 1, #result do
      if same_call(result[k], b[i]) then
        slot = k
        break
      end
    end
    result[slot] = result[slot] and merge_piece(result[slot], b[i]) or b[i]
  end
  return result
end

-- Of two arguments of one name nobody knows which was meant.
local WHOLE = { unique_keys = true }

local function decode_whole(text)
  local ok, value = pcall(json.decode, text, WHOLE)
  if ok then
    return value
  end
  return nil, errors.is(value) and value.message or tostring(value)
end

-- Arguments that are only half there: what can be read so far.
local function decode_part(text)
  local ok, value = pcall(json.decode_partial, text)
  return ok and value or nil
end

-- An array is no set of named arguments.
local function arguments(text, decode)
  if text == nil or text == "" then
    return {}
  end
  local value, problem = decode(text)
  if type(value) ~= "table" or #value > 0 then
    return nil, problem or "the arguments are not a JSON object"
  end
  return value
end

local function add_call(calls, invalid, piece, decode)
  local args, problem = arguments(piece.args, decode)
  if args then
    calls[#calls + 1] = { name = piece.name or "", args = args, id = piece.id, type = "tool_call" }
  else
    invalid[#invalid + 1] = {
      name = piece.name, args = piece.args, id = piece.id, error = problem,
      type = "invalid_tool_call",
    }
  end
end

--- Makes calls of merged pieces. While a stream runs ([partial]) arguments that are half there give
--- what can be read so far; at its end they must be whole.
---@param pieces table[]
---@param partial boolean
---@return table[] tool_calls
---@return table[] invalid_tool_calls
function toolcall.parse(pieces, partial)
  local calls, invalid = {}, {}
  for i = 1, #pieces do
    add_call(calls, invalid, pieces[i], partial and decode_part or decode_whole)
  end
  return calls, invalid
end

--- Makes calls of what a user wrote or a provider sent: our own form, or OpenAI's
--- `{ id =, ["function"] = { name =, arguments = "json" } }`.
---@param list table[]
---@return table[] tool_calls
---@return table[] invalid_tool_calls
function toolcall.normalise(list)
  local calls, invalid = {}, {}
  for i = 1, #list do
    local call = list[i]
    local wire = call["function"]
    if wire then
      add_call(calls, invalid, { id = call.id, name = wire.name, args = wire.arguments },
        decode_whole)
    else
      calls[#calls + 1] = {
        name = call.name, args = call.args or {}, id = call.id, type = "tool_call",
      }
    end
  end
  return calls, invalid
end

return toolcall
