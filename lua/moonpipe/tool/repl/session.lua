--- What a session of the REPL knows, and how it runs a text.
local context = require "moonpipe.context"
local env = require "moonpipe.tool.repl.env"
local errors = require "moonpipe.error"
local failure = require "moonpipe.tool.failure"
local host = require "moonpipe.tool.host"
local native = require "moonpipe.native"
local scan = require "moonpipe.tool.repl.scan"
local scheduler = require "moonpipe.scheduler"
local show = require "moonpipe.tool.repl.show"
local text = require "moonpipe.tool.repl.text"

local session = {
  jit = false,
  time = false,
  trace = false,
  usage = require("moonpipe.models.usage").UsageTotals(),
  ---@type string?  the script that was loaded last
  loaded = nil,
  ---@type integer  of the first text that failed
  code = 0,
  tasks = {}, -- of the lines; each lasts until what it started has ended
}

local texts = {} -- what did not fail: { source, expression }
local left_out = 0 -- texts of these that hold a key
local modules = {} -- of package.loaded, those that were there before

---@param t table<string, any>
---@return string[]
function session.sorted_keys(t)
  local keys = {}
  for key in pairs(t) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

-- ---- running -----------------------------------------------------------------------

local function text_of(err)
  return require("moonpipe.tool.report").of(err, { traceback = session.trace })
end

---Says what failed.
---@param err any
function session.fail(err)
  if session.code == 0 then session.code = errors.is(err) and failure.code_of(err) or 1 end
  show.failure(errors.is(err) and text_of(err) or err)
end

local function watched(fn)
  local callbacks = { session.usage }
  if session.trace then
    callbacks[2] = require("moonpipe.tracers.timeline").TimelineTracer()
  end
  local ctx = context.derive(context.current(), { callbacks = callbacks,
    timeout = host.timeout })
  return context.within(ctx, fn)
end

---Runs fn in the running task, with what this session watches; whether it did not fail.
---@async
---@param fn async fun()
---@return boolean
function session.run(fn)
  local began = native.c.now()
  local ok, err = xpcall(watched, errors.handler, fn)
  io.stdout:flush()
  if not ok then
    scheduler.raise_if_cancelled(scheduler.current()) -- Ctrl-C: the host says so
    session.fail(err)
  end
  if session.time then show.note(("%.3f s"):format(native.c.now() - began)) end
  return ok
end

local function print_values(fn, expression)
  local values = show.calls(fn, expression and scan.final_call(expression))
  if values[1] ~= nil then env.keep("_", values[1]) end
  show.values(values)
end

-- Keeps the running task, until what it started has ended.
local function keep_task()
  local going = { scheduler.current() }
  for _, one in ipairs(session.tasks) do
    if not one:poll() then going[#going + 1] = one end
  end
  session.tasks = going
end

---Runs a text that is complete.
---@async
---@param source string
---@param fn function
---@param expression string?
function session.evaluate(source, fn, expression)
  keep_task()
  if not session.run(function() print_values(fn, expression) end) then return end
  if text.holds_key(source) then
    left_out = left_out + 1
  else
    texts[#texts + 1] = { source = source, expression = expression }
  end
end

local function compiled(source)
  local fn, problem, expression = text.read(source)
  if not fn then errors.raise("lua", problem) end
  return fn, expression
end

---The value of an expression.
---@async
---@param source string
---@return any
function session.value(source)
  return (compiled(source)())
end

---Runs a text with a switch on.
---@async
---@param name "time"|"trace"
---@param source string
function session.with(name, source)
  local before, fn, expression = session[name], compiled(source)
  session[name] = true
  local ok, err = pcall(session.run, function() print_values(fn, expression) end)
  session[name] = before
  if not ok then error(err, 0) end
end

-- ---- scripts -----------------------------------------------------------------------

---Runs a script whose locals are kept.
---@async
---@param path string
function session.load(path)
  local source, problem = host.read(path)
  if not source then errors.raise("io", problem) end
  local fn, message = text.script(source, path)
  if not fn then errors.raise("lua", message) end
  session.loaded = path
  print_values(fn)
end

---Notes which modules are there, of the program's own.
function session.note_modules()
  for name in pairs(package.loaded) do modules[name] = true end
end

---Forgets those that came with scripts, so that they are read anew.
function session.forget_modules()
  for name in pairs(package.loaded) do
    local is_ours = name == "moonpipe" or name:find("^moonpipe%.")
    if not modules[name] and not is_ours then package.loaded[name] = nil end
  end
end

local function head()
  local lines = { 'local mp = require "moonpipe"' }
  for _, name in ipairs(session.sorted_keys(env.used)) do
    lines[#lines + 1] = ("local %s = mp.%s"):format(name, name)
  end
  return table.concat(lines, "\n") .. "\n\n"
end

---Writes what was typed and did not fail as a script.
---@param path string
---@param is_forced boolean  write over what is there
---@return integer saved
---@return integer left_out
function session.save(path, is_forced)
  if not is_forced and host.exists(path) then
    errors.raise("io", ("'%s' is there already; :save! writes over it"):format(path))
  end
  local file, problem = io.open(path, "wb")
  if not file then errors.raise("io", "cannot write " .. problem) end
  file:write(head())
  for _, one in ipairs(texts) do
    local expression = one.expression and one.expression:gsub("[%s;]+$", "")
    file:write(expression and ("print(%s\n)"):format(expression):gsub("\n%)$",
      expression:find("%-%-") and "\n)" or ")") or one.source:gsub("%s+$", ""), "\n")
  end
  file:close()
  return #texts, left_out
end

---Waits for what the lines have started.
---@async
function session.wait()
  local task = require "moonpipe.task"
  for _, one in ipairs(session.tasks) do
    if one ~= scheduler.current() then task.await(one) end
  end
end

return session
