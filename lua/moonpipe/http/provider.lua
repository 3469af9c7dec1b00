--- What a provider's refusal means: its status and its words as an mp.Error.
local errors = require "moonpipe.error"
local glance = require "moonpipe.http.glance"
local native = require "moonpipe.native"
local redact = require "moonpipe.redact"
local retry = require "moonpipe.http.retry"

local c = native.c

---@class moonpipe.Provider  who was called, for errors
---@field name string        such as "openai"
---@field key_name string?   what holds the key: "OPENAI_API_KEY" or "api_key"
---@field base_url string
---@field proxy string?       the host and port of the one that is asked
---@field loopback_port string?  where it is a server of this machine

local provider = {}

local NULL = c.json_null

local SHOWN = 200      -- bytes of an answer that a message shows
local KEY_MAX = 16384  -- bytes of the longest key

local REASONS = {
  [400] = "Bad Request", [401] = "Unauthorized", [402] = "Payment Required", [403] = "Forbidden",
  [404] = "Not Found", [408] = "Request Timeout", [409] = "Conflict", [413] = "Content Too Large",
  [422] = "Unprocessable Content", [429] = "Too Many Requests", [500] = "Internal Server Error",
  [502] = "Bad Gateway", [503] = "Service Unavailable", [504] = "Gateway Timeout",
  [529] = "Overloaded",
}

-- ---- what was said -----------------------------------------------------------------

-- The first bytes of an answer, on one line; not cut inside a character, nor inside a key,
-- whose half nobody would know.
local function excerpt(body)
  body = redact.text(body:sub(1, SHOWN + KEY_MAX))
  local text = c.utf8_repair(body:sub(1, SHOWN), #body > SHOWN)
  if #body > SHOWN then text = text .. "…" end
  return (text:gsub("[%c%s]+", " "):match("^%s*(.-)%s*$"))
end
provider.excerpt = excerpt

local function given(value)
  return value ~= nil and value ~= NULL and value ~= false
end

local function text_of(value)
  return type(value) == "string" and value ~= "" and value or nil
end

---@class moonpipe.Said  what an error body says
---@field message string?
---@field code string|number|nil
---@field type string?
---@field limit number?  tokens that fit
---@field used number?   tokens that were sent

---What a value says that is known to be an error: OpenAI's form, those of servers that
---are nearly compatible, of Qdrant (in `status`), and of proxies.
---@param value any
---@return moonpipe.Said?
function provider.said_by(value)
  if type(value) ~= "table" then return nil end
  local inner = value.error
  if not given(inner) then inner = type(value[1]) == "table" and value[1].error end
  if not given(inner) and type(value.status) == "table" then inner = value.status.error end
  if type(inner) == "string" then return { message = inner, code = value.code } end
  if type(inner) ~= "table" and (given(value.message) or given(value.detail)) then
    inner = value
  end
  if type(inner) ~= "table" then return nil end
  return {
    message = text_of(inner.message) or text_of(inner.detail),
    code = given(inner.code) and inner.code or nil,
    type = text_of(inner.type) or text_of(inner.status),
    limit = tonumber(inner.n_ctx),
    used = tonumber(inner.n_prompt_tokens),
  }
end

---What a decoded answer says of an error; nil where it says none.
---@param value any
---@return moonpipe.Said?
function provider.said(value)
  if type(value) ~= "table" then return nil end
  local first = value[1] -- Gemini may send its error in a list
  if given(value.error) or value.object == "error" or type(first) == "table" and first.error then
    return provider.said_by(value)
  end
end

-- ---- what it means -------------------------------------------------------------------

-- Codes and types that providers use, whatever the status.
local KIND_OF = {
  insufficient_quota = "quota", billing_hard_limit_reached = "quota",
  billing_not_active = "quota", billing_error = "quota",
  rate_limit_exceeded = "rate_limit", rate_limit_error = "rate_limit",
  rate_limited = "rate_limit", resource_exhausted = "rate_limit",
  invalid_api_key = "auth", authentication_error = "auth", permission_error = "auth",
  permission_denied = "auth", unauthenticated = "auth",
  context_length_exceeded = "context_length", exceed_context_size_error = "context_length",
  model_context_window_exceeded = "context_length", string_above_max_length = "context_length",
  content_filter = "content_filter", content_policy_violation = "content_filter",
  invalid_prompt = "content_filter", moderation_blocked = "content_filter",
  model_not_found = "http", not_found_error = "http", not_found = "http",
}

-- Without a status these are worth another attempt.
local SERVER_FAULTS = {
  server_error = 500, internal_server_error = 500, api_error = 500, internal = 500,
  overloaded_error = 529, overloaded = 529, service_unavailable = 503, unavailable = 503,
  server_overloaded = 503, timeout = 504, timeout_error = 504,
}

local TOO_LONG = {
  "maximum context length", "context window", "context length", "context size",
  "prompt is too long", "too many tokens", "input is too long", "maximum number of tokens",
}

local function says_too_long(message)
  message = message:lower()
  for _, words in ipairs(TOO_LONG) do
    if message:find(words, 1, true) then return true end
  end
  return false
end

local STATUS_KIND = {
  [401] = "auth", [402] = "quota", [403] = "auth", [407] = "connect", [429] = "rate_limit",
  [400] = "refused_request", [413] = "refused_request", [422] = "refused_request",
}

local function named(said, names)
  return names[text_of(said.code) and said.code:lower()] or names[said.type and said.type:lower()]
end

-- Gemini says so with a status of 400.
local function says_bad_key(message)
  return message:lower():find("api key not valid", 1, true) ~= nil
end

local function kind_of(status, said)
  local kind = named(said, KIND_OF)
  if kind then return kind end
  if said.message and says_bad_key(said.message) then return "auth" end
  if said.message and (status == 400 or status == 413 or not status)
    and says_too_long(said.message) then
    return "context_length"
  end
  if status and status >= 300 and status < 400 then return "protocol" end
  if not status and said.type == "invalid_request_error" then return "refused_request" end
  return STATUS_KIND[status] or "http"
end

-- "maximum context length is 128000 tokens. However, you requested 130000 tokens"
local function read_limits(err, said)
  local message = said.message or ""
  local limit = message:match("context length is (%d+)") or message:match("[Mm]aximum of (%d+)")
    or message:match("> (%d+) maximum") or message:match("%((%d+) tokens%)")
  local used = message:match("requested (%d+)") or message:match("resulted in (%d+)")
    or message:match("too long: (%d+)")
  err.limit = said.limit or tonumber(limit)
  err.used = said.used or tonumber(used)
end

local function location(header)
  local host = (header("location") or ""):match("^%a[%w+.-]*://([^/?#]*)")
  return host and ("to " .. host:gsub("^.*@", "")) or "within the host"
end

local function message_of(who, status, said, response)
  if status and status >= 300 and status < 400 then
    return ("the server redirects %s, but a redirect could carry the key elsewhere"):format(
      location(response.header))
  end
  if status == 407 then return ("the proxy %s refused the call: 407"):format(who.proxy or "") end
  if said.message then return said.message end
  local reason = REASONS[status] and " " .. REASONS[status] or ""
  local shown = response and excerpt(response.body) or ""
  return ("%s%s"):format(status or "an error", reason) .. (shown ~= "" and ": " .. shown or "")
end

-- What a provider itself says before what a proxy may say.
local REQUEST_IDS = { "request-id", "x-request-id", "x-generation-id" }

---What the provider calls an exchange, for its support.
---@param header fun(name: string): string?
---@return string?
function provider.request_id(header)
  for _, name in ipairs(REQUEST_IDS) do
    local id = header(name)
    if id then return id end
  end
end

local function no_header() end

local function make(who, status, said, response)
  local header = response and response.header or no_header
  local kind = kind_of(status, said)
  local hint = kind == "auth" and who.key_name and "; check " .. who.key_name or ""
  local err = errors.new {
    kind = kind,
    message = redact.text(message_of(who, status, said, response)) .. hint,
    provider = who.name,
    status = status,
    code = text_of(said.code),
    request_id = provider.request_id(header),
    retry_after = retry.asked(header),
    retryable = kind ~= "quota" and retry.is_transient(status or 0, header),
  }
  if kind == "context_length" then read_limits(err, said) end
  return err
end

---The error of an answer whose status is no success.
---@param who moonpipe.Provider
---@param response moonpipe.HttpResponse
---@return moonpipe.Error
function provider.refusal(who, response)
  local said = provider.said_by(glance(response.body)) or {}
  return make(who, response.status, said, response)
end

---The error that an answer with a status of success holds in its body, or a
---record of its stream: as its own status would be, if it names one.
---@param who moonpipe.Provider
---@param said moonpipe.Said
---@param response { header: fun(name: string): string? }
---@return moonpipe.Error
function provider.error_in(who, said, response)
  local status = tonumber(said.code) or named(said, SERVER_FAULTS)
  if status and (status < 400 or status > 599) then status = nil end
  local err = make(who, status, said, { header = response.header, body = "" })
  if not status and err.kind == "rate_limit" then err.retryable = true end
  return err
end

---Raises what an answer of success is that is not what was asked for.
---@param who moonpipe.Provider
---@param response moonpipe.HttpResponse
---@param kind string
---@param message string
---@param retryable boolean
function provider.reject(who, response, kind, message, retryable)
  local shown = excerpt(response.body)
  if shown ~= "" then message = message .. ": " .. shown end
  errors.raise(kind, redact.text(message), {
    provider = who.name,
    status = response.status,
    request_id = provider.request_id(response.header),
    retryable = retryable,
  })
end

---Raises what an answer of success is whose value cannot be read: an error that stands in it, or
---one of kind `decode` that says [problem].
---@param who moonpipe.Provider
---@param response moonpipe.HttpResponse
---@param problem string
function provider.no_answer(who, response, problem)
  local body = response.body
  if body == "" then provider.reject(who, response, "protocol", "the answer is empty", true) end
  local said = provider.said(glance(body))
  if said then error(provider.error_in(who, said, response), 0) end
  if (response.header("content-type") or ""):find("html", 1, true) or body:find("^%s*<") then
    provider.reject(who, response, "protocol", "the answer is HTML, not JSON", false)
  end
  errors.raise("decode", problem, { provider = who.name, status = response.status })
end

-- ---- failures of the transport -----------------------------------------------------

-- Servers that people run, by the port they take.
local LOCAL = {
  ["11434"] = "Ollama", ["8080"] = "llama-server", ["8000"] = "vLLM", ["1234"] = "LM Studio",
}

---Adds to a failure of the transport whom it concerns, and what may help.
---@param who moonpipe.Provider
---@param err moonpipe.Error
function provider.explain(who, err)
  err.provider = err.provider or who.name
  local server = LOCAL[who.loopback_port]
  if err.kind == "connect" and who.proxy and err.message:find "^the proxy " then
    local rest = err.message:match("^the proxy %S+(.*)$")
    err.message = ("the proxy %s%s"):format(who.proxy, rest)
  elseif err.kind == "connect" and server then
    err.message = ("%s; is %s running?"):format(err.message, server)
  elseif err.kind == "dns" then
    err.message = ("%s; is the base URL right: '%s'?"):format(err.message, who.base_url)
  end
end

return provider
