--- What ChatOpenAI sends to the Responses API: messages and parameters as its JSON.
local errors = require "moonpipe.error"
local json = require "moonpipe.json"
local native = require "moonpipe.native"
local parts = require "moonpipe.messages.parts"

local encode, check = native.c.json_encode, native.check

local request = {}

--- Parameters of one call, besides those of chat completions.
request.CALL_PARAMS = {
  "conversation", "include", "instructions", "metadata", "previous_response_id",
  "prompt_cache_key", "reasoning", "safety_identifier", "truncation",
}

-- ---- messages ------------------------------------------------------------------------

local function content_of(content)
  if type(content) == "string" then return content end
  local blocks = json.array(parts.of(content))
  for i, part in ipairs(blocks) do
    local url = part.type == "image" and parts.image_url(part)
    if part.type == "text" then
      blocks[i] = { type = "input_text", text = part.text }
    elseif url then
      blocks[i] = { type = "input_image", image_url = url, detail = part.detail }
    end
  end
  return blocks
end

local function add_call(items, call, arguments)
  items[#items + 1] = { type = "function_call", call_id = call.id, name = call.name or "",
    arguments = arguments }
end

-- What a model said: its own items as they came, else its text and calls.
local function add_answer(items, m)
  for _, item in ipairs(parts.native(m, "openai") or {}) do items[#items + 1] = item end
  if parts.native(m, "openai") then return end
  if m:text() ~= "" then items[#items + 1] = { role = "assistant", content = m:text() } end
  for _, call in ipairs(m.tool_calls) do add_call(items, call, check(encode(call.args))) end
  for _, call in ipairs(m.invalid_tool_calls) do add_call(items, call, call.args or "") end
end

local function add_message(items, m)
  local kind = parts.kind(m)
  if kind == "ai" then return add_answer(items, m) end
  if kind == "tool" then
    items[#items + 1] = { type = "function_call_output", call_id = m.tool_call_id,
      output = content_of(m.content) }
    return
  end
  local kwargs = rawget(m, "additional_kwargs")
  local role = kwargs and kwargs.__openai_role__ or kind == "system" and "system" or "user"
  items[#items + 1] = { role = role, content = content_of(m.content) }
end

---The body of a call.
---@param messages moonpipe.Message[]
---@param tail string
---@return string
function request.body(messages, tail)
  local items = json.array {}
  for _, m in ipairs(messages) do add_message(items, m) end
  return '{"input":' .. check(encode(items)) .. tail
end

-- ---- parameters ------------------------------------------------------------------------

local function tools_of(list)
  if not list then return nil end
  local tools = {}
  for i, tool in ipairs(list) do
    local fn = tool["function"]
    tools[i] = fn and { type = "function", name = fn.name, description = fn.description,
      parameters = fn.parameters, strict = fn.strict } or tool
  end
  return tools
end

local function choice_of(choice)
  local fn = type(choice) == "table" and choice["function"]
  return fn and { type = "function", name = fn.name } or choice
end

local function text_of(params)
  local format = params.response_format
  local schema = format and format.json_schema
  if schema then
    format = { type = "json_schema", name = schema.name, schema = schema.schema,
      strict = schema.strict, description = schema.description }
  end
  if format or params.verbosity then
    return { format = format, verbosity = params.verbosity }
  end
end

local function reasoning_of(params)
  if not params.reasoning_effort then return params.reasoning end
  local reasoning = { effort = params.reasoning_effort }
  for name, value in pairs(params.reasoning or {}) do reasoning[name] = value end
  return reasoning
end

-- Words of chat completions that this API has not.
local NOT_HERE = { "frequency_penalty", "logit_bias", "n", "presence_penalty", "seed", "stop" }

-- These have the same name in both.
local SAME = { "conversation", "instructions", "metadata", "model", "parallel_tool_calls",
  "previous_response_id", "prompt_cache_key", "safety_identifier", "service_tier", "temperature",
  "top_logprobs", "top_p", "truncation", "user" }

-- Nothing is kept at the provider unless it is asked for; thoughts then travel with the
-- messages, encrypted.
local PRIVATE = { "reasoning.encrypted_content" }

---The members of a request besides its messages.
---@param params table
---@param is_stream boolean
---@param self moonpipe.ChatOpenAI
---@return table
function request.wire(params, is_stream, self)
  for _, name in ipairs(NOT_HERE) do
    if params[name] ~= nil then
      errors.raise("unsupported", ("the Responses API has no '%s'"):format(name))
    end
  end
  local out = {
    max_output_tokens = params.max_completion_tokens or params.max_tokens,
    tools = tools_of(params.tools),
    tool_choice = choice_of(params.tool_choice),
    text = text_of(params),
    reasoning = reasoning_of({ reasoning_effort = params.reasoning_effort,
      reasoning = params.reasoning or self.reasoning }),
    store = params.store or false,
    include = params.include or not params.store and PRIVATE or nil,
    stream = is_stream or nil,
  }
  for _, name in ipairs(SAME) do out[name] = params[name] end
  return out
end

return request
