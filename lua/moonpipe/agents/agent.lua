--- A model with tools, asked again until it calls none: `mp.create_agent{ model =, tools = }`.
--
-- The calls of one answer run at the same time. What fails in a call is told to the model, which
-- can do better: a tool's error, arguments that do not fit, a tool that is not there.
local bind_tools = require "moonpipe.agents.bind_tools"
local chunk = require "moonpipe.chunk"
local coerce = require "moonpipe.coerce"
local errors = require "moonpipe.error"
local each = require "moonpipe.steps.each"
local message = require "moonpipe.messages.message"
local run = require "moonpipe.run"
local runnable = require "moonpipe.steps.runnable"
local talks = require "moonpipe.agents.talk"
local tools = require "moonpipe.agents.tools"

---@class moonpipe.Agent: moonpipe.Runnable
---@field model moonpipe.Runnable     with the tools bound to it
---@field tools moonpipe.RunnableEach runs the calls of one answer
---@field system moonpipe.Message?
---@field max_rounds integer
---@field where string?
local Agent, methods = runnable.class("Agent")

local agent = { Agent = Agent }

local ROUNDS = 8

-- ---- running one call --------------------------------------------------------

---@class moonpipe.ToolRunner: moonpipe.Runnable  a step on tool calls: gives ToolMessages
---@field steps table<string, moonpipe.Runnable>
---@field names string[]
local Runner, runner = runnable.class("ToolRunner")
runner.transparent = true

local SHOWN = 200 -- bytes of bad arguments that the model is shown

local function bad_arguments(call)
  local text = ("the arguments of %s could not be read: %s"):format(
    errors.text(call.name or "this call"), call.error or "they are no JSON object")
  local given = call.args
  if type(given) == "string" and given ~= "" then
    text = ("%s; they were: %s"):format(text, given:sub(1, SHOWN))
  end
  return text
end

function runner:_invoke(call, ctx)
  local step, problem = self.steps[call.name], nil
  if call.type == "invalid_tool_call" then
    problem = bad_arguments(call)
  elseif not step then
    problem = ("there is no tool '%s'; there are: %s"):format(errors.text(call.name),
      table.concat(self.names, ", "))
  end
  if not problem then return tools.run(step, call, ctx) end
  return tools.message(call, "error: " .. problem, { status = "error" })
end

-- ---- making ------------------------------------------------------------------

local OPTIONS = {
  "max_rounds", "model", "name", "parallel_tool_calls", "strict", "system_prompt", "tools",
}

local function check_rounds(value)
  if value == nil then return ROUNDS end
  if type(value) ~= "number" or value < 1 or value ~= math.floor(value) or value == math.huge then
    errors.usage("max_rounds of create_agent takes a whole number from 1, got "
      .. errors.shape(value))
  end
  return value
end

local function system_of(given)
  if given == nil or message.class_of(given) == message.SystemMessage then return given end
  if type(given) == "string" then return message.SystemMessage(given) end
  errors.usage("system_prompt of create_agent takes a text or a SystemMessage, got "
    .. errors.shape(given))
end

local function model_of(given, where)
  if type(given) == "string" then
    return require("moonpipe.models.choice").init_chat_model(given)
  end
  return coerce.step(given, nil, where, "model of create_agent")
end

-- What the caller cannot run is no tool of an agent, unless the provider runs it.
local function check_steps(set)
  for _, name in ipairs(set.names) do
    if not set.steps[name] then
      errors.usage(("tool '%s' of create_agent has no function; make it by mp.tool{…}"):format(
        name))
    end
  end
end

---@class moonpipe.AgentOptions
---@field model any                  a chat model, any step that takes its place, or its name
---@field tools any[]?               see bind_tools
---@field system_prompt string|moonpipe.Message|nil
---@field max_rounds integer?        of tool calls; 8. Then an error of kind `limit`, whose partial
---  is what there is: `{ messages = }`
---@field name string?
---@field strict boolean?            see bind_tools
---@field parallel_tool_calls boolean?

---Takes a text, messages or `{ messages = }`; gives `{ messages =, output =, usage_metadata = }`:
---all messages, the last answer, and the tokens of all answers. Its chunks are
---`{ messages = { [i] = piece, n = i } }`, in which the pieces of answer i and the ToolMessages
---come; the last one has `output`.
---@param opts moonpipe.AgentOptions
---@return moonpipe.Agent
function agent.create_agent(opts)
  local where = errors.caller()
  opts = errors.options(opts, OPTIONS, "create_agent")
  if opts.name ~= nil and type(opts.name) ~= "string" then
    errors.usage("name of create_agent takes a string, got " .. errors.shape(opts.name))
  end
  local max = check_rounds(opts.max_rounds)
  local bound, list = model_of(opts.model, where), opts.tools or {}
  local set = bind_tools.set(list, { strict = opts.strict }, "create_agent")
  check_steps(set)
  if list[1] then
    bound = bound:bind_tools(list, {
      strict = opts.strict, parallel_tool_calls = opts.parallel_tool_calls,
    })
  end
  local one = runnable.instance(Runner, { steps = set.steps, names = set.names })
  local runs = each.RunnableEach(one)
  runs.name = "tools"
  return runnable.instance(Agent, {
    model = bound, tools = runs, system = system_of(opts.system_prompt), max_rounds = max,
    name = opts.name, where = where,
  })
end

-- ---- running -----------------------------------------------------------------

-- Where in the conversation a step failed.
local function within(talk, step, method, ...)
  local ok, value = pcall(method, step, ...)
  if ok then return value end
  local self = talk.agent
  local err = errors.wrap(value)
  err.step = err.step or step:get_name()
  error(err:at(("round %d %s"):format(talk.round, step:get_name()), self.where), 0)
end

function methods:_invoke(input, ctx)
  local talk, outer = talks.open(self, input), ctx.outer or ctx
  while true do
    local answer = within(talk, self.model, run.invoke, talk:prompt(), ctx, "agent:model:",
      talk.round)
    local calls = talk:heard(answer)
    if not calls then return talk:result() end
    talk:told(within(talk, self.tools, run.invoke, calls, outer, "agent:tools:", talk.round),
      #calls)
  end
end

-- ---- stream ------------------------------------------------------------------

---@class moonpipe.AgentStream
---@field talk moonpipe.AgentTalk
---@field pull (fun(): any)?   the stream of the model, or of the tools
---@field pieces table[]?      of the answer that comes
---@field answers table?       of the tools, by their place
---@field count integer?       of the calls
local Stream = {}
Stream.__index = Stream

local function piece(index, value)
  return { messages = { [index] = value, n = index } }
end

function Stream:ask()
  local talk = self.talk
  self.pieces, self.answers = {}, nil
  self.pull = within(talk, talk.agent.model, run.stream, talk:prompt(), self.ctx, "agent:model:",
    talk.round)
end

-- The model has said all.
function Stream:heard()
  local talk, i = self.talk, 0
  local answer = chunk.collect(function()
    i = i + 1
    return self.pieces[i]
  end)
  local calls = talk:heard(answer or message.answer { content = "" })
  if not calls then
    self.over = true
    return { output = talk.messages[#talk.messages], usage_metadata = talk.usage }
  end
  self.count, self.answers = #calls, {}
  self.pull = within(talk, talk.agent.tools, run.stream, calls, self.ctx.outer or self.ctx,
    "agent:tools:", talk.round)
end

-- The next chunk of the tools; nil where they have ended.
function Stream:next_answer()
  local value = within(self.talk, self.talk.agent.tools, self.pull)
  if value == nil then
    self.talk:told(self.answers, self.count)
    self:ask()
    return nil
  end
  for i, answer in pairs(value) do
    if type(i) == "number" then
      self.answers[i] = answer
      return piece(#self.talk.messages + i, answer)
    end
  end
end

function Stream:next_piece()
  local value = within(self.talk, self.talk.agent.model, self.pull)
  if value == nil then return self:heard() end
  value = self.talk:piece(value)
  self.pieces[#self.pieces + 1] = value
  return piece(#self.talk.messages + 1, value)
end

function Stream:next()
  if self.over then return nil end
  if not self.pull then
    self:ask()
    return self.talk:state()
  end
  local value
  repeat
    if self.answers then value = self:next_answer() else value = self:next_piece() end
  until value ~= nil
  return value
end

function methods:_stream(input, ctx)
  local stream
  return function()
    stream = stream or setmetatable({ talk = talks.open(self, input), ctx = ctx }, Stream)
    return stream:next()
  end
end

-- ---- what others ask -----------------------------------------------------------

function methods:_takes_kwargs()
  return self.model:_takes_kwargs()
end

function methods:_check_keys(keys)
  for _, key in ipairs(keys) do
    if key == "messages" or key:find("^%d+$") then return nil end
  end
  return ("an agent takes a text, messages or { messages = }, not a table with keys {%s}"):format(
    table.concat(keys, ", "))
end

function methods:_output_keys()
  return { "messages", "output", "usage_metadata" }
end

function methods:_output_schema()
  return { type = "object", title = "AgentState" }
end

function methods:_parts()
  local names = table.concat(self.tools.bound.names, ", ")
  return {
    shape = "frame",
    title = ("until it calls no tool of {%s}"):format(names),
    items = { { step = self.model } },
  }
end

function methods:_label()
  return self.name or ("create_agent{%s}"):format(self.model:_label())
end

return agent
