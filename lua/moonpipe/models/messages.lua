--- Messages as the tables that OpenAI's API takes, for programs that speak to it by themselves.
local errors = require "moonpipe.error"
local message = require "moonpipe.messages.message"
local request = require "moonpipe.models.openai_request"

local converting = {}

local FORMATS = { string = true, block = true }

-- Texts alone are one text; among other blocks they stay blocks.
local function as_string(content)
  if type(content) ~= "table" then
    return content
  end
  local texts = {}
  for i, block in ipairs(content) do
    if block.type ~= "text" then
      return content
    end
    texts[i] = block.text
  end
  return table.concat(texts, "\n")
end

local function as_blocks(content)
  return type(content) == "string" and { { type = "text", text = content } } or content
end

--- The messages as `{ role =, content =, tool_calls =, … }`; a single message gives a single table.
--- text_format "string" makes a text of content that is nothing but texts, "block" makes blocks.
---@param messages moonpipe.Message[]|moonpipe.Message|string
---@param opts { text_format: ("string"|"block")? }?
---@return table[]|table
function converting.convert_to_openai_messages(messages, opts)
  opts = errors.options(opts, { "text_format" }, "convert_to_openai_messages")
  local format = opts.text_format or "string"
  if not FORMATS[format] then
    errors.usage(("text_format of convert_to_openai_messages is %s; it must be 'string' or 'block'")
      :format(type(format) == "string" and "'" .. format .. "'" or errors.shape(format)))
  end
  local list = {}
  for i, one in ipairs(message.coerce_list(messages)) do
    list[i] = request.message(one)
    list[i].content = (format == "string" and as_string or as_blocks)(list[i].content)
  end
  return message.is(messages) and list[1] or list
end

return converting
