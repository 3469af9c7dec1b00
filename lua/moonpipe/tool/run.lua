--- `moonpipe run`: a script, as it is or locked in.
local run = {
  name = "run",
  usage = "FILE [ARGUMENTS...]",
  summary = "Runs the script in FILE; - is standard input.",
  about = "The script finds ARGUMENTS in `...` and `arg`. With --sandbox it is somebody else's: it "
    .. "can reach nothing but what the script GRANTS returns, the options of mp.sandbox:\n\n"
    .. "  return { models = { default = … }, tools = { … }, files = \"folder\" }",
  example = "moonpipe run rag.lua README.md \"What is a plain table?\"",
  exits = { 0, 1, 2, 3, 4, 5, 124, 129, 130, 141, 143 },
  stops = true,
  direct = true,
  files = { "lua" },
  options = {
    { name = "json", help = "print what the script returns, as JSON" },
    { name = "usage", short = "u", help = "tell tokens and their price at the end" },
  },
}
for i, option in ipairs(require "moonpipe.tool.locked_in_options") do
  table.insert(run.options, i, option)
end

local FAILED = 1

-- Counts what all calls use from here on.
local function count_usage()
  require "moonpipe.steps.runnable"
  local usage = require("moonpipe").UsageTotals()
  require("moonpipe.context").add_callback(usage)
  return usage
end

local function json_of(value)
  local errors = require "moonpipe.error"
  if require("moonpipe.steps.runnable").is(value) then
    errors.raise("input", "the script returns a chain, no value; invoke it there")
  end
  return value == nil and "null" or require("moonpipe.json").encode(value)
end

local function print_json(value)
  local ok, text = pcall(json_of, value)
  if not ok then return FAILED, "moonpipe: --json: " .. require("moonpipe.error").text(text) end
  print(require("moonpipe.terminal").json(text))
  return 0
end

local function run_script(given, words, state)
  local file = table.remove(words, 1)
  if given.sandbox or given.isolate then
    if not file then
      return ("run --%s takes a file"):format(given.isolate and "isolate" or "sandbox")
    end
    return require("moonpipe.tool.locked_in").command(state.host, file, given, words)
  end
  if not file then return "run takes a file" end
  return state.host.run_file(words, file, state.program)
end

function run.run(given, words, state)
  local usage = given.usage and count_usage()
  local code, text, _, value = run_script(given, words, state)
  if usage then require("moonpipe.tool.talk").print_usage(usage) end
  if given.json and code == 0 then return print_json(value) end
  return code, text
end

return run
