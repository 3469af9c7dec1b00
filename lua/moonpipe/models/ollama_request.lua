--- What ChatOllama sends: messages and parameters as the JSON of Ollama's own API.
local errors = require "moonpipe.error"
local json = require "moonpipe.json"
local native = require "moonpipe.native"
local parts = require "moonpipe.messages.parts"

local encode, check = native.c.json_encode, native.check

local request = {}

-- Parameters that the API calls options, by our names.
local OPTIONS = {
  frequency_penalty = "frequency_penalty", max_tokens = "num_predict", min_p = "min_p",
  num_ctx = "num_ctx", num_gpu = "num_gpu", presence_penalty = "presence_penalty",
  repeat_last_n = "repeat_last_n", repeat_penalty = "repeat_penalty", seed = "seed",
  stop = "stop", temperature = "temperature", top_k = "top_k", top_p = "top_p",
}

--- Parameters that are options of the model too, with their types.
request.TYPES = { keep_alive = "string", reasoning = "boolean" }
for name in pairs(OPTIONS) do
  if name ~= "stop" then request.TYPES[name] = "number" end
end

-- ---- messages ------------------------------------------------------------------------

local ROLE = { system = "system", human = "user", ai = "assistant", tool = "tool" }

-- Texts, and images as bytes: the server fetches none.
local function content_of(m)
  local texts, images = {}, {}
  for _, part in ipairs(parts.of(m.content)) do
    if part.type == "text" then
      texts[#texts + 1] = part.text
    elseif part.base64 then
      images[#images + 1] = part.base64
    else
      errors.raise("unsupported", ("ChatOllama cannot send a part of the type '%s'%s"):format(
        errors.text(part.type), part.url and " by its URL; give it as base64" or ""))
    end
  end
  return table.concat(texts, "\n"), images[1] and images
end

local function calls_of(m)
  local calls = {}
  for i, call in ipairs(m.tool_calls) do
    calls[i] = { id = call.id, ["function"] = { name = call.name, arguments = call.args } }
  end
  return calls[1] and calls
end

local function wire(m, before)
  local kind = parts.kind(m)
  local content, images = content_of(m)
  local kwargs = rawget(m, "additional_kwargs") or {}
  return {
    role = ROLE[kind],
    content = content,
    images = images,
    thinking = kind == "ai" and kwargs.reasoning_content or nil,
    tool_calls = kind == "ai" and calls_of(m) or nil,
    tool_name = kind == "tool" and parts.tool_name(m, before) or nil,
    tool_call_id = kind == "tool" and m.tool_call_id or nil,
  }
end

---The body of a call.
---@param messages moonpipe.Message[]
---@param tail string
---@return string
function request.body(messages, tail)
  local list, before = json.array {}, {}
  for i, m in ipairs(messages) do
    list[i] = wire(m, before)
    before[i] = m
  end
  return '{"messages":' .. check(encode(list)) .. tail
end

-- ---- parameters ------------------------------------------------------------------------

local function options_of(params)
  local options = {}
  for ours, theirs in pairs(OPTIONS) do options[theirs] = params[ours] end
  if type(options.stop) == "string" then options.stop = { options.stop } end
  return next(options) and options
end

local function format_of(format)
  if not format then return nil end
  return format.json_schema and format.json_schema.schema or "json"
end

---The members of a request besides its messages. The API has no word for which tool
---to call: `tool_choice` other than "none" leaves it to the model.
---@param params table
---@param is_stream boolean
---@return table
function request.wire(params, is_stream)
  return {
    model = params.model,
    stream = is_stream,
    options = options_of(params),
    format = format_of(params.response_format),
    tools = params.tool_choice ~= "none" and params.tools or nil,
    think = params.reasoning,
    keep_alive = params.keep_alive,
  }
end

return request
