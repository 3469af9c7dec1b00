--- Output parsers for the tool calls of an answer.
--
-- Their value is a list of { type = the tool's name, args = … }. A stream gives the
-- calls as far as they are known; each chunk holds all. Arguments that are no JSON are
-- an error of kind `decode`, those that do not fit the tool's schema one of kind
-- `schema`, with their text in `partial`.
local answer = require "moonpipe.answer"
local bind_tools = require "moonpipe.agents.bind_tools"
local chunk = require "moonpipe.chunk"
local errors = require "moonpipe.error"
local json = require "moonpipe.json"
local message = require "moonpipe.messages.message"
local parser = require "moonpipe.parsers.parser"
local runnable = require "moonpipe.steps.runnable"
local schema = require "moonpipe.schema.schema"

local tools = {}

---@class moonpipe.JsonOutputToolsParser: moonpipe.Runnable
---@field first_tool_only boolean?  gives the first call alone, nil where there is none
---@field return_id boolean?        calls have their `id`
local ToolsParser, methods = runnable.class("JsonOutputToolsParser", {
  base = parser.BaseOutputParser,
})
tools.JsonOutputToolsParser = ToolsParser
methods.format_instructions = "Answer by calling one of the tools."

local OPTIONS = { "first_tool_only", "return_id" }

local function fields_of(opts, what)
  for _, name in ipairs(OPTIONS) do
    local value = opts[name]
    if value ~= nil and type(value) ~= "boolean" then
      errors.usage(("%s of %s must be true or false, got %s"):format(name, what,
        errors.shape(value)))
    end
  end
  return { first_tool_only = opts.first_tool_only, return_id = opts.return_id, sync = true }
end

--- `JsonOutputToolsParser{ first_tool_only =, return_id = }`: the calls of an answer.
---@param opts { first_tool_only: boolean?, return_id: boolean? }?
---@return moonpipe.JsonOutputToolsParser
function ToolsParser.new(opts)
  opts = errors.options(opts, OPTIONS, "JsonOutputToolsParser")
  return runnable.instance(ToolsParser, fields_of(opts, "JsonOutputToolsParser"))
end

-- ---- whole answers -----------------------------------------------------------------------

local function message_of(self, input)
  local class = message.class_of(input)
  if class and class.type == "ai" then return message.to_message(input) end
  errors.raise("input", ("%s takes the message of a model, got %s"):format(self.class_name,
    errors.shape(input)))
end

local function refuse_invalid(call)
  errors.raise("decode", ("the arguments of tool '%s' cannot be read: %s"):format(
    tostring(call.name), tostring(call.error or "they are not JSON")), { partial = call.args })
end

-- What a call is for the one who asks; subclasses leave out or judge.
function methods:_entry(call)
  return { type = call.name, args = call.args, id = self.return_id and call.id or nil }
end

local function entries_of(self, calls)
  local list = json.array {}
  for _, call in ipairs(calls) do list[#list + 1] = self:_entry(call) end
  return list
end

local function shown(self, list)
  if self.first_tool_only then return list[1] end
  return list
end

function methods:_judge(whole)
  local invalid = rawget(whole, "invalid_tool_calls")
  if invalid and invalid[1] then refuse_invalid(invalid[1]) end
  return shown(self, entries_of(self, whole.tool_calls))
end

function methods:_invoke(input)
  return self:_judge(message_of(self, input))
end

-- ---- streams -----------------------------------------------------------------------------

-- The calls of a stream while it runs: each has a reader of its arguments.
local function find_call(calls, piece)
  for i = #calls, 1, -1 do
    local call = calls[i]
    local fits = piece.index ~= nil and call.index == piece.index
    local other = piece.id and piece.id ~= "" and call.id and call.id ~= piece.id
    if fits and not other then return call end
  end
  calls[#calls + 1] = {
    index = piece.index, id = piece.id, name = "", args = {}, reader = answer.reader(),
  }
  return calls[#calls]
end

-- True where there is something new to tell.
local function add_pieces(calls, pieces)
  local news = false
  for _, piece in ipairs(pieces) do
    local call = find_call(calls, piece)
    call.name = call.name .. (piece.name or "")
    if piece.name and piece.name ~= "" then news = true end
    local value = piece.args and call.reader:feed(piece.args)
    if value ~= nil and not answer.same(value, call.args) then
      call.args, news = value, true
    end
  end
  return news
end

-- Half of the arguments are not judged.
local function so_far(self, calls)
  local list = json.array {}
  for _, call in ipairs(calls) do
    list[#list + 1] = methods._entry(self, call)
  end
  return list
end

-- What is known, as the parser shows it; nil while that is nothing.
function methods:_partial(calls)
  local value = shown(self, so_far(self, calls))
  if value == nil then return nil end
  return type(value) == "table" and chunk.mark_whole(value) or value
end

local function is_ai(piece)
  local class = message.class_of(piece)
  return class ~= nil and class.type == "ai"
end

-- The last chunk is the judged value, where that is new.
local function last_chunk(self, pieces, told)
  if #pieces == 0 then return nil end
  local value = self:_judge(message_of(self, chunk.merged(pieces)))
  if value == nil or told ~= nil and answer.same(value, told) then return nil end
  return type(value) == "table" and chunk.mark_whole(value) or value
end

function methods:_transform(source)
  local pieces, calls, told, ended = {}, {}, nil, false
  return function()
    if ended then return nil end
    for piece in source do
      if not is_ai(piece) then message_of(self, piece) end
      pieces[#pieces + 1] = message.to_chunk(piece)
      local parts = rawget(pieces[#pieces], "tool_call_chunks")
      local value = parts and add_pieces(calls, parts) and self:_partial(calls)
      if value and not (told and answer.same(value, told)) then
        told = value
        return value
      end
    end
    ended = true
    return last_chunk(self, pieces, told)
  end
end

-- ---- the calls of one tool ---------------------------------------------------------------

---@class moonpipe.JsonOutputKeyToolsParser: moonpipe.JsonOutputToolsParser
---@field key_name string
local KeyToolsParser, key_methods = runnable.class("JsonOutputKeyToolsParser", {
  base = ToolsParser,
})
tools.JsonOutputKeyToolsParser = KeyToolsParser

--- `JsonOutputKeyToolsParser{ key_name =, first_tool_only =, return_id = }`: the arguments of the
--- calls of one tool; with `return_id` the calls.
---@param opts { key_name: string, first_tool_only: boolean?, return_id: boolean? }
---@return moonpipe.JsonOutputKeyToolsParser
function KeyToolsParser.new(opts)
  opts = errors.options(opts, { "first_tool_only", "key_name", "return_id" },
    "JsonOutputKeyToolsParser")
  if type(opts.key_name) ~= "string" then
    errors.usage("JsonOutputKeyToolsParser needs key_name, the name of a tool, got "
      .. errors.shape(opts.key_name))
  end
  local fields = fields_of(opts, "JsonOutputKeyToolsParser")
  fields.key_name = opts.key_name
  return runnable.instance(KeyToolsParser, fields)
end

local function only(self, calls)
  local list = {}
  for _, call in ipairs(calls) do
    if call.name == self.key_name then list[#list + 1] = call end
  end
  return list
end

local function key_values(self, calls)
  local list = json.array {}
  for _, call in ipairs(only(self, calls)) do
    list[#list + 1] = self.return_id and self:_entry(call) or call.args
  end
  return shown(self, list)
end

function key_methods:_judge(whole)
  local invalid = only(self, rawget(whole, "invalid_tool_calls") or {})
  if invalid[1] then refuse_invalid(invalid[1]) end
  return key_values(self, whole.tool_calls)
end

function key_methods:_partial(calls)
  local value = key_values(self, calls)
  if value == nil or not self.first_tool_only and value[1] == nil then return nil end
  return chunk.mark_whole(value)
end

-- ---- calls that are judged ---------------------------------------------------------------

---@class moonpipe.ToolsOutputParser: moonpipe.JsonOutputToolsParser
---@field tools table<string, table>  the schemas of their arguments, by name
---@field names string[]
local ValidParser, valid_methods = runnable.class("ToolsOutputParser", { base = ToolsParser })
tools.ToolsOutputParser = ValidParser

-- Tools of a provider's own have no name here, and no schema.
local function add_tools(fields, list)
  local set = bind_tools.set(list, {}, "ToolsOutputParser")
  fields.names, fields.tools = set.names, {}
  for _, wire in ipairs(set.wire) do
    local fn = wire.type == "function" and wire["function"]
    if fn then
      fields.tools[fn.name] = fn.parameters or {}
      schema.unchecked(fields.tools[fn.name])
    end
  end
end

--- `ToolsOutputParser{ tools = { … }, first_tool_only =, return_id = }`: the calls of an answer,
--- their arguments held against the schemas of the tools. A tool that is not among them is an error
--- that lists those.
---@param opts { tools: table[], first_tool_only: boolean?, return_id: boolean? }
---@return moonpipe.ToolsOutputParser
function ValidParser.new(opts)
  opts = errors.options(opts, { "first_tool_only", "return_id", "tools" }, "ToolsOutputParser")
  local fields = fields_of(opts, "ToolsOutputParser")
  add_tools(fields, opts.tools)
  return runnable.instance(ValidParser, fields)
end

function valid_methods:_entry(call)
  local wanted = self.tools[call.name]
  if not wanted then
    errors.raise("tool", ("there is no tool '%s'; there are: %s%s"):format(call.name,
      table.concat(self.names, ", "), errors.hint(call.name, self.names)),
      { partial = json.encode(call.args) })
  end
  local args = require("moonpipe.parsers.schema").judge(call.args, wanted, json.encode(call.args),
    ("the call of tool '%s'"):format(call.name))
  return methods._entry(self, { name = call.name, args = args, id = call.id })
end

return tools
