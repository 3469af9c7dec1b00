--- Cassettes: HTTP exchanges of chains, recorded in a file and played from it, so that a
-- chain is tested offline.
--
-- A cassette that is in hears of all calls of models, embeddings and tools of this program:
-- its hook is in http/http.lua, where one attempt is made, so each retry is an exchange of its
-- own. Calls that begin while it is in are its, whoever makes them. Of several the last one
-- that was put in hears, until it is closed.
local attempts = require "moonpipe.steps.attempts"
local cassette_file = require "moonpipe.cassettes.file"
local cassette_match = require "moonpipe.cassettes.match"
local cassette_record = require "moonpipe.cassettes.record"
local cassette_stream = require "moonpipe.cassettes.stream"
local errors = require "moonpipe.error"
local http = require "moonpipe.http.http"
local json = require "moonpipe.json"
local log = require "moonpipe.log"
local origin = require "moonpipe.http.endpoint_origin"
local scheduler = require "moonpipe.scheduler"
local settings = require "moonpipe.settings"

local cassette = {}

local OPTIONS = { "ignore", "mode", "redact", "timing" }
local ADVICE = " (mode = 'add' records what is missing)"
local MODES = { add = true, auto = true, record = true, replay = true }

---@class moonpipe.Cassette: moonpipe.Tape
---@field path string
---@field mode "replay"|"record"|"add"
---@field played integer    exchanges so far
---@field missed integer    requests that had no answer
---@field private advice string   behind the complaint that there is no answer
---@field private absent boolean? there is no file, and no call may be made
---@field private index moonpipe.CassetteIndex       what the file holds
---@field private recorder moonpipe.CassetteRecorder  what comes to it
---@field private clean fun(text: string): string
---@field private timing boolean?
local Cassette = {}
local mt = { __name = "moonpipe.Cassette", __index = Cassette }

function mt:__tostring()
  return ("cassette %s (%s, %d played, %d recorded)"):format(self.path, self.mode, self.played,
    self.recorder.count)
end

-- ---- which one is in -------------------------------------------------------------------

local inside = {} -- in the order in which they were put in

local function insert_last()
  local last = inside[#inside]
  http.insert(last)
  attempts.patient = not (last and last.hurries)
end

local function put_in(self)
  inside[#inside + 1] = self
  insert_last()
end

local function take_out(self)
  for i = #inside, 1, -1 do
    if inside[i] == self then table.remove(inside, i) end
  end
  insert_last()
end

-- What was recorded is written even where the script ends without closing it.
local function write_when_closed(self)
  local sentinel = newproxy(true)
  getmetatable(sentinel).__gc = function() self:close() end
  self.sentinel = sentinel
end

-- ---- requests --------------------------------------------------------------------------

-- A body as it is kept and compared: what it means where it is JSON.
local function body_value(self, body)
  if body == nil then return nil end
  local ok, value = pcall(json.decode, body)
  local text = self.clean(ok and json.encode(value) or body)
  local readable, cleaned = pcall(json.decode, text)
  if ok and readable then return cleaned end
  return cassette_stream.text_of(text)
end

local function request_of(self, plan, body)
  local about = http.recordable(plan)
  return {
    method = about.method or body and "POST" or "GET",
    url = self.clean(origin.shown(about.url)),
    body = body_value(self, body),
  }
end

-- The exchange that answers a request; nil where it must be made.
local function find(self, request)
  if self.mode == "record" then return nil end
  local exchange = self.index:take(request)
  if exchange then
    self.played = self.played + 1
    return exchange
  end
  if self.mode == "add" then return nil end
  self.missed = self.missed + 1
  local what = ("%s %s"):format(request.method, request.url)
  if self.absent then
    errors.raise("input", ("there is no cassette '%s' with an answer to %s%s"):format(self.path,
      what, self.advice))
  end
  errors.raise("input", ("the cassette '%s' has no answer to %s: %s%s"):format(self.path, what,
    self.index:why(request), self.advice))
end

-- ---- the tape ------------------------------------------------------------------------------

local function times_of(self, exchange)
  return self.timing and exchange.times or nil
end

---@async
function Cassette:send(plan, body, total_at, clock)
  scheduler.raise_if_cancelled(scheduler.current())
  local request = request_of(self, plan, body)
  local exchange = find(self, request)
  if exchange then return cassette_stream.answer(exchange, times_of(self, exchange)) end
  return self.recorder:send(request, plan, body, total_at, clock)
end

---@async
function Cassette:open(plan, body, total_at, clock, framing)
  scheduler.raise_if_cancelled(scheduler.current())
  local request = request_of(self, plan, body)
  local exchange = find(self, request)
  if exchange then return cassette_stream.play(exchange, framing, times_of(self, exchange)) end
  return self.recorder:open(request, plan, body, total_at, clock, framing)
end

-- ---- the end -------------------------------------------------------------------------------

---What the cassette holds and nobody has asked for, in its order: `POST https://…`.
---@return string[]
function Cassette:unplayed()
  local list = {}
  for i, exchange in ipairs(self.index:rest()) do
    list[i] = ("line %d: %s %s"):format(exchange.line, exchange.request.method or "POST",
      exchange.request.url)
  end
  return list
end

---How many exchanges were recorded so far.
---@return integer
function Cassette:recorded()
  return self.recorder.count
end

---Takes the cassette out and writes what was recorded. Idempotent. Of a stream that is still
---open there is what was read; calls without an answer are left out, with a warning.
function Cassette:close()
  if self.closed then return end
  self.closed = true
  take_out(self)
  local recorder = self.recorder
  local exchanges = recorder:stop()
  if recorder.under_way > 0 then
    log.warn(("%d calls were still under way when the cassette '%s' was closed; it does not have"
      .. " them"):format(recorder.under_way, self.path))
  end
  if recorder.count > 0 then cassette_file.write(self.path, exchanges) end
end

-- ---- making ----------------------------------------------------------------------------------

local function check_options(path, opts)
  if type(path) ~= "string" or path == "" or path:find("%z") then
    errors.usage("cassette takes the name of a file, got " .. errors.shape(path))
  end
  opts = errors.options(opts, OPTIONS, "cassette")
  if opts.redact ~= nil and type(opts.redact) ~= "function" then
    errors.usage("redact of cassette must be a function, got " .. errors.shape(opts.redact))
  end
  return opts
end

-- The mode that is asked for, by the script or by who runs it.
local function mode_asked(opts)
  local mode = opts.mode or settings.said "cassette_mode" or "auto"
  if MODES[mode] then return mode end
  errors.usage(("mode of cassette must be 'auto', 'replay', 'record' or 'add', got %s"):format(
    type(mode) == "string" and ("'%s'"):format(mode) or errors.shape(mode)))
end

-- What `auto` means here.
local function mode_of(mode, path, exchanges)
  if mode == "auto" then return exchanges and "replay" or "record" end
  if mode == "replay" and not exchanges then
    errors.raise("io", ("there is no cassette '%s' to replay; mode = 'record' makes one"):format(
      path))
  end
  return mode
end

-- With [advice] a file that is not there is one without answers.
local function new(path, opts, advice)
  local asked = mode_asked(opts)
  local known = asked ~= "record" and cassette_file.read(path) or nil
  local absent = advice and not known
  local mode = mode_of(asked, path, absent and {} or known)
  local clean = cassette_file.cleaner(opts.redact)
  local self = setmetatable({
    path = path, mode = mode, timing = opts.timing, clean = clean, played = 0, missed = 0,
    advice = advice or ADVICE, absent = absent,
    keyless = mode == "replay", hurries = mode == "replay" and not opts.timing,
    index = cassette_match.index(known or {}, cassette_match.ignored(opts.ignore)),
    recorder = cassette_record.new(known or {}, clean, opts.timing),
  }, mt)
  if mode ~= "replay" then write_when_closed(self) end
  return self
end

-- fn(tape), with the cassette out again when it has ended in any way.
local function within(self, fn)
  local results = { pcall(fn, self) }
  self:close()
  if not results[1] then error(results[2], 0) end
  return unpack(results, 2, table.maxn(results))
end

---Puts a cassette in: what chains say to servers is recorded in the file [path], or played from
---it, until `close()`; with [fn] only while fn(tape) runs, whose results it gives. Modes: `auto`
---plays a file that is there, and records one that is not; `replay` only plays; `record` begins
---the file anew; `add` plays what is there and records the rest. Where none is given, that of
---MOONPIPE_CASSETTE_MODE counts, else `auto`. A request that has no answer on
---a cassette that is played raises kind `input` and names the nearest. Playing needs neither a
---key nor the network, and makes no pauses.
---  ignore  paths of the request's body that do not count: { "$.user", "$.metadata.run" }
---  redact  fn(text) -> text  what is written and compared; keys are masked before
---  timing  records how long answers took, and takes as long when it plays
---@overload fun(path: string, fn: fun(tape: moonpipe.Cassette): any): any
---@param path string
---@param opts { mode: "auto"|"replay"|"record"|"add"|nil, ignore: string[]?,
---       redact: (fun(text: string): string)?, timing: boolean? }?
---@param fn (fun(tape: moonpipe.Cassette): any)?
---@return moonpipe.Cassette
function cassette.cassette(path, opts, fn)
  if type(opts) == "function" and fn == nil then opts, fn = nil, opts end
  opts = check_options(path, opts)
  if fn ~= nil and type(fn) ~= "function" then
    errors.usage("cassette runs a function, got " .. errors.shape(fn))
  end
  local self = errors.placed(new, path, opts)
  put_in(self)
  if fn then return within(self, fn) end
  return self
end

---Puts a cassette in that plays the file [path], if there is one, and refuses what it cannot
---answer with [advice].
---@param path string
---@param advice string
---@return moonpipe.Cassette
function cassette.offline(path, advice)
  local self = new(path, { mode = "replay" }, advice)
  put_in(self)
  return self
end

return cassette
