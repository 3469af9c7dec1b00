--- An MCP server that is a program of this machine: a message a line, by its standard streams.
local child = require "moonpipe.child"
local errors = require "moonpipe.error"
local json = require "moonpipe.json"
local log = require "moonpipe.log"
local native = require "moonpipe.native"
local redact = require "moonpipe.redact"
local scheduler = require "moonpipe.scheduler"
local terminal = require "moonpipe.terminal"

---@class moonpipe.McpStdio
---@field rpc moonpipe.McpRpc
---@field child moonpipe.Child
local Stdio = {}
Stdio.__index = Stdio

local stdio = {}

local SHOWN = 300 -- bytes of a line

-- On one line, without what a terminal would obey, and without our keys.
local function printable(line)
  local text = native.c.utf8_repair(line:sub(1, SHOWN), #line > SHOWN)
  return redact.text((terminal.printable(text):gsub("%s+", " ")))
end

local function on_end(self, err)
  local said = self.owner.last_line
  err.message = ("%s: %s%s"):format(self.owner.rpc.name, err.message, said and ": " .. said or "")
  self.owner.rpc:fail(err)
end

---@param rpc moonpipe.McpRpc
---@param opts { command: string[], env: table?, cwd: string? }
---@return moonpipe.McpStdio
function stdio.open(rpc, opts)
  local self = setmetatable({ rpc = rpc }, Stdio)
  self.child = child.start(opts.command, opts, {
    owner = self,
    on_end = on_end,
    on_line = function(_, line)
      if not rpc:receive(line) then
        log.warn(("%s: its output is no message: %s"):format(rpc.name, printable(line)))
      end
    end,
    on_error_line = function(_, line)
      self.last_line = printable(line)
      log.notice(("%s: %s"):format(rpc.name, self.last_line))
    end,
  })
  return self
end

local function raise_end(self)
  local err = self.child.ended
  if err then errors.raise(err.kind, err.message) end
end

---@async
function Stdio:exchange(message, entry)
  raise_end(self)
  self.child:write(json.encode(message) .. "\n")
  while not entry.answered do
    raise_end(self)
    scheduler.park()
  end
end

-- What is written first is heard first.
function Stdio:say(message)
  self:post(message)
end

function Stdio:post(message)
  self.child:write_later(json.encode(message) .. "\n")
end

-- All is said by the handshake.
function Stdio:agreed() end

---@async
function Stdio:close()
  self.child:close()
end

return stdio
