--- pcall and xpcall of a locked-in VM: 200 in each other at most, as in Lua without a JIT.
--
-- The hook needs room on the stack. At its very end it cannot run, and pcalls as deep as the stack
-- would catch one another's overflows without an end. Counted for each coroutine, for one may wait
-- within a pcall.
local pcall, running, select = pcall, coroutine.running, select

local DEPTH_MAX = 200
local MAIN = {}

local depths = setmetatable({}, { __mode = "k" })

local function left(co, depth, ...)
  depths[co] = depth
  return ...
end

local function enter()
  local co = running() or MAIN
  local depth = depths[co] or 0
  if depth >= DEPTH_MAX then error("too many pcalls in each other", 3) end
  depths[co] = depth + 1
  return co, depth
end

_G.pcall = function(fn, ...)
  local co, depth = enter()
  return left(co, depth, pcall(fn, ...))
end

-- LuaJIT calls the handler of an error where that was raised: within the hook, where no hook is
-- heard, and again for each error of the handler's own. This one is called when the error has left.
local function handled(handler, ok, ...)
  if ok then return ok, ... end
  return false, select(2, pcall(handler, (...)))
end

_G.xpcall = function(fn, handler, ...)
  local co, depth = enter()
  return handled(handler, left(co, depth, pcall(fn, ...)))
end
