--- Runs a step on its own answer, again and again, until a condition holds.
local coerce = require "moonpipe.coerce"
local errors = require "moonpipe.error"
local json = require "moonpipe.json"
local run = require "moonpipe.run"
local runnable = require "moonpipe.steps.runnable"
local traversal = require "moonpipe.traversal"

local NULL = json.null
local ROUNDS = 25 -- as the recursion limit: an endless loop of model calls is dear

---@class moonpipe.RunnableLoop: moonpipe.Runnable
---@field body moonpipe.Runnable
---@field until_ moonpipe.Runnable  is given what each round gave
---@field max integer               rounds
local RunnableLoop, methods = runnable.class("RunnableLoop")

local loop_until = {}

local OPTIONS = { "body", "max", "name", "until_" }

---`mp.loop{ body = step, until_ = condition, max = 25 }`: the body runs at least
---once. Where the condition does not hold after `max` rounds, an error of kind
---`limit` names the loop; its `partial` is what the last round gave.
---@param opts { body: any, until_: any, max: integer?, name: string? }
---@return moonpipe.RunnableLoop
function loop_until.loop(opts)
  local where = errors.caller()
  opts = errors.options(opts, OPTIONS, "loop")
  local max = opts.max or ROUNDS
  if type(max) ~= "number" or max < 1 or max ~= math.floor(max) or max == math.huge then
    errors.usage("max of loop takes a whole number from 1, got " .. errors.shape(max), where)
  end
  if opts.name ~= nil and type(opts.name) ~= "string" then
    errors.usage("name of loop takes a string, got " .. errors.shape(opts.name), where)
  end
  local body = coerce.step(opts.body, nil, where, "body of loop")
  local condition = coerce.step(opts.until_, nil, where, "until_ of loop")
  local keys = body:_output_keys(nil)
  local problem = keys and body:_check_keys(keys)
  if problem and max > 1 then errors.usage("in a second round of loop: " .. problem, where) end
  return runnable.instance(RunnableLoop, {
    body = body,
    until_ = condition,
    max = max,
    name = opts.name,
    where = where,
    sync = body.sync and condition.sync,
  })
end

local function within(self, part, step, input, ctx, kind, i)
  local ok, value = pcall(run.invoke, step, input, ctx, kind, i)
  if ok then return value end
  local err = errors.wrap(value)
  err.step = err.step or step:get_name()
  error(err:at(part .. i, self.where), 0)
end

function methods:_invoke(input, ctx)
  for i = 1, self.max do
    input = within(self, "round ", self.body, input, ctx, "loop:round:", i)
    local held = within(self, "condition ", self.until_, input, ctx, "condition:", i)
    if held and held ~= NULL then return input end
  end
  errors.raise("limit", ("%s: until_ did not hold within %d round%s"):format(self:_label(),
    self.max, self.max == 1 and "" or "s"), { partial = input, step = self:get_name() })
end
traversal.carrying(methods._invoke)

-- ---- what others ask -----------------------------------------------------------

function methods:_begins_with_user_code()
  return self.body:_begins_with_user_code()
end

function methods:_takes_kwargs()
  return self.body:_takes_kwargs() or self.until_:_takes_kwargs()
end

function methods:_check_keys(keys)
  return self.body:_check_keys(keys)
end

function methods:_output_keys(keys)
  return self.body:_output_keys(keys)
end

function methods:_parts()
  local title = ("until %s, at most %d rounds"):format(self.until_:_label(), self.max)
  return { shape = "frame", title = title, items = { { step = self.body } } }
end

function methods:_label()
  return self.name or ("loop{%s}"):format(self.body:_label())
end

return loop_until
