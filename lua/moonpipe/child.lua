--- A program that runs beside ours: its lines as they come, and what it is told.
--
-- It gets no environment but what is listed here and what it is given: our keys are none of
-- its business.
local errors = require "moonpipe.error"
local jobs = require "moonpipe.jobs"
local native = require "moonpipe.native"
local scheduler = require "moonpipe.scheduler"

local c = native.c

---@class moonpipe.Child
---@field id integer      of its job
---@field ended moonpipe.Error?  how, once it has
---@field on_line fun(self, line: string)        called in the loop; may not wait, nor the next two
---@field on_error_line fun(self, line: string)  of its standard error
---@field on_end fun(self, err: moonpipe.Error)
local Child = {}
Child.__index = Child

local child = {}

local INHERITED = {
  "HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "USER",
}

-- `false` is none at all. `true` takes a variable of ours: a script need not hold what is in it.
local function environment(given)
  local set, list = {}, {}
  if given == false then return list end
  for _, name in ipairs(INHERITED) do set[name] = os.getenv(name) end
  for name, value in pairs(given or {}) do
    if value == true then value = os.getenv(name) end
    set[name] = value or nil
  end
  for name, value in pairs(set) do list[#list + 1] = name .. "=" .. value end
  table.sort(list)
  return list
end

function Child:on_event(kind, cargo, error_kind)
  while true do
    local line, name = self.inbox:read()
    if not line then break end
    if name == "" then self:on_line(line) else self:on_error_line(line) end
  end
  if kind == jobs.CHUNK then return end
  if kind == jobs.FAILED then
    self.ended = errors.new { kind = error_kind, message = cargo }
  else
    self.ended = errors.new { kind = "closed", message = "it was closed" }
  end
  self:on_end(self.ended)
  if self.closer then scheduler.unpark(self.closer) end
end

---Starts a program. [fields] become those of the child: `on_line`, `on_error_line`, `on_end`.
---@param command string[]
---@param opts { env: table<string, string|boolean>|false|nil, cwd: string?, raw: boolean?,
---       worthless: boolean?, familiar: boolean? }  raw: on_line gets what came at once; worthless:
---       it is killed to end it, with no word before; familiar: it has our environment and our
---       standard error
---@param fields table  taken
---@return moonpipe.Child
function child.start(command, opts, fields)
  local id, inbox, handle = c.child(command, environment(opts.env), opts.cwd, opts.raw,
    opts.worthless, opts.familiar)
  if not id then errors.raise(handle, inbox) end
  local self = setmetatable(fields, Child)
  self.id, self.inbox, self.handle = id, inbox, handle
  jobs.listen(id, self)
  return self
end

---Hands over bytes; waits until they were taken.
---@async
---@param bytes string
---@param last boolean?  its input ends with them
function Child:write(bytes, last)
  scheduler.await(jobs.submit(c.child_write, self.handle, bytes, last))
end

---The same, without waiting; nobody hears of a failure.
---@param bytes string
function Child:write_later(bytes)
  c.child_write(self.handle, bytes)
end

---Ends it, without waiting for that.
function Child:stop()
  jobs.cancel(self.id)
end

---Ends it, and waits until it is gone: first its input is closed, then it is sent SIGTERM, then
---SIGKILL. Idempotent.
---@async
function Child:close()
  if self.ended then return end
  self.closer = scheduler.current()
  jobs.cancel(self.id)
  while not self.ended do scheduler.park_raw() end
end

return child
