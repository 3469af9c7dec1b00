--- What a step that is made of others says of itself: asked of each of them.
local members = {}

local function any(list, method)
  for _, step in ipairs(list) do
    if step[method](step) then return true end
  end
  return false
end

---Whether bound arguments reach one of the steps.
---@param list moonpipe.Runnable[]
---@return boolean
function members.take_kwargs(list)
  return any(list, "_takes_kwargs")
end

---Whether one of them, given the input as it is, may write to it.
---@param list moonpipe.Runnable[]
---@return boolean
function members.begin_with_user_code(list)
  return any(list, "_begins_with_user_code")
end

---Whether none of them ever waits.
---@param list moonpipe.Runnable[]
---@return boolean
function members.are_sync(list)
  for _, step in ipairs(list) do
    if not step.sync then return false end
  end
  return true
end

---Whether what [step] gives may be the very input that it got.
---@param step moonpipe.Runnable
---@return boolean
function members.hands_on(step)
  if step.hands_on then return true end
  local parts = step:_parts()
  if not parts or parts.shape == "map" then return false end
  local all = parts.shape == "sequence" -- of others one is enough
  for _, item in ipairs(parts.items) do
    if (not item.step or members.hands_on(item.step)) ~= all then return not all end
  end
  return all
end

---The names in all the lists, sorted, each once.
---@param lists string[][]
---@return string[]
function members.union(lists)
  local set, out = {}, {}
  for _, list in ipairs(lists) do
    for _, name in ipairs(list) do
      if not set[name] then out[#out + 1] = name end
      set[name] = true
    end
  end
  table.sort(out)
  return out
end

---All keys that one or another of the steps may give, of which one will run; nil
---where that is not known of each.
---@param list moonpipe.Runnable[]
---@param keys string[]?  what they are given
---@return string[]?
function members.output_keys(list, keys)
  local lists = {}
  for i, step in ipairs(list) do
    lists[i] = step:_output_keys(keys)
    if not lists[i] then return nil end
  end
  return members.union(lists)
end

return members
