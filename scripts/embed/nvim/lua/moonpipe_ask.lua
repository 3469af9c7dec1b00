-- Asks a model about a buffer: `set runtimepath+=scripts/embed/nvim`, with moonpipe.so where Lua
-- looks for modules (package.cpath).
local mp = require "moonpipe"
local host = require "moonpipe.host.nvim"

local ask = {}

local task, chain

-- Neovim reads this file, so mp.pipe composes; a model is looked for at the first question.
local function chain_of()
  chain = chain or mp.pipe(mp.prompts.rag, mp.init_chat_model(), mp.StrOutputParser())
  return chain
end

local function split()
  local buffer = vim.api.nvim_create_buf(false, true)
  vim.bo[buffer].filetype = "markdown"
  vim.cmd "vsplit"
  vim.api.nvim_win_set_buf(0, buffer)
  return buffer
end

--- Asks about the buffer that is shown; gives the task and the buffer of the answer.
function ask.ask(question)
  ask.stop()
  host.install()
  local text = table.concat(vim.api.nvim_buf_get_lines(0, 0, -1, false), "\n")
  local buffer = split()
  local write = host.writer(buffer)
  task = chain_of():start({ context = text, question = question }, {
    on_token = write,
    on_error = function(err) write("\n[" .. tostring(err.message) .. "]") end,
  })
  return task, buffer
end

--- Ends the answer that is growing: its connection is closed.
function ask.stop()
  if task then task:cancel() end
end

return ask
