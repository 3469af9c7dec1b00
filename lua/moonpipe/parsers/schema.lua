--- The output parser for JSON that a schema describes.
local answer = require "moonpipe.answer"
local errors = require "moonpipe.error"
local json = require "moonpipe.json"
local parser_json = require "moonpipe.parsers.json"
local runnable = require "moonpipe.steps.runnable"
local schema = require "moonpipe.schema.schema"
local strict = require "moonpipe.schema.strict"

---@class moonpipe.SchemaOutputParser: moonpipe.JsonOutputParser
---@field schema table
local SchemaOutputParser, methods = runnable.class("SchemaOutputParser", {
  base = parser_json.JsonOutputParser,
})

local INSTRUCTIONS = "Answer with one JSON value that fits this JSON Schema, and with nothing"
  .. " else:\n```json\n%s\n```"

--- `SchemaOutputParser{ schema = … }`: JSON that fits, else an error of kind `schema` that says
--- what is wrong and where (`problems`), with the text in `partial`. A stream gives what is known
--- so far, as JsonOutputParser does, and is judged at its end. An optional property that is null is
--- left out.
---@param opts { schema: table }
---@return moonpipe.SchemaOutputParser
function SchemaOutputParser.new(opts)
  opts = errors.options(opts, { "schema" }, "SchemaOutputParser")
  if type(opts.schema) ~= "table" then
    errors.usage("SchemaOutputParser needs schema, a JSON Schema, got "
      .. errors.shape(opts.schema))
  end
  schema.sendable(opts.schema)
  return runnable.instance(SchemaOutputParser, { schema = opts.schema, sync = true })
end

--- `SchemaOutputParser.from_names_and_descriptions{ name = "what it is" }`: an object of texts.
---@param descriptions table<string, string>
---@return moonpipe.SchemaOutputParser
function SchemaOutputParser.from_names_and_descriptions(descriptions)
  local properties = {}
  for name, description in pairs(descriptions) do properties[name] = schema.string(description) end
  return SchemaOutputParser { schema = schema.object(properties) }
end

local parser_schema = { SchemaOutputParser = SchemaOutputParser }

--- [value], or the error of kind `schema` that it is. What is optional and null counts as left
--- out: so models say it, and in strict mode they must.
---@param value any      read from JSON
---@param wanted table
---@param text string    what it was read from
---@param what string    for messages: "the answer"
---@return any
function parser_schema.judge(value, wanted, text, what)
  value = strict.without_nulls(value, wanted)
  local ok, problems = schema.validate(value, wanted, { json = true })
  if ok then return value end
  errors.raise("schema", ("%s does not fit the schema: %s"):format(what, schema.text(problems)),
    { partial = text, problems = problems })
end

function methods:_judge(text)
  return parser_schema.judge(answer.decode(text), self.schema, text, "the answer")
end

function methods:_output_schema()
  return self.schema
end

function methods:_output_keys()
  local properties = self.schema.properties
  if not properties or self.schema.additionalProperties ~= false then return nil end
  local names = {}
  for name in pairs(properties) do names[#names + 1] = name end
  table.sort(names)
  return names
end

--- What to write into a prompt so that the answer can be parsed.
---@return string
function methods:get_format_instructions()
  return INSTRUCTIONS:format(json.encode(self.schema))
end

return parser_schema
