--- pairs and loops, where the compiler cannot be trusted with them.
--
-- LuaJIT until spring 2022, Debian 12's among them, compiles `pairs` loops wrongly: once
-- it has given up compiling one that holds another loop, it ends after a few keys, or
-- gives keys of some other table (LuaJIT/LuaJIT#827). The loop that is handled wrongly
-- is that over the built-in `next`; through a function of Lua it is right, and as
-- fast where it is compiled.
--
-- The same ones take what a loop carries from one turn to the next for of one shape: a
-- table that was made in one turn, and has not the key that the next turn reads of it,
-- becomes garbage in compiled code, and the collector crashes on it. Without the
-- optimisation of loops it is right. In our binary that is off; a chain of cheap steps
-- takes half as long again.
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

local is_ours = false

---Replaces pairs in this VM, and does without the optimisation of loops, where it has
---the defects.
function traversal.install()
  if not traversal.is_broken() then return end
  _G.pairs = traversal.pairs
  jit.opt.start "-loop"
  is_ours = true
end

---fn, which has a loop that carries values of the user's from one turn to the next. In a
---VM of somebody else's that has the defect it is not compiled.
---@generic F: function
---@param fn F
---@return F fn
function traversal.carrying(fn)
  if traversal.is_broken() and not is_ours then jit.off(fn) end
  return fn
end

return traversal
