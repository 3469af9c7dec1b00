--- Histories of a conversation: what every one can do, and the one in memory.
--
-- A history is anything with `messages()` and `add_messages(list)`, which may wait. One that is
-- the same conversation as others says so with `lock_key()`.
local errors = require "moonpipe.error"
local message = require "moonpipe.messages.message"

---@class moonpipe.ChatMessageHistory
---@field messages fun(self): moonpipe.Message[]
---@field add_messages fun(self, list: any[])
---@field clear fun(self)
---@field lock_key (fun(self): any)?  equal for the same conversation
local base = {}

local history = { base = base }

---The messages that [list] means; chunks become whole.
---@param list any  what message.coerce_list takes
---@return moonpipe.Message[]
function history.coerce(list)
  local out = {}
  for i, one in ipairs(message.coerce_list(list)) do out[i] = message.to_message(one) end
  return out
end

---The members of [a], then those of [b], in a new list. A conversation may be longer than what
---unpack can do.
---@generic T
---@param a T[]
---@param b T[]?
---@return T[]
function history.joined(a, b)
  local out, count = {}, #a
  for i = 1, count do out[i] = a[i] end
  for i = 1, b and #b or 0 do out[count + i] = b[i] end
  return out
end

local function add_as(self, class, value)
  if type(value) == "string" then value = class(value) end
  self:add_messages { value }
end

---@async
---@param value string|moonpipe.Message
function base:add_user_message(value)
  add_as(self, message.HumanMessage, value)
end

---@async
---@param value string|moonpipe.Message
function base:add_ai_message(value)
  add_as(self, message.AIMessage, value)
end

---@async
---@param value any
function base:add_message(value)
  self:add_messages { value }
end

---A class of histories.
---@param name string
---@param construct fun(...): table
---@return table Class
---@return table methods
function history.class(name, construct)
  local methods = setmetatable({}, { __index = base })
  local mt = { __name = "moonpipe." .. name, __index = methods }
  function mt.__tostring(self)
    return self.session_id and ("%s '%s'"):format(name, self.session_id) or name
  end
  return setmetatable({}, {
    __name = "moonpipe.class",
    __call = function(_, ...) return setmetatable(construct(...), mt) end,
    __tostring = function() return name end,
  }), methods
end

---@class moonpipe.InMemoryChatMessageHistory: moonpipe.ChatMessageHistory
local InMemory, memory = history.class("InMemoryChatMessageHistory", function(opts)
  opts = errors.options(opts, { "messages" }, "InMemoryChatMessageHistory")
  return { list = history.coerce(opts.messages or {}) }
end)
history.InMemoryChatMessageHistory = InMemory

---@return moonpipe.Message[]  a list of its own
function memory:messages()
  return history.joined(self.list)
end

---@param list any[]
function memory:add_messages(list)
  for _, one in ipairs(history.coerce(list)) do self.list[#self.list + 1] = one end
end

function memory:clear()
  self.list = {}
end

function memory:lock_key()
  return self
end

return history
