--- The options of the program itself, which stand before a command.
return {
  name = "",
  usage = "COMMAND [ARGUMENTS...]\nFILE [ARGUMENTS...]\n-e CODE [ARGUMENTS...]\n- [ARGUMENTS...]",
  summary = "Runs Lua scripts in which `|` joins steps to chains of model calls, and a table is a "
    .. "parallel map.",
  about = "FILE is the same as `run FILE`, for scripts that begin with #!; - stands for what comes "
    .. "from standard input. Without any words, on a terminal, lines are run as they are typed.\n\n"
    .. "Results go to standard output, all else to standard error.",
  example = "moonpipe new joke && moonpipe joke.lua bears\n"
    .. "moonpipe -e 'print(require \"moonpipe\".init_chat_model():invoke \"Hello?\")'\n"
    .. "moonpipe --trace rag.lua",
  exits = { 0, 1, 2, 3, 4, 5, 6, 124, 129, 130, 141, 143 },
  stops = true,
  files = { "lua" },
  options = {
    { name = "eval", short = "e", value = "CODE", last = true,
      help = "run CODE; what follows are its arguments" },
    { name = "jit", value = "WHEN", inline = true, among = { "off", "on" },
      help = "off: interpret only, so that every Lua loop can be interrupted; default: on" },
    { name = "trace", value = "TO", inline = true, optional = true, many = true,
      files = { "json", "jsonl" },
      help = "show each call of a chain as a tree with times, on standard error; or write it to "
        .. "TO: a Chrome trace where TO ends in .json, a line of JSON for each run where it ends "
        .. "in .jsonl, else the tree; `otlp` sends OpenTelemetry spans to "
        .. "OTEL_EXPORTER_OTLP_ENDPOINT" },
    { name = "version", help = "print the version" },
  },
}
