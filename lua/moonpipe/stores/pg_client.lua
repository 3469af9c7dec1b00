--- PostgreSQL from a task: statements whose values are bound, and their rows.
--
-- Errors name the server's SQLSTATE and have the kinds `connect dns tls auth config` (a database
-- that is not there) `timeout_connect timeout_total reset input too_large io`; never the
-- connection string.
local errors = require "moonpipe.error"
local native = require "moonpipe.native"
local scheduler = require "moonpipe.scheduler"
local secret = require "moonpipe.secret"

local c = native.c

local MAX_RESULT = 256 * 2 ^ 20 -- bytes of one answer
local CONNECT, TOTAL = 5, 600   -- seconds
local POOL_SIZE, POOL_MAX = 8, 64
local ATTEMPTS = 5 -- of what is undone for the sake of another

local client = { OPTIONS = { "connection", "pool_size", "timeout" } }

---@class moonpipe.PgClient
---@field native userdata?
---@field password moonpipe.Secret?  so that no error or trace shows it
local Client = {}
local mt = { __name = "moonpipe.PgClient", __index = Client }

-- ---- options -----------------------------------------------------------------------------------

local function unescaped(text)
  return (text:gsub("%%(%x%x)", function(digits) return string.char(tonumber(digits, 16)) end))
end

-- The password in a connection string: others may show it where it stands alone. Nil where a secret
-- cannot hold it.
local function password_of(url)
  if type(url) ~= "string" then return nil end
  local found = url:match("^%w+://[^/@]*:([^/@]*)@") or url:match("[?&]password=([^&]*)")
  local ok, key = pcall(secret.of, found and unescaped(found))
  return ok and key or nil
end

local function connection_of(opts, what)
  local given = opts.connection
  if type(given) == "string" and not given:find("^postgres[ql]*://[%w%p]*$") then
    errors.raise("config", ("connection of %s is no URL such as "
      .. "postgresql://user:password@host:5432/database"):format(what))
  end
  return secret.of(given, "connection of " .. what)
end

local function seconds_of(opts, what)
  local given = opts.timeout
  if type(given) ~= "table" then given = { total = given } end
  errors.options(given, { "connect", "total" }, "timeout of " .. what)
  for name, value in pairs(given) do
    if type(value) ~= "number" or value ~= value or value <= 0 then
      errors.usage(("timeout of %s: %s must be seconds, more than 0, got %s"):format(what, name,
        errors.shape(value)))
    end
  end
  return given.connect or CONNECT, given.total or TOTAL
end

local function size_of(opts, what)
  local size = opts.pool_size
  if size == nil then return POOL_SIZE end
  if type(size) ~= "number" or size < 1 or size > POOL_MAX or size % 1 ~= 0 then
    errors.usage(("pool_size of %s must be an integer from 1 to %d, got %s"):format(what, POOL_MAX,
      errors.shape(size)))
  end
  return size
end

--- A client of the server that `connection` names; the first statement connects. Clients of equal
--- strings share their connections.
---@param opts table    connection, pool_size, timeout
---@param what string   whose options they are
---@return moonpipe.PgClient
function client.new(opts, what)
  if opts.connection == nil then
    errors.usage(what .. " needs connection = \"postgresql://user@host:5432/database\"")
  end
  local size, connect, total = size_of(opts, what), seconds_of(opts, what)
  local connection = connection_of(opts, what)
  local self = setmetatable({ password = password_of(opts.connection) }, mt)
  self.native = native.check(c.pg_open(connection, size, connect, total, MAX_RESULT))
  return self
end

-- ---- statements --------------------------------------------------------------------------------

local function ask_once(self, statements, atomic)
  if not self.native then errors.raise("closed", "the store is closed") end
  scheduler.raise_if_cancelled(scheduler.current())
  local id = native.check(c.pg_do(self.native, statements, atomic == true))
  return c.db_answers(scheduler.await(id))
end

-- Two that changed the same rows in another order: the server has undone all that one of them did.
local function lost_to_another(err)
  return client.is_state(err, "40P01") or client.is_state(err, "40001")
end

--- Does statements, `{ text, values…, n = places }`; all or none where it is [atomic]. Gives
--- `{ changes =, rows = }` for each. In a task.
---@async
---@param statements table[]
---@param atomic boolean?
---@return { changes: integer, rows: table[] }[]
function Client:ask(statements, atomic)
  for _ = 2, ATTEMPTS do
    local ok, value = pcall(ask_once, self, statements, atomic)
    if ok then return value end
    if not lost_to_another(value) then error(value, 0) end
  end
  return ask_once(self, statements, atomic)
end

--- The rows of one statement.
---@async
---@param text string
---@param ... any  its values
---@return table[]
function Client:rows(text, ...)
  return self:ask({ { n = select("#", ...) + 1, text, ... } })[1].rows
end

--- Gives the connections back. Idempotent.
function Client:close()
  if not self.native then return end
  c.pg_close(self.native)
  self.native = nil
end

--- Whether an error has that SQLSTATE.
---@param err any
---@param state string
---@return boolean
function client.is_state(err, state)
  return errors.is(err) and err.message:find("(SQLSTATE " .. state .. ")", 1, true) ~= nil
end

--- A name as a statement has it.
---@param name string
---@return string
function client.name(name)
  return '"' .. name:gsub('"', '""') .. '"'
end

--- A statement that grows, and what gives the place of a value: bind(value, "text") -> "$1::text".
---@return table statement
---@return fun(value: any, kind: string): string bind
function client.statement()
  local self = { "", n = 1 }
  local function bind(value, kind)
    self.n = self.n + 1
    self[self.n] = value
    return ("$%d::%s"):format(self.n - 1, kind)
  end
  return self, bind
end

return client
