--- Runs: what happens in a traced call, step by step, told to its callbacks.
--
-- A call is traced where its config has `callbacks` (callbacks.lua). Each step below it
-- has a run whose parent is the run of the step around it, so the tree of runs is that
-- of the composition; bindings have none of their own.
local callbacks = require "moonpipe.callbacks"
local chunk = require "moonpipe.chunk"
local context = require "moonpipe.context"
local errors = require "moonpipe.error"
local native = require "moonpipe.native"
local runnable = require "moonpipe.steps.runnable"
local tree = require "moonpipe.tree"
local uuid = require "moonpipe.uuid"

local now = native.c.now
local pcall, call, names = pcall, callbacks.call, callbacks.names
local whole_transform = runnable.base._transform

local function nothing() end

---@class moonpipe.Run
---@field id string               a UUID
---@field parent moonpipe.Run?
---@field root moonpipe.Run
---@field name string
---@field kind string             "chain", "prompt", "chat_model", "parser", "retriever", "tool"
---@field tag string?             what it is to its parent: "seq:step:2", "map:key:joke"
---@field tags string[]           `tag` and those of the config
---@field metadata table
---@field step moonpipe.Runnable
---@field started number?         seconds of the monotonic clock
---@field ended number?
---@field first number?           when its first chunk came
---@field inputs any              of a stream what it had read when it ended
---@field outputs any
---@field error moonpipe.Error?
---@field chunks any[]?           of a stream
local Run = {}

local trace = { Run = Run, check = callbacks.check }

-- ---- a run -------------------------------------------------------------------

-- What few callbacks ask for is made when it is asked for.
local LAZY = {}

function LAZY.id()
  return uuid.new()
end

function LAZY.tags(run)
  local tags = { run.tag }
  for _, tag in ipairs(run.ctx.tags) do tags[#tags + 1] = tag end
  return tags
end

local function joined(chunks)
  local ok, value = pcall(chunk.merged, chunks)
  if ok then return value end
end

function LAZY.outputs(run)
  return run.chunks and joined(run.chunks)
end

function LAZY.inputs(run)
  return run.read and joined(run.read)
end

local mt = { __name = "moonpipe.Run" }

-- What a stream read and gave is known at its end.
local AT_END = { inputs = true, outputs = true }

function mt.__index(run, key)
  local make = LAZY[key]
  if not make then return Run[key] end
  if AT_END[key] and not rawget(run, "ended") then return nil end
  local value = make(run)
  rawset(run, key, value)
  return value
end

---The ids of the runs around it, the root's first.
---@return string[]
function Run:parent_ids()
  local ids = {}
  local parent = self.parent
  while parent do
    table.insert(ids, 1, parent.id)
    parent = parent.parent
  end
  return ids
end

---Seconds that it took, or has taken so far.
---@return number
function Run:elapsed()
  return (self.ended or now()) - self.started
end

-- `open` of a root holds the runs below it that have not ended, by number.
local function new_run(step, ctx, kind, key)
  local parent = ctx.run
  local run = setmetatable({
    name = ctx.run_name or step:get_name(),
    kind = step.run_kind,
    step = step,
    ctx = ctx,
    metadata = ctx.metadata,
    parent = parent,
    tag = kind and (key == nil and kind or kind .. key) or ctx.place or nil,
    id = ctx.run_id or nil,
  }, mt)
  run.root = parent and parent.root or run
  if not parent then run.open, run.count = {}, 0 end
  return run
end

-- ---- telling -----------------------------------------------------------------

local function tell(run, stage, extra)
  local list, name, any = run.ctx.callbacks, names[run.kind][stage], "on_" .. stage
  for i = 1, #list do
    call(list[i], name, run, extra)
    call(list[i], any, run, extra)
  end
end

local function begin(run, input)
  local root = run.root
  run.started, run.inputs = now(), input
  root.count = root.count + 1
  run.number = root.count
  root.open[run.number] = run
  tell(run, "start", input)
end

local function stop(run)
  run.ended = now()
  run.root.open[run.number] = nil
end

-- Runs that nobody ended: streams that were left. The innermost first.
local function stop_open(root, err)
  for number = root.count, 2, -1 do
    local run = root.open[number]
    if run then
      run.error = err
      stop(run)
      tell(run, "error", err)
    end
  end
end

local function fail(run, err)
  if run.ended then return end
  if not run.parent then stop_open(run, tree.cancelled("the run around it failed")) end
  run.error = errors.wrap(err)
  stop(run)
  tell(run, "error", run.error)
end

local function finish(run, output)
  if run.ended then return end
  if not run.parent then stop_open(run, tree.cancelled("nobody reads it any more")) end
  stop(run)
  run.outputs = output
  tell(run, "end", run.outputs)
end

local function note_chunk(run, value)
  run.first = run.first or now()
  run.chunks = run.chunks or {}
  run.chunks[#run.chunks + 1] = value
  tell(run, "stream", value)
end

-- ---- running -----------------------------------------------------------------

-- The context below a run; names and ids are of one run only.
local function under(ctx, run)
  return context.with(ctx, { run = run, run_name = false, run_id = false, place = false })
end

-- For the step in a binding, which stands in the binding's place.
local function standing(ctx, kind, key)
  if not kind then return ctx end
  return context.with(ctx, { place = key == nil and kind or kind .. key })
end

local function wants_tokens(ctx)
  for _, callback in ipairs(ctx.callbacks) do
    if callback.streams_models then return true end
  end
  return false
end

-- Models that can are streamed where a callback wants every token.
local function work_of(step, run)
  if not step._invoke_told or not wants_tokens(run.ctx) then return step._invoke end
  return function(self, input, ctx)
    return self:_invoke_told(input, ctx, function(value) note_chunk(run, value) end)
  end
end

---run.invoke of a traced call.
function trace.invoke(step, input, ctx, kind, key)
  if step.transparent then return step:_invoke(input, standing(ctx, kind, key)) end
  local run = new_run(step, ctx, kind, key)
  begin(run, input)
  local ok, value = pcall(work_of(step, run), step, input, under(ctx, run))
  if not ok then
    fail(run, value)
    error(value, 0)
  end
  finish(run, value)
  return value
end

-- Ends what is still open of a stream that is left.
local function leaver(run)
  return function(err)
    if not run.started or run.ended then return end
    fail(run, err or tree.cancelled("the stream was closed"))
  end
end

local function watched(run, pull, feed)
  return function()
    local ok, value = pcall(pull)
    if not run.started and not (feed and feed.failed) then begin(run) end
    if not ok then
      if run.started then fail(run, value) end
      error(value, 0)
    end
    if value == nil then finish(run) elseif not run.ended then note_chunk(run, value) end
    return value
  end
end

---run.stream of a traced call. The second result ends the run of a stream that is
---left before its end.
---@return fun(): any
---@return fun(err: moonpipe.Error?)?
function trace.stream(step, input, ctx, kind, key)
  if step.transparent then return step:_stream(input, standing(ctx, kind, key)) end
  local run = new_run(step, ctx, kind, key)
  begin(run, input)
  local ok, pull = pcall(step._stream, step, input, under(ctx, run))
  if not ok then
    fail(run, pull)
    error(pull, 0)
  end
  return watched(run, pull), leaver(run)
end

-- The source of a step: its run begins with its first chunk. What the source
-- raises before is no failure of this step.
local function feeding(run, source, feed)
  run.read = {}
  return function()
    local ok, value = pcall(source)
    if not ok then
      feed.failed = true
      error(value, 0)
    end
    if not run.started then begin(run) end
    if value ~= nil then run.read[#run.read + 1] = value end
    return value
  end
end

-- A prompt, a model or a retriever needs its whole input: its run begins with that.
local function collecting(run, step, source, feed)
  local inner
  return function()
    if inner then return inner() end
    local ok, input, count = pcall(chunk.collect, source)
    if not ok then
      feed.failed = true
      error(input, 0)
    end
    begin(run, input)
    inner = count > 0 and step:_stream(input, under(run.ctx, run)) or nothing
    return inner()
  end
end

---run.transform of a traced call.
---@return fun(): any
---@return fun(err: moonpipe.Error?)?
function trace.transform(step, source, ctx, kind, key)
  if step.transparent then return step:_transform(source, standing(ctx, kind, key)) end
  local run, feed = new_run(step, ctx, kind, key), {}
  local pull
  if step.run_kind ~= "chain" and step._transform == whole_transform then
    pull = collecting(run, step, source, feed)
  else
    pull = step:_transform(feeding(run, source, feed), under(ctx, run))
  end
  return watched(run, pull, feed), leaver(run)
end

-- ---- what others ask -----------------------------------------------------------

---Tells the callbacks of a context of an event that is no step.
---@param ctx moonpipe.Context
---@param name string
---@param data any
function trace.note(ctx, name, data)
  for _, callback in ipairs(ctx.callbacks) do
    call(callback, "on_custom_event", ctx.run, name, data)
  end
end

return trace
