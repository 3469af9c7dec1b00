--- Texts in pieces, and what a parser makes of them.
local steps = require "spec.support.steps"

local pieces = {}

--- The text in pieces of so many bytes.
---@param text string
---@param size integer
---@return string[]
function pieces.cut(text, size)
  local list = {}
  for i = 1, #text, size do list[#list + 1] = text:sub(i, i + size - 1) end
  return list
end

--- The chunks that a parser gives for these.
---@return any[]
function pieces.stream(parser, list)
  return steps.chunks_of(parser:_transform(steps.source_of(list)))
end

return pieces
