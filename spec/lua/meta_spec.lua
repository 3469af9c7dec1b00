-- The editor's declarations of what C gives cannot rot: their names are those of
-- the module.
local helper = require "spec.helper"

local function declared()
  local names = {}
  for _, part in ipairs { "native", "native_calls", "native_stores" } do
    local path = ("lua/moonpipe/meta/%s.lua"):format(part)
    local text = helper.read(path)
    for name in text:gmatch("\nfunction c%.([%w_]+)%(") do names[#names + 1] = name end
    for name in text:gmatch("%-%-%-@field ([%w_]+)") do names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

local function real()
  local names = {}
  for name in pairs(require "moonpipe.c") do names[#names + 1] = name end
  table.sort(names)
  return names
end

describe("meta.native", function()
  it("declares exactly what the C module has", function()
    assert.same(real(), declared())
  end)
end)
