--- pcall and xpcall of a locked-in VM: 200 in each other at most, as in Lua without a JIT.
--
-- The hook needs room on the stack. At its very end it cannot run, and pcalls as deep as the stack
-- would catch one another's overflows without an end. Counted for each coroutine, for one may wait
-- within a pcall.
local pcall, xpcall, running = pcall, xpcall, coroutine.running

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

_G.xpcall = function(fn, handler, ...)
  local co, depth = enter()
  return left(co, depth, xpcall(fn, handler, ...))
end
