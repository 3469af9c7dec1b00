--- The conversation of an agent: what was said, how often tools were called, what it took.
local errors = require "moonpipe.error"
local message = require "moonpipe.message"

---@class moonpipe.AgentTalk
---@field agent moonpipe.Agent
---@field messages moonpipe.Message[]  the caller's and ours, without the system prompt
---@field round integer
---@field usage table?
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

---@param agent moonpipe.Agent
---@param input any  a text, messages, { messages = }
---@return moonpipe.AgentTalk
function talk.open(agent, input)
  return setmetatable({ agent = agent, messages = messages_of(input), round = 1 }, Talk)
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

-- Calls without an id are given one, by which their answers refer to them.
local function named(calls, form, round)
  local out, changed = {}, false
  for i, call in ipairs(calls) do
    out[i] = {}
    for name, value in pairs(call) do out[i][name] = value end
    if not call.id or call.id == "" then
      out[i].id, changed = form:format(round, i), true
    end
  end
  return out, changed
end

local function with_ids(answer, round)
  local calls, changed = named(answer.tool_calls, "call_%d_%d", round)
  local invalid, others = named(answer.invalid_tool_calls, "call_%d_x%d", round)
  if not (changed or others) then return answer end
  local out = setmetatable({}, getmetatable(answer))
  for key, value in next, answer do out[key] = value end
  out.tool_calls, out.invalid_tool_calls = calls, invalid[1] and invalid or nil
  return out
end

local function failed_answer(answer)
  errors.raise("input", "the model of an agent gives AI messages, got " .. errors.shape(answer))
end

---Takes an answer of the model; gives its calls, nil where there are none.
---@return table[]?
function Talk:heard(answer)
  local class = message.class_of(answer)
  if not class or class.type ~= "ai" then failed_answer(answer) end
  answer = with_ids(message.to_message(answer), self.round)
  self.messages[#self.messages + 1] = answer
  if answer.usage_metadata then self.usage = sum(self.usage, answer.usage_metadata) end
  local calls = {}
  for _, call in ipairs(answer.tool_calls) do calls[#calls + 1] = call end
  for _, call in ipairs(answer.invalid_tool_calls) do calls[#calls + 1] = call end
  if not calls[1] then return nil end
  local max = self.agent.max_rounds
  if self.round > max then
    errors.raise("limit", ("%s: the model went on calling tools after %d round%s"):format(
      self.agent:_label(), max, max == 1 and "" or "s"), { partial = self:state() })
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
