--- Calls of models whose answers are kept.
--
-- Of equal calls in flight one asks and the others wait for its answer; where it
-- fails, so do they, but where it was cancelled the next one asks. A stream is read
-- to its end whatever its reader does, for those who wait; of an answer that is kept
-- it gives one chunk. A cache that fails is told of in the log, and costs nothing
-- but the call.
local chunk = require "moonpipe.chunk"
local codec = require "moonpipe.histories.codec"
local errors = require "moonpipe.error"
local lock = require "moonpipe.lock"
local log = require "moonpipe.log"
local message = require "moonpipe.messages.message"
local scheduler = require "moonpipe.scheduler"
local tree = require "moonpipe.tree"

local cached = {}

-- The calls in flight, and how each of them ended for those who waited: by cache.
local spaces = setmetatable({}, { __mode = "k" })

local function space_of(cache)
  local space = spaces[cache]
  if not space then
    space = { locks = {}, flights = {} }
    spaces[cache] = space
  end
  return space
end

-- ---- the cache ---------------------------------------------------------------------------------

local function attempt(cache, name, ...)
  local ok, value = pcall(cache[name], cache, ...)
  if ok then return value end
  scheduler.raise_if_cancelled(scheduler.current())
  local space = space_of(cache)
  if space.told then return nil end
  space.told = true -- a disk that is full fails at each call
  log.warn(("%s: %s failed: %s (not told again)"):format(errors.text(cache), name,
    errors.text(value)))
end

-- What is damaged is dropped, and asked for anew.
local function find(cache, key)
  local text = attempt(cache, "lookup", key)
  if not text then return nil end
  local ok, answer = pcall(codec.decode, text, "an answer in " .. errors.text(cache))
  if ok then
    answer.response_metadata = answer.response_metadata or {}
    answer.response_metadata.from_cache = true
    return answer
  end
  log.warn(errors.text(answer))
  if cache.drop then attempt(cache, "drop", key) end
end

local function keep(cache, key, answer)
  local ok, text = pcall(codec.encode, answer)
  if ok then attempt(cache, "store", key, text) end
end

-- ---- flights -----------------------------------------------------------------------------------

local MINE_ALONE = { cancelled = true, timeout_total = true } -- of who asked, not of the answer

-- Runs fn() where no equal call is in flight and none has just failed.
local function alone(cache, key, fn)
  local space = space_of(cache)
  local before = space.flights[key]
  local hold = lock.take(space.locks, key, "a model's answer cannot wait for itself")
  if before and before.err then
    hold:free()
    error(tree.own(before.err), 0)
  end
  local flight = {}
  space.flights[key] = flight
  local ok, value = pcall(fn)
  if not ok and errors.is(value) and not MINE_ALONE[value.kind] then flight.err = value end
  if space.flights[key] == flight then space.flights[key] = nil end
  hold:free()
  if not ok then error(value, 0) end
  return value
end

---The answer to a call: the one that is kept, else that of ask(), which is kept then.
---@async
---@param cache table
---@param key string
---@param ask fun(): moonpipe.AIMessage
---@return moonpipe.AIMessage
function cached.whole(cache, key, ask)
  return find(cache, key) or alone(cache, key, function()
    local answer = find(cache, key)
    if not answer then
      answer = ask()
      keep(cache, key, answer)
    end
    return answer
  end)
end

---@class moonpipe.CachedStream
---@field list any[]              the chunks that have come
---@field at integer              of the one that was given last
---@field task moonpipe.Task?     reads them
---@field reader moonpipe.Task?   waits for the next one
local Stream = {}
Stream.__index = Stream

-- Called by the scheduler when the task has ended.
function Stream:ended()
  if self.reader then scheduler.unpark(self.reader) end
end

local function read_all(self, pull)
  for value in pull do
    self.list[#self.list + 1] = value
    if self.reader then scheduler.unpark(self.reader) end
  end
  return chunk.merged(self.list)
end

local function fly(self)
  alone(self.cache, self.key, function()
    local answer = find(self.cache, self.key)
    if answer then
      self.list[1] = message.to_chunk(answer)
      return
    end
    local merged = read_all(self, self.open())
    if merged ~= nil then keep(self.cache, self.key, message.to_message(merged)) end
  end)
end

function Stream:next()
  if not self.task then self.task = scheduler.spawn(self.ctx, self, fly, self) end
  self.reader = scheduler.current()
  while self.at >= #self.list and self.task.state ~= "ended" do scheduler.park() end
  self.at = self.at + 1
  local value = self.list[self.at]
  if value == nil and self.task.err ~= nil then error(self.task.err, 0) end
  return value
end

---The chunks of a call: one of the answer that is kept, else those of open(), whose
---sum is kept then.
---@param cache table
---@param key string
---@param open fun(): fun(): any
---@param ctx moonpipe.Context
---@return moonpipe.CachedStream  with next(), which may wait
function cached.stream(cache, key, open, ctx)
  return setmetatable({ cache = cache, key = key, open = open, ctx = ctx, list = {}, at = 0 },
    Stream)
end

return cached
