--- Merges the chunks of a stream into the value that the same step gives when it is invoked.
--
-- Strings and lists append, numbers and booleans: the last wins, maps merge by key, nil (and JSON
-- null) is ignored, an mp.Error takes the place of what its branch had said before it failed,
-- anything else is an error that names key and types. Inside the three metadata keys the last
-- value always wins, so that metadata can never end a user's stream.
-- Merging never writes to its operands; a chunk that was handed out stays as it was.
local errors = require "moonpipe.error"
local json = require "moonpipe.json"

local chunk = {}

local NULL = json.null
local ERROR = errors.mt
local ARRAY = getmetatable(json.array({}))

local LAST_WINS = { response_metadata = true, usage_metadata = true, additional_kwargs = true }

-- Values that contain all that their stream said before (see chunk.mark_whole).
local whole = setmetatable({}, { __mode = "k" })

local function clash(a, b, keys)
  local key = keys and ("key '%s' holds "):format(table.concat(keys, ".")) or ""
  errors.raise("input", ("chunks cannot be merged: %s%s, then %s"):format(
    key, errors.shape(a), errors.shape(b)))
end

-- A list has the keys 1..count and no other. A table that carries `n` is an array map, whose
-- slots grow one by one: it merges by key. `#` does not tell: where there are holes it may be any
-- of several numbers.
local function is_list(t)
  if getmetatable(t) == ARRAY then
    return true
  end
  local count = 0
  for key in pairs(t) do
    if type(key) ~= "number" then
      return false
    end
    count = count + 1
  end
  for i = 1, count do
    if t[i] == nil then
      return false
    end
  end
  return count > 0
end

chunk.is_list = is_list

local function append(a, b)
  local result = setmetatable({}, getmetatable(a))
  local count = #a
  for i = 1, count do
    result[i] = a[i]
  end
  for i = 1, #b do
    result[count + i] = b[i]
  end
  return result
end

local function is_map(v)
  return type(v) == "table" and getmetatable(v) == nil and not is_list(v)
end

local function copy(t)
  local result = {}
  for key, value in pairs(t) do
    result[key] = value
  end
  return result
end

--- Merges two values of a metadata key: maps by key, else the later one.
---@param a any
---@param b any
---@return any
function chunk.merge_last(a, b)
  if b == nil or b == NULL then
    return a
  elseif not (is_map(a) and is_map(b)) then
    return b
  end
  local result = copy(a)
  for key, value in pairs(b) do
    result[key] = chunk.merge_last(a[key], value)
  end
  return result
end

local merge

local function merge_maps(a, b, keys)
  local result = copy(a)
  keys = keys or {}
  local depth = #keys + 1
  for key, value in pairs(b) do
    if LAST_WINS[key] then
      result[key] = chunk.merge_last(a[key], value)
    else
      keys[depth] = tostring(key)
      result[key] = merge(a[key], value, keys)
    end
  end
  keys[depth] = nil
  return result
end

local function merge_tables(a, b, keys)
  local mt = getmetatable(a)
  if type(mt) == "table" and mt.__add then
    return a + b
  elseif mt == ERROR then
    return a
  elseif type(b) ~= "table" then
    return clash(a, b, keys)
  elseif whole[b] or next(a) == nil then
    return b
  elseif next(b) == nil then
    return a
  end
  local other = getmetatable(b)
  if (mt and mt ~= ARRAY) or (other and other ~= ARRAY) then
    return clash(a, b, keys)
  end
  local list = is_list(a)
  if list ~= is_list(b) then
    return clash(a, b, keys)
  end
  return list and append(a, b) or merge_maps(a, b, keys)
end

-- keys: names of the maps around the two values, outermost first; nil at the top.
function merge(a, b, keys)
  if a == nil or a == NULL then
    return b
  elseif b == nil or b == NULL then
    return a
  end
  local kind = type(a)
  if errors.is(b) then
    return b
  elseif kind == "table" then
    return merge_tables(a, b, keys)
  elseif kind ~= type(b) then
    return clash(a, b, keys)
  elseif kind == "string" then
    return a .. b
  elseif kind == "number" or kind == "boolean" then
    return b
  end
  return clash(a, b, keys)
end

--- Merges two chunks; a left value whose metatable has `__add` decides by itself. Neither operand
--- is written to. Raises kind `input` where the two do not fit.
---@param a any
---@param b any
---@return any
function chunk.merge(a, b)
  return merge(a, b, nil)
end

--- Marks a table that contains all that its stream said before, such as the partial values of a
--- JSON parser: merging takes the later one instead of appending. Returns the table.
---@generic T: table
---@param value T
---@return T
function chunk.mark_whole(value)
  whole[value] = true
  return value
end

--- True for a table marked by `mark_whole`.
---@param value any
---@return boolean
function chunk.is_whole(value)
  return whole[value] == true
end

-- What [value] adds to [before], which it takes the place of.
local function added(before, value)
  if type(value) == "string" and type(before) == "string" then
    return value:sub(1, #before) == before and value:sub(#before + 1) or value
  end
  local mt = getmetatable(value)
  if type(value) ~= "table" or mt and mt ~= ARRAY then
    return value
  end
  return chunk.mark_whole(setmetatable(copy(value), mt))
end

--- A stream of tables whose keys go separate ways: of one that says all that was said before
--- (chunk.mark_whole) what is new under each key, of strings the rest. Others are as they are.
---@async
---@param source fun(): any
---@return fun(): any
function chunk.additions(source)
  local shown
  return function()
    while true do
      local value = source()
      if not whole[value] or getmetatable(value) == ARRAY or is_list(value) then
        return value
      end
      local before, out = shown or {}, {}
      for key, field in pairs(value) do
        if before[key] ~= field then
          out[key] = added(before[key], field)
        end
      end
      if next(out) ~= nil or not shown then
        shown = value
        return out
      end
    end
  end
end

-- Merges neighbours of equally many chunks, as a binary counter carries: each byte is copied log n
-- times, where merging one by one would copy it n times. `__add` is therefore taken to be
-- associative.
local function collect_many(values, source)
  local top, count, value = 1, 2, source()
  while value ~= nil do
    top, count = top + 1, count + 1
    values[top] = value
    local carries = count
    while carries % 2 == 0 do
      values[top - 1] = merge(values[top - 1], values[top], nil)
      top, carries = top - 1, carries / 2
    end
    value = source()
  end
  local result = values[top]
  for i = top - 1, 1, -1 do
    result = merge(values[i], result, nil)
  end
  return result, count
end

--- Merges all chunks of a stream. The second result is their number: 0 says that it was empty.
---@async
---@param source fun(): any  gives the next chunk, or nil at the end
---@return any value
---@return integer count
function chunk.collect(source)
  local first = source()
  if first == nil then
    return nil, 0
  end
  local second = source()
  if second == nil then
    return first, 1
  end
  return collect_many({ merge(first, second, nil) }, source)
end

--- Merges the chunks of a list; nil of none.
---@param list any[]
---@return any
function chunk.merged(list)
  local i = 0
  return (chunk.collect(function()
    i = i + 1
    return list[i]
  end))
end

return chunk
