--- Small steps and streams that many specs need.
local mp = require "moonpipe"

local steps = {}

--- A function as a step of that name; without one it gives its input.
function steps.named(name, fn)
  return mp.RunnableLambda(fn or function(x) return x end, { name = name })
end

--- A step that streams these values, whatever its input.
function steps.emitting(...)
  local list = { ... }
  return mp.RunnableGenerator(function(_, emit)
    for _, value in ipairs(list) do emit(value) end
  end)
end

--- A step that streams a text letter by letter, whatever its input.
function steps.letters(text)
  return mp.RunnableGenerator(function(_, emit)
    for letter in text:gmatch(".") do emit(letter) end
  end)
end

--- The chunks of a stream, in a list.
function steps.chunks_of(stream)
  local list = {}
  for chunk in stream do list[#list + 1] = chunk end
  return list
end

--- A function that gives the values of a list, then nil.
function steps.source_of(list)
  local i = 0
  return function()
    i = i + 1
    return list[i]
  end
end

return steps
