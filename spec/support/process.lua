--- Starts the helpers of spec/support: programs that say their ports through a
--- file and end when their stdin closes, so none outlives the tests.
local helper = require "spec.helper"

local process = {}

local Process = {}
Process.__index = Process

--- The word for a shell.
function process.quote(text)
  return "'" .. tostring(text):gsub("'", "'\\''") .. "'"
end

--- The path of a helper, beside the binary under test.
---@param name string
function process.helper(name)
  local path = (helper.bin:match("^(.*)/") or ".") .. "/spec/" .. name
  local file = io.open(path)
  if not file then error(path .. " is not there; build it with BUILD_TESTING on", 0) end
  file:close()
  return path
end

local function read_ports(path)
  local file = io.open(path)
  if not file then return nil end
  local ports = {}
  for line in file:lines() do ports[#ports + 1] = tonumber(line) end
  file:close()
  return ports
end

local function is_there(path)
  local file = io.open(path)
  if file then file:close() end
  return file ~= nil
end

-- A database takes its time on a loaded machine.
local function wait_for_ports(path, exit_path, command)
  for _ = 1, 6000 do
    local ports = read_ports(path)
    if ports then return ports end
    if is_there(exit_path) then break end
    os.execute("sleep 0.01")
  end
  error("it says no port: " .. command, 0)
end

--- Starts a program, which gets ` --port-file FILE` behind its words.
---@param words string[]
---@return table  with `ports`, the numbers it wrote, and stop()
function process.start(words)
  local list, path = {}, os.tmpname()
  os.remove(path)
  for i, word in ipairs(words) do list[i] = process.quote(word) end
  local command = table.concat(list, " ")
  local self = setmetatable({ command = command, exit_path = path .. ".exit" }, Process)
  -- "e": a child of the tests that stays must not hold this pipe open
  self.stdin = assert(io.popen(("%s --port-file %s; echo $? >%s"):format(command,
    process.quote(path), process.quote(self.exit_path)), "we"))
  local ok, ports = pcall(wait_for_ports, path, self.exit_path, command)
  os.remove(path)
  if not ok then
    pcall(self.stop, self)
    error(ports, 0)
  end
  self.ports = ports
  return self
end

--- Ends the program and waits for it; an error if it fails, as it does when a
--- sanitizer has found something. Twice is fine.
function Process:stop()
  if not self.stdin then return end
  self.stdin:close()
  self.stdin = nil
  local file = assert(io.open(self.exit_path))
  local code = file:read("*n")
  file:close()
  os.remove(self.exit_path)
  if code ~= 0 then error(("exit code %s of %s"):format(code, self.command), 0) end
end

return process
