--- A step on each item of a list, all at once: `chain:map()`.
--
-- Its stream is that of an array map: chunks `{ [i] = chunk, n = }` as they come,
-- and a mark at the end of each item. Where the list itself comes as a stream of
-- lists (a list parser's does) items are begun as they come, and no list is read while
-- as many are under way as a run may have: what comes may be endless.
local chunk = require "moonpipe.chunk"
local coerce = require "moonpipe.coerce"
local errors = require "moonpipe.error"
local interleave = require "moonpipe.interleave"
local json = require "moonpipe.json"
local run = require "moonpipe.run"
local runnable = require "moonpipe.steps.runnable"
local scheduler = require "moonpipe.scheduler"
local window = require "moonpipe.window"

local SIBLINGS_MAX = 1000 -- of more items none is told

local ARRAY = getmetatable(json.array({}))
local spawn, invoke = scheduler.spawn, run.invoke

---@class moonpipe.RunnableEach: moonpipe.Runnable
---@field bound moonpipe.Runnable
---@field return_exceptions boolean?  a failed item leaves its mp.Error in the slot
---@field where string?
local RunnableEach, methods = runnable.class("RunnableEach")

---@param step any  what can be a step
---@param opts { return_exceptions: boolean? }?
function RunnableEach.new(step, opts)
  local where = errors.caller()
  opts = errors.options(opts, { "return_exceptions" }, "RunnableEach")
  local bound = coerce.step(step, nil, where, "RunnableEach")
  return runnable.instance(RunnableEach, {
    bound = bound,
    return_exceptions = opts.return_exceptions,
    where = where,
    sync = bound.sync,
  })
end

-- ---- what is common ----------------------------------------------------------

local function is_object(value)
  local mt = getmetatable(value)
  return type(mt) == "table" and mt.__name ~= nil and mt ~= ARRAY
end

-- How many items the list has: it says so by `n`, or has no holes.
function methods:_count(input)
  local n
  if type(input) == "table" and not is_object(input) then
    n = rawget(input, "n") or (next(input) == nil or chunk.is_list(input)) and #input
  end
  if type(n) ~= "number" then
    errors.raise("input", ("%s takes a list, got %s"):format(self:get_name(), errors.shape(input)))
  end
  return n
end

function methods:_mode(ctx)
  return self.return_exceptions and "collect" or ctx.on_error
end

function methods:_locate(i, err)
  err = errors.wrap(err)
  err.step = err.step or self.bound:get_name()
  return err:at(("each[%d]"):format(i), self.where)
end

-- ---- invoke ------------------------------------------------------------------

local function as_item(i)
  return function(step, input, ctx) return invoke(step, input, ctx, "each:item:", i) end
end

-- A step that never waits needs no task.
local function in_place(step, input, ctx, i)
  local ok, value = pcall(invoke, step, input, ctx, "each:item:", i)
  if ok then return { state = "ended", value = value } end
  return { state = "ended", err = errors.wrap(value) }
end

local function items_of(self, input, ctx, n)
  local step = self.bound
  return window.new(window.limit_of(ctx.max_concurrency), function(i)
    if i > n then return nil end
    if step.sync then return in_place(step, input[i], ctx, i) end
    local fn = ctx.tracer and as_item(i) or step._invoke
    return spawn(ctx, nil, fn, step, input[i], ctx)
  end)
end

-- What became of the others; fates are those of items that ended before.
local function siblings_of(items, fates, failed, n)
  local siblings = {}
  for i = 1, n do
    if i ~= failed then
      siblings[i] = fates[i] or (i > items.begun and "not started" or "cancelled")
    end
  end
  return siblings
end

local function fail(self, items, failed, fates, n)
  items:stop(("item %d failed"):format(failed))
  local err = errors.wrap(fates[failed])
  err.siblings = err.siblings or n > 1 and siblings_of(items, fates, failed, n) or nil
  error(self:_locate(failed, err), 0)
end

-- Cancelled, perhaps as its time is over: so are the items, which end before it.
local function interrupted(self, items, err, fates, n)
  items:stop("the list of items was ended")
  local ended, list = {}, {}
  for task, i in items:rest() do ended[i] = task.err end
  for i = 1, n <= SIBLINGS_MAX and n or 0 do
    local own = ended[i] or fates[i] ~= "done" and fates[i] or nil
    list[i] = { key = i, begun = i <= items.begun, err = own }
  end
  interleave.interrupted(err, list, function(i, own) return self:_locate(i, own) end)
end

-- The index of the item that failed first, where that is for all to see.
local function gather(self, items, out, fates, mode)
  local failed
  for task, i in items.next, items do
    fates[i] = interleave.fate(task.err)
    if task.err == nil then
      out[i] = task.value
    elseif mode == "collect" then
      out[i] = self:_locate(i, task.err)
    else
      failed = failed or i
      fates[i] = task.err
      if mode == "cancel" then break end
    end
  end
  return failed
end

function methods:_invoke(input, ctx)
  local n, mode = self:_count(input), self:_mode(ctx)
  local items, out, fates = items_of(self, input, ctx, n), { n = n }, {}
  items.stop_early = mode == "cancel" and "another item of the list failed" or nil
  local ok, failed = pcall(gather, self, items, out, fates, mode)
  if not ok then interrupted(self, items, failed, fates, n) end
  if failed then fail(self, items, failed, fates, n) end
  return out
end

-- ---- stream ------------------------------------------------------------------

function methods:_stream(input, ctx)
  return require("moonpipe.steps.each_stream").of_list(self, input, ctx)
end

function methods:_transform(source, ctx)
  return require("moonpipe.steps.each_stream").of_lists(self, source, ctx)
end

-- ---- what others ask -----------------------------------------------------------

-- Its list is only read; what is in it is shared as nested tables are.
function methods:_takes_kwargs()
  return self.bound:_takes_kwargs()
end

function methods:_check_keys(keys)
  for _, key in ipairs(keys) do
    if not key:find("^%d+$") then
      return ("%s takes a list, not a table with keys {%s}"):format(self:get_name(),
        table.concat(keys, ", "))
    end
  end
end

function methods:_parts()
  return { shape = "frame", title = "for each item", items = { { step = self.bound } } }
end

function methods:_input_schema()
  return { type = "array", items = require("moonpipe.schemas").input(self.bound) }
end

function methods:_output_schema()
  return { type = "array", items = require("moonpipe.schemas").output(self.bound) }
end

function methods:get_name()
  return self.name or ("RunnableEach<%s>"):format(self.bound:get_name())
end

function methods:_label()
  if self.name then return self.name end
  local label = self.bound:_label()
  return (label:find(" ", 1, true) and "(%s):map()" or "%s:map()"):format(label)
end

return { RunnableEach = RunnableEach }
