--- Callbacks: tables of functions that are told what happens in a call.
--
-- `on_<kind>_start`, `_stream`, `_end`, `_error` (kinds: chain prompt chat_model parser
-- retriever tool) are called with the run; `on_start`, `on_stream`, `on_end`, `on_error`
-- for runs of every kind, and `on_custom_event(run, name, data)`. What a callback raises
-- is a warning in the log, and no failure of the chain.
local errors = require "moonpipe.error"
local log = require "moonpipe.log"
local scheduler = require "moonpipe.scheduler"
local tree = require "moonpipe.tree"

local KINDS = { "chain", "prompt", "chat_model", "parser", "retriever", "tool" }
local STAGES = { "start", "stream", "end", "error" }

local names = {} -- kind -> stage -> name
local known = { on_custom_event = true }
for _, stage in ipairs(STAGES) do known["on_" .. stage] = true end
for _, kind in ipairs(KINDS) do
  names[kind] = {}
  for _, stage in ipairs(STAGES) do
    names[kind][stage] = ("on_%s_%s"):format(kind, stage)
    known[names[kind][stage]] = true
  end
end

local callbacks = { names = names }

local running = 0 -- those that have not come back

-- Whether [callback] runs in this task, or in one around it.
local function is_telling(callback, node)
  while node do
    local list = node.telling
    for i = 1, list and #list or 0 do
      if list[i] == callback then return true end
    end
    node = node.parent
  end
  return false
end

---Calls a callback's function [name], if it has one. One that runs a chain itself is
---not told of that; one that waits is told of what others do meanwhile.
---@param callback table
---@param name string
function callbacks.call(callback, name, ...)
  local fn = callback[name]
  if not fn then return end
  local node = scheduler.current() or tree.root
  if running > 0 and is_telling(callback, node) then return end
  local list = node.telling or {}
  local depth = #list + 1
  node.telling, list[depth], running = list, callback, running + 1
  local ok, err = xpcall(fn, errors.handler, ...)
  list[depth], running = nil, running - 1
  if not ok then log.warn(("callback %s failed: %s"):format(name, errors.text(err))) end
end

---Raises a usage error for a callback that nobody would ever call.
---@param list table[]
function callbacks.check(list)
  for i, callback in ipairs(list) do
    if type(callback) ~= "table" then
      errors.usage(("callback %d is %s; it must be a table of functions"):format(i,
        errors.shape(callback)))
    end
    for name in pairs(callback) do
      if type(name) == "string" and name:find("^on_") and not known[name] then
        local all = {}
        for one in pairs(known) do all[#all + 1] = one end
        table.sort(all)
        errors.usage(("unknown callback '%s'%s"):format(name, errors.hint(name, all)))
      end
    end
  end
end

return callbacks
