--- Colours of the REPL's output: of values by what they are, of failures, of notes.
local terminal = require "moonpipe.terminal"

local colour = {}

local CODES = { red = "31", green = "32", yellow = "33", blue = "34", dim = "2" }
local on = { false, false } -- by descriptor

--- Asks once which of standard output and error have colours.
---@async
function colour.open()
  for descriptor = 1, 2 do on[descriptor] = terminal.may_color(descriptor) end
end

---The text in a colour, where its descriptor has some.
---@param name "red"|"green"|"yellow"|"blue"|"dim"
---@param text string
---@param descriptor 1|2
---@return string
function colour.paint(name, text, descriptor)
  if not on[descriptor] or text == "" then return text end
  return ("\27[%sm%s\27[0m"):format(CODES[name], text)
end

local CONSTANTS = { ["true"] = true, ["false"] = true, ["nil"] = true, null = true }

-- Strings first, for what looks like a number in one is none.
local function paint_plain(text)
  return (text:gsub("[%w_.]+", function(word)
    local is_value = CONSTANTS[word] or tonumber(word)
    return is_value and colour.paint("yellow", word, 1) or nil
  end):gsub("<[^<>]*>", function(shape) return colour.paint("blue", shape, 1) end))
end

---What mp.inspect gave, in colours.
---@param text string
---@return string
function colour.value(text)
  if not on[1] then return text end
  local out, at = {}, 1
  while true do
    local from = text:find('"', at, true)
    out[#out + 1] = paint_plain(text:sub(at, (from or 0) - 1))
    if not from then return table.concat(out) end
    local to = from + 1
    while to < #text and text:sub(to, to) ~= '"' do
      to = to + (text:sub(to, to) == "\\" and 2 or 1)
    end
    out[#out + 1] = colour.paint("green", text:sub(from, to), 1)
    at = to + 1
  end
end

return colour
