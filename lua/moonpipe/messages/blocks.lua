--- The content of a message in blocks of one form, whoever's message it is; LangChain's names.
--
-- `text` { text }, `reasoning` { reasoning }, `image` { url } or { base64, mime_type },
-- `tool_call` { name, args, id }, `invalid_tool_call`, of a chunk `tool_call_chunk`; blocks that
-- have another name among LangChain's stay as they are, all others are `non_standard` { value }.
local message = require "moonpipe.messages.message"
local parts = require "moonpipe.messages.parts"

local blocks = {}

local AS_THEY_ARE = {
  text = true, audio = true, video = true, file = true, ["text-plain"] = true, tool_call = true,
  tool_call_chunk = true, invalid_tool_call = true, server_tool_call = true,
  server_tool_call_chunk = true, server_tool_result = true, non_standard = true,
}

local OF = {}

-- An address, bytes, or Anthropic's source of either.
function OF.image(block)
  local source = block.source
  if type(source) == "table" then
    return { type = "image", url = source.url, base64 = source.data,
      mime_type = source.media_type }
  end
  return parts.of({ block })[1]
end
OF.image_url = OF.image

function OF.thinking(block)
  return { type = "reasoning", reasoning = block.thinking,
    extras = block.signature and { signature = block.signature } or nil }
end

-- OpenAI gives a summary, in pieces.
function OF.reasoning(block)
  if block.reasoning or type(block.summary) ~= "table" then
    return block
  end
  local texts = {}
  for i, piece in ipairs(block.summary) do
    texts[i] = piece.text
  end
  return { type = "reasoning", reasoning = table.concat(texts, "\n"), id = block.id }
end

function OF.tool_use(block)
  return { type = "tool_call", name = block.name, args = block.input or {}, id = block.id }
end

local function block_of(block)
  if type(block) == "string" then
    return { type = "text", text = block }
  elseif OF[block.type] then
    return OF[block.type](block)
  end
  return AS_THEY_ARE[block.type] and block or { type = "non_standard", value = block }
end

-- Adds calls that are not there yet.
local function add_calls(list, seen, calls, kind)
  for _, call in ipairs(calls or {}) do
    if not (call.id and seen[call.id]) then
      local block = {}
      for key, value in pairs(call) do
        block[key] = value
      end
      block.type = kind
      list[#list + 1] = block
    end
  end
end

-- In a stream the pieces are the content; what they may become is not.
local function add_tools(list, m)
  local seen = {}
  for _, block in ipairs(list) do
    if block.id and block.type == "tool_call" then
      seen[block.id] = true
    end
  end
  if rawget(m, "tool_call_chunks") then
    return add_calls(list, seen, m.tool_call_chunks, "tool_call_chunk")
  end
  add_calls(list, seen, m.tool_calls, "tool_call")
  add_calls(list, seen, m.invalid_tool_calls, "invalid_tool_call")
end

local function has_reasoning(list)
  for _, block in ipairs(list) do
    if block.type == "reasoning" then
      return true
    end
  end
  return false
end

--- The blocks of a message, a list of one's own: what was thought, said and shown, then what is
--- called.
---@param m moonpipe.Message
---@return table[]
function blocks.of(m)
  local list, content = {}, m.content
  for _, block in ipairs(type(content) == "string" and { content } or content) do
    local made = block_of(block)
    if made.text ~= "" then
      list[#list + 1] = made
    end
  end
  local kwargs = rawget(m, "additional_kwargs")
  local thought = kwargs and kwargs.reasoning_content
  if type(thought) == "string" and thought ~= "" and not has_reasoning(list) then
    table.insert(list, 1, { type = "reasoning", reasoning = thought })
  end
  if message.class_of(m).type == "ai" then
    add_tools(list, m)
  end
  return list
end

return blocks
