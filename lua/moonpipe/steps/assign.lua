--- A table's keys, and new ones computed from it in parallel.
local chunk = require "moonpipe.chunk"
local errors = require "moonpipe.error"
local members = require "moonpipe.members"
local merge = require "moonpipe.merge"
local parallel = require "moonpipe.steps.parallel"
local run = require "moonpipe.run"
local runnable = require "moonpipe.steps.runnable"

---@class moonpipe.RunnableAssign: moonpipe.Runnable
---@field mapper moonpipe.RunnableParallel
local RunnableAssign, methods = runnable.class("RunnableAssign")

---`RunnableAssign({ key = step }, { after = { answer = "context" } })`: a step sees
---the input; one that is named in `after` is run after the keys given there (one, or
---a list) and sees those too. The others run at once.
---@param map table  as of RunnableParallel
---@param opts { after: table<string, string|string[]>? }?
function RunnableAssign.new(map, opts)
  if type(map) ~= "table" or getmetatable(map) ~= nil then
    errors.usage("assign takes a table of steps, got " .. errors.shape(map))
  end
  for key in pairs(map) do
    if type(key) == "number" then errors.usage("assign adds by name, got key " .. key) end
  end
  opts = errors.options(opts, { "after" }, "assign")
  local mapper = parallel.from_table(map, nil, errors.caller())
  if opts.after then return require("moonpipe.steps.assign_after").new(mapper, opts.after) end
  return runnable.instance(RunnableAssign, { mapper = mapper, sync = mapper.sync })
end

---Raises where the input is no table.
function methods:_check_input(input)
  if type(input) ~= "table" or (getmetatable(input) ~= nil and input.content ~= nil) then
    errors.raise("input", ("%s takes a table to add keys to, got %s"):format(self:get_name(),
      errors.shape(input)))
  end
end

-- The input, or a chunk of it, without the keys that are computed anew; nil if none is left.
local function kept(self, value)
  local out
  for key, field in pairs(value) do
    if self.mapper.steps[key] == nil then
      out = out or {}
      out[key] = field
    end
  end
  return out
end

function methods:_invoke(input, ctx)
  self:_check_input(input)
  local added = run.invoke(self.mapper, input, ctx)
  local out = kept(self, input) or {}
  for key, value in pairs(added) do out[key] = value end
  return out
end

local function input_reader(self, reader)
  local additions = chunk.additions(reader)
  return function()
    while true do
      local value = additions()
      if value == nil then return nil end
      self:_check_input(value)
      local out = kept(self, value)
      if out then return out end
    end
  end
end

-- The chunks of the new keys.
function methods:_added(source, ctx)
  return run.transform(self.mapper, source, ctx)
end

-- The input's keys go by as they come; the mapper starts at once.
function methods:_transform(source, ctx)
  local tee = merge.tee(source)
  local added = self:_added(tee:reader(), ctx)
  local new_keys = { pull = added }
  local take, merger = merge.streams({
    { pull = input_reader(self, tee:reader()) },
    new_keys,
  }, ctx, tee)
  return function()
    while true do
      local ok, value, branch = pcall(take)
      if not ok then -- cancelled, perhaps as its time is over: its mapper knows what ran
        merger:stop("the assign was ended")
        local own = new_keys.err
        error(own and own.kind == errors.wrap(value).kind and own or value, 0)
      end
      if value ~= nil then return value end
      if not branch then return nil end
      if branch.err then
        merger:stop("a branch of assign failed")
        error(branch.err, 0)
      end
    end
  end
end

function methods:_stream(input, ctx)
  local given = false
  return self:_transform(function()
    if given then return nil end
    given = true
    return input
  end, ctx)
end

function methods:_begins_with_user_code()
  return self.mapper:_begins_with_user_code()
end

function methods:_output_keys(keys)
  return keys and members.union { keys, self.mapper:_output_keys() }
end

function methods:_check_keys(keys)
  return self.mapper:_check_keys(keys)
end

function methods:_takes_kwargs()
  return self.mapper:_takes_kwargs()
end

-- The input's own keys go by.
function methods:_parts()
  local parts = self.mapper:_parts()
  table.insert(parts.items, 1, { label = "..." })
  return parts
end

function methods:get_name()
  return (self.mapper:get_name():gsub("^RunnableParallel", "RunnableAssign"))
end

function methods:_label()
  return "assign" .. self.mapper:_label()
end

return { RunnableAssign = RunnableAssign, kept = kept }
