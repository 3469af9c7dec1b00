--- pairs, where the compiler cannot be trusted with it.
--
-- LuaJIT until spring 2022, Debian 12's among them, compiles `pairs` loops wrongly: once
-- it has given up compiling one that holds another loop, it ends after a few keys, or
-- gives keys of some other table (LuaJIT/LuaJIT#827). The loop that is handled wrongly
-- is that over the built-in `next`; through a function of Lua it is right, and as
-- fast where it is compiled.
local traversal = {}

local next, builtin = next, pairs

local function step(t, key)
  return next(t, key)
end

---Whether this LuaJIT has the defect: later ones have no beta in their version.
---@return boolean
function traversal.is_broken()
  return jit ~= nil and jit.version:find("beta", 1, true) ~= nil
end

-- pairs, over a `next` that is no built-in.
local function through_lua(t)
  local fn, state, first = builtin(t)
  if fn == next then fn = step end
  return fn, state, first
end

---pairs for the library itself; the build gives it to each module.
traversal.pairs = traversal.is_broken() and through_lua or builtin

local function by_text(a, b)
  return tostring(a) < tostring(b)
end

---The keys of a table, in the order of their texts.
---@param t table
---@return any[]
function traversal.keys(t)
  local keys = {}
  for key in traversal.pairs(t) do keys[#keys + 1] = key end
  table.sort(keys, by_text)
  return keys
end

---Replaces pairs in this VM, where it has the defect.
function traversal.install()
  if traversal.is_broken() then _G.pairs = traversal.pairs end
end

return traversal
