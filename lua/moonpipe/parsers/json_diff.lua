--- What changed between two values of JSON, as operations of JSON Patch (RFC 6902).
local json = require "moonpipe.json"
local traversal = require "moonpipe.traversal"

local diff = {}

local function member_path(path, key)
  return path .. "/" .. (tostring(key):gsub("~", "~0"):gsub("/", "~1"))
end

local compare

local function compare_lists(ops, path, before, after)
  for i = #before, #after + 1, -1 do -- the last one first, so that the places hold
    ops[#ops + 1] = { op = "remove", path = path .. "/" .. i - 1 }
  end
  for i, value in ipairs(after) do
    if i <= #before then
      compare(ops, path .. "/" .. i - 1, before[i], value)
    else
      ops[#ops + 1] = { op = "add", path = path .. "/" .. i - 1, value = value }
    end
  end
end

local function compare_objects(ops, path, before, after)
  for _, key in ipairs(traversal.keys(before)) do
    if after[key] == nil then ops[#ops + 1] = { op = "remove", path = member_path(path, key) } end
  end
  for _, key in ipairs(traversal.keys(after)) do
    local value, at = after[key], member_path(path, key)
    if before[key] == nil then
      ops[#ops + 1] = { op = "add", path = at, value = value }
    else
      compare(ops, at, before[key], value)
    end
  end
end

-- What was closed in the earlier value is shared by the later one: there it ends at once.
function compare(ops, path, before, after)
  if before == after then return end
  local is_list = json.is_array(after)
  if type(before) ~= "table" or type(after) ~= "table" or json.is_array(before) ~= is_list then
    ops[#ops + 1] = { op = "replace", path = path, value = after }
  elseif is_list then
    compare_lists(ops, path, before, after)
  else
    compare_objects(ops, path, before, after)
  end
end

---The operations that make [after] of [before], which is nil where there was nothing.
---@param before any
---@param after any
---@return { op: "add"|"remove"|"replace", path: string, value: any }[]
function diff.operations(before, after)
  local ops = {}
  compare(ops, "", before, after)
  return ops
end

return diff
