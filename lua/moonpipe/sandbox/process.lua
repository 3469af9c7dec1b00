--- A locked-in VM in a process of its own (bind_cell_main.c), for the code of enemies.
--
-- The same turns cross as frames. What comes back was made by a process that may be in the hands
-- of the script: a frame is checked, and no more is taken on trust than from a VM in this one. A
-- process that does not answer is killed by what the kernel says of its CPU time, whatever it does.
local child = require "moonpipe.child"
local errors = require "moonpipe.error"
local jobs = require "moonpipe.jobs"
local native = require "moonpipe.native"

local c = native.c

---@class moonpipe.SandboxProcess
---@field child moonpipe.Child
---@field hear fun(list: any[]?, message: string?, kind: string?)  takes what a turn gave
---@field used number     bytes of the VM, after the last turn
---@field peak number
---@field waiting integer turns that were not answered
local Process = {}
local mt = { __name = "moonpipe.SandboxProcess", __index = Process }

local processes = {}

local OPENING = 10       -- seconds of CPU time, on machines that are slow or under a tool
local GRACE = 0.05       -- ... more than the VM's own limit, which gives the better message
local PATIENCE = 10      -- seconds of silence, and times a turn's, on the clock
local SECONDS_MAX = 1e9
local SOONEST = 0.005    -- seconds between two looks
local PIECES_SPARE = 4 * 2 ^ 20 -- bytes of an answer, beside what its texts may have

local SIGKILL, SIGSEGV, SIGXCPU, SIGSYS = 9, 11, 24, 31

-- ---- the end --------------------------------------------------------------------

local function stop(self)
  self.gone, self.pieces = true, nil
  self.child:stop()
  if self.timer then jobs.forget(self.timer) end
  self.timer = nil
end

-- Only the first reason counts.
local function lose(self, kind, message)
  if self.gone then return end
  stop(self)
  self.hear(nil, message, kind)
end

local REASONS = {
  [SIGKILL] = "it was killed: the machine was out of memory, or somebody did it",
  [SIGSEGV] = "it crashed (SIGSEGV)",
  [SIGXCPU] = "it used up the CPU time of a process",
  [SIGSYS] = "it made a system call that it may not",
}

local function on_end(self, _, err)
  if err.message:find("^cannot start") then
    local passes = err.kind == "fds" or err.kind == "memory"
    return lose(self, passes and err.kind or "unsupported", err.message)
  end
  local signal = tonumber(err.message:match "signal (%d+)")
  local said = self.said and ": " .. self.said or ""
  lose(self, signal == SIGSYS and "limit" or "internal", "the process of the script ended: "
    .. (REASONS[signal] or err.message) .. said)
end

-- ---- time -----------------------------------------------------------------------

local function begin_turn(self)
  self.cpu, self.clock = c.child_cpu(self.child.handle) or 0, c.now()
end

local watch

-- The process's own time is what counts: on a busy machine the clock would end the innocent.
local function look(self)
  if self.gone or self.waiting == 0 then return end
  local used = (c.child_cpu(self.child.handle) or 0) - self.cpu
  if used >= self.budget or c.now() - self.clock >= self.patience then
    return lose(self, "limit", "the script computed for too long without waiting; its process was"
      .. " killed")
  end
  watch(self, math.max(self.budget - used, SOONEST))
end

-- The opening may last longer than the turn behind it: whose time must be looked at, too.
function watch(self, seconds)
  if self.timer then return end
  self.timer = jobs.timer(math.min(seconds, self.turn_budget), self.on_time)
end

local function on_time(self, kind)
  self.timer = nil
  if kind == jobs.DONE then look(self) end
end

-- ---- frames ---------------------------------------------------------------------

-- Those of an opening or a turn.
local FAILURES = { fds = true, internal = true, io = true, limit = true, lua = true, memory = true,
  unsupported = true }

local function answered(self, good, used, peak, ...)
  if not good or type(used) ~= "number" or type(peak) ~= "number" then
    return lose(self, "internal", "the process of the script said what is no answer")
  end
  self.used, self.peak = used, peak
  self.waiting = self.waiting - 1
  self.budget = self.turn_budget
  self.patience = PATIENCE * (1 + self.turn_budget)
  begin_turn(self)
  local list, message, kind = ...
  if type(list) == "table" then return self.hear(list) end
  lose(self, FAILURES[kind] and kind or "limit", errors.text(message))
end

-- Puts together what comes in pieces.
local function on_bytes(self, _, bytes)
  if self.gone then return end
  local pieces = self.pieces
  pieces[#pieces + 1], self.held = bytes, self.held + #bytes
  self.clock = c.now()
  while not self.gone and self.held >= (self.needed or 4) do
    local text = table.concat(self.pieces)
    self.needed = c.frame_len(text)
    if self.needed > self.answer_max or self.waiting == 0 then
      return lose(self, "limit", "the script said too much in one turn")
    end
    if #text < self.needed then
      self.pieces = { text }
      return
    end
    local rest = text:sub(self.needed + 1)
    local frame = text:sub(1, self.needed)
    self.pieces, self.held, self.needed = { rest }, #rest, nil
    answered(self, c.unframe(frame))
  end
end

---Says something to the VM; what it gives is heard later.
function Process:say(...)
  if self.gone then return end
  if self.waiting == 0 then begin_turn(self) end
  self.waiting = self.waiting + 1
  local bytes, message, kind = c.frame(...)
  local id
  if bytes then id, message, kind = c.child_write(self.child.handle, bytes) end
  if not id then return lose(self, kind, message) end
  jobs.listen(id, self.writer)
  watch(self, self.budget)
end

---Ends it at once; nothing more is heard.
function Process:close()
  if not self.gone then stop(self) end
end

-- ---- opening --------------------------------------------------------------------

-- The loop holds what listens to a job as long as that runs: it must not hold the process, or one
-- that nobody knows any more would never end.
local function weakly(self, fn)
  local box = setmetatable({ self }, { __mode = "v" })
  return function(...)
    if box[1] then return fn(box[1], ...) end
  end
end

-- Tables have no __gc here; a userdata beside them does, whose environment tells the job.
local getfenv, setfenv = debug.getfenv, debug.setfenv
local watcher = newproxy(true)
getmetatable(watcher).__gc = function(guard)
  if guard ~= watcher and not c.closed() then c.cancel(getfenv(guard).id) end
end

-- Of one that has ended, why is told by its end.
local function writer_of(self)
  return { on_event = weakly(self, function(process, _, kind, cargo, error_kind)
    if kind == jobs.FAILED and error_kind ~= "closed" then lose(process, error_kind, cargo) end
  end) }
end

local function command_of(limits)
  local program, own = c.sandbox_program()
  if not program then errors.raise("unsupported", own) end
  local list = { limits.memory, math.min(limits.seconds, SECONDS_MAX) * 1e6,
    limits.instructions or 0, own }
  for i, number in ipairs(list) do list[i] = ("%d"):format(number) end
  return { program, unpack(list) }
end

---Starts one; its VM is there when the first turn is answered.
---@param limits { memory: number, seconds: number, instructions: number? }
---@param hear fun(list: any[]?, message: string?, kind: string?)
---@return moonpipe.SandboxProcess
function processes.open(limits, hear)
  local self = setmetatable({
    hear = hear, used = 0, peak = 0, waiting = 1, pieces = {}, held = 0,
    budget = OPENING, turn_budget = limits.seconds + GRACE,
    patience = PATIENCE * (1 + OPENING),
    answer_max = limits.memory + PIECES_SPARE,
  }, mt)
  self.child = child.start(command_of(limits), { env = false, cwd = "/", raw = true,
    worthless = true }, {
    on_line = weakly(self, on_bytes),
    on_error_line = weakly(self, function(process, _, line) process.said = line end),
    on_end = weakly(self, on_end),
  })
  self.writer, self.on_time = writer_of(self), weakly(self, on_time)
  self.guard = setfenv(newproxy(watcher), { id = self.child.id })
  begin_turn(self)
  watch(self, OPENING)
  return self
end

return processes
