--- MOONPIPE_CHECK=1: tells of branches that write into what they share.
--
-- Branches of user code get a shallow copy of their input; nested tables are
-- shared, and nobody may write to them. With the check on, each map compares its
-- input with a deep copy made before, and warns of what changed.
local errors = require "moonpipe.error"
local json = require "moonpipe.json"
local log = require "moonpipe.log"

local watch = { on = os.getenv "MOONPIPE_CHECK" == "1" }

local TOLD = "%s: a branch of %s wrote into the input that it shares, at '%s'"

local ARRAY = getmetatable(json.array({}))

-- Data: tables of the user's, and arrays that came as JSON.
local function is_plain(value)
  if type(value) ~= "table" then return false end
  local mt = getmetatable(value)
  return mt == nil or mt == ARRAY
end

-- A deep copy of plain tables; `seen` keeps cycles and shared parts what they are.
local function snapshot(value, seen)
  if not is_plain(value) then return value end
  if seen[value] then return seen[value] end
  local copy = {}
  seen[value] = copy
  for key, field in pairs(value) do copy[key] = snapshot(field, seen) end
  return copy
end

-- The path of the first difference, or nil.
local function difference(before, now, path, seen)
  if not is_plain(now) or not is_plain(before) then
    return before ~= now and path or nil
  end
  if seen[now] then return nil end
  seen[now] = true
  for key, field in pairs(now) do
    local at = path == "" and tostring(key) or path .. "." .. tostring(key)
    local found = difference(before[key], field, at, seen)
    if found then return found end
  end
  for key in pairs(before) do
    if now[key] == nil then return path == "" and tostring(key) or path .. "." .. tostring(key) end
  end
end

---A map's _invoke that looks at its input afterwards.
---@param invoke fun(self, input, ctx): any
---@return fun(self, input, ctx): any
function watch.watched(invoke)
  return function(self, input, ctx)
    local before = snapshot(input, {})
    local ok, value = pcall(invoke, self, input, ctx)
    local path = difference(before, input, "", {})
    if path then
      log.warn(TOLD:format(self.wheres[1] or errors.caller() or "?", self:_label(), path))
    end
    if not ok then error(value, 0) end
    return value
  end
end

return watch
