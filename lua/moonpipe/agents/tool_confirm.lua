--- Leave to call a tool: for those that write, or pay.
local errors = require "moonpipe.error"
local json = require "moonpipe.json"
local terminals = require "moonpipe.terminal"

local confirm = {}

---@param value any  what was given for `confirm`
---@param what string  whose
function confirm.check(value, what)
  if value ~= nil and type(value) ~= "boolean" and type(value) ~= "function" then
    errors.usage(("confirm of %s takes a function, or true to ask the host, got %s"):format(what,
      errors.shape(value)))
  end
end

-- At the terminal of the program; nil where there is none. Blocks, as getpass does.
local function ask_terminal(call)
  if not package.loaded["moonpipe.tool.command"] then return nil end
  local terminal = io.open("/dev/tty", "r+")
  if not terminal then return nil end
  terminal:write(terminals.printable(("moonpipe: call tool %s with %s? [y/N] "):format(call.name,
    json.encode(call.args))))
  terminal:flush()
  local line = terminal:read("*l")
  terminal:close()
  return line ~= nil and line:lower():find("^%s*y") ~= nil
end

local function ask(self, args, ctx)
  if type(self.confirm) == "function" then return self.confirm(args, ctx) end
  local call = { name = self.name, args = args, type = "tool_call" }
  local host = ctx.configurable.confirm_tool
  if type(host) == "function" then return host(call) end
  local answer = ask_terminal(call)
  if answer == nil then return false, "there is nobody to ask" end
  return answer
end

---Raises kind `tool` where the tool may not be called.
---@async
---@param self moonpipe.RunnableTool
---@param args any
---@param ctx moonpipe.Context
function confirm.ask(self, args, ctx)
  if not self.confirm then return end
  local allowed, why = ask(self, args, ctx)
  if allowed then return end
  errors.raise("tool", ("tool %s: the call was not allowed%s"):format(self.name,
    why and ": " .. errors.text(why) or ""))
end

return confirm
