--- Messages as people read them: a line with who speaks, then the text and the calls of tools.
local inspect = require "moonpipe.inspect"
local terminal = require "moonpipe.terminal"
local words = require "moonpipe.messages.class"
local traversal = require "moonpipe.traversal"

local printing = {}

local WIDTH = 80

local function rule(title)
  local padded = " " .. title .. " "
  local left = math.max(0, math.floor((WIDTH - #padded) / 2))
  return ("="):rep(left) .. padded .. ("="):rep(math.max(0, WIDTH - left - #padded))
end

local function title_of(message)
  local label = words.class_of(message).label or message.role
  return label:gsub("^%l", string.upper) .. " Message"
end

local function value_text(value)
  return type(value) == "string" and value or inspect(value)
end

local function add_calls(lines, title, calls)
  if not calls[1] then
    return
  end
  lines[#lines + 1] = title
  for _, call in ipairs(calls) do
    lines[#lines + 1] = ("  %s (%s)"):format(call.name or "?", call.id or "no id")
    if type(call.args) ~= "table" then
      lines[#lines + 1] = "    " .. value_text(call.args)
    else
      for _, key in ipairs(traversal.keys(call.args)) do
        lines[#lines + 1] = ("    %s: %s"):format(key, value_text(call.args[key]))
      end
    end
  end
end

-- Blocks that are no text by their kind.
local function text_of(message)
  if type(message.content) == "string" then
    return message.content
  end
  local parts = {}
  for _, block in ipairs(message.content) do
    local text = type(block) == "string" and block or block.type == "text" and block.text
    parts[#parts + 1] = text or ("[%s]"):format(tostring(block.type))
  end
  return table.concat(parts, "\n")
end

--- The message as a text of several lines.
---@param message moonpipe.Message
---@return string
function printing.pretty_repr(message)
  local lines = { rule(title_of(message)) }
  if message.name then
    lines[#lines + 1] = "Name: " .. message.name
  end
  lines[#lines + 1] = ""
  local text = text_of(message)
  if text ~= "" then
    lines[#lines + 1] = text
  end
  if message.type == "ai" then
    add_calls(lines, "Tool Calls:", message.tool_calls)
    add_calls(lines, "Invalid Tool Calls:", message.invalid_tool_calls)
  end
  return table.concat(lines, "\n")
end

--- Prints it to standard output, without what a terminal would obey.
---@param message moonpipe.Message
function printing.pretty_print(message)
  print(terminal.printable(printing.pretty_repr(message)))
end

return printing
