--- Joining steps: what `|`, `pipe` and RunnableSequence(...) do.
local coerce = require "moonpipe.coerce"
local errors = require "moonpipe.error"
local sequence = require "moonpipe.steps.sequence"

local compose = {}

---`a | b`. Sequences are spliced: a sequence is never a step of a sequence.
---@param a any
---@param b any
---@param where string?   file:line of the operator; found out if not given
---@param a_span string?  file:line:column-column of the operand, where that is known
---@param b_span string?
---@return moonpipe.Runnable
function compose.join(a, b, where, a_span, b_span)
  where = where or errors.caller()
  return sequence.join(coerce.step(a, nil, where), coerce.step(b, nil, where), where, a_span,
    b_span)
end

---mp.pipe(a, b, c): the same in plain Lua.
---@return moonpipe.Runnable
function compose.pipe(first, ...)
  local count = select("#", ...)
  if count == 0 then errors.usage("pipe takes at least two steps, got 1") end
  local where = errors.caller()
  local result = first
  for i = 1, count do
    result = compose.join(result, (select(i, ...)), where)
  end
  return result
end

return compose
