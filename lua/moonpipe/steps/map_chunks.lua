--- A function of the user's that is given each chunk by itself, so that a stream
--- is not held up: `model | map_chunks(string.upper)`.
local errors = require "moonpipe.error"
local interleave = require "moonpipe.interleave"
local lambda = require "moonpipe.steps.lambda"
local partial = require "moonpipe.steps.partial"
local runnable = require "moonpipe.steps.runnable"

---@class moonpipe.RunnableMapChunks: moonpipe.RunnableLambda
local RunnableMapChunks, methods = runnable.class("map_chunks", { base = lambda.RunnableLambda })

local map_chunks = {}

---Invoked, the function is given the whole input as one chunk; so what it does
---should not depend on where a text is cut. What gives nil is left out.
---@param fn fun(chunk: any, config: moonpipe.Context?): any
---@param opts { name: string? }?
---@return moonpipe.RunnableMapChunks
function map_chunks.map_chunks(fn, opts)
  local mt = getmetatable(fn)
  if type(fn) ~= "function" and not (type(mt) == "table" and mt.__call) or runnable.is(fn) then
    errors.usage("map_chunks takes a function, got " .. errors.shape(fn))
  end
  return setmetatable(lambda.RunnableLambda(fn, opts), RunnableMapChunks.mt)
end

-- Marks at the end of a map's branches go by.
function methods:_transform(source, ctx)
  return partial.kept(function()
    while true do
      local value = source()
      if value == nil or interleave.finished(value) then return value end
      value = self:_invoke(value, ctx)
      if value ~= nil then return value end
    end
  end)
end

function methods:_flow()
  return "passes"
end

function methods:get_name()
  return self.name or ("map_chunks(function " .. self.place .. ")")
end

methods._label = methods.get_name

return map_chunks
