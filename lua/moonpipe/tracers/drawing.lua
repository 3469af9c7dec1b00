--- A tree of runs as lines: names on the left, bars on one time scale, what is noted behind them.
local drawing = {}

local BAR = 30       -- columns
local LABEL_MAX = 48 -- columns
local ROWS = 200     -- of one tree; more are counted

---@class moonpipe.TraceRow
---@field depth integer
---@field name string
---@field started number  seconds
---@field ended number
---@field notes string

local function label_of(row)
  local label = ("  "):rep(row.depth) .. row.name
  if #label > LABEL_MAX then label = label:sub(1, LABEL_MAX - 3) .. "..." end
  return label
end

local function bar_of(row, root)
  local whole = math.max(root.ended - root.started, 1e-9)
  local first = math.floor((row.started - root.started) / whole * BAR)
  local last = math.ceil((row.ended - root.started) / whole * BAR)
  first = math.max(math.min(first, BAR - 1), 0)
  last = math.min(math.max(last, first + 1), BAR)
  return (" "):rep(first) .. ("="):rep(last - first) .. (" "):rep(BAR - last)
end

--- The name of a run with its model and its branch's key.
---@param name string
---@param model string?
---@param tag string?
---@return string
function drawing.name(name, model, tag)
  local key = tag and tag:match("^map:key:(.*)$")
  if model and not name:find(model, 1, true) then name = name .. " " .. model end
  return key and key .. ": " .. name or name
end

--- The lines of a tree whose root is the first row.
---@param rows moonpipe.TraceRow[]  depth first
---@return string[]
function drawing.lines(rows)
  local lines, labels, width = {}, {}, 0
  local count = math.min(#rows, ROWS)
  for i = 1, count do
    labels[i] = label_of(rows[i])
    width = math.max(width, #labels[i])
  end
  for i = 1, count do
    local row = rows[i]
    local line = ("%-" .. width .. "s %9.3f s |%s| %s"):format(labels[i], row.ended - row.started,
      bar_of(row, rows[1]), row.notes)
    lines[i] = line:gsub("%s+$", "")
  end
  if #rows > ROWS then lines[#lines + 1] = ("(%d more)"):format(#rows - ROWS) end
  return lines
end

return drawing
