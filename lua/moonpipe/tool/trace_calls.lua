--- Records of a trace as calls: trees, what they used and cost, and which of their steps were slow.
local drawing = require "moonpipe.tracers.drawing"
local json = require "moonpipe.json"
local usage = require "moonpipe.models.usage"

local trace_calls = {}

local ABSENT = "(not in this file)" -- a call that has not ended, or that is told elsewhere

---@class moonpipe.TraceCall: moonpipe.TraceRecord
---@field below moonpipe.TraceCall[]  in the order in which they began
---@field cost number?  dollars

-- ---- trees -------------------------------------------------------------------------------------

local function by_start(a, b)
  if a.started ~= b.started then return a.started < b.started end
  return a.id < b.id
end

-- A root for what has lost its own.
local function stand_in(roots, made, one)
  local key = one.trace_id or one.parent_id
  local root = made[key]
  if not root then
    root = { id = key, name = ABSENT, started = one.started, ended = one.ended, below = {} }
    made[key], roots[#roots + 1] = root, root
  end
  root.started, root.ended = math.min(root.started, one.started), math.max(root.ended, one.ended)
  root.below[#root.below + 1] = one
end

---The calls of records, in the order in which they began.
---@async
---@param records moonpipe.TraceRecord[]
---@return moonpipe.TraceCall[]
function trace_calls.of(records)
  local by_id, kept, roots, made = {}, {}, {}, {}
  for _, one in ipairs(records) do
    if not by_id[one.id] then
      by_id[one.id], kept[#kept + 1], one.below = one, one, {}
      one.cost = one.model and one.tokens and not one.cached and usage.cost(one.model, one.tokens)
        or nil
    end
  end
  for _, one in ipairs(kept) do
    local parent = by_id[one.parent_id]
    if parent then
      parent.below[#parent.below + 1] = one
    elseif one.parent_id then
      stand_in(roots, made, one)
    else
      roots[#roots + 1] = one
    end
  end
  for _, one in ipairs(kept) do table.sort(one.below, by_start) end
  for _, root in ipairs(roots) do table.sort(root.below, by_start) end
  table.sort(roots, by_start)
  return roots
end

---Calls fn(step, depth, path) for a call and all below it, depth first.
---@param call moonpipe.TraceCall
---@param fn fun(step: moonpipe.TraceCall, depth: integer, path: string)
function trace_calls.each(call, fn)
  local function visit(step, depth, path)
    local name = drawing.name(step.name, step.model, step.tag)
    path = path and path .. " > " .. name or name
    fn(step, depth, path)
    for _, below in ipairs(step.below) do visit(below, depth + 1, path) end
  end
  visit(call, 0)
end

---@param call moonpipe.TraceCall
---@return boolean  whether a step of it failed
function trace_calls.has_failed(call)
  local failed = false
  trace_calls.each(call, function(step) failed = failed or step.error ~= nil end)
  return failed
end

-- ---- sums --------------------------------------------------------------------------------------

---@class moonpipe.TraceTotals
---@field calls integer
---@field failed integer  calls in which a step failed
---@field steps integer
---@field input_tokens integer
---@field output_tokens integer
---@field cost number?    nil where no price is known

---@return moonpipe.TraceTotals
function trace_calls.totals(calls)
  local sum = { calls = #calls, failed = 0, steps = 0, input_tokens = 0, output_tokens = 0 }
  for _, call in ipairs(calls) do
    if trace_calls.has_failed(call) then sum.failed = sum.failed + 1 end
    trace_calls.each(call, function(step)
      local tokens = not step.cached and step.tokens or {}
      sum.steps = sum.steps + 1
      sum.input_tokens = sum.input_tokens + (tokens.input_tokens or 0)
      sum.output_tokens = sum.output_tokens + (tokens.output_tokens or 0)
      if step.cost then sum.cost = (sum.cost or 0) + step.cost end
    end)
  end
  return sum
end

---The steps that took longest, of those with no steps below them.
---@return { seconds: number, path: string, step: moonpipe.TraceCall }[]
function trace_calls.slowest(calls, count)
  local list = {}
  for _, call in ipairs(calls) do
    trace_calls.each(call, function(step, _, path)
      if #step.below > 0 then return end
      list[#list + 1] = { seconds = step.ended - step.started, path = path, step = step }
    end)
  end
  table.sort(list, function(a, b)
    if a.seconds ~= b.seconds then return a.seconds > b.seconds end
    return by_start(a.step, b.step)
  end)
  for i = #list, count + 1, -1 do list[i] = nil end
  return list
end

-- ---- for programs ------------------------------------------------------------------------------

local function step_object(step)
  return {
    name = step.name, kind = step.kind, model = step.model, error = step.error,
    branch = step.tag and step.tag:match "^map:key:(.*)$", start = step.started,
    seconds = step.ended - step.started, first = step.first, cost = step.cost,
    cached = step.cached or nil, input_tokens = step.tokens and step.tokens.input_tokens,
    output_tokens = step.tokens and step.tokens.output_tokens,
  }
end

---A call as data: `steps` are those below it.
---@param call moonpipe.TraceCall
---@return table
function trace_calls.object(call)
  local object = step_object(call)
  if #call.below == 0 then return object end
  object.steps = json.array {}
  for i, below in ipairs(call.below) do object.steps[i] = trace_calls.object(below) end
  return object
end

---The same of a slow step, with its path.
function trace_calls.slow_object(slow)
  local object = step_object(slow.step)
  object.path = slow.path
  return object
end

return trace_calls
