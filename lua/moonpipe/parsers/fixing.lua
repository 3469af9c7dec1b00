--- A parser whose input is mended by a model where it cannot be parsed.
local errors = require "moonpipe.error"
local parser = require "moonpipe.parsers.parser"
local repair = require "moonpipe.parsers.repair"
local run = require "moonpipe.run"
local runnable = require "moonpipe.steps.runnable"

---@class moonpipe.OutputFixingParser: moonpipe.BaseOutputParser
---@field parser moonpipe.Runnable
---@field model moonpipe.Runnable
---@field prompt moonpipe.Runnable?
---@field max_retries integer
local FixingParser, fixing = runnable.class("OutputFixingParser", {
  base = parser.BaseOutputParser,
})
fixing.sync = false

--- `OutputFixingParser{ parser =, model =, max_retries = 1, prompt = }`: what the parser gives; an
--- answer that it cannot read is mended by the model. The prompt, where one is given, gets
--- `instructions`, `completion` and `error`.
---@param opts { parser: any, model: any, max_retries: integer?, prompt: any }
---@return moonpipe.OutputFixingParser
function FixingParser.new(opts)
  opts = errors.options(opts, { "max_retries", "model", "parser", "prompt" }, "OutputFixingParser")
  local inner = repair.step(opts, "parser", "OutputFixingParser")
  return runnable.instance(FixingParser, {
    parser = inner,
    model = repair.step(opts, "model", "OutputFixingParser"),
    prompt = opts.prompt ~= nil and repair.step(opts, "prompt", "OutputFixingParser") or nil,
    max_retries = repair.count(opts.max_retries, "OutputFixingParser"),
  })
end

--- The same, with LangChain's names: `llm`, `parser`, `prompt`, `max_retries`.
---@param opts table
---@return moonpipe.OutputFixingParser
function FixingParser.from_llm(opts)
  return FixingParser.new(repair.with_model(opts))
end

function fixing:get_format_instructions()
  return repair.instructions(self.parser) or ""
end

-- Joined, never formatted: none of it is a template.
local function mending_text(values)
  return "Instructions:\n--------------\n" .. values.instructions
    .. "\n--------------\nAnswer:\n--------------\n" .. values.completion
    .. "\n--------------\nThe answer above does not follow the instructions:\n" .. values.error
    .. "\nGive the answer again, so that it does. Give nothing but the answer."
end

local function mended(self, completion, err, ctx, number)
  local values = {
    instructions = self:get_format_instructions(), completion = completion, error = err.message,
  }
  local input = mending_text(values)
  if self.prompt then input = run.invoke(self.prompt, values, ctx, "retry:attempt:", number) end
  local ok, raw = pcall(run.invoke, self.model, input, ctx, "retry:attempt:", number)
  if ok then return raw end
  err = repair.located(self.model, raw)
  if err.partial == nil then err.partial = completion end
  error(err, 0)
end

function fixing:_invoke(input, ctx)
  local number = 1
  while true do
    local ok, value = pcall(run.invoke, self.parser, input, ctx, "seq:step:", 1)
    if ok then return value end
    local err = repair.failure(self.parser, value, input)
    err.attempts = number > 1 and number or nil
    if number > self.max_retries or not repair.is_mendable(err) then error(err, 0) end
    number = number + 1
    input = mended(self, repair.text(input) or tostring(err.partial), err, ctx, number)
  end
end

function fixing:_parts()
  return { shape = "frame", title = "mended by " .. self.model:_label(),
    items = { { step = self.parser } } }
end

function fixing:_output_keys()
  return self.parser:_output_keys()
end

function fixing:_output_schema()
  return self.parser._output_schema and self.parser:_output_schema() or nil
end

return { OutputFixingParser = FixingParser }
