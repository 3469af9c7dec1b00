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
  --version      print the version
  -h, --help     print this

exit codes: 0 success, 1 the script failed, 2 wrong usage or unreadable file,
  3 configuration or key missing, 4 refused by the provider, 5 provider or
  network failed, 124 deadline, 130 interrupted]]

local function rest(arguments, from)
  return { unpack(arguments, from) }
end

local function wrong(message)
  return USAGE, ("moonpipe: %s\ntry 'moonpipe --help'"):format(message)
end

local function run(state)
  local path = state.arguments[state.at + 1]
  if not path then return wrong("run takes a file") end
  return state.host.run_file(rest(state.arguments, state.at + 2), path, nil, state.program)
end

local function evaluate(state)
  local code = state.arguments[state.at + 1]
  if not code then return wrong("-e takes code") end
  return state.host.run_text(rest(state.arguments, state.at + 2), "(command line)", code,
    state.program)
end

local function file(state)
  return state.host.run_file(rest(state.arguments, state.at + 1), state.arguments[state.at], nil,
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

---@param argv string[]  with the program's name first
---@param host table     moonpipe.tool.host
---@return integer code
---@return string? text
function command.main(argv, host)
  local at = 2
  while DONE[argv[at]] do at = at + 1 end
  local word = argv[at]
  if not word then
    io.stderr:write(HELP, "\n")
    return USAGE
  end
  local action = WORDS[word]
  if not action and word:sub(1, 1) == "-" then return wrong("unknown option '" .. word .. "'") end
  return (action or file) { arguments = argv, at = at, host = host, program = argv[1] }
end

return command
