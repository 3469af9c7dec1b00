--- A conversation with a model: what was said, and the next turn of it.
local errors = require "moonpipe.error"
local found = require "moonpipe.tool.found"
local host = require "moonpipe.tool.host"
local joined = require("moonpipe.histories.history").joined
local mp = require "moonpipe"
local store = require "moonpipe.tool.chat.store"
local talk = require "moonpipe.tool.talk"

---@class moonpipe.Conversation
---@field given table         the options of the command
---@field model moonpipe.BaseChatModel
---@field system string?
---@field said moonpipe.Message[]  of both, the system's left out
---@field unsaid string?      a question whose turn failed
---@field find (async fun(question: string): moonpipe.Document[])?  in the index
---@field usage moonpipe.UsageTotals
---@field kept moonpipe.SQLiteChatMessageHistory?  where it is kept
---@field owed moonpipe.Message[]  what is not there yet: who was interrupted could not wait
local Conversation = {}
Conversation.__index = Conversation

local conversation = {}

-- ---- keeping ---------------------------------------------------------------------------------

---Stores what is owed.
---@async
function Conversation:settle()
  local owed = self.owed
  self.owed = {}
  if self.kept and owed[1] then self.kept:add_messages(owed) end
end

---Keeps this conversation under a name that there is not yet.
---@async
---@param name string
function Conversation:keep(name)
  store.check(name, true)
  self.kept = store.open(name)
  self.owed = joined(self.system and { mp.SystemMessage(self.system) } or {}, self.said)
  self:settle()
end

-- Goes on with one that was kept.
local function take_up(self, name)
  store.check(name, false)
  self.kept = store.open(name)
  local said = self.kept:messages()
  if said[1] and said[1].type == "system" then
    self.system = self.system or said[1]:text()
    table.remove(said, 1)
  end
  self.said = said
end

---Forgets what was said, where it is kept too.
---@async
function Conversation:clear()
  self.said, self.owed, self.unsaid = {}, {}, nil
  if self.kept then self.kept:clear() end
end

-- ---- turns -----------------------------------------------------------------------------------

function Conversation:messages(question)
  local list
  if self.find then
    self.documents = self.find(question)
    list = mp.prompts.rag:invoke { context = self.documents, question = question,
      history = self.said }:to_messages()
  else
    list = joined(self.said, { mp.HumanMessage(question) })
  end
  if self.system then table.insert(list, 1, mp.SystemMessage(self.system)) end
  return list
end

-- Notes a turn; it is stored when there is time for it.
local function note(self, question, answer)
  for _, one in ipairs { mp.HumanMessage(question), answer } do
    self.said[#self.said + 1] = one
    self.owed[#self.owed + 1] = one
  end
end

local function ask(self, question, tell)
  local config = { callbacks = { self.usage }, timeout = host.timeout }
  local stream = self.model:stream(self:messages(question), config)
  local so_far
  local ok, answer = pcall(talk.follow, stream, tell, function(whole) so_far = whole end)
  if ok then return answer end
  local was_interrupted = errors.is(answer) and answer.kind == "cancelled"
  if was_interrupted and so_far then
    note(self, question, so_far)
  else
    self.unsaid = question
  end
  error(answer, 0)
end

---Asks, and hands the answer on as it comes. A turn that fails is no part of the conversation,
---and can be tried again; of one that is interrupted stays what was said.
---@async
---@param question string
---@param tell fun(text: string)
function Conversation:turn(question, tell)
  self:settle()
  self.unsaid = nil
  local answer = ask(self, question, tell)
  note(self, question, answer)
  self:settle()
  talk.check_whole(answer)
end

---Asks the last question again: its answer is forgotten.
---@async
---@param tell fun(text: string)
function Conversation:again(tell)
  self:settle()
  local question, count = self.unsaid, #self.said
  if not question then
    if count < 2 then errors.raise("input", "nothing was asked yet") end
    question = self.said[count - 1]:text()
    if self.kept then self.kept:remove_last(2) end
    self.said[count], self.said[count - 1] = nil, nil
  end
  self:turn(question, tell)
end

---Has another model answer from now on.
---@async
---@param name string
function Conversation:ask_another(name)
  self.model = talk.model { model = name, temperature = self.given.temperature,
    max_tokens = self.given.max_tokens }
end

---The conversation that the options of the command describe.
---@async
---@param given table
---@return moonpipe.Conversation
function conversation.open(given)
  local self = setmetatable({
    given = given, said = {}, owed = {}, usage = mp.UsageTotals(), system = talk.system(given),
    find = given.index and found.finder(given, given.index) or nil,
  }, Conversation)
  if given.continue then take_up(self, given.continue) end
  self.model = talk.model(given)
  if given.save then self:keep(given.save) end
  return self
end

return conversation
