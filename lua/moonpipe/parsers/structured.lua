--- Takes the answer of a model that was told of a form, and holds it against the schema.
--
-- A refusal is an error of kind `content_filter`. Errors have the text in `partial`;
-- where the model stopped at its limit of length they say so, and it is not asked again.
local answer = require "moonpipe.answer"
local errors = require "moonpipe.error"
local json = require "moonpipe.json"
local message = require "moonpipe.messages.message"
local parser_schema = require "moonpipe.parsers.schema"
local parser_tools = require "moonpipe.parsers.tools"
local runnable = require "moonpipe.steps.runnable"

local structured_parser = {}

-- ---- what an answer says of itself -------------------------------------------------------

local function add_text(a, b)
  return type(b) == "string" and (a or "") .. b or a
end

-- Notes what stands beside the content of an answer or of a piece of one.
local function note(notes, raw)
  local class = message.class_of(raw)
  if not class then
    notes.text[#notes.text + 1] = type(raw) == "string" and raw or nil
    return
  end
  local kwargs = rawget(raw, "additional_kwargs") or {}
  local metadata = rawget(raw, "response_metadata") or {}
  notes.refusal = add_text(notes.refusal, kwargs.refusal)
  notes.finish_reason = metadata.finish_reason or notes.finish_reason
  notes.text[#notes.text + 1] = message.text(raw)
end

local function raise_refusal(notes)
  local text = table.concat(notes.text)
  local said = notes.refusal or text
  errors.raise("content_filter", "the model refuses to answer"
    .. (said ~= "" and ": " .. said or ""), { partial = text ~= "" and text or notes.refusal })
end

-- Raises a refusal in place of what became of it.
local function check_refusal(notes)
  if notes.refusal or notes.finish_reason == "content_filter" then raise_refusal(notes) end
end

local function explained(raised, notes)
  if errors.is(raised) and notes.finish_reason == "length" then
    raised.message = raised.message .. " (the model stopped at its limit of length)"
    raised.reask = false
  end
  return raised
end

-- Gives both classes the methods around those of [parent].
local function define(name, parent)
  local Class, methods = runnable.class(name, { base = parent })

  function methods:_invoke(raw)
    local notes = { text = {} }
    note(notes, raw)
    check_refusal(notes)
    local ok, value = pcall(parent.methods._invoke, self, raw)
    if ok then return value end
    error(explained(value, notes), 0)
  end

  function methods:_transform(source)
    local notes, failed = { text = {} }, false
    local pull = parent.methods._transform(self, function()
      failed = true -- what the source raises is not of the answer
      local piece = source()
      failed = false
      if piece ~= nil then note(notes, piece) else check_refusal(notes) end
      return piece
    end)
    return function()
      local ok, value = pcall(pull)
      if ok then return value end
      error(failed and value or explained(value, notes), 0)
    end
  end

  return Class, methods
end

-- ---- answers in text ---------------------------------------------------------------------

local TextParser = define("StructuredAnswerParser", parser_schema.SchemaOutputParser)

-- ---- answers by a call -------------------------------------------------------------------

local KeyToolsParser = parser_tools.JsonOutputKeyToolsParser
local CallParser, call_parser = define("StructuredCallParser", KeyToolsParser)
local key_judge = KeyToolsParser.methods._judge

-- A model that cannot call tools may have written the JSON.
local function in_words(self, whole)
  local text = message.text(whole)
  local ok, value = pcall(answer.decode, text)
  if ok then return parser_schema.judge(value, self.schema, text, "the answer") end
  errors.raise("schema", ("the answer does not call '%s'"):format(self.key_name),
    { partial = text })
end

function call_parser:_judge(whole)
  local args = key_judge(self, whole)
  if args == nil then return in_words(self, whole) end
  return parser_schema.judge(args, self.schema, json.encode(args), "the answer")
end

function call_parser:_output_schema()
  return self.schema
end

---@param opts { method: string, schema: table, name: string }
---@return moonpipe.Runnable
function structured_parser.make(opts)
  local fields = { schema = opts.schema, sync = true }
  if opts.method ~= "function_calling" then return runnable.instance(TextParser, fields) end
  fields.key_name, fields.first_tool_only = opts.name, true
  return runnable.instance(CallParser, fields)
end

return structured_parser
