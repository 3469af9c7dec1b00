--- CSV (RFC 4180): a document for each row.
local base = require "moonpipe.loaders.base"
local errors = require "moonpipe.error"

local csv = {}

---@class moonpipe.CSVLoader: moonpipe.Loader
---@field delimiter string
---@field quote string
---@field fieldnames string[]?
---@field source_column string?
---@field content_columns string[]?
---@field metadata_columns string[]
local CSV = {}

local function fail(self, line, message, ...)
  errors.raise("decode", ("%s:%d: %s"):format(self.path, line, message:format(...)),
    { line = line })
end

local function count_lines(text)
  return select(2, text:gsub("\n", ""))
end

-- A quoted field that begins at [at]: its value and what is behind its last quote; nil where that
-- is not there yet.
local function quoted(self, buffer, at, ended)
  local from, parts = at + 1, {}
  while true do
    local stop = buffer:find(self.quote, from, true)
    if not stop or not ended and stop == #buffer then return nil end
    parts[#parts + 1] = buffer:sub(from, stop - 1)
    if buffer:sub(stop + 1, stop + 1) ~= self.quote then
      return table.concat(parts, self.quote), stop + 1
    end
    from = stop + 2
  end
end

-- What ends a field at [at]: the delimiter, an end of line, or nothing more; and what is behind it.
local function ending(self, buffer, at, ended)
  local c = buffer:sub(at, at)
  if c == self.delimiter then return "field", at + 1 end
  if c == "\n" then return "row", at + 1 end
  if c == "\r" then
    if at == #buffer and not ended then return nil end
    return "row", buffer:sub(at + 1, at + 1) == "\n" and at + 2 or at + 1
  end
  if c == "" then return ended and "row" or nil, at end
  return "text", at
end

-- The field at [at], what ends it, and where the next one begins; nil where more is needed.
local function field(self, buffer, at, ended, line)
  local value, stop
  if buffer:sub(at, at) == self.quote then
    value, stop = quoted(self, buffer, at, ended)
    if not value and ended then fail(self, line, "a quote is opened and never closed") end
    if not value then return nil end
  else
    stop = buffer:find(self.plain_end, at) or #buffer + 1
    value = buffer:sub(at, stop - 1)
  end
  local what, after = ending(self, buffer, stop, ended)
  if what == "text" then fail(self, line, "text follows a closing quote") end
  return what and value, what, after
end

-- Cuts rows: { line =, fields … }. Empty lines are none.
local function cutter(self)
  local line = 1
  return function(buffer, at, ended)
    local row_line = line -- noted when the row is whole: else the same bytes come again
    while buffer:find("^\r?\n", at) do
      at = buffer:find("\n", at, true) + 1
      row_line = row_line + 1
    end
    if at > #buffer then return nil end
    local row, what = { line = row_line }, "field"
    while what == "field" do
      local value, after
      value, what, after = field(self, buffer, at, ended, row_line)
      if not value then return nil end
      row[#row + 1] = value
      row_line = row_line + count_lines(buffer:sub(at, after - 1))
      at = after
    end
    line = row_line
    return row, at
  end
end

---A function that gives the rows as lists of fields, each with its `line`, and the bytes of text
---until its end.
---@param self moonpipe.CSVLoader
---@return fun(): table?, integer?
function csv.rows(self)
  return base.records(self, cutter(self))
end

local function places_of(self, names, line)
  local places = {}
  for i, name in ipairs(names) do
    if places[name] then fail(self, line, "two columns are named '%s'", name) end
    places[name] = i
  end
  return places
end

local function check_columns(self, places)
  local function check(name)
    if name and not places[name] then
      errors.raise("input", ("%s has no column '%s'; it has {%s}"):format(self.path, name,
        table.concat(self.names, ", ")))
    end
  end
  check(self.source_column)
  for _, list in ipairs { self.content_columns or {}, self.metadata_columns } do
    for _, name in ipairs(list) do check(name) end
  end
end

local function content_of(self, row, places)
  local lines = {}
  for _, name in ipairs(self.content_columns or self.names) do
    if self.content_columns or not self.is_metadata[name] then
      lines[#lines + 1] = name .. ": " .. row[places[name]]
    end
  end
  return table.concat(lines, "\n")
end

local function row_document(self, row, number, places)
  if #row ~= #self.names then
    fail(self, row.line, "the row has %d fields, there are %d columns", #row, #self.names)
  end
  local metadata = { row = number }
  for _, name in ipairs(self.metadata_columns) do metadata[name] = row[places[name]] end
  if self.source_column then metadata.source = row[places[self.source_column]] end
  return base.document(self, content_of(self, row, places), metadata)
end

function CSV:documents()
  local next_row, number, places = nil, 0, nil
  self = setmetatable({}, { __index = self }) -- `names` is of this reading
  local function begin()
    next_row = csv.rows(self)
    local header = not self.fieldnames and next_row()
    self.names = self.fieldnames or header or {}
    places = places_of(self, self.names, header and header.line or 1)
    if header or self.fieldnames then check_columns(self, places) end
  end
  return function()
    if not next_row then begin() end
    local row = next_row()
    if not row then return nil end
    number = number + 1
    return row_document(self, row, number, places)
  end
end

local function check_sign(value, name, what)
  if type(value) ~= "string" or #value ~= 1 or value:find("[\r\n]") then
    errors.usage(("%s of %s is %s; it must be a single byte"):format(name, what,
      type(value) == "string" and ("%q"):format(value) or errors.shape(value)))
  end
  return value
end

local function setup(self, opts, name)
  self.delimiter = check_sign(opts.delimiter or ",", "delimiter", name)
  self.quote = check_sign(opts.quote or '"', "quote", name)
  self.plain_end = "[\r\n%" .. self.delimiter .. "]"
  base.check_type(opts.source_column, "string", "source_column", name)
  for _, key in ipairs { "fieldnames", "content_columns", "metadata_columns" } do
    if opts[key] ~= nil then errors.list(opts[key], key .. " of " .. name) end
    self[key] = opts[key]
  end
  self.source_column = opts.source_column
  self.metadata_columns = opts.metadata_columns or {}
  self.is_metadata = {}
  for _, column in ipairs(self.metadata_columns) do self.is_metadata[column] = true end
end

---`CSVLoader("a.csv", { delimiter = ",", quote = '"', fieldnames =, source_column =,
---content_columns =, metadata_columns = })`: a document of lines `column: value` for each row,
---which is counted from 1 as `row`. The first row names the columns unless `fieldnames` does.
---`max_bytes` is of one row: files of any size are read a row at a time.
---@overload fun(path: string, opts: table?): moonpipe.CSVLoader
csv.CSVLoader = base.class("CSVLoader", CSV, { "content_columns", "delimiter", "fieldnames",
  "metadata_columns", "quote", "source_column" }, setup)

return csv
