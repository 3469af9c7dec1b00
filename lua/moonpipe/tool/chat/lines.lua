--- The steps that the C host calls with what was typed in `moonpipe chat`; see tool/repl.lua.
local colon = require "moonpipe.tool.colon"
local errors = require "moonpipe.error"
local failure = require "moonpipe.tool.failure"
local found = require "moonpipe.tool.found"
local native = require "moonpipe.native"
local offer = require "moonpipe.tool.offer"
local report = require "moonpipe.tool.report"
local scheduler = require "moonpipe.scheduler"
local talk = require "moonpipe.tool.talk"

local lines = {}

local INTERRUPTED = 130

---@type moonpipe.Conversation
local open
---@type moonpipe.ColonCommands
local commands
local text = ""   -- what was read
local code = 0    -- that the program ends with, through a pipe
local is_terminal

-- ---- answers ---------------------------------------------------------------------------------

local function print_answer(fn)
  local out = talk.writer()
  local ok, err = pcall(fn, out.write)
  out.finish()
  if not ok then error(err, 0) end
  if open.given.sources and open.documents then found.print_sources(open.documents, io.stderr) end
end

local function step()
  if colon.is(text) then return commands:run(text) end
  local question = text
  print_answer(function(tell) open:turn(question, tell) end)
end

-- A conversation that lacks a turn is another one: through a pipe the first failure ends it.
local function fail(err)
  err = errors.wrap(err)
  if err.kind == "cancelled" then
    code = INTERRUPTED
    scheduler.raise_if_cancelled(scheduler.current()) -- the host says so
  end
  code = failure.code_of(err)
  io.stderr:write("moonpipe: ", report.of(err), "\n")
end

-- ---- what the host calls -----------------------------------------------------------------------

---Reads a text: "more" where it goes on in the next line. What is said here is nobody's business:
---it is not kept with the lines of the REPL.
---@param source string
---@return "more"|"keep"|"hide"
function lines.read(source)
  if source:find("\\\r?\n$") then return "more" end
  text = source:gsub("\\\r?\n", "\n"):gsub("%s+$", "")
  return text:find("%S") and "keep" or "hide"
end

---@async
---@return string  "quit" where it says to leave
function lines.run()
  if code ~= 0 and not is_terminal then return "quit" end
  if not text:find("%S") then return "" end
  local ok, said = xpcall(step, errors.handler)
  io.stdout:flush()
  if not ok then fail(said) end
  return (said == "quit" or code ~= 0 and not is_terminal) and "quit" or ""
end

---What Tab does, in commands alone.
---@async
---@param input string  columns of the terminal, a newline, the text up to the cursor
---@return string
function lines.complete(input)
  local columns, typed = input:match("^(%d+)\n(.*)$")
  return offer.answer(colon.is(typed) and offer.in_command(commands, typed) or nil,
    tonumber(columns))
end

---@async
---@return string code
function lines.finish()
  open:settle()
  if open.given.usage then talk.print_usage(open.usage) end
  for _, flush in ipairs(lines.flushes) do flush() end
  return tostring(code)
end

---Says whose turn it is from now on.
---@param conversation moonpipe.Conversation
---@param flushes (async fun())[]  to be called at the end
function lines.begin(conversation, flushes)
  open, lines.flushes, is_terminal = conversation, flushes, native.c.isatty(0)
  commands = require("moonpipe.tool.chat.commands")(open, print_answer)
end

---@return table lines
function lines.open()
  return lines
end

return lines
