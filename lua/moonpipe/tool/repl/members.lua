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

-- The value that has a method, and its name.
local function split(path)
  local owner, separator, name = path:match("^(.*)([.:])([^.:]+)$")
  if not owner then return nil, ".", path end
  return members.at(owner), separator, name
end

---The names of the options in a table that is given to what is called [path].
---@param path string
---@param argument integer  which argument the table is
---@return string[]
function members.options(path, argument)
  local owner, separator, name = split(path)
  if separator == ":" and CONFIG[name] == argument and runnable.is(owner) then
    local configs = require "moonpipe.context_config"
    return told_by(configs.check, NO_OPTION)
  end
  local called = members.at(path)
  if argument == 2 and name:find("^from_") and type(called) == "function" then
    local names = told_by(called, {}, NO_OPTION)
    return #names > 0 and names or told_by(called, "", NO_OPTION)
  end
  if argument ~= 1 then return {} end
  if runnable.is_class(called) then return told_by(called, NO_OPTION) end
  if type(called) ~= "function" or not (SAFE[name] or name:find("^%u")) then return {} end
  if separator == ":" then return told_by(called, owner, NO_OPTION) end
  return told_by(called, NO_OPTION)
end

return members
