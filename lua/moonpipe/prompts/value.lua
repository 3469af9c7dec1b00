--- What prompts give: `to_messages()` and `to_string()`, whichever the next step wants.
local words = require "moonpipe.messages.class"

---@class moonpipe.PromptValue
---@field messages moonpipe.Message[]?  of a chat prompt's value
---@field text string?  of a string prompt's value

local values = {}

local HUMAN = words.HumanMessage.instance_mt

-- A chat prompt's value is the list of its messages itself, with methods: one table less a call.
local ChatValue = {}
local StringValue = {}

values.chat_mt = { __name = "moonpipe.ChatPromptValue" }
values.string_mt = { __name = "moonpipe.StringPromptValue", __index = StringValue }

--- Makes a prompt value of a list of messages, which it takes.
---@param list moonpipe.Message[]
---@return moonpipe.PromptValue
function values.chat(list)
  return setmetatable(list, values.chat_mt)
end

--- Makes a prompt value of a text.
---@param text string
---@return moonpipe.PromptValue
function values.string(text)
  return setmetatable({ text = text }, values.string_mt)
end

--- True for what a prompt gives.
---@param value any
---@return boolean
function values.is(value)
  local mt = getmetatable(value)
  return mt == values.chat_mt or mt == values.string_mt
end

--- Messages as the lines of a play: `System: s\nHuman: h\nAI: a`.
---@param messages moonpipe.Message[]
---@param human_prefix string?  "Human"
---@param ai_prefix string?  "AI"
---@return string
function values.transcript(messages, human_prefix, ai_prefix)
  local lines = {}
  for i = 1, #messages do
    local item = messages[i]
    local label = words.class_of(item).label or item.role
    if item.type == "human" then
      label = human_prefix or label
    elseif item.type == "ai" then
      label = ai_prefix or label
    end
    lines[i] = label .. ": " .. words.text(item)
  end
  return table.concat(lines, "\n")
end

--- A list of one's own of its messages.
---@return moonpipe.Message[]
function ChatValue:to_messages()
  local list = {}
  for i = 1, #self do
    list[i] = self[i]
  end
  return list
end

--- A transcript.
---@return string
function ChatValue:to_string()
  return values.transcript(self)
end

function values.chat_mt.__index(self, key)
  if key == "messages" then
    return self
  end
  return ChatValue[key]
end

--- The text as one human message.
---@return moonpipe.Message[]
function StringValue:to_messages()
  return { setmetatable({ content = self.text }, HUMAN) }
end

--- The text.
---@return string
function StringValue:to_string()
  return self.text
end

values.chat_mt.__tostring = ChatValue.to_string
values.string_mt.__tostring = StringValue.to_string

return values
