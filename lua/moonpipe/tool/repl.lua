--- What the REPL does with a text: run it, print its values, or ask for more.
--
-- A text is tried as an expression first, then as statements. It runs in an
-- environment over the strict globals that also holds the variables that were
-- local at the top level: such a text ends with a call that copies its locals
-- there, where later texts find them by name. So a closure made in the same text
-- keeps the variable itself, and later texts see the copy.
local errors = require "moonpipe.error"
local failure = require "moonpipe.tool.failure"
local inspect = require "moonpipe.inspect"
local loader = require "moonpipe.loader"
local message = require "moonpipe.messages.message"
local scheduler = require "moonpipe.scheduler"
local terminal = require "moonpipe.terminal"

local repl = {}

local KEEP = "__moonpipe_keep_locals"
local PASS = "__moonpipe_pass" -- around an expression: a tail call would hide its line
local NIL = {} -- a kept variable whose value is nil

local kept = {} -- name -> value
local globals = loader.strict()

-- Called by the last line of a text.
local function keep_locals()
  local at = 1
  while true do
    local name, value = debug.getlocal(2, at)
    if not name then return end
    if name:find("^[%a_]") then kept[name] = value == nil and NIL or value end
    at = at + 1
  end
end

local env = setmetatable({}, {
  __index = function(_, name)
    local value = kept[name]
    if value == NIL then return nil end
    if value ~= nil then return value end
    return globals[name]
  end,
  __newindex = function(_, name, value)
    if kept[name] == nil then
      globals[name] = value
    else
      kept[name] = value == nil and NIL or value
    end
  end,
})
rawset(env, KEEP, keep_locals)
rawset(env, PASS, function(...) return ... end)

-- ---- reading -------------------------------------------------------------------

local function compile(text)
  return loader.load(text, "=stdin", "t", env)
end

local function is_incomplete(problem)
  return problem:find("near '<eof>'", 1, true) ~= nil
end

local function is_blank(text)
  return compile(text .. "\nreturn") ~= nil and compile("return " .. text .. "\n") ~= nil
    and not text:gsub("%-%-[^\n]*", ""):find("%S")
end

-- The text inside of a call of PASS; on a line less, if no comment ends it: LuaJIT
-- counts the last argument to the line of the parenthesis.
local function compile_passed(expression)
  local bare = expression:gsub("[%s;]+$", "")
  return compile(("return %s(%s)"):format(PASS, bare))
    or compile(("return %s(%s\n)"):format(PASS, bare))
end

-- Whether LuaJIT stopped at the first word: then this was no statement at all.
local function fails_at_once(problem, text)
  local word = problem:match("near '(.*)'$")
  return word ~= nil and text:match("^%s*(.*)"):sub(1, #word) == word
end

-- Gives a function, or nil and what is wrong with the text.
local function read(text)
  local expression, equals = text:gsub("^%s*=", "", 1)
  local fn, as_expression = compile("return " .. expression .. "\n")
  if fn and expression:find("%S") then fn = compile_passed(expression) or fn end
  if fn or equals > 0 then return fn, as_expression end
  local as_statement
  fn, as_statement = compile(text)
  if fn then return compile(text .. "\n" .. KEEP .. "()") or fn end
  if is_incomplete(as_expression) then return nil, as_expression end
  return nil, fails_at_once(as_statement, text) and as_expression or as_statement
end

-- ---- printing ------------------------------------------------------------------

local function is_stream(value)
  local mt = type(value) == "table" and getmetatable(value)
  return type(mt) == "table" and rawget(mt, "__name") == "moonpipe.Stream"
end

local function chunk_text(value)
  if type(value) == "string" then return terminal.printable(value) end
  if message.is(value) then return terminal.printable(tostring(value)) end
  return inspect(value) .. "\n"
end

-- Tokens as they come.
local function print_stream(stream)
  local last = "\n"
  local ok, err = pcall(stream.each, stream, function(value)
    last = chunk_text(value)
    io.write(last)
    io.flush()
  end)
  if last:sub(-1) ~= "\n" then io.write("\n") end
  if not ok then error(err, 0) end
end

local function print_values(values)
  if values.n == 0 then return end
  if values[1] ~= nil then kept._ = values[1] end
  if values.n == 1 and is_stream(values[1]) then return print_stream(values[1]) end
  local texts = {}
  for i = 1, values.n do texts[i] = inspect(values[i]) end
  print(table.concat(texts, "\t"))
end

local function complain(text)
  io.stdout:flush()
  io.stderr:write((text:gsub("\nstack traceback:.*", "")), "\n")
end

-- ---- running -------------------------------------------------------------------

local function pack(...)
  return { n = select("#", ...), ... }
end

local function run(fn)
  local ok, err = xpcall(function() print_values(pack(fn())) end, errors.handler)
  io.stdout:flush()
  if ok then return end
  scheduler.raise_if_cancelled(scheduler.current()) -- Ctrl-C: the host says so
  complain(failure.text_of(err))
end

-- [last]: nothing will follow.
local function evaluate(text, last)
  if is_blank(text) then return true end
  local fn, problem = read(text)
  if fn then
    run(fn)
  elseif is_incomplete(problem) and not last then
    return false
  else
    complain(problem)
  end
  return true
end

---Runs a text; false if it is incomplete and needs another line.
---@async
---@param text string
---@return boolean complete
function repl.step(text)
  return evaluate(text, false)
end

---Runs a text to which nothing will be added.
---@async
---@param text string
function repl.last(text)
  return evaluate(text, true)
end

---Makes `mp` ready.
function repl.open()
  kept.mp = require "moonpipe"
  return repl
end

return repl
