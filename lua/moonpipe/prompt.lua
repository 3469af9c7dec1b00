--- Prompts that turn named values into a list of messages; prompt_text.lua has those for a text.
local elements = require "moonpipe.prompt_element"
local errors = require "moonpipe.error"
local prompt_base = require "moonpipe.prompt_base"
local runnable = require "moonpipe.runnable"
local values = require "moonpipe.prompt_value"
local words = require "moonpipe.message_class"

local prompt = {
  SystemMessagePromptTemplate = elements.SystemMessagePromptTemplate,
  HumanMessagePromptTemplate = elements.HumanMessagePromptTemplate,
  AIMessagePromptTemplate = elements.AIMessagePromptTemplate,
}

---@class moonpipe.ChatPromptTemplate: moonpipe.BasePromptTemplate
---@field messages table[]  its elements
---@operator add(any): moonpipe.ChatPromptTemplate
local ChatPromptTemplate, chat_prompt = runnable.class("ChatPromptTemplate", {
  base = prompt_base.Base, label = "prompt",
})
prompt.ChatPromptTemplate = ChatPromptTemplate

-- The first text that has variables says best which prompt it is.
local function source_of_list(list)
  for _, element in ipairs(list) do
    if element.template and element.template.count > 0 then
      return element.template.source
    end
  end
  local first = list[1] or {}
  return first.template and first.template.source or first.name and "{" .. first.name .. "}"
    or first.message and words.text(first.message) or ""
end

local function new_chat_prompt(list, partials, stated)
  local required, optional = {}, {}
  for _, element in ipairs(list) do
    for _, name in ipairs(element.variables) do
      (element.optional and optional or required)[name] = true
    end
  end
  local lone = #list == 1 and list[1].template and list[1] or nil
  return prompt_base.instance(ChatPromptTemplate, {
    source = source_of_list(list), messages = list, partial_variables = partials,
    lone_template = lone and lone.template, lone_mt = lone and lone.message_mt,
  }, required, optional, stated)
end

-- Other prompts are spliced in, with their partial values.
local function add_element(list, partials, value, what)
  local mt = getmetatable(value)
  if mt == ChatPromptTemplate.mt then
    for _, element in ipairs(value.messages) do
      list[#list + 1] = element
    end
    return prompt_base.merged(partials, value.partial_variables)
  elseif mt ~= nil and mt == prompt_base.text_mt then
    partials = prompt_base.merged(partials, value.partial_variables)
    value = value.source
  end
  local element, problem = elements.coerce(value)
  if not element then
    errors.usage(what .. problem)
  end
  list[#list + 1] = element
  return partials
end

-- `from_messages{ "system", "text" }` was meant as one pair.
local function check_list(list)
  if type(list) ~= "table" or getmetatable(list) then
    errors.usage(("from_messages takes a list of messages, got %s"):format(errors.shape(list)))
  end
  if type(list[2]) == "string" and #list == 2 and elements.is_role(list[1]) then
    errors.usage(('{"%s", …} is one message, not a list of messages; write { {"%s", …} }'):format(
      list[1], list[1]))
  end
  for key in pairs(list) do
    if type(key) ~= "number" then
      errors.usage(("from_messages takes a list of messages, got a table with the key '%s'"):format(
        tostring(key)))
    end
  end
end

--- A prompt that gives messages. Elements: a message, which is taken as it is; {role, template};
--- { role =, content = }; a string for a human message; MessagesPlaceholder(name, opts);
--- {"placeholder", "{name}"}; another prompt.
---@param list any[]
---@param opts { partial_variables: table?, input_variables: string[]?, template_format: string? }?
---@return moonpipe.ChatPromptTemplate
function ChatPromptTemplate.from_messages(list, opts)
  opts = prompt_base.options(opts, "ChatPromptTemplate")
  check_list(list)
  local parts, partials = {}, {}
  for i = 1, #list do
    partials = add_element(parts, partials, list[i], ("message %d: "):format(i))
  end
  return new_chat_prompt(parts, prompt_base.merged(partials, opts.partial_variables),
    opts.input_variables)
end

--- A prompt of one human message.
---@param text string
---@param opts { partial_variables: table?, input_variables: string[]?, template_format: string? }?
---@return moonpipe.ChatPromptTemplate
function ChatPromptTemplate.from_template(text, opts)
  opts = prompt_base.options(opts, "ChatPromptTemplate")
  if type(text) ~= "string" then
    errors.usage("from_template takes a string, got " .. errors.shape(text))
  end
  local parts = {}
  add_element(parts, nil, text, "")
  return new_chat_prompt(parts, prompt_base.merged(opts.partial_variables), opts.input_variables)
end

--- `ChatPromptTemplate{ messages… }`, `ChatPromptTemplate{ messages = {…}, options }` or
--- `ChatPromptTemplate "text"`.
function ChatPromptTemplate.new(given, opts)
  if type(given) == "string" then
    return ChatPromptTemplate.from_template(given, opts)
  elseif type(given) == "table" and given.messages ~= nil then
    given, opts = prompt_base.take(given, "messages")
  end
  return ChatPromptTemplate.from_messages(given, opts)
end

local function fill(self, named, only)
  local list, count, parts = {}, 0, self.messages
  for i = 1, #parts do
    local element = parts[i]
    count = element.fill(element, list, count, named, only, self)
  end
  return list
end

function chat_prompt:_invoke(input)
  local named, only = self:_inputs(input)
  local lone = self.lone_template
  if lone then
    local text = lone:format(named, only, self)
    return setmetatable({ setmetatable({ content = text }, self.lone_mt) }, values.chat_mt)
  end
  return setmetatable(fill(self, named, only), values.chat_mt)
end

--- The messages for these values.
---@param given table|string|nil
---@return moonpipe.Message[]
function chat_prompt:format_messages(given)
  return fill(self, self:_inputs(given))
end

--- The messages for these values as one text: `System: …\nHuman: …`.
---@param given table|string|nil
---@return string
function chat_prompt:format(given)
  return values.transcript(self:format_messages(given))
end

--- A prompt with some variables given: values, or functions that are called at each use.
---@param more table
---@return moonpipe.ChatPromptTemplate
function chat_prompt:partial(more)
  return new_chat_prompt(self.messages, prompt_base.partial(self, more))
end

local OPTIONS = { "messages", "partial_variables" }

-- What a call may choose: see configurable.lua.
function chat_prompt:_options()
  return OPTIONS
end

function chat_prompt:_with_options(changes)
  local opts = { partial_variables = changes.partial_variables or self.partial_variables }
  if changes.messages == nil then return new_chat_prompt(self.messages, opts.partial_variables) end
  return ChatPromptTemplate.from_messages(changes.messages, opts)
end

-- A list adds each of its members, anything else itself.
local function add_operand(list, partials, value)
  if type(value) == "table" and getmetatable(value) == nil and not elements.is_role(value[1])
    and value.role == nil then
    for i = 1, #value do
      partials = add_element(list, partials, value[i], ("message %d: "):format(i))
    end
    return partials
  end
  return add_element(list, partials, value, "")
end

function ChatPromptTemplate.mt.__add(a, b)
  local list = {}
  local partials = add_operand(list, {}, a)
  partials = add_operand(list, partials, b)
  return new_chat_prompt(list, partials)
end

return prompt
