--- Conversations in a SQLite file, each under its session id.
--
-- A turn is stored in one transaction (BEGIN IMMEDIATE). Several processes may use one file: no
-- turn is lost, or mixed with another; that two calls of one session run one after the other, each
-- with the past of those before, is seen to within a process alone.
local codec = require "moonpipe.histories.codec"
local db = require "moonpipe.db"
local errors = require "moonpipe.error"
local history = require "moonpipe.histories.history"

local OPTIONS = { "busy_timeout", "path", "synchronous" }

local APPLICATION_ID = 0x6d706873 -- "mphs": a file of something else is refused
local SCHEMA = {
  [[CREATE TABLE message_store (
      id INTEGER PRIMARY KEY,
      session_id TEXT NOT NULL,
      message TEXT NOT NULL,
      created_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
    );
    CREATE INDEX message_store_session ON message_store (session_id, id)]],
}

-- Open as long as the program runs: a factory makes a history for each call.
local files = {}

local function file_of(self)
  if self.file then return self.file end
  local key = ("%s\0%s\0%s"):format(self.path, self.synchronous or "", self.busy_timeout or "")
  files[key] = files[key] or db.open(self.path, {
    application_id = APPLICATION_ID,
    schema = SCHEMA,
    synchronous = self.synchronous,
    busy_timeout = self.busy_timeout,
  })
  self.file = files[key]
  return self.file
end

---@class moonpipe.SQLiteHistoryOptions
---@field path string
---@field busy_timeout number?  as of db.open, and
---@field synchronous "full"|"normal"|nil

---@class moonpipe.SQLiteChatMessageHistory: moonpipe.ChatMessageHistory
---@field session_id string
---@field path string
---SQLiteChatMessageHistory(session_id, opts)
local SQLite, methods = history.class("SQLiteChatMessageHistory", function(session_id, opts)
  if type(session_id) == "number" then session_id = ("%.14g"):format(session_id) end
  if type(session_id) ~= "string" or session_id == "" then
    errors.usage("SQLiteChatMessageHistory takes a session id, got "
      .. (session_id == "" and "an empty one" or errors.shape(session_id)))
  end
  opts = errors.options(opts, OPTIONS, "SQLiteChatMessageHistory")
  if type(opts.path) ~= "string" then
    errors.usage("SQLiteChatMessageHistory needs the path of a file: { path = \"history.db\" }")
  end
  return {
    session_id = session_id,
    path = opts.path,
    synchronous = opts.synchronous,
    busy_timeout = opts.busy_timeout,
  }
end)

---@async
---@return moonpipe.Message[]
function methods:messages()
  local rows = file_of(self):rows(
    "SELECT id, message FROM message_store WHERE session_id = ? ORDER BY id", self.session_id)
  local list = {}
  for i, row in ipairs(rows) do
    list[i] = codec.decode(row.message, ("message %s of session '%s' in '%s'"):format(row.id,
      self.session_id, self.file.path))
  end
  return list
end

---All or none; stored when it returns.
---@async
---@param list any[]
function methods:add_messages(list)
  local statements = {}
  for i, one in ipairs(history.coerce(list)) do
    statements[i] = {
      "INSERT INTO message_store (session_id, message) VALUES (?, ?)",
      self.session_id, codec.encode(one),
    }
  end
  if statements[1] then file_of(self):transaction(statements) end
end

---Forgets the last messages of this session.
---@async
---@param count integer
function methods:remove_last(count)
  file_of(self):run("DELETE FROM message_store WHERE id IN (SELECT id FROM message_store"
    .. " WHERE session_id = ? ORDER BY id DESC LIMIT ?)", self.session_id, count)
end

---Forgets this session.
---@async
function methods:clear()
  file_of(self):run("DELETE FROM message_store WHERE session_id = ?", self.session_id)
end

---@async
function methods:lock_key()
  return file_of(self).path .. "\0" .. self.session_id
end

---The sessions in a file, the latest last: how many messages each has, and when the last of them
---came (UTC).
---@async
---@param opts moonpipe.SQLiteHistoryOptions
---@return { session_id: string, messages: integer, last: string }[]
function SQLite.sessions(opts)
  return file_of(SQLite("*", opts)):rows("SELECT session_id, count(*) AS messages,"
    .. " max(created_at) AS last FROM message_store GROUP BY session_id ORDER BY max(id)")
end

return { SQLiteChatMessageHistory = SQLite }
