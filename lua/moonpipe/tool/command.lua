--- The command line of the program `moonpipe`.
local command = {}

local USAGE = 2

local HELP = [[
usage: moonpipe [options] run FILE [arguments]
       moonpipe [options] FILE [arguments]
       moonpipe [options] -e CODE [arguments]
       moonpipe [options] - [arguments]
       moonpipe [repl]

Runs a Lua script in which `|` composes steps and a table is a parallel map.
Results go to standard output, all else to standard error.

commands:
  run FILE       run the script in FILE
  FILE           the same; for scripts that begin with #!
  -e CODE        run CODE
  -              run what comes from standard input
  repl           run line by line what is typed; without words, on a terminal

options:
  --jit=off      interpret only: every Lua loop can be interrupted
  --trace        show each call of a chain as a tree with times, on standard error
  --trace=TO     write it to TO: a Chrome trace where TO ends in .json, a line of
                 JSON for each run where it ends in .jsonl, else the tree; `otlp`
                 sends OpenTelemetry spans to OTEL_EXPORTER_OTLP_ENDPOINT
  --version      print the version
  -h, --help     print this

exit codes: 0 success, 1 the script failed, 2 wrong usage or unreadable file,
  3 configuration or key missing, 4 refused by the provider, 5 provider or
  network failed, 124 deadline, 130 interrupted, 141 nobody reads the output]]

local function rest(arguments, from)
  return { unpack(arguments, from) }
end

local function wrong(message)
  return USAGE, ("moonpipe: %s\ntry 'moonpipe --help'"):format(message)
end

local function run(state)
  local path = state.arguments[state.at + 1]
  if not path then return wrong("run takes a file") end
  return state.host.run_file(rest(state.arguments, state.at + 2), path, state.program)
end

local function evaluate(state)
  local code = state.arguments[state.at + 1]
  if not code then return wrong("-e takes code") end
  return state.host.run_text(rest(state.arguments, state.at + 2), "(command line)", code,
    state.program)
end

local function file(state)
  return state.host.run_file(rest(state.arguments, state.at + 1), state.arguments[state.at],
    state.program)
end

-- The program reads the lines itself, and comes here only with more words.
local function repl()
  return wrong("repl takes no arguments")
end

local function help()
  print(HELP)
  return 0
end

local function version()
  print("moonpipe " .. require("moonpipe.native").c.version .. " (" .. jit.version .. ")")
  return 0
end

local WORDS = {
  run = run,
  repl = repl,
  ["-e"] = evaluate,
  ["-"] = file,
  ["--help"] = help,
  ["-h"] = help,
  ["--version"] = version,
}

-- Options that the program has carried out before Lua began.
local DONE = { ["--jit=off"] = true, ["--jit=on"] = true }

local function tracer_of(target)
  if not target then return require("moonpipe.tracers.timeline").TimelineTracer() end
  if target == "otlp" then return require("moonpipe.tracers.otlp").OTLPTracer() end
  if target:find("%.jsonl$") then return require("moonpipe.tracers.runlog").RunLog(target) end
  if target:find("%.json$") then return require("moonpipe.tracers.chrome").ChromeTracer(target) end
  return require("moonpipe.tracers.timeline").TimelineTracer(target)
end

-- Reads `--trace`; gives the tracer, or nil and what is wrong.
local function trace(option)
  require "moonpipe.runnable"
  local ok, tracer = pcall(tracer_of, option:match("^%-%-trace=(.*)$"))
  if not ok then return nil, require("moonpipe.error").text(tracer) end
  require("moonpipe.context").add_callback(tracer)
  return tracer
end

-- The options before the first word. Gives the place of that word, and what is to
-- be waited for at the end.
local function read_options(argv)
  local at, flushes = 2, {}
  while true do
    local option = argv[at] or ""
    if option == "--trace" or option:find("^%-%-trace=.") then
      local tracer, problem = trace(option)
      if not tracer then return nil, problem end
      flushes[#flushes + 1] = tracer.flush
    elseif not DONE[option] then
      return at, flushes
    end
    at = at + 1
  end
end

---@param argv string[]  with the program's name first
---@param host table     moonpipe.tool.host
---@return integer code
---@return string? text
function command.main(argv, host)
  local at, flushes = read_options(argv)
  if not at then return USAGE, "moonpipe: " .. flushes end
  local word = argv[at]
  if not word then
    io.stderr:write(HELP, "\n")
    return USAGE
  end
  local action = WORDS[word]
  if not action and word:sub(1, 1) == "-" then return wrong("unknown option '" .. word .. "'") end
  local state = { arguments = argv, at = at, host = host, program = argv[1] }
  require("moonpipe.tool.watchdog").start()
  local code, text = (action or file)(state)
  for _, flush in ipairs(flushes) do host.run(flush) end
  return code, text
end

return command
