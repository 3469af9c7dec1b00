--- Chains in a libuv loop (luv, and Neovim through host/nvim.lua): they go on when the loop finds
--- the engine's descriptor readable.
--
--   local uv = require "luv"
--   local stop = require("moonpipe.host.luv").install(uv)
--
-- Then `chain:start(input, { on_token = … })`, and in a coroutine of one's own `await(task)`.
local errors = require "moonpipe.error"
local scheduler = require "moonpipe.scheduler"

local host = {}

local BUDGET = 0.005 -- seconds without a look at what else the loop has to do

--- Begins to watch the engine; gives a function that ends it.
---@param uv table              luv, or vim.loop
---@param opts { budget: number?, wrap: (fun(fn: function): function)? }?  seconds a turn, and what
---       makes the watcher's function one that may do all, such as vim.schedule_wrap
---@return fun() stop
function host.install(uv, opts)
  opts = errors.options(opts, { "budget", "wrap" }, "install")
  local poll = assert(uv.new_poll(scheduler.fd()))
  local function turn() scheduler.update(opts.budget or BUDGET) end
  poll:start("r", opts.wrap and opts.wrap(turn) or turn)
  return function()
    if not poll:is_closing() then poll:close() end
  end
end

local function resume(co)
  local ok, err = coroutine.resume(co)
  if not ok then error(err, 0) end
end

--- Invokes a step in a coroutine of the host's: others go on while it waits. Gives its value, or
--- nil and the error.
---@param step moonpipe.Runnable
---@param input any
---@param config table?  without `on_error`
---@return any value
---@return moonpipe.Error? err
function host.invoke(step, input, config)
  local co = coroutine.running()
  if not co then errors.usage("invoke of a host is for a coroutine; outside use step:invoke") end
  local options, ended, value, err, waits = {}, false, nil, nil, false
  for key, field in pairs(config or {}) do options[key] = field end
  local function settle(given, failed)
    ended, value, err = true, given, failed
    if waits then scheduler.outside(resume, co) end
  end
  options.on_done = settle
  function options.on_error(failed) settle(nil, failed) end
  step:start(input, options)
  waits = true
  while not ended do coroutine.yield() end
  return value, err
end

return host
