--- The items of `moonpipe batch`: values of a file of JSON lines, lines or CSV, read one by one.
local base = require "moonpipe.loaders.base"
local csv = require "moonpipe.loaders.csv"
local errors = require "moonpipe.error"
local json = require "moonpipe.json"
local uuid = require "moonpipe.uuid"

---@class moonpipe.BatchItem
---@field index integer        from 1; blank lines are no items
---@field line integer         at which it begins
---@field value any            nil where it cannot be read
---@field text string?         as it stands there, where it cannot be read
---@field err moonpipe.Error?  why it cannot be read
---@field digest string        differs for other contents

---@class moonpipe.BatchInput
---@field path string
---@field size integer         bytes
---@field offset integer       bytes until the end of the last item
---@field count integer        items that were read
---@field ended boolean        there are no more
local Input = {}
Input.__index = Input

local batch_input = { FORMATS = { "csv", "jsonl", "lines", "tsv" } }

local ENDINGS = { jsonl = "jsonl", ndjson = "jsonl", csv = "csv", tsv = "tsv" }

local function digest_of(text)
  return uuid.of(text):sub(1, 18) -- 64 bits
end

local function bad(self, line, text, ...)
  return errors.new { kind = "decode", message = ("%s:%d: %s"):format(self.path, line,
    text:format(...)) }
end

-- ---- formats -----------------------------------------------------------------------------

-- Lines that are not blank, without their ends.
local function lines(self)
  local next_line = base.lines(base.class("Lines", {}, {})(self.path))
  return function()
    for line, offset in next_line do
      if line[1]:find("%S") then
        return { line = line[2], text = line[1]:gsub("\r$", ""), offset = offset }
      end
    end
  end
end

local function plain_lines(self)
  local next_line = lines(self)
  return function()
    local item = next_line()
    if not item then return nil end
    item.value, item.digest = item.text, digest_of(item.text)
    return item
  end
end

local function json_lines(self)
  local next_line = lines(self)
  return function()
    local item = next_line()
    if not item then return nil end
    item.digest = digest_of(item.text)
    local ok, value = pcall(json.decode, item.text)
    if ok then
      item.value, item.text = value, nil
    elseif errors.is(value) and value.kind == "decode" then
      item.err = bad(self, item.line, "%s", value.message)
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
  local next_row, names = csv.rows(csv.CSVLoader(self.path, { delimiter = delimiter })), nil
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

---The format that a file's name tells.
---@param path string
---@return string
function batch_input.format_of(path)
  return ENDINGS[(path:match("%.(%w+)$") or ""):lower()] or "lines"
end

-- ---- reading -----------------------------------------------------------------------------

---The next item; nil after the last. Raises where nothing behind can be read either.
---@async
---@return moonpipe.BatchItem?
function Input:next()
  if self.ended then return nil end
  local item = self.read()
  if not item then
    self.ended = true
    return nil
  end
  self.count, self.offset = self.count + 1, item.offset
  item.index = self.count
  return item
end

---@param path string
---@param format string  one of FORMATS
---@return moonpipe.BatchInput? input
---@return string? problem
function batch_input.open(path, format)
  local file, message = io.open(path, "rb")
  if not file then return nil, "cannot open " .. message end
  local size = file:seek("end")
  file:close()
  if not size then return nil, ("'%s' is no file that can be read again"):format(path) end
  local self = setmetatable({ path = path, size = size, offset = 0, count = 0, ended = false },
    Input)
  self.read = READERS[format](self)
  return self
end

return batch_input
