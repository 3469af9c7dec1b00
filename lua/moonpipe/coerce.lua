--- The only place that turns a value into a step.
--
-- A Runnable is itself; a function, or a foreign value with __call, is a
-- RunnableLambda; a table without a metatable is a RunnableParallel, its values
-- coerced in turn. Anything else raises, where it is composed.
local errors = require "moonpipe.error"
local runnable = require "moonpipe.steps.runnable"

local coerce = {}

-- Where map literals were written, by the table: { where = , keys = { key = where },
-- spans = { key = span } }.
local origins = setmetatable({}, { __mode = "k" })

---Remembers where a map literal and its keys stand in the source.
function coerce.remember(map, origin)
  origins[map] = origin
end

---@return { where: string?, keys: table?, spans: table? }?
function coerce.origin(map)
  return origins[map]
end

local STRING = "a string is not a step; use mp.const(%q) for a constant or mp.itemgetter(%q) " ..
  "for a key"
local ANSWER = "%s is not a step; did you call the step? 'model \"x\"' invokes it"

---Messages and Documents are what steps give, not steps.
---@return boolean
function coerce.is_answer(value)
  local mt = getmetatable(value)
  local name = type(mt) == "table" and mt.__name
  local kind = type(name) == "string" and name:match("^moonpipe%.(%l+)%.")
  return kind == "message" or kind == "document"
end

local function advice(value)
  if type(value) == "string" then return STRING:format(value, value) end
  if value == nil then return "nil is not a step; is the name written right?" end
  if coerce.is_answer(value) then return ANSWER:format(errors.shape(value)) end
  return ("%s is not a step; use mp.const(value) for a constant"):format(errors.shape(value))
end

local function refuse(value, path, where, what)
  local message = advice(value)
  if runnable.is_class(value) then
    local name = runnable.class_name(value)
    message = ("%s is a class; write %s()"):format(name, name)
  end
  what = path and ("in map key '%s'"):format(path) or what
  if what then message = what .. ": " .. message end
  errors.usage(message, where)
end

---The step that [value] is.
---@param value any
---@param path string?   key path in the map being made, for messages
---@param where string?  file:line, for messages
---@param what string?   what it is to the step that is made, for messages
---@return moonpipe.Runnable
function coerce.step(value, path, where, what)
  if runnable.is(value) then return value end
  if type(value) == "function" then
    return require("moonpipe.steps.lambda").RunnableLambda(value)
  end
  if type(value) == "table" and getmetatable(value) == nil then
    return require("moonpipe.steps.parallel").from_table(value, path, where)
  end
  local mt = getmetatable(value)
  if type(mt) == "table" and mt.__call and not runnable.is_class(value) then
    return require("moonpipe.steps.lambda").RunnableLambda(value)
  end
  return refuse(value, path, where, what)
end

return coerce
