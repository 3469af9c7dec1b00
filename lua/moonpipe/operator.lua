--- What `|` does at run time: the P that translated text calls.
--
-- The translator turns `a | b` into `P(a, b, site)`, a map literal that is an
-- operand into `P.map({...}, site)`, and a long chain into a row of calls of
-- `P.chain`. A site holds the line and the operands as the author wrote them,
-- so a mistake is named in the author's words, and no stack level is guessed.
local coerce = require "moonpipe.coerce"
local compose = require "moonpipe.compose"
local errors = require "moonpipe.error"
local loader = require "moonpipe.loader"
local runnable = require "moonpipe.steps.runnable"

local operator = {}

local P = {}
P.__index = P

local function where_of(p, line)
  return p.name .. ":" .. line
end

local function span_of(p, span)
  return span and p.name .. ":" .. span
end

-- ---- operands --------------------------------------------------------------------

-- The metamethod of a value of others'. debug's getmetatable, as the operator
-- of a Lua that has it, is not stopped by __metatable.
local function foreign_bor(value)
  local mt = debug.getmetatable(value)
  return type(mt) == "table" and rawget(mt, "__bor") or nil
end

-- Numbers, and the 64-bit integers of LuaJIT.
local function is_number(value)
  local kind = type(value)
  return kind == "number" or (kind == "cdata" and tonumber(value) ~= nil)
end

-- Whether coerce makes a step of it.
local function is_step(value)
  local kind = type(value)
  if kind == "function" or runnable.is(value) then return true end
  local mt = debug.getmetatable(value)
  if kind == "table" and mt == nil then return true end
  if runnable.is_class(value) or type(mt) ~= "table" then return false end
  return rawget(mt, "__call") ~= nil
end

operator.is_number, operator.is_step = is_number, is_step

-- Says what is wrong with operands and maps.
local function mistakes()
  return require "moonpipe.operator_mistakes"
end

-- ---- P ---------------------------------------------------------------------------

local function check_integer(value, where)
  if type(value) == "number" and value % 1 ~= 0 then
    errors.usage("number has no integer representation", where)
  end
end

local function bits(a, b, where)
  check_integer(a, where)
  check_integer(b, where)
  return bit.bor(a, b)
end

-- Where an operator and its operands stand; made once a site.
local function place(p, site)
  site.where = where_of(p, site.line)
  site.left_at, site.right_at = span_of(p, site.left_span), span_of(p, site.right_span)
end

local function join(p, a, b, site)
  if not site.where then place(p, site) end
  if not is_step(a) or not is_step(b) then mistakes().refuse(a, b, site, site.where) end
  return compose.join(a, b, site.where, site.left_at, site.right_at)
end

-- In the order of Lua 5.4: the left operand's metamethod, then the right's.
function P.__call(p, a, b, number)
  local site = p.sites[number]
  if runnable.is(a) then return join(p, a, b, site) end
  local bor = foreign_bor(a)
  if bor then return (bor(a, b)) end
  if runnable.is(b) then return join(p, a, b, site) end
  bor = foreign_bor(b)
  if bor then return (bor(a, b)) end
  if is_number(a) and is_number(b) then return bits(a, b, where_of(p, site.line)) end
  return join(p, a, b, site)
end

-- `(P.chain(a, b, 1)(c, 2)())`: gives a function that takes the next operand,
-- and without one gives the result.
local function chain(p)
  return function(a, b, number)
    local result = p(a, b, number)
    local function more(operand, next_number)
      if not next_number then return result end
      result = p(result, operand, next_number)
      return more
    end
    return more
  end
end

-- ---- maps ------------------------------------------------------------------------

-- A computed key cannot be looked up by name, but its value can be missed.
local function check_count(p, map, site)
  local count = 0
  for _ in pairs(map) do count = count + 1 end
  if count >= #site.entries then return end
  mistakes().check_computed(site, p.name)
end

-- Where the map and its keys stand, for errors of coercion; made once a site.
local function origin_of(p, site)
  if site.origin then return site.origin end
  local origin = { where = where_of(p, site.line), keys = {}, spans = {} }
  for _, entry in ipairs(site.entries) do
    if entry.key ~= nil then
      origin.keys[entry.key] = where_of(p, entry.line)
      origin.spans[entry.key] = span_of(p, entry.span)
    end
  end
  site.origin = origin
  return origin
end

local function map_checker(p)
  return function(map, number)
    local site = p.sites[number]
    for _, entry in ipairs(site.entries) do
      if entry.key ~= nil and map[entry.key] == nil then
        mistakes().refuse_vanished(entry, p.name)
      end
    end
    check_count(p, map, site)
    coerce.remember(map, origin_of(p, site))
    return map
  end
end

---Makes the P of one text.
---@param sites table   what bind_load gave
---@param name string   of the text, as in messages
---@return table P
function operator.new(sites, name)
  local p = setmetatable({ sites = sites, name = name }, P)
  p.map, p.chain = map_checker(p), chain(p)
  return p
end

loader.set_operator(operator.new)

return operator
