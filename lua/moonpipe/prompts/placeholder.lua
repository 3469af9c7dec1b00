--- Where a list of messages goes in a chat prompt.
local elements = require "moonpipe.prompts.element"
local errors = require "moonpipe.error"
local message = require "moonpipe.messages.message"

local placeholders = {}

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
  }, elements.placeholder_mt)
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
placeholders.MessagesPlaceholder = setmetatable({}, {
  __name = "moonpipe.class",
  __call = new_placeholder,
  __tostring = function() return "MessagesPlaceholder" end,
})

--- The element of {"placeholder", "{history}"}, which is optional, or of
--- {"placeholder", {"{history}", false}}, which is required; or nil and the problem.
---@param value any
---@return table? element
---@return string? problem
function placeholders.from_pair(value)
  local text, optional = value, true
  if type(value) == "table" then
    text = value[1]
    optional = value[2] ~= false
  end
  local name = type(text) == "string"
    and (text:match("^{([^{}]+)}$") or text:match("^{{([^{}]+)}}$")) -- as in mustache
  if not name then
    return nil, ('a placeholder names one variable in braces, {"placeholder", "{history}"}; got %s')
      :format(type(text) == "string" and "'" .. text .. "'" or errors.shape(text))
  end
  return placeholder(name, optional)
end

return placeholders
