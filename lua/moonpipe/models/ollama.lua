--- ChatOllama: models on one's own machine, by Ollama's own API,
-- <https://github.com/ollama/ollama/blob/main/docs/api.md>.
--
-- A stream is lines of JSON; each has the shape of an answer.
local chat_api = require "moonpipe.models.chat_api"
local envelope = require "moonpipe.http.envelope"
local native = require "moonpipe.native"
local provider = require "moonpipe.http.provider"
local request = require "moonpipe.models.ollama_request"

local member, text_of, without_null = envelope.member, envelope.text, envelope.without_null
local repair = native.c.utf8_repair

local ollama = {}

--- The model that is asked where a script names none.
ollama.DEFAULT_MODEL = "llama3.2"

-- OLLAMA_HOST is also where the server listens: `0.0.0.0`, `host`, `host:port` or a URL.
local function url_of(text)
  local scheme, rest = text:match("^(%a+://)(.*)$")
  rest = (rest or text):gsub("^0%.0%.0%.0", "127.0.0.1")
  if not scheme and not rest:find(":%d+") then rest = rest:gsub("^[^/]*", "%0:11434") end
  return (scheme or "http://") .. rest
end

--- What is Ollama's own; embeddings have it too.
---@type moonpipe.EndpointSpec
ollama.SPEC = {
  class = "ChatOllama",
  name = "ollama",
  base_url = "http://127.0.0.1:11434",
  base_env = { "OLLAMA_HOST" },
  url_of = url_of,
  key_env = "OLLAMA_API_KEY",
  key_optional = true,
  key_header = "Authorization",
  key_prefix = "Bearer ",
}

-- ---- answers -----------------------------------------------------------------------------

local FINISH = { stop = "stop", length = "length" }

-- Servers that only speak like Ollama may tell no reason.
local function metadata(who, value, has_calls)
  local reason = text_of(value.done_reason) or value.done == true and "stop" or nil
  return {
    model_name = text_of(value.model),
    model_provider = who.name,
    finish_reason = has_calls and reason == "stop" and "tool_calls" or FINISH[reason] or reason,
    created_at = value.created_at,
    total_duration = value.total_duration, -- nanoseconds, as all of these
    load_duration = value.load_duration,
    prompt_eval_duration = value.prompt_eval_duration,
    eval_duration = value.eval_duration,
  }
end

local function usage_metadata(value)
  local input, output = value.prompt_eval_count, value.eval_count
  if not input and not output then return nil end
  input, output = input or 0, output or 0
  return { input_tokens = input, output_tokens = output, total_tokens = input + output }
end

local function kwargs_of(m)
  local thoughts = text_of(m.thinking) or text_of(m.reasoning_content) -- a gateway's word
  return thoughts and { reasoning_content = thoughts }
end

local function tool_calls(list)
  for i, call in ipairs(list) do
    call.id = text_of(call.id) or "call_" .. i - 1
    local fn = call["function"]
    if type(fn.arguments) == "table" then
      fn.arguments = native.check(native.c.json_encode(fn.arguments))
    end
  end
  return (require("moonpipe.agents.toolcall").normalise(list))
end

local function fields_of(value, response, who)
  without_null(value)
  local m = value.message
  if type(m) ~= "table" then
    provider.reject(who, response, "protocol", "the answer has no message", false)
  end
  local calls = m.tool_calls and m.tool_calls[1] and tool_calls(m.tool_calls)
  return {
    content = (repair(m.content or "")),
    tool_calls = calls,
    additional_kwargs = kwargs_of(m),
    usage_metadata = usage_metadata(value),
    response_metadata = metadata(who, value, calls ~= nil),
  }
end

-- ---- streams -----------------------------------------------------------------------------

---@type moonpipe.ChatRecords
local records = { key = "content" }

function records.read(stream, value)
  local m = without_null(member(value.message) or {})
  if value.done == true then
    value.message = nil
    stream.value, stream.finished, stream.over = without_null(value), true, true
  end
  return text_of(m.content), kwargs_of(m),
    m.tool_calls and m.tool_calls[1] and stream:whole_calls(m.tool_calls) or nil
end

function records.last(stream)
  local value = stream.value or {}
  return {
    usage_metadata = usage_metadata(value),
    response_metadata = metadata(stream.call.endpoint.who, value, stream.calls ~= nil),
  }
end

-- ---- the class ---------------------------------------------------------------------------

local function names(list)
  return envelope.texts(list.models, "name")
end

---@type moonpipe.ChatApi
ollama.API = {
  spec = ollama.SPEC,
  default_model = ollama.DEFAULT_MODEL,
  params = request.TYPES,
  framing = "ndjson",
  path = function() return "/api/chat" end,
  wire = request.wire,
  body = request.body,
  answer = fields_of,
  records = records,
  models_path = "/api/tags",
  models = names,
}

---`ChatOllama{ model =, temperature =, num_ctx =, reasoning =, … }`. The server is that of
---OLLAMA_HOST, else the one on this machine.
---@class moonpipe.ChatOllama: moonpipe.ApiChatModel
ollama.ChatOllama = chat_api.define(ollama.API)

return ollama
