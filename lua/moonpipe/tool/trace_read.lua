--- The records of a trace file: a run log (a line of JSON for each run), a Chrome trace, or
--- OpenTelemetry spans as JSON.
--
-- A file that is still written may end in the middle of a line: what is whole counts.
local errors = require "moonpipe.error"
local json = require "moonpipe.json"

local trace_read = {}

---@class moonpipe.TraceRecord
---@field id string
---@field parent_id string?
---@field trace_id string?
---@field name string
---@field kind string?
---@field tag string?      `map:key:a`
---@field model string?
---@field started number   seconds
---@field ended number
---@field first number?    seconds to the first chunk
---@field error string?
---@field tokens { input_tokens: integer?, output_tokens: integer? }?
---@field cached boolean?  out of a cache of ours
---@field embedded_together integer?
---@field searched_together integer?

local function is_text(value)
  return type(value) == "string" and value or nil
end

local function count_of(value)
  value = tonumber(value)
  return value and value >= 0 and value or nil
end

local function tokens_of(input, output, details)
  input, output = count_of(input), count_of(output)
  if not input and not output then return nil end
  return { input_tokens = input, output_tokens = output, input_token_details = details }
end

-- ---- a line of a run log -----------------------------------------------------------------------

local function tag_of(tags)
  for _, tag in ipairs(type(tags) == "table" and tags or {}) do
    if type(tag) == "string" and tag:find "^map:key:" then return tag end
  end
end

-- Or nil and what it lacks.
local function of_line(value)
  if type(value) ~= "table" then return nil, "it is no object" end
  for _, name in ipairs { "id", "name" } do
    if not is_text(value[name]) then return nil, ("it has no '%s'"):format(name) end
  end
  for _, name in ipairs { "start", "end" } do
    if type(value[name]) ~= "number" then return nil, ("it has no '%s'"):format(name) end
  end
  local tokens = type(value.tokens) == "table" and value.tokens or {}
  return {
    id = value.id, parent_id = is_text(value.parent_id), trace_id = is_text(value.trace_id),
    name = value.name, kind = is_text(value.kind), tag = tag_of(value.tags),
    model = is_text(value.model), started = value.start, ended = value["end"],
    first = count_of(value.first), error = is_text(value.error), cached = value.cached == true,
    tokens = tokens_of(tokens.input_tokens, tokens.output_tokens,
      type(tokens.input_token_details) == "table" and tokens.input_token_details or nil),
    embedded_together = count_of(value.embedded_together),
    searched_together = count_of(value.searched_together),
  }
end

-- ---- a Chrome trace ----------------------------------------------------------------------------

local function of_event(event, at)
  local args = type(event.args) == "table" and event.args or {}
  local started = event.ts / 1e6
  return {
    id = is_text(args.id) or "event " .. at, parent_id = is_text(args.parent_id),
    name = is_text(event.name) or "?", kind = is_text(event.cat), tag = is_text(args.tag),
    model = is_text(args.model), started = started, ended = started + event.dur / 1e6,
    error = is_text(args.error), tokens = tokens_of(args.input_tokens, args.output_tokens),
    embedded_together = count_of(args.embedded_together),
    searched_together = count_of(args.searched_together),
    lane = not args.id and ("%s %s"):format(tostring(event.pid), tostring(event.tid)) or nil,
  }
end

-- Events without ids are one another's parents where one encloses the other in its lane.
local function nest(records)
  local lanes = {}
  for _, one in ipairs(records) do
    if one.lane then
      lanes[one.lane] = lanes[one.lane] or {}
      table.insert(lanes[one.lane], one)
    end
  end
  for _, list in pairs(lanes) do
    table.sort(list, function(a, b)
      if a.started ~= b.started then return a.started < b.started end
      return a.ended > b.ended
    end)
    local around = {}
    for _, one in ipairs(list) do
      while #around > 0 and around[#around].ended < one.ended do around[#around] = nil end
      one.parent_id = around[#around] and around[#around].id
      around[#around + 1] = one
    end
  end
end

local function of_events(events)
  local records = {}
  for at, event in ipairs(events) do
    if type(event) == "table" and event.ph == "X" and type(event.ts) == "number"
      and type(event.dur) == "number" then
      records[#records + 1] = of_event(event, at)
    end
  end
  nest(records)
  return records
end

-- ---- OpenTelemetry -----------------------------------------------------------------------------

local function attributes_of(span)
  local out = {}
  for _, one in ipairs(type(span.attributes) == "table" and span.attributes or {}) do
    local value = type(one) == "table" and type(one.value) == "table" and one.value or {}
    out[tostring(one.key)] = value.stringValue or value.intValue or value.doubleValue
  end
  return out
end

local function seconds_of(nanoseconds)
  local value = tonumber(nanoseconds)
  return value and value / 1e9
end

local function error_of(span, attributes)
  local status = type(span.status) == "table" and span.status or {}
  if status.code ~= 2 and status.code ~= "STATUS_CODE_ERROR" then return nil end
  return is_text(status.message) or attributes["error.type"] or "failed"
end

local function of_span(span)
  local started, ended = seconds_of(span.startTimeUnixNano), seconds_of(span.endTimeUnixNano)
  if not is_text(span.spanId) or not started or not ended then return nil end
  local attributes = attributes_of(span)
  local parent = is_text(span.parentSpanId)
  return {
    id = span.spanId, parent_id = parent ~= "" and parent or nil, trace_id = is_text(span.traceId),
    name = is_text(span.name) or "?", tag = attributes["moonpipe.tag"],
    kind = attributes["gen_ai.operation.name"] == "chat" and "chat_model" or nil,
    model = attributes["gen_ai.response.model"] or attributes["gen_ai.request.model"],
    started = started, ended = ended,
    first = count_of(attributes["gen_ai.response.time_to_first_chunk"]),
    error = error_of(span, attributes),
    tokens = tokens_of(attributes["gen_ai.usage.input_tokens"],
      attributes["gen_ai.usage.output_tokens"]),
    embedded_together = count_of(attributes["moonpipe.embedded_together"]),
    searched_together = count_of(attributes["moonpipe.searched_together"]),
  }
end

local function list_in(value, name)
  return type(value) == "table" and type(value[name]) == "table" and value[name] or {}
end

local function of_spans(value)
  local records = {}
  for _, resource in ipairs(list_in(value, "resourceSpans")) do
    for _, scope in ipairs(list_in(resource, "scopeSpans")) do
      for _, span in ipairs(list_in(scope, "spans")) do
        records[#records + 1] = type(span) == "table" and of_span(span) or nil
      end
    end
  end
  return records
end

-- ---- files -------------------------------------------------------------------------------------

local function decoded(text)
  local ok, value = pcall(json.decode, text)
  return ok and value or nil
end

-- The records of a file that is one value, or nil.
local function of_whole(value)
  if type(value) ~= "table" then return nil end
  if type(value.resourceSpans) == "table" then return of_spans(value) end
  if type(value.traceEvents) == "table" then return of_events(value.traceEvents) end
  local first = value[1]
  if type(first) == "table" and first.ph then return of_events(value) end
end

-- A Chrome trace that ends early: one of ours has a line for each event.
local function salvaged(text)
  if not text:find '^%s*{"traceEvents":%[' and not text:find "^%s*%[" then return nil end
  local events = {}
  for line in text:gmatch "[^\n]+" do
    local event = decoded((line:gsub(",%s*$", "")))
    if type(event) == "table" and event.ph then events[#events + 1] = event end
  end
  return #events > 0 and of_events(events) or nil
end

---@class moonpipe.TraceLines  Records of lines, as they come
---@field path string
---@field line integer  lines so far
---@field rest string   what came of the next one
local Lines = {}
Lines.__index = Lines

local function refuse(path, line, problem)
  errors.raise("input", ("%s:%d: this is no trace: %s; `--trace=FILE.jsonl` and "
    .. "`--trace=FILE.json` write some"):format(path, line, problem))
end

local function add_line(self, text, out)
  self.line = self.line + 1
  if text:find "^%s*$" then return end
  local value = decoded(text)
  if value == nil then refuse(self.path, self.line, "the line is no JSON") end
  if type(value) == "table" and value.resourceSpans then
    for _, one in ipairs(of_spans(value)) do out[#out + 1] = one end
    return
  end
  local one, problem = of_line(value)
  if not one then refuse(self.path, self.line, problem) end
  out[#out + 1] = one
end

---The records of a text that goes on where the last one ended. Raises kind `input` where a line
---is none.
---@param text string
---@return moonpipe.TraceRecord[]
function Lines:read(text)
  local out, at = {}, 1
  text = self.rest .. text
  while true do
    local stop = text:find("\n", at, true)
    if not stop then break end
    add_line(self, text:sub(at, stop - 1), out)
    at = stop + 1
  end
  self.rest = text:sub(at)
  return out
end

---The record of a last line without an end, or nil and that it is cut off.
---@return moonpipe.TraceRecord[] records
---@return string? problem
function Lines:last()
  local text, out = self.rest, {}
  self.rest = ""
  if text:find "^%s*$" then return out end
  if decoded(text) == nil then
    return out, ("%s:%d: the last line is cut off; it is left out"):format(self.path, self.line + 1)
  end
  add_line(self, text, out)
  return out
end

---@param path string  for messages
---@return moonpipe.TraceLines
function trace_read.lines(path)
  return setmetatable({ path = path, line = 0, rest = "" }, Lines)
end

---The records of a whole text, whichever kind it is of. Raises kind `input` where it is none.
---@param text string
---@param path string
---@return moonpipe.TraceRecord[]
---@return string? problem  what is missing of it
function trace_read.all(text, path)
  if text:find "^%s*$" then refuse(path, 1, "it is empty") end
  local first = decoded(text:match "^%s*([^\n]*)")
  if type(first) == "table" and (first.id or first.resourceSpans) then
    local lines = trace_read.lines(path)
    local records = lines:read(text)
    local more, problem = lines:last()
    for _, one in ipairs(more) do records[#records + 1] = one end
    return records, problem
  end
  local records = of_whole(first or decoded(text))
  if records then return records end
  records = salvaged(text)
  if records then return records, path .. " is cut off; what is whole is shown" end
  refuse(path, 1, first and "it has neither an 'id' nor 'traceEvents' nor 'resourceSpans'"
    or "it is no JSON")
end

return trace_read
