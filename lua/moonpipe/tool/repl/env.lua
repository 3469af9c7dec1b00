--- What the names at the prompt mean: variables of earlier lines, globals, and the names of the
--- language without `mp.`.
--
-- A text that declares locals at its top level ends with a call that copies them here, where
-- later texts find them by name. So a closure made in the same text keeps the variable itself,
-- and later texts see the copy.
local errors = require "moonpipe.error"
local loader = require "moonpipe.loader"
local mp = require "moonpipe"

local env = {
  KEEP = "__moonpipe_keep_locals",
  PASS = "__moonpipe_pass", -- around an expression: a tail call would hide its line
}

local NIL = {} -- a kept variable whose value is nil

local kept = {} -- name -> value
local assigned = {} -- globals that were assigned, even nil
local language -- name -> true
env.hints = {} -- what is meant by names that are none
env.used = {} -- names of the language that were used without `mp.`

local function is_language(name)
  if not language then
    language = {}
    for _, one in ipairs(mp.names()) do language[one] = true end
  end
  return language[name]
end

-- ---- reading and writing -----------------------------------------------------------

---@param name string
---@return any
function env.get(name)
  local value = kept[name]
  if value == NIL then return nil end
  if value ~= nil then return value end
  value = _G[name]
  if value == nil and is_language(name) then return mp[name] end
  return value
end

---@param name string
---@param value any
function env.keep(name, value)
  kept[name] = value == nil and NIL or value
end

---The names that mean something, sorted; `mp`'s last.
---@return string[] names
---@return string[] of_language
function env.names()
  local names = {}
  for _, from in ipairs { kept, _G } do
    for name in next, from do
      if type(name) == "string" then names[#names + 1] = name end
    end
  end
  table.sort(names)
  return names, mp.names()
end

local function complain(name)
  if env.hints[name] then
    errors.usage(("undefined global '%s'; did you mean %s?"):format(name, env.hints[name]))
  end
  local names, of_language = env.names()
  for _, one in ipairs(of_language) do names[#names + 1] = one end
  errors.usage(("undefined global '%s'%s"):format(errors.text(name), errors.hint(name, names)))
end

local function read(_, name)
  local value = env.get(name)
  if value ~= nil then
    if kept[name] == nil and rawget(_G, name) == nil then env.used[name] = true end
    return value
  end
  if kept[name] == nil and not assigned[name] then complain(name) end
end

local function write(_, name, value)
  if kept[name] ~= nil then return env.keep(name, value) end
  assigned[name] = true
  _G[name] = value
end

-- Called by the last line of a text.
local function keep_locals()
  local at = 1
  while true do
    local name, value = debug.getlocal(2, at)
    if not name then return end
    if name:find("^[%a_]") then env.keep(name, value) end
    at = at + 1
  end
end

local own = { [env.KEEP] = keep_locals, [env.PASS] = function(...) return ... end }

---Of the lines that are typed.
env.typed = setmetatable({ [env.KEEP] = own[env.KEEP], [env.PASS] = own[env.PASS] },
  { __index = read, __newindex = write })

---Of a script: what `moonpipe run` would give it, but for its locals, which are kept.
---@return table
function env.script()
  local strict = loader.strict()
  return setmetatable({ [env.KEEP] = keep_locals }, { __index = strict, __newindex = strict })
end

return env
