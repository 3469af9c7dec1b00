--- What the REPL prints: values, streams and answers as they come, failures.
local chunk = require "moonpipe.chunk"
local colour = require "moonpipe.tool.repl.colour"
local inspect = require "moonpipe.inspect"
local members = require "moonpipe.tool.repl.members"
local message = require "moonpipe.messages.message"
local runnable = require "moonpipe.steps.runnable"
local scheduler = require "moonpipe.scheduler"
local terminal = require "moonpipe.terminal"

local show = {}

-- ---- streams -----------------------------------------------------------------------

local function is_stream(value)
  local mt = type(value) == "table" and getmetatable(value)
  return type(mt) == "table" and rawget(mt, "__name") == "moonpipe.Stream"
end

local function text_of(value)
  if type(value) == "string" then return value end
  return message.is(value) and tostring(value) or nil
end

-- Text as it comes; its line ends with `close`.
local function new_writer()
  local last = "\n"
  return {
    write = function(text)
      text = terminal.printable(text)
      if text == "" then return end
      last = text
      io.write(text)
      io.flush()
    end,
    close = function()
      if last:sub(-1) ~= "\n" then io.write("\n") end
    end,
  }
end

local function print_stream(stream)
  local writer = new_writer()
  local ok, err = pcall(stream.each, stream, function(value)
    writer.write(text_of(value) or inspect(value) .. "\n")
  end)
  writer.close()
  if not ok then error(err, 0) end
end

-- ---- answers as they come -------------------------------------------------------------

local plain_invoke = runnable.base.invoke
local line -- whose call is shown: task, callee, shown, value

-- Whether its answer comes in pieces, out of a model.
local function streams(step)
  local ok, flow = pcall(require("moonpipe.explain").describe, step)
  if not ok or flow.flow == "whole" then return false end
  local found = false
  require("moonpipe.graphs.graph").walk(step, function(one)
    found = found or one.run_kind == "chat_model"
  end)
  return found
end

-- Texts are shown from the first one on; an answer of anything else is shown when it is whole.
local function collect_shown(stream, writer, mine)
  local is_text = true
  return (chunk.collect(function()
    local value = stream:next()
    local text = value ~= nil and text_of(value)
    is_text = is_text and (value == nil or text ~= nil)
    if is_text and text and text ~= "" then
      mine.shown = true
      writer.write(text)
    end
    return value
  end))
end

local function invoke_shown(mine, step, input, config)
  local writer = new_writer()
  local ok, value = pcall(function()
    local stream = step:stream(input, config)
    local answer = collect_shown(stream, writer, mine)
    stream:close()
    return answer
  end)
  writer.close()
  if not ok then error(value, 0) end
  mine.value = mine.shown and value or nil
  return value
end

-- Whether the line calls this step for its value.
local function is_called(step, callee)
  local path = callee:match("^(.*)%s*:%s*invoke$") or callee
  if path:find("^[%a_][%w_.]*$") then return rawequal(members.at(path), step) end
  return path ~= callee or callee:find("^%(.*%)$") ~= nil
end

-- What runs in a chain, or in a task of its own, is not shown.
local function invoke(step, input, config)
  local mine = line
  local is_mine = mine and scheduler.current() == mine.task and is_called(step, mine.callee)
  if not is_mine or not runnable.is(step) then return plain_invoke(step, input, config) end
  line = nil -- one call gives the value
  if not streams(step) then return plain_invoke(step, input, config) end
  return invoke_shown(mine, step, input, config)
end

---Calls fn, and shows an answer of a chain that is its value as it comes; gives its values.
---@async
---@param fn function
---@param callee string?  what it calls for its value
---@return table values  with `n`, and `shown`, which is on the terminal already
function show.calls(fn, callee)
  local mine = { task = scheduler.current(), callee = callee }
  if callee then line, runnable.base.invoke = mine, invoke end
  local function done(ok, ...)
    local shown = mine.value
    line, runnable.base.invoke = nil, plain_invoke
    if not ok then error((...), 0) end
    return { n = select("#", ...), shown = shown, ... }
  end
  return done(xpcall(fn, require("moonpipe.error").handler))
end

-- ---- values and failures ---------------------------------------------------------------

---@async
---@param values table  of show.calls
function show.values(values)
  if values.n == 0 then return end
  if values.n == 1 and is_stream(values[1]) then return print_stream(values[1]) end
  if values.n == 1 and values.shown ~= nil and rawequal(values.shown, values[1]) then return end
  local texts = {}
  for i = 1, values.n do
    texts[i] = colour.value(terminal.printable(inspect(values[i])))
  end
  print(table.concat(texts, "\t"))
end

---@param text string
function show.failure(text)
  io.stdout:flush()
  local first, rest = text:match("^([^\n]*)(.*)$")
  io.stderr:write(colour.paint("red", first, 2), rest, "\n")
end

---@param text string
function show.note(text)
  io.stdout:flush()
  io.stderr:write(colour.paint("dim", text, 2), "\n")
end

return show
