--- One step on many inputs at once: no barrier between steps, results by index.
--
-- Inputs are a list, or a function that gives the next input or nil: then they are
-- read as they are needed, and a million of them cost no more memory than those
-- under way.
local context = require "moonpipe.context"
local errors = require "moonpipe.error"
local run = require "moonpipe.run"
local scheduler = require "moonpipe.scheduler"
local stream = require "moonpipe.stream"
local window = require "moonpipe.window"

local batch = {}

local FAILED = "another item of the batch failed"

---@class moonpipe.Batch  a batch that runs
---@field read fun(i: integer): any, boolean?  the input; true after the last
---@field n integer?              how many inputs there are, once that is known
---@field ctx moonpipe.Context    what all items share: one limiter
---@field window moonpipe.Window
local Batch = {}
Batch.__index = Batch

-- ---- what is asked -----------------------------------------------------------

-- One config for all, or a list with one for each input.
local function config_of(config, i)
  if config[1] ~= nil then return config[i] end
  return config
end

local function check_configs(config, n)
  if type(config) ~= "table" or config[1] == nil then return context.check(config) end
  if n and #config ~= n then
    errors.usage(("batch got %d configs for %d inputs"):format(#config, n))
  end
  for _, one in ipairs(config) do context.check(one) end
  return config
end

local function is_callable(value)
  if type(value) == "function" then return true end
  local mt = getmetatable(value)
  return type(mt) == "table" and mt.__call ~= nil and not mt.runnable
end

-- A function that gives input i and false, or nil and true after the last; and
-- their number, where it is known.
local function reader_of(inputs)
  if is_callable(inputs) then
    return function()
      local input = inputs()
      return input, input == nil
    end
  end
  local is_list = type(inputs) == "table" and (getmetatable(inputs) == nil or inputs[1] ~= nil)
  local n = is_list and (inputs.n or #inputs)
  if type(n) ~= "number" then
    errors.usage("batch takes a list of inputs, or a function that gives them, got "
      .. errors.shape(inputs))
  end
  return function(i) return inputs[i], i > n end, n
end

local function prepare(step, inputs, config)
  local read, n = reader_of(inputs)
  config = check_configs(config, n)
  local first = config_of(config, 1) or {}
  local ctx = context.derive(context.current(), { max_concurrency = first.max_concurrency })
  local self = setmetatable({
    step = step,
    read = read,
    n = n,
    config = config,
    ctx = ctx,
    count_ended = 0,
    on_progress = first.on_progress,
    return_exceptions = first.return_exceptions,
  }, Batch)
  self.window = window.new(window.limit_of(ctx.max_concurrency, not n), function(i)
    return self:begin(i)
  end)
  return self
end

-- ---- running -----------------------------------------------------------------

-- Begins item i; nil where there is none.
function Batch:begin(i)
  local input, over = self.read(i)
  if over then
    self.n = i - 1
    return nil
  end
  local config = config_of(self.config, i)
  if config == nil then
    errors.usage(("batch got %d configs, and more inputs"):format(#self.config))
  end
  local ctx, fn = self.ctx, run.invoke
  if config.timeout then
    fn = function(item, value) return item:invoke(value, config) end
  else
    ctx = next(config) and context.derive(ctx, config) or ctx
  end
  return scheduler.spawn(ctx, nil, fn, self.step, input, ctx)
end

-- The next item that has ended. Tells how far the batch is: in the caller's task,
-- where on_progress may wait or raise.
function Batch:next()
  local task, index = self.window:next()
  if not task then return nil end
  self.count_ended = self.count_ended + 1
  if self.on_progress then self.on_progress(self.count_ended, self.n) end
  return task, index
end

local function located(task, index)
  return errors.wrap(task.err):at(("batch[%d]"):format(index))
end

-- All values, or the first failure.
local function gather(self)
  local out = {}
  for task, index in self.next, self do
    if task.err == nil then
      out[index] = task.value
    elseif self.return_exceptions then
      out[index] = located(task, index)
    else
      error(located(task, index), 0)
    end
  end
  out.n = self.n
  return out
end

local function run_all(step, inputs, config)
  local self = prepare(step, inputs, config)
  if not self.return_exceptions then self.window.stop_early = FAILED end
  local ok, value = pcall(gather, self)
  if ok then return value end
  self.window:stop(FAILED)
  error(value, 0)
end

---@async
---@param step moonpipe.Runnable
---@param inputs any[]|fun(): any  a list, or a function that gives the next one
---@param config table|table[]|nil
---@return any[] values  and `n`; with return_exceptions an mp.Error in the slot
function batch.batch(step, inputs, config)
  return scheduler.call(run_all, step, inputs, config)
end

local function record_of(task, index)
  local ok = task.err == nil
  return {
    index = index,
    ok = ok,
    value = task.value,
    error = not ok and located(task, index) or nil,
  }
end

---`for i, record in …`: records in the order in which they end. As a stream, the
---batch ends with the task that runs it, or when nobody holds the iterator.
---@return fun(): integer?, table?
function batch.as_completed(step, inputs, config)
  local self = prepare(step, inputs, config)
  self.window.eager = self.n ~= nil
  local records = stream.new(function()
    local task, index = self:next()
    return task and record_of(task, index)
  end)
  return function()
    local record = records:next()
    if record then return record.index, record end
  end
end

return batch
