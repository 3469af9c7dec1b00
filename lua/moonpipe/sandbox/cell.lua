--- A locked-in VM as the VM outside knows it: its turns, its calls, what it asks for.
--
-- A turn gives records of six values: op, id, call, kind, name, text. The code of others made them:
-- a name is looked up among the grants, a text is decoded as data, all else is ignored. Nothing
-- here is called by a turn, so no answer can make the next question in the same breath.
local codec = require "moonpipe.sandbox.codec"
local errors = require "moonpipe.error"
local granted = require "moonpipe.sandbox.granted"
local jobs = require "moonpipe.jobs"
local log = require "moonpipe.log"
local native = require "moonpipe.native"
local run = require "moonpipe.run"
local scheduler = require "moonpipe.scheduler"
local tree = require "moonpipe.tree"

local c = native.c

---@class moonpipe.SandboxCall
---@field id integer
---@field asks table[]        what it asks for, and nobody has begun to answer
---@field chunks string[]     pieces of its answer that nobody has read
---@field task moonpipe.Task?   that serves it
---@field reader moonpipe.Task? that reads the pieces
---@field ended boolean?
---@field text string?        the answer
---@field err moonpipe.Error?

---@class moonpipe.SandboxCell
---@field native userdata?  its VM in this process
---@field process moonpipe.SandboxProcess?  or the one that it is in
---@field grants table      models, tools, steps, files
---@field calls table<integer, moonpipe.SandboxCall>
---@field asks table<integer, table>    being answered, by their ids inside
---@field count integer    of asks and timers
---@field asked number     bytes of asks
---@field timers table<integer, integer>  ids inside -> jobs
local Cell = {}
local mt = { __name = "moonpipe.SandboxCell", __index = Cell }

local cells = {}

local FIELDS = 6      -- of a record
local WAITING = 10000 -- timers, and asks, of one VM at a time
local SOONEST = 0.001 -- seconds of a timer: a script's own loop must not become ours

---@param limits { memory: number, seconds: number, instructions: number? }
---@param grants table
---@param print fun(line: string)
---@param isolate boolean  it gets a process of its own
---@return moonpipe.SandboxCell
function cells.open(limits, grants, print, isolate)
  local self = setmetatable({
    text_max = math.max(limits.memory / 8, 2 ^ 19), -- as bind_cell.c
    grants = grants, print = print,
    calls = {}, asks = {}, timers = {},
    count = 0, asked = 0, last = 0,
  }, mt)
  if isolate then
    self.process = require("moonpipe.sandbox.process").open(limits, function(...)
      return self:hear(...)
    end)
  else
    self.native = native.check(c.sandbox_open(limits))
  end
  return self
end

-- ---- the end of calls ---------------------------------------------------------

local function wake(call)
  if call.task then scheduler.unpark(call.task) end
  if call.reader then scheduler.unpark(call.reader) end
end

local function forget(self, ask)
  self.asks[ask.id] = nil
  self.count, self.asked = self.count - 1, self.asked - #ask.text
end

local function finish(self, call, text, err)
  call.ended, call.text, call.err = true, text, err
  self.calls[call.id] = nil
  for _, ask in ipairs(call.asks) do forget(self, ask) end -- nobody begins with them any more
  call.asks = {}
  wake(call)
end

-- The answer is not wanted: a model that is asked would go on, and cost.
local function stop(ask, why)
  ask.stopped = true
  if ask.task then tree.cancel(ask.task, tree.cancelled(why)) end
end

-- The VM is gone; why is told to all who come later.
local function die(self, kind, message)
  self.gone = self.gone or { kind = kind, message = message }
  for id, job in pairs(self.timers) do
    self.timers[id] = nil
    jobs.forget(job)
  end
  for _, ask in pairs(self.asks) do stop(ask, "the script that asked has ended") end
  for _, call in pairs(self.calls) do
    finish(self, call, nil, errors.new { kind = self.gone.kind, message = self.gone.message })
  end
end

local function free(self)
  if self.process then self.process:close() else c.sandbox_close(self.native) end
end

local function kill(self, kind, message)
  free(self)
  die(self, kind, message)
end

---Frees the VM; its calls fail.
function Cell:close() kill(self, "closed", "the sandbox was closed") end

---Whether its process has ended by itself or was killed: then another one can do its work.
function Cell:is_lost()
  return self.process ~= nil and self.gone ~= nil and self.gone.kind ~= "closed"
end

---Bytes of the VM: now, and at most so far; of a process, after its last turn.
function Cell:memory()
  if self.process then return self.process.used, self.process.peak end
  return c.sandbox_memory(self.native)
end

-- ---- turns --------------------------------------------------------------------

local HANDLERS = {}

---Says something to the VM, and hears its records: now, or when its process has answered.
function Cell:say(...)
  if self.process then return self.process:say(...) end
  self:hear(c.sandbox_turn(self.native, ...))
end

---Takes what a turn gave.
---@param list any[]?
---@param message string?
---@param kind string?
function Cell:hear(list, message, kind)
  if not list then return die(self, kind, message) end
  for at = 1, #list - FIELDS + 1, FIELDS do
    if self.gone then return end
    local handler, id, text = HANDLERS[list[at]], list[at + 1], list[at + 5]
    if type(text) == "string" and #text > self.text_max then -- no VM has room for it
      return kill(self, "limit", "the script said too much in one turn")
    elseif handler and type(id) == "number" and id == id and type(text) == "string" then
      handler(self, id, list[at + 2], list[at + 3], list[at + 4], text)
    end
  end
end

-- What waits is kept here, and no memory of the VM's: else it could have any amount of ours.
local function may_wait(self, bytes)
  self.count, self.asked = self.count + 1, self.asked + bytes
  if self.count <= WAITING and self.asked <= self.text_max * 8 then return true end
  kill(self, "limit", "the script waits for too many things, or too large ones, at once")
end

function HANDLERS.ask(self, id, call_id, kind, name, text)
  local call = self.calls[call_id]
  if not call or self.asks[id] then return end -- of no call: nobody would wait for the answer
  if not may_wait(self, #text) then return end
  local ask = { id = id, kind = kind, name = name, text = text }
  self.asks[id] = ask
  call.asks[#call.asks + 1] = ask
  wake(call)
end

function HANDLERS.timer(self, id, seconds)
  if self.timers[id] or type(seconds) ~= "number" then return end
  if not may_wait(self, 0) then return end
  self.timers[id] = jobs.timer(math.max(seconds, SOONEST), function(kind)
    if not self.timers[id] then return end
    self.timers[id] = nil
    self.count = self.count - 1
    if kind == jobs.DONE then self:say("answer", id) end
  end)
end

function HANDLERS.stop(self, id)
  local job, ask = self.timers[id], self.asks[id]
  if job then
    self.timers[id] = nil
    self.count = self.count - 1
    jobs.forget(job)
  elseif ask then
    stop(ask, "the script has cancelled it")
  end
end

function HANDLERS.more(self)
  HANDLERS.timer(self, -1, SOONEST)
end

function HANDLERS.chunk(self, id, _, _, _, text)
  local call = self.calls[id]
  if not call then return end
  call.held = (call.held or 0) + #text
  if call.held > self.text_max * 8 then
    self:cancel(call)
    return finish(self, call, nil, errors.new { kind = "too_large",
      message = "the script gives chunks faster than they are read" })
  end
  call.chunks[#call.chunks + 1] = text
  wake(call)
end

function HANDLERS.done(self, id, _, _, _, text)
  local call = self.calls[id]
  if call then finish(self, call, text) end
end

function HANDLERS.fail(self, id, _, _, _, text)
  local call = self.calls[id]
  if not call then return end
  local ok, err = pcall(codec.decode, text)
  finish(self, call, nil, errors.wrap(ok and not errors.is(err) and errors.text(err) or err))
end

function HANDLERS.print(self, _, _, _, _, text)
  local ok, err = pcall(self.print, text)
  if not ok then log.warn("print of a sandbox: " .. errors.text(err)) end
end

function HANDLERS.log(_, _, _, _, _, text)
  log.notice("sandbox: " .. text)
end

-- ---- answering ----------------------------------------------------------------

local function read_file(self, path)
  local root = self.grants.files
  if not root or type(path) ~= "string" then errors.raise("input", "no files are granted") end
  return native.check(c.read_file(path, root, math.floor(self.text_max / 2)))
end

---Says [value], the answer to [ask] or a piece of it.
local function answer(self, op, ask, value)
  local ok, text = pcall(codec.encode, value)
  if not ok then text = codec.encode(errors.wrap(text)) end
  if #text > self.text_max then
    text = codec.encode(errors.new { kind = "too_large", message = "the answer is too large" })
  end
  if not ask.stopped then self:say(op, ask.id, text) end
end

local function give_pieces(self, ask, step, input, ctx)
  for chunk in run.stream(step, input, ctx) do answer(self, "chunk", ask, chunk) end
end

local function work(self, ask, ctx)
  if ask.stopped then return end
  local value = codec.decode(ask.text)
  if ask.kind == "file" then return read_file(self, value) end
  local kind, streams = tostring(ask.kind):match("^(%l+)(%*?)$")
  local step, input = granted.find(self.grants, kind, ask.name, value)
  if streams == "*" then return give_pieces(self, ask, step, input, ctx) end
  return run.invoke(step, input, ctx)
end

local function serve(self, ask, ctx)
  ask.task = scheduler.current()
  local ok, value = pcall(work, self, ask, ctx)
  forget(self, ask)
  if ok then return answer(self, "answer", ask, value) end
  if not scheduler.cancelled(ask.task) then answer(self, "answer", ask, errors.wrap(value)) end
end

-- ---- calls --------------------------------------------------------------------

---Begins a call: a load, or one of the script's chain.
---@return moonpipe.SandboxCall
function Cell:begin(op, ...)
  for i = 1, select("#", ...) do
    local text = select(i, ...)
    if type(text) == "string" and #text > self.text_max then
      errors.raise("too_large", ("a text of %d bytes; the sandbox takes %d"):format(#text,
        self.text_max))
    end
  end
  self.last = self.last + 1
  local call = { id = self.last, asks = {}, chunks = {}, first = 1 }
  self.calls[call.id] = call
  if self.gone then
    finish(self, call, nil, errors.new { kind = self.gone.kind, message = self.gone.message })
  else
    self:say(op, call.id, ...)
  end
  return call
end

function Cell:cancel(call)
  if not call.ended then self:say("cancel", call.id) end
end

local function drive(self, call, ctx)
  call.task = scheduler.current()
  while not call.ended do
    local ask = table.remove(call.asks, 1)
    if ask then scheduler.spawn(ctx, nil, serve, self, ask, ctx) else scheduler.park() end
  end
end

---Serves a call until it has ended; where the running task is cancelled, so is the call.
---@async
function Cell:serve(call, ctx)
  local ok, err = pcall(drive, self, call, ctx)
  if ok then return end
  self:cancel(call)
  if not call.ended then finish(self, call, nil, errors.wrap(err)) end
  error(err, 0)
end

---The next piece of a call's answer, or nil.
---@async
function Cell:next_chunk(call)
  call.reader = scheduler.current()
  while #call.chunks < call.first and not call.ended do scheduler.park() end
  call.reader = nil
  local text = call.chunks[call.first]
  if text then
    call.chunks[call.first] = false
    call.first, call.held = call.first + 1, call.held - #text
    return codec.decode(text)
  end
  if call.err then error(call.err, 0) end
end

return cells
