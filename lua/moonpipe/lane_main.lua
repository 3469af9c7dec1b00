--- What runs in the VM of a lane: see steps/lane.lua, which writes `given` and reads the answer.
local buffer = require "string.buffer"

local function told(value)
  local ok, text = pcall(tostring, value)
  return ok and type(text) == "string" and text or "a " .. type(value)
end

-- Handler: of an error with a kind of its own, that stays.
local function describe(value)
  local own = type(value) == "table" and type(rawget(value, "message")) == "string"
  local message = own and rawget(value, "message") or told(value)
  local kind = own and rawget(value, "kind")
  return { message = message, kind = type(kind) == "string" and kind or nil,
    traceback = debug.traceback(message, 2) }
end

local function step_of(given)
  if given.code then return assert(loadstring(given.code)) end
  local chunk, problem = loadfile(given.file)
  if not chunk then error(problem, 0) end
  local fn = chunk(given.file)
  if type(fn) == "function" then return fn end
  error(("%s must return a function, got %s"):format(given.file, type(fn)), 0)
end

local function answer(given)
  local value, failure = step_of(given)(given.value)
  if value == nil and failure ~= nil then error(failure, 0) end
  local ok, text = pcall(buffer.encode, { value = value })
  if not ok then error("a lane gives back data only: " .. text, 0) end
  return text
end

---@param text string
---@return string
return function(text)
  local given = buffer.decode(text)
  package.path, package.cpath = given.path, given.cpath
  local ok, out = xpcall(function() return answer(given) end, describe)
  if ok then return out end
  -- a text: the stack has run over, and there was no room for the handler
  if type(out) ~= "table" then out = { message = "stack overflow, too deep to say where" } end
  return buffer.encode { err = out }
end
