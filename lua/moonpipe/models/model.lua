--- What all chat models share: the input they take, and how an answer and a stream of chunks are
-- made from one another.
--
-- A model gives at least one of
--   methods:_generate(messages, ctx) -> AIMessage       message.answer{ content = … }
--   methods:_chunks(messages, ctx) -> next              gives AIMessageChunks, nil at the end; the
--                                                       first by message.first_chunk{ … }
-- Both may wait. `messages` is the caller's list and is not written to; options that a binding
-- gives (`model:bind{ stop = … }`) are in `ctx.kwargs`.
local errors = require "moonpipe.error"
local message = require "moonpipe.messages.message"
local runnable = require "moonpipe.steps.runnable"
local values = require "moonpipe.prompts.value"

---@class moonpipe.BaseChatModel: moonpipe.Runnable
---@field _generate fun(self, messages: moonpipe.Message[], ctx): moonpipe.AIMessage
---@field _chunks fun(self, messages: moonpipe.Message[], ctx): fun(): any
local BaseChatModel, base = runnable.class("BaseChatModel")
base.run_kind = "chat_model"

local model = { BaseChatModel = BaseChatModel }

local collect -- loaded by the first answer in chunks

local function collected(source)
  collect = collect or require("moonpipe.chunk").collect
  return collect(source)
end

local CHAT_VALUE = values.chat_mt

local ADVICE = "%s is not a model input; put a prompt between"

-- A prompt's value, a string, a message or a list of what message.coerce takes.
local function messages_of(input)
  if getmetatable(input) == CHAT_VALUE and input[1] ~= nil then
    return input
  end
  local list, problem = message.try_coerce_list(input)
  if list and #list > 0 then
    return list
  elseif type(input) == "table" and input[1] == nil and getmetatable(input) == nil then
    problem = ADVICE:format(errors.shape(input))
  elseif type(input) ~= "table" then
    problem = errors.shape(input) .. " is not a model input; a model takes a prompt's value,"
      .. " a string or a list of messages"
  end
  errors.raise("input", problem or "a model needs at least one message")
end

function base:_output_schema()
  return { type = "object", title = "AIMessage" }
end

--- Says at composition that a map is no input of a model.
---@param keys string[]
---@return string? problem
function base:_check_keys(keys)
  for _, key in ipairs(keys) do
    if not tostring(key):find("^%d+$") then
      return ADVICE:format("a table with keys {" .. table.concat(keys, ", ") .. "}")
    end
  end
end

function base:_takes_kwargs()
  return true
end

function base:_invoke(input, ctx)
  return self:_generate(messages_of(input), ctx)
end

-- The answer, and its chunks to tell(chunk) as they come.
function base:_invoke_told(input, ctx, tell)
  local pull = self:_stream(input, ctx)
  local merged, count = collected(function()
    local value = pull()
    if value ~= nil then tell(value) end
    return value
  end)
  return count == 0 and message.answer { content = "" } or message.to_message(merged)
end

function base:_stream(input, ctx)
  return self:_chunks(messages_of(input), ctx)
end

-- The answer is what the chunks add up to.
function base:_generate(messages, ctx)
  if self._chunks == base._chunks then
    errors.raise("internal", self.class_name .. " gives neither _generate nor _chunks")
  end
  local merged, count = collected(self:_chunks(messages, ctx))
  if count == 0 then
    return message.answer({ content = "" })
  end
  return message.to_message(merged)
end

-- The answer as one chunk.
function base:_chunks(messages, ctx)
  local asked = false
  return function()
    if asked then
      return nil
    end
    asked = true
    return message.to_chunk(self:_generate(messages, ctx))
  end
end

return model
