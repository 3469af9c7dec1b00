--- Says that a main script reads a global which is not defined.
local errors = require "moonpipe.error"

-- What the function at [level] could have meant: its locals and upvalues.
local function names_at(level, names, operators)
  local fn, at = debug.getinfo(level + 1, "f").func, 1
  while true do
    local name = debug.getlocal(level + 1, at)
    if not name then break end
    names[#names + 1], at = name, at + 1
  end
  at = 1
  while true do
    local name, value = debug.getupvalue(fn, at)
    if not name then break end
    if not operators[value] then names[#names + 1] = name end
    at = at + 1
  end
end

---Called by __index, which the reading function called.
---@param name any
---@param operators table<any, true>  upvalues that are no names of the author's
return function(name, operators)
  local names = {}
  names_at(3, names, operators)
  for known in pairs(_G) do
    if type(known) == "string" then names[#names + 1] = known end
  end
  errors.usage(("undefined global '%s'%s"):format(errors.text(name), errors.hint(name, names)))
end
