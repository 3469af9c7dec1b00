--- What a chat prompt is made of: templates of messages, messages as they are, placeholders.
--
-- An element knows its variables and how to add its messages to a list:
-- `element.fill(element, list, count, values, only, owner)` gives the new count; values, only and
-- owner are those of template.lua.
local errors = require "moonpipe.error"
local message = require "moonpipe.message"
local template = require "moonpipe.template"

local elements = {}

local element_mt = { __name = "moonpipe.MessagePromptTemplate" }
local placeholder_mt = { __name = "moonpipe.MessagesPlaceholder" }

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

local function fill_part(part, values, only, owner)
  local result = {}
  for key, value in pairs(part) do
    if type(value) ~= "table" then
      result[key] = value
    elseif template.is(value) then
      result[key] = value:format(values, only, owner)
    else
      result[key] = fill_part(value, values, only, owner)
    end
  end
  return result
end

local function fill_parts(element, list, count, values, only, owner)
  local content = fill_part(element.parts, values, only, owner)
  list[count + 1] = setmetatable({ content = content }, element.message_mt)
  return count + 1
end

local function add_names(names, more)
  for _, name in ipairs(more) do
    names[#names + 1] = name
  end
end

-- Every string in a content block may hold variables, but for the block's type.
local function compile_part(part, names)
  local result = {}
  for key, value in pairs(part) do
    local compiled, problem = value, nil
    if type(value) == "string" and key ~= "type" then
      compiled, problem = template.compile(value)
    elseif type(value) == "table" then
      compiled, problem = compile_part(value, names)
    end
    if problem then
      return nil, problem
    elseif template.is(compiled) then
      add_names(names, compiled.variables)
    end
    result[key] = compiled
  end
  return result
end

local function compile_parts(element, content)
  local parts = {}
  for i, part in ipairs(content) do
    parts[i] = type(part) == "string" and { type = "text", text = part } or part
  end
  local problem
  element.variables = {}
  element.parts, problem = compile_part(parts, element.variables)
  element.fill = fill_parts
  return element.parts and element, problem
end

local function new_element(class, content)
  local element = setmetatable({ class = class, message_mt = class.instance_mt }, element_mt)
  if type(content) == "table" and content[1] ~= nil then
    return compile_parts(element, content)
  elseif type(content) ~= "string" then
    return nil, ("a template is a string or a list of content blocks, not %s"):format(
      errors.shape(content))
  end
  local compiled, problem = template.compile(content)
  if not compiled then
    return nil, problem
  end
  element.template, element.variables, element.fill = compiled, compiled.variables, fill_text
  return element
end

local function template_class(name, class)
  local Class = {}

  --- A message whose text has variables, for from_messages.
  function Class.from_template(text)
    local element, problem = new_element(class, text)
    if not element then
      errors.usage(name .. ": " .. problem)
    end
    return element
  end

  elements[name] = setmetatable(Class, {
    __name = "moonpipe.class",
    __call = function(_, text) return Class.from_template(text) end,
    __tostring = function() return name end,
  })
end

template_class("SystemMessagePromptTemplate", message.SystemMessage)
template_class("HumanMessagePromptTemplate", message.HumanMessage)
template_class("AIMessagePromptTemplate", message.AIMessage)

-- Messages as they are ----------------------------------------------------------------------------

local function fill_message(element, list, count)
  list[count + 1] = element.message
  return count + 1
end

local function verbatim(value)
  return setmetatable({ message = value, variables = {}, fill = fill_message }, element_mt)
end

-- Placeholders ------------------------------------------------------------------------------------

local function refuse(name, what)
  errors.raise("input", ("prompt variable '%s' %s"):format(name, what))
end

local function placeholder_list(name, value)
  if type(value) ~= "table" or value[1] == nil and next(value) ~= nil or message.is(value) then
    refuse(name, ("is %s; a placeholder takes a list of messages"):format(errors.shape(value)))
  end
  local list, problem = message.try_coerce_list(value)
  if not list then
    refuse(name, ("is no list of messages: %s"):format(problem))
  end
  return list
end

local function fill_placeholder(element, list, count, values, only, owner)
  local value = only
  if value == nil then
    value = values[element.name]
  end
  if value == nil then
    return element.optional and count or owner:_missing(values)
  end
  local messages = placeholder_list(element.name, value)
  local total = #messages
  local from = math.max(1, total - (element.n_messages or total) + 1)
  for i = from, total do
    count = count + 1
    list[count] = messages[i]
  end
  return count
end

local function placeholder(name, optional, n_messages)
  return setmetatable({
    name = name, optional = optional, n_messages = n_messages,
    variables = { name }, fill = fill_placeholder,
  }, placeholder_mt)
end

local PLACEHOLDER_OPTIONS = { "variable_name", "optional", "n_messages" }

local function new_placeholder(_, name, opts)
  if type(name) == "table" then
    opts = name
    name = opts.variable_name
  end
  opts = errors.options(opts, PLACEHOLDER_OPTIONS, "MessagesPlaceholder")
  if type(name) ~= "string" or name == "" then
    errors.usage("MessagesPlaceholder needs the name of a variable, got " .. errors.shape(name))
  end
  local n = opts.n_messages
  if n ~= nil and (type(n) ~= "number" or n < 1 or n % 1 ~= 0) then
    errors.usage(("n_messages of MessagesPlaceholder is %s; it must be a positive integer"):format(
      errors.shape(n)))
  end
  return placeholder(name, opts.optional and true or false, n)
end

--- `MessagesPlaceholder(name, { optional =, n_messages = })`: where a list of messages goes.
elements.MessagesPlaceholder = setmetatable({}, {
  __name = "moonpipe.class",
  __call = new_placeholder,
  __tostring = function() return "MessagesPlaceholder" end,
})

-- {"placeholder", "{history}"} is optional, {"placeholder", {"{history}", false}} is required.
local function placeholder_pair(value)
  local text, optional = value, true
  if type(value) == "table" then
    text = value[1]
    optional = value[2] ~= false
  end
  local name = type(text) == "string" and text:match("^{([^{}]+)}$")
  if not name then
    return nil, ('a placeholder names one variable in braces, {"placeholder", "{history}"}; got %s')
      :format(type(text) == "string" and "'" .. text .. "'" or errors.shape(text))
  end
  return placeholder(name, optional)
end

-- What users write --------------------------------------------------------------------------------

local function unknown_role(role)
  if type(role) ~= "string" then
    return ("a role is a string or a message class, not %s"):format(errors.shape(role))
  end
  return ("unknown role '%s'; use one of '%s'%s"):format(role, table.concat(ROLES, "', '"),
    errors.hint(role, ROLES))
end

local function from_role(role, content)
  if role == "placeholder" then
    return placeholder_pair(content)
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
  return new_element(class, content)
end

local function from_table(value)
  if value.role ~= nil or value.content ~= nil then
    for key in pairs(value) do
      if key ~= "role" and key ~= "content" then
        return nil, ("unknown key '%s'; a table has role and content"):format(tostring(key))
      end
    end
    return from_role(value.role, value.content)
  elseif #value == 2 then
    return from_role(value[1], value[2])
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
---@return table? element
---@return string? problem
function elements.coerce(value)
  local mt = getmetatable(value)
  if mt == element_mt or mt == placeholder_mt then
    return value
  elseif message.is(value) then
    return verbatim(value)
  elseif type(value) == "string" then
    return new_element(message.HumanMessage, value)
  elseif type(value) == "table" and mt == nil then
    return from_table(value)
  end
  return nil, ("%s is no part of a prompt; %s"):format(errors.shape(value), FORMS)
end

return elements
