--- The items of `moonpipe batch`: values of a file of JSON lines, lines or CSV, or of standard
--- input, read one by one.
local base = require "moonpipe.loaders.base"
local csv = require "moonpipe.loaders.csv"
local errors = require "moonpipe.error"
local jobs = require "moonpipe.jobs"
local json = require "moonpipe.json"
local native = require "moonpipe.native"
local scheduler = require "moonpipe.scheduler"
local uuid = require "moonpipe.uuid"

local c = native.c

---@class moonpipe.BatchItem
---@field index integer        from 1; blank lines are no items
---@field line integer         at which it begins
---@field value any            nil where it cannot be read
---@field text string?         as it stands there, where it cannot be read
---@field err moonpipe.Error?  why it cannot be read
---@field digest string        differs for other contents

---@class moonpipe.BatchInput
---@field path string
---@field name string          for messages
---@field size integer?        bytes; nil: of a pipe
---@field limit integer?       items that are read at most
---@field offset integer       bytes until the end of the last item
---@field count integer        items that were read
---@field line integer         where the last item began
---@field ended boolean        there are no more
---@field cut boolean?         ... but those behind `limit`
local Input = {}
Input.__index = Input

local batch_input = { FORMATS = { "csv", "jsonl", "lines", "tsv" } }

local MAX = 64 * 2 ^ 20 -- bytes of an item

local ENDINGS = { jsonl = "jsonl", ndjson = "jsonl", csv = "csv", tsv = "tsv" }

local function digest_of(text)
  return uuid.of(text):sub(1, 18) -- 64 bits
end

local function bad(self, line, text, ...)
  return errors.new { kind = "decode", message = ("%s:%d: %s"):format(self.name, line,
    text:format(...)) }
end

-- ---- bytes -------------------------------------------------------------------------------

local PIECE = 65536 -- what a pipe holds

local function read_input()
  local bytes = scheduler.await(jobs.submit(c.input_read, PIECE))
  return bytes ~= "" and bytes or nil
end

-- A loader of the file, or of standard input.
local function source(self, class, opts)
  local loader = class(self.path, opts)
  loader.max_bytes = MAX
  if self.path == "-" then loader.path, loader.read_bytes = self.name, read_input end
  return loader
end

-- ---- formats -----------------------------------------------------------------------------

local Lines = base.class("Lines", {}, {})

-- Items of the lines that are not blank, without their ends: the value is the text.
local function plain_lines(self)
  local next_line = base.lines(source(self, Lines))
  return function()
    for text, line, offset in next_line do
      if text:find("%S") then
        if text:byte(-1) == 13 then text = text:sub(1, -2) end
        return { index = 0, line = line, value = text, text = text, offset = offset,
          digest = digest_of(text) }
      end
    end
  end
end

local function json_lines(self)
  local next_item = plain_lines(self)
  return function()
    local item = next_item()
    if not item then return nil end
    local ok, value = pcall(json.decode, item.text)
    if ok then
      item.value, item.text = value, nil
    elseif errors.is(value) and value.kind == "decode" then
      item.value, item.err = nil, bad(self, item.line, "%s", value.message)
    else
      error(value, 0)
    end
    return item
  end
end

local function columns(self, row)
  local seen = {}
  for _, name in ipairs(row or {}) do
    if seen[name] then
      error(bad(self, row.line, "two columns are named '%s'", name), 0)
    end
    seen[name] = true
  end
  return row or {}
end

local function csv_rows(self, delimiter)
  local next_row, names = csv.rows(source(self, csv.CSVLoader, { delimiter = delimiter })), nil
  return function()
    names = names or columns(self, (next_row()))
    local row, offset = next_row()
    if not row then return nil end
    local text = table.concat(row, delimiter)
    local item = { line = row.line, offset = offset, digest = digest_of(table.concat(row, "\0")) }
    if #row ~= #names then
      item.text = text
      item.err = bad(self, row.line, "the row has %d fields, there are %d columns", #row, #names)
    else
      item.value = {}
      for i, name in ipairs(names) do item.value[name] = row[i] end
    end
    return item
  end
end

local READERS = {
  lines = plain_lines,
  jsonl = json_lines,
  csv = function(self) return csv_rows(self, ",") end,
  tsv = function(self) return csv_rows(self, "\t") end,
}

---The format that a file's name tells; nil where it is none of ours.
---@param path string
---@return string?
function batch_input.format_of(path)
  local ending = (path:match("%.(%w+)$") or ""):lower()
  if ending ~= "json" then return ENDINGS[ending] or "lines" end
end

-- ---- reading -----------------------------------------------------------------------------

local function read(self)
  local ok, item = pcall(self.read)
  if ok then return item end
  if errors.is(item) and item.kind == "too_large" then
    item.message = ("%s: what follows line %d has more than %d MiB, the most that an item may have")
      :format(self.name, self.line, MAX / 2 ^ 20)
  end
  error(item, 0)
end

---The next item; nil after the last. Raises where nothing behind can be read either.
---@async
---@return moonpipe.BatchItem?
function Input:next()
  if self.ended then return nil end
  local item
  self.cut = self.count == self.limit
  if not self.cut then item = read(self) end
  if not item then
    self.ended = true
    return nil
  end
  self.count, self.offset, self.line = self.count + 1, item.offset, item.line
  item.index = self.count
  return item
end

local COMPRESSED = { bz2 = "bzcat", gz = "zcat", xz = "xzcat", zst = "zstdcat" }

-- The bytes of the file at [path], or what is wrong with it.
local function size_of(path)
  local cat = COMPRESSED[path:match("%.(%w+)$")]
  if cat then
    return nil, ("'%s' is compressed: `%s %s`, piped into this, with - for INPUT"):format(path, cat,
      path)
  end
  local file, message = io.open(path, "rb")
  if not file then return nil, "cannot open " .. message end
  local size = file:seek("end")
  file:close()
  if size then return size end
  return nil, ("'%s' is no file that can be read again; pipe it in, with - for INPUT"):format(path)
end

-- The bytes that are left in standard input, where that is a file.
local function rest_of_input()
  io.stdin:setvbuf "no" -- a buffer would take what is read past it
  local at = io.stdin:seek()
  local size = at and io.stdin:seek("end")
  if not size then return nil end
  io.stdin:seek("set", at)
  return size - at
end

---@param path string    "-": standard input
---@param format string  one of FORMATS
---@param limit integer? of items
---@return moonpipe.BatchInput? input
---@return string? problem
function batch_input.open(path, format, limit)
  local size, problem
  if path == "-" then size = rest_of_input() else size, problem = size_of(path) end
  if problem then return nil, problem end
  local self = setmetatable({ path = path, name = path == "-" and "standard input" or path,
    size = size, limit = limit, offset = 0, count = 0, line = 0, ended = false }, Input)
  self.read = READERS[format](self)
  return self
end

return batch_input
