--- The reader of one stream of HTTP, seen from a task: its head, its records, its end.
--
-- Whatever is written to while the collector marks, it looks at again, and a stream may be one of
-- thousands: its reader has few fields, and none is written to for each record.
local errors = require "moonpipe.error"
local jobs = require "moonpipe.jobs"
local scheduler = require "moonpipe.scheduler"
local tree = require "moonpipe.tree"

local reader = {}

local DRAIN_MAX = 64 * 1024 * 1024 -- what a stream may hold that drains into memory

---@class moonpipe.Clock  what a total time is counted from
---@field begun number  moved on by the time that an attempt stood in queues

-- Time in a queue counts only against the caller's timeout.
function reader.note_wait(clock, waited)
  if clock and waited then clock.begun = clock.begun + waited end
end

---What reads the headers in a head.
---@param head string
---@return fun(name: string): string?
function reader.header_of(head)
  return function(name)
    local _, at = head:find("\n" .. name .. ": ", 1, true)
    return at and head:match("^[^\n]*", at + 1) or nil
  end
end

---@class moonpipe.HttpReader
---@field status integer
---@field head string
---@field header fun(name: string): string?
---@field body string?  the whole answer, where the server sent no stream
---@field clock moonpipe.Clock?
---@field node moonpipe.Node  its place in the tree, with the id of its job
---@field on_end fun()?       called when the transfer has ended; may not wait
local Reader = {}
local reader_mt = { __name = "moonpipe.HttpReader", __index = Reader }
reader.Reader = Reader

local function learn_head(self, head)
  self.status, self.head, self.header = tonumber(head:sub(1, 3)), head, reader.header_of(head)
end

function Reader:on_event(kind, cargo, error_kind, head, waited)
  if kind == jobs.CHUNK then
    if not self.begun then self.begun = true end
  else
    self.ended, self.kind, self.cargo, self.error_kind = true, kind, cargo, error_kind
    if kind == jobs.DONE and cargo then self.body = cargo end
    reader.note_wait(self.clock, waited)
    tree.finished(self.node)
    if self.on_end then self.on_end() end
  end
  head = head or not self.status and self.inbox:head()
  if head and not self.status then learn_head(self, head) end
  local task = self.task
  if task and task.job == self.node.id then
    task.job = nil
    scheduler.unpark(task)
  end
end

---Parks the running task until the next event; a cancel of it cancels the job.
---@async
function Reader:wait()
  local task = scheduler.current()
  if self.task ~= task then self.task = task end -- what is not written to, the collector spares
  task.job = self.node.id
  return scheduler.await_job(task)
end

local function raise_end(self)
  if self.raised then return nil end
  self.raised = true
  jobs.check(self.kind, self.cargo, self.error_kind)
end

local function is_stream(self)
  local kind = self.header("content-type") or ""
  return self.status >= 200 and self.status < 300
    and (kind:find("event%-stream") or kind:find("ndjson")) ~= nil
end

-- Thousands of streams may wait here: their stacks, which double, are kept low.
local function wait_for_head(self)
  while not self.status and not self.ended do self:wait() end
  if not self.status then
    raise_end(self)
    errors.raise("protocol", "the answer has no status")
  end
  -- in a stream reading comes to the failure in time
  if self.ended and not self.begun and not is_stream(self) then raise_end(self) end
  return self
end

---The reader of job [id], once its head is there; raises what came in its place.
---@async
---@param id integer
---@param inbox moonpipe.Inbox
---@param clock moonpipe.Clock?
---@return moonpipe.HttpReader
function reader.follow(id, inbox, clock)
  local node = tree.job_node(scheduler.owner(), id)
  -- eight fields while it is open: a stream may be one of thousands
  local self = setmetatable({ inbox = inbox, clock = clock, node = node }, reader_mt)
  jobs.listen(id, self)
  return wait_for_head(self)
end

---As `read`, but false where it had to wait: then it has read nothing yet.
---@async
---@return string|false|nil data
---@return string? name
function Reader:read_or_wait()
  local data, name = self.inbox:read()
  if data then return data, name end
  if self.ended then return raise_end(self) end
  self:wait()
  return false
end

---The next record, or nil at the clean end of the body; raises what the transfer
---failed with, after all records that came before.
---@async
---@return string? data
---@return string? name  of a server-sent event, "" for none
function Reader:read()
  local data, name
  repeat data, name = self:read_or_wait() until data ~= false
  return data, name
end

---Whether the transfer has ended and all records have been read; drops the next one
---where there is one.
---@return boolean
function Reader:is_over()
  return self.ended and self.inbox:read() == nil
end

---Reads the records that are there and are before .. text .. behind, up to the
---first that is not, and writes their texts to [list]: good UTF-8 without escapes. A
---single one is given only. Does not wait.
---@param before string
---@param behind string
---@param list string[]
---@return integer count
---@return string? first
function Reader:texts(before, behind, list)
  return self.inbox:texts(before, behind, list)
end

---Lets the transfer go on into memory, whether somebody reads or not.
function Reader:drain()
  local inbox = self.uncut or self.inbox
  inbox:window(DRAIN_MAX)
end

local function read_over(self)
  while not self.ended do
    self:wait()
    while self.inbox:read() do end -- what its sender no longer counts
  end
end

---Lets the transfer end by itself, for at most [seconds]: then its connection can
---serve another call. What still comes is dropped, a failure too.
---@async
---@param seconds number
function Reader:finish(seconds)
  if self.ended then return end
  local timer = jobs.timer(seconds, function() self:close() end)
  local ok, err = pcall(read_over, self)
  jobs.forget(timer)
  if not ok then error(err, 0) end
end

---Ends the transfer. Idempotent.
function Reader:close()
  if not self.ended then jobs.cancel(self.node.id) end
end

return reader
