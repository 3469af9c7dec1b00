--- A step as a tool: with the name, the description and the JSON schema by which a
--- model may call it.
local errors = require "moonpipe.error"
local json = require "moonpipe.json"
local run = require "moonpipe.run"
local runnable = require "moonpipe.runnable"
local schemas = require "moonpipe.schemas"
local types = require "moonpipe.types"
local wrapping = require "moonpipe.wrapping"

---@class moonpipe.RunnableTool: moonpipe.Runnable
---@field bound moonpipe.Runnable
---@field name string
---@field description string
---@field args_schema table  JSON schema of an object
---@field args table         its properties
---@field single string?     the one argument whose value is the whole input of the step
local RunnableTool, methods = runnable.class("RunnableTool")
wrapping.delegate(methods)
methods.run_kind = "tool"

---@class moonpipe.ToolOptions
---@field name string?         that of the step where it has one
---@field description string
---@field args_schema table?   JSON schema of an object
---@field arg_types table<string, string>|string|nil

local as_tool = {}

local OPTIONS = { "arg_types", "args_schema", "description", "name" }
local SINGLE = "input"

local function typed(arg_types)
  local properties, required = {}, {}
  for name, kind in pairs(arg_types) do
    if type(name) ~= "string" or type(kind) ~= "string" then
      errors.usage("arg_types of as_tool takes { argument = \"JSON type\" }")
    end
    properties[name] = { type = kind }
    required[#required + 1] = name
  end
  table.sort(required)
  return { type = "object", properties = properties, required = json.array(required) }
end

-- A step that takes one value has an argument of that type.
local function single_of(schema)
  return {
    type = "object",
    properties = { [SINGLE] = schema },
    required = json.array { SINGLE },
  }, SINGLE
end

-- The schema of an object, and the one argument that is the input itself.
local function schema_of(step, opts)
  local schema = opts.args_schema
  local given = opts.arg_types
  if schema ~= nil and type(schema) ~= "table" then
    errors.usage("args_schema of as_tool takes a JSON schema, got " .. errors.shape(schema))
  end
  if type(given) == "string" then schema = { type = given } end
  if type(given) == "table" then schema = typed(given) end
  schema = schema or schemas.input(step)
  if schema.type == "object" and schema.properties then return schema end
  if schema.type ~= nil and schema.type ~= "object" then return single_of(schema) end
  return errors.usage(("what %s takes is not known: give as_tool arg_types = { argument ="
    .. " \"string\" }, or \"string\" where it takes a text"):format(step:_label()))
end

local function check_name(name)
  if type(name) ~= "string" or not name:find("^[%w_-]+$") or #name > 64 then
    errors.usage("as_tool takes a name of letters, digits, _ and -, by which models call it, got "
      .. (type(name) == "string" and ("%q"):format(name) or errors.shape(name)))
  end
  return name
end

---@param step moonpipe.Runnable
---@param opts moonpipe.ToolOptions
---@return moonpipe.RunnableTool
function as_tool.make(step, opts)
  opts = errors.options(opts, OPTIONS, "as_tool")
  local schema, single = schema_of(step, opts)
  if type(opts.description) ~= "string" then
    errors.usage("as_tool takes a description, by which models choose it, got "
      .. errors.shape(opts.description))
  end
  return runnable.instance(RunnableTool, {
    bound = step,
    name = check_name(opts.name or step.name),
    description = opts.description,
    args_schema = schema,
    args = schema.properties,
    single = single,
    sync = step.sync,
  })
end

-- ---- running -----------------------------------------------------------------

local function refuse(self, problem)
  local names = {}
  for name in pairs(self.args) do names[#names + 1] = name end
  table.sort(names)
  errors.raise("input", ("tool %s: %s; it takes {%s}"):format(self.name, problem,
    table.concat(names, ", ")))
end

local function check(self, name, value)
  local problem = types.mismatch(self.args[name], value, name)
  if problem then refuse(self, "argument " .. problem) end
end

-- What the step is given: what is of the types that the schema names.
local function input_of(self, args)
  if self.single and (type(args) ~= "table" or getmetatable(args) ~= nil) then
    check(self, self.single, args)
    return args
  end
  if type(args) ~= "table" or getmetatable(args) ~= nil then
    refuse(self, "its arguments are a table, got " .. errors.shape(args))
  end
  for name, value in pairs(args) do
    if self.args[name] ~= nil then
      check(self, name, value)
    elseif not self.args_schema.additionalProperties then
      refuse(self, ("there is no argument '%s'"):format(errors.text(name)))
    end
  end
  for _, name in ipairs(self.args_schema.required or {}) do
    if args[name] == nil then refuse(self, ("argument '%s' is missing"):format(name)) end
  end
  if self.single then return args[self.single] end
  return args
end

function methods:_invoke(args, ctx)
  return run.invoke(self.bound, input_of(self, args), ctx)
end

function methods:_stream(args, ctx)
  local inner
  return function()
    inner = inner or run.stream(self.bound, input_of(self, args), ctx)
    return inner()
  end
end

-- Its arguments are its own affair: the step may take another thing than a table.
function methods:_check_keys(keys)
  local has = {}
  for _, key in ipairs(keys) do has[key] = true end
  for _, name in ipairs(self.args_schema.required or {}) do
    if not has[name] then
      return ("tool %s: argument '%s' is missing: the step before gives {%s}"):format(self.name,
        name, table.concat(keys, ", "))
    end
  end
end

function methods:_input_schema()
  return self.args_schema
end

function methods:_output_schema()
  return schemas.output(self.bound)
end

return as_tool
