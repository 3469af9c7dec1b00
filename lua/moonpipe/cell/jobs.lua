--- What takes the place of native jobs in a locked-in VM: notes to the VM outside, and its answers.
--
-- There are timers and asks (for a model, a tool, a step, a file), so scheduler, timeouts and
-- retries work as outside. A note is a record of six values in the list that a turn gives.
local CHUNK, DONE, CANCELLED = 0, 1, 3 -- as in jobs.lua

local jobs = {}

local out = {}
local last_id = 0
local live, live_count = {}, 0
local events, head, tail = {}, 1, 0

---Adds a record.
---@param op string
---@param id integer
function jobs.note(op, id, call, kind, name, text)
  local n = #out
  out[n + 1], out[n + 2], out[n + 3] = op, id or 0, call or 0
  out[n + 4], out[n + 5], out[n + 6] = kind or "", name or "", text or ""
end

---The records of this turn.
function jobs.take()
  local list = out
  out = {}
  return list
end

local function begin()
  last_id = last_id + 1
  live[last_id] = true
  live_count = live_count + 1
  return last_id
end

local function add_event(id, kind, cargo)
  if not live[id] then return end
  if kind ~= CHUNK then
    live[id] = nil
    live_count = live_count - 1
  end
  tail = tail + 1
  events[tail] = { id, kind, cargo }
end

---What the VM outside says: a piece, or the end.
function jobs.chunk(id, cargo) add_event(id, CHUNK, cargo) end
function jobs.done(id, cargo) add_event(id, DONE, cargo) end

---Asks for what the host has granted.
---@param kind string  "model", "tool", "step" or "file"; with "*": in pieces
---@return integer id
function jobs.ask(call, kind, name, text)
  local id = begin()
  jobs.note("ask", id, call, kind, name, text)
  return id
end

local function install(c)
  function c.timer(seconds)
    local id = begin()
    jobs.note("timer", id, seconds)
    return id
  end

  function c.cancel(id)
    if not live[id] then return end
    jobs.note("stop", id)
    add_event(id, CANCELLED)
  end

  function c.next_event()
    if head > tail then return nil end
    local event = events[head]
    events[head] = nil
    head = head + 1
    if head > tail then head, tail = 1, 0 end
    return event[1], event[2], event[3]
  end

  function c.live() return live_count + tail - head + 1 end
  function c.interrupted() return false end
  function c.closed() return false end
  function c.wake() end
  function c.fd() return -1 end

  -- Only the VM outside can wait, between two turns.
  function c.wait()
    require("moonpipe.error").raise("unsupported",
      "a chain cannot wait here in a sandbox: C stands in between")
  end
end

return setmetatable(jobs, { __call = function(_, c) install(c) end })
