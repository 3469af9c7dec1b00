--- The files of a batch, written out of its journal in the order of the input.
--
-- A run that goes on writes them anew: what a kill has cut is whole again. "-" is standard output,
-- for failures standard error.
local errors = require "moonpipe.error"

---@class moonpipe.BatchOutput
---@field journal moonpipe.BatchJournal
---@field next integer   the item that is to be written next
---@field step integer   from one item to the next
---@field retry boolean  failures of earlier runs are no results
---@field paths { output: string, errors: string }
---@field files table<string, file*>
---@field before_errors fun()?  called before a failure is written
local Output = {}
Output.__index = Output

local batch_output = {}

local STREAMS = { output = io.stdout, errors = io.stderr }

local function raise(self, path, message)
  local journal = self.journal
  errors.raise("io", ("cannot write '%s': %s%s"):format(path == "-" and "standard output" or path,
    message, journal.lasts and ("; what was answered is safe in '%s', and --resume writes it")
      :format(journal.path) or ""))
end

local function open(self, name)
  local path = self.paths[name]
  local file, message
  if path == "-" then file = STREAMS[name] else file, message = io.open(path, "wb") end
  if not file then raise(self, path, message:gsub("^.-: ", "")) end
  if file ~= io.stderr then file:setvbuf("full", 65536) end
  self.files[name] = file
  return file
end

local function write(self, row)
  local name = row.ok == 1 and "output" or "errors"
  if name == "errors" and self.before_errors then self.before_errors() end
  local file = self.files[name] or open(self, name)
  local ok, message = file:write(row.line, "\n")
  if not ok then raise(self, self.paths[name], message) end
end

local function flush(self)
  for name, file in pairs(self.files) do
    local ok, message = file:flush()
    if not ok then raise(self, self.paths[name], message) end
  end
end

-- Whether this row is what item `next` will have in the end.
local function is_final(self, row)
  return row.item == self.next and (row.ok == 1 or not self.retry or row.run == self.journal.run)
end

-- The rows of a page; false where one is not there yet.
local function write_page(self, rows)
  for _, row in ipairs(rows) do
    if not is_final(self, row) then return false end
    write(self, row)
    self.next = self.next + self.step
  end
  return true
end

---Writes all that has no gap before it.
---@async
function Output:advance()
  local rows, more
  repeat
    rows, more = self.journal:page(self.next, "item, ok, run, line")
  until not write_page(self, rows) or not more
  flush(self)
  self.journal:written(self.next)
end

-- What is there shall be in the files, whatever is missing before it.
local function write_rest(self)
  local rows, more
  repeat
    rows, more = self.journal:page(self.next, "item, ok, line")
    for _, row in ipairs(rows) do
      write(self, row)
      self.next = row.item + 1
    end
  until not more
end

---Writes what is there of the rest, and ends the files: an old one of errors is removed where
---none are left.
---@async
function Output:finish()
  write_rest(self)
  for name, file in pairs(self.files) do
    local ok, message
    if self.paths[name] == "-" then ok, message = file:flush() else ok, message = file:close() end
    if not ok then raise(self, self.paths[name], message) end
  end
  if not self.files.errors and self.paths.errors ~= "-" and self.journal.run > 1 then
    os.remove(self.paths.errors)
  end
end

---@param journal moonpipe.BatchJournal
---@param paths { output: string, errors: string }
---@param shard { at: integer, of: integer }
---@param retry boolean?
---@return moonpipe.BatchOutput
function batch_output.new(journal, paths, shard, retry)
  local self = setmetatable({ journal = journal, paths = paths, next = shard.at, step = shard.of,
    retry = retry == true, files = {} }, Output)
  open(self, "output")
  return self
end

return batch_output
