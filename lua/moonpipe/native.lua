--- The only door to C: the raw functions, and the one place where their
--- `nil, message, kind` becomes an mp.Error.
local errors = require "moonpipe.error"

local native = { c = require "moonpipe.c" }

---Gives [value], or raises what a C function reported.
---@param value any
---@param message string?
---@param kind string?
---@return any value
function native.check(value, message, kind)
  if value == nil and kind then errors.raise(kind, message) end
  return value
end

return native
