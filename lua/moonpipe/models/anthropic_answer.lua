--- What ChatAnthropic gets: answers and records of the Messages API as messages.
local envelope = require "moonpipe.http.envelope"
local native = require "moonpipe.native"
local provider = require "moonpipe.http.provider"

local member, text_of, without_null = envelope.member, envelope.text, envelope.without_null
local repair = native.c.utf8_repair

local answer = {}

-- ---- metadata ----------------------------------------------------------------------------

-- OpenAI's words for the reasons; others stand for themselves.
local FINISH = {
  end_turn = "stop", stop_sequence = "stop", max_tokens = "length", tool_use = "tool_calls",
  refusal = "content_filter", model_context_window_exceeded = "length",
}

---What an answer says of itself.
---@param who moonpipe.Provider
---@param message table
---@param reason string?
---@return table
function answer.metadata(who, message, reason)
  return {
    id = text_of(message.id),
    model_name = text_of(message.model),
    model_provider = who.name,
    finish_reason = FINISH[reason] or reason,
    stop_reason = reason,
    stop_sequence = member(message.stop_sequence),
    stop_details = member(message.stop_details), -- why it refused
    container = member(message.container),       -- goes along when a paused turn goes on
  }
end

-- The provider counts what it read from a cache, or wrote to one, apart.
---@param usage table
---@return table
function answer.usage_metadata(usage)
  local read, written = usage.cache_read_input_tokens, usage.cache_creation_input_tokens
  local input = (usage.input_tokens or 0) + (read or 0) + (written or 0)
  local output = usage.output_tokens or 0
  return {
    input_tokens = input,
    output_tokens = output,
    total_tokens = input + output,
    input_token_details = (read or written) and { cache_read = read, cache_creation = written },
  }
end

-- ---- content -----------------------------------------------------------------------------

-- Blocks of other kinds (thoughts with signatures, the provider's own tools) must go
-- back as they came.
local PLAIN = { text = true, tool_use = true }

local function native_of(who, blocks)
  for _, block in ipairs(blocks) do
    if not PLAIN[block.type] or block.citations then
      return { provider = who.name, content = blocks }
    end
  end
end

---What an answer holds besides its text and calls.
---@param who moonpipe.Provider
---@param blocks table[]
---@param thoughts string?
---@return table?
function answer.kwargs(who, blocks, thoughts)
  local own = native_of(who, blocks)
  if not own and not thoughts then return nil end
  return { native = own, reasoning_content = thoughts }
end

local function add_block(found, block)
  if block.type == "text" then
    found.texts[#found.texts + 1] = repair(block.text or "")
  elseif block.type == "thinking" then
    found.thoughts[#found.thoughts + 1] = block.thinking or ""
  elseif block.type == "tool_use" then
    found.calls[#found.calls + 1] = { name = text_of(block.name) or "", id = text_of(block.id),
      args = type(block.input) == "table" and block.input or {}, type = "tool_call" }
  end
end

---The fields of the message in an answer.
---@param value table
---@param _ moonpipe.HttpResponse
---@param who moonpipe.Provider
---@return table
function answer.fields(value, response, who)
  without_null(value)
  local blocks = value.content
  if type(blocks) ~= "table" then
    provider.reject(who, response, "protocol", "the answer has no content", false)
  end
  local found = { texts = {}, thoughts = {}, calls = {} }
  for _, block in ipairs(blocks) do add_block(found, block) end
  return {
    content = table.concat(found.texts),
    id = text_of(value.id),
    tool_calls = found.calls[1] and found.calls,
    additional_kwargs = answer.kwargs(who, blocks, text_of(table.concat(found.thoughts))),
    usage_metadata = value.usage and answer.usage_metadata(value.usage),
    response_metadata = answer.metadata(who, value, value.stop_reason),
  }
end

return answer
