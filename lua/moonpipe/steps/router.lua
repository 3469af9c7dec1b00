--- Runs the step that its input names: `{ key = "math", input = "1 + 1" }`.
--
-- In a stream the step is chosen as soon as the key is whole; the input goes to it as
-- it comes.
local chunk = require "moonpipe.chunk"
local errors = require "moonpipe.error"
local interleave = require "moonpipe.interleave"
local members = require "moonpipe.members"
local parallel = require "moonpipe.steps.parallel"
local run = require "moonpipe.run"
local runnable = require "moonpipe.steps.runnable"

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
    spans = routes.spans,
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
    if one == key then err:at("router." .. key, self.wheres[i], self.spans[i] or nil) end
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

-- ---- a stream of inputs ----------------------------------------------------------

---@class moonpipe.RouterStream  what is known of one stream of inputs
---@field source fun(): any
---@field inputs any[]     chunks of `input`, not yet given to the step
---@field ended boolean?   the source has
---@field failure any      what the source raised: no fault of the step
local Route = {}
Route.__index = Route

-- The next chunk; what it has of the input is put aside.
function Route:next()
  if self.ended then return nil end
  local ok, value = pcall(self.source)
  if not ok then
    self.failure = value
    error(value, 0)
  end
  if value == nil then
    self.ended = true
  elseif type(value) == "table" and getmetatable(value) == nil and value.input ~= nil then
    self.inputs[#self.inputs + 1] = value.input
  end
  return value
end

-- All that comes until the key is known, merged; nil for nothing. A map tells where its
-- key has ended; of others it is known at the end of all.
function Route:address()
  local known = false
  return (chunk.collect(function()
    local value
    repeat
      if known then return nil end
      value = self:next()
      known = interleave.finished(value) == "key"
    until interleave.finished(value) == nil
    return value
  end))
end

function Route:give()
  while not self.inputs[1] and self:next() ~= nil do end
  return table.remove(self.inputs, 1)
end

-- Begins the step that the key names; nil where nothing comes at all.
local function begin(self, route, ctx)
  local address = route:address()
  if address == nil then return nil end
  local step, key = step_of(self, address)
  route.key = key
  if route.ended and not route.inputs[1] then
    return run.stream(step, nil, ctx, "router:key:", key)
  end
  return run.transform(step, function() return route:give() end, ctx, "router:key:", key)
end

function methods:_transform(source, ctx)
  local route, inner = setmetatable({ source = source, inputs = {} }, Route), nil
  return function()
    inner = inner or begin(self, route, ctx)
    if not inner then return nil end
    local ok, value = pcall(inner)
    if ok then return value end
    if value == route.failure then error(value, 0) end
    return fail(self, route.key, value)
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

-- As its steps do, once it knows which.
function methods:_flow()
  local flow
  for _, step in ipairs(self.list) do
    local one = require("moonpipe.explain").describe(step).flow
    flow = (flow == nil or flow == one) and one or "answers"
  end
  return flow
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
