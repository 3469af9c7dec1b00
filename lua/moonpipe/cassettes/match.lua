--- Which exchange of a cassette answers a request: the first one not played yet that has the
-- same method, URL and body. Bodies are compared as JSON, whatever the order of their members;
-- that of the requests does not matter.
local errors = require "moonpipe.error"
local json = require "moonpipe.json"

local match = {}

local SHOWN, BYTES = 3, 40 -- differences that a message shows, and bytes of each value
local NOTHING = {}         -- stands for a member that is not there

-- ---- requests ------------------------------------------------------------------------

local function steps_of(path)
  local steps = {}
  for name in path:gsub("^%$%.?", ""):gmatch("[^%.%[%]]+") do
    steps[#steps + 1] = tonumber(name) or name
  end
  return steps
end

---The paths of members that do not count, such as `$.metadata.run`, ready for use.
---@param paths string[]?
---@return table[]
function match.ignored(paths)
  local list = {}
  for i, path in ipairs(paths or {}) do
    list[i] = type(path) == "string" and steps_of(path) or {}
    if #list[i] == 0 then
      errors.usage("ignore of a cassette is a list of paths such as '$.user', got "
        .. errors.shape(path))
    end
  end
  return list
end

-- A copy of a value without one member; the rest is shared.
local function without(value, steps, at)
  if type(value) ~= "table" or value[steps[at]] == nil then return value end
  local copy = setmetatable({}, getmetatable(value))
  for key, field in pairs(value) do copy[key] = field end
  local inner = copy[steps[at]]
  if at < #steps then
    copy[steps[at]] = without(inner, steps, at + 1)
  else
    copy[steps[at]] = type(steps[at]) == "number" and json.null or nil
  end
  return copy
end

local function body_of(request, ignored)
  local body = request.body
  for _, steps in ipairs(ignored) do body = without(body, steps, 1) end
  return body
end

local function target_of(request)
  return (request.method or "POST") .. " " .. request.url
end

local function key_of(request, ignored)
  local body = body_of(request, ignored)
  return target_of(request) .. "\n" .. json.encode(body == nil and json.null or body)
end

-- ---- differences ---------------------------------------------------------------------

local function member(path, key)
  if type(key) == "number" then return ("%s[%d]"):format(path, key) end
  return path .. "." .. key
end

local function keys_of(a, b)
  local keys, seen = {}, {}
  for _, t in ipairs { a, b } do
    for key in pairs(t) do
      if not seen[key] then keys[#keys + 1] = key end
      seen[key] = true
    end
  end
  table.sort(keys, function(x, y)
    if type(x) ~= type(y) then return type(x) == "number" end
    return x < y
  end)
  return keys
end

local function compare(a, b, path, found)
  if type(a) ~= "table" or type(b) ~= "table" or a == NOTHING or b == NOTHING then
    if a ~= b then found[#found + 1] = { path, a, b } end
    return
  end
  for _, key in ipairs(keys_of(a, b)) do
    local x, y = a[key], b[key]
    if x == nil then x = NOTHING end
    if y == nil then y = NOTHING end
    compare(x, y, member(path, key), found)
  end
end

-- Where two texts part, less some of what is before.
local function parting(a, b)
  if type(a) ~= "string" or type(b) ~= "string" then return 1 end
  local at = 1
  while at <= #a and a:byte(at) == b:byte(at) do at = at + 1 end
  return at > BYTES / 2 and at - math.floor(BYTES / 4) or 1
end

local function shown(value, from)
  if value == NOTHING then return "nothing" end
  if type(value) == "string" then
    local text = value:sub(from, from + BYTES - 1)
    text = text:gsub("^[\128-\191]+", ""):gsub("[\192-\255][\128-\191]*$", "")
    text = (from > 1 and "…" or "") .. text .. (from + BYTES <= #value and "…" or "")
    return json.encode(text)
  end
  local text = json.encode(value)
  return #text > BYTES and text:sub(1, BYTES):gsub("[\128-\255]+$", "") .. "…" or text
end

local function told(found)
  local parts = {}
  for i = 1, math.min(#found, SHOWN) do
    local path, there, asked = unpack(found[i])
    local from = parting(there, asked)
    parts[i] = ("%s: %s there, %s asked"):format(path, shown(there, from), shown(asked, from))
  end
  if #found > SHOWN then parts[#parts + 1] = ("%d more"):format(#found - SHOWN) end
  return table.concat(parts, "; ")
end

-- ---- the index -----------------------------------------------------------------------

---@class moonpipe.CassetteIndex
---@field exchanges table[]
---@field ignored table[]
---@field by_key table<string, { next: integer, list: table[] }>
local Index = {}
local index_mt = { __name = "moonpipe.CassetteIndex", __index = Index }

---@param exchanges table[]
---@param ignored table[]  of match.ignored
---@return moonpipe.CassetteIndex
function match.index(exchanges, ignored)
  local self = setmetatable({ exchanges = exchanges, ignored = ignored, by_key = {} }, index_mt)
  for _, exchange in ipairs(exchanges) do
    local key = key_of(exchange.request, ignored)
    local same = self.by_key[key] or { next = 1, list = {} }
    self.by_key[key] = same
    same.list[#same.list + 1] = exchange
  end
  return self
end

---The next exchange that answers a request, nil where there is none.
---@param request table
---@return table?
function Index:take(request)
  local same = self.by_key[key_of(request, self.ignored)]
  local exchange = same and same.list[same.next]
  if exchange then same.next = same.next + 1 end
  return exchange
end

---The exchanges that nobody asked for.
---@return table[]
function Index:rest()
  local rest = {}
  for _, same in pairs(self.by_key) do
    for i = same.next, #same.list do rest[#rest + 1] = same.list[i] end
  end
  table.sort(rest, function(a, b) return a.line < b.line end)
  return rest
end

-- The exchange that differs least, and where; nil where none goes to the same place.
local function nearest(self, request)
  local best, least
  local body = body_of(request, self.ignored)
  for _, exchange in ipairs(self.exchanges) do
    if target_of(exchange.request) == target_of(request) then
      local found = {}
      compare(body_of(exchange.request, self.ignored), body, "$", found)
      if not best or #found < #least then best, least = exchange, found end
    end
  end
  return best, least
end

local function targets(self)
  local list, seen = {}, {}
  for _, exchange in ipairs(self.exchanges) do
    local target = target_of(exchange.request)
    if not seen[target] then list[#list + 1] = target end
    seen[target] = true
  end
  if not list[1] then return "it is empty" end
  local more = #list > SHOWN and (", %d more"):format(#list - SHOWN) or ""
  return "it has only " .. table.concat(list, ", ", 1, math.min(#list, SHOWN)) .. more
end

---Why a request has no answer: what is nearest, and where they differ.
---@param request table
---@return string
function Index:why(request)
  local same = self.by_key[key_of(request, self.ignored)]
  if same then return ("asked %d times, recorded %d times"):format(#same.list + 1, #same.list) end
  local exchange, found = nearest(self, request)
  if not exchange then return targets(self) end
  return ("line %d is nearest: %s"):format(exchange.line, told(found))
end

return match
