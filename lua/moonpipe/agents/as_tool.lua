--- A step as a tool: what its arguments are, where the step knows them or is told.
local errors = require "moonpipe.error"
local json = require "moonpipe.json"
local schemas = require "moonpipe.schemas"
local tools = require "moonpipe.agents.tools"

---@class moonpipe.ToolOptions
---@field name string?         that of the step where it has one
---@field description string
---@field args_schema table?   JSON schema of an object
---@field arg_types table<string, string>|string|nil
---@field confirm boolean|(fun(args: table, ctx: moonpipe.Context): boolean, string?)|nil

local as_tool = {}

local OPTIONS = { "arg_types", "args_schema", "confirm", "description", "name" }
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

---@param step moonpipe.Runnable
---@param opts moonpipe.ToolOptions
---@return moonpipe.RunnableTool
function as_tool.make(step, opts)
  opts = errors.options(opts, OPTIONS, "as_tool")
  local schema, single = schema_of(step, opts)
  return tools.make({
    bound = step,
    name = opts.name or step.name,
    description = opts.description,
    args_schema = schema,
    single = single,
    confirm = opts.confirm,
  }, "as_tool")
end

return as_tool
