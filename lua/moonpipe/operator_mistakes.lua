--- What is wrong with the operands of `|` and with maps, in the author's words; operator.lua asks.
local coerce = require "moonpipe.coerce"
local errors = require "moonpipe.error"
local operator = require "moonpipe.operator"
local runnable = require "moonpipe.steps.runnable"

local mistakes = {}

local is_number, is_step = operator.is_number, operator.is_step

local function refuse_operand(value, text, where)
  if runnable.is_class(value) then
    local name = runnable.class_name(value)
    errors.usage(("%s is a class; write %s()"):format(name, name), where)
  end
  local is_answer = type(value) == "string" or coerce.is_answer(value)
  local advice = is_answer and "; did you call the step? 'model \"x\"' invokes it" or ""
  errors.usage(("cannot pipe '%s' (%s) into a chain%s"):format(text, errors.shape(value), advice),
    where)
end

-- Lua's own words, where a number shows that bits were meant.
local function refuse_bits(a, b, site, where)
  local value, text = a, site.left
  if is_number(a) then value, text = b, site.right end
  errors.usage(("attempt to perform bitwise operation on a %s value ('%s')"):format(
    type(value), text), where)
end

---Raises: one of the operands is no step.
---@param where string  file:line
function mistakes.refuse(a, b, site, where)
  local a_fits, b_fits = is_step(a), is_step(b)
  if not a_fits and not b_fits and (is_number(a) or is_number(b)) then
    return refuse_bits(a, b, site, where)
  end
  if a_fits then return refuse_operand(b, site.right, where) end
  return refuse_operand(a, site.left, where)
end

---Raises: the value of a key is nil.
---@param entry table
---@param name string  of the text
function mistakes.refuse_vanished(entry, name)
  errors.usage(("in map key '%s': '%s' is nil"):format(tostring(entry.key), entry.text),
    name .. ":" .. entry.line)
end

---Raises if a map of [site], which has too few keys, misses one that was computed.
---@param site table
---@param name string  of the text
function mistakes.check_computed(site, name)
  local computed = {}
  for _, entry in ipairs(site.entries) do
    if entry.spread then return end
    if entry.computed then computed[#computed + 1] = entry end
  end
  if #computed == 0 then return end
  local entry = computed[1]
  if #computed == 1 then
    errors.usage(("in map key '[%s]': '%s' is nil, or the key is written twice"):format(
      entry.computed, entry.text), name .. ":" .. entry.line)
  end
  errors.usage(("in a map with %d computed keys, from '[%s]' on: a value is nil, or a key is "
    .. "written twice"):format(#computed, entry.computed), name .. ":" .. entry.line)
end

return mistakes
