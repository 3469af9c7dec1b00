--- What parsers share that ask a model again where an answer cannot be parsed.
--
-- Only what a parser says of an answer (kinds `decode`, `schema`, `tool`) is worth
-- asking again; `reask = false` in an error says that it is not.
local coerce = require "moonpipe.coerce"
local errors = require "moonpipe.error"
local message = require "moonpipe.messages.message"
local scheduler = require "moonpipe.scheduler"

local repair = {}

local MENDABLE = { decode = true, schema = true, tool = true }

-- ---- options -----------------------------------------------------------------------------

---The option `max_retries`, checked.
---@return integer
function repair.count(value, what)
  if value == nil then return 1 end
  if type(value) ~= "number" or value < 0 or value ~= math.floor(value) then
    errors.usage(("max_retries of %s must be a whole number from 0, got %s"):format(what,
      errors.shape(value)))
  end
  return value
end

---Options with LangChain's word for the model.
---@return table
function repair.with_model(opts)
  local out = {}
  for name, value in pairs(opts or {}) do out[name == "llm" and "model" or name] = value end
  return out
end

---The step that an option must be.
---@return moonpipe.Runnable
function repair.step(opts, name, what)
  if opts[name] == nil then errors.usage(("%s needs %s"):format(what, name)) end
  return coerce.step(opts[name], nil, nil, ("%s of %s"):format(name, what))
end

---What [step] asks to be written into a prompt, nil where it says nothing.
---@return string?
function repair.instructions(step)
  return step.get_format_instructions and step:get_format_instructions() or nil
end

-- ---- one failure -------------------------------------------------------------------------

---The text of an answer, nil where it has none.
---@return string?
function repair.text(raw)
  if message.class_of(raw) then return message.text(raw) end
  return type(raw) == "string" and raw or nil
end

---What a parser raised about [raw], with its text and its place.
---@param raw any
---@return moonpipe.Error
function repair.failure(step, raised, raw)
  local err = errors.wrap(raised)
  if err.partial == nil and MENDABLE[err.kind] then err.partial = repair.text(raw) end
  err.step = err.step or step:get_name()
  return err:at("parser " .. step:get_name())
end

---Whether the model may do better: not where the running task is ended.
---@return boolean
function repair.is_mendable(err)
  return MENDABLE[err.kind] and err.reask ~= false
    and not scheduler.cancelled(scheduler.current())
end

---What a model raised, with its place.
---@param model moonpipe.Runnable
---@return moonpipe.Error
function repair.located(model, err)
  err = errors.wrap(err)
  err.step = err.step or model:get_name()
  return err:at("model " .. model:get_name())
end

return repair
