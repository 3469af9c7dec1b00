-- :Ask QUESTION   asks a model about the buffer; the answer grows in a split
-- :AskStop        ends it
vim.api.nvim_create_user_command("Ask", function(call)
  require("moonpipe_ask").ask(call.args)
end, { nargs = "+" })
vim.api.nvim_create_user_command("AskStop", function()
  require("moonpipe_ask").stop()
end, {})
