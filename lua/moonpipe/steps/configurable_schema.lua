--- What a call of a chain may choose, as a JSON Schema of its config.
--
-- A step of which something can be chosen has `_choices()`: schemas by the id under which
-- config.configurable has it. `needed` in one says that a call must choose.
local json = require "moonpipe.json"

local schema = {}

local function add(step, prefix, found)
  for id, one in pairs(step._choices and step:_choices() or {}) do
    found[(one.is_shared and "" or prefix) .. id] = one
  end
  local parts = step:_parts()
  for _, item in ipairs(parts and parts.items or {}) do
    if item.step then add(item.step, prefix .. (item.prefix or ""), found) end
  end
end

---@param step moonpipe.Runnable
---@return table
function schema.of(step)
  local found, needed = {}, json.array {}
  add(step, "", found)
  if next(found) == nil then return { type = "object", properties = {} } end
  for id, one in pairs(found) do
    if one.needed then needed[#needed + 1] = id end
    one.is_shared, one.needed = nil, nil
  end
  table.sort(needed)
  return { type = "object", properties = {
    configurable = { type = "object", properties = found, required = needed[1] and needed },
  } }
end

return schema
