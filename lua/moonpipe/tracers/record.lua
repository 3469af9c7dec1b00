--- What the tracers tell of a run: its model, its tokens, its contents.
local errors = require "moonpipe.error"
local inspect = require "moonpipe.inspect"
local json = require "moonpipe.json"
local native = require "moonpipe.native"
local redact = require "moonpipe.redact"

local c = native.c

local record = {}

-- Wall time at monotonic 0: one reading, so that times of one process are in order.
local offset

---Unix seconds of a time of the monotonic clock.
---@param at number
---@return number
function record.wall(at)
  offset = offset or c.wall() - c.now()
  return offset + at
end

---The answer's token usage, where the run is a model's and the provider tells it.
---@param run moonpipe.Run
---@return { input_tokens: integer?, output_tokens: integer?, total_tokens: integer? }?
function record.usage(run)
  local out = run.kind == "chat_model" and run.outputs
  return type(out) == "table" and out.usage_metadata or nil
end

---Whether the answer is out of a cache of ours.
---@param run moonpipe.Run
---@return boolean
function record.is_cached(run)
  local out = run.kind == "chat_model" and run.outputs
  return type(out) == "table" and type(out.response_metadata) == "table"
    and out.response_metadata.from_cache == true
end

---The model's name: the provider's word for it, else what was asked for.
---@param run moonpipe.Run
---@return string?
function record.model(run)
  if run.kind ~= "chat_model" then return nil end
  local out = run.outputs
  local told = type(out) == "table" and type(out.response_metadata) == "table"
    and out.response_metadata.model_name
  return told or run.step.model
end

---With how many others it shared a request or a search, itself counted: by the word for what was
---done together.
---@param run moonpipe.Run
---@return { embedded_together: integer?, searched_together: integer? }
function record.together(run)
  local out = {}
  for _, name in ipairs { "embedded_together", "searched_together" } do
    local count = run.metadata[name]
    if type(count) == "number" then out[name] = count end
  end
  return out
end

---What goes into a file or over the network: without keys.
---@param value table
---@return string
function record.encode(value)
  return redact.text(json.encode(value))
end

---One line that says how it failed.
---@param run moonpipe.Run
---@return string?
function record.problem(run)
  if not run.error then return nil end
  return (("%s: %s"):format(run.error.kind or "lua", run.error.message or ""):gsub("%s+", " "))
end

---A value as data for JSON; what has no JSON is shown as text.
---@param value any
---@return any
function record.data(value)
  if value == nil then return nil end
  if pcall(json.encode, value) then return value end
  return inspect(value)
end

---Opens a file for writing, or takes one that is open.
---@param target string|file*  a path or a file
---@param what string
---@param mode string
---@return file*
function record.open(target, what, mode)
  if io.type(target) == "file" then return target end
  if type(target) ~= "string" then
    errors.usage(("%s takes a path or a file, got %s"):format(what, errors.shape(target)))
  end
  local file, problem = io.open(target, mode)
  if not file then errors.raise("io", ("%s cannot write: %s"):format(what, problem)) end
  return file
end

return record
