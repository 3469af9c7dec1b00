-- What the benchmarks share: figures that programs print, one `name value` a line,
-- and what is made of them. Loaded by dofile.
local figures = {}

---@param values number[]  are sorted
function figures.median(values)
  table.sort(values)
  return values[math.floor(#values / 2) + 1]
end

function figures.load_average()
  local file = io.open("/proc/loadavg")
  local value = file and file:read("*n") or 0
  if file then file:close() end
  return value
end

---What a program prints: at least a line.
---@param command string
---@return string[] lines
function figures.lines(command)
  local pipe, lines = assert(io.popen(command)), {}
  for line in pipe:lines() do lines[#lines + 1] = line end
  pipe:close()
  if #lines == 0 then error("nothing from: " .. command, 0) end
  return lines
end

---The figures that a program prints: at least one. Its other lines are read over.
---@param command string
---@return table<string, number>
function figures.read(command)
  local found = {}
  for _, line in ipairs(figures.lines(command)) do
    local name, value = line:match("^(%S+) (%S+)$")
    if name then found[name] = tonumber(value) end
  end
  if not next(found) then error("no figures from: " .. command, 0) end
  return found
end

---Whether a row is wanted: all are, unless names are given behind the program's
---own four words; then those that begin so.
---@param name string
function figures.wanted(name)
  for i = 5, #arg do
    if name:sub(1, #arg[i]) == arg[i] then return true end
  end
  return not arg[5]
end

return figures
