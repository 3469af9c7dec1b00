--- What is told beside results: notices and warnings, one line each.
--
-- They go to standard error, or to the sink that a C host has given. A line may hold what a server
-- said; keys are masked.
local log = {}

---Takes a line, or gives false for one that it cannot take.
---@type (fun(level: integer, text: string): boolean)?
log.sink = nil

---Called before a line is written, for who draws on the same terminal.
---@type fun()?
log.before = nil

--- True where nothing is told.
log.quiet = false

-- As in moonpipe.h.
local NOTICE, WARNING = 1, 2

local function tell(level, text)
  if log.quiet then return end
  text = require("moonpipe.redact").text(text)
  if log.sink and log.sink(level, text) then return end
  if log.before then log.before() end
  io.stderr:write(("moonpipe: %s\n"):format(require("moonpipe.terminal").printable(text)))
end

---Tells what was chosen or left out on the user's behalf.
---@param text string
function log.notice(text)
  tell(NOTICE, text)
end

---Tells what is probably a mistake.
---@param text string
function log.warn(text)
  tell(WARNING, text)
end

---Tells who asked for it what is going on.
---@param text string
function log.tell(text)
  tell(NOTICE, text)
end

return log
