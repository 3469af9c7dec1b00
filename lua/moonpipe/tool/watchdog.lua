--- Warns of a function that does not come back: while it runs, nothing else does.
--
-- MOONPIPE_WATCHDOG says after how many seconds of computing; 0: never. The watch
-- itself is native (bind_watch.c); here is what it says, and the places that are
-- compiled, for a compiled loop cannot be asked where it is.
local log = require "moonpipe.log"
local native = require "moonpipe.native"

local c = native.c

local watchdog = {}

local SECONDS = 5

local WARNING = "lambda at %s has not yielded for %g s, it is at %s; nothing else runs"
local COMPILED = "lambda at %s:%d has not yielded for %g s, it seems: what was compiled last is at"
  .. " %s:%d; nothing else runs"

-- The warning for compiled code, if that of function [fn] is it; nil for ours.
local function compiled_warning(util, fn, pc, seconds)
  local info = util.funcinfo(fn, pc)
  local source = info.source
  if not source or source:sub(1, 10) == "=moonpipe:" then return nil end
  local name = source:gsub("^[@=]", "")
  return COMPILED:format(name, info.linedefined, seconds, name, info.currentline)
end

-- Notes each new piece of compiled code. What is told at the end of a compilation
-- does not say where that began.
local function note_compiled(seconds)
  local util = require "jit.util"
  local fn, pc
  jit.attach(function(what, _, at_fn, at_pc)
    if what == "start" then
      fn, pc = at_fn, at_pc
    elseif what == "stop" and fn then
      local text = compiled_warning(util, fn, pc, seconds)
      if text then c.watch_note(text) end
    end
  end, "trace")
end

---Watches this VM, once.
function watchdog.start()
  local seconds = tonumber(os.getenv "MOONPIPE_WATCHDOG" or SECONDS) or SECONDS
  if seconds <= 0 then return end
  local on = c.watch(seconds, function(outer, at)
    log.warn(WARNING:format(outer, seconds, at))
  end)
  if on and jit.status() then note_compiled(seconds) end
end

return watchdog
