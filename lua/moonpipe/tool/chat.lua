--- `moonpipe chat`: its words; the program itself reads the lines, by tool/chat/lines.lua.
local found = require "moonpipe.tool.found"
local mp = require "moonpipe"
local talk = require "moonpipe.tool.talk"

local READS_CHAT = 257 -- as in main.c

local chat = {
  name = "chat",
  usage = "",
  summary = "Talks with a model, line by line.",
  about = "Nothing is kept but with --save. A line that ends in a backslash goes on in the next "
    .. "one; what is pasted is one question. Ctrl-C ends an answer, and what was said of it "
    .. "stays; Ctrl-D leaves, :help tells the commands.\n\n"
    .. "Through a pipe each line is a question, and the first failure is the end. Conversations "
    .. "are in ~/.local/share/moonpipe/chats.db, for their owner alone.",
  example = "moonpipe chat --save trip\nmoonpipe chat --continue trip\n"
    .. "moonpipe chat --index docs.mp",
  files = {},
  options = talk.options {
    { name = "save", value = "NAME", help = "keep the conversation under a new name" },
    { name = "continue", short = "c", value = "NAME", help = "go on with one that was kept" },
    { name = "list", short = "l", help = "list those that were kept" },
    { name = "index", short = "i", value = "FILE", files = { "mp" },
      help = "answer from an index that `moonpipe index` made" },
    { name = "usage", short = "u", help = "tell tokens and their price at the end" },
  },
}
for _, option in ipairs(found.OPTIONS) do chat.options[#chat.options + 1] = option end

local function print_list()
  for _, one in ipairs(require("moonpipe.tool.chat.store").list()) do
    print(("%s  %4d  %s"):format(one.last, one.messages, mp.printable(one.session_id)))
  end
end

function chat.run(given, words, state)
  if #words > 0 then return "chat takes no words: it asks for them" end
  if given.list then return print_list() end
  if given.save and given.continue then
    return "--save and --continue do not go together: what is gone on with is kept"
  end
  local open = require("moonpipe.tool.chat.conversation").open(given)
  require("moonpipe.tool.chat.lines").begin(open, state.flushes)
  state.flushes = {}
  return READS_CHAT
end

return chat
