--- Waits for a module that another task is loading, unless that one waits for us.
local wanted = {} -- task -> the name for which it waits

-- Whether [task] is, or waits for, [other]: for its branches, not what it started.
local function waits_for(task, other)
  while other ~= task do
    if other == nil or other.started then return false end
    other = other.parent
  end
  return true
end

-- Whether the load of [name] cannot end before [me] goes on.
local function is_loop(loading, name, me, seen)
  local entry = loading[name]
  if not entry or seen[name] then return false end
  seen[name] = true
  if waits_for(entry.task, me) then return true end
  for task, next_name in pairs(wanted) do
    if waits_for(entry.task, task) and is_loop(loading, next_name, me, seen) then return true end
  end
  return false
end

---@async
---@param name string
---@param me moonpipe.Task  the running one
---@param loading table  name -> { task, waiters } of what is being loaded
---@param tasks table    moonpipe.scheduler, which is of a later letter
---@return boolean waited  false: it would wait for itself
return function(name, me, loading, tasks)
  local entry = loading[name]
  if is_loop(loading, name, me, {}) then return false end
  entry.waiters[#entry.waiters + 1], wanted[me] = me, name
  local ok, err = pcall(function()
    while loading[name] == entry do tasks.park() end
  end)
  wanted[me] = nil
  if not ok then error(err, 0) end
  return true
end
