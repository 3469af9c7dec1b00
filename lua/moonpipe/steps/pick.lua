--- Taking values out of tables, and constants: RunnablePick, itemgetter, const.
local chunk = require "moonpipe.chunk"
local errors = require "moonpipe.error"
local runnable = require "moonpipe.steps.runnable"

local pick = {}

local function check_table(self, input)
  if type(input) ~= "table" then
    errors.raise("input", ("%s takes a table, got %s"):format(self:get_name(), errors.shape(input)))
  end
end

local function is_key(key)
  return type(key) == "string" or type(key) == "number"
end

local function check_keys(keys, count, what)
  for i = 1, math.max(count, 1) do
    if not is_key(keys[i]) then
      errors.usage(("%s takes keys, got %s"):format(what, errors.shape(keys[i])))
    end
  end
end

local function has(keys, wanted)
  for _, key in ipairs(keys) do
    if key == tostring(wanted) then return true end
  end
  return false
end

-- ---- RunnablePick ------------------------------------------------------------

---@class moonpipe.RunnablePick: moonpipe.Runnable
---@field keys string[]?  a table of those that are there
---@field key string?     its value
local RunnablePick, picking = runnable.class("RunnablePick")
pick.RunnablePick = RunnablePick
picking.sync = true

---RunnablePick("key") gives its value; RunnablePick{ "a", "b" } a table of those
---that are there.
---@param keys string|string[]
function RunnablePick.new(keys)
  if type(keys) ~= "table" then
    check_keys({ keys }, 1, "RunnablePick")
    return runnable.instance(RunnablePick, { key = keys })
  end
  check_keys(errors.list(keys, "RunnablePick"), #keys, "RunnablePick")
  return runnable.instance(RunnablePick, { keys = { unpack(keys) } })
end

function picking:_invoke(input)
  check_table(self, input)
  if self.key ~= nil then return input[self.key] end
  local out
  for _, key in ipairs(self.keys) do
    if input[key] ~= nil then
      out = out or {}
      out[key] = input[key]
    end
  end
  return out
end

function picking:_input_schema()
  return require("moonpipe.schemas").keys({}, self.keys or { self.key })
end

-- Chunks without the key are none of ours.
function picking:_transform(source)
  local additions = chunk.additions(source)
  return function()
    while true do
      local value = additions()
      if value == nil then return nil end
      value = self:_invoke(value)
      if value ~= nil then return value end
    end
  end
end

function picking:_output_keys(keys)
  if self.key ~= nil then return nil end
  local out = {}
  for _, key in ipairs(self.keys) do
    if not keys or has(keys, key) then out[#out + 1] = tostring(key) end
  end
  table.sort(out)
  return out
end

function picking:get_name()
  return ("RunnablePick<%s>"):format(self.key or table.concat(self.keys, ","))
end

function picking:_label()
  if self.key ~= nil then return ("pick %q"):format(self.key) end
  return "pick{" .. table.concat(self.keys, ", ") .. "}"
end

-- ---- itemgetter --------------------------------------------------------------

---@class moonpipe.ItemGetter: moonpipe.Runnable
local ItemGetter, getting = runnable.class("itemgetter")
getting.sync = true

---itemgetter("key") gives the value of a key that must be there; several keys
---give an array of their values.
---@param ... string
function pick.itemgetter(...)
  local keys = { ... }
  check_keys(keys, select("#", ...), "itemgetter")
  return runnable.instance(ItemGetter, { keys = keys, key = #keys == 1 and keys[1] or nil })
end

local function get(self, input, key)
  local value = input[key]
  if value == nil then
    errors.raise("input", ("%s: key '%s' is missing: got %s"):format(self:get_name(),
      tostring(key), errors.shape(input)))
  end
  return value
end

function getting:_invoke(input)
  check_table(self, input)
  if self.key ~= nil then return get(self, input, self.key) end
  local out = { n = #self.keys }
  for i, key in ipairs(self.keys) do out[i] = get(self, input, key) end
  return out
end

function getting:_input_schema()
  return require("moonpipe.schemas").keys(self.keys)
end

function getting:_check_keys(keys)
  for _, key in ipairs(self.keys) do
    if not has(keys, key) then
      return ("itemgetter: key '%s' is missing: the step before gives {%s}%s"):format(
        tostring(key), table.concat(keys, ", "), errors.hint(key, keys))
    end
  end
end

function getting:get_name()
  local names = {}
  for i, key in ipairs(self.keys) do names[i] = ("%q"):format(key) end
  return ("itemgetter(%s)"):format(table.concat(names, ", "))
end

getting._label = getting.get_name

-- ---- const -------------------------------------------------------------------

---@class moonpipe.Const: moonpipe.Runnable
local Const, constant = runnable.class("const")
constant.sync = true

---A step that gives [value] whatever its input is.
---@param value any  not nil
function pick.const(value)
  if value == nil then errors.usage("const takes a value, got nil") end
  return runnable.instance(Const, { value = value })
end

function constant:_invoke()
  return self.value
end

function constant:_label()
  local value = self.value
  if type(value) == "string" then return ("const %q"):format(value) end
  return "const " .. errors.text(value)
end

return pick
