--- What a value has, for completion: its fields, its methods, the options that it takes. Nothing
--- of the user's is called for it.
local env = require "moonpipe.tool.repl.env"
local mp = require "moonpipe"
local runnable = require "moonpipe.steps.runnable"

local members = {}

local DEEP = 20 -- tables behind one another; there may be a cycle

-- The value itself, and the tables in which its fields are looked for.
local function homes_of(value)
  local list = {}
  while value ~= nil and #list < DEEP do
    if type(value) == "table" then list[#list + 1] = value end
    local mt = debug.getmetatable(value)
    value = type(mt) == "table" and rawget(mt, "__index") or nil
    if type(value) == "function" then break end
  end
  return list
end

---The field of a value.
---@param value any
---@param name string
---@return any
function members.field(value, name)
  if rawequal(value, mp) then
    local ok, found = pcall(function() return mp[name] end)
    return ok and found or nil
  end
  for _, home in ipairs(homes_of(value)) do
    local found = rawget(home, name)
    if found ~= nil then return found end
  end
end

-- What a class object has beside its constructors.
local INSIDE = { methods = true, name = true, mt = true, new = true }

---The names of its fields.
---@param value any
---@param methods boolean?  only those that can be called
---@return string[]
function members.names(value, methods)
  if rawequal(value, mp) then return methods and {} or mp.names() end
  local names, is_class = {}, runnable.is_class(value)
  for _, home in ipairs(homes_of(value)) do
    for name, field in next, home do
      local wanted = type(name) == "string" and (not methods or type(field) == "function")
      if wanted and not (is_class and INSIDE[name]) then names[#names + 1] = name end
    end
  end
  return names
end

---The value of `a.b.c`.
---@param path string
---@return any
function members.at(path)
  local value
  for separator, name in path:gmatch("([.:]?)([^.:]+)") do
    if separator == "" then
      value = env.get(name)
    elseif value ~= nil then
      value = members.field(value, name)
    end
  end
  return value
end

---Whether its methods are those of the library.
---@param value any
---@return boolean
function members.is_ours(value)
  local mt = type(value) == "table" and debug.getmetatable(value)
  local name = type(mt) == "table" and rawget(mt, "__name")
  return type(name) == "string" and name:find("^moonpipe%.") ~= nil
end

-- ---- options -------------------------------------------------------------------------

-- Functions that look at their options before anything else, and methods that only make a step.
local SAFE = {}
for name in ([[create_agent cassette ingest loop tool with_retry with_timeout
  as_retriever]]):gmatch("%S+") do
  SAFE[name] = true
end

-- Methods whose table is a config: which argument that is.
local CONFIG = { invoke = 2, try_invoke = 2, stream = 2, batch = 2, start = 2, stream_events = 2,
  with_config = 1 }

-- No option has this name, and the complaint tells those that there are.
local NO_OPTION = { ["\1"] = true }

local function told_by(fn, ...)
  local ok, complaint = pcall(fn, ...)
  if ok then return {} end
  local list = tostring(complaint):match("; allowed: ([%w_, ]*)")
  local names = {}
  for name in (list or ""):gmatch("[%w_]+") do names[#names + 1] = name end
  return names
end

-- Whether [value] is what the language has under this name: nothing of the user's is called.
local function is_language(name, value)
  return value ~= nil and rawequal(rawget(mp, name), value)
end

local function of_method(owner, name, argument)
  if not runnable.is(owner) and not members.is_ours(owner) then return {} end
  if CONFIG[name] == argument and runnable.is(owner) then
    return told_by(require("moonpipe.context_config").check, NO_OPTION)
  end
  if argument ~= 1 or not SAFE[name] then return {} end
  return told_by(members.field(owner, name), owner, NO_OPTION)
end

-- `FAISS.from_texts(texts, { … })`: the first argument may have to be a list or a text.
local function of_static(owner, of, name, argument)
  local called = members.field(owner, name)
  if not is_language(of, owner) or not name:find("^from_") or argument ~= 2 then return {} end
  local names = told_by(called, {}, NO_OPTION)
  return #names > 0 and names or told_by(called, "", NO_OPTION)
end

---The names of the options in a table that is given to what is called [path].
---@param path string
---@param argument integer  which argument the table is
---@return string[]
function members.options(path, argument)
  local owner_path, separator, name = path:match("^(.*)([.:])([^.:]+)$")
  local owner = owner_path and members.at(owner_path)
  if separator == ":" then return of_method(owner, name, argument) end
  if owner and not rawequal(owner, mp) then
    return of_static(owner, owner_path:match("[^.:]+$"), name, argument)
  end
  name = name or path
  local called = members.at(path)
  if argument ~= 1 or not is_language(name, called) then return {} end
  return (SAFE[name] or name:find("^%u")) and told_by(called, NO_OPTION) or {}
end

return members
