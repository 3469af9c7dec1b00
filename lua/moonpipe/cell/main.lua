--- The calls of a locked-in VM: what C enters by, once for each turn.
--
-- A turn does one thing that the VM outside says (a load, a call, an answer, a time that came),
-- runs what is ready, and gives its notes; see jobs.lua and ../sandbox/cell.lua.
local codec = require "moonpipe.sandbox.codec"
local coerce = require "moonpipe.coerce"
local errors = require "moonpipe.error"
local grants = require "moonpipe.cell.grants"
local jobs = require "moonpipe.cell.jobs"
local lambda = require "moonpipe.steps.lambda"
local loader = require "moonpipe.loader"
local log = require "moonpipe.log"
local native = require "moonpipe.native"
local scheduler = require "moonpipe.scheduler"
local start = require "moonpipe.start"
local tree = require "moonpipe.tree"
local world = require "moonpipe.cell.world"

local main = {}

local calls = {} -- id of the VM outside -> task
local chain      -- what the script has returned

loader.set_operator(function(sites, name)
  return require("moonpipe.operator").new(sites, name)
end)
log.sink = function(level, text)
  jobs.note("log", level, nil, nil, nil, text)
  return true
end
world.prepare(calls)

-- ---- calls --------------------------------------------------------------------

local NO_WORDS = codec.encode(errors.new { kind = "memory", message = "not enough memory" })

-- A call is forgotten when its end is noted: where the memory does not suffice for that, the turn
-- fails, and the VM with it.
local function fail(call, err)
  local ok, text = pcall(codec.encode, errors.wrap(err))
  jobs.note("fail", call, nil, nil, nil, ok and text or NO_WORDS)
  calls[call] = nil
end

local function tell(call, op, value)
  local ok, text = pcall(codec.encode, value)
  if not ok then return fail(call, text) end
  jobs.note(op, call, nil, nil, nil, text)
end

local function begin(call, step, input, read, streams)
  calls[call] = start.start(step, input, {
    on_done = function(value)
      local ok, result = pcall(read, value)
      if not ok then return fail(call, result) end
      tell(call, "done", result)
      calls[call] = nil
    end,
    on_error = function(err) fail(call, err) end,
    on_token = streams and function(value) tell(call, "chunk", value) end or nil,
  })
end

local function same(value) return value end

-- ---- what is said from outside ------------------------------------------------

local ops = {}

---Names and descriptions of what the host grants.
function ops.grant(text)
  grants.set(codec.decode(text))
end

-- A script's result is in a table: a function that gives a step would be given its result.
local function script(name, text)
  return lambda.RunnableLambda(function(arguments)
    local fn, message = world.load(text, name)
    if not fn then errors.raise("lua", message) end
    return { value = fn(unpack(arguments)) }
  end)
end

local function keep_step(name)
  local shown = name:gsub("^[@=]", "")
  return function(result)
    if result.value == nil then errors.raise("lua", shown .. ": the chunk returns no step") end
    chain = coerce.step(result.value, nil, shown)
    return nil
  end
end

local function give_value(result)
  return result.value
end

---Runs a script; with [keeps] it must return a step, which later calls run.
function ops.load(call, name, text, arguments, keeps)
  local read = keeps and keep_step(name) or give_value
  arguments = codec.decode(arguments)
  world.set_arguments(name, arguments)
  begin(call, script(name, text), arguments, read)
end

function ops.call(call, input, streams)
  begin(call, chain, codec.decode(input), same, streams)
end

function ops.cancel(call)
  local task = calls[call]
  if task then tree.cancel(task, tree.cancelled("the call was cancelled")) end
end

function ops.chunk(id, text) jobs.chunk(id, text) end
function ops.answer(id, text) jobs.done(id, text) end

function ops.go() end

-- Tells of calls that ended without a word (a step yielded to nobody), and of those for which
-- nothing is left to wait.
local function look_after()
  local hopeless = native.c.live() == 0
  for call, task in pairs(calls) do
    if task.state == "ended" then
      fail(call, task.err)
    elseif hopeless then
      fail(call, errors.new { kind = "internal",
        message = "nothing is left that could end this call" })
    end
  end
end

---@param op string
---@return table records
function main.enter(op, ...)
  ops[op](...)
  if scheduler.update() > 0 then jobs.note("more") else look_after() end
  return jobs.take()
end

return main
