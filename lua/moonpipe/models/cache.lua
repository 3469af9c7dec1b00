--- Answers of models that are kept: in memory, or in a SQLite file.
--
-- A cache has `lookup(key)`, which gives the text stored or nil, `store(key, text)`,
-- `drop(key)` and `clear()`; all may wait. Keys are the requests themselves, so two
-- calls share an answer only where they would have asked the same.
local db = require "moonpipe.db"
local errors = require "moonpipe.error"
local native = require "moonpipe.native"

local now = native.c.now

local cache = {}

local function check_number(class, name, value, whole)
  if value ~= nil and (type(value) ~= "number" or value ~= value or value <= 0
    or whole and value ~= math.floor(value)) then
    errors.usage(("%s of %s must be %s more than 0, got %s"):format(name, class,
      whole and "a whole number" or "seconds,", errors.shape(value)))
  end
  return value
end

local function class(name, methods, new)
  local mt = { __name = "moonpipe." .. name, __index = methods, cache = true,
    __tostring = function() return name end }
  cache[name] = setmetatable({}, {
    __name = "moonpipe.class",
    __call = function(_, opts) return setmetatable(new(opts), mt) end,
    __tostring = function() return "class " .. name end,
  })
end

---Whether a value can be a model's cache.
---@param value any
---@return boolean
function cache.is(value)
  if type(value) ~= "table" then return false end
  local mt = getmetatable(value)
  return mt and mt.cache or type(value.lookup) == "function" and type(value.store) == "function"
end

-- ---- in memory -------------------------------------------------------------------------------

local MAX_ENTRIES = 1000

---@class moonpipe.InMemoryCache  forgets what was not used for longest
---@field entries table<string, table>  by key; each in a ring, the newest behind `ring`
---@field count integer
---@field max_entries integer
---@field ttl number?  seconds
local Memory = {}

local function take_out(entry)
  entry.before.after, entry.after.before = entry.after, entry.before
end

local function put_in(ring, entry)
  entry.before, entry.after = ring, ring.after
  ring.after.before, ring.after = entry, entry
end

local function forget(self, entry)
  take_out(entry)
  self.entries[entry.key] = nil
  self.count = self.count - 1
end

function Memory:lookup(key)
  local entry = self.entries[key]
  if not entry then return nil end
  if entry.expires and now() >= entry.expires then
    forget(self, entry)
    return nil
  end
  take_out(entry)
  put_in(self.ring, entry)
  return entry.text
end

function Memory:store(key, text)
  local known = self.entries[key]
  if known then forget(self, known) end
  local entry = { key = key, text = text, expires = self.ttl and now() + self.ttl }
  self.entries[key] = entry
  put_in(self.ring, entry)
  self.count = self.count + 1
  if self.count > self.max_entries then forget(self, self.ring.before) end
end

function Memory:drop(key)
  local entry = self.entries[key]
  if entry then forget(self, entry) end
end

function Memory:clear()
  local ring = {}
  ring.before, ring.after = ring, ring
  self.ring, self.entries, self.count = ring, {}, 0
end

---`InMemoryCache{ max_entries = 1000, ttl = seconds }`.
---@overload fun(opts: { max_entries: integer?, ttl: number? }?): moonpipe.InMemoryCache
class("InMemoryCache", Memory, function(opts)
  opts = errors.options(opts, { "max_entries", "ttl" }, "InMemoryCache")
  local self = {
    max_entries = check_number("InMemoryCache", "max_entries", opts.max_entries, true)
      or MAX_ENTRIES,
    ttl = check_number("InMemoryCache", "ttl", opts.ttl),
  }
  Memory.clear(self)
  return self
end)

-- ---- in a file -------------------------------------------------------------------------------

local APPLICATION_ID = 0x6d706361 -- "mpca": a file of something else is refused
local SCHEMA = {
  [[CREATE TABLE llm_cache (
      key TEXT PRIMARY KEY,
      answer TEXT NOT NULL,
      made_at INTEGER NOT NULL
    ) WITHOUT ROWID]],
}

---@class moonpipe.SQLiteCache
---@field path string
---@field ttl number?  seconds
local File = {}

local function file_of(self)
  self.file = self.file or db.open(self.path, {
    application_id = APPLICATION_ID, schema = SCHEMA, synchronous = "normal",
  })
  return self.file
end

function File:lookup(key)
  local oldest = self.ttl and os.time() - self.ttl or 0
  local row = file_of(self):rows(
    "SELECT answer FROM llm_cache WHERE key = ? AND made_at > ?", key, oldest)[1]
  return row and row.answer
end

function File:store(key, text)
  file_of(self):run("INSERT OR REPLACE INTO llm_cache (key, answer, made_at) VALUES (?, ?, ?)",
    key, text, os.time())
end

function File:drop(key)
  file_of(self):run("DELETE FROM llm_cache WHERE key = ?", key)
end

function File:clear()
  file_of(self):run "DELETE FROM llm_cache"
end

---`SQLiteCache{ path =, ttl = seconds }`: readable for its owner alone; what is old is not
---given, and stays until it is asked for anew.
---@overload fun(opts: { path: string, ttl: number? }): moonpipe.SQLiteCache
class("SQLiteCache", File, function(opts)
  opts = errors.options(opts, { "path", "ttl" }, "SQLiteCache")
  if type(opts.path) ~= "string" or opts.path == "" then
    errors.usage("SQLiteCache needs the path of a file: { path = \"answers.db\" }")
  end
  return { path = opts.path, ttl = check_number("SQLiteCache", "ttl", opts.ttl) }
end)

-- ---- for all models ----------------------------------------------------------------------------

---The cache of all models that have none of their own; nil for none.
---@param value table?
function cache.set_llm_cache(value)
  if value ~= nil and not cache.is(value) then
    errors.usage("set_llm_cache takes a cache, got " .. errors.shape(value))
  end
  require("moonpipe.models.chat_api").shared.cache = value
end

return cache
