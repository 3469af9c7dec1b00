-- Eight streams in Neovim; MOONPIPE_URL is the base URL. Their texts are written by the editor's API.
local mp = require "moonpipe"
local host = require "moonpipe.host.nvim"
local eight = require "spec.support.hosts.eight"

host.install()
eight.start(mp, os.getenv "MOONPIPE_URL", function(text)
  vim.api.nvim_buf_set_lines(0, 0, -1, false, vim.split(text, "\n"))
  io.stdout:write(table.concat(vim.api.nvim_buf_get_lines(0, 0, -1, false), "\n"), "\n")
  vim.cmd "qall!"
end)
