--- A step that is listened to: `chain:with_listeners(on_start, on_end, on_error)`.
--
-- A listener is called with the run { id, name, inputs, outputs, error, started,
-- ended, tags, metadata }, and the config if it declares two parameters. What it
-- raises is told on standard error, and is no failure of the chain.
local chunk = require "moonpipe.chunk"
local errors = require "moonpipe.error"
local lambda = require "moonpipe.lambda"
local log = require "moonpipe.log"
local native = require "moonpipe.native"
local run = require "moonpipe.run"
local runnable = require "moonpipe.runnable"
local uuid = require "moonpipe.uuid"

local now = native.c.now

---@class moonpipe.RunnableListeners: moonpipe.Runnable
---@field bound moonpipe.Runnable
---@field handlers table<string, { fn: function, two: boolean }>
local RunnableListeners, methods = runnable.class("RunnableListeners")
methods.transparent = true

local listeners = {}

local NAMES = { "on_end", "on_error", "on_start" }

local function handlers_of(given)
  local handlers = {}
  for _, name in ipairs(NAMES) do
    local fn = given[name]
    if fn ~= nil then
      if type(fn) ~= "function" then
        errors.usage(("%s of with_listeners takes a function, got %s"):format(name,
          errors.shape(fn)))
      end
      local _, parameters = lambda.inspect(fn)
      handlers[name] = { fn = fn, two = parameters >= 2 }
    end
  end
  if next(handlers) == nil then errors.usage "with_listeners takes at least one function" end
  return handlers
end

---@param step moonpipe.Runnable
---@param on_start function|{ on_start: function?, on_end: function?, on_error: function? }|nil
---@param on_end function?
---@param on_error function?
---@return moonpipe.RunnableListeners
function listeners.with(step, on_start, on_end, on_error)
  local given = { on_start = on_start, on_end = on_end, on_error = on_error }
  if type(on_start) == "table" then
    given = errors.options(on_start, NAMES, "with_listeners")
  end
  return runnable.instance(RunnableListeners, { bound = step, handlers = handlers_of(given) })
end

-- ---- telling -----------------------------------------------------------------

local function tell(self, name, record, ctx)
  local handler = self.handlers[name]
  if not handler then return end
  local ok, err
  if handler.two then
    ok, err = xpcall(handler.fn, errors.handler, record, ctx)
  else
    ok, err = xpcall(handler.fn, errors.handler, record)
  end
  if not ok then
    log.warn(("listener %s of %s failed: %s"):format(name, record.name, errors.text(err)))
  end
end

local function begin(self, input, ctx)
  local record = {
    id = uuid.new(),
    name = ctx.run_name or self.bound:get_name(),
    inputs = input,
    started = now(),
    tags = ctx.tags,
    metadata = ctx.metadata,
  }
  tell(self, "on_start", record, ctx)
  return record
end

local function finish(self, record, ctx, output)
  record.ended, record.outputs = now(), output
  tell(self, "on_end", record, ctx)
end

local function fail(self, record, ctx, err)
  record.ended, record.error = now(), errors.wrap(err)
  tell(self, "on_error", record, ctx)
end

function methods:_invoke(input, ctx)
  local record = begin(self, input, ctx)
  local ok, value = pcall(run.invoke, self.bound, input, ctx)
  if not ok then
    fail(self, record, ctx, value)
    error(value, 0)
  end
  finish(self, record, ctx, value)
  return value
end

-- ---- streams -----------------------------------------------------------------

-- All that went by, merged where it can be.
local function joined(chunks)
  local i = 0
  local ok, value = pcall(chunk.collect, function()
    i = i + 1
    return chunks[i]
  end)
  if ok then return value end
end

-- A source that notes what is read of it, where somebody will look at that.
local function noting(self, source, read)
  if not (self.handlers.on_end or self.handlers.on_error) then return source end
  return function()
    local value = source()
    if value ~= nil then read[#read + 1] = value end
    return value
  end
end

-- `open(record)` gives the inner stream; on_start is told when the first chunk is
-- asked for. The second function is told where the stream is left before its end.
local function listened(self, ctx, input, read, open)
  local record, inner, over
  local given, watched = {}, self.handlers.on_end ~= nil
  local function lost(err)
    if over or not record then return end
    over = true
    if read then record.inputs = joined(read) end
    fail(self, record, ctx, err)
  end
  return function()
    if over then return nil end
    record = record or begin(self, input, ctx)
    local ok, value = pcall(function()
      inner = inner or open()
      return inner()
    end)
    if not ok then
      lost(value)
      error(value, 0)
    end
    if value ~= nil then
      if watched then given[#given + 1] = value end
      return value
    end
    over = true
    if read then record.inputs = joined(read) end
    finish(self, record, ctx, joined(given))
  end, lost
end

function methods:_stream(input, ctx)
  return listened(self, ctx, input, nil, function()
    return (run.stream(self.bound, input, ctx))
  end)
end

function methods:_transform(source, ctx)
  local read = {}
  local reader = noting(self, source, read)
  return listened(self, ctx, nil, read, function()
    return (run.transform(self.bound, reader, ctx))
  end)
end

-- ---- what others ask -----------------------------------------------------------

function methods:_begins_with_user_code()
  return true
end

function methods:_takes_kwargs()
  return self.bound:_takes_kwargs()
end

function methods:_check_keys(keys)
  return self.bound._check_keys and self.bound:_check_keys(keys)
end

function methods:_output_keys(keys)
  return self.bound._output_keys and self.bound:_output_keys(keys)
end

function methods:_parts()
  return { shape = "same", items = { { step = self.bound } } }
end

function methods:get_name()
  return self.bound:get_name()
end

function methods:_label()
  return self.bound:_label()
end

return listeners
