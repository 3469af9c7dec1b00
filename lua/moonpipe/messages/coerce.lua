--- What people write in the place of messages, made into messages; message.lua gives these
-- functions out.
local errors = require "moonpipe.error"
local make = require "moonpipe.messages.make"
local native = require "moonpipe.native"
local values = require "moonpipe.prompts.value"
local words = require "moonpipe.messages.class"

---@class moonpipe.message
local message = { is_content = make.is_content }

local NULL = native.c.json_null

local class_of = words.class_of
local HUMAN = words.HumanMessage.instance_mt

local CLASS_OF_ROLE = {
  human = words.HumanMessage, user = words.HumanMessage,
  ai = words.AIMessage, assistant = words.AIMessage,
  system = words.SystemMessage, developer = words.SystemMessage,
  tool = words.ToolMessage,
}
local ROLES = { "human", "user", "ai", "assistant", "system", "developer", "tool" }

local FORMS = "write a string, a message, {role, content} or { role = …, content = … }"

--- The class that a role of the field names, or nil and why not.
---@param role any
---@return table? class
---@return string? problem
function message.class_of_role(role)
  local class = CLASS_OF_ROLE[role]
  if class then
    return class
  elseif type(role) ~= "string" then
    return nil, "a role is a string, not " .. errors.shape(role)
  end
  return nil, ("unknown role '%s'; use one of '%s'%s"):format(role, table.concat(ROLES, "', '"),
    errors.hint(role, ROLES))
end

local function unknown_key(class, fields)
  local allowed = { role = true }
  for _, key in ipairs(class.allowed) do
    allowed[key] = true
  end
  for key in pairs(fields) do
    if not allowed[key] then
      return ("unknown key '%s' of a message; allowed: role, %s"):format(tostring(key),
        table.concat(class.allowed, ", "))
    end
  end
end

-- OpenAI's developer role is a system message that says so.
local function mark_developer(fields)
  local kwargs = { __openai_role__ = "developer" }
  for key, value in pairs(fields.additional_kwargs or {}) do
    kwargs[key] = value
  end
  fields.additional_kwargs = kwargs
end

local function from_fields(role, given)
  local class, problem = message.class_of_role(role)
  problem = problem or unknown_key(class, given)
  local fields = {}
  for key, value in pairs(given) do
    if key ~= "role" and value ~= NULL then
      fields[key] = value
    end
  end
  if fields.content == nil and fields.tool_calls then
    fields.content = ""
  end
  if not problem and not make.is_content(fields.content) then
    problem = ("the content of a message is %s; it must be a string or a list of content blocks")
      :format(errors.shape(fields.content))
  elseif not problem and class == words.ToolMessage and fields.tool_call_id == nil then
    problem = "a tool message needs tool_call_id"
  end
  if problem then
    return nil, problem
  elseif role == "developer" then
    mark_developer(fields)
  end
  return class(fields)
end

local function from_pair(pair)
  if #pair ~= 2 then
    return nil, ("%s is not a message; a pair is {role, content}"):format(errors.shape(pair))
  end
  local class = pair[1]
  if type(class) == "table" and class.instance_mt and make.is_content(pair[2]) then
    return class(pair[2])
  end
  return from_fields(class, { content = pair[2] })
end

--- Makes a message of whatever people write for one: a message, a string (a human's), a pair
--- {role, content} or a table with role and content. Gives nil and the problem where it cannot.
---@param value any
---@return moonpipe.Message?
---@return string? problem
function message.try_coerce(value)
  if type(value) == "string" then
    return setmetatable({ content = value }, HUMAN)
  elseif class_of(value) then
    return value
  end
  if type(value) == "table" and not errors.is(value) then
    if value.role ~= nil then
      return from_fields(value.role, value)
    elseif value[1] ~= nil then
      return from_pair(value)
    end
  end
  return nil, ("%s is not a message; %s"):format(errors.shape(value), FORMS)
end

--- The same, raising kind `input`.
---@param value any
---@return moonpipe.Message
function message.coerce(value)
  local result, problem = message.try_coerce(value)
  if not result then
    errors.raise("input", problem)
  end
  return result
end

-- `{"human", "hi"}` where a list belongs was surely meant as one message.
local function looks_like_pair(list)
  return #list == 2 and type(list[2]) == "string" and CLASS_OF_ROLE[list[1]]
end

local function coerce_members(list, what)
  if looks_like_pair(list) then
    return nil, ('{"%s", …} is one message, not a list of messages; write { {"%s", …} }'):format(
      list[1], list[1])
  end
  local result = {}
  for i = 1, #list do
    local item, problem = message.try_coerce(list[i])
    if not item then
      return nil, ("%s %d: %s"):format(what, i, problem)
    end
    result[i] = item
  end
  return result
end

local function all_messages(list)
  for i = 1, #list do
    if not class_of(list[i]) then
      return false
    end
  end
  return true
end

--- Makes a list of messages of a prompt value, a string, a message or a list of what `coerce`
--- takes. Nothing is copied where nothing need be made. Gives nil and the problem where it cannot.
---@param value any
---@param what string?  how a member is called in the problem; "message"
---@return moonpipe.Message[]?
---@return string? problem
function message.try_coerce_list(value, what)
  local mt = getmetatable(value)
  if mt == values.chat_mt then
    return value
  elseif type(value) == "string" then
    return { setmetatable({ content = value }, HUMAN) }
  elseif mt == values.string_mt then
    return value:to_messages()
  elseif class_of(value) then
    return { value }
  elseif type(value) ~= "table" then
    return nil, errors.shape(value) .. " is not a list of messages"
  elseif value[1] ~= nil then
    if all_messages(value) then
      return value
    end
    return coerce_members(value, what or "message")
  elseif value.role ~= nil and value.content ~= nil then
    local one, problem = message.try_coerce(value)
    if one then
      return { one }
    end
    return nil, problem
  elseif next(value) == nil then
    return value
  end
  return nil, errors.shape(value) .. " is not a list of messages"
end

--- The same, raising kind `input`.
---@param value any
---@return moonpipe.Message[]
function message.coerce_list(value)
  local list, problem = message.try_coerce_list(value)
  if not list then
    errors.raise("input", problem)
  end
  return list
end

--- A transcript of messages, one a line: `System: s\nHuman: h\nAI: a`.
---@param messages moonpipe.Message[]
---@param human_prefix string|{ human_prefix: string?, ai_prefix: string? }|nil  "Human"; or both
---@param ai_prefix string?  "AI"
---@return string
function message.get_buffer_string(messages, human_prefix, ai_prefix)
  if type(human_prefix) == "table" then
    local opts = errors.options(human_prefix, { "ai_prefix", "human_prefix" }, "get_buffer_string")
    human_prefix, ai_prefix = opts.human_prefix, opts.ai_prefix
  end
  return values.transcript(message.coerce_list(messages), human_prefix, ai_prefix)
end

return message
