--- The conversation of an agent: what was said, how often tools were called, what it took.
local errors = require "moonpipe.error"
local message = require "moonpipe.messages.message"

---@class moonpipe.AgentTalk
---@field agent moonpipe.Agent
---@field messages moonpipe.Message[]  the caller's and ours, without the system prompt
---@field round integer
---@field usage table?
---@field used table<string, true>       the ids that calls had
---@field renamed table<string, string>  those of the answer that comes
local Talk = {}
Talk.__index = Talk

local talk = {}

local function copy(list, first)
  local out = { first }
  for i = 1, #list do out[#out + 1] = list[i] end
  return out
end

local function messages_of(input)
  if type(input) == "table" and getmetatable(input) == nil and input.messages ~= nil then
    input = input.messages
  end
  local list = message.coerce_list(input)
  if #list == 0 then errors.raise("input", "an agent needs at least one message") end
  return copy(list)
end

local function note_ids(self, m)
  for _, call in ipairs(m.tool_calls or {}) do self.used[call.id or ""] = true end
end

---@param agent moonpipe.Agent
---@param input any  a text, messages, { messages = }
---@return moonpipe.AgentTalk
function talk.open(agent, input)
  local self = setmetatable({ agent = agent, messages = messages_of(input), round = 1, used = {},
    renamed = {} }, Talk)
  for _, m in ipairs(self.messages) do note_ids(self, m) end
  return self
end

-- What the model is asked.
function Talk:prompt()
  return copy(self.messages, self.agent.system)
end

-- Adds one more usage; tables of details too.
local function sum(a, b)
  if a == nil then return b end
  local out = {}
  for key, value in pairs(a) do out[key] = value end
  for key, value in pairs(b) do
    if type(value) == "table" then
      out[key] = sum(out[key], value)
    elseif type(value) == "number" then
      out[key] = (out[key] or 0) + value
    end
  end
  return out
end

-- ---- ids of calls ------------------------------------------------------------------------------

-- What a model of ours calls those to which the server gave no id; each answer begins anew.
local MADE_UP = "^call_%d+$"

-- The id of a call, by which its answer refers to it. One that is missing, or that a call of an
-- earlier answer has, is made.
local function id_of(self, call, place)
  local id = call.id
  if id and id ~= "" and not (self.used[id] and id:find(MADE_UP)) then return id end
  local name = id or place
  if not self.renamed[name] then
    local new = ("call_%d_%d"):format(#self.messages + 1, place)
    while self.used[new] do new = new .. "_" end
    self.renamed[name] = new
  end
  return self.renamed[name]
end

local function with_id(call, id)
  local out = {}
  for name, value in pairs(call) do out[name] = value end
  out.id = id
  return out
end

-- The calls with their ids, the first of them the [place]th of an answer; nothing where all have
-- theirs.
local function named(self, calls, place)
  local out, changed = {}, false
  for i, call in ipairs(calls or {}) do
    local id = id_of(self, call, place + i - 1)
    out[i] = call
    if id ~= call.id then out[i], changed = with_id(call, id), true end
  end
  return changed and out or nil
end

local function with_fields(m, fields)
  if next(fields) == nil then return m end
  local out = setmetatable({}, getmetatable(m))
  for key, value in next, m do out[key] = value end
  for key, value in next, fields do out[key] = value end
  return out
end

local function with_ids(self, answer)
  answer = with_fields(answer, {
    tool_calls = named(self, answer.tool_calls, 1),
    invalid_tool_calls = named(self, answer.invalid_tool_calls, #answer.tool_calls + 1),
  })
  self.renamed = {}
  note_ids(self, answer)
  return answer
end

---A chunk of an answer, its calls with the ids that they have in the whole.
---@param value any
---@return any
function Talk:piece(value)
  local pieces = message.class_of(value) and rawget(value, "tool_call_chunks")
  if not pieces then return value end
  local out, changed = {}, false
  for i, piece in ipairs(pieces) do
    out[i] = piece
    if piece.id and piece.id ~= "" then
      local id = id_of(self, piece, (piece.index or i - 1) + 1)
      if id ~= piece.id then out[i], changed = with_id(piece, id), true end
    end
  end
  return changed and with_fields(value, { tool_call_chunks = out }) or value
end

local function failed_answer(answer)
  errors.raise("input", "the model of an agent gives AI messages, got " .. errors.shape(answer))
end

---Takes an answer of the model; gives its calls, nil where there are none.
---@return table[]?
function Talk:heard(answer)
  local class = message.class_of(answer)
  if not class or class.type ~= "ai" then failed_answer(answer) end
  answer = with_ids(self, message.to_message(answer))
  self.messages[#self.messages + 1] = answer
  if answer.usage_metadata then self.usage = sum(self.usage, answer.usage_metadata) end
  local calls = {}
  for _, call in ipairs(answer.tool_calls) do calls[#calls + 1] = call end
  for _, call in ipairs(answer.invalid_tool_calls) do calls[#calls + 1] = call end
  if not calls[1] then return nil end
  local max = self.agent.max_rounds
  if self.round > max then
    errors.raise("limit", ("%s: the model went on calling tools after %d round%s"):format(
      self.agent:_label(), max, max == 1 and "" or "s"),
      { partial = self:state(), where = self.agent.where })
  end
  return calls
end

---Takes what the tools answered.
function Talk:told(answers, count)
  for i = 1, count do self.messages[#self.messages + 1] = answers[i] end
  self.round = self.round + 1
end

---What there is so far.
function Talk:state()
  local messages = copy(self.messages)
  messages.n = #messages
  return { messages = messages, usage_metadata = self.usage }
end

function Talk:result()
  local out = self:state()
  out.output = self.messages[#self.messages]
  return out
end

return talk
