--- Two docstores with the same in them, for specs that hold one against the other.
local docstore = require "moonpipe.stores.docstore"
local filter = require "moonpipe.stores.filter"
local helper = require "spec.helper"
local mp = require "moonpipe"

local docstores = {}

--- The one in memory, and the one in a file.
---@param given moonpipe.Document[]  what both have
function docstores.both(given)
  local memory, file = docstore.new(), mp.SQLiteDocstore(helper.fresh())
  memory:put(0, given)
  helper.run(function() file:put(0, given) end)
  return memory, file
end

--- What [docs] gives for a filter, as users write it.
function docstores.matching(docs, given)
  local matches, tree = filter.compile(given)
  return helper.run(function() return docs:matching(matches, tree) end, 60)
end

return docstores
