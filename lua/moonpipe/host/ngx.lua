--- Chains in nginx's Lua module (OpenResty): a worker serves others while a request waits.
--
--   local host = require "moonpipe.host.ngx"
--   local ok, err = host.each(chain, input, function(text)
--     ngx.print(text)
--     return ngx.flush(true)
--   end)
--
-- Tasks run in a timer of the worker's, of which there is one while some are left, so steps know
-- nothing of a request; each request waits for its own in nginx's way. With `lua_check_client_abort
-- on` a client that goes ends its task.
local errors = require "moonpipe.error"
local scheduler = require "moonpipe.scheduler"

local host = {}

local BUDGET = 0.005 -- seconds of a turn
local PAUSE = 0.002 -- seconds between two

local live, turning = 0, false

local function turn(premature)
  while live > 0 and not premature do
    scheduler.update(BUDGET)
    ngx.sleep(PAUSE)
  end
  turning = false
end

local function look_after()
  if turning then return end
  local ok, problem = ngx.timer.at(0, turn)
  if not ok then errors.raise("limit", "nginx gives no timer: " .. tostring(problem)) end
  turning = true
end

-- What a request waits for: chunks in [1..last], then the end.
local function new(config)
  local state = { first = 1, last = 0, bell = assert(require("ngx.semaphore").new()) }
  local options = {}
  for key, value in pairs(config or {}) do options[key] = value end
  local function settle(value, err)
    live = live - 1
    state.ended, state.value, state.err = true, value, err
    state.bell:post()
  end
  options.on_done = settle
  function options.on_error(err) settle(nil, err) end
  return state, options
end

local function begin(state, options, step, input)
  look_after()
  state.task = step:start(input, options)
  live = live + 1
  ngx.on_abort(function()
    state.task:cancel()
    ngx.exit(499)
  end)
end

local function wait(state)
  while not state.ended and state.first > state.last do state.bell:wait(60) end
end

--- Invokes a step while others are served. Gives its value, or nil and the error.
---@param step moonpipe.Runnable
---@param input any
---@param config table?  without `on_error`
---@return any value
---@return moonpipe.Error? err
function host.invoke(step, input, config)
  local state, options = new(config)
  begin(state, options, step, input)
  wait(state)
  return state.value, state.err
end

local function next_chunk(state)
  wait(state)
  if state.first > state.last then return nil end
  local value = state[state.first]
  state[state.first], state.first = nil, state.first + 1
  return value
end

--- Calls fn(chunk) for each chunk of a step's stream, while others are served; where it gives false
--- or nil, the step is cancelled. Gives true, or nil and the error.
---@param step moonpipe.Runnable
---@param input any
---@param fn fun(chunk: any): any
---@param config table?  without `on_error`
---@return boolean? ok
---@return moonpipe.Error? err
function host.each(step, input, fn, config)
  local state, options = new(config)
  function options.on_token(chunk)
    state.last = state.last + 1
    state[state.last] = chunk
    state.bell:post()
  end
  begin(state, options, step, input)
  for chunk in next_chunk, state do
    if not fn(chunk) then state.task:cancel() end
  end
  if state.err then return nil, state.err end
  return true
end

return host
