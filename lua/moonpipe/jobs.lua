--- Native jobs seen from Lua: submit, who waits for which, what they answer.
--
-- C holds ids, never Lua references; here `waiting[id]` is who wants to know. An
-- answer with an unknown id is dropped.
local errors = require "moonpipe.error"
local native = require "moonpipe.native"

local c = native.c
local next_event = c.next_event

-- What an event says of its job.
local CHUNK, DONE, FAILED, CANCELLED = 0, 1, 2, 3

local jobs = { CHUNK = CHUNK, DONE = DONE, FAILED = FAILED, CANCELLED = CANCELLED }

---@class moonpipe.Listener  who wants to know what becomes of a job
---@field on_event fun(self, kind: integer, cargo: any, error_kind: string?, head: string?,
---       waited: number?, together: integer?)  called in the loop; may not wait. [waited]: seconds
---       in queues; [together]: jobs that were done as one, itself counted

local waiting = {} -- job id -> moonpipe.Listener

-- Calls a function for the end of a timer.
local Alarm = {}
local alarm_mt = { __index = Alarm }

function Alarm:on_event(kind)
  self.fn(kind)
end

---Submits a native job by fn(...) and gives its id, or raises.
---@return integer id
function jobs.submit(fn, ...)
  return native.check(fn(...))
end

---Submits a timer that calls fn(kind) when [seconds] have gone by, or when it is
---cancelled.
---@param seconds number
---@param fn fun(kind: integer)
---@return integer id
function jobs.timer(seconds, fn)
  local id = jobs.submit(c.timer, seconds)
  waiting[id] = setmetatable({ fn = fn }, alarm_mt)
  return id
end

---Tells [listener] of each event of job [id].
---@param id integer
---@param listener moonpipe.Listener
function jobs.listen(id, listener)
  waiting[id] = listener
end

---Asks job [id] to end; its terminal event still comes.
function jobs.cancel(id)
  c.cancel(id)
end

---Cancels job [id] and drops what it will answer.
function jobs.forget(id)
  waiting[id] = nil
  c.cancel(id)
end

local LOOK_EVERY = 8 -- events between two looks at the clock

---Delivers all events that are there, or those until c.now() is [limit].
---@param limit number?
---@return boolean left  whether some may be left
function jobs.drain(limit)
  local count = 0
  repeat
    local id, kind, cargo, error_kind, head, waited, together = next_event()
    if not id then return false end
    local listener = waiting[id]
    if kind ~= CHUNK then waiting[id] = nil end
    if listener then listener:on_event(kind, cargo, error_kind, head, waited, together) end
    count = count + 1
  until limit and count % LOOK_EVERY == 0 and c.now() >= limit
  return true
end

---Raises what a job that has not done its work reported.
function jobs.check(kind, cargo, error_kind)
  if kind == FAILED then errors.raise(error_kind, cargo) end
  if kind == CANCELLED then errors.raise("cancelled", "the call was cancelled") end
end

return jobs
