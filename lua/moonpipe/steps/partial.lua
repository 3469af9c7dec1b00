--- What a stream had given before it broke, in its error.
local chunk = require "moonpipe.chunk"
local errors = require "moonpipe.error"

local partial = {}

-- Of messages their text, as models say it themselves.
local function merged(given)
  local ok, value = pcall(chunk.merged, given)
  if not ok then return nil end
  local content = type(value) == "table" and getmetatable(value) ~= nil and value.content
  return content or value
end

-- Texts that are kept, and tables count for more: of a stream that goes on and on, or of large
-- things, nothing is told when it breaks.
local MAX, TABLE = 65536, 16

---The stream that [pull] is, whose failure has what came before as `partial`, where
---its maker did not say.
---@param pull fun(): any
---@param first any  a chunk that was given already
---@return fun(): any
function partial.kept(pull, first)
  local given, count = { first }, 0
  return function()
    local ok, value = pcall(pull)
    if ok then
      count = count + (type(value) == "table" and TABLE or 1)
      if count > MAX then given = nil else given[#given + 1] = value end
      return value
    end
    local err = errors.wrap(value)
    if given and err.kind ~= "cancelled" and err.partial == nil then err.partial = merged(given) end
    error(err, 0)
  end
end

return partial
