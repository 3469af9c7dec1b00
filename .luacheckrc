std = "luajit"
max_line_length = 100
self = false
exclude_files = { "build*", "spec/fuzz/corpus", "spec/pipe" }
ignore = { "212/_.*" } -- unused _arguments
-- An expected message stands on one line, so that a search finds it.
files["spec"] = { std = "+busted", max_line_length = 120 }
files[".busted"] = { std = "max" }
files["scripts"] = { read_globals = { "mp" } }
files["lua/moonpipe/meta"] = { ignore = { "211", "212", "221", "241" } }
files["lua/moonpipe/coroutines.lua"] = { globals = { "coroutine" } } -- wraps two of them
-- Makes what scripts of others find.
files["lua/moonpipe/cell"] = { globals = { "debug", "io", "newproxy", "os", "package", "require",
  "string", "table" } }
files["lua/moonpipe/tool"] = { globals = { "arg" } } -- fills it
-- The globals of hosts.
files["lua/moonpipe/host/nvim.lua"] = { read_globals = { "vim" } }
files["scripts/embed/nvim"] = { globals = { "vim" } }
files["lua/moonpipe/host/ngx.lua"] = { read_globals = { "ngx" } }
files["scripts/embed/nginx"] = { globals = { "ngx" } }
files["scripts/embed/love"] = { globals = { "love" } }
files["spec/support/hosts"] = { globals = { "love", "vim" } }
