--- Queries that are asked at once of one embedding go out as one request.
--
-- The first one makes a flight: a task of its own, which begins at the next turn of the scheduler
-- and takes along whoever has asked until then under the same limits. A caller that is cancelled
-- leaves it; when the last one has left, the request is cancelled. A failure is that of each; but
-- where a server refuses the request itself, one text may be the reason, and each asks alone.
local context = require "moonpipe.context"
local run = require "moonpipe.run"
local scheduler = require "moonpipe.scheduler"
local task = require "moonpipe.task"
local tree = require "moonpipe.tree"

local together = {}

---@class moonpipe.Flight
---@field texts string[]                 each once
---@field places table<string, integer>  where they are in `texts`
---@field bytes integer                  of them
---@field ctx moonpipe.Context           of who asked first
---@field deadline number?               the latest of theirs; nil: somebody waits for ever
---@field callers moonpipe.Task[]         all who have asked
---@field waiting integer                how many of them still wait
---@field task moonpipe.Task

-- Who differs in one of these may not share a request: what slots it needs, when it gives up.
local SHARED = { "circuit", "credit", "falls_over", "limiter" }

local flights = setmetatable({}, { __mode = "k" }) -- embedding -> those that take more along

local function same(a, b)
  for _, field in ipairs(SHARED) do
    if a[field] ~= b[field] then return false end
  end
  return true
end

local function close(owner, flight)
  local list = flights[owner] or {}
  for i, one in ipairs(list) do
    if one == flight then table.remove(list, i) end
  end
  if not list[1] then flights[owner] = nil end
end

-- Those who were cancelled meanwhile may not have left yet.
local function raise_if_unwanted(flight)
  for _, caller in ipairs(flight.callers) do
    if not scheduler.cancelled(caller) then return end
  end
  scheduler.raise_if_cancelled(flight.callers[1])
end

-- The life of a flight's task.
local function fly(flight, owner, send)
  close(owner, flight)
  raise_if_unwanted(flight)
  local me = scheduler.current()
  if flight.callers[2] then
    me.ctx = context.with(flight.ctx, {})
    me.ctx.deadline = flight.deadline
  end
  return send(owner, flight.texts, true)
end

local function new_flight(owner, send, ctx)
  local flight = {
    texts = {}, places = {}, bytes = 0, ctx = ctx, deadline = ctx.deadline, callers = {},
    waiting = 0,
  }
  flight.task = scheduler.outside(function()
    return scheduler.start(ctx, fly, flight, owner, send)
  end)
  local list = flights[owner] or {}
  flights[owner] = list
  list[#list + 1] = flight
  return flight
end

-- The flight that [text] may join; one without room for it takes nobody along any more.
local function find(owner, text, ctx, most, most_bytes)
  for _, flight in ipairs(flights[owner] or {}) do
    if same(flight.ctx, ctx) then
      if flight.places[text] then return flight end
      if #flight.texts < most and flight.bytes + #text <= most_bytes then return flight end
      close(owner, flight)
      return nil
    end
  end
end

local function join(flight, text, ctx)
  local place = flight.places[text]
  if not place then
    place = #flight.texts + 1
    flight.texts[place], flight.places[text] = text, place
    flight.bytes = flight.bytes + #text
  end
  local both = flight.deadline and ctx.deadline
  flight.deadline = both and math.max(flight.deadline, ctx.deadline)
  flight.callers[#flight.callers + 1] = scheduler.current()
  flight.waiting = flight.waiting + 1
  return place
end

-- Waits for the end of a flight; the last one to leave it ends it, and sees it end.
local function wait(owner, flight)
  local ok, err = pcall(task.await, flight.task)
  flight.waiting = flight.waiting - 1
  if ok then return end
  if flight.waiting == 0 then
    close(owner, flight)
    tree.cancel(flight.task, err)
    task.join(flight.task)
  end
  error(err, 0)
end

---The vector of [text]. send(owner, texts, true), which may wait, gives the rows of many.
---@async
---@param owner moonpipe.ApiEmbeddings
---@param text string
---@param send fun(owner: table, texts: string[], is_query: boolean): moonpipe.Floats
---@param most integer        texts of a request
---@param most_bytes integer  of them
---@return moonpipe.Floats
function together.ask(owner, text, send, most, most_bytes)
  local ctx = context.current()
  scheduler.raise_if_cancelled(scheduler.current())
  local flight = find(owner, text, ctx, most, most_bytes) or new_flight(owner, send, ctx)
  local place = join(flight, text, ctx)
  wait(owner, flight)
  local err = flight.task.err
  if err == nil then
    run.annotate(ctx, "embedded_together", #flight.callers)
    return flight.task.value:row(place)
  end
  if err.kind == "refused_request" and flight.texts[2] then
    return send(owner, { text }, true):row(1)
  end
  error(tree.own(err), 0)
end

return together
