--- chain:stream_events(input): what happens in a call, as a stream.
--
-- Names and payloads are those of LangChain's event stream, version 2, with an
-- `error` event for every step that fails, which theirs lacks. The call runs in a
-- task of the stream's own, which waits while nobody reads.
local context = require "moonpipe.context"
local errors = require "moonpipe.error"
local run = require "moonpipe.run"
local scheduler = require "moonpipe.scheduler"
local stream = require "moonpipe.stream"

local events = {}

local FILTERS = {
  "exclude_names", "exclude_tags", "exclude_types", "include_names", "include_tags",
  "include_types",
}
local OPTIONS = require("moonpipe.context_config").keys_and(FILTERS)

-- ---- one event -----------------------------------------------------------------

---@class moonpipe.Event
---@field event string       "on_chain_start", "on_chat_model_stream", …
---@field name string        of the step, or of a custom event
---@field run_id string
---@field parent_ids string[]  the root's first
---@field tags string[]
---@field metadata table
---@field data { input: any, output: any, chunk: any, error: moonpipe.Error? }

local function event_of(one, stage, data)
  return {
    event = ("on_%s_%s"):format(one.kind, stage),
    name = one.name,
    run_id = one.id,
    parent_ids = one:parent_ids(),
    tags = one.tags,
    metadata = one.metadata,
    data = data,
  }
end

local DATA = {}

function DATA.start(_, input)
  return { input = input }
end

function DATA.stream(_, chunk)
  return { chunk = chunk }
end

-- The root's input is known to whoever made the call.
DATA["end"] = function(one, output)
  return { output = output, input = one.parent and one.inputs or nil }
end

function DATA.error(one, err)
  return { error = err, input = one.parent and one.inputs or nil }
end

-- ---- filters -------------------------------------------------------------------

local function set_of(list)
  if not list then return nil end
  local set = {}
  for _, value in ipairs(list) do set[value] = true end
  return set
end

local function any_in(set, list)
  for _, value in ipairs(list) do
    if set[value] then return true end
  end
  return false
end

-- Whether an event of [one] is asked for; nil filters ask for everything.
local function matcher(filters)
  local sets, includes = {}, false
  for _, name in ipairs(FILTERS) do
    local list = filters[name]
    if list ~= nil and type(list) ~= "table" then
      errors.usage(("%s takes a list, got %s"):format(name, errors.shape(list)))
    end
    sets[name] = set_of(list)
    includes = includes or list and name:find("^include") ~= nil
  end
  local function meets(mode, one)
    local named, typed, tagged = sets[mode .. "_names"], sets[mode .. "_types"],
      sets[mode .. "_tags"]
    return named and named[one.name] or typed and typed[one.kind]
      or tagged and any_in(tagged, one.tags)
  end
  return function(one)
    return (not includes or meets("include", one)) and not meets("exclude", one)
  end
end

-- ---- the stream ------------------------------------------------------------------

---@class moonpipe.EventQueue
---@field first integer
---@field last integer    of the events that wait
---@field consumer moonpipe.Task?  it sleeps until there is one
---@field producer moonpipe.Task?  it sleeps until there is none
---@field task moonpipe.Task?      in which the call runs
local Queue = {}
Queue.__index = Queue

local function wake(self, who)
  local task = self[who]
  self[who] = nil
  if task then scheduler.unpark(task) end
end

function Queue:push(event)
  self.last = self.last + 1
  self[self.last] = event
  wake(self, "consumer")
end

function Queue:ended()
  wake(self, "consumer")
end

-- The life of the task: the chunks are of no interest, but for their events.
local function produce(self, ctx)
  local pull = run.stream(self.step, self.input, ctx)
  while pull() ~= nil do
    while self.first <= self.last do
      self.producer = scheduler.current()
      scheduler.park()
    end
  end
end

local function begin(self)
  local task = scheduler.spawn(self.ctx, nil, produce, self, self.ctx)
  self.task = task
  if task.state ~= "ended" then task.group = self end
end

local function pull_from(self)
  return function()
    if not self.task then begin(self) end
    while self.first > self.last do
      if self.task.state == "ended" then
        if self.task.err ~= nil then error(self.task.err, 0) end
        return nil
      end
      self.consumer = scheduler.current()
      scheduler.park()
    end
    local event = self[self.first]
    self[self.first] = nil
    self.first = self.first + 1
    if self.first > self.last then wake(self, "producer") end
    return event
  end
end

-- The callback that fills the queue.
local function listener(self, wanted)
  local callback = { streams_models = true }
  for stage, data_of in pairs(DATA) do
    callback["on_" .. stage] = function(one, value)
      if wanted(one) then self:push(event_of(one, stage, data_of(one, value))) end
    end
  end
  function callback.on_custom_event(one, name, data)
    if one and not wanted(one) then return end
    local event = one and event_of(one, "end", data) or { data = data }
    event.event, event.name = "on_custom_event", name
    self:push(event)
  end
  return callback
end

local function split(options)
  local config, filters = {}, {}
  if context.is(options) then return config, filters end
  errors.options(options, OPTIONS, "stream_events")
  for key, value in pairs(options or {}) do config[key] = value end
  for _, name in ipairs(FILTERS) do filters[name], config[name] = config[name], nil end
  return config, filters
end

---The stream of the events of one call.
---@param step moonpipe.Runnable
---@param input any
---@param options table?  a config, and include_names, include_types, include_tags, exclude_…
---@return moonpipe.Stream
function events.open(step, input, options)
  local config, filters = split(options)
  local self = setmetatable({ step = step, input = input, first = 1, last = 0 }, Queue)
  local callbacks = { listener(self, matcher(filters)) }
  for _, callback in ipairs(context.check(config).callbacks or {}) do
    callbacks[#callbacks + 1] = callback
  end
  config.callbacks = callbacks
  local ctx = context.derive(context.current(), config)
  self.ctx = ctx.outer or ctx
  return stream.new(pull_from(self), config.timeout)
end

return events
