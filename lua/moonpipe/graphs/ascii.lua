--- A chain as boxes of text.
--
-- Everything is a block: lines of one width, with the column in which it is
-- entered and left. Blocks are stacked for a sequence and set side by side for a
-- map or a choice; a frame is a block around a block. Columns count from 1.
local graph = require "moonpipe.graphs.graph"

local ascii = {}

local GAP = 3 -- columns between blocks that stand side by side

-- Columns of a text: one for each character.
local function columns(text)
  local _, continued = text:gsub("[\128-\191]", "")
  return #text - continued
end

local function pad(text, width)
  return text .. (" "):rep(width - columns(text))
end

local function centred(text, width)
  local left = math.floor((width - columns(text)) / 2)
  return pad((" "):rep(left) .. text, width)
end

local function middle(width)
  return math.ceil(width / 2)
end

-- A line of [width] with [mark] in column [at].
local function stem(width, at, mark)
  return (" "):rep(at - 1) .. mark .. (" "):rep(width - at)
end

-- On one line: a constant may hold several.
local function one_line(text)
  return (text:gsub("%s+", " "))
end

local function box(text)
  text = one_line(text)
  local rule = "+" .. ("-"):rep(columns(text) + 2) .. "+"
  return { lines = { rule, "| " .. text .. " |", rule }, width = #rule, at = middle(#rule) }
end

-- The block with empty columns so that column `at` becomes [at] of [width].
local function placed(block, at, width)
  local left = at - block.at
  local lines = {}
  for i, line in ipairs(block.lines) do lines[i] = pad((" "):rep(left) .. line, width) end
  return lines
end

local function stack(blocks)
  local left, right = 0, 0
  for _, block in ipairs(blocks) do
    left = math.max(left, block.at)
    right = math.max(right, block.width - block.at)
  end
  local width, lines = left + right, {}
  for i, block in ipairs(blocks) do
    if i > 1 then lines[#lines + 1] = stem(width, left, "|") end
    for _, line in ipairs(placed(block, left, width)) do lines[#lines + 1] = line end
  end
  return { lines = lines, width = width, at = left }
end

-- Its label above, and both ends drawn out to [height] lines.
local function drawn_out(block, label, height, mark)
  label = one_line(label)
  local width = math.max(block.width, columns(label))
  local at = block.at + math.floor((width - block.width) / 2)
  local lines = { centred(label, width), stem(width, at, mark) }
  for _, line in ipairs(placed(block, at, width)) do lines[#lines + 1] = line end
  while #lines < height + 2 do lines[#lines + 1] = stem(width, at, mark) end
  return { lines = lines, width = width, at = at }
end

-- A rule that joins the columns [ats] with the one in which it is entered.
local function rule(width, ats, at, mark)
  local line = {}
  for column = 1, width do
    line[column] = column >= ats[1] and column <= ats[#ats] and mark or " "
  end
  for _, column in ipairs(ats) do line[column] = "+" end
  line[at] = "+"
  return table.concat(line)
end

local function beside(blocks, mark)
  local height, width, ats = 0, 0, {}
  for _, block in ipairs(blocks) do height = math.max(height, #block.lines) end
  for i, block in ipairs(blocks) do
    ats[i] = width + block.at
    width = width + block.width + (i < #blocks and GAP or 0)
  end
  local lines = {}
  for row = 1, height do
    local cells = {}
    for i, block in ipairs(blocks) do cells[i] = block.lines[row] end
    lines[row] = table.concat(cells, (" "):rep(GAP))
  end
  local at = middle(ats[1] + ats[#ats])
  table.insert(lines, 1, rule(width, ats, at, mark))
  lines[#lines + 1] = rule(width, ats, at, mark)
  return { lines = lines, width = width, at = at }
end

local draw

local function sides(items, across, down)
  local blocks, height = {}, 0
  for i, item in ipairs(items) do
    blocks[i] = item.step and draw(item.step) or { lines = { down }, width = 1, at = 1 }
    height = math.max(height, #blocks[i].lines)
  end
  for i, item in ipairs(items) do
    blocks[i] = drawn_out(blocks[i], graph.shown(item) or "", height, down)
  end
  return beside(blocks, across)
end

local SHAPES = {}

function SHAPES.sequence(parts)
  local blocks = {}
  for i, item in ipairs(parts.items) do blocks[i] = draw(item.step) end
  return stack(blocks)
end

function SHAPES.map(parts, step)
  if #parts.items == 0 then return box(step:_label()) end
  return sides(parts.items, "-", "|")
end

function SHAPES.choice(parts, step)
  return stack { box(step:get_name()), sides(parts.items, ".", ":") }
end

function SHAPES.frame(parts, step)
  local inner, title = draw(parts.items[1].step), one_line(parts.title or step:get_name())
  title = " " .. title .. " "
  local width = math.max(inner.width, columns(title) + 2)
  local at = inner.at + math.floor((width - inner.width) / 2)
  local lines = { "." .. title .. ("."):rep(width + 3 - columns(title)) }
  for _, line in ipairs(placed(inner, at, width)) do lines[#lines + 1] = ": " .. line .. " :" end
  lines[#lines + 1] = ("."):rep(width + 4)
  return { lines = lines, width = width + 4, at = at + 2 }
end

function draw(step)
  local parts, real = graph.parts_of(step)
  if not parts then return box(real:get_name()) end
  return SHAPES[parts.shape](parts, real)
end

---The drawing of a chain between its input and its output.
---@param step moonpipe.Runnable
---@return string
function ascii.draw(step)
  local whole = stack { box "input", draw(step), box "output" }
  local lines = {}
  for i, line in ipairs(whole.lines) do lines[i] = line:gsub(" +$", "") end
  return table.concat(lines, "\n") .. "\n"
end

return ascii
