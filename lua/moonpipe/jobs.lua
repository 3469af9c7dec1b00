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

local waiting = {} -- job id -> function(kind, cargo, error_kind)

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
  waiting[id] = fn
  return id
end

---Calls answer(kind, cargo, error_kind, head) in the loop for each event of job [id].
function jobs.listen(id, answer)
  waiting[id] = answer
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

---Delivers all events that are there.
function jobs.drain()
  local id, kind, cargo, error_kind, head = next_event()
  while id do
    local answer = waiting[id]
    if kind ~= CHUNK then waiting[id] = nil end
    if answer then answer(kind, cargo, error_kind, head) end
    id, kind, cargo, error_kind, head = next_event()
  end
end

---Raises what a job that has not done its work reported.
function jobs.check(kind, cargo, error_kind)
  if kind == FAILED then errors.raise(error_kind, cargo) end
  if kind == CANCELLED then errors.raise("cancelled", "the call was cancelled") end
end

return jobs
