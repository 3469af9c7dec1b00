--- `moonpipe batch`: a chain on each item of a file, with a journal that survives the process.
--
-- An item's place among the -j is free once its result is on disk: whatever kills the process,
-- at most that many calls were for nothing.
local batch_input = require "moonpipe.tool.batch_input"
local batch_journal = require "moonpipe.tool.batch_journal"
local batch_output = require "moonpipe.tool.batch_output"
local batch_progress = require "moonpipe.tool.batch_progress"
local context = require "moonpipe.context"
local errors = require "moonpipe.error"
local graph = require "moonpipe.tool.graph"
local host = require "moonpipe.tool.host"
local json = require "moonpipe.json"
local native = require "moonpipe.native"
local redact = require "moonpipe.redact"
local run = require "moonpipe.run"
local scheduler = require "moonpipe.scheduler"
local window = require "moonpipe.window"

local c = native.c

local batch = {
  name = "batch",
  usage = "CHAIN.lua INPUT -o OUTPUT",
  summary = "Runs the chain that a script returns on each item of a file.",
  about = "INPUT holds JSON lines (.jsonl, .ndjson), rows under a line of names (.csv, .tsv), or\n"
    .. "plain lines. OUTPUT gets {\"index\":, \"line\":, \"output\":} for each item, in the order\n"
    .. "of the input; what failed is in OUTPUT.errors.jsonl, and the exit code is 6.\n"
    .. "OUTPUT.journal, a SQLite file, has each result before it is written: whatever ends\n"
    .. "the program, --resume goes on where it was.",
  example = "moonpipe batch chain.lua in.jsonl -o out.jsonl -j 64 --resume",
  options = {
    { name = "output", short = "o", value = "FILE", help = "the results" },
    { name = "jobs", short = "j", value = "N", is = "integer",
      help = "items, and calls of models, at once; default: 64" },
    { name = "resume", short = "r", help = "go on with a batch that ended early, or begin one" },
    { name = "retry-failed", help = "run what has failed again; goes on too" },
    { name = "errors", value = "FILE", help = "what failed; default: OUTPUT.errors.jsonl, without\n"
      .. "the .jsonl of OUTPUT" },
    { name = "format", value = "KIND", among = batch_input.FORMATS, help = "of INPUT: "
      .. table.concat(batch_input.FORMATS, ", ") },
    { name = "chain", short = "c", value = "NAME", help = "of a table of chains" },
    { name = "shard", value = "I/N", help = "each N-th item only, from the I-th on; each shard\n"
      .. "has an OUTPUT of its own" },
    { name = "quiet", short = "q", help = "no progress, no summary" },
  },
}

local ITEMS_FAILED = 6
local JOBS = 64

-- Failures that all other items would have as well: they end the batch, and are nobody's result.
local ENDS_ALL = { auth = true, config = true, quota = true }

-- ---- the words ---------------------------------------------------------------------------

local function read_shard(text)
  local at, of = (text or "1/1"):match("^(%d+)/(%d+)$")
  at, of = tonumber(at), tonumber(of)
  if at and at >= 1 and at <= of then return { at = at, of = of } end
  return nil, ("--shard takes I/N, such as 1/4, got '%s'"):format(text)
end

-- What is there already must be asked for, or be out of the way.
local function check_files(given, paths)
  local has_journal = host.exists(paths.journal)
  local goes_on = given.resume or given.retry_failed
  if has_journal and not goes_on then
    return ("'%s' is there: --resume goes on with that batch"):format(paths.journal)
  elseif given.retry_failed and not has_journal then
    return ("--retry-failed needs the journal '%s', which is not there"):format(paths.journal)
  end
  for _, name in ipairs { "output", "errors" } do
    if not has_journal and host.exists(paths[name]) then
      return ("'%s' is there, and no journal of it: name another file, or remove it"):format(
        paths[name])
    end
  end
end

local function read_words(given, words)
  if #words ~= 2 then return "batch takes a script and an input" end
  if not given.output then return "batch takes -o FILE, where the results go" end
  local format = given.format or batch_input.format_of(words[2])
  local shard, problem = read_shard(given.shard)
  if not shard then return problem end
  local paths = {
    output = given.output,
    errors = given.errors or given.output:gsub("%.jsonl$", "") .. ".errors.jsonl",
    journal = given.output .. ".journal",
  }
  problem = paths.errors == paths.output and "--errors and -o name the same file"
  return problem or check_files(given, paths), { format = format, shard = shard, paths = paths }
end

-- ---- items -------------------------------------------------------------------------------

---@class moonpipe.BatchRun
---@field input moonpipe.BatchInput
---@field journal moonpipe.BatchJournal
---@field output moonpipe.BatchOutput
---@field under table<integer, moonpipe.BatchItem>  under way, by their place in the window
---@field skipped integer  items that had their result before
local Run = {}
Run.__index = Run

local function changed(self, item)
  errors.raise("input", ("%s:%d: this is not what item %d was when the batch began; an input"
    .. " may get more items, but those it had must stay"):format(self.input.path, item.line,
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
  local row = self.earlier()
  if not row or row.run == self.journal.run then return end
  errors.raise("input", ("%s ends before item %d, which has a result; is it another input?")
    :format(self.input.path, row.item))
end

function Run:next_item()
  for item in self.input.next, self.input do
    if is_open(self, item) then return item end
  end
  if not self.checked then check_end(self) end
  self.checked = true
end

local function raise(err)
  error(err, 0)
end

-- Begins the next item; nil where there is none.
function Run:begin(i)
  local item = self:next_item()
  if not item then return nil end
  self.under[i], self.begun = item, self.begun + 1
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
  return redact.text(('{"index":%d,"line":%d,"error":%s,"input":%s}'):format(item.index, item.line,
    json.encode(told), json.encode(input)))
end

local function output_line(item, value)
  return ('{"index":%d,"line":%d,"output":%s}'):format(item.index, item.line,
    value == nil and "null" or json.encode(value))
end

local function failure_of(self, item, value)
  return errors.wrap(value):at(("item %d, %s:%d"):format(item.index, self.input.path, item.line))
end

-- The row of an item that has ended; nil where its failure ends the batch.
local function row_of(self, task, index)
  local item = self.under[index]
  self.under[index] = nil
  local ok, line, err = task.err == nil, nil, task.err
  if ok then
    ok, line = pcall(output_line, item, task.value)
    if not ok then err = line end
  end
  if not ok then
    err = failure_of(self, item, err)
    if ENDS_ALL[err.kind] or self.stopped then
      self.fatal = self.fatal or err
      return nil
    end
    self.first_failure = self.first_failure or err
    line = error_line(item, err)
  end
  return { index = item.index, digest = item.digest, ok = ok, line = line, again = item.again }
end

-- Stores what has ended and writes what that completes.
function Run:keep(task, index)
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
end

-- ---- the whole ---------------------------------------------------------------------------

local function progress_of(self)
  local input, journal = self.input, self.journal
  return {
    done = self.skipped + self.fresh, begun = self.skipped + self.begun, fresh = self.fresh,
    failed = journal.failed, read = input.offset, size = input.size, ended = input.ended,
    elapsed = c.now() - self.began, usage = self.usage,
  }
end

function Run:go()
  local function tell() return progress_of(self) end
  self.output:advance()
  for task, index in self.window.next, self.window do
    self:keep(task, index)
    if self.teller then self.teller:tell(tell) end
  end
  self.output:advance() -- nothing was left to do, but for the shards of an empty input
  self.output:finish()
  if self.teller then self.teller:finish(tell) end
end

-- Ends what is under way, and keeps what has ended well meanwhile.
local function stop(self)
  self.stopped = true
  self.window:stop "the batch has ended"
  local task, index = self.window:take()
  if task then pcall(self.keep, self, task, index) end
end

local function new_run(given, chain, input, asked)
  local journal = batch_journal.open(asked.paths.journal, {
    format = asked.format, errors = given.errors or "",
    shard = ("%d/%d"):format(asked.shard.at, asked.shard.of),
  })
  local self = setmetatable({
    chain = chain, input = input, journal = journal, shard = asked.shard, under = {},
    retry = given.retry_failed, earlier = journal:cursor(), skipped = 0, begun = 0, fresh = 0,
    usage = require("moonpipe.models.usage").UsageTotals(), began = c.now(),
    teller = not given.quiet and batch_progress.new() or nil,
  }, Run)
  local jobs = given.jobs or JOBS
  self.ctx = context.derive(context.current(), {
    max_concurrency = jobs, callbacks = { self.usage },
  })
  self.window = window.new(jobs, function(i) return self:begin(i) end)
  self.window.eager = true
  return self
end

local function summary(self, paths)
  local journal = self.journal
  local words = { ("%s: %d results (%d new)"):format(paths.output, journal.ok, self.fresh) }
  if journal.failed > 0 then
    words[#words + 1] = ("%d failed (%s)"):format(journal.failed, paths.errors)
  end
  words[#words + 1] = batch_progress.used(self.usage)
  print(table.concat(words, "; "))
  if self.first_failure then
    io.stderr:write("moonpipe: the first failure: ",
      require("moonpipe.tool.failure").text_of(self.first_failure), "\n")
  end
end

local function perform(self, given, asked)
  self.output = batch_output.new(self.journal, asked.paths, asked.shard, given.retry_failed)
  self:go()
end

function batch.run(given, words)
  local problem, asked = read_words(given, words)
  if problem then return problem end
  local input, message = batch_input.open(words[2], asked.format)
  if not input then return message end
  local self = new_run(given, graph.chain_of(words[1], given.chain), input, asked)
  local ok, err = pcall(perform, self, given, asked)
  if not ok then stop(self) end
  self.journal:close()
  if not ok then
    if not given.quiet then
      io.stderr:write(("moonpipe: %d results are safe; --resume goes on\n"):format(self.journal.ok))
    end
    error(err, 0)
  end
  if not given.quiet then summary(self, asked.paths) end
  return self.journal.failed > 0 and ITEMS_FAILED or nil
end

return batch
