--- `moonpipe batch`: a chain on each item of a file, with a journal that survives the process.
local batch_input = require "moonpipe.tool.batch_input"
local batch_journal = require "moonpipe.tool.batch_journal"
local batch_progress = require "moonpipe.tool.batch_progress"
local batch_rate = require "moonpipe.tool.batch_rate"
local batch_run = require "moonpipe.tool.batch_run"
local failure = require "moonpipe.tool.failure"
local graph = require "moonpipe.tool.graph"
local host = require "moonpipe.tool.host"
local log = require "moonpipe.log"
local native = require "moonpipe.native"
local scheduler = require "moonpipe.scheduler"
local terminal = require "moonpipe.terminal"
local uuid = require "moonpipe.uuid"

local c = native.c

local batch = {
  name = "batch",
  usage = "CHAIN.lua INPUT -o OUTPUT",
  summary = "Runs the chain that a script returns on each item of a file.",
  about = "INPUT holds JSON lines (.jsonl, .ndjson), rows under a line of names (.csv, .tsv), or "
    .. "plain lines; - is standard input: plain lines, unless --format says otherwise. OUTPUT gets "
    .. "`{\"index\":, \"line\":, \"output\":}` for each item, in the order of the input; - is "
    .. "standard output. What failed is in OUTPUT.errors.jsonl.\n\n"
    .. "OUTPUT.journal, a SQLite file, has each result before it is written: whatever ends the "
    .. "program, --resume goes on where it was, and when all is done it may be removed. A pipe "
    .. "goes on when the same items come through it again. Ctrl-C, SIGTERM and SIGHUP let items "
    .. "under way end, for 5 seconds; a second one ends at once. A refused key ends the batch, "
    .. "and is no item's failure.",
  example = "moonpipe batch chain.lua in.jsonl -o out.jsonl -j 64 --resume\n"
    .. "zcat in.jsonl.gz | moonpipe batch chain.lua - --format jsonl -o out.jsonl",
  exits = { 0, 1, 2, 3, 4, 5, 6, 124, 129, 130, 141, 143 },
  options = {
    { name = "output", short = "o", value = "FILE", files = { "jsonl" }, help = "the results" },
    { name = "jobs", short = "j", value = "N", is = "integer",
      help = "items, and calls of models, at once; default: 64" },
    { name = "resume", short = "r", help = "go on with a batch that ended early, or begin one" },
    { name = "retry-failed", help = "run what has failed again; goes on too" },
    { name = "errors", value = "FILE", files = { "jsonl" },
      help = "what failed; default: OUTPUT.errors.jsonl, without the .jsonl of OUTPUT; standard "
        .. "error where that is -" },
    { name = "journal", value = "FILE", files = {},
      help = "default: OUTPUT.journal; none where that is -" },
    { name = "format", value = "KIND", among = batch_input.FORMATS, help = "of INPUT: "
      .. table.concat(batch_input.FORMATS, ", ") },
    { name = "chain", short = "c", value = "NAME", help = "of a table of chains" },
    { name = "limit", short = "n", value = "N", is = "integer", help = "the first N items alone" },
    { name = "shard", value = "I/N", help = "each N-th item only, from the I-th on; each "
      .. "shard has an OUTPUT of its own" },
    { name = "rate", value = "N/UNIT", help = "items that begin: 10/s, 500/m, 2000/h; all "
      .. "processes of yours on this machine that run this script share it" },
    { name = "max-failures", value = "N", help = "stop when N items of this run have failed, or N% "
      .. "of them, from the 100th on" },
    { name = "dry-run", help = "print the request of the first item, send nothing" },
    { name = "usage", help = "calls, tokens and cost by model, on standard error" },
    unpack(require "moonpipe.tool.locked_in_options"),
  },
}

local ITEMS_FAILED = 6
local JOBS = 64
local NO_LINES = "'%s' is one document, and not a line for each item: `jq -c '.[]' %s`, piped into"
  .. " this with - for INPUT and --format jsonl, makes items of an array; or say --format"
local LEAST = 100 -- items that a share of failures is of

-- ---- the words ---------------------------------------------------------------------------

local function read_shard(text)
  local at, of = (text or "1/1"):match("^(%d+)/(%d+)$")
  at, of = tonumber(at), tonumber(of)
  if at and at >= 1 and at <= of then return { at = at, of = of } end
  return nil, ("--shard takes I/N, such as 1/4, got '%s'"):format(text)
end

local function read_most(text)
  if not text then return nil end
  local number, percent = text:match("^(%d+)(%%?)$")
  number = tonumber(number)
  if not number or number < 1 or percent ~= "" and number > 100 then
    return nil, ("--max-failures takes a number or a share, such as 10 or 5%%, got '%s'"):format(
      text)
  end
  return percent == "" and { count = number } or { percent = number, least = LEAST }
end

local function read_rate(text)
  local rate = text and batch_rate.read(text)
  if not text or rate then return rate end
  return nil, ("--rate takes items per s, m or h, such as 10/s, got '%s'"):format(text)
end

local function paths_of(given)
  local output = given.output
  local is_stream = output == "-"
  return {
    output = output,
    errors = given.errors or is_stream and "-" or output:gsub("%.jsonl$", "") .. ".errors.jsonl",
    journal = given.journal or not is_stream and output .. ".journal" or nil,
  }
end

local function check_paths(paths)
  if paths.errors == paths.output and paths.output ~= "-" then
    return "--errors and -o name the same file"
  elseif paths.journal == paths.output or paths.journal == paths.errors then
    return "--journal names the file of -o or --errors"
  end
end

-- What is there already must be asked for, or be out of the way.
local function check_files(given, paths)
  local has_journal = paths.journal and host.exists(paths.journal)
  local goes_on = given.resume or given.retry_failed
  if goes_on and not paths.journal then
    return "-o - keeps no journal to go on with; name one by --journal FILE"
  elseif has_journal and not goes_on then
    return ("'%s' is there: --resume goes on with that batch; to begin anew, remove it and '%s'")
      :format(paths.journal, paths.output)
  elseif given.retry_failed and not has_journal then
    return ("--retry-failed needs the journal '%s', which is not there"):format(paths.journal)
  end
  for _, name in ipairs { "output", "errors" } do
    if not has_journal and paths[name] ~= "-" and host.exists(paths[name]) then
      return ("'%s' is there, and no journal of it: name another file, or remove it"):format(
        paths[name])
    end
  end
end

local function read_words(given, words)
  if #words ~= 2 then return "batch takes a script and an input" end
  if words[1] == "-" and words[2] == "-" then return "script and input are both -" end
  if given.dry_run then given.output = given.output or "-" end
  if not given.output then return "batch takes -o FILE, where the results go" end
  if given.chain and (given.sandbox or given.isolate) then
    return "--chain names none of what a locked-in script returns: that is one chain"
  end
  local shard, problem = read_shard(given.shard)
  local asked = { shard = shard, paths = paths_of(given) }
  asked.format = given.format or batch_input.format_of(words[2])
  if not asked.format then return NO_LINES:format(words[2], words[2]) end
  if problem then return problem end
  asked.most, problem = read_most(given.max_failures)
  if problem then return problem end
  asked.rate, problem = read_rate(given.rate)
  if problem or given.dry_run then return problem, asked end
  return check_paths(asked.paths) or check_files(given, asked.paths), asked
end

-- ---- what is said ------------------------------------------------------------------------

local function say(text)
  if log.before then log.before() end
  io.stderr:write("moonpipe: ", text, "\n")
end

-- A line that is drawn over needs a terminal of its own.
local function start_teller(self, given, asked)
  local alone = not given.verbose and not (asked.paths.output == "-" and c.isatty(1))
  return batch_progress.start(function() return self:progress() end, alone and terminal.redraws())
end

local function summary(self, paths)
  local journal = self.journal
  local words = { ("%s: %d results (%d new)"):format(
    paths.output == "-" and "standard output" or paths.output, journal.ok, self.fresh) }
  if journal.failed > 0 then
    words[#words + 1] = ("%d failed%s"):format(journal.failed,
      paths.errors == "-" and "" or " (" .. paths.errors .. ")")
  end
  words[#words + 1] = batch_progress.used(self.usage)
  io.stderr:write(table.concat(words, "; "), "\n")
  if self.first_failure and not self.on_failure then
    say("the first failure: " .. host.told(self.first_failure))
  end
end

-- Why it ends early, and what is left of it.
local function say_ending(self)
  local safe = self.journal.lasts and ("%d results are safe; --resume goes on"):format(
    self.journal.ok)
  if self.ending == "failures" then
    say(("stopped after %d failures%s"):format(self.fresh_failed, safe and "; " .. safe or ""))
  elseif safe then
    say(safe)
  end
end

-- ---- the whole ---------------------------------------------------------------------------

local function state_folder()
  local base, home = os.getenv "XDG_STATE_HOME", os.getenv "HOME"
  if not base or base:sub(1, 1) ~= "/" then base = home and home .. "/.local/state" end
  local folder = base and base .. "/moonpipe"
  if folder then os.execute(("mkdir -p -m 700 '%s'"):format(folder:gsub("'", "'\\''"))) end
  return folder
end

local function fingerprint(path, name)
  local text = path ~= "-" and host.read(path) or ""
  return uuid.of(text, name or "")
end

local function chain_of(path, given)
  if not (given.sandbox or given.isolate) then return graph.chain_of(path, given.chain) end
  return require("moonpipe.tool.locked_in").chain(host, path, given)
end

local function new_run(given, words, input, asked)
  local chain, print_of = chain_of(words[1], given), fingerprint(words[1], given.chain)
  local journal = batch_journal.open(asked.paths.journal, {
    format = asked.format, errors = given.errors or "", chain = print_of,
    mended = given.retry_failed,
    shard = ("%d/%d"):format(asked.shard.at, asked.shard.of), output = given.output,
    is_there = given.journal and given.output ~= "-" and host.exists(given.output),
  })
  return batch_run.new({
    chain = chain, input = input, journal = journal, shard = asked.shard, most = asked.most,
    retry = given.retry_failed,
    rate = asked.rate and batch_rate.new(asked.rate, print_of, state_folder()),
  }, given.jobs or JOBS, asked.paths)
end

-- Has failures told as they come, on a line of their own.
local function tell_failures(self, given, asked, teller)
  if teller and asked.paths.errors == "-" then
    function self.output.before_errors() teller:clear() end
  end
  if given.verbose then
    function self.on_failure(err) say(failure.text_of(err)) end
  end
end

-- Runs [self] so that a signal winds it down; raises what ends it early, and a signal last.
local function go(self, quiet)
  local previous = scheduler.on_interrupt
  function scheduler.on_interrupt()
    local under = self:wind_down "signal"
    if under and under > 0 and not quiet then
      say(("stopping; %d items are under way, and have 5 seconds"):format(under))
    end
  end
  local ok, err = pcall(self.go, self)
  scheduler.on_interrupt = previous
  if not ok then self:stop() end
  if self.ending == "signal" then previous() end
  return ok, err
end

local function perform(self, given, asked)
  local teller = not given.quiet and start_teller(self, given, asked) or nil
  function log.before() if teller then teller:clear() end end
  tell_failures(self, given, asked, teller)
  local ok, err = go(self, given.quiet)
  if teller then teller:finish() end
  log.before = nil
  return ok, err
end

-- What the first item of the shard would send.
local function try(given, words, input, asked)
  local chain, item = chain_of(words[1], given), nil
  for _ = 1, asked.shard.at do item = input:next() end
  if not item then return "the input has no item for this" end
  if item.err then error(item.err, 0) end
  require("moonpipe.tool.dry_run").run(function() chain:invoke(item.value) end)
end

function batch.run(given, words)
  local problem, asked = read_words(given, words)
  if problem then return problem end
  if words[1] ~= "-" and not host.exists(words[1]) then return (select(2, host.read(words[1]))) end
  local input, message = batch_input.open(words[2], asked.format, given.limit)
  if not input then return message end
  if given.dry_run then return try(given, words, input, asked) end
  local self = new_run(given, words, input, asked)
  local ok, err = perform(self, given, asked)
  self.journal:close()
  if self.rate then self.rate:close() end
  if not given.quiet and (self.ending or not ok) then say_ending(self) end
  if not ok then error(err, 0) end
  if not given.quiet and self.ending ~= "signal" then summary(self, asked.paths) end
  if given.usage then require("moonpipe.tool.talk").print_usage(self.usage) end
  scheduler.raise_if_cancelled(scheduler.current())
  return self.journal.failed > 0 and ITEMS_FAILED or nil
end

return batch
