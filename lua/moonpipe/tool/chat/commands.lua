--- The commands at the prompt of `moonpipe chat`.
local colon = require "moonpipe.tool.colon"
local errors = require "moonpipe.error"
local mp = require "moonpipe"

---@alias moonpipe.Answerer async fun(fn: async fun(tell: fun(text: string)))  prints what fn tells

---@class moonpipe.ChatCommand
---@field usage string?
---@field takes string[]?
---@field help string
---@field run async fun(open: moonpipe.Conversation, argument: string, answer: moonpipe.Answerer):
---  string?

---@type table<string, moonpipe.ChatCommand>
local COMMANDS = {}

COMMANDS.model = {
  usage = "[NAME]", takes = require("moonpipe.models.names").providers(),
  help = "have another model answer, or say which one does",
  run = function(open, name)
    if name ~= "" then return open:ask_another(name) end
    print(mp.printable(open.model.model or tostring(open.model)))
  end,
}

COMMANDS.system = {
  usage = "[TEXT]", help = "what the model is told to be",
  run = function(open, text)
    if text == "" then return print(mp.printable(open.system or "nothing")) end
    open.system = text
  end,
}

COMMANDS.save = {
  usage = "NAME", help = "keep this conversation, from its beginning",
  run = function(open, name)
    if name == "" then errors.raise("input", ":save takes NAME") end
    open:keep(name)
  end,
}

COMMANDS.clear = {
  help = "forget what was said, where it is kept too",
  run = function(open) open:clear() end,
}

COMMANDS.retry = {
  help = "ask the last question again",
  run = function(open, _, answer)
    answer(function(tell) open:again(tell) end)
  end,
}

COMMANDS.tokens = {
  help = "calls since the beginning, their tokens and price",
  run = function(open) print(tostring(open.usage)) end,
}

COMMANDS.quit = { help = "leave, as Ctrl-D does", run = function() return "quit" end }

local ABOUT = [[
A line is a question; one that ends in \ goes on in the next. What is pasted is one question.
Ctrl-C ends an answer: what was said of it stays. An answer that fails is forgotten with its
question, :retry asks it again.]]

---@param open moonpipe.Conversation
---@param answer moonpipe.Answerer
---@return moonpipe.ColonCommands
return function(open, answer)
  local list = {}
  for name, one in pairs(COMMANDS) do
    list[name] = { usage = one.usage, takes = one.takes, help = one.help,
      run = function(argument) return one.run(open, argument, answer) end }
  end
  return colon.commands(list, ABOUT)
end
