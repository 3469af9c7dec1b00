--- A model that says each thing it was told to say once; see fake.lua.
local errors = require "moonpipe.error"
local fake = require "moonpipe.models.fake"
local message = require "moonpipe.messages.message"
local model = require "moonpipe.models.model"
local runnable = require "moonpipe.steps.runnable"
local scheduler = require "moonpipe.scheduler"

local ANSWER = message.AIMessage.run_mt

---@class moonpipe.GenericFakeChatModel: moonpipe.BaseChatModel
local GenericFakeChatModel, generic_model = runnable.class("GenericFakeChatModel", {
  base = model.BaseChatModel,
})

local OPTIONS = { "messages", "sleep" }

local function iterator(list)
  local i = 0
  return function()
    i = i + 1
    return list[i]
  end
end

--- `GenericFakeChatModel{ messages = list or iterator, sleep = }`: gives each message or string
--- once; streams it by words, the white space between them as chunks of their own.
---@param opts table
---@return moonpipe.GenericFakeChatModel
function GenericFakeChatModel.new(opts)
  opts = errors.options(opts, OPTIONS, "GenericFakeChatModel")
  local given = opts.messages
  if type(given) == "table" and getmetatable(given) == nil then
    given = iterator(given)
  elseif type(given) ~= "function" then
    errors.usage("messages of GenericFakeChatModel is " .. errors.shape(given)
      .. "; it must be a list or an iterator of messages")
  end
  local sleep = fake.seconds(opts.sleep, "GenericFakeChatModel")
  return runnable.instance(GenericFakeChatModel, { next_message = given, sleep = sleep })
end

function generic_model:_options()
  return OPTIONS
end

-- Where others are not chosen, its own messages go on.
function generic_model:_with_options(changes)
  return GenericFakeChatModel.new {
    messages = changes.messages or self.next_message,
    sleep = changes.sleep or self.sleep,
  }
end

local function next_answer(self)
  local given = self.next_message()
  if given == nil then
    errors.raise("limit", "GenericFakeChatModel has no message left")
  elseif type(given) == "string" then
    return setmetatable({ content = given }, ANSWER)
  elseif message.class_of(given) ~= message.AIMessage then
    errors.raise("input", ("GenericFakeChatModel was given %s; it says strings and AIMessages")
      :format(errors.shape(given)))
  end
  return given
end

function generic_model:_generate()
  local given = next_answer(self)
  if self.sleep > 0 then
    scheduler.sleep(self.sleep)
  end
  return given
end

local function carries_more(given)
  for key in next, given do
    if key ~= "content" then
      return true
    end
  end
  return false
end

-- Words and each white-space character between them; what is not text comes in a last chunk.
local function word_pieces(given)
  local pieces = {}
  for word, blank in message.text(given):gmatch("(%S*)(%s?)") do
    if word ~= "" then
      pieces[#pieces + 1] = word
    end
    if blank ~= "" then
      pieces[#pieces + 1] = blank
    end
  end
  if carries_more(given) or not pieces[1] then
    local rest = message.to_chunk(given)
    rest.content = ""
    pieces[#pieces + 1] = rest
  end
  return pieces
end

function generic_model:_chunks()
  local pieces = word_pieces(next_answer(self))
  return fake.stream_of(pieces, function()
    if self.sleep > 0 then
      scheduler.sleep(self.sleep)
    end
  end)
end

return { GenericFakeChatModel = GenericFakeChatModel }
