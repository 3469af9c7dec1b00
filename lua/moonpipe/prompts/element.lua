--- What a chat prompt is made of: templates of messages, messages as they are; placeholders and
--- content blocks have their own modules.
--
-- An element knows its variables and how to add its messages to a list:
-- `element.fill(element, list, count, values, only, owner)` gives the new count; values, only and
-- owner are those of templates/template.lua.
local errors = require "moonpipe.error"
local message = require "moonpipe.messages.message"
local prompt_base = require "moonpipe.prompts.base"

local elements = {}

local element_mt = { __name = "moonpipe.MessagePromptTemplate" }
elements.placeholder_mt = { __name = "moonpipe.MessagesPlaceholder" }

-- As from_messages takes them.
function element_mt.__tostring(self)
  if self.message then
    return require "moonpipe.inspect"(self.message)
  end
  local text = self.template and ("%q"):format(self.template.source):gsub("\\\n", "\\n")
  return ('{"%s", %s}'):format(self.class.type, text or "{…}")
end

function elements.placeholder_mt.__tostring(self)
  return ('MessagesPlaceholder("%s"%s)'):format(self.name,
    self.optional and ", { optional = true }" or "")
end

element_mt.__inspect = element_mt.__tostring
elements.placeholder_mt.__inspect = elements.placeholder_mt.__tostring

local CLASS_OF_ROLE = {
  human = message.HumanMessage, user = message.HumanMessage,
  ai = message.AIMessage, assistant = message.AIMessage,
  system = message.SystemMessage,
}
local ROLES = { "human", "user", "ai", "assistant", "system", "placeholder" }

local FORMS = "write a message, {role, template}, { role = …, content = … }, a string for a human"
  .. " message or MessagesPlaceholder(name)"

-- Messages with variables -------------------------------------------------------------------------

local function fill_text(element, list, count, values, only, owner)
  local text = element.template:format(values, only, owner)
  list[count + 1] = setmetatable({ content = text }, element.message_mt)
  return count + 1
end

local function with_template(element, compiled)
  element.template, element.variables, element.fill = compiled, compiled.variables, fill_text
  return element
end

--- A message of [class] whose text, or list of content blocks, has variables.
---@param class table
---@param content any
---@param compile fun(text: string): moonpipe.Template?, string?
---@return table? element
---@return string? problem
function elements.of_class(class, content, compile)
  local element = setmetatable({ class = class, message_mt = class.instance_mt }, element_mt)
  if type(content) == "table" and content[1] ~= nil then
    return require("moonpipe.prompts.blocks").compile(element, content, compile)
  elseif type(content) ~= "string" then
    return nil, ("a template is a string or a list of content blocks, not %s"):format(
      errors.shape(content))
  end
  local compiled, problem = compile(content)
  return compiled and with_template(element, compiled), problem
end

--- A human message of a compiled template.
---@param compiled moonpipe.Template
---@return table element
function elements.of_template(compiled)
  local class = message.HumanMessage
  return with_template(setmetatable({ class = class, message_mt = class.instance_mt }, element_mt),
    compiled)
end

-- Messages as they are ----------------------------------------------------------------------------

local function fill_message(element, list, count)
  list[count + 1] = element.message
  return count + 1
end

local function verbatim(value)
  return setmetatable({ message = value, variables = {}, fill = fill_message }, element_mt)
end

-- What users write --------------------------------------------------------------------------------

local function unknown_role(role)
  if type(role) ~= "string" then
    return ("a role is a string or a message class, not %s"):format(errors.shape(role))
  end
  return ("unknown role '%s'; use one of '%s'%s"):format(role, table.concat(ROLES, "', '"),
    errors.hint(role, ROLES))
end

local function from_role(role, content, compile)
  if role == "placeholder" then
    return require("moonpipe.prompts.placeholder").from_pair(content)
  end
  local class = CLASS_OF_ROLE[role]
  if not class and type(role) == "table" and role.instance_mt then
    class = role
  end
  if not class then
    return nil, unknown_role(role)
  elseif #class.required > 1 then
    return nil, ("a template of %s is not possible; give the message itself"):format(class.name)
  end
  return elements.of_class(class, content, compile)
end

local function from_table(value, compile)
  if value.role ~= nil or value.content ~= nil then
    for key in pairs(value) do
      if key ~= "role" and key ~= "content" then
        return nil, ("unknown key '%s'; a table has role and content"):format(tostring(key))
      end
    end
    return from_role(value.role, value.content, compile)
  elseif #value == 2 then
    return from_role(value[1], value[2], compile)
  elseif value[1] ~= nil then
    return nil, ("a pair is {role, template}, got %s"):format(errors.shape(value))
  end
  return nil, ("%s is no part of a prompt; %s"):format(errors.shape(value), FORMS)
end

--- True for the name of a role, or a message class in its place.
---@param value any
---@return boolean
function elements.is_role(value)
  return CLASS_OF_ROLE[value] ~= nil or value == "placeholder"
    or type(value) == "table" and rawget(value, "instance_mt") ~= nil
end

--- Makes an element of what users write for one. Gives nil and the problem where it cannot.
---@param value any
---@param compile fun(text: string): moonpipe.Template?, string?
---@return table? element
---@return string? problem
function elements.coerce(value, compile)
  local mt = getmetatable(value)
  if mt == element_mt or mt == elements.placeholder_mt or prompt_base.is_few_shot(value) then
    return value
  elseif message.is(value) then
    return verbatim(value)
  elseif type(value) == "string" then
    return elements.of_class(message.HumanMessage, value, compile)
  elseif type(value) == "table" and mt == nil then
    return from_table(value, compile)
  end
  return nil, ("%s is no part of a prompt; %s"):format(errors.shape(value), FORMS)
end

return elements
