--- What comes to a cassette: calls go to the network, and what came of them is kept.
local cassette_file = require "moonpipe.cassettes.file"
local cassette_stream = require "moonpipe.cassettes.stream"
local errors = require "moonpipe.error"
local http = require "moonpipe.http.http"
local jobs = require "moonpipe.jobs"
local json = require "moonpipe.json"
local native = require "moonpipe.native"

local now = native.c.now

local record = {}

-- Failures that a server or the network can cause; others say nothing of the exchange.
local KEPT = {}
for kind in ([[dns connect tls timeout_connect timeout_first_byte timeout_idle timeout_total
  reset truncated protocol too_large decode]]):gmatch("%S+") do
  KEPT[kind] = true
end

---@class moonpipe.CassetteRecorder
---@field count integer        exchanges that have ended
---@field under_way integer    those that have not
---@field private list table[] those of the file, then the new ones as they began
---@field private clean fun(text: string): string
---@field private timing boolean?
local Recorder = {}
local mt = { __name = "moonpipe.CassetteRecorder", __index = Recorder }

---@param known table[]  exchanges that are there before
---@param clean fun(text: string): string
---@param timing boolean?
---@return moonpipe.CassetteRecorder
function record.new(known, clean, timing)
  local self = setmetatable({ list = {}, clean = clean, timing = timing, count = 0, under_way = 0 },
    mt)
  for i, exchange in ipairs(known) do self.list[i] = exchange end
  return self
end

---Stops recording, and gives all exchanges that have ended, in the order in which they
---began. A stream that is still open counts as closed now.
---@return table[]
function Recorder:stop()
  local list = {}
  for _, exchange in ipairs(self.list) do
    if exchange.stop then exchange.stop() end
    if not exchange.open then list[#list + 1] = exchange end
  end
  return list
end

-- ---- notes -----------------------------------------------------------------------------

local function begin(self, request)
  local exchange = { request = request, open = true, times = self.timing and json.array {} or nil }
  self.list[#self.list + 1] = exchange
  self.under_way = self.under_way + 1
  return exchange
end

local function finish(self, exchange)
  exchange.open, exchange.stop = nil, nil
  self.under_way, self.count = self.under_way - 1, self.count + 1
end

-- What failed here, not there, is no exchange.
local function drop(self, exchange)
  for i, one in ipairs(self.list) do
    if one == exchange then table.remove(self.list, i) end
  end
  self.under_way = self.under_way - 1
end

local function note_failure(self, exchange, kind, text)
  if not KEPT[kind] then return drop(self, exchange) end
  exchange.failure = { kind = kind, message = self.clean(text) }
  finish(self, exchange)
end

local function note_raised(self, exchange, err)
  if err.kind ~= "cancelled" then return note_failure(self, exchange, err.kind, err.message) end
  exchange.cancelled = true
  finish(self, exchange)
end

-- Notes the seconds since [since], in thousandths; gives the time now.
local function note_time(exchange, since)
  local at = now()
  if exchange.times then
    table.insert(exchange.times, math.floor((at - since) * 1000 + 0.5) / 1000)
  end
  return at
end

local function note_body(self, exchange, answer)
  exchange.response.body = cassette_stream.text_of(self.clean(answer.body or ""))
  finish(self, exchange)
end

-- Lets a stream note what comes of it.
local function note_stream(self, exchange, reader, inbox, since)
  local pieces = {}
  local function note(piece)
    pieces[#pieces + 1] = piece
    since = note_time(exchange, since)
  end
  local stop = cassette_stream.record(reader, inbox, note, function(kind, cargo, error_kind)
    exchange.response.stream = cassette_file.pieces(pieces, self.clean)
    if kind == jobs.CANCELLED then exchange.cancelled = true end
    if kind == jobs.FAILED then return note_failure(self, exchange, error_kind, cargo) end
    finish(self, exchange)
  end)
  if exchange.open then exchange.stop = stop end
end

-- ---- calls -----------------------------------------------------------------------------

-- fn(...), whose failure is noted; gives the exchange, what it gave and when.
local function made(self, request, fn, ...)
  local exchange, begun = begin(self, request), now()
  local ok, value = pcall(fn, ...)
  if not ok then
    note_raised(self, exchange, errors.wrap(value))
    error(value, 0)
  end
  exchange.response = {
    status = value.status, headers = cassette_file.headers(value.head, self.clean),
  }
  return exchange, value, note_time(exchange, begun)
end

---As http.send.
---@async
---@param request table
---@return moonpipe.HttpResponse
function Recorder:send(request, plan, body, total_at, clock)
  local exchange, answer = made(self, request, http.send_live, plan, body, total_at, clock)
  note_body(self, exchange, answer)
  return answer
end

---As http.open.
---@async
---@param request table
---@return moonpipe.HttpReader
function Recorder:open(request, plan, body, total_at, clock, framing)
  local inbox = cassette_stream.inbox(framing) -- before there is a transfer that would be left
  local exchange, reader, at = made(self, request, http.open_live, plan, body, total_at, clock,
    framing, true)
  if reader.body then
    note_body(self, exchange, reader)
  else
    note_stream(self, exchange, reader, inbox, at)
  end
  return reader
end

return record
