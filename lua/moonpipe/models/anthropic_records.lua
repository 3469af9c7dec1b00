--- What the records of a streamed answer of the Messages API mean.
--
-- The answer is whole when a reason to stop was told. Blocks that must go back as
-- they came are put together again for the last chunk.
local answer = require "moonpipe.models.anthropic_answer"
local envelope = require "moonpipe.http.envelope"
local json = require "moonpipe.json"
local native = require "moonpipe.native"

local member, text_of, without_null = envelope.member, envelope.text, envelope.without_null
local repair = native.c.utf8_repair

---@type moonpipe.ChatRecords
local records = { key = "text" }

-- Later counts are of all so far.
local function note_usage(stream, usage)
  if type(usage) ~= "table" then return end
  stream.usage = stream.usage or {}
  for name, value in pairs(without_null(usage)) do stream.usage[name] = value end
end

local READ, DELTA = {}, {}

function READ.message_start(stream, record)
  local message = without_null(member(record.message) or {})
  stream.message, stream.id, stream.blocks = message, text_of(message.id), {}
  stream.started = message.usage -- not `usage`: text may still be all that records bring
end

-- ---- blocks --------------------------------------------------------------------------------

---@class moonpipe.AnthropicBlock  one that is growing
---@field block table      as it began
---@field index integer
---@field from integer     bytes of the stream's text before it
---@field to integer?      and those that end with it
---@field pieces string[]  of what is not text

local function end_block(stream)
  local last = stream.blocks[#stream.blocks]
  if last and not last.to then last.to = #stream:text() end
end

local function block_at(stream, index)
  local list = stream.blocks or {}
  for i = #list, 1, -1 do
    if list[i].index == index then return list[i] end
  end
end

function READ.content_block_start(stream, record)
  local block = without_null(member(record.content_block) or {})
  stream.blocks = stream.blocks or {}
  end_block(stream)
  table.insert(stream.blocks, {
    block = block, index = record.index, from = #stream:text(), pieces = {},
  })
  if block.type ~= "tool_use" then return text_of(block.text) end
  local has_input = type(block.input) == "table" and next(block.input) ~= nil
  return nil, nil, stream:pieces { {
    index = record.index, id = block.id,
    ["function"] = { name = block.name, arguments = has_input and block.input or nil },
  } }
end

function DELTA.text_delta(_, _, delta)
  return delta.text
end

function DELTA.thinking_delta(_, grown, delta)
  local text = delta.thinking or ""
  table.insert(grown.pieces, text)
  return nil, { reasoning_content = text }
end

function DELTA.signature_delta(_, grown, delta)
  grown.block.signature = delta.signature
end

function DELTA.citations_delta(stream, grown, delta)
  stream.detailed = true
  grown.block.citations = grown.block.citations or {}
  table.insert(grown.block.citations, delta.citation)
end

function DELTA.input_json_delta(stream, grown, delta)
  local text = delta.partial_json or ""
  table.insert(grown.pieces, text)
  if grown.block.type ~= "tool_use" then return nil end
  return nil, nil, stream:pieces { {
    index = grown.index, ["function"] = { arguments = text },
  } }
end

function READ.content_block_delta(stream, record)
  local delta = without_null(member(record.delta) or {})
  local read, grown = DELTA[delta.type], block_at(stream, record.index)
  if read and grown then return read(stream, grown, delta) end
  if delta.type == "text_delta" then return delta.text end
end

-- ---- the end -------------------------------------------------------------------------------

function READ.message_delta(stream, record)
  local delta = without_null(member(record.delta) or {})
  note_usage(stream, stream.started)
  note_usage(stream, member(record.usage))
  if delta.stop_reason then
    stream.finish_reason, stream.finished = delta.stop_reason, true
    stream.message = stream.message or {}
    for name, value in pairs(delta) do stream.message[name] = value end
  end
end

function READ.message_stop(stream)
  stream.finished, stream.over = true, true
end

function records.read(stream, record, name)
  local read = READ[record.type or name]
  if read then return read(stream, record) end
end

-- A block as it was before it came in pieces.
local function whole(stream, grown)
  local block, text = grown.block, repair(table.concat(grown.pieces))
  if block.type == "text" then
    block.text = stream:text():sub(grown.from + 1, grown.to)
  elseif block.type == "thinking" then
    block.thinking = (block.thinking or "") .. text
  elseif text ~= "" then
    local ok, input = pcall(json.decode, text)
    block.input = ok and input or {}
  end
  return block
end

function records.last(stream)
  end_block(stream)
  local blocks, who = {}, stream.call.endpoint.who
  for i, grown in ipairs(stream.blocks or {}) do blocks[i] = whole(stream, grown) end
  return {
    additional_kwargs = answer.kwargs(who, blocks),
    usage_metadata = stream.usage and answer.usage_metadata(stream.usage),
    response_metadata = answer.metadata(who, stream.message or {}, stream.finish_reason),
  }
end

return records
