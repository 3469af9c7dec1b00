--- How many items of a chain may begin a second, whatever processes run it on this machine.
--
-- The processes of one user share a SQLite file. Whoever begins an item takes the next moment that
-- is free, the same distance behind the last one, and waits for it: items begin evenly. Moments
-- are of the machine's monotonic clock, which begins anew when it does.
local db = require "moonpipe.db"
local log = require "moonpipe.log"
local native = require "moonpipe.native"
local scheduler = require "moonpipe.scheduler"

local c = native.c

---@class moonpipe.BatchRate
---@field db moonpipe.Database
---@field name string
---@field gap number  seconds between two items
local Rate = {}
Rate.__index = Rate

local batch_rate = {}

local APPLICATION_ID = 0x6d707274 -- "mprt"
local SCHEMA = { "CREATE TABLE moments (name TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID" }
local NEXT = [[INSERT INTO moments VALUES (?, ?)
  ON CONFLICT (name) DO UPDATE SET at = max(at + ?, excluded.at) RETURNING at]]

local UNITS = { s = 1, m = 60, h = 3600 }

---The items a second that a text such as "10/s", "500/m" or "2000/h" says.
---@param text string
---@return number? rate
function batch_rate.read(text)
  local count, unit = text:match("^(%d+%.?%d*)/([smh])$")
  local rate = count and tonumber(count) / UNITS[unit]
  return rate and rate > 0 and rate or nil
end

-- Differs for each start of the machine.
local function boot_id()
  local file = io.open("/proc/sys/kernel/random/boot_id")
  local id = file and file:read() or ""
  if file then file:close() end
  return id
end

local function open(path)
  return db.open(path, { application_id = APPLICATION_ID, schema = SCHEMA, synchronous = "normal" })
end

---@async
---@param rate number     items a second
---@param chain string    what tells the chain from others
---@param folder string?  where processes meet; nil: each goes its own way
---@return moonpipe.BatchRate
function batch_rate.new(rate, chain, folder)
  local self = setmetatable({ name = boot_id() .. " " .. chain, gap = 1 / rate }, Rate)
  local ok, found = pcall(open, folder and folder .. "/rates" or ":memory:")
  if not ok then
    log.warn(("--rate is not shared with other processes: %s"):format(tostring(found)))
    found = open ":memory:"
  end
  self.db = found
  return self
end

---Waits until the next item may begin.
---@async
function Rate:take()
  local at = self.db:rows(NEXT, self.name, c.now(), self.gap)[1].at
  local seconds = at - c.now()
  if seconds > 0 then scheduler.sleep(seconds) end
end

---@async
function Rate:close()
  self.db:close()
end

return batch_rate
