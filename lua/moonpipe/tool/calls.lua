--- Chains of a C host, its calls of them, and the loop.
--
-- A call is a task of its own whose callbacks run in it. They may come back in
-- through C: what they start must not become their child, hence
-- `scheduler.outside`.
local coerce = require "moonpipe.coerce"
local embed = require "moonpipe.tool.embed"
local errors = require "moonpipe.error"
local host = require "moonpipe.tool.host"
local native = require "moonpipe.native"
local scheduler = require "moonpipe.scheduler"
local start = require "moonpipe.start"
local steps = require "moonpipe.tool.steps"
local tree = require "moonpipe.tree"

local c = native.c

local calls = {
  register = steps.register,
  register_tool = steps.register_tool,
  complete = steps.complete,
  complete_value = steps.complete_value,
  fail = steps.fail,
}

local TOKEN, DONE, FAILED = 1, 2, 3
local CLOSING = 1 -- seconds that calls have to end in when the engine closes

local chains = {} -- id -> step
local live = {}   -- id -> call that has not been told its end
local unloaded    -- why the last load failed: its id is 0

-- ---- chains --------------------------------------------------------------------

local function run_text(name, text)
  if rawget(embed, "grants") then
    return require("moonpipe.tool.locked_in").run(host, embed.grants, function(box)
      return box:load(text, (name:gsub("^[@=]", "")))
    end)
  end
  local fn, message = host.load_text(name, text)
  if not fn then errors.raise("lua", message) end
  return host.run(fn)
end

local function load_text(id, name, text)
  local code, said, err, value = run_text(name, text)
  if code ~= 0 then error(err or said, 0) end
  local shown = name:gsub("^[@=]", "")
  if value == nil then
    errors.raise("lua", shown .. ": the chunk returns no step; end it with `return chain`")
  end
  chains[id] = coerce.step(value, nil, shown)
end

local function load_file(id, path)
  local text, message = host.read(path)
  if not text then errors.raise("io", message) end
  load_text(id, "@" .. path, text)
end

local function kept(load, ...)
  local ok, err = pcall(load, ...)
  unloaded = not ok and err or nil
  if not ok then error(err, 0) end
end

---Runs a text that returns a step, and keeps that as [id].
function calls.load_text(id, name, text)
  kept(load_text, id, "=" .. name, text)
end

function calls.load_file(id, path)
  kept(load_file, id, path)
end

function calls.drop(id)
  chains[id] = nil
end

-- ---- calls ---------------------------------------------------------------------

local function tell(call, what, payload)
  if what ~= TOKEN then live[call.id] = nil end
  call.tell(call.options, call.id, what, payload)
end

-- As the host wants it: in a box, or as text.
local function result_of(call, value)
  if not call.take then return steps.write(value, call.flags) end
  return require("moonpipe.tool.values").take(call.take, value, call.kept)
end

local function on_done(call)
  return function(value)
    local ok, result = pcall(result_of, call, value)
    if ok and call.kept then call.box = result end
    if ok then tell(call, DONE, result) else call:fail(result) end
  end
end

local function on_token(call)
  return function(value)
    local text = steps.write(value, call.flags)
    if text ~= "" then tell(call, TOKEN, text) end
  end
end

local Call = {}
Call.__index = Call

function Call:fail(err)
  self.err = self.kept and err or nil
  tell(self, FAILED, embed.describe(err))
end

local function cancel_all(why)
  local tasks = {}
  for _, call in pairs(live) do tasks[#tasks + 1] = call.task end
  for _, task in ipairs(tasks) do tree.cancel(task, tree.cancelled(why)) end
end

local function on_interrupt()
  cancel_all("interrupted")
end

local function begin(call, chain_id, input, timeout, streams)
  local step = chains[chain_id]
  if chain_id == 0 and unloaded then error(unloaded, 0) end -- nobody looked at that
  if not step then errors.raise("closed", ("this engine has no chain %d"):format(chain_id)) end
  local value = steps.read(input, call.flags)
  call.task = scheduler.outside(start.start, step, value, {
    timeout = timeout > 0 and timeout or nil,
    on_token = streams and on_token(call) or nil,
    on_done = on_done(call),
    on_error = function(err) call:fail(err) end,
  })
  live[call.id] = call
  scheduler.on_interrupt = on_interrupt
end

---Starts a call; `tell(options, id, what, payload)` and `take(value, …)` are C's.
---@param chain_id integer
---@param input any        a text, or with a flag a value
---@param flags integer
---@param timeout number   0: none
---@param streams boolean  it wants tokens
---@param take function?   it wants the result as a value
function calls.start(id, chain_id, input, flags, timeout, streams, options, c_tell, take)
  local call = { id = id, flags = flags, options = options, tell = c_tell, take = take }
  begin(setmetatable(call, Call), chain_id, input, timeout, streams)
end

---The same, and waits for its end.
---@return userdata box  of the result
function calls.call(id, chain_id, input, flags, timeout, streams, options, c_tell, take)
  local call = { id = id, flags = flags, options = options, tell = c_tell, take = take }
  call.kept = true
  begin(setmetatable(call, Call), chain_id, input, timeout, streams)
  local ok, err = pcall(calls.wait, id, -1)
  if not ok then calls.cancel(id) end
  if call.err or not ok then error(call.err or err, 0) end
  return call.box
end

---@return integer  1, or 0 where it has ended
function calls.cancel(id)
  local call = live[id]
  if not call then return 0 end
  tree.cancel(call.task, tree.cancelled("the host cancelled the call"))
  return 1
end

-- ---- the loop ------------------------------------------------------------------

-- An interrupt that came too late must not meet what is started next.
local function take_interrupt()
  if c.interrupted() then scheduler.on_interrupt() end
end

---Runs what is ready, at most [seconds] long; negative: all.
---@return integer ready  tasks that wait for their turn
function calls.update(seconds)
  local ready = scheduler.update(seconds >= 0 and seconds or nil)
  take_interrupt()
  return ready
end

local function is_live(id)
  if id == 0 then return next(live) ~= nil end
  return live[id] ~= nil
end

-- Blocks until there is something to do; false when the time is over.
local function block(limit)
  local left = limit and limit - c.now()
  if left and left <= 0 then return false end
  if not left and c.live() == 0 then
    errors.raise("internal", "nothing is left that could end this call")
  end
  c.wait(left)
  return true
end

---Runs until call [id] (0: all) has ended, or [seconds] went by; negative: for ever.
---@return integer  1 when it has ended, 0 after the time
function calls.wait(id, seconds)
  local limit = seconds >= 0 and c.now() + seconds or nil
  while is_live(id) do
    local ready = scheduler.update(0)
    if not is_live(id) then break end
    if ready == 0 and not block(limit) then return 0 end
    if limit and ready > 0 and c.now() >= limit then return 0 end
  end
  take_interrupt()
  return 1
end

local function wind_up()
  local limit = c.now() + CLOSING
  cancel_all("the engine was closed")
  while next(live) and c.now() < limit do
    if scheduler.update(0) == 0 and next(live) then c.wait(limit - c.now()) end
  end
end

---Cancels all calls, and tells their callbacks.
function calls.close()
  scheduler.outside(wind_up)
  for _, call in pairs(live) do -- those that do not let themselves be cancelled
    tell(call, FAILED, embed.describe(tree.cancelled("the engine was closed")))
  end
  chains = {}
end

return calls
