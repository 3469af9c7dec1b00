--- Functions of a C host as steps: mp.host.NAME.
--
-- C is called with an id and the input, as text or in a box, and answers by that id: before
-- it returns, or later. Until then the task is parked.
local errors = require "moonpipe.error"
local json = require "moonpipe.json"
local message = require "moonpipe.messages.message"
local runnable = require "moonpipe.steps.runnable"
local scheduler = require "moonpipe.scheduler"

local TEXT_IN, TEXT_OUT = 1, 2 -- as in moonpipe.h
local VALUE_IN = 4             -- as in call.c

---@class moonpipe.HostStep: moonpipe.Runnable
---@field name string
local HostStep, methods = runnable.class("HostStep")

local steps = {}

local functions = {} -- name -> { data, flags, invoke, next_id, take, tool, confirm }
local waiting = {}   -- id -> { task, flags, done, value, err }

local function has(flags, flag)
  return flags % (2 * flag) >= flag
end

-- ---- values --------------------------------------------------------------------

local function given(value)
  if value == json.null then return nil end
  return value
end

---The value of what came from C: a text, or a value of its own.
function steps.read(text, flags, flag)
  if has(flags, flag or TEXT_IN) then return text end
  if has(flags, VALUE_IN) then return given(text) end
  return given(json.decode(text))
end

---The text of a value for C.
function steps.write(value, flags, flag)
  if has(flags, flag or TEXT_OUT) then
    if type(value) == "string" then return value end
    if message.is(value) then return tostring(value) end
  end
  if value == nil then return "null" end
  return json.encode(value)
end

-- ---- the step ------------------------------------------------------------------

local function wait(fn, data, id, input, slot)
  fn.invoke(data, id, input)
  while not slot.done do scheduler.park() end
end

-- Asks the function of [data], and gives what C answers.
local function ask(fn, data, input)
  local id, slot = fn.next_id(), { task = scheduler.current(), flags = fn.flags }
  waiting[id] = slot
  local ok, err = pcall(wait, fn, data, id, input, slot)
  waiting[id] = nil
  if not ok then error(err, 0) end
  if slot.err then error(slot.err, 0) end
  return slot.value
end

-- In a box or as text.
local function for_c(fn, input)
  if fn.take then return require("moonpipe.tool.values").take(fn.take, input) end
  return steps.write(input, fn.flags, TEXT_IN)
end

function methods:_invoke(input)
  local fn = functions[self.name]
  return ask(fn, fn.data, for_c(fn, input))
end

---The step, or the tool, of the function that the host registered as [name].
---@param name string
---@return moonpipe.Runnable
function steps.host_step(name)
  local fn = functions[name]
  if fn then return fn.tool or runnable.instance(HostStep, { name = name }) end
  local names = {}
  for known in pairs(functions) do names[#names + 1] = known end
  table.sort(names)
  errors.usage(("the host has registered no function '%s'%s"):format(errors.text(name),
    errors.hint(name, names)))
end

---mp.host.NAME
steps.host = setmetatable({}, {
  __name = "moonpipe.host",
  __index = function(_, name) return steps.host_step(name) end,
})

-- ---- called by C ---------------------------------------------------------------

---Registers a function; `invoke(data, id, input)`, `next_id()` and `take(value, …)` are C's.
---@param take function?  none: it is given texts
function steps.register(name, flags, data, invoke, next_id, take)
  if not name or not data then
    errors.raise("input", "a step of the host takes a name and a function")
  end
  functions[name] = { flags = flags, data = data, invoke = invoke, next_id = next_id, take = take }
end

local function schema_of(text)
  if not text then return nil end
  local ok, value = pcall(json.decode, text)
  if ok then return value end
  errors.raise("decode", "the schema of a tool: " .. errors.text(value.message))
end

-- Asks the function that is the newest of this name, as the step does.
local function confirming(name)
  return function(args)
    local fn = functions[name]
    return fn.confirm == nil or ask(fn, fn.confirm, for_c(fn, args)) == true
  end
end

---Registers a function as a tool; [confirm] is the data of the one that is asked before.
function steps.register_tool(name, description, schema, data, invoke, next_id, take, confirm)
  if not take then errors.raise("input", "a tool of the host takes a function as on_call") end
  local tool = require("moonpipe.agents.tools").tool {
    name = name, description = description, schema = schema_of(schema),
    fn = runnable.instance(HostStep, { name = name }),
    confirm = confirm and confirming(name) or nil,
  }
  steps.register(name, 0, data, invoke, next_id, take)
  functions[name].tool, functions[name].confirm = tool, confirm
end

-- 1, or 0 where nobody waits for [id] any more.
local function answer(id, fn, ...)
  local slot = waiting[id]
  if not slot then return 0 end
  waiting[id] = nil
  local ok, value = pcall(fn, slot, ...)
  if ok then slot.value = value else slot.err = errors.wrap(value) end
  slot.done = true
  scheduler.unpark(slot.task)
  return 1
end

local function read_result(slot, text)
  return steps.read(text, slot.flags, TEXT_OUT)
end

function steps.complete(id, text)
  return answer(id, read_result, text)
end

local function as_it_is(_, value)
  return given(value)
end

function steps.complete_value(id, value)
  return answer(id, as_it_is, value)
end

local function raise(_, kind, text)
  errors.raise(kind, text)
end

function steps.fail(id, kind, text)
  return answer(id, raise, kind, text)
end

return steps
