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
    { name = "sandbox", value = "GRANTS", inline = true, optional = true, files = { "lua" },
      help = "run a script of somebody else's, which may use what GRANTS gives; without GRANTS: "
        .. "nothing" },
  },
}

function run.run(given, words, state)
  local file, grants = table.remove(words, 1), given.sandbox
  if grants then
    if not file then return "run --sandbox takes a file" end
    return require("moonpipe.tool.locked_in").command(state.host, file,
      grants == true and "" or grants, words)
  end
  if not file then return "run takes a file" end
  return state.host.run_file(words, file, state.program)
end

return run
