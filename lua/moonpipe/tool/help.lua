--- What `moonpipe --help` prints.
return [[
usage: moonpipe [options] run FILE [arguments]
       moonpipe [options] FILE [arguments]
       moonpipe [options] -e CODE [arguments]
       moonpipe [options] - [arguments]
       moonpipe [repl]
       moonpipe COMMAND [arguments]

Runs a Lua script in which `|` composes steps and a table is a parallel map.
Results go to standard output, all else to standard error.

commands:
  run FILE       run the script in FILE
  run --sandbox FILE   run a script of somebody else's, which can reach nothing
  run --sandbox=G FILE the same; the script G returns what it may use: { models =
                 { default = … }, tools = { … }, files = "folder", … }
  FILE           the same as run; for scripts that begin with #!
  -e CODE        run CODE
  -              run what comes from standard input
  repl           run line by line what is typed; without words, on a terminal
  ask            ask a model, from an index where one is given
  index          make an index of files and folders
  batch          run a chain on each item of a file, and survive what ends it
  graph          draw the chain that a script gives
  models         list providers and the servers of this machine
  doctor         look at libraries, models and limits
  new            write a chain to begin with, and its test
  completion     print what bash, fish or zsh needs to complete these
                 `moonpipe ask --help`, and of the others, tell the rest

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
  network failed, 6 some items of a batch failed, 124 deadline, 130 interrupted,
  141 nobody reads the output]]
