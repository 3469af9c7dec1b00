--- The stream of a chat completion as chunks of a message.
--
-- It has succeeded when the provider said so: by `[DONE]` or by a finish reason.
-- Any other end is a failure that keeps the text so far in `partial`. All that
-- concerns the whole answer comes with the last chunk.
local answer = require "moonpipe.models.openai_answer"
local errors = require "moonpipe.error"
local json = require "moonpipe.json"
local message = require "moonpipe.message"
local native = require "moonpipe.native"
local provider = require "moonpipe.provider"
local record_shape = require "moonpipe.models.record_shape"
local retry = require "moonpipe.retry"
local secret = require "moonpipe.secret"

local c = native.c
local NULL = c.json_null
local decode = answer.decode
local repair = c.utf8_repair

local CHUNK = message.AIMessageChunk.instance_mt

local FINISH = 1 -- second for a transfer to end by itself after its last record

---@class moonpipe.OpenAIStream
---@field reader moonpipe.HttpReader
---@field call moonpipe.Attempts
---@field parts string[]      the text so far
---@field count integer       of them
---@field ahead string[]      texts that were read in one go
---@field at integer          the one that was given last
---@field last integer        the last one of them
---@field held string         bytes of a character that is not whole yet
---@field envelope table      the newest that had choices
---@field shape moonpipe.RecordShape
---@field calls table?        tool calls by their place
---@field finished boolean?
local Stream = {}
local mt = { __name = "moonpipe.OpenAIStream", __index = Stream }

local stream = {}

---@param reader moonpipe.HttpReader
---@param call moonpipe.Attempts
---@return moonpipe.OpenAIStream
function stream.new(reader, call)
  return setmetatable({
    reader = reader, call = call, parts = {}, count = 0, held = "", envelope = {},
    shape = record_shape.new("content"), ahead = {}, at = 0, last = 0,
  }, mt)
end

local function member(value)
  if value ~= NULL then return value end
end

-- ---- failures ----------------------------------------------------------------------------

-- Raises what ended the stream, with what is known of it.
local function fail(self, err)
  self.reader:close()
  if not retry.is_failure(err) then error(err, 0) end
  err.partial = err.partial or table.concat(self.parts)
  err.request_id = err.request_id or self.reader.header("x-request-id")
  retry.give_up(self.call, err)
end

local function raise(self, kind, text)
  fail(self, errors.new { kind = kind, message = secret.redact(text) })
end

local function raise_said(self, said)
  fail(self, provider.error_in(self.call.endpoint.who, said, self.reader))
end

-- ---- tool calls --------------------------------------------------------------------------

local function given(text)
  return type(text) == "string" and text ~= "" and text or nil
end

-- Whether a delta begins a call of its own at a place that has one: servers may
-- number all calls 0.
local function is_new(slot, id, name)
  if id and slot.id then return id ~= slot.id end
  return name ~= nil and slot.name ~= nil and name ~= slot.name
end

-- The call that a delta is about.
local function slot_of(self, delta, place)
  local calls = self.calls
  local index = member(delta.index) or place - 1
  local fn = member(delta["function"]) or {}
  local id, name = given(delta.id), given(fn.name)
  local slot = calls.at[index]
  if not slot or is_new(slot, id, name) then
    slot = { number = #calls }
    calls[#calls + 1], calls.at[index] = slot, slot
  end
  local piece = { index = slot.number, id = not slot.id and id or nil,
    name = not slot.name and name or nil, type = "tool_call_chunk" }
  slot.id, slot.name = slot.id or id, slot.name or name
  local arguments = member(fn.arguments)
  piece.args = type(arguments) == "table" and native.check(c.json_encode(arguments)) or arguments
  return piece
end

local function call_pieces(self, deltas)
  self.calls = self.calls or { at = {} }
  local pieces = {}
  for place, delta in ipairs(deltas) do pieces[place] = slot_of(self, delta, place) end
  return pieces
end

-- Ids for the calls that came without one.
local function missing_ids(self)
  local pieces
  for number, slot in ipairs(self.calls or {}) do
    if not slot.id then
      pieces = pieces or {}
      pieces[#pieces + 1] = { index = number - 1, id = "call_" .. number - 1,
        type = "tool_call_chunk" }
    end
  end
  return pieces
end

-- ---- records -------------------------------------------------------------------------------

-- A chunk of text; the first brings the id of the whole.
local function text_chunk(self, fields)
  local count = self.count + 1
  self.count, self.parts[count] = count, fields.content
  if not self.begun then
    self.begun = true
    fields.id = given(member(self.envelope.id))
    if not fields.id then return message.first_chunk(fields) end
  end
  return setmetatable(fields, CHUNK)
end

local function content_text(self, content)
  if self.held ~= "" then content = self.held .. content end
  local text
  text, self.held = repair(content, true)
  return text
end

local function add_logprobs(self, choice)
  local logprobs = answer.logprobs(choice)
  if not logprobs or not logprobs.content then return end
  self.logprobs = self.logprobs or { content = {} }
  for _, token in ipairs(logprobs.content) do
    table.insert(self.logprobs.content, token)
  end
end

-- What a delta carries besides text: two kinds of fields, nil for none.
local function besides(self, choice, delta)
  if member(choice.finish_reason) then
    self.finish_reason, self.finished = choice.finish_reason, true
  end
  if member(choice.logprobs) then add_logprobs(self, choice) end
  local deltas = member(delta.tool_calls)
  return answer.extras(nil, delta), deltas and deltas[1] and call_pieces(self, deltas) or nil
end

-- The chunk of a choice's delta, nil where it brings nothing to show.
local function delta_chunk(self, choice, data)
  local delta = member(choice.delta) or {}
  local kwargs, pieces = besides(self, choice, delta)
  local content, text = delta.content, ""
  if type(content) == "string" then
    if not (kwargs or pieces or self.finished or self.logprobs or self.usage) then
      self.shape:learn(data, content)
    end
    text = content_text(self, content)
  end
  if text == "" and not kwargs and not pieces then return nil end
  return text_chunk(self, {
    content = text, additional_kwargs = kwargs, tool_call_chunks = pieces,
  })
end

-- Whether a record that is no JSON is the last of the body and a beginning of JSON.
local function is_cut(self, data)
  return self.reader:is_over() and pcall(function() json.decoder():feed(data) end)
end

-- A record that is no JSON object: the stream was cut inside of it, or the server
-- says what is none. Behind the finish reason it takes nothing from the answer.
local function refuse_record(self, data, value, problem)
  if self.finished then return nil end
  if value == nil and is_cut(self, data) then
    raise(self, "truncated", "the stream ended inside of a record: " .. provider.excerpt(data))
  end
  raise(self, "protocol", ("a record of the stream is no JSON object: %s: %s"):format(
    problem or type(value), provider.excerpt(data)))
end

-- The chunk of one record, nil where it brings nothing to show.
local function read_record(self, data)
  local known = self.shape:text(data)
  if known then return text_chunk(self, { content = content_text(self, known) }) end
  local value, problem = decode(data)
  if type(value) ~= "table" then return refuse_record(self, data, value, problem) end
  local said = provider.said(value)
  if said then raise_said(self, said) end
  local usage = answer.usage(value)
  if usage then self.usage = usage end
  local choices = value.choices
  local choice = type(choices) == "table" and choices[1]
  if not choice then return nil end
  value.choices = nil -- what is kept says nothing of this record alone
  self.envelope = value
  return delta_chunk(self, choice, data)
end

-- ---- the end -------------------------------------------------------------------------------

-- What concerns the whole answer.
local function last_chunk(self)
  self.ended = true
  local text = self.held ~= "" and repair(self.held) or ""
  local usage, settle = self.usage, self.call.settle
  if settle then settle(self.call, usage) end
  return text_chunk(self, {
    content = text,
    tool_call_chunks = missing_ids(self),
    usage_metadata = usage and answer.usage_metadata(usage),
    response_metadata = answer.metadata(self.envelope, usage, self.finish_reason, self.logprobs),
    chunk_position = "last",
  })
end

-- The transfer has ended without `[DONE]`.
local function end_of_body(self)
  if not self.finished then
    raise(self, "truncated", "the stream ended before the answer did")
  end
  return last_chunk(self)
end

-- A failure after the finish reason takes nothing from the answer.
local function read(self)
  local ok, data, name = pcall(self.reader.read, self.reader)
  if ok then return data, name end
  if not self.finished or not errors.is(data) or data.kind == "cancelled" then fail(self, data) end
end

-- The next text of those that are there, as most are, in records like the last one.
local function next_text(self)
  local at = self.at
  if at == self.last then
    local shape = self.shape
    if not shape.before or self.held ~= "" then return nil end
    at, self.last = 0, self.reader:texts(shape.before, shape.behind, self.ahead)
    if self.last == 0 then
      self.at = 0
      return nil
    end
    shape.misses = 0
  end
  self.at = at + 1
  return self.ahead[at + 1]
end

---The next chunk, or nil at the end.
---@async
---@return moonpipe.AIMessageChunk?
function Stream:next()
  if self.ended then return nil end
  while true do
    local text = next_text(self)
    if text then return text_chunk(self, { content = text }) end
    local data, name = read(self)
    if not data then return end_of_body(self) end
    if data:sub(1, 6) == "[DONE]" then
      self.reader:finish(FINISH)
      return last_chunk(self)
    end
    if name == "error" then
      raise_said(self, provider.said(decode(data)) or { message = provider.excerpt(data) })
    end
    local chunk = read_record(self, data)
    if chunk then return chunk end
  end
end

return stream
