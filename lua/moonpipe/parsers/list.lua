--- The output parser for lists.
local parser = require "moonpipe.parsers.parser"

local text_of = parser.text_of

---@class moonpipe.CommaSeparatedListOutputParser: moonpipe.Runnable
local ListParser, list_parser = parser.define("CommaSeparatedListOutputParser",
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

function list_parser:_output_schema()
  return { type = "array", items = { type = "string" } }
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

return { CommaSeparatedListOutputParser = ListParser }
