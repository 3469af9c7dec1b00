--- What a script in a sandbox asks for by name: the host's step for it, and that step's input.
local errors = require "moonpipe.error"

local granted = {}

-- Of what a script may give a model; the rest (an address, a key, another model) is the host's.
local KWARGS = {}
for name in ([[max_tokens parallel_tool_calls response_format stop temperature tool_choice tools
  top_p]]):gmatch("%S+") do
  KWARGS[name] = true
end

local function model_of(model, kwargs)
  if kwargs == nil then return model end
  local given = {}
  for name, value in pairs(kwargs) do
    if not KWARGS[name] then
      errors.raise("input", ("a script in a sandbox cannot give a model '%s'"):format(
        errors.text(name)))
    end
    given[name] = value
  end
  return next(given) == nil and model or model:bind(given)
end

-- The step to run, and its input.
local FIND = {
  model = function(model, value)
    if type(value) ~= "table" or type(value.messages) ~= "table" then
      errors.raise("input", "a model takes messages")
    end
    local kwargs = type(value.kwargs) == "table" and value.kwargs or nil
    return model_of(model, kwargs), value.messages
  end,
  tool = function(tool, value) return tool, value end,
  step = function(step, value) return step, value end,
}

---@param grants table  models, tools, steps, by their names
---@param kind string?   "model", "tool" or "step"
---@param name any       the script's word for it
---@param value any      what it gives
---@return moonpipe.Runnable step
---@return any input
function granted.find(grants, kind, name, value)
  local step = FIND[kind] and grants[kind .. "s"][name]
  if not step then errors.raise("input", "the host grants no such thing") end
  return FIND[kind](step, value)
end

return granted
