--- Prints any value readably, whatever is in it.
--
-- Never raises on the value's account: failing metamethods, cycles, and tables
-- too deep or too long are shown as what they are. Keys are sorted (integers
-- ascending, then strings by bytes), so equal values print equally.
local errors = require "moonpipe.error"
local json = require "moonpipe.json"

local WIDTH = 80 -- a table that fits stands on one line
local DEFAULTS = { depth = 8, max_items = 100, max_string = 1000 }
local OPTIONS = { "depth", "max_items", "max_string" }

local render -- of tables and their members in turn

-- ---- scalars -----------------------------------------------------------------

local ESCAPES = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }

local function escape(byte)
  return ESCAPES[byte] or ("\\%03d"):format(byte:byte())
end

-- Terminals obey U+0080 to U+009F as controls.
local function showable(bytes)
  return not bytes:find("\194[\128-\159]") and json.encode(bytes) == '"' .. bytes .. '"'
end

local function escape_unless_showable(bytes)
  return showable(bytes) and bytes or (bytes:gsub(".", escape))
end

-- A run of bytes beyond ASCII. Mostly it is fine as a whole; else each character is judged alone.
local function escape_wide(run)
  return showable(run) and run
    or (run:gsub("[\192-\255]?[\128-\191]*", escape_unless_showable))
end

-- Cuts before the byte that begins a character, not inside one.
local function cut(text, max)
  while max > 0 and text:byte(max + 1) >= 0x80 and text:byte(max + 1) < 0xC0 do max = max - 1 end
  return text:sub(1, max)
end

local function quote(text, max)
  local shown, rest = text, ""
  if #text > max then
    shown, rest = cut(text, max), ("… (%d bytes)"):format(#text)
  end
  shown = shown:gsub('[%z\1-\31\127"\\]', escape):gsub("[\128-\255]+", escape_wide)
  return '"' .. shown .. '"' .. rest
end

local function number(value)
  local text = ("%.14g"):format(value)
  if value ~= value or tonumber(text) == value then return text end
  return ("%.17g"):format(value)
end

local function other(value)
  if value == json.null then return "null" end
  if type(value) == "function" then
    local info = debug.getinfo(value, "S")
    if info.what ~= "C" then
      return ("function <%s:%d>"):format(info.short_src, info.linedefined)
    end
  end
  return errors.text(value)
end

-- ---- tables ------------------------------------------------------------------

local RANK = { number = 1, string = 2 }

local function before(a, b)
  local rank_a, rank_b = RANK[type(a)] or 3, RANK[type(b)] or 3
  if rank_a ~= rank_b then return rank_a < rank_b end
  if rank_a == 3 then return errors.text(a) < errors.text(b) end
  return a < b
end

local function sorted_keys(t)
  local keys = {}
  for key in next, t do keys[#keys + 1] = key end
  table.sort(keys, before)
  return keys
end

local KEYWORDS = {}
for word in ([[and break do else elseif end false for function goto if in local nil not or repeat
  return then true until while]]):gmatch("%a+") do
  KEYWORDS[word] = true
end

local function key_text(key, state)
  if type(key) == "string" and key:find("^[%a_][%w_]*$") and not KEYWORDS[key] then return key end
  -- a table as key is shown by its address: what is in it would not help to find it
  local text = type(key) == "table" and errors.text(key) or render(key, state, 0)
  return "[" .. text .. "]"
end

local function members(t, state, indent)
  local items, expected = {}, 1
  local keys = sorted_keys(t)
  for i, key in ipairs(keys) do
    if i > state.max_items then
      items[i] = ("… %d more"):format(#keys - i + 1)
      break
    end
    local value = render(rawget(t, key), state, indent + 1)
    if key == expected then
      items[i], expected = value, expected + 1
    else
      items[i] = key_text(key, state) .. " = " .. value
    end
  end
  return items
end

local function layout(name, items, indent)
  if #items == 0 then return name .. "{}" end
  local line = name .. "{ " .. table.concat(items, ", ") .. " }"
  if #line + 2 * indent <= WIDTH and not line:find("\n", 1, true) then return line end
  local inner, outer = "\n" .. ("  "):rep(indent + 1), "\n" .. ("  "):rep(indent)
  return name .. "{" .. inner .. table.concat(items, "," .. inner) .. "," .. outer .. "}"
end

-- `AIMessage` of `moonpipe.message.AIMessage`; an array is marked only where it cannot be seen.
local function name_of(t, mt)
  if json.is_array(t) then return next(t) == nil and "mp.array" or "" end
  local name = mt and rawget(mt, "__name")
  return type(name) == "string" and name:match("[^.]*$") or ""
end

local function fields(t, mt, state, indent)
  local name = name_of(t, mt)
  if state.open[t] then return "<cycle>" end
  if state.level >= state.depth and next(t) ~= nil then return name .. "{…}" end
  state.open[t], state.level = true, state.level + 1
  local items = members(t, state, indent)
  state.open[t], state.level = nil, state.level - 1
  return layout(name, items, indent)
end

-- What the value's own `__inspect(self, inspect)` says; nil if it says nothing that can be shown.
local function own_words(t, mt, state, indent)
  local custom = mt and rawget(mt, "__inspect")
  if not custom or state.open[t] or state.level >= state.depth then return nil end
  state.open[t], state.level = true, state.level + 1
  local ok, text = pcall(custom, t, function(value) return render(value, state, indent) end)
  state.open[t], state.level = nil, state.level - 1
  return ok and type(text) == "string" and text or nil
end

-- Steps, classes and what has no name but words of its own read best as they print themselves.
local function prints_itself(mt)
  if not rawget(mt, "__tostring") then return false end
  local name = rawget(mt, "__name")
  return name == nil or name == "moonpipe.class" or rawget(mt, "runnable") == true
end

function render(value, state, indent)
  local kind = type(value)
  if kind == "string" then return quote(value, state.max_string) end
  if kind == "number" then return number(value) end
  if kind ~= "table" then return other(value) end
  local mt = getmetatable(value)
  if type(mt) ~= "table" then mt = nil end
  local text = own_words(value, mt, state, indent)
  if text then return text end
  if mt and prints_itself(mt) then return errors.text(value) end
  return fields(value, mt, state, indent)
end

local function limit(opts, name)
  local value = opts[name]
  if value == nil then return DEFAULTS[name] end
  if type(value) ~= "number" or value ~= value or value < 0 then
    errors.usage(("%s of mp.inspect must be a number of at least 0, got %s"):format(name,
      errors.shape(value)))
  end
  return value
end

---Returns a readable text of any value: `AIMessage{ content = "hi" }`.
---@param value any
---@param opts { depth: integer?, max_items: integer?, max_string: integer? }?  tables in each
---other, members of one table, bytes of one string; defaults 8, 100, 1000
---@return string
local function inspect(value, opts)
  opts = errors.options(opts, OPTIONS, "mp.inspect")
  local state = { open = {}, level = 0 }
  for _, name in ipairs(OPTIONS) do state[name] = limit(opts, name) end
  return render(value, state, 0)
end

return inspect
