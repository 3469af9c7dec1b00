--- What the records of a streamed chat completion mean.
--
-- It has succeeded when the provider said so: by `[DONE]` or by a finish reason.
local answer = require "moonpipe.models.openai_answer"
local envelope = require "moonpipe.http.envelope"

local member, without_null = envelope.member, envelope.without_null

---@type moonpipe.ChatRecords
local records = { key = "content" }

local function add_logprobs(stream, choice)
  local logprobs = answer.logprobs(choice)
  if not logprobs or not logprobs.content then return end
  stream.detailed = true
  stream.logprobs = stream.logprobs or { content = {} }
  for _, token in ipairs(logprobs.content) do table.insert(stream.logprobs.content, token) end
end

-- What is noted of a record: the newest one with choices says what the answer is.
local function note(stream, record, choice)
  local kept = stream.envelope
  if not kept then
    kept = { id = nil, model = nil, system_fingerprint = nil, service_tier = nil }
    stream.envelope = kept
  end
  kept.id, kept.model, kept.service_tier = record.id, record.model, record.service_tier
  kept.system_fingerprint = record.system_fingerprint
  stream.id = envelope.text(record.id)
  if member(choice.finish_reason) then
    stream.finish_reason, stream.finished = choice.finish_reason, true
  end
  if member(choice.logprobs) then add_logprobs(stream, choice) end
end

-- Pieces of what OpenRouter calls reasoning_details: one kind at one place is one detail.
local GROWING = { "text", "summary", "data" }

local function add_details(stream, list)
  stream.detailed = true
  stream.details = stream.details or {}
  for _, piece in ipairs(without_null(list)) do
    local last = stream.details[#stream.details]
    if not last or last.of.type ~= piece.type or last.of.index ~= piece.index then
      last = { of = {}, text = {}, summary = {}, data = {} }
      table.insert(stream.details, last)
    end
    for _, name in ipairs(GROWING) do table.insert(last[name], piece[name]) end
    for name, value in pairs(piece) do last.of[name] = value end
  end
end

local function whole_details(details)
  local list = {}
  for i, detail in ipairs(details) do
    for _, name in ipairs(GROWING) do
      if detail[name][1] then detail.of[name] = table.concat(detail[name]) end
    end
    list[i] = detail.of
  end
  return list
end

-- The text of blocks; what is thought goes to [kwargs].
local function blocks(list, kwargs)
  local text, reasoning = answer.said_in(list)
  if reasoning then
    kwargs = kwargs or {}
    kwargs.reasoning_content = reasoning
  end
  return text, kwargs
end

function records.read(stream, record)
  local usage = answer.usage(record)
  if usage then stream.usage = usage end
  local choices = record.choices
  local choice = type(choices) == "table" and choices[1]
  if not choice then return nil end
  note(stream, record, choice)
  local delta = member(choice.delta) or {}
  local calls, kwargs, text = member(delta.tool_calls), answer.extras(nil, delta), delta.content
  if type(text) == "table" then
    text, kwargs = blocks(text, kwargs)
    stream.detailed = true
  end
  local details = member(delta.reasoning_details)
  if type(details) == "table" and details[1] then add_details(stream, details) end
  return type(text) == "string" and text or nil, kwargs,
    calls and calls[1] and stream:pieces(calls) or nil
end

function records.last(stream)
  local usage = stream.usage
  return {
    additional_kwargs = stream.details and { reasoning_details = whole_details(stream.details) },
    usage_metadata = usage and answer.usage_metadata(usage),
    response_metadata = answer.metadata(stream.call.endpoint.who, stream.envelope or {}, usage,
      stream.finish_reason, stream.logprobs),
  }
end

return records
