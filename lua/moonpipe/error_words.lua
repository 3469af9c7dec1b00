--- The words of complaints: what a value is, which name was probably meant.
--
-- Apart from moonpipe.error, which every start loads; these are for failures.
local errors = require "moonpipe.error"

local words = {}

-- What two neighbours that changed their places cost, from the row before the last one.
local function swapped(a, b, i, j, before)
  local is_swap = i > 1 and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j)
  return is_swap and before[j - 2] + 1 or math.huge
end

-- Edit distance, a swap counted as one mistake: names are short and lists few.
local function distance(a, b)
  local row, above = {}, nil
  for j = 0, #b do row[j] = j end
  for i = 1, #a do
    local before = above
    above, row = row, { [0] = i }
    for j = 1, #b do
      local cost = a:byte(i) == b:byte(j) and 0 or 1
      row[j] = math.min(above[j] + 1, row[j - 1] + 1, above[j - 1] + cost,
        swapped(a, b, i, j, before))
    end
  end
  return row[#b]
end

---The name of [names] that [name] was probably meant to be.
---@param name string
---@param names string[]
---@return string?
function words.nearest(name, names)
  -- Of one letter nothing is left when one is wrong.
  local best, best_distance = nil, math.min(#name, math.max(1, math.floor(#name * 0.4)) + 1)
  for _, candidate in ipairs(names) do
    local d = distance(name:lower(), candidate:lower())
    if d < best_distance then best, best_distance = candidate, d end
  end
  return best
end

---`; did you mean 'model'?` or nothing.
---@return string
function words.hint(name, names)
  local nearest = type(name) == "string" and words.nearest(name, names)
  return nearest and ("; did you mean '" .. nearest .. "'?") or ""
end

local function article(word)
  return (word:find("^[AEIOUaeiou]") and "an " or "a ") .. word
end

local function plain_table(t)
  if #t > 0 then return "a list of " .. #t end
  local keys = {}
  for key in pairs(t) do keys[#keys + 1] = tostring(key) end
  if #keys == 0 then return "an empty table" end
  table.sort(keys)
  if #keys > 12 then keys[13], keys[14] = "…", nil end
  return "a table with keys {" .. table.concat(keys, ", ", 1, math.min(#keys, 13)) .. "}"
end

---A short description of a value, for messages.
---@return string
function words.shape(value)
  local kind = type(value)
  if kind == "nil" then return "nil" end
  if kind == "number" or kind == "boolean" then return "the " .. kind .. " " .. tostring(value) end
  if kind ~= "table" then return article(kind) end
  local meta = getmetatable(value)
  if type(meta) ~= "table" then return plain_table(value) end
  local name = rawget(meta, "__name")
  if type(name) == "string" then return article(name:match("[^.]+$")) end
  return plain_table(value)
end

local function of_kinds(kinds, what)
  local set = {}
  for _, kind in ipairs(kinds) do
    if not errors.KINDS[kind] then
      errors.usage(("%s names the kind '%s', which no error has"):format(what, errors.text(kind)))
    end
    set[kind] = true
  end
  return function(err) return set[err.kind] == true end
end

---A test of errors that an option gives: a function, a kind or a list of kinds.
---@param value (fun(err: moonpipe.Error): any)|string|string[]|nil
---@param what string  whose option
---@return (fun(err: moonpipe.Error): any)?
function words.predicate(value, what)
  if value == nil or type(value) == "function" then return value end
  if type(value) == "string" then value = { value } end
  if type(value) == "table" and value[1] ~= nil then return of_kinds(value, what) end
  errors.usage(("%s takes a function, a kind or a list of kinds, got %s"):format(what,
    words.shape(value)))
end

-- The first place without an item; nil where there is none, or it is no list.
local function hole_in(list)
  local count, last = 0, 0
  for key in pairs(list) do
    if type(key) == "number" then count, last = count + 1, math.max(last, key) end
  end
  if count == last then return nil end
  for i = 1, count + 1 do
    if list[i] == nil then return i end
  end
end

---Checks a list: a variable that is nil leaves a hole, behind which nobody would look.
---@param value any
---@param what string  whose list
---@return any[] value
function words.list(value, what)
  local is_table = type(value) == "table"
    and (getmetatable(value) == nil or require("moonpipe.json").is_array(value))
  local hole = is_table and hole_in(value)
  if not is_table or next(value) ~= nil and value[1] == nil and not hole then
    errors.usage(("%s takes a list, got %s"):format(what, words.shape(value)))
  elseif hole then
    errors.usage(("item %d of %s is nil"):format(hole, what))
  end
  return value
end

---mp.Error{ kind =, message = }: for steps that fail in a way of their own.
---@param fields { kind: string, message: string }  further fields as of moonpipe.Error; taken
---@return moonpipe.Error
function words.Error(fields)
  if type(fields) ~= "table" or getmetatable(fields) ~= nil then
    errors.usage("mp.Error takes { kind =, message = }, got " .. words.shape(fields))
  elseif not errors.KINDS[fields.kind] then
    local kinds = {}
    for kind in pairs(errors.KINDS) do kinds[#kinds + 1] = kind end
    table.sort(kinds)
    errors.usage(("no error has the kind '%s'%s"):format(errors.text(fields.kind),
      words.hint(fields.kind, kinds)))
  elseif type(fields.message) ~= "string" then
    errors.usage("message of mp.Error must be a string, got " .. words.shape(fields.message))
  end
  return errors.new(fields)
end

return words
