--- What the C host calls: a file, a text, a command line, each as a task.
--
-- Each gives an exit code and, where that is not 0, a text for the person and the
-- error, if there is one.
local errors = require "moonpipe.error"
local loader = require "moonpipe.loader"
local native = require "moonpipe.native"
local scheduler = require "moonpipe.scheduler"
local tree = require "moonpipe.tree"

local host = {}

local FAILED, USAGE, INTERRUPTED = 1, 2, 130
local GRACE = 1 -- second behind host.timeout, for what waits: then what computes is told

local interrupted = false

local function on_interrupt(main)
  return function()
    interrupted = true
    tree.cancel(main, tree.cancelled("interrupted"))
  end
end

-- What failed in no step (a file that is not there) has the line of the script that asked for it.
local function with_place(err)
  if not err.where and not err.path and err.kind ~= "cancelled" and err.kind ~= "lua" then
    err.where = errors.caller()
  end
  return err
end

-- `error()` without a value is how a program says that it has failed already.
local function run_main(fn, call)
  scheduler.raise_if_cancelled(scheduler.current()) -- Ctrl-C came before
  local ok, result = xpcall(fn, function(value)
    return value ~= nil and with_place(errors.handler(value)) or nil
  end, unpack(call, 1, call.n))
  if ok then return result end
  call.silent = result == nil
  error(result, 0)
end

local function too_late(seconds)
  return errors.new { kind = "timeout_total", message = ("no end within %g s"):format(seconds) }
end

-- The same, which must end within host.timeout seconds.
local function run_in_time(fn, call)
  local context, seconds, passed = require "moonpipe.context", host.timeout, nil
  local value = require("moonpipe.task").within(seconds, function()
    passed = too_late(seconds)
    return passed
  end, context.derive(context.current(), { timeout = seconds }), run_main, fn, call)
  if passed then error(passed, 0) end -- what it started had not ended
  return value
end

---What is told of a failure: a person gets more than a host that keeps a log.
---@param err moonpipe.Error
---@return string
function host.told(err)
  local ok, text
  if host.person then
    local report = require "moonpipe.tool.report"
    if host.main then report.remember(host.main.name, host.main.text) end
    ok, text = pcall(report.of, err) -- its fields may be the user's
  end
  return ok and text or require("moonpipe.tool.failure").text_of(err)
end

local function text_of(err)
  return "moonpipe: " .. host.told(err)
end

local function outcome(main, call)
  if interrupted or native.c.interrupted() then
    interrupted = false
    if call.ends and native.c.now() > call.ends then
      local err = too_late(host.timeout)
      return require("moonpipe.tool.failure").code_of(err), text_of(err), err
    end
    return INTERRUPTED, "moonpipe: interrupted", tree.cancelled("interrupted")
  end
  if main.err == nil then return 0, nil, nil, main.value end
  if call.silent then return FAILED end
  return require("moonpipe.tool.failure").code_of(main.err), text_of(main.err), main.err
end

---Runs fn(...) as the main task until it and its children have ended.
---@return integer code
---@return string? text
---@return moonpipe.Error? err
---@return any value  what fn returned
function host.run(fn, ...)
  local call = { n = select("#", ...), ... }
  local main = scheduler.start(nil, host.timeout and run_in_time or run_main, fn, call)
  local previous = scheduler.on_interrupt
  scheduler.on_interrupt = on_interrupt(main)
  if host.timeout then
    call.ends = native.c.now() + host.timeout
    native.c.alarm(host.timeout + GRACE)
  end
  local ok, err = pcall(scheduler.run_until, main)
  if host.timeout then native.c.alarm(0) end
  scheduler.on_interrupt = previous
  if not ok then return FAILED, text_of(errors.wrap(err)), errors.wrap(err) end
  return outcome(main, call)
end

---Says that the VM is somebody else's: its globals stay as they are.
function host.attach()
  host.guest = true
end

-- The operator loads with the first text that uses it, and sets itself.
local function new_operator(sites, name)
  return require("moonpipe.operator").new(sites, name)
end

-- Makes the language ready in this VM: once.
local function prepare()
  if host.prepared then return end
  host.prepared = true
  loader.set_operator(new_operator)
  loader.set_scheduler(scheduler)
  if host.guest then return end
  require("moonpipe.coroutines").install()
  require("moonpipe.traversal").install()
  loader.install()
end

local function set_arg(program, script, arguments)
  if host.guest then return end
  local list = { [-1] = program, [0] = script }
  for i, value in ipairs(arguments) do list[i] = value end
  rawset(_G, "arg", list)
end

-- A script as the main one: strict globals, `arg`, `...`.
local function run_text(text, name, program, script, arguments)
  prepare()
  host.main = { name = name, text = text }
  local fn, message = loader.main(text, name)
  if not fn then return FAILED, text_of(errors.wrap(message)) end
  set_arg(program, script, arguments)
  return host.run(fn, unpack(arguments))
end

---@return function? fn
---@return string? message
function host.load_text(name, text)
  prepare()
  host.main = { name = name, text = text }
  return loader.main(text, name)
end

---Whether a file at [path] can be read.
---@param path string
---@return boolean
function host.exists(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

---The text of the file at [path], or nil and what is wrong.
function host.read(path)
  if path == "-" then return io.read("*a") end
  local file, message = io.open(path, "rb")
  if not file then return nil, "cannot open " .. message end
  local text, failure = file:read("*a")
  file:close()
  return text, text and nil or ("cannot read %s: %s"):format(path, failure or "it is no file")
end

---Runs the file at [path] ("-": standard input) with [arguments].
function host.run_file(arguments, path, program)
  local text, message = host.read(path)
  if not text then return USAGE, "moonpipe: " .. message end
  local name = path == "-" and "=stdin" or "@" .. path
  return run_text(text, name, program or "moonpipe", path, arguments)
end

---Runs [text], called [name] in messages.
function host.run_text(arguments, name, text, program)
  return run_text(text, "=" .. name, program or "moonpipe", name, arguments)
end

---Carries out a command line.
function host.command(arguments)
  prepare()
  host.person = true
  return require("moonpipe.tool.command").main(arguments, host)
end

return host
