--- Streams of a cassette: read off it, or written to it while they are read.
--
-- Both go through an inbox that cuts bytes as the I/O thread would, so the records
-- of a replay are those of the call that was recorded, however its bytes came.
local errors = require "moonpipe.error"
local http = require "moonpipe.http.http"
local jobs = require "moonpipe.jobs"
local native = require "moonpipe.native"
local readers = require "moonpipe.http.reader"
local scheduler = require "moonpipe.scheduler"

local Reader = readers.Reader

local stream = {
  --- Seconds that a call which was cancelled then waits to be cancelled now: a hedge may do it.
  grace = 5,
}

---An inbox that is fed what a stream of [framing] brings.
---@param framing "sse"|"ndjson"|nil  default "sse"
---@return moonpipe.Inbox
function stream.inbox(framing)
  return native.check(native.c.inbox(framing or "sse"))
end

-- ---- bytes as JSON -----------------------------------------------------------------

---Bytes as a value of JSON: a text, or where they are none { bytes = } with one
---character for each byte.
---@param bytes string
---@return string|{ bytes: string }
function stream.text_of(bytes)
  if native.c.utf8_repair(bytes) == bytes then return bytes end
  return { bytes = (bytes:gsub("[\128-\255]", function(byte)
    local code = byte:byte()
    return string.char(0xC0 + math.floor(code / 64), 0x80 + code % 64)
  end)) }
end

---The bytes that such a value means.
---@param text string|{ bytes: string }
---@return string
function stream.bytes_of(text)
  if type(text) == "string" then return text end
  return (text.bytes:gsub("([\194\195])([\128-\191])", function(high, low)
    return string.char((high:byte() - 0xC0) * 64 + low:byte() - 0x80)
  end))
end

-- ---- replay --------------------------------------------------------------------------

---@class moonpipe.PlayedReader: moonpipe.HttpReader
---@field exchange table
---@field at integer       the piece that came last
---@field times number[]?  seconds before each piece; nil: at once
local Played = setmetatable({}, { __index = Reader })
local played_mt = { __name = "moonpipe.PlayedReader", __index = Played }

-- Waits as a call did that was cancelled: until somebody cancels this one.
local function await_cancel()
  scheduler.sleep(stream.grace)
  errors.raise("io", "this call was cancelled when it was recorded, and nothing cancels it now")
end

local function take_piece(self, bytes)
  local ok, message, kind = self.inbox:feed(bytes)
  if not ok then self.kind, self.cargo, self.error_kind = jobs.FAILED, message, kind end
  return ok
end

local function finish(self)
  local failure = self.exchange.failure
  self.ended = true
  if failure then
    self.kind, self.cargo, self.error_kind = jobs.FAILED, failure.message, failure.kind
  elseif self.kind == jobs.DONE then
    take_piece(self)
  end
  if self.on_end then self.on_end() end
end

-- The next piece, or the end; false where only a cancel ends it.
local function feed_next(self)
  local piece = self.exchange.response.stream[self.at + 1]
  if piece == nil and self.exchange.cancelled then return false end
  self.at = self.at + 1
  if piece == nil or not take_piece(self, stream.bytes_of(piece)) then finish(self) end
  return true
end

---@async
function Played:wait()
  if self.times then scheduler.sleep(self.times[self.at + 2] or 0) end
  if not self.ended and not feed_next(self) then await_cancel() end
end

function Played:drain()
  while not self.ended and feed_next(self) do end
end

-- Whatever still came when it was recorded, nobody waits for it.
function Played:finish()
  self:close()
end

function Played:close()
  if self.ended then return end
  self.ended, self.kind = true, jobs.CANCELLED
  if self.on_end then self.on_end() end
end

-- As http.open gives them: the status, then the lines.
local function head_of(response)
  local lines = {}
  for name, value in pairs(response.headers or {}) do
    lines[#lines + 1] = ("%s: %s\n"):format(name, value)
  end
  table.sort(lines)
  return ("%d\n"):format(response.status) .. table.concat(lines)
end

-- Raises what took the place of the whole answer.
local function raise_failure(exchange)
  local failure = exchange.failure
  if failure and not (exchange.response and exchange.response.stream) then
    errors.raise(failure.kind, failure.message)
  elseif not exchange.response then
    await_cancel()
  end
end

-- As long as the head took.
local function await_head(times)
  if times and times[1] then scheduler.sleep(times[1]) end
end

---The answer of a recorded exchange as http.send gives it; raises its failure.
---@async
---@param exchange table
---@param times number[]?
---@return moonpipe.HttpResponse
function stream.answer(exchange, times)
  await_head(times)
  raise_failure(exchange)
  local response, body = exchange.response, {}
  for i, piece in ipairs(response.stream or { response.body or "" }) do
    body[i] = stream.bytes_of(piece)
  end
  if exchange.failure then errors.raise(exchange.failure.kind, exchange.failure.message) end
  return http.answer(head_of(response), table.concat(body))
end

---The same as http.open gives it.
---@async
---@param exchange table
---@param framing "sse"|"ndjson"|nil
---@param times number[]?
---@return moonpipe.HttpReader
function stream.play(exchange, framing, times)
  await_head(times)
  raise_failure(exchange)
  local response = exchange.response
  local head = head_of(response)
  local self = setmetatable({
    exchange = exchange, status = response.status, head = head,
    header = readers.header_of(head), inbox = stream.inbox(framing), begun = true, at = 0,
    times = times, kind = jobs.DONE,
  }, played_mt)
  if not response.stream then
    self.ended, self.body = true, stream.bytes_of(response.body or "")
  elseif not times then
    self:drain()
  end
  return self
end

-- ---- recording -----------------------------------------------------------------------

---@class moonpipe.RecordedReader: moonpipe.HttpReader
---@field uncut moonpipe.Inbox  what came, as it came
---@field note (fun(piece: string))?
---@field note_end (fun(kind: integer, cargo: any, error_kind: string?))?  nil when it was called
---@field refused boolean?      no stream: it holds more than a stream may
local Recorded = setmetatable({}, { __index = Reader })
local recorded_mt = { __name = "moonpipe.RecordedReader", __index = Recorded }

-- Moves what has come on to its reader; gives whether there was anything.
local function move(self)
  local any = false
  for piece in self.uncut.read, self.uncut do
    any = true
    if self.note then self.note(piece) end
    if not self.refused and not take_piece(self, piece) then
      self.refused = { self.cargo, self.error_kind }
    end
  end
  return any
end

-- Tells how it ended, once; pieces are noted no more.
local function note_end(self, kind, cargo, error_kind)
  local tell = self.note_end
  self.note_end, self.note = nil, nil
  if tell then tell(kind, cargo, error_kind) end
end

-- The transfer has ended: nothing comes any more.
local function wind_up(self)
  local kind, cargo, error_kind = self.kind, self.cargo, self.error_kind
  move(self)
  if self.refused then
    self.kind, self.cargo, self.error_kind = jobs.FAILED, unpack(self.refused)
  elseif kind == jobs.DONE then
    take_piece(self)
  end
  note_end(self, kind, cargo, error_kind)
end

function Recorded:on_event(...)
  Reader.on_event(self, ...)
  if self.ended then wind_up(self) end
end

-- What a reader does not wait for is not recorded: its end is known now.
function Recorded:close()
  if self.ended then return end
  Reader.close(self)
  move(self)
  note_end(self, jobs.CANCELLED)
end

---@async
function Recorded:wait()
  if move(self) then return end
  if self.refused then
    note_end(self, jobs.FAILED, unpack(self.refused))
    self:close()
    errors.raise(self.refused[2], self.refused[1])
  end
  Reader.wait(self)
  move(self)
end

---Makes of an open reader whose pieces are uncut one that gives records, and notes
---what comes.
---@param reader moonpipe.HttpReader
---@param inbox moonpipe.Inbox
---@param note fun(piece: string)
---@param tell fun(kind: integer, cargo: any, error_kind: string?)  how it ended; once
---@return fun() stop  notes no more: as if it were closed now
function stream.record(reader, inbox, note, tell)
  reader.uncut, reader.inbox = reader.inbox, inbox
  reader.note, reader.note_end = note, tell
  setmetatable(reader, recorded_mt)
  if reader.ended then wind_up(reader) end
  return function() note_end(reader, jobs.CANCELLED) end
end

return stream
