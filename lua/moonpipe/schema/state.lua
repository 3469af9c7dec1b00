--- The state of one validation: where it is, and what it has found.
--
-- `keys` is the path to the value that is looked at. Where only the question is
-- asked (`anyOf`, `not`, `if`) problems go to a list of their own.
local check = require "moonpipe.schema.check"

---@class moonpipe.SchemaProblem
---@field path string     `$.people[2].age`; places in arrays count from 1
---@field message string
---@field keyword string

---@class moonpipe.SchemaState
---@field root table|boolean
---@field exact boolean?
---@field apply fun(state, value: any, schema: table|boolean)
---@field keys (string|integer)[]
---@field depth integer   of keys
---@field nested integer  schemas on the way
---@field endless boolean?  there are too many of them: the schema never ends
---@field problems moonpipe.SchemaProblem[]
local state = {}

local MAX_DEPTH = 128    -- of the value: as JSON that is read
local MAX_PROBLEMS = 100 -- that are told

---The path to the value that is looked at.
---@param self moonpipe.SchemaState
---@return string
function state.path(self)
  local path = "$"
  for i = 1, self.depth do path = check.member(path, self.keys[i]) end
  return path
end

local problem_mt = {
  __name = "moonpipe.SchemaProblem",
  __tostring = function(self) return self.path .. ": " .. self.message end,
}

---Notes a problem of the value that is looked at.
---@param self moonpipe.SchemaState
---@param keyword string
---@param message string
function state.add(self, keyword, message)
  state.append(self, {
    setmetatable({
      path = state.path(self), message = message, keyword = keyword, depth = self.depth,
    }, problem_mt),
  })
end

---Takes over problems that were found apart.
---@param self moonpipe.SchemaState
---@param list moonpipe.SchemaProblem[]
function state.append(self, list)
  for _, one in ipairs(list) do
    if #self.problems < MAX_PROBLEMS then self.problems[#self.problems + 1] = one end
  end
end

---The problems of [value] with [schema], apart from those found so far.
---@return moonpipe.SchemaProblem[]
function state.problems_with(self, value, schema)
  local outer, own = self.problems, {}
  self.problems = own
  self.apply(self, value, schema)
  self.problems = outer
  return own
end

---@return boolean
function state.fits(self, value, schema)
  return #state.problems_with(self, value, schema) == 0
end

---Calls fn(self, a, b) for the member [key].
function state.at(self, key, fn, a, b)
  if self.depth >= MAX_DEPTH then
    return state.add(self, "depth", ("nested deeper than %d levels"):format(MAX_DEPTH))
  end
  self.depth = self.depth + 1
  self.keys[self.depth] = key
  fn(self, a, b)
  self.depth = self.depth - 1
end

---Holds a member against its schema.
function state.descend(self, key, value, schema)
  state.at(self, key, self.apply, value, schema)
end

return state
