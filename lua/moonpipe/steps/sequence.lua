--- Runs its steps in order, each fed the result of the one before.
local coerce = require "moonpipe.coerce"
local errors = require "moonpipe.error"
local members = require "moonpipe.members"
local run = require "moonpipe.run"
local runnable = require "moonpipe.steps.runnable"
local traversal = require "moonpipe.traversal"

local pcall, invoke = pcall, run.invoke

---@class moonpipe.RunnableSequence: moonpipe.Runnable
---@field steps moonpipe.Runnable[]  flat: a sequence is never a step of a sequence
---@field wheres (string|false)[]    file:line at which each step was joined
---@field spans (string|false)[]     file:line:column-column of each where `|` has it
local RunnableSequence, methods = runnable.class("RunnableSequence")

local sequence = { RunnableSequence = RunnableSequence }

local function append(steps, wheres, spans, step, where, span)
  if getmetatable(step) ~= RunnableSequence.mt then
    steps[#steps + 1] = step
    wheres[#steps], spans[#steps] = where or false, span or false
    return
  end
  for i, inner in ipairs(step.steps) do
    steps[#steps + 1] = inner
    wheres[#steps] = step.wheres[i] or where or false
    spans[#steps] = step.spans[i]
  end
end

-- What is known of the keys that arrive at each step is held against what the
-- step needs: a prompt's missing variable shows before the first call.
local function check_keys(steps, wheres)
  local keys
  for i, step in ipairs(steps) do
    local message = keys and step:_check_keys(keys)
    if message then errors.usage(message, wheres[i] or nil) end
    keys = step:_output_keys(keys)
  end
end

local function make(steps, wheres, spans)
  check_keys(steps, wheres)
  return runnable.instance(RunnableSequence, {
    steps = steps,
    wheres = wheres,
    spans = spans,
    count = #steps,
    sync = members.are_sync(steps),
  })
end

---The sequence of two steps joined at [where].
---@param a moonpipe.Runnable
---@param b moonpipe.Runnable
---@param where string?
---@param a_span string?
---@param b_span string?
---@return moonpipe.RunnableSequence
function sequence.join(a, b, where, a_span, b_span)
  local steps, wheres, spans = {}, {}, {}
  append(steps, wheres, spans, a, where, a_span)
  append(steps, wheres, spans, b, where, b_span)
  return make(steps, wheres, spans)
end

---RunnableSequence(a, b, ...): at least two steps, coerced.
function RunnableSequence.new(...)
  local count = select("#", ...)
  if count < 2 then
    errors.usage("RunnableSequence takes at least two steps, got " .. count)
  end
  local where = errors.caller()
  local steps, wheres, spans = {}, {}, {}
  for i = 1, count do
    append(steps, wheres, spans, coerce.step((select(i, ...)), nil, where), where)
  end
  return make(steps, wheres, spans)
end

local function locate(self, i, err)
  local part = ("step %d of %d %s"):format(i, self.count, self.steps[i]:get_name())
  err = errors.wrap(err)
  err.step = err.step or self.steps[i]:get_name()
  return err:at(part, self.wheres[i] or nil, self.spans[i] or nil)
end

function methods:_invoke(input, ctx)
  local steps = self.steps
  for i = 1, self.count do
    local step = steps[i]
    local ok, value = pcall(invoke, step, input, ctx, "seq:step:", i)
    if not ok then error(locate(self, i, value):given(input), 0) end
    input = value
  end
  return input
end
traversal.carrying(methods._invoke)

-- Step i as a stream that names itself in its errors. `blame.seen` is the error
-- that has its place already, or is the source's own: others pass it on.
local function located(self, i, inner, blame)
  return function()
    local ok, value = pcall(inner)
    if ok then return value end
    if value ~= blame.seen then blame.seen = locate(self, i, value) end
    error(blame.seen, 0)
  end
end

-- Each step pulls from the one before.
local function chained(self, first, ctx, blame)
  local next_chunk = located(self, 1, first, blame)
  for i = 2, self.count do
    local inner = run.transform(self.steps[i], next_chunk, ctx, "seq:step:", i)
    next_chunk = located(self, i, inner, blame)
  end
  return next_chunk
end

function methods:_stream(input, ctx)
  return chained(self, run.stream(self.steps[1], input, ctx, "seq:step:", 1), ctx, {})
end

function methods:_transform(source, ctx)
  local blame = {}
  local function watched()
    local ok, value = pcall(source)
    if ok then return value end
    blame.seen = value
    error(value, 0)
  end
  return chained(self, run.transform(self.steps[1], watched, ctx, "seq:step:", 1), ctx, blame)
end

function methods:_begins_with_user_code()
  for _, step in ipairs(self.steps) do
    if step:_begins_with_user_code() then return true end
    if not members.hands_on(step) then return false end
  end
  return false
end

function methods:_check_keys(keys)
  return self.steps[1]:_check_keys(keys)
end

function methods:_output_keys(keys)
  for _, step in ipairs(self.steps) do
    keys = step:_output_keys(keys)
  end
  return keys
end

function methods:_takes_kwargs()
  return members.take_kwargs(self.steps)
end

function methods:_parts()
  local items = {}
  for i, step in ipairs(self.steps) do items[i] = { step = step } end
  return { shape = "sequence", items = items }
end

function methods:_label()
  local labels = {}
  for i, step in ipairs(self.steps) do labels[i] = step:_label() end
  return table.concat(labels, " | ")
end

return sequence
