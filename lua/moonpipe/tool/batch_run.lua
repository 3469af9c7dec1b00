--- One run of a batch: items are read while there is room, and are done when they are on disk.
--
-- A task of its own reads, for that may wait for a pipe or for the rate while others end. An
-- item's place among the -j is free once its result is on disk: whatever kills the process, at
-- most that many calls were for nothing.
local batch_output = require "moonpipe.tool.batch_output"
local context = require "moonpipe.context"
local errors = require "moonpipe.error"
local jobs = require "moonpipe.jobs"
local json = require "moonpipe.json"
local native = require "moonpipe.native"
local redact = require "moonpipe.redact"
local run = require "moonpipe.run"
local scheduler = require "moonpipe.scheduler"
local terminal = require "moonpipe.terminal"
local tree = require "moonpipe.tree"
local window = require "moonpipe.window"

local c = native.c

---@class moonpipe.BatchRun
---@field chain moonpipe.Runnable
---@field input moonpipe.BatchInput
---@field journal moonpipe.BatchJournal
---@field output moonpipe.BatchOutput
---@field shard { at: integer, of: integer }
---@field retry boolean?     what failed in earlier runs is run again
---@field rate moonpipe.BatchRate?
---@field most { count: integer?, percent: number? }?  failures of this run that end it
---@field on_failure fun(err: moonpipe.Error)?
---@field usage moonpipe.UsageTotals
---@field began number
---@field under table<integer, moonpipe.BatchItem>  under way, by their place in the window
---@field queue moonpipe.BatchItem[]  read and not begun, from `first` to `last`
---@field skipped integer    items that had their result before
---@field taken integer      the others that were read
---@field fresh integer      results of this run, on disk
---@field fresh_failed integer
---@field ending string?     why no more is begun: "signal" or "failures"
---@field first_failure moonpipe.Error?
local Run = {}
Run.__index = Run

local batch_run = {}

local GRACE = 5 -- seconds that items under way have when the batch is to end

-- Failures that all other items would have as well: they end the batch, and are nobody's result.
local ENDS_ALL = { auth = true, config = true, quota = true }

-- ---- items -------------------------------------------------------------------------------

local function changed(self, item)
  errors.raise("input", ("%s:%d: this is not what item %d was when the batch began; an input"
    .. " may get more items, but those it had must stay"):format(self.input.name, item.line,
    item.index))
end

-- Whether an item is to be run: it is of this shard, and has no result.
local function is_open(self, item)
  if (item.index - self.shard.at) % self.shard.of ~= 0 then return false end
  local row = self.earlier(item.index)
  if not row then return true end
  if row.digest ~= item.digest then changed(self, item) end
  if self.retry and row.ok == 0 then
    item.again = true
    return true
  end
  self.skipped = self.skipped + 1
  return false
end

local function check_end(self)
  local row = not self.input.cut and self.earlier()
  if not row or row.run == self.journal.run then return end
  errors.raise("input", ("%s ends before item %d, which has a result; is it another input?")
    :format(self.input.name, row.item))
end

local function next_item(self)
  for item in self.input.next, self.input do
    if is_open(self, item) then return item end
  end
  check_end(self)
end

local function read_items(self)
  while not self.ending do
    if self.window:room() <= self.last - self.first + 1 then
      scheduler.park()
    else
      local item = next_item(self)
      if not item then return end
      if self.rate then self.rate:take() end
      self.taken, self.last = self.taken + 1, self.last + 1
      self.queue[self.last] = item
      self.window:wake()
    end
  end
end

local function read_on(self)
  local ok, err = pcall(read_items, self)
  if not ok and not self.ending then self.problem = err end
  self.reading = false
  self.window:wake()
end

local function raise(err)
  error(err, 0)
end

-- Begins the next item; false where it has not been read yet, nil where there is none.
local function begin(self, i)
  if self.first > self.last then
    if self.reading then return false end
    return nil
  end
  local item = self.queue[self.first]
  self.queue[self.first], self.first = nil, self.first + 1
  self.under[i] = item
  if item.err then return scheduler.spawn(self.ctx, nil, raise, item.err) end
  return scheduler.spawn(self.ctx, nil, run.invoke, self.chain, item.value, self.ctx)
end

-- ---- results -----------------------------------------------------------------------------

local TOLD = { "kind", "message", "path", "where", "step", "provider", "model", "status",
  "request_id", "attempts", "elapsed" }

local function error_line(item, err)
  local told = {}
  for _, name in ipairs(TOLD) do told[name] = err[name] end
  told.message = errors.text(err.message)
  local input = item.value
  if item.err then input = item.text end
  local line = ('{"index":%d,"line":%d,"error":%s,"input":%s}'):format(item.index, item.line,
    json.encode(told), json.encode(input))
  return redact.text(terminal.json(line))
end

local function output_line(item, value)
  return ('{"index":%d,"line":%d,"output":%s}'):format(item.index, item.line,
    value == nil and "null" or terminal.json(json.encode(value)))
end

local function failure_of(self, item, value)
  return errors.wrap(value):at(("item %d, %s:%d"):format(item.index, self.input.name, item.line))
end

-- The line of a failure; nil where it is no result: it ends the batch, or is our own cancel.
local function failed(self, item, value)
  local err = failure_of(self, item, value)
  if self.ending and err.kind == "cancelled" then return nil end
  if ENDS_ALL[err.kind] or self.stopped then
    self.fatal = self.fatal or err
    return nil
  end
  self.first_failure = self.first_failure or err
  self.fresh_failed = self.fresh_failed + 1
  if self.on_failure then self.on_failure(err) end
  return error_line(item, err)
end

-- The row of an item that has ended, or nil.
local function row_of(self, task, index)
  local item = self.under[index]
  self.under[index] = nil
  local ok, line, err = task.err == nil, nil, task.err
  if ok then
    ok, line = pcall(output_line, item, task.value)
    if not ok then err = line end
  end
  if not ok then line = failed(self, item, err) end
  return line and { index = item.index, digest = item.digest, ok = ok, line = line,
    again = item.again }
end

local function is_too_many(self)
  local most, done = self.most, self.fresh
  if not most then return false end
  if most.count then return self.fresh_failed >= most.count end
  return done >= most.least and self.fresh_failed * 100 >= most.percent * done
end

-- Stores what has ended and writes what that completes.
local function keep(self, task, index)
  local rows, is_next = {}, false
  while task do
    local row = row_of(self, task, index)
    if row then
      rows[#rows + 1], is_next = row, is_next or row.index == self.output.next
    end
    task, index = self.window:take()
  end
  self.journal:store(rows)
  self.fresh = self.fresh + #rows
  if is_next then self.output:advance() end
  if self.fatal then error(self.fatal, 0) end
  if is_too_many(self) then self:wind_down("failures") end
  scheduler.unpark(self.reader)
end

-- ---- the whole ---------------------------------------------------------------------------

---How far it is.
---@return moonpipe.BatchProgress
function Run:progress()
  local input = self.input
  return {
    done = self.skipped + self.fresh, taken = self.skipped + self.taken, fresh = self.fresh,
    failed = self.journal.failed, read = input.offset, size = input.size,
    ended = input.ended, elapsed = c.now() - self.began, usage = self.usage,
  }
end

---Begins no more items; those under way have a few seconds to end in. May be called by the loop.
---@param why "signal"|"failures"
---@return integer? under  how many there are; nil: it was called before
function Run:wind_down(why)
  if self.ending then return nil end
  self.ending = why
  self.window:close()
  if self.reading and self.reader then
    tree.cancel(self.reader, tree.cancelled("the batch is ending"))
  end
  self.timer = jobs.timer(GRACE, function()
    self.timer = nil
    self.window:cancel("the batch has ended")
  end)
  return self.window.under
end

---Runs all items that have no result. Raises what ends the batch before that.
---@async
function Run:go()
  self.output:advance()
  self.reader = scheduler.spawn(nil, nil, read_on, self)
  for task, index in self.window.next, self.window do keep(self, task, index) end
  if self.timer then jobs.forget(self.timer) end
  if self.problem then error(self.problem, 0) end
  self.output:finish()
end

---Ends what is under way, and keeps what has ended well meanwhile.
---@async
function Run:stop()
  self.stopped = true
  if self.timer then jobs.forget(self.timer) end
  self.window:stop "the batch has ended"
  local task, index = self.window:take()
  if task then pcall(keep, self, task, index) end
  pcall(self.output.finish, self.output)
end

---@param fields table  taken: chain, input, journal, shard, retry, rate, most, on_failure
---@param at_once integer
---@param paths { output: string, errors: string }
---@return moonpipe.BatchRun
function batch_run.new(fields, at_once, paths)
  local self = setmetatable(fields, Run)
  self.under, self.queue, self.first, self.last = {}, {}, 1, 0
  self.skipped, self.taken, self.fresh, self.fresh_failed = 0, 0, 0, 0
  self.usage, self.began, self.reading = require("moonpipe.models.usage").UsageTotals(), c.now(),
    true
  self.earlier = self.journal:cursor()
  self.ctx = context.derive(context.current(), {
    max_concurrency = at_once, callbacks = { self.usage },
  })
  self.window = window.new(at_once, function(i) return begin(self, i) end)
  self.window.eager = true
  self.output = batch_output.new(self.journal, paths, self.shard, self.retry)
  return self
end

return batch_run
