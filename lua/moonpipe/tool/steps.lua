--- Functions of a C host as steps: mp.host.NAME.
--
-- C is called with an id and the input as text, and answers by that id: before it
-- returns, or later. Until then the task is parked.
local errors = require "moonpipe.error"
local json = require "moonpipe.json"
local message = require "moonpipe.messages.message"
local runnable = require "moonpipe.steps.runnable"
local scheduler = require "moonpipe.scheduler"

local TEXT_IN, TEXT_OUT = 1, 2 -- as in moonpipe.h

---@class moonpipe.HostStep: moonpipe.Runnable
---@field name string
local HostStep, methods = runnable.class("HostStep")

local steps = {}

local functions = {} -- name -> { data, flags, invoke, next_id }
local waiting = {}   -- id -> { task, flags, done, value, err }

local function has(flags, flag)
  return flags % (2 * flag) >= flag
end

-- ---- values --------------------------------------------------------------------

---The value of a text that came from C.
function steps.read(text, flags, flag)
  if has(flags, flag or TEXT_IN) then return text end
  local value = json.decode(text)
  if value == json.null then return nil end
  return value
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

local function ask(fn, id, text, slot)
  fn.invoke(fn.data, id, text)
  while not slot.done do scheduler.park() end
end

function methods:_invoke(input)
  local fn = functions[self.name]
  local text = steps.write(input, fn.flags, TEXT_IN)
  local id, slot = fn.next_id(), { task = scheduler.current(), flags = fn.flags }
  waiting[id] = slot
  local ok, err = pcall(ask, fn, id, text, slot)
  waiting[id] = nil
  if not ok then error(err, 0) end
  if slot.err then error(slot.err, 0) end
  return slot.value
end

---The step of the function that the host registered as [name].
---@param name string
---@return moonpipe.Runnable
function steps.host_step(name)
  if functions[name] then return runnable.instance(HostStep, { name = name }) end
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

---Registers a function; `invoke(data, id, text)` and `next_id()` are C's.
function steps.register(name, flags, data, invoke, next_id)
  functions[name] = { flags = flags, data = data, invoke = invoke, next_id = next_id }
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

local function raise(_, kind, text)
  errors.raise(kind, text)
end

function steps.fail(id, kind, text)
  return answer(id, raise, kind, text)
end

return steps
