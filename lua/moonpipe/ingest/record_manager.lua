--- SQLiteRecordManager: which documents an ingest has put into a store, when, and from where.
--
-- A record says that the document `key` may be in the store: it is written before the document is,
-- and goes after it has gone. So whatever is cut short, nothing is in a store that no record knows.
-- Where a store is saved now and then, a record outlives its document until the next save: then its
-- time is less than 0, minus the number of that save, and only `doomed` shows it.
local db = require "moonpipe.db"
local errors = require "moonpipe.error"
local json = require "moonpipe.json"
local native = require "moonpipe.native"
local scheduler = require "moonpipe.scheduler"

local APPLICATION_ID = 0x6d70726d -- "mprm": a file of something else is refused
local SCHEMA = {
  [[CREATE TABLE upsertion_record (
      namespace TEXT NOT NULL,
      key TEXT NOT NULL,
      group_id TEXT,
      updated_at REAL NOT NULL,
      PRIMARY KEY (namespace, key)
    ) WITHOUT ROWID;
    CREATE INDEX upsertion_record_time ON upsertion_record (namespace, updated_at);
    CREATE INDEX upsertion_record_group ON upsertion_record (namespace, group_id, updated_at)]],
}
local TICK = 1e-6 -- seconds; a double tells such times of this century apart

---@class moonpipe.SQLiteRecordManager
---@field namespace string  of what is ingested: records of others are not seen
---@field path string
local methods = {}
local mt = { __name = "moonpipe.SQLiteRecordManager", __index = methods }

function mt.__tostring(self)
  return ("SQLiteRecordManager '%s'"):format(self.namespace)
end

local function file_of(self)
  self.file = self.file or db.open(self.path, {
    application_id = APPLICATION_ID, schema = SCHEMA, synchronous = self.synchronous or "normal",
    busy_timeout = self.busy_timeout,
  })
  return self.file
end

--- Makes the file and its table, where they are not there; every other method does that too.
---@async
function methods:create_schema()
  scheduler.call(file_of, self)
end

local function time(self)
  local last = file_of(self):rows(
    "SELECT max(updated_at) AS at FROM upsertion_record WHERE namespace = ?", self.namespace)
  return math.max(native.c.wall(), (last[1].at or 0) + TICK)
end

--- Seconds since 1970; later than all records, also where the clock was put back.
---@async
---@return number
function methods:get_time()
  return scheduler.call(time, self)
end

-- ---- records -----------------------------------------------------------------------------------

local function array_of(list)
  local out = json.array {}
  for i, value in ipairs(list) do out[i] = value end
  return json.encode(out)
end

local function check_keys(keys, what)
  for i, key in ipairs(errors.list(keys, what)) do
    if type(key) ~= "string" then
      errors.usage(("key %d of %s is %s; it must be a string"):format(i, what, errors.shape(key)))
    end
  end
  return array_of(keys)
end

local function check_groups(groups, keys)
  if groups == nil then return {} end
  for i = 1, #keys do
    if type(groups) ~= "table" or groups[i] ~= nil and type(groups[i]) ~= "string" then
      errors.usage("group_ids must be a list of strings, one for each key, got "
        .. errors.shape(type(groups) == "table" and groups[i] or groups))
    end
  end
  return groups
end

local UPDATE = [[
  INSERT INTO upsertion_record (namespace, key, group_id, updated_at)
    SELECT ?1, json_extract(value, '$[0]'), json_extract(value, '$[1]'), ?2 FROM json_each(?3)
    WHERE true
  ON CONFLICT (namespace, key)
    DO UPDATE SET group_id = excluded.group_id, updated_at = excluded.updated_at]]

--- Notes keys as of now, or of `time_at_least` where that is later; `group_ids[i]` is the source of
--- key i.
---@async
---@param keys string[]
---@param opts { group_ids: string[]?, time_at_least: number? }?
function methods:update(keys, opts)
  check_keys(keys, "update")
  opts = errors.options(opts, { "group_ids", "time_at_least" }, "update")
  local groups, rows = check_groups(opts.group_ids, keys), json.array {}
  for i, key in ipairs(keys) do rows[i] = json.array { key, groups[i] } end
  local at = math.max(native.c.wall(), opts.time_at_least or 0)
  if rows[1] then
    scheduler.call(function() file_of(self):run(UPDATE, self.namespace, at, json.encode(rows)) end)
  end
end

--- Whether there is a record of each key.
---@async
---@param keys string[]
---@return boolean[]
function methods:exists(keys)
  local list = check_keys(keys, "exists")
  local rows = scheduler.call(function()
    return file_of(self):rows("SELECT key FROM upsertion_record WHERE namespace = ?1 "
      .. "AND updated_at >= 0 AND key IN (SELECT value FROM json_each(?2))", self.namespace, list)
  end)
  local there, out = {}, {}
  for _, row in ipairs(rows) do there[row.key] = true end
  for i, key in ipairs(keys) do out[i] = there[key] or false end
  return out
end

-- ---- which ones --------------------------------------------------------------------------------

---@class moonpipe.RecordFilter
---@field before number?       noted earlier than that
---@field after number?        noted later
---@field group_ids string[]?  of one of these sources
---@field seen_since number?   of sources of which some record was noted then or later
---@field except string[]?     not of one of these sources
---@field from string?         keys behind this one
---@field limit integer?

local CONDITIONS = {
  { "before", "updated_at < ?" },
  { "after", "updated_at > ?" },
  { "group_ids", "group_id IN (SELECT value FROM json_each(?))", list = true },
  { "except", "(group_id IS NULL OR group_id NOT IN (SELECT value FROM json_each(?)))",
    list = true },
  { "seen_since", "group_id IN (SELECT group_id FROM upsertion_record "
    .. "WHERE namespace = ? AND updated_at >= ?)", own = true },
  { "from", "key > ?" },
}

-- What follows WHERE, and its values.
local function where(self, filter)
  local texts, values = { "namespace = ? AND updated_at >= 0" }, { self.namespace }
  for _, condition in ipairs(CONDITIONS) do
    local value = filter[condition[1]]
    if value ~= nil then
      texts[#texts + 1] = condition[2]
      if condition.own then values[#values + 1] = self.namespace end
      values[#values + 1] = condition.list and array_of(value) or value
    end
  end
  return table.concat(texts, " AND "), values
end

local function list(self, filter)
  local condition, values = where(self, filter)
  values[#values + 1] = filter.limit or -1
  -- +key: else SQLite goes through all keys in their order, to find those of one source
  local rows = file_of(self):rows("SELECT key FROM upsertion_record WHERE " .. condition
    .. (filter.group_ids and " ORDER BY +key LIMIT ?" or " ORDER BY key LIMIT ?"), unpack(values))
  local keys = {}
  for i, row in ipairs(rows) do keys[i] = row.key end
  return keys
end

local FILTER = { "after", "before", "except", "from", "group_ids", "limit", "seen_since" }

--- The keys that a filter takes, sorted.
---@async
---@param filter moonpipe.RecordFilter?
---@return string[]
function methods:list_keys(filter)
  return scheduler.call(list, self, errors.options(filter, FILTER, "list_keys"))
end

-- Runs a statement on keys: the namespace is ?1, the keys are ?2.
local function on_keys(self, what, keys, sql, ...)
  local text = check_keys(keys, what)
  scheduler.call(function(...)
    file_of(self):run(sql .. " WHERE namespace = ?1 AND key IN (SELECT value FROM json_each(?2))",
      self.namespace, text, ...)
  end, ...)
end

--- Forgets keys.
---@async
---@param keys string[]
function methods:delete_keys(keys)
  on_keys(self, "delete_keys", keys, "DELETE FROM upsertion_record")
end

--- Says that the documents of keys have gone, and that save [number] of the store will show it.
---@async
---@param keys string[]
---@param number integer  from 1
function methods:doom(keys, number)
  on_keys(self, "doom", keys, "UPDATE upsertion_record SET updated_at = -?3", number)
end

--- Keys whose documents have gone, behind [from].
---@async
---@param from string?
---@param limit integer
---@return string[]
function methods:doomed(from, limit)
  return scheduler.call(function()
    local rows = file_of(self):rows("SELECT key FROM upsertion_record WHERE namespace = ? AND "
      .. "updated_at < 0 AND key > ? ORDER BY key LIMIT ?", self.namespace, from or "", limit)
    for i, row in ipairs(rows) do rows[i] = row.key end
    return rows
  end)
end

--- Forgets the keys that are doomed and whose documents save [number] has left out.
---@async
---@param number integer
function methods:forget_doomed(number)
  scheduler.call(function()
    file_of(self):run("DELETE FROM upsertion_record WHERE namespace = ? AND updated_at < 0 "
      .. "AND updated_at >= -?", self.namespace, number)
  end)
end

--- Returns when what was noted outlasts a power cut.
---@async
function methods:sync()
  scheduler.call(function() file_of(self):rows("PRAGMA wal_checkpoint(FULL)") end)
end

--- Gives the file back; a later call opens it again.
function methods:close()
  if self.file then self.file:close() end
  self.file = nil
end

-- ---- making one --------------------------------------------------------------------------------

local function construct(_, namespace, opts)
  if type(namespace) ~= "string" or namespace == "" then
    errors.usage("SQLiteRecordManager takes a namespace, got "
      .. (namespace == "" and "an empty one" or errors.shape(namespace)))
  end
  opts = errors.options(opts, { "busy_timeout", "path", "synchronous" }, "SQLiteRecordManager")
  if type(opts.path) ~= "string" or opts.path == "" then
    errors.usage("SQLiteRecordManager needs the path of a file: { path = \"records.db\" }")
  end
  return setmetatable({
    namespace = namespace, path = opts.path, synchronous = opts.synchronous,
    busy_timeout = opts.busy_timeout,
  }, mt)
end

---`SQLiteRecordManager(namespace, { path = "records.db" })`, with `synchronous` and `busy_timeout`
---as of db.open; but "normal" is what it does, as an ingest has the records on disk before it saves
---a store. One file has records of many namespaces: a name for each store.
---@overload fun(namespace: string, opts: table): moonpipe.SQLiteRecordManager
local SQLiteRecordManager = setmetatable({}, {
  __name = "moonpipe.class",
  __call = construct,
  __tostring = function() return "SQLiteRecordManager" end,
})

return { SQLiteRecordManager = SQLiteRecordManager }
