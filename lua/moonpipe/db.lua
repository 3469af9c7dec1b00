--- SQLite databases: statements run on a thread of their own, one per file.
--
-- Values in: strings (texts), numbers (whole ones as integers), booleans (1 and
-- 0), nil and mp.null (NULL), db.blob(bytes). Values out: NULL columns are
-- absent, integers beyond 2^53 are strings of digits, blobs are strings.
--
-- What is answered is on disk. A cancelled statement is undone, unless it was
-- done already when the cancel came. Kinds: `io` (locked, full, read-only,
-- damaged, no database), `input` (wrong SQL, a constraint), `too_large`.
local errors = require "moonpipe.error"
local json = require "moonpipe.json"
local native = require "moonpipe.native"
local scheduler = require "moonpipe.scheduler"

local c = native.c

local OPTIONS = { "application_id", "busy_timeout", "max_result", "schema", "synchronous" }
local SYNCHRONOUS = { full = true, normal = true }
local BUSY_TIMEOUT = 5
local MAX_RESULT = 64 * 2 ^ 20

---@class moonpipe.DatabaseOptions
---@field application_id integer?  of the file, below 2^31
---@field busy_timeout number?     seconds to wait for other processes; 5
---@field max_result integer?      bytes of one answer; 64 MiB
---@field schema string[]?         how the file is made and brought up to date
---@field synchronous "full"|"normal"|nil  normal: a power cut may lose the last commits; full

---@class moonpipe.Database
---@field path string
local Database = {}
local mt = { __name = "moonpipe.Database", __index = Database }

local blob_mt = { __name = "moonpipe.Blob" }

local db = {}

---Bytes to be stored as a blob; a plain string is stored as text.
---@param bytes string
function db.blob(bytes)
  if type(bytes) ~= "string" then
    errors.usage("blob takes a string, got " .. errors.shape(bytes))
  end
  return setmetatable({ bytes }, blob_mt)
end

local STORABLE = { string = true, number = true, boolean = true, ["nil"] = true }

local function check_value(value, place)
  if value == json.null then return nil end
  if STORABLE[type(value)] or getmetatable(value) == blob_mt then return value end
  errors.usage(("value %d of a statement is %s; it must be a string, a number, a boolean, nil or "
    .. "db.blob(bytes)"):format(place, errors.shape(value)))
end

-- {text, values…, n = places}, of given, which is the same, unchecked.
local function statement(given)
  local text, places = given[1], given.n or #given
  if type(text) ~= "string" then
    errors.usage("a statement is a string, got " .. errors.shape(text))
  end
  if text:find("\0", 1, true) then errors.usage("a statement may not hold a zero byte") end
  local out = { text, n = places }
  for i = 2, places do out[i] = check_value(given[i], i - 1) end
  return out
end

local function one(...)
  return statement { n = math.max(1, select("#", ...)), ... }
end

local function perform(self, statements, atomic)
  if not self.native then errors.raise("closed", ("'%s' is closed"):format(self.path)) end
  scheduler.raise_if_cancelled(scheduler.current())
  local id = native.check(c.db_do(self.native, statements, atomic))
  local bytes = scheduler.await(id)
  return bytes and c.db_answers(bytes) or {}
end

---Runs one statement: how many rows it changed, and the last rowid.
---@async
---@param sql string
---@param ... any  its values
---@return { changes: integer, last_id: integer }
function Database:run(sql, ...)
  local answer = scheduler.call(perform, self, { one(sql, ...) }, false)[1]
  answer.rows = nil
  return answer
end

---The rows that one statement gives, each a table by the columns' names.
---@async
---@param sql string
---@param ... any  its values
---@return table[]
function Database:rows(sql, ...)
  return scheduler.call(perform, self, { one(sql, ...) }, false)[1].rows
end

---Runs all statements or none: each a text or `{ text, values… }`, with `n` (places, the text
---counted) where values are nil. Gives `{ changes, last_id, rows }` for each.
---@async
---@param list (string|table)[]
---@return { changes: integer, last_id: integer, rows: table[] }[]
function Database:transaction(list)
  errors.list(list, "transaction")
  local statements = {}
  for i, given in ipairs(list) do
    statements[i] = statement(type(given) == "table" and given or { given })
  end
  return scheduler.call(perform, self, statements, true)
end

---Gives the file back. What runs ends; what is asked later raises kind `closed`. Idempotent.
function Database:close()
  if not self.native then return end
  c.db_close(self.native)
  self.native = nil
end

function mt.__tostring(self)
  return ("database '%s'%s"):format(self.path, self.native and "" or " (closed)")
end

local function number_option(opts, key, default, what, most)
  local value = opts[key]
  if value == nil then return default end
  if type(value) ~= "number" or value ~= value or value < 0 or value > (most or 2 ^ 52) then
    errors.usage(("%s of db.open is %s; it must be %s"):format(key, errors.shape(value), what))
  end
  return value
end

local function check_schema(schema)
  if schema == nil then return {} end
  for i, step in ipairs(type(schema) == "table" and schema or { schema }) do
    if type(schema) ~= "table" or type(step) ~= "string" then
      errors.usage(("schema of db.open: step %d is %s; it is a list of texts"):format(i,
        errors.shape(step)))
    end
  end
  return schema
end

-- Nothing is done, but the file is opened and checked.
local function touch(self)
  perform(self, {}, false)
  return self
end

---Opens the database at [path], and makes it where it is not there, readable for its owner alone.
---`schema` is a list of texts: text i makes format i out of format i - 1, and is run once in a
---file's life; a file of a newer format, or of another application_id, is refused.
---@async
---@param path string  ":memory:" is one that nobody shares
---@param opts moonpipe.DatabaseOptions?
---@return moonpipe.Database
function db.open(path, opts)
  if type(path) ~= "string" or path == "" or path:find("\0", 1, true) then
    errors.usage("db.open takes a path, got "
      .. (type(path) == "string" and "an empty one or one with a zero byte" or errors.shape(path)))
  end
  opts = errors.options(opts, OPTIONS, "db.open")
  local synchronous = opts.synchronous or "full"
  if not SYNCHRONOUS[synchronous] then
    errors.usage(("synchronous of db.open is %s; it must be 'full' or 'normal'"):format(
      errors.shape(synchronous)))
  end
  local handle = native.check(c.db_open(path, synchronous == "normal",
    number_option(opts, "busy_timeout", BUSY_TIMEOUT, "a number of seconds"),
    number_option(opts, "max_result", MAX_RESULT, "a number of bytes"),
    number_option(opts, "application_id", 0, "a number below 2^31", 2 ^ 31 - 1),
    check_schema(opts.schema)))
  local self = setmetatable({ native = handle, path = c.db_path(handle) }, mt)
  return scheduler.call(touch, self)
end

return db
