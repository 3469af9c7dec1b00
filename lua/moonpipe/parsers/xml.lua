--- The output parser for XML.
--
-- An element is a table with its name as the only plain key: its text, or the list
-- of its children (texts between them are strings in it); attributes stand beside it
-- as "@name". `<a id="1"><b>x</b><b/></a>` is { a = { { b = "x" }, { b = "" } },
-- ["@id"] = "1" }. Only the five entities of XML and character numbers are expanded;
-- a document type is refused, so nothing else can be defined.
local chunk = require "moonpipe.chunk"
local errors = require "moonpipe.error"
local json = require "moonpipe.json"
local parser = require "moonpipe.parsers.parser"
local xml = require "moonpipe.parsers.xml_text"

local text_of = parser.text_of

local MAX_DEPTH = 128

---@class moonpipe.XMLOutputParser: moonpipe.Runnable
local XMLOutputParser, methods = parser.define("XMLOutputParser",
  "Answer with one XML element, and with nothing else. Give each value an element of its own,"
    .. " close every element, and write &lt; and &amp; in texts.")

-- ---- elements ----------------------------------------------------------------------------

-- An open element: { tag, fields, parts, has_elements }.

local function text_in(element)
  return table.concat(element.parts):match("^%s*(.-)%s*$")
end

-- Text that stood before a child becomes a member of the list.
local function settle_text(element)
  local text = text_in(element)
  if text ~= "" then element.list[#element.list + 1] = text end
  element.parts = {}
end

local function add_child(element, child)
  settle_text(element)
  element.list[#element.list + 1] = child
  element.has_elements = true
end

local function closed(element)
  if element.has_elements then
    settle_text(element)
    element.fields[element.tag] = element.list
  else
    element.fields[element.tag] = text_in(element)
  end
  return element.fields
end

---@class moonpipe.XmlReader  makes a value of a text in pieces
---@field open table[]  elements, the outermost first
---@field out table[]   chunks that wait to be given
local Reader = {}
Reader.__index = Reader

local function new_reader()
  return setmetatable({ scanner = xml.scanner(), open = {}, out = {} }, Reader)
end

-- A chunk is a finished child of the outermost element; the first brings its attributes.
function Reader:give(root, value)
  local part = { [root.tag] = value }
  if not root.given then
    for name, attribute in pairs(root.fields) do part[name] = attribute end
  end
  root.given = true
  self.out[#self.out + 1] = part
end

function Reader:give_children(root)
  if root.list[1] ~= nil then self:give(root, root.list) end
  root.list = json.array {}
end

function Reader:begin(token)
  local parent = self.open[#self.open]
  if #self.open >= MAX_DEPTH then
    xml.fail(("elements are nested deeper than %d levels"):format(MAX_DEPTH))
  end
  if parent then
    settle_text(parent)
    parent.has_elements = true
  end
  self.open[#self.open + 1] = {
    tag = token.name, fields = token.attributes, parts = {}, list = json.array {},
  }
  if token.closed then self:finish(token) end
end

function Reader:finish(token)
  local element = table.remove(self.open)
  if not element or element.tag ~= token.name then
    xml.fail(element and ("</%s> closes <%s>"):format(token.name, element.tag)
      or ("</%s> closes nothing"):format(token.name))
  end
  local parent = self.open[#self.open]
  if parent then return add_child(parent, closed(element)) end
  self.done = true
  if element.has_elements then
    settle_text(element)
    self:give_children(element)
  elseif not element.given then
    self:give(element, text_in(element))
  end
end

function Reader:take(token)
  local element = self.open[#self.open]
  if token.kind == "begin" then
    self:begin(token)
  elseif token.kind == "end" then
    self:finish(token)
  elseif element then
    element.parts[#element.parts + 1] = token.text
  end
end

---Takes a piece of the text; then `out` may have more chunks.
function Reader:feed(text)
  self.scanner:add(text)
  while not self.done do
    local token = self.scanner:next()
    if not token then break end
    self:take(token)
  end
  local root = self.open[1]
  if root and root.has_elements and not self.done then self:give_children(root) end
end

function Reader:check_end()
  if self.done then return end
  local element = self.open[#self.open]
  xml.fail(element and ("the answer ends inside of <%s>"):format(element.tag)
    or "there is no XML element in it")
end

-- ---- the parser --------------------------------------------------------------------------

-- Runs fn(reader, …); what is wrong with the text becomes the error of the answer.
local function guarded(parts, fn, ...)
  local ok, problem = pcall(fn, ...)
  if ok then return end
  if not xml.is_failure(problem) then error(problem, 0) end
  errors.raise("decode", "the answer is not XML: " .. problem.text,
    { partial = table.concat(parts) })
end

function methods:_invoke(input)
  local text, reader = text_of(self, input), new_reader()
  guarded({ text }, reader.feed, reader, text)
  guarded({ text }, reader.check_end, reader)
  return chunk.merged(reader.out)
end

function methods:_transform(source)
  local reader, parts, ended = new_reader(), {}, false
  return function()
    while not reader.out[1] and not ended do
      local piece = source()
      ended = piece == nil
      if piece ~= nil then
        parts[#parts + 1] = text_of(self, piece)
        guarded(parts, reader.feed, reader, parts[#parts])
      elseif parts[1] then
        guarded(parts, reader.check_end, reader)
      end
    end
    return table.remove(reader.out, 1)
  end
end

return { XMLOutputParser = XMLOutputParser }
