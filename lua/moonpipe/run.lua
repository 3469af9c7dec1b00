--- How a step is run below another, or as the first of a call.
--
-- Every primitive runs its inner steps through here, never by their methods:
-- where a call is traced its context has a tracer, which makes a run of each.
-- `kind` and `key` say what the step is to its parent, as LangChain's tags do
-- ("seq:step:" 2, "map:key:" "context"); they are joined only when traced.
local context = require "moonpipe.context"

local run = {}

-- Loaded at the first callback.
function context.find_tracer()
  return require "moonpipe.trace"
end

---@param step moonpipe.Runnable
---@param input any
---@param ctx moonpipe.Context
---@param kind string?
---@param key string|integer|nil
---@return any
function run.invoke(step, input, ctx, kind, key)
  local tracer = ctx.tracer
  if tracer then return tracer.invoke(step, input, ctx, kind, key) end
  return step:_invoke(input, ctx)
end

---@return fun(): any  the next chunk, or nil at the end
function run.stream(step, input, ctx, kind, key)
  local tracer = ctx.tracer
  if tracer then return tracer.stream(step, input, ctx, kind, key) end
  return step:_stream(input, ctx)
end

---@param source fun(): any
---@return fun(): any
function run.transform(step, source, ctx, kind, key)
  local tracer = ctx.tracer
  if tracer then return tracer.transform(step, source, ctx, kind, key) end
  return step:_transform(source, ctx)
end

---Tells the callbacks of a call of something that is no step: a retry, a switch to
---a fallback, what the user dispatches.
---@param ctx moonpipe.Context
---@param name string
---@param data any
function run.note(ctx, name, data)
  if ctx.tracer then ctx.tracer.note(ctx, name, data) end
end

---Adds to the metadata of the run of [ctx] alone, where it is traced.
---@param ctx moonpipe.Context
---@param key string
---@param value any
function run.annotate(ctx, key, value)
  local one = ctx.run
  if one then one.metadata = context.merged(one.metadata, { [key] = value }) end
end

---Tells the callbacks of the running call of an event of the user's.
---@param name string
---@param data any
function run.dispatch_custom_event(name, data)
  run.note(context.current(), name, data)
end

return run
