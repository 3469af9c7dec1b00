--- Tools: steps that a model may call, by a name, a description and a JSON schema.
--
-- `mp.tool{ … }` makes one of a function, `chain:as_tool{ … }` of a step. Given a table of
-- arguments it gives what its function gives. Given a tool call of a message, `{ name, args, id,
-- type = "tool_call" }`, it gives the ToolMessage that answers it: the model is told of a failure,
-- by `status = "error"`, and can do better.
local attempts = require "moonpipe.steps.attempts"
local coerce = require "moonpipe.coerce"
local confirm = require "moonpipe.agents.tool_confirm"
local errors = require "moonpipe.error"
local json = require "moonpipe.json"
local lambda = require "moonpipe.steps.lambda"
local message = require "moonpipe.messages.class"
local run = require "moonpipe.run"
local runnable = require "moonpipe.steps.runnable"
local schemas = require "moonpipe.schemas"
local template = require "moonpipe.templates.template"

---@class moonpipe.RunnableTool: moonpipe.Runnable
---@field bound moonpipe.Runnable
---@field name string
---@field description string
---@field args_schema table  JSON schema of an object
---@field args table         its properties
---@field single string?     the one argument whose value is the whole input of the step
---@field inline boolean?    `bound` is its function, and no step of its own
---@field confirm boolean|(fun(args: table, ctx: moonpipe.Context): boolean, string?)|nil
local RunnableTool, methods = runnable.class("RunnableTool")
methods.run_kind = "tool"

---@class moonpipe.ToolCall
---@field name string
---@field args table
---@field id string?
---@field type "tool_call"

local tools = { RunnableTool = RunnableTool }

local NULL = json.null

-- ---- making ------------------------------------------------------------------

local function check_name(name, what)
  if type(name) ~= "string" or not name:find("^[%w_-]+$") or #name > 64 then
    errors.usage(what .. " takes a name of letters, digits, _ and -, by which models call it, got "
      .. (type(name) == "string" and ("%q"):format(name) or errors.shape(name)))
  end
end

---Makes a tool of fields that it takes, and checks what models are told of it.
---@param fields table
---@param what string  for messages
---@return moonpipe.RunnableTool
function tools.make(fields, what)
  check_name(fields.name, what)
  if type(fields.description) ~= "string" then
    errors.usage(what .. " takes a description, by which models choose it, got "
      .. errors.shape(fields.description))
  end
  confirm.check(fields.confirm, what)
  require("moonpipe.schema.schema").unchecked(fields.args_schema) -- raises where it is none
  fields.args = fields.args_schema.properties or {}
  fields.sync = fields.bound.sync and not fields.confirm
  return runnable.instance(RunnableTool, fields)
end

local OPTIONS = { "confirm", "description", "fn", "name", "schema" }

local function schema_of(given)
  if given == nil then return { type = "object", properties = {} } end
  if type(given) ~= "table" or given.type ~= "object" then
    errors.usage("schema of tool takes a JSON schema of an object, got " .. errors.shape(given))
  end
  return given
end

---@class moonpipe.ToolSpec
---@field name string
---@field description string
---@field schema table?   JSON schema of an object: the arguments; none without
---@field fn any          what can be a step: is given the table of arguments; a function may give a
---  second result, the `artifact` of the ToolMessage, which no model sees
---@field confirm boolean|(fun(args: table, ctx: moonpipe.Context): boolean, string?)|nil
---  asked before each call; true asks `config.configurable.confirm_tool(call)`, else the terminal

---`mp.tool{ name = "add", description = "Adds.", schema = { … }, fn = function(args) … end }`.
---@param opts moonpipe.ToolSpec
---@return moonpipe.RunnableTool
function tools.tool(opts)
  opts = errors.options(opts, OPTIONS, "tool")
  local bound = coerce.step(opts.fn, nil, errors.caller(), "fn of tool")
  return tools.make({
    bound = bound,
    inline = not runnable.is(opts.fn) and getmetatable(bound) == lambda.RunnableLambda.mt,
    name = opts.name,
    description = opts.description,
    args_schema = schema_of(opts.schema),
    confirm = opts.confirm,
  }, "tool")
end

-- ---- arguments ---------------------------------------------------------------

local function refuse(self, problem)
  local names = {}
  for name in pairs(self.args) do names[#names + 1] = name end
  table.sort(names)
  errors.raise("input", ("tool %s: %s; it takes {%s}"):format(self.name, problem,
    table.concat(names, ", ")))
end

local function required_of(self)
  local set = {}
  for _, name in ipairs(self.args_schema.required or {}) do set[name] = true end
  return set
end

local function admits_null(schema)
  local kind = type(schema) == "table" and schema.type
  if type(kind) ~= "table" then return not kind or kind == "null" end
  for _, name in ipairs(kind) do
    if name == "null" then return true end
  end
  return false
end

-- A copy, for the function may write to it, without the null that models write for what they leave
-- out: in strict mode they must.
local function given_of(self, args)
  local out, required = {}, required_of(self)
  for name, value in pairs(args) do
    if value ~= NULL or required[name] or admits_null(self.args[name]) then out[name] = value end
  end
  return out
end

local function check_names(self, args)
  local schema = self.args_schema
  local open = schema.additionalProperties or schema.patternProperties or not schema.properties
  for name in pairs(args) do
    if self.args[name] == nil and not open then
      refuse(self, ("there is no argument '%s'"):format(errors.text(name)))
    end
  end
  for _, name in ipairs(schema.required or {}) do
    if args[name] == nil then refuse(self, ("argument '%s' is missing"):format(name)) end
  end
end

local function check(self, args)
  local schema = require "moonpipe.schema.schema"
  local ok, problems = schema.validate(args, self.args_schema)
  if not ok then refuse(self, schema.text(problems)) end
end

-- What the step is given: what is as the schema says.
local function input_of(self, args)
  local mt = getmetatable(args)
  if self.single and (type(args) ~= "table" or mt ~= nil) then
    check(self, { [self.single] = args })
    return args
  end
  if type(args) ~= "table" or mt ~= nil and not (json.is_array(args) and #args == 0) then
    refuse(self, "its arguments are a table, got " .. errors.shape(args))
  end
  args = given_of(self, args)
  check_names(self, args)
  check(self, args)
  if self.single then return args[self.single] end
  return args
end

-- ---- running -----------------------------------------------------------------

-- Gives what the function gives: a value, and for a message the artifact.
local function work(self, args, ctx)
  local input = input_of(self, args)
  confirm.ask(self, input, ctx)
  if not self.inline then return run.invoke(self.bound, input, ctx) end
  local value, artifact = lambda.call(self.bound, input, ctx)
  if not runnable.is(value) then return value, artifact end
  return run.invoke(value, input, lambda.deeper(self.bound, ctx, input))
end

local function is_object(value)
  local mt = getmetatable(value)
  return type(value) == "table" and mt ~= nil and not json.is_array(value)
end

local BLOCKS = { audio = true, file = true, image = true, image_url = true, text = true }

local function are_blocks(value)
  if type(value) ~= "table" or value[1] == nil then return false end
  for _, block in ipairs(value) do
    if type(block) ~= "table" or not BLOCKS[block.type] then return false end
  end
  return true
end

-- Texts and content blocks as they are, messages and Documents by their text, the rest as JSON.
local function content_of(value)
  if value == nil then return "" end
  if type(value) == "string" or are_blocks(value) then return value end
  if is_object(value) or type(value) == "table" and is_object(value[1]) then
    return template.text_of(value, "result")
  end
  return json.encode(value)
end

---What answers a call.
---@param call moonpipe.ToolCall
---@param value any
---@param fields table?  further fields of the message
---@return moonpipe.ToolMessage
function tools.message(call, value, fields)
  local out = { content = content_of(value), name = call.name, tool_call_id = call.id or "",
    status = "success" }
  for key, field in pairs(fields or {}) do out[key] = field end
  return message.ToolMessage(out)
end

local function is_tool_message(value)
  return message.class_of(value) == message.ToolMessage
end

local function answer(self, call, ctx)
  local value, artifact = work(self, call.args, ctx)
  if is_tool_message(value) then
    local fields = {}
    for key, field in next, value do fields[key] = field end
    fields.tool_call_id = call.id or ""
    return message.ToolMessage(fields)
  end
  return tools.message(call, value, { artifact = artifact })
end

-- What the model can do something about is said without its kind.
local PLAIN = { input = true, lua = true, schema = true, tool = true }

---The ToolMessage that tells the model of a failure. Raises again what ends the task.
---@param call moonpipe.ToolCall
---@param err any
---@return moonpipe.ToolMessage
function tools.failure(call, err)
  err = errors.wrap(err)
  if not attempts.may_go_on(err) then error(err, 0) end
  local text = PLAIN[err.kind] and errors.text(err.message) or errors.brief(err)
  return tools.message(call, "error: " .. text, { status = "error" })
end

-- Calls whose failure is raised, so that a retry or a fallback around the tool sees it.
local raising = setmetatable({}, { __mode = "k" })

---Whether a value is a tool call, as messages hold them.
---@param value any
---@return boolean
function tools.is_call(value)
  return type(value) == "table" and getmetatable(value) == nil and value.type == "tool_call"
    and type(value.name) == "string" and type(value.args) == "table"
end

---Runs [step], a tool or one with a retry, a timeout, … around it, on a tool call: gives a
---ToolMessage, whatever fails.
---@async
---@param step moonpipe.Runnable
---@param call moonpipe.ToolCall
---@param ctx moonpipe.Context
---@return moonpipe.ToolMessage
function tools.run(step, call, ctx)
  call = { name = call.name, args = call.args, id = call.id, type = "tool_call" }
  raising[call] = true
  local ok, value = pcall(run.invoke, step, call, ctx)
  if not ok then return tools.failure(call, value) end
  return is_tool_message(value) and value or tools.message(call, value)
end

function methods:_invoke(args, ctx)
  if not tools.is_call(args) then return (work(self, args, ctx)) end
  if raising[args] then return answer(self, args, ctx) end
  local ok, value = pcall(answer, self, args, ctx)
  if ok then return value end
  return tools.failure(args, value)
end

function methods:_stream(args, ctx)
  if tools.is_call(args) or self.inline then
    return runnable.base._stream(self, args, ctx)
  end
  local inner
  return function()
    if not inner then
      local input = input_of(self, args)
      confirm.ask(self, input, ctx)
      inner = run.stream(self.bound, input, ctx)
    end
    return inner()
  end
end

-- ---- what others ask -----------------------------------------------------------

-- Its function is given a copy.
function methods:_begins_with_user_code()
  return not self.inline and self.bound:_begins_with_user_code()
end

function methods:_takes_kwargs()
  return self.bound:_takes_kwargs()
end

-- Its arguments are its own affair: the step may take another thing than a table.
function methods:_check_keys(keys)
  local has = {}
  for _, key in ipairs(keys) do has[key] = true end
  for _, name in ipairs(self.args_schema.required or {}) do
    if not has[name] then
      return ("tool %s: argument '%s' is missing: the step before gives {%s}"):format(self.name,
        name, table.concat(keys, ", "))
    end
  end
end

function methods:_output_keys(keys)
  return not self.inline and self.bound:_output_keys(keys) or nil
end

function methods:_input_schema()
  return self.args_schema
end

function methods:_output_schema()
  return schemas.output(self.bound)
end

return tools
