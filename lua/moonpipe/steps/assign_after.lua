--- New keys of a table of which some are computed from others:
--- `assign({ context = …, answer = … }, { after = { answer = "context" } })`.
--
-- Each step begins as soon as the keys that it waits for are there, whatever the
-- others do; what waits for nothing begins at once.
local assign = require "moonpipe.steps.assign"
local chunk = require "moonpipe.chunk"
local errors = require "moonpipe.error"
local interleave = require "moonpipe.interleave"
local merge = require "moonpipe.merge"
local parallel = require "moonpipe.steps.parallel"
local run = require "moonpipe.run"
local runnable = require "moonpipe.steps.runnable"
local scheduler = require "moonpipe.scheduler"

---@class moonpipe.RunnableAssignAfter: moonpipe.RunnableAssign
---@field after table<string, string[]>  what each key waits for, and what that waits for
---@field awaited table<string, boolean>  the keys that others wait for
local RunnableAssignAfter, methods = runnable.class("RunnableAssign", {
  base = assign.RunnableAssign,
})

local assign_after = {}

-- ---- making ------------------------------------------------------------------

local function list_of(mapper, key, value)
  local list = type(value) == "table" and getmetatable(value) == nil and value or { value }
  if mapper.steps[key] == nil then
    errors.usage(("after of assign names '%s', which it does not add"):format(errors.text(key)))
  end
  for _, other in ipairs(list) do
    if type(other) ~= "string" or mapper.steps[other] == nil then
      errors.usage(("in after of assign: '%s' waits for %s, which assign does not add"):format(key,
        type(other) == "string" and "'" .. other .. "'" or errors.shape(other)))
    end
  end
  return list
end

-- Adds to [out] what [key] waits for, directly or not.
local function close_over(given, key, out, path)
  for _, other in ipairs(given[key] or {}) do
    if other == path[1] then
      path[#path + 1] = other
      errors.usage("in after of assign: keys wait for one another: "
        .. table.concat(path, " after "))
    end
    if not out[other] then
      out[other] = true
      path[#path + 1] = other
      close_over(given, other, out, path)
      path[#path] = nil
    end
  end
end

---@param mapper moonpipe.RunnableParallel
---@param given table<string, string|string[]>
---@return moonpipe.RunnableAssignAfter
function assign_after.new(mapper, given)
  if type(given) ~= "table" then
    errors.usage("after of assign takes a table, got " .. errors.shape(given))
  end
  local lists, after, awaited = {}, {}, {}
  for key, value in pairs(given) do lists[key] = list_of(mapper, key, value) end
  for _, key in ipairs(mapper.keys) do
    local set, names = {}, {}
    close_over(lists, key, set, { key })
    for name in pairs(set) do
      names[#names + 1] = name
      awaited[name] = true
    end
    table.sort(names)
    if names[1] then after[key] = names end
  end
  return runnable.instance(RunnableAssignAfter, {
    mapper = mapper,
    after = after,
    awaited = awaited,
  })
end

-- ---- what one call has computed ------------------------------------------------

---@class moonpipe.Board
---@field done table<string, boolean>
---@field values table<string, any>
---@field errs table<string, moonpipe.Error>
---@field sleepers moonpipe.Task[]
---@field cancels boolean?  a failure ends all: those that wait will be cancelled
local Board = {}
Board.__index = Board

local function new_board(ctx)
  return setmetatable({
    done = {},
    values = {},
    errs = {},
    sleepers = {},
    cancels = ctx.on_error == "cancel",
  }, Board)
end

function Board:put(key, value, err)
  if err and self.cancels then return end
  self.done[key], self.values[key], self.errs[key] = true, value, err
  local sleepers = self.sleepers
  self.sleepers = {}
  for _, task in ipairs(sleepers) do scheduler.unpark(task) end
end

-- Waits for [keys]; gives the input with them.
function Board:extend(input, keys)
  local out = {}
  for key, value in pairs(input) do out[key] = value end
  for _, key in ipairs(keys) do
    while not self.done[key] do
      self.sleepers[#self.sleepers + 1] = scheduler.current()
      scheduler.park()
    end
    local err = self.errs[key]
    if err then
      errors.raise("input", ("'%s', which it waits for, failed: %s"):format(key,
        errors.text(err.message)))
    end
    out[key] = self.values[key]
  end
  return out
end

-- The stream of a key, told on the board at its end if others wait for it.
local function told(self, board, key, pull)
  if not self.awaited[key] then return pull end
  local seen = {}
  return function()
    local ok, value = pcall(pull)
    if not ok then
      board:put(key, nil, errors.wrap(value))
      error(value, 0)
    end
    if value ~= nil then
      seen[#seen + 1] = value
      return value
    end
    board:put(key, chunk.merged(seen))
  end
end

-- ---- running -----------------------------------------------------------------

local function own_input(self, i, input)
  local copies = self.mapper.copies
  return copies and copies[i] and parallel.shallow_copy(input) or input
end

-- One chunk: what `fn` gives.
local function once(fn)
  local asked = false
  return function()
    if asked then return nil end
    asked = true
    return fn()
  end
end

function methods:_invoke(input, ctx)
  self:_check_input(input)
  local board, out = new_board(ctx), assign.kept(self, input) or {}
  local pull = interleave.stream(self.mapper, function(i, step)
    local key = self.mapper.keys[i]
    return told(self, board, key, once(function()
      local after = self.after[key]
      local own = after and board:extend(input, after) or own_input(self, i, input)
      return run.invoke(step, own, ctx, "map:key:", key)
    end))
  end, ctx)
  for value in pull do
    for key, field in pairs(value) do out[key] = field end
  end
  return out
end

-- Takes the whole input, and the keys it waits for; no input, no call.
local function late(self, board, i, step, reader, ctx)
  local key, inner = self.mapper.keys[i], nil
  return function()
    if not inner then
      local input, count = chunk.collect(reader)
      if count == 0 then return nil end
      inner = run.stream(step, board:extend(input, self.after[key]), ctx, "map:key:", key)
    end
    return inner()
  end
end

function methods:_added(source, ctx)
  local mapper, board, tee = self.mapper, new_board(ctx), merge.tee(source)
  local readers = {}
  for i = 1, mapper.count do
    local reader = tee:reader()
    readers[i] = mapper.copies and mapper.copies[i] and parallel.copying(reader) or reader
  end
  return interleave.stream(mapper, function(i, step)
    local key, reader = mapper.keys[i], readers[i]
    readers[i] = nil -- the branch alone holds it, and lets go at its end
    local pull
    if self.after[key] then
      pull = late(self, board, i, step, reader, ctx)
    else
      pull = run.transform(step, reader, ctx, "map:key:", key)
    end
    return told(self, board, key, pull)
  end, ctx, tee)
end

-- ---- what others ask -----------------------------------------------------------

function methods:_check_keys(keys)
  for i, key in ipairs(self.mapper.keys) do
    local all = { unpack(keys) }
    for _, other in ipairs(self.after[key] or {}) do all[#all + 1] = other end
    table.sort(all)
    local problem = self.mapper.list[i]:_check_keys(all)
    if problem then return ("in map key '%s': %s"):format(key, problem) end
  end
end

-- What a step needs of the input, besides the keys it comes after.
local function needed(self, i)
  local schemas = require "moonpipe.schemas"
  local schema, own = schemas.input(self.mapper.list[i]), {}
  for _, key in ipairs(self.after[self.mapper.keys[i]] or {}) do own[key] = true end
  if not schema.properties or next(own) == nil then return schema end
  local required, optional = {}, {}
  for _, key in ipairs(schema.required or {}) do
    if not own[key] then required[#required + 1] = key end
  end
  for key in pairs(schema.properties) do
    if not own[key] then optional[#optional + 1] = key end
  end
  return schemas.keys(required, optional)
end

function methods:_parts()
  local parts = assign.RunnableAssign.methods._parts(self)
  for _, item in ipairs(parts.items) do item.after = self.after[item.label] end
  return parts
end

function methods:_input_schema()
  local list = {}
  for i = 1, self.mapper.count do list[i] = needed(self, i) end
  return require("moonpipe.schemas").together(list)
end

return assign_after
