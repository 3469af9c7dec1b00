--- One step on many inputs at once: no barrier between steps, results by index.
local context = require "moonpipe.context"
local errors = require "moonpipe.error"
local run = require "moonpipe.run"
local scheduler = require "moonpipe.scheduler"
local stream = require "moonpipe.stream"
local tree = require "moonpipe.tree"

local join = require("moonpipe.task").join

local batch = {}

---@class moonpipe.Batch  a batch that runs
---@field tasks moonpipe.Task[]
---@field order moonpipe.Task[]  in the order in which they ended
---@field ctx moonpipe.Context   what all items share: one limiter
---@field stop_early boolean?   the first failure is that of all
local Batch = {}
Batch.__index = Batch

function Batch:note(task)
  self.count_ended = self.count_ended + 1
  self.order[self.count_ended] = task
  if task.err ~= nil and not self.failed then self.failed = task end
end

local function cancel_rest(self)
  for _, task in pairs(self.tasks) do
    if task.state ~= "ended" then
      tree.cancel(task, tree.cancelled("another item of the batch failed"))
    end
  end
end

-- Where one failure is that of all, the others are cancelled at once: one that is
-- ready to run must not begin a call before the batch hears of it.
function Batch:ended(task)
  self:note(task)
  if self.failed == task and self.stop_early then cancel_rest(self) end
  if self.waiter then scheduler.unpark(self.waiter) end
end

-- Tells how far the batch is: in the caller's task, where on_progress may wait
-- or raise.
function Batch:report()
  while self.on_progress and self.reported < self.count_ended do
    self.reported = self.reported + 1
    self.on_progress(self.reported, self.n)
  end
end

-- One config for all, or a list with one for each input.
local function config_of(config, i)
  if config[1] ~= nil then return config[i] end
  return config
end

local function check_configs(config, n)
  if type(config) == "table" and config[1] ~= nil then
    if #config ~= n then
      errors.usage(("batch got %d configs for %d inputs"):format(#config, n))
    end
    for _, one in ipairs(config) do context.check(one) end
    return config
  end
  return context.check(config)
end

local function prepare(inputs, config)
  if type(inputs) ~= "table" or getmetatable(inputs) ~= nil and inputs[1] == nil then
    errors.usage("batch takes a list of inputs, got " .. errors.shape(inputs))
  end
  local n = inputs.n or #inputs
  config = check_configs(config, n)
  local first = config_of(config, 1) or {}
  return setmetatable({
    inputs = inputs,
    config = config,
    n = n,
    ctx = context.derive(context.current(), { max_concurrency = first.max_concurrency }),
    tasks = {},
    order = {},
    index = {},
    count_ended = 0,
    reported = 0,
    on_progress = first.on_progress,
    return_exceptions = first.return_exceptions,
  }, Batch)
end

local function start_item(self, step, i)
  local config = config_of(self.config, i)
  local ctx, fn = self.ctx, run.invoke
  if config and config.timeout then
    fn = function(item, input) return item:invoke(input, config) end
  else
    ctx = context.derive(ctx, config)
  end
  local task = scheduler.spawn(ctx, nil, fn, step, self.inputs[i], ctx)
  self.tasks[i], self.index[task] = task, i
  if task.state == "ended" then self:note(task) else task.group = self end
end

local function begin(self, step)
  self.waiter = scheduler.current()
  for i = 1, self.n do
    if self.stop_early and self.failed then return end
    start_item(self, step, i)
    self:report()
  end
end

-- Cancels what runs and waits for its end.
local function stop(self)
  cancel_rest(self)
  for _, task in pairs(self.tasks) do join(task) end
end

local function located(self, task)
  return errors.wrap(task.err):at(("batch[%d]"):format(self.index[task]))
end

local function values(self)
  local out = { n = self.n }
  for i = 1, self.n do
    local task = self.tasks[i]
    if task.err ~= nil then out[i] = located(self, task) else out[i] = task.value end
  end
  return out
end

-- Until all have ended, or one has failed.
local function wait(self, step)
  self.stop_early = not self.return_exceptions
  begin(self, step)
  while self.count_ended < self.n and (self.return_exceptions or not self.failed) do
    scheduler.park()
    self:report()
  end
  if self.failed and not self.return_exceptions then error(located(self, self.failed), 0) end
end

local function run_all(step, inputs, config)
  local self = prepare(inputs, config)
  local ok, err = pcall(wait, self, step)
  if ok then return values(self) end
  stop(self)
  error(err, 0)
end

---@async
---@param step moonpipe.Runnable
---@param inputs any[]
---@param config table|table[]|nil
---@return any[] values  and `n`; with return_exceptions an mp.Error in the slot
function batch.batch(step, inputs, config)
  return scheduler.call(run_all, step, inputs, config)
end

local function record_of(self, task)
  local ok = task.err == nil
  return {
    index = self.index[task],
    ok = ok,
    value = task.value,
    error = not ok and located(self, task) or nil,
  }
end

local function next_record(self)
  self.waiter = scheduler.current()
  while self.given >= self.count_ended do scheduler.park() end
  self:report()
  self.given = self.given + 1
  local task = self.order[self.given]
  return task and record_of(self, task)
end

---`for i, record in …`: records in the order in which they end. As a stream, the
---batch ends with the task that runs it, or when nobody holds the iterator.
---@return fun(): integer?, table?
function batch.as_completed(step, inputs, config)
  local self = prepare(inputs, config)
  self.given = 0
  local begun = false
  local records = stream.new(function()
    if not begun then begin(self, step) end
    begun = true
    if self.given < self.n then return next_record(self) end
  end)
  return function()
    local record = records:next()
    if record then return record.index, record end
  end
end

return batch
