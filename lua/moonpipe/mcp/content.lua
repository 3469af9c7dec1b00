--- What MCP servers say, in our words: content of tools and prompts.
local errors = require "moonpipe.error"
local message = require "moonpipe.messages.message"

local content = {}

local BLOCKS = {}

function BLOCKS.text(block)
  return { type = "text", text = block.text or "" }
end

function BLOCKS.image(block)
  return { type = "image", base64 = block.data, mime_type = block.mimeType }
end

function BLOCKS.audio(block)
  return { type = "audio", base64 = block.data, mime_type = block.mimeType }
end

function BLOCKS.resource_link(block)
  return { type = "text", text = ("%s <%s>"):format(block.name or "resource", block.uri or "?") }
end

-- What is no text is named: few models take files.
function BLOCKS.resource(block)
  local resource = type(block.resource) == "table" and block.resource or {}
  if type(resource.text) == "string" then return { type = "text", text = resource.text } end
  return { type = "text", text = ("<%s: %s>"):format(resource.uri or "resource",
    resource.mimeType or "binary") }
end

local function block_of(block)
  local make = type(block) == "table" and BLOCKS[block.type]
  if make then return make(block) end
  return { type = "text", text = ("<%s>"):format(type(block) == "table" and
    errors.text(block.type) or "?") }
end

---Content as messages have it: a text where there is nothing but text, else a list of blocks.
---@param list table[]|table
---@return string|table[]
function content.of(list)
  if type(list) ~= "table" then return "" end
  if list.type then list = { list } end
  local blocks, texts = {}, {}
  for i, block in ipairs(list) do
    blocks[i] = block_of(block)
    texts[#texts + 1] = blocks[i].type == "text" and blocks[i].text or nil
  end
  if #texts == #blocks then return table.concat(texts, "\n") end
  return blocks
end

---The text of content.
---@param list table[]
---@return string
function content.text(list)
  local value = content.of(list)
  if type(value) == "string" then return value end
  local texts = {}
  for _, block in ipairs(value) do texts[#texts + 1] = block.text end
  return table.concat(texts, "\n")
end

---The messages of a prompt.
---@param list { role: string, content: table }[]
---@return moonpipe.Message[]
function content.messages(list)
  local out = {}
  for i, one in ipairs(type(list) == "table" and list or {}) do
    local class = one.role == "assistant" and message.AIMessage or message.HumanMessage
    out[i] = class(content.of(one.content))
  end
  return out
end

return content
