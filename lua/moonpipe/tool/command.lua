--- The command line of the program `moonpipe`.
local commands = require "moonpipe.tool.commands"

local command = {}

local USAGE = 2

local function wrong(message, name)
  return USAGE, ("moonpipe: %s\ntry 'moonpipe %s--help'"):format(message,
    name and name .. " " or "")
end

-- ---- commands ------------------------------------------------------------------------------

-- Outside of a task it gives code and text itself.
local function call(table_of, state, given, words)
  if table_of.direct then return table_of.run(given, words, state) end
  local code, text, _, said = state.host.run(table_of.run, given, words, state)
  if code == 0 then return said end
  return code, text
end

-- A command by its table, which is read when it is called.
local function carry_out(state, name)
  local options, table_of = require "moonpipe.tool.options", commands.find(name)
  local given, words = options.read(table_of, state.arguments, state.at + 1)
  if not given then return wrong(words, name) end
  if given.help then
    print(require("moonpipe.tool.help").of(table_of))
    return 0
  end
  require("moonpipe.tool.common").begin(given, state.host)
  local code, text = call(table_of, state, given, words)
  if type(code) == "string" then return wrong(code, name) end
  return code or 0, text
end

local function run_file(state, at)
  return state.host.run_file({ unpack(state.arguments, at + 1) }, state.arguments[at],
    state.program)
end

-- `run` without options is what nearly all calls are: it loads no table.
local function run(state)
  local path = state.arguments[state.at + 1]
  if not path or path:sub(1, 1) == "-" and path ~= "-" then return carry_out(state, "run") end
  return run_file(state, state.at + 1)
end

-- A file, or a command that was written wrong.
local function file(state)
  local word = state.arguments[state.at]
  if word ~= "-" and not word:find("[./]") and not state.host.exists(word) then
    return wrong(("'%s' is no command and no file%s"):format(word,
      require("moonpipe.error_words").hint(word, commands.names())))
  end
  return run_file(state, state.at)
end

local function dispatch(state)
  local word = state.arguments[state.at]
  if word == "run" then return run(state) end
  if commands.has(word) then return carry_out(state, word) end
  return file(state)
end

-- ---- the program's own options ---------------------------------------------------------------

local function version()
  print("moonpipe " .. require("moonpipe.native").c.version .. " (" .. jit.version .. ")")
  return 0
end

local function help()
  print(require("moonpipe.tool.help").overview())
  return 0
end

-- The tracers of `--trace`; what they still have to write at the end is `state.flushes`.
local function begin_traces(state, targets)
  for _, target in ipairs(targets or {}) do
    local tracer, problem = require("moonpipe.tool.tracing")(target)
    if not tracer then return problem end
    state.flushes[#state.flushes + 1] = tracer.flush
  end
end

-- Reads the options before the first word: what is to be done then.
local function read_options(state)
  local program, options = require "moonpipe.tool.program", require "moonpipe.tool.options"
  local given, words = options.read(program, state.arguments, 2)
  if not given then return nil, words end
  if given.help then return help end
  if given.version then return version end
  require("moonpipe.tool.common").begin(given, state.host)
  local problem = begin_traces(state, given.trace)
  if problem then return nil, problem end
  state.at = #state.arguments - #words + 1
  if not given.eval then return dispatch end
  return function()
    return state.host.run_text(words, "(command line)", given.eval, state.program)
  end
end

-- What the user has written once for all calls is read where something of it is asked for.
local function read_settings()
  return require("moonpipe.tool.config").read()
end

-- A host in C may have several command lines carried out.
local function forget_options(host)
  local common = package.loaded["moonpipe.tool.common"]
  if common then common.forget(host) end
end

---@param argv string[]  with the program's name first
---@param host table     moonpipe.tool.host
---@return integer code
---@return string? text
function command.main(argv, host)
  require("moonpipe.settings").file = read_settings
  forget_options(host)
  local state = { arguments = argv, at = 2, host = host, program = argv[1], flushes = {} }
  local action, problem = dispatch, nil
  if (argv[2] or ""):sub(1, 1) == "-" then action, problem = read_options(state) end
  if not action then return wrong(problem) end
  if action == dispatch and not argv[state.at] and require("moonpipe.native").c.isatty(0) then
    action = function() return carry_out(state, "repl") end
  end
  if action == dispatch and not argv[state.at] then
    io.stderr:write(require("moonpipe.tool.help").overview(), "\n")
    return USAGE
  end
  require("moonpipe.tool.watchdog").start()
  local code, text = action(state)
  for _, flush in ipairs(state.flushes) do host.run(flush) end
  return code, text
end

return command
