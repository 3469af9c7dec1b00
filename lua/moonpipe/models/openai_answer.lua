--- What ChatOpenAI gets: the JSON of chat completions as messages.
local envelope = require "moonpipe.http.envelope"
local native = require "moonpipe.native"
local provider = require "moonpipe.http.provider"

local c = native.c
local NULL = c.json_null
local repair, member, without_null = c.utf8_repair, envelope.member, envelope.without_null

local answer = {}

-- ---- metadata ----------------------------------------------------------------------------

local function input_details(details)
  return { cache_read = details.cached_tokens, cache_creation = details.cache_write_tokens,
    audio = details.audio_tokens }
end

local function output_details(details)
  return { reasoning = details.reasoning_tokens, audio = details.audio_tokens }
end

---The usage of an answer, in the field's words.
---@param usage table  without nulls
---@return table
function answer.usage_metadata(usage)
  local input, output = usage.prompt_tokens or 0, usage.completion_tokens or 0
  local prompt, completion = usage.prompt_tokens_details, usage.completion_tokens_details
  return {
    input_tokens = input,
    output_tokens = output,
    total_tokens = usage.total_tokens or input + output,
    input_token_details = prompt and input_details(prompt),
    output_token_details = completion and output_details(completion),
  }
end

---What an answer says of itself; `usage` and `logprobs` without nulls.
---@param who moonpipe.Provider
---@param value table   the envelope
---@param usage table?
---@param finish_reason string?
---@param logprobs table?
---@return table
function answer.metadata(who, value, usage, finish_reason, logprobs)
  return {
    token_usage = usage,
    model_name = member(value.model),
    model_provider = who.name,
    system_fingerprint = member(value.system_fingerprint),
    service_tier = member(value.service_tier),
    id = member(value.id),
    finish_reason = finish_reason,
    logprobs = logprobs,
  }
end

---The usage of an envelope without nulls, nil where it has none. Groq's streams have it
---in a place of their own.
---@param value table
---@return table?
function answer.usage(value)
  local usage = member(value.usage)
  if usage == nil and type(value.x_groq) == "table" then usage = member(value.x_groq.usage) end
  if type(usage) == "table" then return without_null(usage) end
end

---Log probabilities of a choice without nulls.
---@param choice table
---@return table?
function answer.logprobs(choice)
  local logprobs = member(choice.logprobs)
  return logprobs and without_null(logprobs)
end

-- ---- content -----------------------------------------------------------------------------

-- What an answer may carry besides its text, as additional_kwargs. OpenRouter and
-- vLLM have another name for what DeepSeek calls reasoning_content.
local EXTRAS = { "refusal", "reasoning_content", "reasoning", "audio", "annotations",
  "function_call" }
local NAME = { reasoning = "reasoning_content" }

---Adds what [given] (a message or a delta) carries besides text to [kwargs].
---@param kwargs table?
---@param given table
---@return table? kwargs
function answer.extras(kwargs, given)
  for i = 1, #EXTRAS do
    local value = given[EXTRAS[i]]
    if value ~= nil and value ~= NULL and value ~= "" and not (type(value) == "table"
      and next(value) == nil) then
      kwargs = kwargs or {}
      local name = NAME[EXTRAS[i]] or EXTRAS[i]
      if type(value) == "table" then without_null(value) end
      if type(value) == "string" and name ~= "reasoning_content" then value = repair(value) end
      kwargs[name] = value
    end
  end
  return kwargs
end

-- Text is a string; some servers send a list of blocks.
local function content_of(given)
  local content = member(given.content)
  if type(content) == "string" then return (repair(content)) end
  return type(content) == "table" and without_null(content) or ""
end
answer.content = content_of

-- Arguments are JSON text; some servers send them decoded.
local function wire_calls(list)
  local calls = {}
  for i, call in ipairs(list) do
    local fn = member(call["function"]) or {}
    local arguments = member(fn.arguments)
    if type(arguments) == "table" then arguments = native.check(c.json_encode(arguments)) end
    calls[i] = {
      id = member(call.id) or "call_" .. i - 1,
      ["function"] = { name = member(fn.name) or "", arguments = arguments },
    }
  end
  return calls
end

local function add_calls(fields, list)
  local calls, invalid = require("moonpipe.agents.toolcall").normalise(wire_calls(list))
  fields.tool_calls = calls
  if invalid[1] then fields.invalid_tool_calls = invalid end
end

-- The texts of a list of blocks, joined.
local function texts_of(blocks)
  local texts = {}
  for _, block in ipairs(blocks) do
    local text = type(block) == "table" and member(block.text)
    if type(text) == "string" then texts[#texts + 1] = text end
  end
  return (repair(table.concat(texts)))
end

---What a list of blocks says: its text, and what Mistral's models think before it. nil for
---what is not there.
---@param blocks table[]
---@return string? text
---@return string? reasoning
function answer.said_in(blocks)
  local thoughts, others = {}, {}
  for _, block in ipairs(blocks) do
    local thinking = type(block) == "table" and member(block.thinking)
    if type(thinking) == "table" then
      thoughts[#thoughts + 1] = texts_of(thinking)
    else
      others[#others + 1] = block
    end
  end
  return others[1] and texts_of(others), thoughts[1] and table.concat(thoughts)
end

local function message_fields(given)
  local details = member(given.reasoning_details) -- OpenRouter's; they go back as they came
  local fields = { content = content_of(given), additional_kwargs = answer.extras(nil, given) }
  local text, reasoning
  if type(fields.content) == "table" then text, reasoning = answer.said_in(fields.content) end
  if reasoning then
    fields.content, fields.additional_kwargs = text or "", fields.additional_kwargs or {}
    fields.additional_kwargs.reasoning_content = reasoning
  end
  if type(details) == "table" and details[1] then
    fields.additional_kwargs = fields.additional_kwargs or {}
    fields.additional_kwargs.reasoning_details = without_null(details)
  end
  local calls = member(given.tool_calls)
  if calls and calls[1] then add_calls(fields, calls) end
  return fields
end

-- ---- a whole answer ----------------------------------------------------------------------

-- Other choices, where more than one was asked for.
local function add_choices(metadata, choices)
  metadata.choices = {}
  for i = 2, #choices do
    metadata.choices[i - 1] = {
      content = content_of(member(choices[i].message) or {}),
      finish_reason = member(choices[i].finish_reason),
    }
  end
end

---The fields of the message in an answer. Raises what the answer holds in its place.
---@param value table
---@param response moonpipe.HttpResponse
---@param who moonpipe.Provider
---@return table
function answer.fields(value, response, who)
  local choices = member(value.choices)
  local choice = type(choices) == "table" and member(choices[1])
  if not choice then
    provider.reject(who, response, "protocol", "the answer has no choices", false)
  end
  local said = provider.said(choice)
  if said then error(provider.error_in(who, said, response), 0) end
  local usage = answer.usage(value)
  local fields = message_fields(member(choice.message) or {})
  fields.id = member(value.id)
  fields.usage_metadata = usage and answer.usage_metadata(usage)
  fields.response_metadata = answer.metadata(who, value, usage, member(choice.finish_reason),
    answer.logprobs(choice))
  if choices[2] then add_choices(fields.response_metadata, choices) end
  return fields
end

return answer
