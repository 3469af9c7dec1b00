--- What a template inserts for a value that is no string, number or boolean; template.lua asks.
local document = require "moonpipe.document"
local errors = require "moonpipe.error"
local native = require "moonpipe.native"
local runnable = require "moonpipe.steps.runnable"
local words = require "moonpipe.messages.class"

local ARRAY = native.c.json_array_mt

local function refuse(path, what, advice)
  errors.raise("input", ("prompt variable '%s' is %s; %s"):format(path, what,
    advice or "pick one or add a function that makes text"))
end

-- The text of a message, a Document or an object that says how it is written; else nil.
local function object_text(value)
  if words.class_of(value) then
    return words.text(value)
  elseif document.is(value) then
    return value.page_content
  end
  local mt = getmetatable(value)
  if type(mt) == "table" and mt.__tostring and not errors.is(value) and not runnable.is(value) then
    return tostring(value)
  end
end

local function list_text(list, path)
  local parts = {}
  for i = 1, type(list.n) == "number" and list.n or #list do
    local member = list[i]
    parts[i] = type(member) == "string" and member or object_text(member)
    if not parts[i] then
      refuse(("%s[%d]"):format(path, i), errors.shape(member),
        "a list inserts strings, messages and Documents")
    end
  end
  return table.concat(parts, "\n\n")
end

local function is_list(value)
  local mt = getmetatable(value)
  return (mt == nil or mt == ARRAY)
    and (value[1] ~= nil or type(value.n) == "number" or next(value) == nil)
end

local function refuse_value(value, path)
  if value == native.c.json_null then
    refuse(path, "mp.null")
  elseif errors.is(value) then
    refuse(path, ("an error (%s)"):format(tostring(value)), "handle it before the prompt")
  elseif runnable.is(value) then
    refuse(path, ("a step (%s), not its result"):format(tostring(value)),
      "make it a map key before the prompt, or invoke it")
  elseif type(value) == "function" then
    refuse(path, "a function", "call it, or make it a map key before the prompt")
  end
  refuse(path, errors.shape(value))
end

---The text of a message, a Document, an object or a list of such; raises kind `input`.
---@param value any
---@param path string  the variable's name
---@return string
return function(value, path)
  local text = object_text(value)
  if text then
    return text
  elseif type(value) == "table" and is_list(value) then
    return list_text(value, path)
  end
  return refuse_value(value, path)
end
