--- One attempt of an HTTP call, seen from a task: whole, or as a stream.
--
-- Raises what the transport failed with (dns connect tls timeout_* reset truncated protocol
-- too_large fds memory cancelled); a status is no failure here, the provider knows what it means.
-- A stream's transfer is a node in the tree: it ends with the stream, the task or the call that
-- opened it, and the connection is closed then.
local errors = require "moonpipe.error"
local jobs = require "moonpipe.jobs"
local native = require "moonpipe.native"
local reader = require "moonpipe.http.reader"
local scheduler = require "moonpipe.scheduler"

local c = native.c
local DONE = jobs.DONE


---@class moonpipe.HttpSpec  what all calls of one model have in common
---@field url string
---@field method string?      default: POST with a body, else GET
---@field headers table[]?    { name, value or secret }
---@field gate string?        name of the gate it waits in
---@field slots integer?      of that gate, where it does not exist yet
---@field connect number?     seconds, as those below; nil: no limit
---@field first_byte number?  of a stream
---@field idle number?
---@field proxy (string|moonpipe.Secret)?
---@field ca_file string?
---@field insecure boolean?   no certificate is checked
---@field max_body integer?   bytes
---@field ip 4|6|nil          only that family
---@field untaped boolean?    no part of what a chain says: cassettes do not hear of it

---@class moonpipe.HttpPlan: userdata  a spec made ready once for many calls

---@class moonpipe.HttpResponse
---@field status integer
---@field body string
---@field head string                        the status and `name: value` lines
---@field header fun(name: string): string?  by lower-case name

local http = {}

-- ---- tapes -----------------------------------------------------------------------

---@class moonpipe.Tape  answers calls in the network's place, or listens to them
---@field keyless boolean?  nothing goes to the network, so no call needs a key
---@field hurries boolean?  nor a pause for the sake of a server
---@field send fun(self, plan, body, total_at, clock): moonpipe.HttpResponse
---@field open fun(self, plan, body, total_at, clock, framing): moonpipe.HttpReader

local tape -- the one that is in, see cassettes/cassette.lua
local from_environment = os.getenv "MOONPIPE_CASSETTE"

---@type table<moonpipe.HttpPlan, moonpipe.HttpSpec>
local recordable = setmetatable({}, { __mode = "k" })

---The tape that is in. The first to ask puts in that of MOONPIPE_CASSETTE.
---@return moonpipe.Tape?
function http.tape()
  if from_environment then
    require("moonpipe.cassettes.cassette").cassette(from_environment)
    from_environment = nil -- not before: without it no call may be made
  end
  return tape
end

---What calls of a plan ask for; nil where no tape hears of them.
---@param plan moonpipe.HttpPlan
---@return moonpipe.HttpSpec?
function http.recordable(plan)
  return recordable[plan]
end

---Makes a spec ready for many calls.
---@param spec moonpipe.HttpSpec
---@return moonpipe.HttpPlan
function http.plan(spec)
  local plan = native.check(c.http_plan(spec))
  if not spec.untaped then recordable[plan] = spec end
  http.tape()
  return plan
end

-- ---- whole answers -------------------------------------------------------------

-- The one table of a call: listens for the answer, then is it. Most callers never
-- ask for a header.
local response_mt = { __name = "moonpipe.HttpResponse" }

local function on_response(self, kind, cargo, error_kind, head, waited)
  self.kind = kind
  if cargo then self.body = cargo end
  if head then self.head = head end
  if error_kind then self.error_kind = error_kind end
  reader.note_wait(self.clock, waited)
  scheduler.answered(self)
end

function response_mt:__index(key)
  if key == "on_event" then return on_response end
  if key ~= "header" then return nil end
  self.header = reader.header_of(self.head)
  return self.header
end

---A whole answer that did not come from the network.
---@param head string
---@param body string
---@return moonpipe.HttpResponse
function http.answer(head, body)
  return setmetatable({
    kind = DONE, body = body, head = head, status = tonumber(head:sub(1, 3)),
  }, response_mt)
end

---Sends [body] and waits for the whole answer, whatever tape is in.
---@async
---@param plan moonpipe.HttpPlan
---@param body string?
---@param total_at number?  monotonic seconds at which it must have ended; gone by: no attempt
---@param clock moonpipe.Clock?
---@return moonpipe.HttpResponse
function http.send_live(plan, body, total_at, clock)
  local id, problem, kind = c.http(plan, body, nil, total_at)
  if not id then errors.raise(kind, problem) end
  local response = setmetatable({
    task = scheduler.current(), clock = clock, kind = 0, body = "", head = "000\n", status = 0,
  }, response_mt)
  scheduler.await_answer(id, response)
  if response.kind ~= DONE then
    jobs.check(response.kind, response.body, response.error_kind)
  end
  response.status = tonumber(response.head:sub(1, 3))
  return response
end

-- ---- streams -------------------------------------------------------------------

---Sends [body] and waits for the head of an answer that is a stream, whatever tape is
---in. One that is none (an error status, JSON, HTML) is in `body` when it is complete.
---@async
---@param plan moonpipe.HttpPlan
---@param body string?
---@param total_at number?
---@param clock moonpipe.Clock?
---@param framing "sse"|"ndjson"|nil  default "sse"
---@param uncut boolean?  the records are the pieces of the stream, as the network brought them
---@return moonpipe.HttpReader
function http.open_live(plan, body, total_at, clock, framing, uncut)
  local id, inbox, kind = c.http(plan, body, framing or "sse", total_at, uncut)
  if not id then errors.raise(kind, inbox) end
  return reader.follow(id, inbox, clock)
end
-- c.http is not compiled, and the code of what follows it takes a stack twice as large
jit.off(http.open_live)

-- ---- send and open ------------------------------------------------------------

local function send_taped(plan, body, total_at, clock)
  if not recordable[plan] then return http.send_live(plan, body, total_at, clock) end
  return tape:send(plan, body, total_at, clock)
end

local function open_taped(plan, body, total_at, clock, framing)
  if not recordable[plan] then return http.open_live(plan, body, total_at, clock, framing) end
  return tape:open(plan, body, total_at, clock, framing)
end

function http.wrap(fn) return fn end -- watch.lua has another

---Puts a tape in, or takes it out: nil. Calls that are under way are not changed.
---@param new moonpipe.Tape?
function http.insert(new)
  tape = new
  ---As http.send_live, or what the tape makes of it.
  ---@type fun(plan: moonpipe.HttpPlan, body: string?, total_at: number?, clock: moonpipe.Clock?):
  ---  moonpipe.HttpResponse
  http.send = http.wrap(new and send_taped or http.send_live)
  ---As http.open_live, or what the tape makes of it.
  ---@type fun(plan: moonpipe.HttpPlan, body: string?, total_at: number?, clock: moonpipe.Clock?,
  ---  framing: "sse"|"ndjson"|nil): moonpipe.HttpReader
  http.open = http.wrap(new and open_taped or http.open_live)
end

http.insert(nil)

-- ---- gates ---------------------------------------------------------------------

---Sets the gate of [name]: `slots` at once (0: no limit), or nothing starts in it
---for `not_before` seconds.
---@param name string
---@param limits { slots: integer?, not_before: number? }
function http.gate(name, limits)
  jobs.submit(c.gate, name, limits.slots, limits.not_before)
end

return http
