--- Answers with a given form: model:with_structured_output(schema).
--
-- It is a binding of the model that tells the provider of the form, a parser that
-- takes the answer and holds it against the schema, and RetryOutputParser around the
-- two: an answer that does not fit goes back to the model with what is wrong.
local errors = require "moonpipe.error"
local json = require "moonpipe.json"
local judged = require "moonpipe.parsers.structured"
local repair = require "moonpipe.parsers.repair"
local retrying = require "moonpipe.parsers.retry"
local runnable = require "moonpipe.steps.runnable"
local schemas = require "moonpipe.schema.schema"

---@class moonpipe.StructuredOutput: moonpipe.RetryOutputParser
---@field include_raw boolean?
local StructuredOutput, methods = runnable.class("StructuredOutput", {
  base = retrying.RetryOutputParser,
})

local structured = { StructuredOutput = StructuredOutput }

-- ---- options -----------------------------------------------------------------------------

---@class moonpipe.StructuredOptions
---@field method "json_schema"|"function_calling"|"json_mode"|nil
---@field include_raw boolean?  gives { raw, parsed, parsing_error } and does not raise for them
---@field strict boolean?       the provider guarantees the form, where it can
---@field max_retries integer?  how often to ask again; 1
---@field name string?          of the form; the schema's title, or "answer"

local OPTIONS = { "include_raw", "max_retries", "method", "name", "strict" }
local METHODS = { "function_calling", "json_mode", "json_schema" }

local function check_boolean(opts, name)
  if opts[name] ~= nil and type(opts[name]) ~= "boolean" then
    errors.usage(("%s of with_structured_output must be true or false, got %s"):format(name,
      errors.shape(opts[name])))
  end
end

-- The way that suits the model best: what is around it has the same.
local function default_method(model)
  while model do
    if model.structured_method then return model.structured_method end
    model = model.bound
  end
  return "json_schema"
end

local function method_of(opts, model)
  local method = opts.method or default_method(model)
  for _, known in ipairs(METHODS) do
    if method == known then return method end
  end
  errors.usage(("method of with_structured_output must be one of %s, got %s%s"):format(
    table.concat(METHODS, ", "),
    type(method) == "string" and ("%q"):format(method) or errors.shape(method),
    errors.hint(method, METHODS)))
end

local function name_of(opts, schema)
  local name = opts.name
  if name == nil then
    local title = type(schema.title) == "string" and schema.title:gsub("[^%w_-]+", "_"):sub(1, 64)
    return title and title ~= "" and title or "answer"
  elseif type(name) ~= "string" or not name:find("^[%w_-]+$") or #name > 64 then
    errors.usage("name of with_structured_output takes letters, digits, _ and -, 64 at most, got "
      .. (type(name) == "string" and ("%q"):format(name) or errors.shape(name)))
  end
  return name
end

local function check_schema(schema, method)
  if type(schema) ~= "table" or getmetatable(schema) ~= nil then
    errors.usage("with_structured_output takes a JSON Schema, got " .. errors.shape(schema))
  end
  schemas.sendable(schema)
  if method == "function_calling" and schema.type ~= "object" then
    errors.usage("a tool is called with an object: the schema's type must be object")
  end
end

-- ---- what the provider is told -----------------------------------------------------------

local BIND = {}

function BIND.json_schema(model, name, schema, strict)
  if strict then schema = schemas.strict(schema) end
  return model:bind {
    response_format = {
      type = "json_schema", json_schema = { name = name, schema = schema, strict = strict },
    },
  }
end

function BIND.json_mode(model, _, _, strict)
  if strict ~= nil then errors.usage("strict has no meaning with method = \"json_mode\"") end
  return model:bind { response_format = { type = "json_object" } }
end

function BIND.function_calling(model, name, schema, strict)
  local tool = {
    name = name, description = schema.description or "Gives the answer.", schema = schema,
  }
  return model:bind_tools({ tool }, {
    tool_choice = name, parallel_tool_calls = false, strict = strict,
  })
end

---@param model moonpipe.Runnable  a chat model, or what takes its arguments
---@param schema table
---@param opts moonpipe.StructuredOptions?
---@return moonpipe.StructuredOutput
function structured.make(model, schema, opts)
  opts = errors.options(opts, OPTIONS, "with_structured_output")
  check_boolean(opts, "include_raw")
  check_boolean(opts, "strict")
  local method = method_of(opts, model)
  check_schema(schema, method)
  local name = name_of(opts, schema)
  return runnable.instance(StructuredOutput, {
    model = BIND[method](model, name, schema, opts.strict),
    parser = judged.make { method = method, schema = schema, name = name },
    max_retries = repair.count(opts.max_retries, "with_structured_output"),
    include_raw = opts.include_raw,
    sync = model.sync,
  })
end

-- ---- answers with what they were made of -------------------------------------------------

local function sum(a, b)
  if type(a) == "number" and type(b) == "number" then return a + b end
  if type(a) ~= "table" or type(b) ~= "table" then return a == nil and b or a end
  local out = {}
  for key, value in pairs(a) do out[key] = sum(value, b[key]) end
  for key, value in pairs(b) do
    if out[key] == nil then out[key] = value end
  end
  return out
end

-- The last answer, with the usage of all.
local function whole_raw(raws)
  local last, usage = raws[#raws], nil
  for _, raw in ipairs(raws) do usage = sum(usage, raw.usage_metadata) end
  if #raws == 1 or not usage then return last end
  local out = {}
  for key, value in next, last do out[key] = value end
  out.usage_metadata = usage
  return setmetatable(out, getmetatable(last))
end

function methods:_invoke(input, ctx)
  local ok, value, raws = self:_ask(input, ctx)
  if self.include_raw then
    return { raw = whole_raw(raws), parsed = ok and value or nil,
      parsing_error = not ok and value or nil }
  end
  if not ok then error(value, 0) end
  return value
end

-- With the raw chunks nothing can be taken back, so it is asked once. The reader gets what the
-- model says, then what could be made of it.
local function stream_raw(self, input, ctx)
  local out, opened, ended = {}, nil, false
  local function pull()
    opened = opened or self:_open(input, ctx, function(piece) out[#out + 1] = { raw = piece } end)
    local ok, value = pcall(opened.pull)
    if not ok and value == opened.failure then error(value, 0) end
    if not ok then
      opened.close()
      out[#out + 1] = { parsing_error = repair.failure(self.parser, value, opened.whole()) }
    elseif value ~= nil then
      out[#out + 1] = { parsed = value }
    end
    ended = not ok or value == nil
  end
  return function()
    while not out[1] and not ended do pull() end
    return table.remove(out, 1)
  end
end

function methods:_stream(input, ctx)
  if self.include_raw then return stream_raw(self, input, ctx) end
  return retrying.RetryOutputParser.methods._stream(self, input, ctx)
end

function methods:_output_schema()
  if not self.include_raw then return self.parser.schema end
  return { type = "object", properties = { raw = {}, parsed = self.parser.schema,
    parsing_error = {} }, required = json.array { "raw" } }
end

function methods:_output_keys()
  if self.include_raw then return { "parsed", "parsing_error", "raw" } end
  return self.parser:_output_keys()
end

function methods:_label()
  return self.name or self.model:_label() .. ":with_structured_output()"
end

return structured
