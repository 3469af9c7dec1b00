--- Output parsers: what they share, and the one for text. Those for JSON and lists have their own
--- modules, so that a script without them starts faster.
local errors = require "moonpipe.error"
local runnable = require "moonpipe.steps.runnable"
local values = require "moonpipe.prompts.value"
local words = require "moonpipe.messages.class"

local parser = {}

local class_of = words.class_of

-- Common to all -----------------------------------------------------------------------------------

---@class moonpipe.BaseOutputParser: moonpipe.Runnable
---@field format_instructions string
local Base, base = runnable.class("BaseOutputParser")
parser.BaseOutputParser = Base
base.run_kind = "parser"
base.sync = true

local function refusal(self, what)
  return ("%s takes a text or a message, got %s"):format(self.class_name, what)
end

local function refuse(self, input)
  local hint = values.is(input) and "; is the model missing between prompt and parser?" or ""
  errors.raise("input", refusal(self, errors.shape(input)) .. hint)
end

--- The text of an input or a chunk of it.
---@return string
function parser.text_of(self, input)
  if type(input) == "string" then
    return input
  elseif class_of(input) then
    return words.text(input)
  end
  return refuse(self, input)
end

local text_of = parser.text_of

--- Says at composition that a map is no answer of a model.
---@param keys string[]
---@return string? problem
function base:_check_keys(keys)
  return refusal(self, "a table with keys {" .. table.concat(keys, ", ") .. "}")
end

--- What to write into a prompt so that the answer can be parsed.
---@return string
function base:get_format_instructions()
  return self.format_instructions
end

--- A class of parsers without options, and its methods.
---@param name string
---@param instructions string  what to write into a prompt
---@return table Class, table methods
function parser.define(name, instructions)
  local Class, methods = runnable.class(name, { base = Base })
  methods.format_instructions = instructions
  function Class.new(opts)
    errors.options(opts, {}, name)
    return runnable.instance(Class, {})
  end
  return Class, methods
end

-- Text --------------------------------------------------------------------------------------------

---@class moonpipe.StrOutputParser: moonpipe.Runnable
local StrOutputParser, text_parser = parser.define("StrOutputParser", "Answer in plain text.")
parser.StrOutputParser = StrOutputParser

function text_parser:_output_schema()
  return { type = "string" }
end

function text_parser:_invoke(input)
  if type(input) == "table" and class_of(input) then
    local content = input.content
    if type(content) == "string" then
      return content
    end
  end
  return text_of(self, input)
end

-- Chunks without text are dropped; but an answer without any is one empty text, as when invoked.
function text_parser:_transform(source)
  local any, given = false, false
  return function()
    for piece in source do
      local text = text_of(self, piece)
      any = true
      if text ~= "" then
        given = true
        return text
      end
    end
    if any and not given then
      given = true
      return ""
    end
  end
end

return parser
