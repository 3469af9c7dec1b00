--- What ChatOpenAI sends: messages and parameters as the JSON of chat completions.
local errors = require "moonpipe.error"
local message = require "moonpipe.messages.message"
local native = require "moonpipe.native"
local parts = require "moonpipe.messages.parts"

local encode = native.c.json_encode
local check = native.check
local class_of = message.class_of

local OPENAI = "https://api.openai.com/v1"

local request = { OPENAI = OPENAI }

-- ---- messages ------------------------------------------------------------------------

local ROLE = { system = "system", human = "user", ai = "assistant", tool = "tool" }

local function wire_image(part)
  local url = part.type == "image" and parts.image_url(part)
  return url and { type = "image_url", image_url = { url = url, detail = part.detail } }
end

local function wire_content(content)
  if type(content) == "string" then return content end
  local blocks = parts.of(content)
  for i, part in ipairs(blocks) do blocks[i] = wire_image(part) or part end
  return blocks[1] and blocks or ""
end

local function wire_call(id, name, arguments)
  return { id = id, type = "function", ["function"] = { name = name, arguments = arguments } }
end

-- Calls that could not be read go back as they came.
local function wire_calls(m)
  local calls = {}
  for _, call in ipairs(m.tool_calls) do
    calls[#calls + 1] = wire_call(call.id, call.name, check(encode(call.args)))
  end
  for _, call in ipairs(m.invalid_tool_calls) do
    calls[#calls + 1] = wire_call(call.id, call.name or "", call.args or "")
  end
  return calls[1] and calls
end

local function wire_role(m, class)
  if class.type == "chat" then return m.role end
  local kwargs = rawget(m, "additional_kwargs")
  return kwargs and kwargs.__openai_role__ or ROLE[class.type]
end

local function wire_message(m, class)
  if class.type == "tool" then
    return { role = ROLE.tool, content = m:text(), tool_call_id = m.tool_call_id }
  end
  local wire = { role = wire_role(m, class), content = wire_content(m.content), name = m.name }
  if class.type == "ai" then
    local kwargs = rawget(m, "additional_kwargs") or {}
    wire.tool_calls, wire.refusal = wire_calls(m), kwargs.refusal
    if kwargs.audio and kwargs.audio.id then wire.audio = { id = kwargs.audio.id } end
    if wire.content == "" and wire.tool_calls then wire.content = nil end
  end
  return wire
end

local PLAIN = {
  system = ',"role":"system"}', human = ',"role":"user"}', ai = ',"role":"assistant"}',
}

-- Most messages are a text and a role.
local function is_plain(m)
  return type(m.content) == "string" and rawget(m, "name") == nil
    and rawget(m, "additional_kwargs") == nil and rawget(m, "tool_calls") == nil
    and rawget(m, "tool_call_chunks") == nil and rawget(m, "invalid_tool_calls") == nil
end

local function message_text(m)
  local class = class_of(m)
  local tail = PLAIN[class.type]
  if tail and is_plain(m) then return '{"content":' .. check(encode(m.content)) .. tail end
  return check(encode(wire_message(m, class)))
end

---A message as a table of the API.
---@param m moonpipe.Message
---@return table
function request.message(m)
  return wire_message(m, class_of(m))
end

-- Results of tools are texts; what they hold besides is said by the user behind them.
local function add_besides(list, m)
  if class_of(m).type ~= "tool" or type(m.content) == "string" then return end
  for _, part in ipairs(parts.of(m.content)) do
    if part.type ~= "text" then list[#list + 1] = wire_image(part) or part end
  end
end

---The JSON of a list of messages.
---@param messages moonpipe.Message[]
---@return string
function request.messages(messages)
  local list, besides, count = {}, {}, #messages
  for i = 1, count do
    local m, after = messages[i], messages[i + 1]
    list[#list + 1] = message_text(m)
    add_besides(besides, m)
    if besides[1] and not (after and class_of(after).type == "tool") then
      list[#list + 1] = check(encode { role = ROLE.human, content = besides })
      besides = {}
    end
  end
  return "[" .. table.concat(list, ",") .. "]"
end

---The body of a call: the messages, and the other members. Most have one
---message, a text: that is joined at once.
---@param messages moonpipe.Message[]
---@param tail string
---@return string
function request.body(messages, tail)
  local m = messages[1]
  local close = not messages[2] and PLAIN[class_of(m).type]
  if close and is_plain(m) then
    return '{"messages":[{"content":' .. check(encode(m.content)) .. close .. "]" .. tail
  end
  return '{"messages":' .. request.messages(messages) .. tail
end

---A body for servers whose answers take more with them when they go back, which
---`adorn(wire, message)` adds.
---@param adorn fun(wire: table, m: moonpipe.AIMessage)
---@return fun(messages: moonpipe.Message[], tail: string): string
function request.body_with(adorn)
  return function(messages, tail)
    local list = {}
    for i, m in ipairs(messages) do
      list[i] = request.message(m)
      if class_of(m).type == "ai" then adorn(list[i], m) end
    end
    return '{"messages":' .. check(encode(list)) .. tail
  end
end

-- ---- parameters ------------------------------------------------------------------------

--- Parameters that are options of the model too, with their types.
request.TYPES = {
  frequency_penalty = "number", logit_bias = "table", logprobs = "boolean",
  max_completion_tokens = "number", max_tokens = "number", n = "number",
  presence_penalty = "number", reasoning_effort = "string", seed = "number",
  service_tier = "string", store = "boolean", temperature = "number", top_logprobs = "number",
  top_p = "number", user = "string", verbosity = "string",
}

--- Parameters of one call, besides those.
request.CALL_PARAMS = {
  "audio", "metadata", "modalities", "prediction", "prompt_cache_key", "safety_identifier",
}

-- Token ids are numbers in Lua and names in JSON.
local function with_names(bias)
  local out = {}
  for token, value in pairs(bias) do out[tostring(token)] = value end
  return out
end

-- OpenAI's newer models refuse the old name of this limit; most other servers know
-- no other.
local function rename_limit(params)
  params.max_completion_tokens = params.max_completion_tokens or params.max_tokens
  params.max_tokens = nil
end

---The members of a request besides its messages.
---@param params table
---@param is_stream boolean
---@param self moonpipe.ChatOpenAI
---@return table
function request.wire(params, is_stream, self)
  local out = {}
  for name, value in pairs(params) do out[name] = value end
  out.extra_body = nil
  if out.logit_bias then out.logit_bias = with_names(out.logit_bias) end
  if self.endpoint.origin.url == OPENAI and out.max_tokens then rename_limit(out) end
  if not is_stream then return out end
  if out.n and out.n > 1 then
    errors.usage(("%s cannot stream %d choices; leave n out"):format(self.class_name, out.n))
  end
  out.stream = true
  if self.stream_usage ~= false then out.stream_options = { include_usage = true } end
  return out
end

return request
