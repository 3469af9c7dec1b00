--- The commands, by what they are for; each is a module beside this one that gives its table.
local commands = {}

commands.GROUPS = {
  { title = "scripts", "run", "repl", "new", "test" },
  { title = "chains", "batch", "graph", "trace" },
  { title = "models and texts", "ask", "chat", "index", "models" },
  { title = "the program", "doctor", "completion", "man", "help" },
}

-- Where the name is another module's.
local MODULES = { repl = "repl_command" }

local known = {}
for _, group in ipairs(commands.GROUPS) do
  for _, name in ipairs(group) do known[name] = true end
end

---@return string[]  sorted
function commands.names()
  local list = {}
  for name in pairs(known) do list[#list + 1] = name end
  table.sort(list)
  return list
end

---@param name string
---@return boolean
function commands.has(name)
  return known[name] == true
end

---The table of a command, or nil.
---@param name string
---@return moonpipe.Command?
function commands.find(name)
  if not known[name] then return nil end
  return require("moonpipe.tool." .. (MODULES[name] or name))
end

return commands
