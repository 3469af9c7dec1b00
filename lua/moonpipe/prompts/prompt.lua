--- Prompts that turn named values into a list of messages; text.lua has those for a text.
local elements = require "moonpipe.prompts.element"
local errors = require "moonpipe.error"
local prompt_base = require "moonpipe.prompts.base"
local runnable = require "moonpipe.steps.runnable"
local values = require "moonpipe.prompts.value"
local words = require "moonpipe.messages.class"

local prompt = {}

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

local function waits(list)
  for _, element in ipairs(list) do
    if element.waits then
      return true
    end
  end
  return false
end

-- [like]: options or a prompt, whose template language is that of elements to come.
local function new_chat_prompt(list, partials, like, stated)
  local required, optional = {}, {}
  for _, element in ipairs(list) do
    for _, name in ipairs(element.variables) do
      (element.optional and optional or required)[name] = true
    end
  end
  local lone = #list == 1 and list[1].template and list[1] or nil
  local self = prompt_base.instance(ChatPromptTemplate, {
    source = source_of_list(list), messages = list, partial_variables = partials,
    template_format = like.template_format or "f-string", compile = like.compile,
    lone_template = lone and lone.template, lone_mt = lone and lone.message_mt,
  }, required, optional, stated)
  self.sync = self.sync and not waits(list)
  for i, element in ipairs(list) do
    self[i] = element
  end
  return self
end

-- Other prompts are spliced in, with their partial values.
local function add_element(list, partials, value, compile, what)
  local mt = getmetatable(value)
  local element, problem
  if mt == ChatPromptTemplate.mt then
    for i = 1, #value do
      list[#list + 1] = value[i]
    end
    return prompt_base.merged(partials, value.partial_variables)
  elseif mt ~= nil and mt == prompt_base.text_mt then
    partials = prompt_base.merged(partials, value.partial_variables)
    element = elements.of_template(value.template)
  else
    element, problem = elements.coerce(value, compile)
  end
  if not element then
    errors.usage(what .. problem)
  end
  list[#list + 1] = element
  return partials
end

-- `from_messages{ "system", "text" }` was meant as one pair.
local function check_list(list, what)
  if type(list) ~= "table" or getmetatable(list) then
    errors.usage(("%s takes a list of messages, got %s"):format(what, errors.shape(list)))
  end
  if type(list[2]) == "string" and #list == 2 and elements.is_role(list[1]) then
    errors.usage(('{"%s", …} is one message, not a list of messages; write { {"%s", …} }'):format(
      list[1], list[1]))
  end
  for key in pairs(list) do
    if type(key) ~= "number" then
      errors.usage(("%s takes a list of messages, got a table with the key '%s'"):format(what,
        tostring(key)))
    end
  end
end

local function from_list(list, given, like, stated)
  check_list(list, "from_messages")
  local parts, partials = {}, {}
  for i = 1, #list do
    partials = add_element(parts, partials, list[i], like.compile, ("message %d: "):format(i))
  end
  return new_chat_prompt(parts, prompt_base.merged(partials, given), like, stated)
end

local function language_of(opts)
  return { template_format = opts.template_format, compile = prompt_base.compiler(opts) }
end

--- A prompt that gives messages. Elements: a message, which is taken as it is; {role, template};
--- { role =, content = }; a string for a human message; MessagesPlaceholder(name, opts);
--- {"placeholder", "{name}"}; another prompt.
---@param list any[]
---@param opts moonpipe.PromptOptions?
---@return moonpipe.ChatPromptTemplate
function ChatPromptTemplate.from_messages(list, opts)
  opts = prompt_base.options(opts, "ChatPromptTemplate")
  return from_list(list, opts.partial_variables, language_of(opts), opts.input_variables)
end

--- A prompt of one human message.
---@param text string
---@param opts moonpipe.PromptOptions?
---@return moonpipe.ChatPromptTemplate
function ChatPromptTemplate.from_template(text, opts)
  opts = prompt_base.options(opts, "ChatPromptTemplate")
  if type(text) ~= "string" then
    errors.usage("from_template takes a string, got " .. errors.shape(text))
  end
  local like, parts = language_of(opts), {}
  add_element(parts, nil, text, like.compile, "")
  return new_chat_prompt(parts, prompt_base.merged(opts.partial_variables), like,
    opts.input_variables)
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
---@nodiscard
function chat_prompt:partial(more)
  return new_chat_prompt(self.messages, prompt_base.partial(self, more), self)
end

local OPTIONS = { "messages", "partial_variables" }

-- What a call may choose: see steps/configurable.lua.
function chat_prompt:_options()
  return OPTIONS
end

function chat_prompt:_with_options(changes)
  local partials = changes.partial_variables or self.partial_variables
  return from_list(changes.messages or self.messages, partials, self)
end

-- A list adds each of its members, anything else itself.
local function add_operand(list, partials, value, compile)
  if type(value) == "table" and getmetatable(value) == nil and not elements.is_role(value[1])
    and value.role == nil then
    for i = 1, #value do
      partials = add_element(list, partials, value[i], compile, ("message %d: "):format(i))
    end
    return partials
  end
  return add_element(list, partials, value, compile, "")
end

local function is_chat(value)
  return getmetatable(value) == ChatPromptTemplate.mt
end

function ChatPromptTemplate.mt.__add(a, b)
  local like = is_chat(a) and a or b
  local list = {}
  local partials = add_operand(list, {}, a, like.compile)
  partials = add_operand(list, partials, b, like.compile)
  return new_chat_prompt(list, partials, like)
end

--- A prompt with one more message at its end; this one stays as it is.
---@param value any  an element of from_messages
---@return moonpipe.ChatPromptTemplate
---@nodiscard
function chat_prompt:append(value)
  local list = { unpack(self.messages) }
  local partials = add_element(list, self.partial_variables, value, self.compile, "")
  return new_chat_prompt(list, prompt_base.merged(partials), self)
end

--- A prompt with the messages of a list, or of another prompt, at its end.
---@param list any[]|moonpipe.ChatPromptTemplate
---@return moonpipe.ChatPromptTemplate
---@nodiscard
function chat_prompt:extend(list)
  if not is_chat(list) then
    check_list(list, "extend")
  end
  return self + list
end

--- The number of its elements; `#prompt` is the same, and `prompt[i]` is one.
---@return integer
function chat_prompt:len()
  return #self
end

-- Only the partial values that [list] has variables for.
local function partials_of(list, partials)
  local kept = {}
  for _, element in ipairs(list) do
    for _, name in ipairs(element.variables) do
      kept[name] = partials[name]
    end
  end
  return kept
end

local function place(value, default, count, what)
  if value == nil then
    return default
  elseif type(value) ~= "number" or value % 1 ~= 0 then
    errors.usage(("%s of slice is %s; it must be an integer"):format(what, errors.shape(value)))
  end
  return value < 0 and count + 1 + value or value
end

--- A prompt of the elements from [first] to [last], which count from the end where they are
--- negative, as in string.sub.
---@param first integer?  1
---@param last integer?   the last
---@return moonpipe.ChatPromptTemplate
---@nodiscard
function chat_prompt:slice(first, last)
  local count = #self
  first, last = place(first, 1, count, "first"), place(last, count, count, "last")
  local list = { unpack(self.messages, math.max(first, 1), math.min(last, count)) }
  return new_chat_prompt(list, partials_of(list, self.partial_variables), self)
end

return prompt
