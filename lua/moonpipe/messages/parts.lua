--- The content of a message in the one form from which each provider makes its own.
local message = require "moonpipe.messages.message"

local parts = {}

-- Blocks that are somebody's own notes, and no content for others.
local PRIVATE = {
  tool_use = true, tool_call = true, thinking = true, reasoning = true, redacted_thinking = true,
}

---@class moonpipe.ContentPart
---@field type string        "text", "image", or what the block says
---@field text string?       of a text
---@field url string?        of an image elsewhere
---@field base64 string?     of an image given here
---@field mime_type string?  of that one
---@field detail string?     how closely a model shall look at it

local function image_of(block)
  local given = type(block.image_url) == "table" and block.image_url or { url = block.image_url }
  local url, detail = given.url or block.url, given.detail
  if type(url) == "string" then
    local mime, data = url:match("^data:([%w/+.-]+);base64,(.*)$")
    if mime then return { type = "image", base64 = data, mime_type = mime, detail = detail } end
    return { type = "image", url = url, detail = detail }
  end
  local data = block.base64 or block.data
  if type(data) ~= "string" then return block end
  return { type = "image", base64 = data, mime_type = block.mime_type or "image/png" }
end

local function part_of(block)
  if type(block) == "string" then return { type = "text", text = block } end
  if block.type == "image" or block.type == "image_url" then return image_of(block) end
  return block
end

---The parts of [content]: texts that are not empty, images as `url` or `base64`, and
---other blocks as they are.
---@param content string|table[]
---@return moonpipe.ContentPart[]
function parts.of(content)
  local list = {}
  for _, block in ipairs(type(content) == "string" and { content } or content) do
    local part = part_of(block)
    if not PRIVATE[part.type] and part.text ~= "" then list[#list + 1] = part end
  end
  return list
end

---An image as one URL, its bytes within where they are given.
---@param part moonpipe.ContentPart
---@return string?
function parts.image_url(part)
  if part.url then return part.url end
  return part.base64 and ("data:%s;base64,%s"):format(part.mime_type, part.base64)
end

---What a message of a provider's own answer was, as it came: it must go back so
---(signatures of thoughts). Nil for a message of another provider.
---@param m moonpipe.AIMessage
---@param name string  of the provider
---@return table?
function parts.native(m, name)
  local kwargs = rawget(m, "additional_kwargs")
  local native = kwargs and kwargs.native
  return native and native.provider == name and native.content or nil
end

---The texts of all system messages as one, and the other messages; for providers
---whose requests have one place for them.
---@param messages moonpipe.Message[]
---@return string? system
---@return moonpipe.Message[] others
function parts.split_system(messages)
  local texts, others = {}, {}
  for _, m in ipairs(messages) do
    if m.type == "system" then
      texts[#texts + 1] = m:text()
    else
      others[#others + 1] = m
    end
  end
  return texts[1] and table.concat(texts, "\n\n"), others
end

---The name of the tool whose result [m] is: its own, else that of the call in the messages
---[before] it; nil where there is none.
---@param m moonpipe.ToolMessage
---@param before moonpipe.Message[]
---@return string?
function parts.tool_name(m, before)
  if m.name then return m.name end
  for i = #before, 1, -1 do
    for _, call in ipairs(before[i].tool_calls or {}) do
      if call.id == m.tool_call_id then return call.name end
    end
  end
end

---The role of a message among "human", "ai", "tool", "system".
---@param m moonpipe.Message
---@return string
function parts.kind(m)
  if m.type ~= "chat" then return m.type end
  local class = message.class_of_role(m.role)
  return class and class.type or "human"
end

return parts
