--- Adds the fields of two message chunks.
--
-- Text appends, that of reasoning and refusals too; content blocks and tool calls grow by their
-- index, metadata: the last wins.
local chunk = require "moonpipe.chunk"

-- These name a block; they do not grow with its pieces.
local FIXED = { type = true, index = true, id = true }

local function merge_block(a, b)
  local result = {}
  for key, value in pairs(a) do
    result[key] = value
  end
  for key, value in pairs(b) do
    if not FIXED[key] then
      result[key] = chunk.merge(a[key], value)
    elseif result[key] == nil then
      result[key] = value
    end
  end
  return result
end

local function block_with_index(blocks, index)
  for i = 1, #blocks do
    if type(blocks[i]) == "table" and blocks[i].index == index then
      return i
    end
  end
end

local function append_block(blocks, block)
  local slot = type(block) == "table" and block.index ~= nil
    and block_with_index(blocks, block.index)
  if slot then
    blocks[slot] = merge_block(blocks[slot], block)
  else
    blocks[#blocks + 1] = block
  end
end

local function add_blocks(blocks, content)
  if type(content) == "string" then
    if content ~= "" then
      blocks[#blocks + 1] = content
    end
    return blocks
  end
  for i = 1, #content do
    append_block(blocks, content[i])
  end
  return blocks
end

local function add_content(a, b)
  if type(a) == "string" and type(b) == "string" then
    return a .. b
  end
  return add_blocks(add_blocks({}, a), b)
end

local RUN_ID = "^run%-"

-- A provider's id wins over one of ours.
local function add_id(a, b)
  if a and not a:find(RUN_ID) then
    return a
  elseif b and not b:find(RUN_ID) then
    return b
  end
  return a or b
end

local function first(a, b)
  if a == nil then
    return b
  end
  return a
end

local function add_status(a, b)
  return (a == "error" or b == "error") and "error" or a or b
end

-- What a model says besides its text comes in pieces, as the text does.
local GROWS = { reasoning_content = true, refusal = true }

local function add_kwargs(a, b)
  local result = chunk.merge_last(a, b)
  for key in pairs(GROWS) do
    if a and b and type(a[key]) == "string" and type(b[key]) == "string" then
      result[key] = a[key] .. b[key]
    end
  end
  return result
end

local ADD = {
  content = add_content,
  id = add_id,
  name = first,
  role = first,
  tool_call_id = first,
  status = add_status,
  artifact = chunk.merge_last,
  chunk_position = chunk.merge_last,
  usage_metadata = chunk.merge_last,
  response_metadata = chunk.merge_last,
  additional_kwargs = add_kwargs,
  tool_call_chunks = function(a, b)
    return a and require("moonpipe.agents.toolcall").merge(a, b) or b
  end,
}

--- A new table with the fields of both; neither is written to.
---@param a table
---@param b table
---@return table
return function(a, b)
  local result = {}
  for key, value in next, a do
    result[key] = value
  end
  for key, value in next, b do
    result[key] = (ADD[key] or chunk.merge)(result[key], value)
  end
  return result
end
