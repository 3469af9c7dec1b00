--- What ChatOpenAI gets from the Responses API: answers and events as messages.
local envelope = require "moonpipe.http.envelope"
local native = require "moonpipe.native"
local provider = require "moonpipe.http.provider"

local member, text_of, without_null = envelope.member, envelope.text, envelope.without_null
local repair = native.c.utf8_repair

local answer = {}

-- ---- metadata ----------------------------------------------------------------------------

local INCOMPLETE = { max_output_tokens = "length", content_filter = "content_filter" }

local function finish_of(value, has_calls)
  if value.status == "incomplete" then
    local reason = value.incomplete_details and value.incomplete_details.reason
    return INCOMPLETE[reason] or reason or "length"
  end
  return has_calls and "tool_calls" or "stop"
end

local function metadata(who, value, has_calls)
  return {
    id = text_of(value.id),
    model_name = text_of(value.model),
    model_provider = who.name,
    service_tier = value.service_tier,
    status = value.status,
    finish_reason = finish_of(value, has_calls),
  }
end

local function usage_metadata(usage)
  if not usage then return nil end
  local input, output = usage.input_tokens or 0, usage.output_tokens or 0
  local into, out = usage.input_tokens_details, usage.output_tokens_details
  return {
    input_tokens = input,
    output_tokens = output,
    total_tokens = usage.total_tokens or input + output,
    input_token_details = into and { cache_read = into.cached_tokens,
      cache_creation = into.cache_write_tokens },
    output_token_details = out and { reasoning = out.reasoning_tokens },
  }
end

-- ---- items -------------------------------------------------------------------------------

local ADD = {}

function ADD.message(found, item)
  for _, part in ipairs(item.content or {}) do
    if part.type == "output_text" then
      found.text = found.text .. (part.text or "")
    elseif part.type == "refusal" then
      found.refusal = (found.refusal or "") .. (part.refusal or "")
    end
  end
end

ADD["function_call"] = function(found, item)
  found.calls[#found.calls + 1] = { id = item.call_id,
    ["function"] = { name = item.name, arguments = item.arguments } }
end

function ADD.reasoning(found, item)
  found.private = true
  for _, parts in ipairs { item.summary or {}, item.content or {} } do
    for _, part in ipairs(parts) do
      found.thoughts = (found.thoughts or "") .. (part.text or "")
    end
  end
end

-- What the items of an answer say; others than these (tools of the provider) must go
-- back as they came.
local function find(items)
  local found = { text = "", calls = {} }
  for _, item in ipairs(items) do
    local add = ADD[item.type]
    if add then add(found, item) else found.private = true end
  end
  return found
end

local function native_of(who, found, items)
  return found.private and { provider = who.name, content = items } or nil
end

-- What it says instead of an answer.
local function failure(value)
  local said = value.error
  if value.status ~= "failed" and value.status ~= "cancelled" then return nil end
  return { message = said and text_of(said.message) or "the response " .. value.status,
    code = said and said.code, type = said and text_of(said.code) }
end

local function items_of(value)
  return type(value.output) == "table" and value.output or {}
end

---The fields of the message in an answer. Raises what the answer holds in its place.
---@param value table
---@param response moonpipe.HttpResponse
---@param who moonpipe.Provider
---@return table
function answer.fields(value, response, who)
  without_null(value)
  local said = failure(value)
  if said then error(provider.error_in(who, said, response), 0) end
  if value.output == nil then
    provider.reject(who, response, "protocol", "the answer has no output", false)
  end
  local found = find(items_of(value))
  local fields = {
    content = (repair(found.text)),
    id = text_of(value.id),
    usage_metadata = usage_metadata(value.usage),
    response_metadata = metadata(who, value, found.calls[1] ~= nil),
  }
  local kwargs = { refusal = found.refusal, reasoning_content = found.thoughts,
    native = native_of(who, found, items_of(value)) }
  if next(kwargs) then fields.additional_kwargs = kwargs end
  if found.calls[1] then
    local calls, invalid = require("moonpipe.agents.toolcall").normalise(found.calls)
    fields.tool_calls, fields.invalid_tool_calls = calls, invalid[1] and invalid or nil
  end
  return fields
end

-- ---- streams -----------------------------------------------------------------------------

---@type moonpipe.ChatRecords
local records = { key = "delta" }
answer.records = records

local READ = {}

READ["response.created"] = function(stream, record)
  stream.id = text_of((member(record.response) or {}).id)
end

READ["response.output_text.delta"] = function(_, record)
  return record.delta
end

READ["response.refusal.delta"] = function(_, record)
  return nil, { refusal = (repair(record.delta or "")) }
end

local function read_thought(_, record)
  return nil, { reasoning_content = record.delta or "" }
end
READ["response.reasoning_summary_text.delta"] = read_thought
READ["response.reasoning_text.delta"] = read_thought

READ["response.output_item.added"] = function(stream, record)
  local item = member(record.item) or {}
  if item.type ~= "function_call" then return nil end
  return nil, nil, stream:pieces { { index = record.output_index, id = item.call_id,
    ["function"] = { name = item.name, arguments = text_of(item.arguments) } } }
end

READ["response.function_call_arguments.delta"] = function(stream, record)
  return nil, nil, stream:pieces { { index = record.output_index,
    ["function"] = { arguments = record.delta } } }
end

local function read_end(stream, record)
  stream.value = without_null(member(record.response) or {})
  stream.finished, stream.over = true, true
end
READ["response.completed"], READ["response.incomplete"] = read_end, read_end

READ["response.failed"] = function(stream, record)
  local value = without_null(member(record.response) or {})
  value.status = "failed"
  stream:refuse(failure(value))
end

function READ.error(stream, record)
  stream:refuse(provider.said_by(record) or { message = "the provider failed" })
end

function records.read(stream, record)
  local read = READ[record.type]
  if read then return read(stream, record) end
end

function records.last(stream)
  local value, who = stream.value or {}, stream.call.endpoint.who
  local found = find(items_of(value))
  local own = native_of(who, found, items_of(value))
  return {
    additional_kwargs = own and { native = own },
    usage_metadata = usage_metadata(value.usage),
    response_metadata = metadata(who, value, stream.calls ~= nil),
  }
end

return answer
