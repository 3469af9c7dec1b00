--- A program in a terminal of its own, by tmux: what is typed, what is shown.
local helper = require "spec.helper"
local process = require "spec.support.process"

local Terminal = {}
Terminal.__index = Terminal

local terminal = {}

local count = 0

-- Each terminal is a tmux server of its own: nobody else's is seen or ended.
local function tmux(self, ...)
  local stdout, stderr, code = helper.execute({ "tmux", "-L", self.name, "-f", "/dev/null", ... },
    nil, { TMUX = false })
  if code ~= 0 then error(("tmux %s: %s"):format((...), stderr), 2) end
  return stdout
end

--- Runs a program in a terminal of 100 columns. `env` as in helper.execute; when it
--- ends, the terminal shows `exit <code>`.
---@param command string[]
---@param env? table<string, string>
function terminal.start(command, env)
  count = count + 1
  local self = setmetatable({ name = ("moonpipe-%d-%s"):format(count,
    os.tmpname():match("[^/]+$")) }, Terminal)
  local words = { "exec", "env" }
  for name, value in pairs(env or {}) do
    words[#words + 1] = name .. "=" .. process.quote(value)
  end
  words[2] = "env"
  for _, word in ipairs(command) do words[#words + 1] = process.quote(word) end
  table.remove(words, 1)
  tmux(self, "new-session", "-d", "-x", "100", "-y", "50",
    table.concat(words, " ") .. "; echo exit $?; sleep 60")
  return self
end

--- Types a text, key by key; `Enter` is one of the keys.
function Terminal:type(text)
  tmux(self, "send-keys", "-l", text)
end

--- Presses keys by tmux's names: "Enter", "C-c", "Up".
function Terminal:press(...)
  tmux(self, "send-keys", ...)
end

--- Types a line.
function Terminal:line(text)
  self:type(text)
  self:press("Enter")
end

--- Gives a text at once, as a paste does; marked as one, where the program wants that.
---@param is_marked boolean?
function Terminal:paste(text, is_marked)
  tmux(self, "set-buffer", text)
  tmux(self, "paste-buffer", is_marked and "-p" or nil)
end

--- Makes the terminal another size.
function Terminal:resize(columns, rows)
  tmux(self, "resize-window", "-x", tostring(columns), "-y", tostring(rows))
end

--- What is on the screen, without the blank lines at its end. Options of tmux's
--- capture-pane: "-e" gives colours, "-S", "-" what has scrolled away.
function Terminal:screen(...)
  return (tmux(self, "capture-pane", "-p", ...):gsub("%s+$", ""))
end

--- Waits until the screen matches a pattern; an error after half a minute.
function Terminal:wait(pattern, ...)
  for _ = 1, 600 do
    if self:screen(...):find(pattern) then return end
    os.execute("sleep 0.05")
  end
  error(("never shown: %s\n%s"):format(pattern, self:screen(...)), 2)
end

function Terminal:stop()
  pcall(tmux, self, "kill-server")
end

return terminal
