--- Identity, with a tap if wanted.
local chunk = require "moonpipe.chunk"
local coerce = require "moonpipe.coerce"
local errors = require "moonpipe.error"
local run = require "moonpipe.run"
local runnable = require "moonpipe.steps.runnable"

---@class moonpipe.RunnablePassthrough: moonpipe.Runnable
---@field tap moonpipe.Runnable?  called with the input; its answer is ignored
local RunnablePassthrough, methods = runnable.class("RunnablePassthrough")
methods.hands_on = true

---@param tap function?
function RunnablePassthrough.new(tap)
  if tap ~= nil and type(tap) ~= "function" then
    errors.usage("RunnablePassthrough takes a function or nothing, got " .. errors.shape(tap))
  end
  return runnable.instance(RunnablePassthrough, {
    tap = tap and coerce.step(tap),
    sync = tap == nil,
  })
end

---RunnablePassthrough.assign{ key = step }: the input, and new keys beside it.
---@param map table
---@param opts { after: table? }?  as of RunnableAssign
function RunnablePassthrough.assign(map, opts)
  return require("moonpipe.steps.assign").RunnableAssign(map, opts)
end

function methods:_invoke(input, ctx)
  if self.tap then run.invoke(self.tap, input, ctx) end
  return input
end

-- The tap sees the whole input, after the last chunk has gone by.
function methods:_transform(source, ctx)
  if not self.tap then return source end
  local seen, count = {}, 0
  return function()
    local value = source()
    if value ~= nil then
      count = count + 1
      seen[count] = value
    elseif count > 0 then
      count = 0
      run.invoke(self.tap, chunk.merged(seen), ctx)
    end
    return value
  end
end

function methods:_begins_with_user_code()
  return self.tap ~= nil
end

function methods:_takes_kwargs()
  return self.tap ~= nil and self.tap:_takes_kwargs()
end

function methods:_output_keys(keys)
  return keys
end

return { RunnablePassthrough = RunnablePassthrough }
