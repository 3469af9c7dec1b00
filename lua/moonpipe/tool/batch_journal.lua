--- What a batch has done: a SQLite file beside its output.
--
-- A result counts when its transaction is on disk, and not before. Each row holds the line for
-- the output or the file of errors, so that both can be written again from here. A batch that
-- writes to standard output may do without a file: then what is written is forgotten.
local db = require "moonpipe.db"
local errors = require "moonpipe.error"
local log = require "moonpipe.log"

local APPLICATION_ID = 0x6d706274 -- "mpbt"
local SCHEMA = {
  [[CREATE TABLE batch (
      id INTEGER PRIMARY KEY,
      format TEXT NOT NULL,
      shard TEXT NOT NULL,
      errors TEXT NOT NULL,
      run INTEGER NOT NULL
    );
    CREATE TABLE results (
      item INTEGER PRIMARY KEY,
      digest TEXT NOT NULL,
      ok INTEGER NOT NULL,
      run INTEGER NOT NULL,
      line TEXT NOT NULL
    )]],
  [[ALTER TABLE batch ADD COLUMN chain TEXT NOT NULL DEFAULT '';
    ALTER TABLE batch ADD COLUMN output TEXT NOT NULL DEFAULT '']],
}
local NONE = ":memory:"
local BUSY_TIMEOUT = 1
local MAX_RESULT = 2 ^ 30
local PAGE, PAGE_BYTES = 1000, 2 ^ 24

---@class moonpipe.BatchRow
---@field item integer
---@field digest string
---@field ok integer    1, or 0 where it failed
---@field run integer   in which run of the batch
---@field line string   as it is written

---@class moonpipe.BatchJournal
---@field path string
---@field lasts boolean   it is a file
---@field run integer     this one, from 1
---@field ok integer      how many items have a result
---@field failed integer
---@field longest integer bytes of the longest line
local Journal = {}
Journal.__index = Journal

local batch_journal = {}

-- ---- opening -----------------------------------------------------------------------------

local function shown(name, value)
  return value == "" and "the usual --" .. name or ("--%s %s"):format(name, value)
end

local function check(self, row, asked)
  for _, name in ipairs { "format", "shard", "errors" } do
    if row[name] ~= asked[name] then
      errors.raise("input", ("'%s' is of a batch with %s, not %s"):format(self.path,
        shown(name, row[name]), shown(name, asked[name])))
    end
  end
  if asked.is_there and row.output ~= asked.output then
    errors.raise("input", ("'%s' is there, and '%s' is of a batch whose output was '%s'"):format(
      asked.output, self.path, row.output))
  end
  if row.chain ~= asked.chain and row.chain ~= "" and not asked.mended then
    log.warn(("the chain is not the one that this batch began with ('%s'); results that are there"
      .. " stay"):format(self.path))
  end
end

-- Only one process may go on with a batch: the lock is held until it ends, however it ends.
local function begin(self, asked)
  self.db:rows "PRAGMA locking_mode = EXCLUSIVE"
  local answers = self.db:transaction {
    { "INSERT OR IGNORE INTO batch VALUES (1, ?, ?, ?, 0, ?, ?)", asked.format,
      asked.shard, asked.errors, asked.chain, asked.output },
    "SELECT format, shard, errors, run + 1 AS run, chain, output FROM batch",
  }
  local row = answers[2].rows[1]
  check(self, row, asked)
  self.db:run("UPDATE batch SET run = ?, chain = ?, output = ?", row.run, asked.chain,
    asked.output)
  self.run = row.run
  if self.run == 1 then return end
  local problem = self.db:rows("PRAGMA quick_check(1)")[1].quick_check
  if problem ~= "ok" then errors.raise("io", problem) end
  local counts = self.db:rows [[SELECT count(*) AS n, coalesce(sum(ok), 0) AS ok,
    coalesce(max(length(CAST(line AS BLOB))), 0) AS longest FROM results]][1]
  self.ok, self.failed, self.longest = counts.ok, counts.n - counts.ok, counts.longest
end

-- What is wrong with the file, in words that help.
local function explain(path, err)
  if not errors.is(err) or err.kind ~= "io" then return err end
  if err.message:find("locked", 1, true) then
    err.message = ("another process is at work on this batch ('%s' is locked)"):format(path)
  elseif err.message:find("malformed", 1, true) or err.message:find("not a database", 1, true)
    or not err.message:find(path, 1, true) then
    err.message = ("the journal '%s' is damaged (%s); what was written stays as it is. Keep a copy"
      .. " of the output, remove both, and begin anew"):format(path, err.message)
  end
  return err
end

local function open(self, asked)
  self.db = db.open(self.path, { application_id = APPLICATION_ID, schema = SCHEMA,
    busy_timeout = BUSY_TIMEOUT, max_result = MAX_RESULT })
  begin(self, asked)
end

---Opens the journal at [path], and makes it where it is not there.
---@async
---@param path string?  nil: none that lasts
---@param asked { format: string, shard: string, errors: string, chain: string, output: string,
---  is_there: boolean, mended: boolean }  format, shard and errors, as it was given, or "", must
---  be as they were; chain, what tells it from others, may change, which is told unless it is
---  `mended`; is_there: the output is, and its name does not say whose it is
---@return moonpipe.BatchJournal
function batch_journal.open(path, asked)
  local self = setmetatable({ path = path or NONE, lasts = path ~= nil, ok = 0, failed = 0,
    longest = 0 }, Journal)
  local ok, err = pcall(open, self, asked)
  if ok then return self end
  if self.db then self.db:close() end
  error(explain(self.path, err), 0)
end

-- ---- reading and writing -----------------------------------------------------------------

---Rows in the order of items, from [first] on: as many as memory holds with ease.
---@async
---@param first integer
---@param columns string
---@return moonpipe.BatchRow[] rows
---@return boolean more  whether there may be more
function Journal:page(first, columns)
  local limit = math.max(1, math.min(PAGE, math.floor(PAGE_BYTES / math.max(self.longest, 1))))
  local rows = self.db:rows(("SELECT %s FROM results WHERE item >= ? ORDER BY item LIMIT %d")
    :format(columns, limit), first)
  return rows, #rows == limit
end

---Stores the results of items; they are on disk when it returns.
---@async
---@param rows { index: integer, digest: string, ok: boolean, line: string, again: boolean? }[]
---  again: it had failed before
function Journal:store(rows)
  local statements = {}
  for i, row in ipairs(rows) do
    statements[i] = { "INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?, ?)", row.index,
      row.digest, row.ok, self.run, row.line }
  end
  if statements[1] then self.db:transaction(statements) end
  for _, row in ipairs(rows) do
    self.longest = math.max(self.longest, #row.line)
    if row.again then self.failed = self.failed - 1 end
    local name = row.ok and "ok" or "failed"
    self[name] = self[name] + 1
  end
end

---Says that the items below [item] have been written.
---@async
---@param item integer
function Journal:written(item)
  if not self.lasts then self.db:run("DELETE FROM results WHERE item < ?", item) end
end

---@async
function Journal:close()
  self.db:close()
end

---A function that gives the row of item [index] of an earlier run, or nil; asked with growing
---indexes. Without one it gives the first item that has not been asked for.
---@return fun(index: integer?): moonpipe.BatchRow?
function Journal:cursor()
  local rows, at, more = {}, 1, self.run > 1
  local function peek(from)
    if at > #rows and more then
      rows, more = self:page(from, "item, digest, ok, run")
      at = 1
    end
    return rows[at]
  end
  return function(index)
    local row = peek(index or (rows[#rows] and rows[#rows].item + 1 or 1))
    if not index or not row or row.item ~= index then return not index and row or nil end
    at = at + 1
    return row
  end
end

return batch_journal
