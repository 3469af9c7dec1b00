--- Coroutines of the user's own in which chains may wait.
--
-- A task that waits yields a private value. coroutine.resume and wrap, once
-- replaced, pass that value outward until it reaches the scheduler, so that
-- `chain:invoke` works inside the user's iterators. Our binary replaces them;
-- a guest does so by mp.wrap_coroutines().
local scheduler = require "moonpipe.scheduler"

local WAIT = scheduler.WAIT
local raw = {
  create = coroutine.create,
  resume = coroutine.resume,
  status = coroutine.status,
  yield = coroutine.yield,
}

-- Coroutines in which a task waits: nobody else may resume them.
local waited_in = setmetatable({}, { __mode = "k" })

local coroutines = {}

-- Gives what the coroutine yields or returns to its user; as long as it waits,
-- the running task waits.
local function pass_on(co, ok, first, ...)
  if not ok or first ~= WAIT then return ok, first, ... end
  waited_in[co] = true
  if scheduler.can_yield() then raw.yield(WAIT) else scheduler.pump_current() end
  waited_in[co] = nil
  return pass_on(co, raw.resume(co))
end

coroutines.yield = raw.yield

---coroutine.resume that passes waiting outward.
function coroutines.resume(co, ...)
  if waited_in[co] then return false, "cannot resume non-suspended coroutine" end
  return pass_on(co, raw.resume(co, ...))
end

---coroutine.status: a coroutine in which a task waits is as good as running.
function coroutines.status(co)
  return waited_in[co] and "normal" or raw.status(co)
end

local function results(ok, first, ...)
  if not ok then error(first, 0) end
  return first, ...
end

---coroutine.wrap that passes waiting outward.
function coroutines.wrap(fn)
  local co = raw.create(fn)
  return function(...)
    return results(coroutines.resume(co, ...))
  end
end

---A coroutine of the library itself: in it the task may wait, replaced
---functions or not.
function coroutines.create(fn)
  local co = raw.create(fn)
  scheduler.mark_passing(co)
  return co
end

---Replaces coroutine.resume, status and wrap in this VM.
function coroutines.install()
  coroutine.resume, coroutine.wrap = coroutines.resume, coroutines.wrap
  coroutine.status = coroutines.status
  scheduler.mark_passing()
end

return coroutines
