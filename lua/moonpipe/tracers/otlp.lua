--- Runs as OpenTelemetry spans, sent as JSON over HTTP (OTLP 1.x, /v1/traces).
--
-- Spans of models bear the names and attributes of the GenAI semantic conventions
-- v1.41. A call is sent when its root has ended; calls that end meanwhile go with
-- the next request. An export that fails is told once in the log, and never
-- fails a chain.
local errors = require "moonpipe.error"
local http = require "moonpipe.http.http"
local json = require "moonpipe.json"
local log = require "moonpipe.log"
local native = require "moonpipe.native"
local record = require "moonpipe.tracers.record"
local scheduler = require "moonpipe.scheduler"

local otlp = {}

local ENDPOINT = "http://127.0.0.1:4318"
local TIMEOUT = 10      -- seconds of an export
local WAITING_MAX = 512 -- calls that wait to be sent; later ones are dropped
local CLIENT, INTERNAL = 3, 1 -- kinds of spans
local FAILED = 2              -- of a status

-- gen_ai.provider.name of our classes.
local PROVIDERS = { ChatOpenAI = "openai" }

-- ---- one span ------------------------------------------------------------------

local function value_of(value)
  if type(value) == "boolean" then return { boolValue = value } end
  if type(value) == "number" then
    if value == math.floor(value) then return { intValue = ("%d"):format(value) } end
    return { doubleValue = value }
  end
  if type(value) == "table" then
    local list = json.array {}
    for i, one in ipairs(value) do list[i] = value_of(one) end
    return { arrayValue = { values = list } }
  end
  return { stringValue = tostring(value) }
end

local function attributes_of(fields)
  local names, list = {}, json.array {}
  for name in pairs(fields) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do list[i] = { key = name, value = value_of(fields[name]) } end
  return list
end

local function model_fields(run, fields)
  local out, usage = run.outputs, record.usage(run) or {}
  local told = type(out) == "table" and type(out.response_metadata) == "table"
    and out.response_metadata or {}
  fields["gen_ai.operation.name"] = "chat"
  fields["gen_ai.provider.name"] = PROVIDERS[run.step.class_name] or run.step.class_name
  fields["gen_ai.request.model"] = run.step.model
  fields["gen_ai.request.stream"] = run.chunks ~= nil
  fields["gen_ai.response.model"] = told.model_name
  fields["gen_ai.response.id"] = type(out) == "table" and out.id or nil
  fields["gen_ai.response.finish_reasons"] = told.finish_reason and { told.finish_reason }
  fields["gen_ai.response.time_to_first_chunk"] = run.first and run.first - run.started
  fields["gen_ai.usage.input_tokens"] = usage.input_tokens
  fields["gen_ai.usage.output_tokens"] = usage.output_tokens
end

local function fields_of(run, contents)
  local fields = {
    ["moonpipe.tag"] = run.tag,
    ["error.type"] = run.error and run.error.kind,
  }
  for name, count in pairs(record.together(run)) do fields["moonpipe." .. name] = count end
  if run.kind == "chat_model" then model_fields(run, fields) end
  if run.kind == "retriever" then fields["gen_ai.operation.name"] = "retrieval" end
  if contents then
    fields["moonpipe.inputs"] = json.encode(record.data(run.inputs) or json.null)
    fields["moonpipe.outputs"] = json.encode(record.data(run.outputs) or json.null)
  end
  return fields
end

local function hex(id, digits)
  local text = id:gsub("%X", "")
  return (text .. ("0"):rep(digits)):sub(1, digits):lower()
end

local function nanoseconds(at)
  return ("%.0f000"):format(record.wall(at) * 1e6)
end

local function span_of(run, contents)
  local is_model = run.kind == "chat_model"
  return {
    traceId = hex(run.root.id, 32),
    spanId = hex(run.id, 16),
    parentSpanId = run.parent and hex(run.parent.id, 16),
    name = is_model and "chat " .. (run.step.model or run.name) or run.name,
    kind = is_model and CLIENT or INTERNAL,
    startTimeUnixNano = nanoseconds(run.started),
    endTimeUnixNano = nanoseconds(run.ended),
    attributes = attributes_of(fields_of(run, contents)),
    status = run.error and { code = FAILED, message = record.problem(run) } or nil,
  }
end

-- ---- sending -------------------------------------------------------------------

local function body_of(spans)
  return record.encode { resourceSpans = json.array { {
    resource = { attributes = attributes_of {
      ["service.name"] = os.getenv "OTEL_SERVICE_NAME" or "moonpipe",
      ["telemetry.sdk.name"] = "moonpipe",
      ["telemetry.sdk.language"] = "lua",
      ["telemetry.sdk.version"] = native.c.version,
    } },
    scopeSpans = json.array { { scope = { name = "moonpipe" }, spans = spans } },
  } } }
end

local function tell_once(self, problem)
  if self.told then return end
  self.told = true
  log.warn(("traces cannot be sent to %s: %s"):format(self.url, problem))
end

local function post(self, spans)
  return http.send(self.plan, body_of(spans), native.c.now() + TIMEOUT)
end

local function send(self)
  while #self.spans > 0 do
    local spans = self.spans
    self.spans, self.calls = json.array {}, 0
    local ok, answer = pcall(post, self, spans)
    if not ok then
      tell_once(self, errors.text(answer))
    elseif answer.status >= 300 then
      tell_once(self, "it answered with status " .. answer.status)
    end
  end
  self.task = nil
end

-- In a task that belongs to no call: no call waits for its export.
local function begin(self)
  if self.task or #self.spans == 0 then return end
  self.task = scheduler.outside(scheduler.start, nil, send, self)
end

local function note_end(self, run)
  if self.calls < WAITING_MAX then self.spans[#self.spans + 1] = span_of(run, self.contents) end
  if run.parent then return end
  self.calls = self.calls + 1
  begin(self)
end

-- ---- the callback ----------------------------------------------------------------

local function headers_of(given)
  local headers = { { "Content-Type", "application/json" } }
  for name, value in (os.getenv "OTEL_EXPORTER_OTLP_HEADERS" or ""):gmatch("([^=,%s]+)=([^,]*)") do
    headers[#headers + 1] = { name, value }
  end
  for name, value in pairs(given or {}) do headers[#headers + 1] = { name, value } end
  return headers
end

---A callback that exports each call as OpenTelemetry spans. Its `flush()` waits
---until all has been sent.
---@param opts { endpoint: string?, headers: table?, contents: boolean? }?
---  endpoint: default OTEL_EXPORTER_OTLP_ENDPOINT, else http://127.0.0.1:4318
---@return table callback
function otlp.OTLPTracer(opts)
  opts = errors.options(opts, { "contents", "endpoint", "headers" }, "OTLPTracer")
  local endpoint = opts.endpoint or os.getenv "OTEL_EXPORTER_OTLP_ENDPOINT" or ENDPOINT
  local self = {
    url = endpoint:gsub("/+$", "") .. "/v1/traces",
    spans = json.array {},
    calls = 0,
    contents = opts.contents,
  }
  self.plan = http.plan {
    url = self.url, headers = headers_of(opts.headers), connect = 5, untaped = true,
  }
  local function note(run) note_end(self, run) end
  return {
    on_end = note,
    on_error = note,
    flush = function()
      begin(self)
      while self.task do self.task:wait() end
    end,
  }
end

return otlp
