--- Runs the step of the first condition that holds, or the default.
local coerce = require "moonpipe.coerce"
local errors = require "moonpipe.error"
local json = require "moonpipe.json"
local members = require "moonpipe.members"
local run = require "moonpipe.run"
local runnable = require "moonpipe.steps.runnable"

local NULL = json.null
local pcall, invoke = pcall, run.invoke

---@class moonpipe.RunnableBranch: moonpipe.Runnable
---@field conditions moonpipe.Runnable[]
---@field list moonpipe.Runnable[]  the steps of the conditions, the default last
---@field where string?             file:line at which it was composed
local RunnableBranch, methods = runnable.class("RunnableBranch")

-- ---- making ------------------------------------------------------------------

local function is_plain(value)
  return type(value) == "table" and getmetatable(value) == nil
end

local function check_pair(pair, i, where)
  local what = errors.shape(pair)
  if is_plain(pair) and #pair <= 2 then
    if pair[1] ~= nil and pair[2] ~= nil then return end
    what = "a pair in which one is nil"
  end
  errors.usage(("branch %d of RunnableBranch takes a pair {condition, step}, got %s"):format(i,
    what), where)
end

-- A list as the last argument would be taken for a map of two.
local function check_default(default, where)
  if is_plain(default) and default[1] ~= nil then
    errors.usage("the last argument of RunnableBranch is the default, a step of its own, got "
      .. errors.shape(default), where)
  end
end

---RunnableBranch({ condition, step }, …, default). A condition is a step whose
---answer is looked at: nil, false and JSON's null do not hold.
function RunnableBranch.new(...)
  local count, where = select("#", ...), errors.caller()
  if count < 2 then
    errors.usage("RunnableBranch takes at least one pair {condition, step} and a default, got "
      .. count, where)
  end
  local arguments, conditions, list = { ... }, {}, {}
  for i = 1, count - 1 do
    check_pair(arguments[i], i, where)
    conditions[i] = coerce.step(arguments[i][1], nil, where, "condition " .. i)
    list[i] = coerce.step(arguments[i][2], nil, where, "branch " .. i)
  end
  check_default(arguments[count], where)
  list[count] = coerce.step(arguments[count], nil, where, "the default")
  return runnable.instance(RunnableBranch, {
    conditions = conditions,
    list = list,
    where = where,
    sync = members.are_sync(conditions) and members.are_sync(list),
  })
end

-- ---- running -----------------------------------------------------------------

local function key_of(self, i)
  return i < #self.list and i or "default"
end

local function located(self, part, step, err)
  err = errors.wrap(err)
  err.step = err.step or step:get_name()
  return err:at(part, self.where)
end

-- The index of the step to run.
local function choose(self, input, ctx)
  local conditions = self.conditions
  for i = 1, #conditions do
    local ok, held = pcall(invoke, conditions[i], input, ctx, "condition:", i)
    if not ok then error(located(self, "condition " .. i, conditions[i], held), 0) end
    if held and held ~= NULL then return i end
  end
  return #self.list
end

local function fail(self, i, err)
  error(located(self, "branch " .. key_of(self, i), self.list[i], err), 0)
end

function methods:_invoke(input, ctx)
  local i = choose(self, input, ctx)
  local ok, value = pcall(invoke, self.list[i], input, ctx, "branch:", key_of(self, i))
  if ok then return value end
  return fail(self, i, value)
end

-- It chooses when somebody asks for the first chunk.
function methods:_stream(input, ctx)
  local inner, i
  return function()
    if not inner then
      i = choose(self, input, ctx)
      inner = run.stream(self.list[i], input, ctx, "branch:", key_of(self, i))
    end
    local ok, value = pcall(inner)
    if ok then return value end
    return fail(self, i, value)
  end
end

-- ---- what others ask -----------------------------------------------------------

function methods:_begins_with_user_code()
  return members.begin_with_user_code(self.conditions) or members.begin_with_user_code(self.list)
end

function methods:_takes_kwargs()
  return members.take_kwargs(self.conditions) or members.take_kwargs(self.list)
end

function methods:_check_keys(keys)
  for i, step in ipairs(self.list) do
    local condition = self.conditions[i]
    local problem = condition and condition:_check_keys(keys)
    if problem then return ("in condition %d: %s"):format(i, problem) end
    problem = step:_check_keys(keys)
    if problem then return ("in branch %s: %s"):format(key_of(self, i), problem) end
  end
end

function methods:_output_keys(keys)
  return members.output_keys(self.list, keys)
end

function methods:_parts()
  local items = {}
  for i, step in ipairs(self.list) do
    local condition = self.conditions[i]
    items[i] = { step = step, label = condition and "if " .. condition:_label() or "else" }
  end
  return { shape = "choice", items = items }
end

function methods:_label()
  if self.name then return self.name end
  local labels = {}
  for i, condition in ipairs(self.conditions) do
    labels[i] = ("{%s, %s}"):format(condition:_label(), self.list[i]:_label())
  end
  labels[#labels + 1] = self.list[#self.list]:_label()
  return ("RunnableBranch(%s)"):format(table.concat(labels, ", "))
end

return { RunnableBranch = RunnableBranch }
