--- Output parsers: from what a model says to text, data or a list.
local chunk = require "moonpipe.chunk"
local errors = require "moonpipe.error"
local runnable = require "moonpipe.runnable"
local values = require "moonpipe.prompt_value"
local words = require "moonpipe.message_class"

local parser = {}

local class_of = words.class_of

-- Loaded by the first parser of JSON.
local answer

-- Common to all -----------------------------------------------------------------------------------

local Base, base = runnable.class("BaseOutputParser")
base.run_kind = "parser"
base.sync = true

local function refusal(self, what)
  return ("%s takes a text or a message, got %s"):format(self.class_name, what)
end

local function refuse(self, input)
  local hint = values.is(input) and "; is the model missing between prompt and parser?" or ""
  errors.raise("input", refusal(self, errors.shape(input)) .. hint)
end

-- The text of an input or a chunk of it.
local function text_of(self, input)
  if type(input) == "string" then
    return input
  elseif class_of(input) then
    return words.text(input)
  end
  return refuse(self, input)
end

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

local function define(name, instructions)
  local Class, methods = runnable.class(name, { base = Base })
  methods.format_instructions = instructions
  function Class.new(opts)
    errors.options(opts, {}, name)
    return runnable.instance(Class, {})
  end
  parser[name] = Class
  return methods
end

-- Text --------------------------------------------------------------------------------------------

---@class moonpipe.StrOutputParser: moonpipe.Runnable
local text_parser = define("StrOutputParser", "Answer in plain text.")

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

-- JSON --------------------------------------------------------------------------------------------

---@class moonpipe.JsonOutputParser: moonpipe.Runnable
local json_parser = define("JsonOutputParser", "Return a JSON object.")

function parser.JsonOutputParser.new(opts)
  errors.options(opts, {}, "JsonOutputParser")
  answer = require "moonpipe.answer"
  return runnable.instance(parser.JsonOutputParser, {})
end

function json_parser:_invoke(input)
  return answer.decode(text_of(self, input))
end

-- Each chunk holds all that was known when it came; whoever collects them keeps the last.
local function whole(value)
  return type(value) == "table" and chunk.mark_whole(value) or value
end

-- The end is judged as invoke judges it, over the whole text; it is one more chunk only where it
-- brings something new.
local function last_chunk(parts, shown)
  if #parts == 0 then
    return nil
  end
  local value = answer.decode(table.concat(parts))
  if not answer.same(value, shown) then
    return whole(value)
  end
end

function json_parser:_transform(source)
  local parts, reader, shown, ended = {}, answer.reader(), nil, false
  return function()
    if ended then
      return nil
    end
    for piece in source do
      local text = text_of(self, piece)
      parts[#parts + 1] = text
      local value = reader:feed(text)
      if value ~= nil and not answer.same(value, shown) then
        shown = value
        return whole(value)
      end
    end
    ended = true
    return last_chunk(parts, shown)
  end
end

-- Lists -------------------------------------------------------------------------------------------

---@class moonpipe.CommaSeparatedListOutputParser: moonpipe.Runnable
local list_parser = define("CommaSeparatedListOutputParser",
  "Your response should be a list of comma separated values, eg: `foo, bar, baz` or"
  .. " `foo,bar,baz`")

-- Where the quoted text that begins at [at] ends: its last byte, nil where more text is needed.
local function quoted_end(text, at, final)
  local from = at + 1
  while true do
    local quote = text:find('"', from, true)
    if not quote then
      return final and #text + 1 or nil
    elseif text:byte(quote + 1) == 34 then
      from = quote + 2
    elseif quote == #text and not final then
      return nil
    else
      return quote
    end
  end
end

-- Reads the item at [from]: the item, where the next one begins and what stands between ("," or
-- "\n", nil at the end). nil where the item may go on in text to come.
local function read_item(text, from, final)
  local at, quoted = text:find("[^ \t\r]", from) or #text + 1, ""
  if text:byte(at) == 34 then
    local close = quoted_end(text, at, final)
    if not close then
      return nil
    end
    quoted = text:sub(at + 1, close - 1):gsub('""', '"')
    at = close + 1
  end
  local stop = text:find("[,\n]", at)
  if not stop and not final then
    return nil
  end
  local rest = text:sub(at, (stop or #text + 1) - 1):gsub("%s+$", "")
  return quoted .. rest, (stop or #text) + 1, stop and text:sub(stop, stop)
end

---@class moonpipe.ItemReader  cuts a growing text into items
local ItemReader = {}
ItemReader.__index = ItemReader

local function item_reader()
  return setmetatable({ text = "", from = 1, after_comma = false }, ItemReader)
end

-- The next whole item, nil while there is none. An empty line has none, but a comma has one behind.
function ItemReader:next(final)
  while self.from <= #self.text or final and self.after_comma do
    local item, from, separator = read_item(self.text, self.from, final)
    if not item then
      return nil
    end
    local counts = item ~= "" or separator == "," or self.after_comma
    self.from, self.after_comma = from, separator == ","
    if counts then
      return item
    end
  end
end

function ItemReader:add(text)
  self.text = self.text:sub(self.from) .. text
  self.from = 1
end

function list_parser:_invoke(input)
  local reader, list = item_reader(), {}
  reader:add(text_of(self, input))
  local item = reader:next(true)
  while item do
    list[#list + 1] = item
    item = reader:next(true)
  end
  return list
end

function list_parser:_transform(source)
  local reader, any, given, ended = item_reader(), false, false, false
  return function()
    while true do
      local item = reader:next(ended)
      if item then
        given = true
        return { item }
      elseif ended then
        -- an answer without items is an empty list, as when invoked
        local empty = any and not given
        given = true
        return empty and {} or nil
      end
      local piece = source()
      ended, any = piece == nil, any or piece ~= nil
      reader:add(piece ~= nil and text_of(self, piece) or "")
    end
  end
end

return parser
