--- A value at a glance, for errors: what it is, how much of it there is, how it begins.
--
-- One line, of bounded length whatever the value, without keys and control characters. It runs
-- no code of the value's.
local errors = require "moonpipe.error"
local inspect = require "moonpipe.inspect"

local STRING, READ = 40, 4096 -- bytes shown of a text, and looked at for keys
local KEYS, LOOKED_AT, NAME = 8, 1000, 40

-- Not inside of a character.
local function cut(text)
  local at = STRING
  while at > 0 and text:find("^[\128-\191]", at + 1) do at = at - 1 end
  return text:sub(1, at) .. "…"
end

local function quoted(text)
  local read = text:sub(1, READ)
  local shown = require("moonpipe.redact").text(read)
  if #shown > STRING then
    shown = cut(shown)
  elseif #read < #text then
    shown = shown .. "…"
  end
  return inspect((require("moonpipe.terminal").printable(shown)))
end

local function name_of(value)
  local mt = getmetatable(value)
  local name = type(mt) == "table" and rawget(mt, "__name")
  return type(name) == "string" and name:match("[^.]+$") or nil
end

local function kind_of(value)
  return type(value) == "table" and name_of(value) or type(value)
end

-- "list of 4 Document"; of mixed ones it does not say which.
local function list(value)
  local count = #value
  local kind = kind_of(value[1])
  for i = 2, math.min(count, LOOKED_AT) do
    if kind_of(value[i]) ~= kind then
      kind = nil
      break
    end
  end
  return ("list of %d%s"):format(count, kind and " " .. kind or "")
end

local function is_list(value)
  return rawget(value, 1) ~= nil
end

local function scalar(value)
  local kind = type(value)
  if kind == "string" then
    return ("%s (string, %d byte%s)"):format(quoted(value), #value, #value == 1 and "" or "s")
  end
  if kind == "number" or kind == "boolean" then return tostring(value) end
  return kind
end

-- A member, one level deep.
local function member(value)
  if type(value) ~= "table" then return scalar(value) end
  if name_of(value) then return name_of(value) end
  if next(value) == nil then return "{}" end
  return is_list(value) and list(value) or "table"
end

local function shown_key(key)
  if type(key) ~= "string" then return "[" .. scalar(key) .. "]" end
  if key:find("^[%a_][%w_]*$") and #key <= NAME then return key end
  return "[" .. quoted(key) .. "]"
end

local function by_text(a, b)
  if type(a) == type(b) and (type(a) == "string" or type(a) == "number") then return a < b end
  return type(a) < type(b)
end

local function fields(value)
  local keys = {}
  for key in next, value do
    keys[#keys + 1] = key
    if #keys == LOOKED_AT then break end
  end
  table.sort(keys, by_text)
  local items = {}
  for i, key in ipairs(keys) do
    if i > KEYS then
      items[i] = ("… %d more"):format(#keys - KEYS)
      break
    end
    items[i] = shown_key(key) .. " = " .. member(rawget(value, key))
  end
  return "{ " .. table.concat(items, ", ") .. " }"
end

-- A message, a Document, a prompt's value: what it says.
local function named(value, name)
  for _, key in ipairs { "content", "text", "page_content" } do
    local text = rawget(value, key)
    if type(text) == "string" then return name .. " " .. scalar(text) end
  end
  return name
end

---`{ docs = list of 4 Document, question = "where did…" (string, 64 bytes) }`
---@param value any
---@return string
return function(value)
  if type(value) ~= "table" then return scalar(value) end
  local name = name_of(value)
  if name then return named(value, name) end
  if getmetatable(value) ~= nil and not require("moonpipe.json").is_array(value) then
    return errors.shape(value)
  end
  if next(value) == nil then return "{}" end
  return is_list(value) and list(value) or fields(value)
end
