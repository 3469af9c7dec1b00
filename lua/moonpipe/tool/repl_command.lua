--- `moonpipe repl`, where it is called with more words; the program itself reads the lines.
local repl = {
  name = "repl",
  usage = "",
  summary = "Runs line by line what is typed.",
  about = "Expressions print their value, `_` is the last one, a trailing | continues. Ctrl-C "
    .. "cancels what runs, Ctrl-D leaves. Without any words, on a terminal, moonpipe does so too.",
  example = "moonpipe repl",
  exits = { 0, 2 },
  files = {},
  direct = true,
  options = {},
}

function repl.run()
  return "repl takes no arguments"
end

return repl
