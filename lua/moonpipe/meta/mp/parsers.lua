--- Parsers: what an answer becomes; and answers that fit a schema.
---@meta

---@class moonpipe
---@field SchemaOutputParser mp.SchemaOutputParserClass
---@field OutputFixingParser mp.OutputFixingParserClass
---@field RetryOutputParser mp.RetryOutputParserClass
---@field schema mp.schema  makes and checks JSON schemas
local mp = {}

---@class mp.BaseOutputParser: mp.Runnable
---@operator call(any): any
---@operator bor(any): mp.RunnableSequence
local BaseOutputParser = {}

---What to write into a prompt so that the answer can be parsed.
---@return string
function BaseOutputParser:get_format_instructions() end

---@class mp.StrOutputParser: mp.BaseOutputParser
---@operator call(any): string
---@operator bor(any): mp.RunnableSequence
local StrOutputParser = {}

---The text of an answer.
---@return mp.StrOutputParser
function mp.StrOutputParser() end

---@class mp.JsonOutputParser: mp.BaseOutputParser
---@operator call(any): any
---@operator bor(any): mp.RunnableSequence
local JsonOutputParser = {}

---@class mp.JsonParserOptions
---@field diff boolean?  chunks are operations of JSON Patch

---A value in JSON, also in a block of code; a stream gives what is known so far.
---@param opts mp.JsonParserOptions?
---@return mp.JsonOutputParser
function mp.JsonOutputParser(opts) end

---@class mp.XMLOutputParser: mp.BaseOutputParser
---@operator call(any): table
---@operator bor(any): mp.RunnableSequence
local XMLOutputParser = {}

---@return mp.XMLOutputParser
function mp.XMLOutputParser() end

---@class mp.CommaSeparatedListOutputParser: mp.BaseOutputParser
---@operator call(any): string[]
---@operator bor(any): mp.RunnableSequence
local CommaSeparatedListOutputParser = {}

---@return mp.CommaSeparatedListOutputParser
function mp.CommaSeparatedListOutputParser() end

---@class mp.NumberedListOutputParser: mp.BaseOutputParser
---@operator call(any): string[]
---@operator bor(any): mp.RunnableSequence
local NumberedListOutputParser = {}

---@return mp.NumberedListOutputParser
function mp.NumberedListOutputParser() end

---@class mp.MarkdownListOutputParser: mp.BaseOutputParser
---@operator call(any): string[]
---@operator bor(any): mp.RunnableSequence
local MarkdownListOutputParser = {}

---@return mp.MarkdownListOutputParser
function mp.MarkdownListOutputParser() end

---@class mp.SchemaOutputParser: mp.JsonOutputParser
---@operator call(any): any
---@operator bor(any): mp.RunnableSequence
local SchemaOutputParser = {}

---@class mp.SchemaParserOptions
---@field schema table  a JSON schema

---JSON that fits a schema; `StructuredOutputParser` is the same.
---@class mp.SchemaOutputParserClass
---@overload fun(opts: mp.SchemaParserOptions): mp.SchemaOutputParser
local SchemaOutputParserClass = {}

---An object of texts.
---@param descriptions table<string, string>
---@return mp.SchemaOutputParser
function SchemaOutputParserClass.from_names_and_descriptions(descriptions) end

---@class mp.JsonOutputToolsParser: mp.BaseOutputParser
---@operator call(any): any
---@operator bor(any): mp.RunnableSequence
local JsonOutputToolsParser = {}

---@class mp.ToolsParserOptions
---@field first_tool_only boolean?  the first call alone
---@field return_id boolean?  calls have their `id`

---The calls of tools in an answer.
---@param opts mp.ToolsParserOptions?
---@return mp.JsonOutputToolsParser
function mp.JsonOutputToolsParser(opts) end

---@class mp.JsonOutputKeyToolsParser: mp.JsonOutputToolsParser
---@operator call(any): any
---@operator bor(any): mp.RunnableSequence
local JsonOutputKeyToolsParser = {}

---@class mp.KeyToolsParserOptions: mp.ToolsParserOptions
---@field key_name string

---The arguments of the calls of one tool.
---@param opts mp.KeyToolsParserOptions
---@return mp.JsonOutputKeyToolsParser
function mp.JsonOutputKeyToolsParser(opts) end

---@class mp.ToolsOutputParser: mp.JsonOutputToolsParser
---@operator call(any): any
---@operator bor(any): mp.RunnableSequence
local ToolsOutputParser = {}

---@class mp.ValidToolsParserOptions: mp.ToolsParserOptions
---@field tools any[]

---The calls in an answer, held against the schemas of the tools.
---@param opts mp.ValidToolsParserOptions
---@return mp.ToolsOutputParser
function mp.ToolsOutputParser(opts) end

---@class mp.RepairOptions
---@field parser any
---@field model any
---@field max_retries integer?  1
---@field prompt any?

---@class mp.OutputFixingParser: mp.BaseOutputParser
---@operator call(any): any
---@operator bor(any): mp.RunnableSequence
local OutputFixingParser = {}

---What the parser gives; an answer that it cannot read is mended by the model.
---@class mp.OutputFixingParserClass
---@overload fun(opts: mp.RepairOptions): mp.OutputFixingParser
local OutputFixingParserClass = {}

---The same, with LangChain's names: `llm`, `parser`, `prompt`, `max_retries`.
---@param opts table
---@return mp.OutputFixingParser
function OutputFixingParserClass.from_llm(opts) end

---@class mp.RetryOutputParser: mp.Runnable
---@operator call(any): any
---@operator bor(any): mp.RunnableSequence
local RetryOutputParser = {}

---@return string?
function RetryOutputParser:get_format_instructions() end

---Behind a prompt: the model's answer, parsed; one that cannot be is sent back with what is wrong.
---`RetryWithErrorOutputParser` is the same.
---@class mp.RetryOutputParserClass
---@overload fun(opts: mp.RepairOptions): mp.RetryOutputParser
local RetryOutputParserClass = {}

---The same, with LangChain's names: `llm`, `parser`, `prompt`, `max_retries`.
---@param opts table
---@return mp.RetryOutputParser
function RetryOutputParserClass.from_llm(opts) end

---@class mp.StructuredOptions
---@field method "json_schema"|"function_calling"|"json_mode"|nil
---@field include_raw boolean?  gives { raw, parsed, parsing_error } and does not raise for them
---@field strict boolean?  the provider guarantees the form, where it can
---@field max_retries integer?  how often to ask again; 1
---@field name string?  of the form; the schema's title, or "answer"

-- ---- schemas -----------------------------------------------------------------------------------

---@class mp.schema
local schema = {}

---Whether a value is as a schema asks; where not, what is wrong, and where.
---@param value any
---@param wanted table|boolean
---@param opts { json: boolean? }?
---@return boolean ok
---@return { path: string, message: string }[]? problems
function schema.validate(value, wanted, opts) end

---Problems in one line.
---@param problems table[]
---@return string
function schema.text(problems) end

---What of a schema is not checked, and why.
---@param wanted table|boolean
---@return { path: string, why: string }[]
function schema.unchecked(wanted) end

---All properties are required but the optional ones.
---@param properties table<string, table|string>
---@param opts table|string|nil  keywords, or a description; so of all below
---@return table
function schema.object(properties, opts) end

---@param items table|string
---@param opts table|string|nil
---@return table
function schema.array(items, opts) end

---@param opts table|string|nil
---@return table
function schema.string(opts) end

---@param opts table|string|nil
---@return table
function schema.number(opts) end

---@param opts table|string|nil
---@return table
function schema.integer(opts) end

---@param opts table|string|nil
---@return table
function schema.boolean(opts) end

---@param opts table|string|nil
---@return table
function schema.null(opts) end

---@param opts table|string|nil
---@return table
function schema.any(opts) end

---@param list (table|string)[]
---@param opts table|string|nil
---@return table
function schema.any_of(list, opts) end

---@param values any[]
---@param opts table|string|nil
---@return table
function schema.enum(values, opts) end

---@param value any
---@param opts table|string|nil
---@return table
function schema.const(value, opts) end

---A property of an object that may be left out.
---@param value table|string
---@return table
function schema.optional(value) end

---So, or null.
---@param value table|string
---@return table
function schema.nullable(value) end

---The schema that `$defs` of the whole has under [name]; without a name the whole.
---@param name string?
---@return table
function schema.ref(name) end

---A schema that can be sent; raises where it is none.
---@param wanted table
---@return table
function schema.sendable(wanted) end

---The form that OpenAI's strict mode asks for.
---@param wanted table
---@return table
function schema.strict(wanted) end

---The form for providers that know few words: every object closed, bounds in descriptions.
---@param wanted table
---@return table
function schema.closed(wanted) end
