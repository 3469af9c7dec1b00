--- `moonpipe repl`: the words of it; the program itself reads the lines, by tool/repl.lua.
local READS_LINES = 256 -- as in main.c

local repl = {
  ---@type (async fun())[]  of tracers, to be called at the end
  flushes = {},
  name = "repl",
  usage = "",
  summary = "Runs line by line what is typed.",
  about = "Expressions print their value, `_` is the last one, a trailing | continues. Tab "
    .. "completes, :help tells the commands. Ctrl-C cancels what runs, Ctrl-D leaves. Without any "
    .. "words, on a terminal, moonpipe does so too.\n\nThrough a pipe the exit code is that of the "
    .. "first text that failed.",
  example = "moonpipe repl",
  exits = { 0, 1, 2, 4, 5, 130 },
  files = {},
  direct = true,
  options = {},
}

-- What is compiled does not hear Ctrl-C.
function repl.run(_, words, state)
  if #words > 0 then return "repl takes no arguments" end
  repl.flushes = state.flushes
  state.flushes = {}
  jit.off()
  jit.flush()
  return READS_LINES
end

return repl
