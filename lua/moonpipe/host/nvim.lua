--- Chains in Neovim: they go on while one types.
--
--   local host = require "moonpipe.host.nvim"
--   host.install()
--
-- Callbacks of `chain:start(input, { on_token = … })` may use the whole of Neovim's API; in a
-- coroutine `host.invoke(chain, input)` waits without holding up the editor.
local luv = require "moonpipe.host.luv"

local host = { invoke = luv.invoke }

local stop

--- Begins to watch the engine; again it does nothing.
---@param opts { budget: number? }?  seconds a turn at most
function host.install(opts)
  if stop then return end
  opts = { budget = opts and opts.budget, wrap = vim.schedule_wrap }
  stop = luv.install(vim.uv or vim.loop, opts)
end

--- Ends the watch; what was started goes on when somebody waits for it, or never.
function host.stop()
  if stop then stop() end
  stop = nil
end

--- A function for `on_token` that writes pieces of text behind a buffer's end, line by line.
---@param buffer integer
---@return fun(text: string)
function host.writer(buffer)
  return function(text)
    local last = vim.api.nvim_buf_line_count(buffer)
    local line = vim.api.nvim_buf_get_lines(buffer, last - 1, last, false)[1] or ""
    vim.api.nvim_buf_set_lines(buffer, last - 1, last, false, vim.split(line .. text, "\n"))
  end
end

return host
