--- Runs the step that its input names: `{ key = "math", input = "1 + 1" }`.
local errors = require "moonpipe.error"
local members = require "moonpipe.members"
local parallel = require "moonpipe.parallel"
local run = require "moonpipe.run"
local runnable = require "moonpipe.runnable"

---@class moonpipe.RouterRunnable: moonpipe.Runnable
---@field steps table<string|integer, moonpipe.Runnable>  by key
---@field keys (string|integer)[]                         sorted
---@field list moonpipe.Runnable[]                        in the order of keys
local RouterRunnable, methods = runnable.class("RouterRunnable")

---RouterRunnable{ key = step }.
---@param map table
function RouterRunnable.new(map)
  if type(map) ~= "table" or getmetatable(map) ~= nil or next(map) == nil then
    errors.usage("RouterRunnable takes a table of steps, got " .. errors.shape(map))
  end
  local routes = parallel.from_table(map, nil, errors.caller())
  return runnable.instance(RouterRunnable, {
    keys = routes.keys,
    list = routes.list,
    steps = routes.steps,
    wheres = routes.wheres,
    sync = routes.sync,
  })
end

local function names_of(self)
  local names = {}
  for i, key in ipairs(self.keys) do names[i] = tostring(key) end
  return names
end

local function refuse(self, key)
  local names = names_of(self)
  errors.raise("input", ("%s has no step for key '%s'; it has {%s}%s"):format(self:get_name(),
    errors.text(key), table.concat(names, ", "), errors.hint(key, names)))
end

-- The step that [input] names.
local function step_of(self, input)
  local key = type(input) == "table" and getmetatable(input) == nil and input.key
  if not key then
    errors.raise("input", ("%s takes a table { key =, input = }, got %s"):format(self:get_name(),
      errors.shape(input)))
  end
  return self.steps[key] or refuse(self, key), key
end

local function fail(self, key, err)
  err = errors.wrap(err)
  err.step = err.step or self.steps[key]:get_name()
  for i, one in ipairs(self.keys) do
    if one == key then err:at("router." .. key, self.wheres[i]) end
  end
  error(err, 0)
end

function methods:_invoke(input, ctx)
  local step, key = step_of(self, input)
  local ok, value = pcall(run.invoke, step, input.input, ctx, "router:key:", key)
  if ok then return value end
  return fail(self, key, value)
end

function methods:_stream(input, ctx)
  local step, key, inner
  return function()
    if not inner then
      step, key = step_of(self, input)
      inner = run.stream(step, input.input, ctx, "router:key:", key)
    end
    local ok, value = pcall(inner)
    if ok then return value end
    return fail(self, key, value)
  end
end

-- ---- what others ask -----------------------------------------------------------

function methods:_takes_kwargs()
  return members.take_kwargs(self.list)
end

function methods:_check_keys(keys)
  local has = {}
  for _, key in ipairs(keys) do has[key] = true end
  for _, key in ipairs { "key", "input" } do
    if not has[key] then
      return ("RouterRunnable: '%s' is missing: the step before gives {%s}"):format(key,
        table.concat(keys, ", "))
    end
  end
end

function methods:_output_keys()
  return members.output_keys(self.list, nil)
end

function methods:_input_schema()
  return require("moonpipe.schemas").keys { "input", "key" }
end

function methods:_parts()
  local items = {}
  for i, step in ipairs(self.list) do items[i] = { step = step, label = tostring(self.keys[i]) } end
  return { shape = "choice", items = items }
end

function methods:_label()
  return self.name or ("RouterRunnable{%s}"):format(table.concat(names_of(self), ", "))
end

return { RouterRunnable = RouterRunnable }
