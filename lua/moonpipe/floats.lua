--- mp.Floats: vectors and matrices of float32, as embeddings and indexes use them.
--
-- A vector counts its numbers, a matrix its rows; a matrix of one row is no
-- vector. Nobody can change one, so it may be shared. The type itself is C's.
local errors = require "moonpipe.error"
local native = require "moonpipe.native"

local c = native.c

---@class moonpipe.Floats: userdata
---@operator len: integer  rows of a matrix, numbers of a vector
---@field [integer] number|moonpipe.Floats  of a vector a number, of a matrix a row; from 1; an
---                                         index that is not there raises
---@field bytes fun(self: moonpipe.Floats): string  float32 in this machine's order
---@field row fun(self: moonpipe.Floats, i: integer): moonpipe.Floats  as a vector
---@field shape fun(self: moonpipe.Floats): integer, integer  rows, numbers in each
---@field totable fun(self: moonpipe.Floats): number[]|number[][]

local floats = {}

local function construct(_, values)
  if c.is_floats(values) then return values end
  if type(values) ~= "table" then
    errors.usage("mp.Floats takes a list of numbers or of rows, got " .. errors.shape(values))
  elseif #values == 0 and next(values) ~= nil then
    errors.usage("mp.Floats takes a list of numbers or of rows, got " .. errors.shape(values))
  end
  local made, message = c.floats(values)
  if not made then errors.usage("mp.Floats takes finite numbers: " .. message) end
  return made
end

--- `Floats { 1, 2, 3 }` is a vector, `Floats { { 1, 2 }, { 3, 4 } }` a matrix; its rows may be
--- vectors. A Floats is given back as it is.
---@overload fun(values: number[]|number[][]|moonpipe.Floats[]|moonpipe.Floats): moonpipe.Floats
floats.Floats = setmetatable({}, {
  __name = "moonpipe.class",
  __call = construct,
  __tostring = function() return "Floats" end,
})

--- What something of the user's gave for vectors. Raises kind `input` where it is something else.
---@param value any
---@param what string  what gave it
---@return moonpipe.Floats
function floats.given(value, what)
  if c.is_floats(value) then return value end
  local made, message
  if type(value) == "table" then made, message = c.floats(value) end
  if made then return made end
  errors.raise("input", ("%s gave %s%s"):format(what, errors.shape(value),
    message and ": " .. message or "; it must give lists of numbers"))
end

--- One vector that something of the user's gave. Raises kind `input` where it is something else.
---@param value any
---@param what string
---@return moonpipe.Floats
function floats.given_vector(value, what)
  local made = floats.given(value, what)
  if #made == 0 or type(made[1]) ~= "number" then
    errors.raise("input", ("%s gave a matrix of %d; it must give a list of numbers"):format(what,
      #made))
  end
  return made
end

--- True for an mp.Floats.
---@param value any
---@return boolean
function floats.is(value)
  return c.is_floats(value)
end

return floats
