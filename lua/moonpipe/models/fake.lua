--- A model that says what it was told to say, again and again: for tests, and for trying out
--- chains. fake_generic.lua has one that says each thing once.
--
-- They count their calls, so unlike other steps they hold state: that is their purpose.
local errors = require "moonpipe.error"
local message = require "moonpipe.messages.message"
local model = require "moonpipe.models.model"
local runnable = require "moonpipe.steps.runnable"
local scheduler = require "moonpipe.scheduler"

local fake = {}

local ANSWER = message.AIMessage.run_mt
local CHUNK = message.AIMessageChunk.instance_mt

-- A character with the bytes that belong to it.
local CHARACTER = "[^\128-\191]?[\128-\191]*"

--- The option `sleep`, checked.
---@return number seconds
function fake.seconds(value, what)
  if value ~= nil and (type(value) ~= "number" or value < 0) then
    errors.usage(("sleep of %s is %s; it must be a number of seconds"):format(what,
      errors.shape(value)))
  end
  return value or 0
end

--- A list of pieces as chunks; [before] is called with the number of each.
---@param pieces (string|table)[]
---@param before fun(i: integer)
---@return fun(): table?
function fake.stream_of(pieces, before)
  local i = 0
  return function()
    i = i + 1
    local piece = pieces[i]
    if piece == nil then
      return nil
    end
    before(i)
    if type(piece) == "table" then
      return piece
    elseif i == 1 then
      return message.first_chunk({ content = piece })
    end
    return setmetatable({ content = piece }, CHUNK)
  end
end

---@class moonpipe.FakeListChatModel: moonpipe.BaseChatModel
---@field responses string[]
local FakeListChatModel, list_model = runnable.class("FakeListChatModel", {
  base = model.BaseChatModel,
})
fake.FakeListChatModel = FakeListChatModel

local LIST_OPTIONS = { "error_on_chunk_number", "responses", "sleep" }
list_model.option_names = LIST_OPTIONS

local function check_responses(list)
  if type(list) ~= "table" or list[1] == nil then
    errors.usage("responses of FakeListChatModel is " .. errors.shape(list)
      .. "; it must be a list of strings")
  end
  for i = 1, #list do
    if type(list[i]) ~= "string" then
      errors.usage(("responses[%d] of FakeListChatModel is %s; it must be a string"):format(i,
        errors.shape(list[i])))
    end
  end
end

--- `FakeListChatModel{ responses = { … }, sleep =, error_on_chunk_number = }`: gives one response a
--- call, then begins again; streams it by characters. sleep: seconds before an answer and before
--- each chunk. error_on_chunk_number: the stream fails instead of giving that chunk, from 1.
---@param opts table
---@return moonpipe.FakeListChatModel
function FakeListChatModel.new(opts)
  opts = errors.options(opts, LIST_OPTIONS, "FakeListChatModel")
  check_responses(opts.responses)
  local sleep = fake.seconds(opts.sleep, "FakeListChatModel")
  local number = opts.error_on_chunk_number
  if number ~= nil and type(number) ~= "number" then
    errors.usage("error_on_chunk_number of FakeListChatModel is " .. errors.shape(number)
      .. "; it must be a number")
  end
  return runnable.instance(FakeListChatModel, {
    responses = opts.responses,
    sleep = sleep,
    error_on_chunk_number = number,
    sync = sleep == 0,
    at = 0,
  })
end

local function next_response(self)
  local responses, at = self.responses, self.at + 1
  if responses[at] == nil then
    at = 1
  end
  self.at = at
  return responses[at]
end

function list_model:_generate()
  local text = next_response(self)
  if self.sleep > 0 then
    scheduler.sleep(self.sleep)
  end
  return setmetatable({ content = text }, ANSWER)
end

local function characters(text)
  local pieces = {}
  for piece in text:gmatch(CHARACTER) do
    if piece ~= "" then
      pieces[#pieces + 1] = piece
    end
  end
  if not pieces[1] then
    pieces[1] = ""
  end
  return pieces
end

function list_model:_chunks()
  local pieces = characters(next_response(self))
  return fake.stream_of(pieces, function(i)
    if self.sleep > 0 then
      scheduler.sleep(self.sleep)
    end
    if i == self.error_on_chunk_number then
      errors.raise("reset", ("the fake stream breaks at chunk %d"):format(i), {
        retryable = true, partial = table.concat(pieces, "", 1, i - 1),
      })
    end
  end)
end

return fake
