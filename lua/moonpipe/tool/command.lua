--- The command line of the program `moonpipe`.
local command = {}

local USAGE = 2

local function rest(arguments, from)
  return { unpack(arguments, from) }
end

local function wrong(message)
  return USAGE, ("moonpipe: %s\ntry 'moonpipe --help'"):format(message)
end

local function run(state)
  local path = state.arguments[state.at + 1]
  local grants = path and (path == "--sandbox" and "" or path:match("^%-%-sandbox=(.+)$"))
  if grants then
    local file = state.arguments[state.at + 2]
    if not file then return wrong("run --sandbox takes a file") end
    return require("moonpipe.tool.locked_in").command(state.host, file, grants,
      rest(state.arguments, state.at + 3))
  end
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
  print(require "moonpipe.tool.help")
  return 0
end

local function version()
  print("moonpipe " .. require("moonpipe.native").c.version .. " (" .. jit.version .. ")")
  return 0
end

-- A command of its own: its table, read when it is called.
local function of_table(name)
  return function(state)
    local options, table_of = require "moonpipe.tool.options", require("moonpipe.tool." .. name)
    local given, words = options.read(table_of, state.arguments, state.at + 1)
    if not given then
      return USAGE, ("moonpipe: %s\ntry 'moonpipe %s --help'"):format(words, name)
    elseif given.help then
      print(options.help(table_of))
      return 0
    end
    local code, text, _, said = state.host.run(table_of.run, given, words)
    if code == 0 and type(said) == "string" then return USAGE, "moonpipe: " .. said end
    return code == 0 and said or code, text
  end
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

for _, name in ipairs(require "moonpipe.tool.commands") do WORDS[name] = of_table(name) end

-- Options that the program has carried out before Lua began.
local DONE = { ["--jit=off"] = true, ["--jit=on"] = true }

-- The options before the first word. Gives the place of that word, and what is to
-- be waited for at the end.
local function read_options(argv)
  local at, flushes = 2, {}
  while true do
    local option = argv[at] or ""
    if option == "--trace" or option:find("^%-%-trace=.") then
      local tracer, problem = require("moonpipe.tool.trace")(option)
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
    io.stderr:write(require "moonpipe.tool.help", "\n")
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
