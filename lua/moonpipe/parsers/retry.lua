--- A model and a parser in one step, which asks again where an answer cannot be parsed.
--
-- It is given what the model is given, and asks again with that, the answer, and
-- what is wrong with it.
local chunk = require "moonpipe.chunk"
local errors = require "moonpipe.error"
local message = require "moonpipe.messages.message"
local repair = require "moonpipe.parsers.repair"
local run = require "moonpipe.run"
local runnable = require "moonpipe.steps.runnable"
local stream = require "moonpipe.stream"

---@class moonpipe.RetryOutputParser: moonpipe.Runnable
---@field model moonpipe.Runnable
---@field parser moonpipe.Runnable
---@field max_retries integer
local RetryOutputParser, methods = runnable.class("RetryOutputParser")

--- `RetryOutputParser{ model =, parser =, max_retries = 1 }`, behind a prompt: the model's answer,
--- parsed; one that cannot be is sent back with what is wrong. With `prompt` it is the whole chain.
---@param opts { model: any, parser: any, max_retries: integer?, prompt: any }
---@return moonpipe.Runnable
function RetryOutputParser.new(opts)
  opts = errors.options(opts, { "max_retries", "model", "parser", "prompt" }, "RetryOutputParser")
  local model = repair.step(opts, "model", "RetryOutputParser")
  local step = runnable.instance(RetryOutputParser, {
    model = model,
    parser = repair.step(opts, "parser", "RetryOutputParser"),
    max_retries = repair.count(opts.max_retries, "RetryOutputParser"),
    sync = model.sync,
  })
  if opts.prompt == nil then return step end
  return require("moonpipe.compose").pipe(repair.step(opts, "prompt", "RetryOutputParser"), step)
end

--- The same, with LangChain's names: `llm`, `parser`, `prompt`, `max_retries`.
---@param opts table
---@return moonpipe.Runnable
function RetryOutputParser.from_llm(opts)
  return RetryOutputParser.new(repair.with_model(opts))
end

local AGAIN = "This answer cannot be used: %s\nAnswer again, in full and in the form that was asked"
  .. " for."

-- Every call of a tool must be answered before anything else is said.
local function answers_to_calls(raw, text)
  local list = {}
  for _, calls in ipairs { raw.tool_calls, raw.invalid_tool_calls } do
    for _, call in ipairs(calls) do
      list[#list + 1] = message.ToolMessage {
        content = text, tool_call_id = call.id or "", status = "error",
      }
    end
  end
  return list
end

-- What is sent where [raw] cannot be parsed.
local function again(self, messages, raw, err)
  local list = { unpack(messages) }
  local class = message.class_of(raw)
  local answer = class and message.to_message(raw) or message.AIMessage(repair.text(raw) or "")
  list[#list + 1] = answer
  local text = AGAIN:format(err.message)
  local calls = class and class.type == "ai" and answers_to_calls(answer, text) or {}
  for _, one in ipairs(calls) do list[#list + 1] = one end
  if calls[1] then return list end
  local instructions = repair.instructions(self.parser)
  list[#list + 1] = message.HumanMessage(instructions and text .. "\n" .. instructions or text)
  return list
end

---@class moonpipe.Asking  one call
---@field input any      of the next attempt
---@field number integer  of the attempt
---@field raws any[]      the answers so far

local function new_asking(input)
  return { input = input, number = 1, raws = {} }
end

-- Prepares the next attempt; false where there is none.
local function go_on(self, asking, raw, err)
  err.attempts = asking.number > 1 and asking.number or nil
  if asking.number > self.max_retries or not repair.is_mendable(err) then return false end
  local messages = asking.messages or message.coerce_list(asking.input)
  asking.messages = again(self, messages, raw, err)
  asking.input, asking.number = asking.messages, asking.number + 1
  return true
end

local function place_of(number)
  if number == 1 then return "seq:step:", 1 end
  return "retry:attempt:", number
end

local function ask(self, asking, ctx)
  local ok, raw = pcall(run.invoke, self.model, asking.input, ctx, place_of(asking.number))
  if not ok then error(repair.located(self.model, raw), 0) end
  asking.raws[asking.number] = raw
  return raw
end

---Asks until an answer can be parsed, or no more: true and the value, or false and the error.
---@async
---@return boolean ok
---@return any value
---@return any[] raws  the answers of all attempts
function methods:_ask(input, ctx)
  local asking = new_asking(input)
  while true do
    local raw = ask(self, asking, ctx)
    local ok, value = pcall(run.invoke, self.parser, raw, ctx, "seq:step:", 2)
    if ok then return true, value, asking.raws end
    local err = repair.failure(self.parser, value, raw)
    if not go_on(self, asking, raw, err) then return false, err, asking.raws end
  end
end

function methods:_invoke(input, ctx)
  local ok, value = self:_ask(input, ctx)
  if not ok then error(value, 0) end
  return value
end

-- ---- streams -----------------------------------------------------------------------------

-- One attempt: `pull` gives the parser's chunks; those of the model are kept, and told to [tell].
-- What the model raises is `failure`. A parser may fail before the model has ended: `close`.
local function open(self, asking, ctx, tell)
  local chunks, opened = {}, {}
  function opened.whole() return chunk.merged(chunks) end
  local said, left = run.stream(self.model, asking.input, ctx, place_of(asking.number))
  local source = stream.new(said, nil, left)
  function opened.close() source:close() end
  opened.pull = run.transform(self.parser, function()
    local ok, value = pcall(source)
    if not ok then
      opened.failure = repair.located(self.model, value)
      error(opened.failure, 0)
    end
    chunks[#chunks + 1] = value
    if tell and value ~= nil then tell(value) end
    return value
  end, ctx, "seq:step:", 2)
  return opened
end

---The only attempt of a stream that is not asked again.
---@param tell fun(chunk: any)  is told what the model says
---@return { pull: (fun(): any), whole: (fun(): any), close: fun(), failure: moonpipe.Error? }
function methods:_open(input, ctx, tell)
  return open(self, new_asking(input), ctx, tell)
end

-- Chunks that hold all that is known are replaced by those of another answer; others cannot be
-- taken back.
local function is_final(value)
  return not chunk.is_whole(value)
end

function methods:_stream(input, ctx)
  local asking, opened, given = new_asking(input), nil, false
  return function()
    while true do
      opened = opened or open(self, asking, ctx)
      local ok, value = pcall(opened.pull)
      if ok then
        given = given or value ~= nil and is_final(value)
        return value
      end
      if value == opened.failure then error(value, 0) end
      opened.close()
      local raw = opened.whole()
      local err = repair.failure(self.parser, value, raw)
      if given or not go_on(self, asking, raw, err) then error(err, 0) end
      opened = nil
    end
  end
end

-- ---- what others ask ---------------------------------------------------------------------

--- What to write into a prompt so that the answer can be parsed.
---@return string?
function methods:get_format_instructions()
  return repair.instructions(self.parser)
end

function methods:_takes_kwargs()
  return self.model:_takes_kwargs()
end

function methods:_check_keys(keys)
  return self.model:_check_keys(keys)
end

function methods:_output_keys()
  return self.parser:_output_keys()
end

function methods:_parts()
  return { shape = "sequence", items = { { step = self.model }, { step = self.parser } } }
end

return { RetryOutputParser = RetryOutputParser }
