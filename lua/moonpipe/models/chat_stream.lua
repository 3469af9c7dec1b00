--- The stream of a chat API as chunks of a message.
--
-- It has succeeded when the provider said so, by its last record or by a finish
-- reason. Any other end is a failure that keeps the text so far in `partial`. All
-- that concerns the whole answer comes with the last chunk.
--
-- What a record means is the provider's own: its moonpipe.ChatRecords.
local envelope = require "moonpipe.http.envelope"
local errors = require "moonpipe.error"
local json = require "moonpipe.json"
local message = require "moonpipe.messages.message"
local native = require "moonpipe.native"
local provider = require "moonpipe.http.provider"
local record_shape = require "moonpipe.models.record_shape"
local redact = require "moonpipe.redact"
local retry = require "moonpipe.http.retry"

local c = native.c
local decode, member, given = envelope.decode, envelope.member, envelope.text
local repair = c.utf8_repair

local CHUNK = message.AIMessageChunk.instance_mt

local FINISH = 1 -- second for a transfer to end by itself after its last record

-- Texts that become one. What is written to while the collector marks, it looks at again, whole,
-- and stops all else for it: only `parts` is written to for each token, and does not grow.
local JOIN = 32

---@class moonpipe.ChatRecords  what the records of a provider's stream mean
---@field key string  of the text in a record, for records that differ in it alone
---@field read fun(stream: moonpipe.ChatStream, record: table, name: string): ...
---  the text that a record brings, additional_kwargs, pieces of tool calls (texts and
---  thoughts may hold halves of characters, which are put together here); notes the
---  rest in the stream: `finished`, `finish_reason`, `usage`, `id`, and `over` where
---  no record follows
---@field last fun(stream: moonpipe.ChatStream): table  what concerns the whole answer:
---  usage_metadata, response_metadata, additional_kwargs of its last chunk

---@class moonpipe.ChatStream
---@field records moonpipe.ChatRecords
---@field reader moonpipe.HttpReader
---@field call moonpipe.Attempts
---@field parts string[]      the last texts; in `joined` those before, in `count` how many in all
---@field ahead string[]?     texts that were read in one go
---@field at integer          the one that was given last
---@field last integer        the last one of them
---@field held string         bytes of a character that is not whole yet
---@field thought string      the same of what is thought
---@field shape moonpipe.RecordShape
---@field calls table?        tool calls by their place
---@field finished boolean?   the provider said that the answer is whole
---@field over boolean?       it said that no record follows
---@field finish_reason string?
---@field usage table?
---@field detailed boolean?   records carry more than their text
---@field id string?          the provider's name of the answer
local Stream = { at = 0, last = 0, held = "", thought = "", is_lenient = false }
local mt = { __name = "moonpipe.ChatStream", __index = Stream }

local stream = {}

---@param records moonpipe.ChatRecords
---@param reader moonpipe.HttpReader
---@param call moonpipe.Attempts
---@param is_lenient boolean  the end of the body is the end of the answer
---@return moonpipe.ChatStream
function stream.new(records, reader, call, is_lenient)
  -- seven fields until its end, of a stream whose tokens come one by one
  local self = setmetatable({
    records = records, reader = reader, call = call, parts = { count = 0 }, id = nil,
    shape = record_shape.new(records.key), envelope = nil,
  }, mt)
  if is_lenient then self.is_lenient = true end
  return self
end

---The chunks of what ask(model, messages, ctx) opens, asked for with the first. From
---then on nothing holds the prompt: it may be large, and the stream long.
---@return fun(): moonpipe.AIMessageChunk?
function stream.later(ask, model, messages, ctx)
  local source = { ask = ask, model = model, messages = messages, ctx = ctx }
  return function()
    if source.ask then source = source.ask(source.model, source.messages, source.ctx) end
    return source:next()
  end
end

-- ---- failures ----------------------------------------------------------------------------

---The text so far.
---@return string
function Stream:text()
  local parts = self.parts
  local last = table.concat(parts, "", 1, parts.count > 0 and (parts.count - 1) % JOIN + 1 or 0)
  return parts.joined and table.concat(parts.joined) .. last or last
end

---Raises what ended the stream, with what is known of it.
---@param err any
function Stream:fail(err)
  self.reader:close()
  if not retry.is_failure(err) then error(err, 0) end
  err.partial = err.partial or self:text()
  err.request_id = err.request_id or provider.request_id(self.reader.header)
  retry.give_up(self.call, err)
end

local function raise(self, kind, text)
  self:fail(errors.new { kind = kind, message = redact.text(text) })
end

---Raises an error that a record tells of.
---@param said moonpipe.Said
function Stream:refuse(said)
  self:fail(provider.error_in(self.call.endpoint.who, said, self.reader))
end

-- ---- tool calls --------------------------------------------------------------------------

-- Whether a delta begins a call of its own at a place that has one: servers may
-- number all calls 0.
local function is_new(slot, id, name)
  if id and slot.id then return id ~= slot.id end
  return name ~= nil and slot.name ~= nil and name ~= slot.name
end

-- The piece of a call that a delta is about.
local function piece_of(calls, delta, place)
  local index = member(delta.index) or place - 1
  local fn = member(delta["function"]) or {}
  local id, name = given(delta.id), given(fn.name)
  local slot = calls.at[index]
  if not slot or is_new(slot, id, name) then
    slot = { number = #calls, held = "" }
    calls[#calls + 1], calls.at[index] = slot, slot
  end
  local piece = { index = slot.number, id = not slot.id and id or nil,
    name = not slot.name and name or nil, type = "tool_call_chunk" }
  slot.id, slot.name = slot.id or id, slot.name or name
  local arguments = member(fn.arguments)
  if type(arguments) == "table" then arguments = native.check(c.json_encode(arguments)) end
  if type(arguments) == "string" then
    arguments, slot.held = repair(slot.held .. arguments, true)
  end
  piece.args = arguments
  return piece
end

---The pieces of tool calls that OpenAI's form of deltas brings.
---@param deltas { index: integer?, id: string?, ["function"]: table }[]
---@return table[]
function Stream:pieces(deltas)
  self.calls = self.calls or { at = {} }
  local pieces = {}
  for place, delta in ipairs(deltas) do pieces[place] = piece_of(self.calls, delta, place) end
  return pieces
end

---The pieces of calls that come whole, each one of its own.
---@param list { id: string?, ["function"]: table }[]
---@return table[]
function Stream:whole_calls(list)
  self.calls = self.calls or { at = {} }
  local pieces = {}
  for place, call in ipairs(list) do
    call.index = #self.calls
    pieces[place] = piece_of(self.calls, call, place)
  end
  return pieces
end

-- Ids for the calls that came without one, and U+FFFD for half a character at the end of one.
local function last_pieces(self)
  local pieces
  for number, slot in ipairs(self.calls or {}) do
    if not slot.id or slot.held ~= "" then
      pieces = pieces or {}
      pieces[#pieces + 1] = { index = number - 1, id = not slot.id and "call_" .. number - 1 or nil,
        args = slot.held ~= "" and repair(slot.held) or nil, type = "tool_call_chunk" }
    end
  end
  return pieces
end

-- ---- records -------------------------------------------------------------------------------

local function join(parts)
  local joined = parts.joined or {}
  parts.joined, joined[#joined + 1] = joined, table.concat(parts, "", 1, JOIN)
end

-- A chunk of text; the first brings the id of the whole.
local function text_chunk(self, fields)
  local parts = self.parts
  local count = parts.count
  local place = count % JOIN + 1
  if place == 1 and count > 0 then join(parts) end
  count = count + 1
  parts.count, parts[place] = count, fields.content
  if count == 1 then
    fields.id = self.id
    if not fields.id then return message.first_chunk(fields) end
  end
  return setmetatable(fields, CHUNK)
end

local function whole_characters(self, content)
  if self.held ~= "" then content = self.held .. content end
  local text, held = repair(content, true)
  if held ~= self.held then self.held = held end
  return text
end

-- The same for what is thought; nil where that leaves nothing.
local function whole_thoughts(self, kwargs)
  local text = kwargs.reasoning_content
  if type(text) ~= "string" then return kwargs end
  local whole, held = repair(self.thought .. text, true)
  if held ~= self.thought then self.thought = held end
  kwargs.reasoning_content = given(whole)
  return next(kwargs) and kwargs or nil
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

-- The chunk of one record, nil where it brings nothing to show, as the last one.
local function read_record(self, data, name)
  if data:sub(1, 6) == "[DONE]" then
    self.over = true
    return nil
  elseif name == "error" then
    self:refuse(provider.said_by((decode(data))) or { message = provider.excerpt(data) })
  end
  local known = self.shape:text(data)
  if known then return text_chunk(self, { content = whole_characters(self, known) }) end
  local value, problem = decode(data)
  if type(value) ~= "table" then return refuse_record(self, data, value, problem) end
  local said = provider.said(value)
  if said then self:refuse(said) end
  local text, kwargs, pieces = self.records.read(self, value, name)
  if text then
    if not (kwargs or pieces or self.finished or self.usage or self.detailed) then
      self.shape:learn(data, text)
    end
    text = whole_characters(self, text)
  end
  if kwargs then kwargs = whole_thoughts(self, kwargs) end
  if (text or "") == "" and not kwargs and not pieces then return nil end
  return text_chunk(self, {
    content = text or "", additional_kwargs = kwargs, tool_call_chunks = pieces,
  })
end

-- ---- the end -------------------------------------------------------------------------------

-- What concerns the whole answer.
local function last_chunk(self)
  self.ended = true
  local fields = self.records.last(self)
  local settle = self.call.settle
  if settle then settle(self.call, fields.usage_metadata) end
  fields.content = self.held ~= "" and repair(self.held) or ""
  if self.thought ~= "" then
    fields.additional_kwargs = fields.additional_kwargs or {}
    fields.additional_kwargs.reasoning_content = repair(self.thought)
  end
  fields.tool_call_chunks = last_pieces(self)
  fields.chunk_position = "last"
  return text_chunk(self, fields)
end

-- No record follows: the connection may serve another call.
local function over(self)
  self.reader:finish(FINISH)
  return last_chunk(self)
end

-- The transfer has ended without a last record.
local function end_of_body(self)
  if not self.finished and not (self.is_lenient and self.parts.count > 0) then
    raise(self, "truncated", "the stream ended before the answer did")
  end
  return last_chunk(self)
end

-- The next record, nil at the end, false where it had to wait: what came may be for read_ahead.
-- A failure after the finish reason takes nothing from the answer.
local function read(self)
  local ok, data, name = pcall(self.reader.read_or_wait, self.reader)
  if ok then return data, name end
  if not self.finished or not errors.is(data) or data.kind == "cancelled" then self:fail(data) end
end

local spare = {} -- for streams that have no list

-- Reads the texts that are there, as most are, in records like the last one; gives
-- the first.
local function read_ahead(self)
  local shape, list = self.shape, self.ahead or spare
  if not shape.before or self.held ~= "" then return nil end
  local count, first = self.reader:texts(shape.before, shape.behind, list)
  if count == 0 then return nil end
  if shape.misses > 0 then shape.misses = 0 end
  if count > 1 then
    if list == spare then self.ahead, spare = list, {} end
    self.at, self.last = 1, count
  end
  return first
end

-- The next text of those that need no decoding, nil where there is none.
local function next_text(self)
  local at = self.at
  if at == self.last then return read_ahead(self) end
  self.at = at + 1
  return self.ahead[at + 1]
end

---The next chunk, or nil at the end.
---@async
---@return moonpipe.AIMessageChunk?
function Stream:next()
  if self.ended then return nil end
  while not self.over do
    local text = next_text(self)
    if text then return text_chunk(self, { content = text }) end
    local data, name = read(self)
    if data == nil then return end_of_body(self) end
    local chunk = data and read_record(self, data, name)
    if chunk then return chunk end
  end
  return over(self)
end

return stream
