--- Reads mustache templates into trees.
--
-- A tree is a list of strings and of nodes { kind, name, path, needed }: kind is "value", "raw",
-- "section", "inverted" or "partial"; path holds the parts of a dotted name, and is empty for
-- `{{.}}`; needed says that the node stands in no section. Sections have `nodes`, partials have
-- `indent`.
local problems = require "moonpipe.templates.problem"

local parser = {}

local HINT = "; if braces were meant literally choose other delimiters first: {{=<% %>=}}"

---@class moonpipe.MustacheReader
---@field text string
---@field at integer  what is before it has been read
---@field open string
---@field close string
---@field nodes table[]  of the innermost open section
---@field stack table[]  the open sections: { node, nodes, at, tag }
local Reader = {}
Reader.__index = Reader

-- A reader stops by raising this; parse gives it back.
local function fail(at, what)
  error({ at = at, what = what }, 0)
end

local function quoted(tag)
  if #tag > 40 then
    tag = tag:sub(1, 40):gsub("[\128-\255]*$", "") .. "…"
  end
  return "'" .. tag:gsub("\n", "\\n") .. "'"
end

-- The parts of a name; raises for what is none.
local function path_of(name, at, tag)
  local path = {}
  if name == "." then
    return path
  elseif name == "" then
    fail(at, quoted(tag) .. " names no variable")
  elseif name:find("^#?if%s") or name:find("^#?each%s") or name:find("^#?unless%s") then
    fail(at, quoted(tag) .. " is a helper of Handlebars; mustache has {{#name}}…{{/name}}")
  elseif name:find("[%s{}]") then
    fail(at, quoted(tag) .. " is not a variable")
  end
  for part in (name .. "."):gmatch("([^.]*)%.") do
    if part == "" then
      fail(at, quoted(tag) .. " has an empty part between its dots")
    end
    path[#path + 1] = part
  end
  return path
end

-- Text between tags.
function Reader:literal(from, to)
  if to >= from then
    self.nodes[#self.nodes + 1] = self.text:sub(from, to)
  end
end

function Reader:add(kind, tag)
  local node = {
    kind = kind, name = tag.name, path = path_of(tag.name, tag.from, tag.text),
    needed = #self.stack == 0,
  }
  self.nodes[#self.nodes + 1] = node
  return node
end

local ACTION = {}

ACTION["{"] = function(self, tag) self:add("raw", tag) end
ACTION["&"] = ACTION["{"]
ACTION[""] = function(self, tag) self:add("value", tag) end
ACTION["!"] = function() end

local function open_section(kind)
  return function(self, tag)
    local node = self:add(kind, tag)
    self.stack[#self.stack + 1] = { node = node, nodes = self.nodes, tag = tag }
    node.nodes = {}
    self.nodes = node.nodes
  end
end

ACTION["#"] = open_section "section"
ACTION["^"] = open_section "inverted"

ACTION["/"] = function(self, tag)
  local top = table.remove(self.stack)
  if not top then
    fail(tag.from, quoted(tag.text) .. " closes a section that is not open")
  elseif top.node.name ~= tag.name then
    fail(tag.from, ("%s closes a section, but %s is open"):format(quoted(tag.text),
      quoted(top.tag.text)))
  end
  self.nodes = top.nodes
end

ACTION[">"] = function(self, tag)
  self:add("partial", tag).indent = tag.alone and tag.indent or ""
end

ACTION["="] = function(self, tag)
  local open, close = tag.name:match("^([^%s=]+)%s+([^%s=]+)$")
  if not open then
    fail(tag.from, quoted(tag.text) .. " must hold two delimiters, as {{=<% %>=}}")
  end
  self.open, self.close = open, close
end

-- These vanish with their line where they stand alone on it.
local ALONE = { ["#"] = true, ["^"] = true, ["/"] = true, ["!"] = true, [">"] = true,
  ["="] = true }

local CLOSING = { ["{"] = "}", ["="] = "=" }

-- The tag whose delimiter begins at [from].
function Reader:tag(from)
  local text = self.text
  local at, sigil, inner = text:match("^%s*()([#^/!>={&]?)()", from + #self.open)
  local closing = (CLOSING[sigil] or "") .. self.close
  local first, last = text:find(closing, inner, true)
  if not first then
    fail(from, ("'%s' is never closed"):format(text:sub(from, at - 1 + #sigil)))
  end
  return {
    from = from, last = last, sigil = sigil, text = text:sub(from, last),
    name = text:sub(inner, first - 1):match("^%s*(.-)%s*$"),
  }
end

-- Finds whether a tag has its line for itself, and what is before it there. Gives the ends of the
-- text before and of the tag, with or without that line.
function Reader:extent(tag)
  if not ALONE[tag.sigil] then
    return tag.from - 1, tag.last
  end
  local line = tag.from
  while line > 1 and self.text:sub(line - 1, line - 1):find("[ \t]") do
    line = line - 1
  end
  local stop = self.text:match("^[ \t]*\r?\n()", tag.last + 1)
    or self.text:match("^[ \t]*()$", tag.last + 1)
  if not stop or line > 1 and self.text:sub(line - 1, line - 1) ~= "\n" then
    return tag.from - 1, tag.last
  end
  tag.alone, tag.indent = true, self.text:sub(line, tag.from - 1)
  return line - 1, stop - 1
end

function Reader:read()
  while true do
    local from = self.text:find(self.open, self.at, true)
    if not from then
      break
    end
    local tag = self:tag(from)
    local before, last = self:extent(tag)
    self:literal(self.at, before)
    ACTION[tag.sigil](self, tag)
    self.at = last + 1
  end
  local top = self.stack[#self.stack]
  if top then
    fail(top.tag.from, quoted(top.tag.text) .. " is never closed")
  end
  self:literal(self.at, #self.text)
  return self.nodes
end

--- The tree of a text, or nil and the problem with its place.
---@param text string
---@param what string?  how the problem calls the text; "template"
---@return table[]? nodes
---@return string? problem
function parser.parse(text, what)
  local reader = setmetatable({
    text = text, at = 1, open = "{{", close = "}}", nodes = {}, stack = {},
  }, Reader)
  local ok, result = pcall(reader.read, reader)
  if ok then
    return result
  elseif type(result) ~= "table" then
    error(result, 0)
  end
  local line, column = problems.position(text, result.at)
  return nil, ("bad %s at line %d, column %d: %s%s"):format(what or "template", line, column,
    result.what, HINT)
end

return parser
