--- What ChatGoogleGenerativeAI gets: answers and records of Gemini as messages.
--
-- A record of a stream has the shape of an answer and brings the next parts; counts
-- are of all so far.
local envelope = require "moonpipe.http.envelope"
local errors = require "moonpipe.error"
local native = require "moonpipe.native"
local provider = require "moonpipe.http.provider"

local member, text_of, without_null = envelope.member, envelope.text, envelope.without_null
local encode, check, repair = native.c.json_encode, native.check, native.c.utf8_repair

local answer = {}

-- ---- metadata ----------------------------------------------------------------------------

-- OpenAI's words for the reasons; others stand for themselves.
local FINISH = {
  STOP = "stop", MAX_TOKENS = "length", SAFETY = "content_filter", RECITATION = "content_filter",
  BLOCKLIST = "content_filter", PROHIBITED_CONTENT = "content_filter", SPII = "content_filter",
  IMAGE_SAFETY = "content_filter", IMAGE_PROHIBITED_CONTENT = "content_filter",
  IMAGE_RECITATION = "content_filter", FUNCTION_CALL = "tool_calls", -- which only gateways say
}

local function finish_of(reason, has_calls)
  if reason == "STOP" and has_calls then return "tool_calls" end
  return FINISH[reason] or reason
end

local function metadata(who, value, reason, has_calls)
  return {
    id = text_of(value.responseId),
    model_name = text_of(value.modelVersion),
    model_provider = who.name,
    finish_reason = finish_of(reason, has_calls),
    stop_reason = reason,
    finish_message = text_of(value.finishMessage),
  }
end

-- Thoughts are paid as output.
local function usage_metadata(usage)
  local input = (usage.promptTokenCount or 0) + (usage.toolUsePromptTokenCount or 0)
  local thoughts = usage.thoughtsTokenCount
  local output = (usage.candidatesTokenCount or 0) + (thoughts or 0)
  local cached = usage.cachedContentTokenCount
  return {
    input_tokens = input,
    output_tokens = output,
    total_tokens = usage.totalTokenCount or input + output,
    input_token_details = cached and { cache_read = cached },
    output_token_details = thoughts and { reasoning = thoughts },
  }
end

-- ---- content -----------------------------------------------------------------------------

-- A prompt that is refused has no candidate.
local function blocked(value)
  local feedback = member(value.promptFeedback)
  local reason = feedback and text_of(feedback.blockReason)
  if not reason then return nil end
  return errors.new {
    kind = "content_filter", code = reason, retryable = false,
    message = text_of(feedback.blockReasonMessage) or "the prompt was blocked: " .. reason,
  }
end

local function candidate_of(value)
  local list = member(value.candidates)
  return type(list) == "table" and member(list[1]) or nil
end

local function parts_of(candidate)
  local content = member(candidate.content)
  return content and type(content.parts) == "table" and content.parts or {}
end

-- Thoughts, signatures and the provider's own ids must go back as they came.
local function is_private(part)
  return part.thought or part.thoughtSignature ~= nil
    or part.functionCall and part.functionCall.id ~= nil or not (part.text or part.functionCall)
end

-- Adds what a part says to what was found in those before.
local function add_part(found, part)
  if is_private(part) then found.private = true end
  if part.functionCall then
    local call = part.functionCall
    found.calls[#found.calls + 1] = { id = text_of(call.id), ["function"] = {
      name = call.name, arguments = check(encode(call.args or {})),
    } }
  elseif part.text and part.thought then
    found.thoughts = (found.thoughts or "") .. part.text
  elseif part.text then
    found.text = found.text .. part.text
  end
end

local function find(parts)
  local found = { text = "", calls = {} }
  for _, part in ipairs(parts) do add_part(found, part) end
  return found
end

local function native_of(who, parts)
  return { provider = who.name, content = parts }
end

local function add_calls(fields, found)
  for i, call in ipairs(found.calls) do call.id = call.id or "call_" .. i - 1 end
  if found.calls[1] then
    fields.tool_calls = require("moonpipe.agents.toolcall").normalise(found.calls)
  end
end

---The fields of the message in an answer. Raises what the answer holds in its place.
---@param value table
---@param response moonpipe.HttpResponse
---@param who moonpipe.Provider
---@return table
function answer.fields(value, response, who)
  without_null(value)
  local candidate = candidate_of(value)
  local problem = not candidate and blocked(value)
  if problem then error(problem, 0) end
  if not candidate then
    provider.reject(who, response, "protocol", "the answer has no candidates", false)
  end
  local parts = parts_of(candidate)
  local found = find(parts)
  value.finishMessage = candidate.finishMessage
  local fields = {
    content = (repair(found.text)),
    id = text_of(value.responseId),
    usage_metadata = value.usageMetadata and usage_metadata(value.usageMetadata),
    response_metadata = metadata(who, value, candidate.finishReason, found.calls[1] ~= nil),
  }
  if found.private then
    fields.additional_kwargs = { native = native_of(who, parts),
      reasoning_content = found.thoughts }
  end
  add_calls(fields, found)
  return fields
end

-- ---- streams -----------------------------------------------------------------------------

---@type moonpipe.ChatRecords
local records = { key = "text" }
answer.records = records

-- Texts that follow one another are one part, where nothing must be kept of each.
local function keep_part(stream, part)
  local kept = stream.kept
  local last = kept[#kept]
  if last and last.pieces and part.text and not is_private(part) then
    table.insert(last.pieces, part.text)
  else
    kept[#kept + 1] = part
    if part.text and not is_private(part) then part.pieces = { part.text } end
  end
end

local function note(stream, value, candidate)
  stream.detailed = true -- parts are kept
  stream.id = stream.id or text_of(value.responseId)
  stream.kept = stream.kept or {}
  stream.value = { responseId = value.responseId, modelVersion = value.modelVersion,
    finishMessage = stream.value and stream.value.finishMessage }
  if value.usageMetadata then stream.usage = value.usageMetadata end
  if candidate and candidate.finishReason then
    stream.finish_reason, stream.finished = candidate.finishReason, true
    stream.value.finishMessage = candidate.finishMessage
  end
end

function records.read(stream, value)
  without_null(value)
  local candidate = candidate_of(value)
  note(stream, value, candidate)
  if not candidate then
    local problem = blocked(value)
    if problem then stream:fail(problem) end
    return nil
  end
  local parts = parts_of(candidate)
  local found = find(parts)
  for _, part in ipairs(parts) do keep_part(stream, part) end
  stream.private = stream.private or found.private
  return text_of(found.text), found.thoughts and { reasoning_content = found.thoughts },
    found.calls[1] and stream:whole_calls(found.calls)
end

local function kept_parts(stream)
  for _, part in ipairs(stream.kept) do
    if part.pieces then part.text, part.pieces = table.concat(part.pieces), nil end
  end
  return stream.kept
end

function records.last(stream)
  local who = stream.call.endpoint.who
  return {
    additional_kwargs = stream.private and { native = native_of(who, kept_parts(stream)) } or nil,
    usage_metadata = stream.usage and usage_metadata(stream.usage),
    response_metadata = metadata(who, stream.value or {}, stream.finish_reason,
      stream.calls ~= nil),
  }
end

return answer
