--- Coroutines of our own, made by the Lua API and used again and again.
--
-- Hosts replace the coroutine library (nginx does, and so does our binary), so
-- tasks never go through it. A pooled coroutine runs `worker`, which yields IDLE
-- when it wants the next task: making one costs 160 ns, waking one 40.
local errors = require "moonpipe.error"
local native = require "moonpipe.native"

local c = native.c
local thread_new = c.thread_new

local POOL_MAX = 1024

local threads = {
  IDLE = {},
  resume = c.thread_resume,       -- (thread, value) -> ok, what it yielded or raised
  yieldable = c.thread_yieldable, -- () -> the running thread, if a yield can work in it
}

local pool, pooled = {}, 0

---A coroutine that waits for a task to be resumed with.
---@param worker fun(task: table)
---@return thread
function threads.take(worker)
  if pooled == 0 then return thread_new(worker) end
  local co = pool[pooled]
  pool[pooled] = nil
  pooled = pooled - 1
  return co
end

---Gives back a coroutine that has yielded IDLE.
function threads.give(co)
  if pooled == POOL_MAX then return end
  pooled = pooled + 1
  pool[pooled] = co
end

---file:line at which a suspended coroutine stands.
---@return string
function threads.place(co)
  for level = 0, 20 do
    local info = debug.getinfo(co, level, "Sl")
    if not info then break end
    if info.currentline > 0 then return info.short_src .. ":" .. info.currentline end
  end
  return "?"
end

---The error of a step that yielded [value] from [co] to nobody.
---@return moonpipe.Error
function threads.foreign_yield(co, value)
  return errors.new {
    kind = "lua",
    message = ("%s: a step yielded %s, but nobody is there to take it"):format(threads.place(co),
      errors.shape(value)),
    traceback = debug.traceback(co),
  }
end

return threads
