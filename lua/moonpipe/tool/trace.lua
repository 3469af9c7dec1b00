--- `moonpipe trace`: what a trace file tells, for a person.
local calls_of = require "moonpipe.tool.trace_calls"
local drawing = require "moonpipe.tracers.drawing"
local errors = require "moonpipe.error"
local host = require "moonpipe.tool.host"
local json = require "moonpipe.json"
local log = require "moonpipe.log"
local mp = require "moonpipe"
local redact = require "moonpipe.redact"
local terminal = require "moonpipe.terminal"
local trace_read = require "moonpipe.tool.trace_read"

local trace = {
  name = "trace",
  usage = "FILE",
  summary = "Shows what a trace file tells: calls as trees, with times, tokens, costs and errors.",
  about = "FILE is what --trace=FILE.jsonl or --trace=FILE.json wrote, or OpenTelemetry spans as "
    .. "JSON; - is standard input. Bars of one call share a scale, so what ran at once stands one "
    .. "above the other. A file that is still written may be cut off: what is whole is shown.",
  example = "moonpipe --trace=run.jsonl rag.lua && moonpipe trace run.jsonl\n"
    .. "moonpipe trace run.jsonl --slow 10",
  exits = { 0, 1, 2, 130, 141, 143 },
  meaning = { [1] = "the file cannot be read, or is no trace", [2] = "wrong usage" },
  files = { "jsonl", "json" },
  options = {
    { name = "errors", short = "e", help = "only calls in which a step failed" },
    { name = "slow", short = "s", value = "N", is = "integer",
      help = "only the N steps that took longest, of all calls" },
    { name = "follow", short = "f",
      help = "show each call of a run log (.jsonl) when it has ended, until Ctrl-C" },
    { name = "json", help = "one object: calls, slowest, totals; with --follow an object for each "
      .. "call" },
  },
}

local SLOWEST = 5   -- of the summary
local PAUSE = 0.1   -- seconds between looks at a file that grows

-- ---- text --------------------------------------------------------------------------------------

local function clean(text)
  return mp.printable(redact.text(text))
end

local function say(text)
  print(clean(text))
end

local function add_usage(notes, tokens, cost)
  if tokens then
    notes[#notes + 1] = ("%d+%d tokens"):format(tokens.input_tokens or 0, tokens.output_tokens or 0)
  end
  if cost then notes[#notes + 1] = ("$%.4f"):format(cost) end
end

local function notes_of(step)
  local notes = {}
  if step.first and step.kind == "chat_model" then
    notes[1] = ("first %.3f s"):format(step.first)
  end
  add_usage(notes, step.tokens, step.cost)
  if step.cached then notes[#notes + 1] = "from a cache" end
  for _, what in ipairs { "embedded", "searched" } do
    local count = step[what .. "_together"] or 1
    if count > 1 then notes[#notes + 1] = ("%d %s together"):format(count, what) end
  end
  if step.error then notes[#notes + 1] = step.error:gsub("%s+", " ") end
  return table.concat(notes, ", ")
end

local function print_call(call)
  local rows = {}
  calls_of.each(call, function(step, depth)
    rows[#rows + 1] = {
      depth = depth, name = drawing.name(step.name, step.model, step.tag), started = step.started,
      ended = step.ended, notes = notes_of(step), failed = step.error ~= nil,
    }
  end)
  local paint = terminal.painter(terminal.may_color(1))
  print(paint("bold", os.date("%Y-%m-%d %H:%M:%S", call.started)))
  local lines = drawing.lines(rows) -- a line each, unless the last one counts the rest
  for i, line in ipairs(lines) do
    local is_row = i < #lines or #lines == #rows
    print(paint(is_row and rows[i].failed and "red" or "plain", clean(line)))
  end
  print()
end

local function print_slowest(list)
  for _, slow in ipairs(list) do
    local notes = notes_of(slow.step)
    say(("%9.3f s  %s%s"):format(slow.seconds, slow.path, notes ~= "" and ", " .. notes or ""))
  end
end

local function counted(count, word)
  return ("%d %s%s"):format(count, word, count == 1 and "" or "s")
end

local function print_totals(totals)
  local notes = { counted(totals.calls, "call"), counted(totals.steps, "step") }
  if totals.failed > 0 then notes[#notes + 1] = totals.failed .. " failed" end
  add_usage(notes, totals.input_tokens + totals.output_tokens > 0 and totals or nil, totals.cost)
  print(table.concat(notes, ", "))
end

-- ---- a whole file ------------------------------------------------------------------------------

local function chosen(given, calls)
  if not given.errors then return calls end
  local list = {}
  for _, call in ipairs(calls) do
    if calls_of.has_failed(call) then list[#list + 1] = call end
  end
  return list
end

local function print_object(given, calls)
  local slowest, list = json.array {}, json.array {}
  for i, slow in ipairs(calls_of.slowest(calls, given.slow or SLOWEST)) do
    slowest[i] = calls_of.slow_object(slow)
  end
  for i, call in ipairs(not given.slow and calls or {}) do list[i] = calls_of.object(call) end
  local object = { slowest = slowest, totals = calls_of.totals(calls) }
  if not given.slow then object.calls = list end
  say(json.encode(object, { indent = 2 }))
end

local function show(given, path)
  local text, message = host.read(path)
  if not text then errors.raise("io", message) end
  local records, problem = trace_read.all(text, path == "-" and "standard input" or path)
  if problem then log.warn(problem) end
  local calls = chosen(given, calls_of.of(records))
  if given.json then return print_object(given, calls) end
  if given.slow then return print_slowest(calls_of.slowest(calls, given.slow)) end
  for _, call in ipairs(calls) do print_call(call) end
  print_totals(calls_of.totals(calls))
  local slowest = calls_of.slowest(calls, SLOWEST)
  if #slowest == SLOWEST then
    print "slowest steps:"
    print_slowest(slowest)
  end
end

-- ---- a file that grows -------------------------------------------------------------------------

local function show_one(given, call)
  if given.errors and not calls_of.has_failed(call) then return end
  if given.json then say(json.encode(calls_of.object(call))) else print_call(call) end
  io.stdout:flush()
end

-- A call is whole with its root, which comes last.
local function take(given, waiting, record)
  local id = record.trace_id or record.id
  local list = waiting[id] or {}
  waiting[id], list[#list + 1] = list, record
  if record.parent_id then return end
  waiting[id] = nil
  for _, call in ipairs(calls_of.of(list)) do show_one(given, call) end
end

local function opened(path)
  local file, message = io.open(path, "rb")
  if not file then errors.raise("io", "cannot open " .. message) end
  return file
end

local function follow(given, path)
  if path:find "%.json$" then
    errors.raise("input", "--follow reads run logs, of --trace=FILE.jsonl; a Chrome trace is whole "
      .. "when its program has ended")
  end
  local file, lines, waiting = opened(path), trace_read.lines(path), {}
  while true do
    local at = file:seek "cur" -- and reads on behind an end that was met
    if file:seek "end" < at then
      log.warn(path .. " was begun anew")
      lines, waiting, at = trace_read.lines(path), {}, 0
    end
    file:seek("set", at)
    for _, record in ipairs(lines:read(file:read "*a" or "")) do take(given, waiting, record) end
    mp.sleep(PAUSE)
  end
end

function trace.run(given, words)
  if #words ~= 1 then return "trace takes one file" end
  if not given.follow then return show(given, words[1]) end
  if given.slow then return "--slow needs a whole file; --follow shows calls as they end" end
  follow(given, words[1])
end

return trace
