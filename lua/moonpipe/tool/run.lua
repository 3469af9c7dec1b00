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
  options = require("moonpipe.tool.locked_in_options"),
}

function run.run(given, words, state)
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

return run
