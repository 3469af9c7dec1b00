--- The REPL of the program: the steps that the C host calls with what was typed.
--
-- A text is read first, which tells whether it is complete and may be remembered, then run. It
-- is tried as an expression, then as statements.
local colon = require "moonpipe.tool.colon"
local colour = require "moonpipe.tool.repl.colour"
local commands = require "moonpipe.tool.repl.commands"
local env = require "moonpipe.tool.repl.env"
local session = require "moonpipe.tool.repl.session"
local text = require "moonpipe.tool.repl.text"

local repl = { complete = require "moonpipe.tool.repl.complete" }

local opened = false
local next_run -- what `run` does

local function complain(problem)
  return function() session.fail(problem) end
end

local function command(source)
  return function()
    local said
    session.run(function() said = commands:run(source) end)
    return said
  end
end

-- What is to be done with a text; nil where it has not ended.
local function plan_of(source, is_last)
  if colon.is(source) then return command(source) end
  local fn, problem, expression = text.read(source)
  if fn then return function() session.evaluate(source, fn, expression) end end
  if text.is_incomplete(problem) and not is_last then return nil end
  return complain(problem)
end

---Reads a text: "more" where it has not ended, "keep" where it may be remembered.
---@param source string
---@return "more"|"keep"|"hide"
function repl.read(source)
  if text.is_blank(source) then return "hide" end
  next_run = plan_of(source, false)
  if not next_run then return "more" end
  return text.holds_key(source) and "hide" or "keep"
end

---Runs the text that was read.
---@async
---@return string  "quit" where it says to leave
function repl.run()
  local fn = next_run
  next_run = nil
  return fn and fn() or ""
end

---Runs a text to which nothing will be added, and waits for what was started.
---@async
---@param source string
---@return string code  of the first text that failed, 0 where none did
function repl.finish(source)
  if not text.is_blank(source) then plan_of(source, true)() end
  if not require("moonpipe.native").c.isatty(0) then session.wait() end
  for _, flush in ipairs(require("moonpipe.tool.repl_command").flushes) do flush() end
  return tostring(session.code)
end

---Makes the REPL ready.
---@async
function repl.open()
  if opened then return repl end
  opened = true
  colour.open()
  env.keep("mp", require "moonpipe")
  session.note_modules()
  return repl
end

return repl
