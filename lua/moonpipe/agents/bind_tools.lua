--- Tools as a model is told of them: whatever is written for one, in OpenAI's form.
local errors = require "moonpipe.error"
local runnable = require "moonpipe.steps.runnable"
local tools = require "moonpipe.agents.tools"

local bind_tools = {}

---@class moonpipe.BindToolsOptions
---@field tool_choice string|boolean|table|nil
---@field strict boolean?
---@field parallel_tool_calls boolean?

---@class moonpipe.ToolSet
---@field wire table[]      in OpenAI's form
---@field names string[]    of those that have one, sorted
---@field steps table<string, moonpipe.Runnable>  what runs a tool, by its name

-- ---- one tool ----------------------------------------------------------------

-- The tool in a step: itself, or what a retry, a timeout, … is around.
local function tool_in(step)
  while runnable.is(step) do
    if getmetatable(step) == tools.RunnableTool.mt then return step end
    step = step.bound
  end
end

local function refuse(i, value, what)
  local advice = "a tool is what mp.tool{…} or step:as_tool{…} makes, or a table { name,"
    .. " description, schema }"
  errors.usage(("tool %d of %s is %s; %s"):format(i, what, errors.shape(value), advice))
end

local PLAIN = { "description", "name", "parameters", "schema" }

local function check_plain(i, given, what)
  if type(given.name) ~= "string" then refuse(i, given, what) end
  local parameters = given.schema or given.parameters
  if parameters ~= nil and type(parameters) ~= "table" then
    errors.usage(("the schema of tool '%s' must be a table, got %s"):format(given.name,
      errors.shape(parameters)))
  end
  return parameters
end

local function wire(name, description, parameters, strict)
  parameters = parameters or { type = "object", properties = {} }
  if strict then parameters = require("moonpipe.schema.schema").strict(parameters) end
  return {
    type = "function",
    ["function"] = {
      name = name, description = description, parameters = parameters, strict = strict,
    },
  }
end

-- OpenAI's own form; a table of another type is a tool of the provider's.
local function from_wire(i, given, opts, what)
  if given.type ~= "function" then return given end
  local fn = given["function"]
  if type(fn) ~= "table" or type(fn.name) ~= "string" then refuse(i, given, what) end
  if opts.strict == nil or fn.strict ~= nil then return given, fn.name end
  return wire(fn.name, fn.description, fn.parameters, opts.strict), fn.name
end

-- Its wire form, its name, and what runs it.
local function normalise(i, given, opts, what)
  local tool = tool_in(given)
  if tool then
    return wire(tool.name, tool.description, tool.args_schema, opts.strict), tool.name, given
  end
  if type(given) ~= "table" or getmetatable(given) ~= nil then refuse(i, given, what) end
  if type(given.type) == "string" then return from_wire(i, given, opts, what) end
  local parameters = check_plain(i, given, what)
  errors.options(given, PLAIN, ("tool '%s'"):format(given.name))
  return wire(given.name, given.description, parameters, opts.strict), given.name
end

-- ---- a list of them ----------------------------------------------------------

---The tools of a list.
---@param list any[]
---@param opts { strict: boolean? }
---@param what string  whose, for messages
---@return moonpipe.ToolSet
function bind_tools.set(list, opts, what)
  if type(list) ~= "table" or getmetatable(list) ~= nil or list[1] == nil and next(list) then
    errors.usage(("%s takes a list of tools, got %s"):format(what, errors.shape(list)))
  end
  local set, known = { wire = {}, names = {}, steps = {} }, {}
  for i = 1, #list do
    local form, name, step = normalise(i, list[i], opts, what)
    if name and known[name] then
      errors.usage(("%s was given two tools named '%s'"):format(what, name))
    elseif name then
      known[name], set.steps[name] = true, step
      set.names[#set.names + 1] = name
    end
    set.wire[i] = form
  end
  table.sort(set.names)
  return set
end

-- ---- choosing ----------------------------------------------------------------

local WORDS = { auto = "auto", none = "none", required = "required", any = "required",
  [true] = "required" }

local function check_choice(name, set)
  for _, known in ipairs(set.names) do
    if known == name then return end
  end
  errors.usage(("tool_choice names '%s', which is no tool of these: %s%s"):format(
    errors.text(name), table.concat(set.names, ", "), errors.hint(name, set.names)))
end

local function choice_of(given, set)
  if given == nil or WORDS[given] then return WORDS[given] end
  if type(given) == "string" then
    check_choice(given, set)
    return { type = "function", ["function"] = { name = given } }
  elseif type(given) ~= "table" then
    errors.usage("tool_choice takes \"auto\", \"none\", \"required\", true, the name of a tool or"
      .. " a table, got " .. errors.shape(given))
  end
  local fn = given["function"]
  if type(fn) == "table" then check_choice(fn.name, set) end
  return given
end

local OPTIONS = { "parallel_tool_calls", "strict", "tool_choice" }

local function check_boolean(opts, key)
  if opts[key] ~= nil and type(opts[key]) ~= "boolean" then
    errors.usage(("%s of bind_tools takes true or false, got %s"):format(key,
      errors.shape(opts[key])))
  end
end

---@param step moonpipe.Runnable
---@param list any[]
---@param opts moonpipe.BindToolsOptions?
---@return moonpipe.Runnable
function bind_tools.bind(step, list, opts)
  opts = errors.options(opts, OPTIONS, "bind_tools")
  check_boolean(opts, "strict")
  check_boolean(opts, "parallel_tool_calls")
  local set = bind_tools.set(list, opts, "bind_tools")
  if not set.wire[1] then errors.usage("bind_tools takes at least one tool") end
  return step:bind {
    tools = set.wire,
    tool_choice = choice_of(opts.tool_choice, set),
    parallel_tool_calls = opts.parallel_tool_calls,
  }
end

return bind_tools
