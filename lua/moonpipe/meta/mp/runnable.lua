--- Steps: what all of them can, and what a call gives.
---@meta

---What may be said of a call; all that it does inherits it.
---@class mp.Config
---@field callbacks table[]?  tracers and others with `on_start`, `on_end`, …
---@field configurable table<string, any>?  what configurable fields and histories choose by
---@field max_concurrency integer?  network calls at once, in all that the call does
---@field metadata table?
---@field on_error "cancel"|"wait"|"collect"|nil  what a failing branch does to the others; "cancel"
---@field on_progress (fun(done: integer, total: integer?))?  of batches
---@field recursion_limit integer?  how often functions may return steps; 25
---@field return_exceptions boolean?  a failed item of a batch leaves its error in the slot
---@field run_id string?
---@field run_name string?
---@field tags string[]?
---@field timeout number?  seconds for all of it

---@class mp.StartOptions: mp.Config
---@field on_token (fun(chunk: any))?
---@field on_done (fun(value: any))?
---@field on_error ((fun(err: mp.Error))|"cancel"|"wait"|"collect")?

---@class mp.EventOptions: mp.Config
---@field include_names string[]?
---@field include_types string[]?
---@field include_tags string[]?
---@field exclude_names string[]?
---@field exclude_types string[]?
---@field exclude_tags string[]?

---The config of a call while it runs.
---@class mp.Context
---@field tags string[]
---@field metadata table
---@field configurable table
---@field callbacks table[]
---@field max_concurrency integer?
---@field kwargs table?  what `bind` gives to functions

---@class mp.Record
---@field index integer
---@field ok boolean
---@field value any
---@field error mp.Error?

---@class mp.Event
---@field event string       "on_chain_start", "on_chat_model_stream", …
---@field name string
---@field run_id string
---@field parent_ids string[]
---@field tags string[]
---@field metadata table
---@field data { input: any, output: any, chunk: any, error: mp.Error? }

---Chunks as they come: `for chunk in chain:stream(x) do … end`.
---@class mp.Stream
---@operator call(): any
local Stream = {}

---The next chunk, or nil at the end.
---@async
---@return any
function Stream:next() end

---Ends the stream: what is in flight is cancelled.
function Stream:close() end

---Calls fn(chunk) for each chunk; however it is left, the stream is closed.
---@async
---@param fn fun(chunk: any)
function Stream:each(fn) end

---The rest of the stream, merged.
---@async
---@return any
function Stream:collect() end

---A call that was started.
---@class mp.Task
local Task = {}

---@return "pending"|"running"|"done"|"failed"|"cancelled"
function Task:status() end

---Runs what is ready, without blocking, and says whether the task has ended.
---@return boolean
function Task:poll() end

---Asks the task and all below it to end.
---@param reason string?
function Task:cancel(reason) end

---Waits until the task ends: its value, or nil and the error; after [seconds] nil and an error of
---kind `timeout_total`, and the task goes on.
---@async
---@param seconds number?
---@return any value
---@return mp.Error? err
function Task:wait(seconds) end

---A chain, drawn.
---@class mp.Graph
---@field nodes { id: string, name: string, kind: string, frame: string? }[]
---@field edges { source: string, target: string, label: string?, conditional: boolean? }[]
local Graph = {}

---@return string
function Graph:draw_ascii() end

---@return string
function Graph:draw_mermaid() end

---For Graphviz's `dot`.
---@return string
function Graph:draw_dot() end

---@return string
function Graph:to_json() end

---A step: `a | b` joins two, `step(input)` invokes it.
---@class mp.Runnable
---@operator call(any): any
---@operator bor(any): mp.RunnableSequence
local Runnable = {}

---Runs the step on [input]. Raises mp.Error.
---@async
---@param input any
---@param config mp.Config?
---@return any
function Runnable:invoke(input, config) end

---Like invoke, but gives nil and the error instead of raising.
---@async
---@param input any
---@param config mp.Config?
---@return any value
---@return mp.Error? err
function Runnable:try_invoke(input, config) end

---Starts the step and gives its task at once.
---@param input any
---@param options mp.StartOptions?
---@return mp.Task
function Runnable:start(input, options) end

---The chunks of the answer as they come: `for chunk in chain:stream(x)`.
---@param input any
---@param config mp.Config?
---@return mp.Stream
function Runnable:stream(input, config) end

---The chunks of the answer to a stream of input chunks.
---@param source fun(): any  gives the next chunk or nil
---@param config mp.Config?
---@return mp.Stream
function Runnable:transform(source, config) end

---What happens in the call, as events (mp.Event): `for event in chain:stream_events(x)`.
---@param input any
---@param options mp.EventOptions?
---@return mp.Stream
function Runnable:stream_events(input, options) end

---Runs the step on each input, all at once; gives the values by index, and `n`.
---@async
---@param inputs any[]
---@param config mp.Config?
---@return any[]
function Runnable:batch(inputs, config) end

---`for i, record in chain:batch_as_completed(inputs)`, in the order in which they end.
---@param inputs any[]
---@param config mp.Config?
---@return fun(): integer?, mp.Record?
function Runnable:batch_as_completed(inputs, config) end

---`self | a | b` in plain Lua.
---@param ... any
---@return mp.RunnableSequence
function Runnable:pipe(...) end

---Picks a key, or a table of keys, of the answer.
---@param keys string|string[]
---@return mp.RunnableSequence
function Runnable:pick(keys) end

---Adds keys to the answer, computed from it in parallel.
---@param map table<string, any>  of steps
---@param opts mp.AssignOptions?
---@return mp.RunnableSequence
function Runnable:assign(map, opts) end

---The step on each item of a list, all at once.
---@param opts mp.EachOptions?
---@return mp.RunnableEach
function Runnable:map(opts) end

---Gives arguments to every call: options of a model, `config.kwargs` of a function.
---@param kwargs table
---@return mp.RunnableBinding
function Runnable:bind(kwargs) end

---A step with a config of its own, merged into that of each call.
---@param config mp.Config
---@return mp.RunnableBinding
function Runnable:with_config(config) end

---The same step, of which is said what it takes and gives: lists of keys, names of JSON types, or
---JSON schemas.
---@param given { input_type: string|table|nil, output_type: string|table|nil }
---@return mp.RunnableBinding
function Runnable:with_types(given) end

---A step whose runs are listened to.
---@param on_start function|{ on_start: function?, on_end: function?, on_error: function? }|nil
---@param on_end function?
---@param on_error function?
---@return mp.Runnable
function Runnable:with_listeners(on_start, on_end, on_error) end

---A step of which calls may choose options, by `config.configurable[id]`.
---@param fields table<string, mp.ConfigurableFieldOptions>
---@return mp.Runnable
function Runnable:configurable_fields(fields) end

---A step in whose place calls may choose another, by `config.configurable[id]`.
---@param spec mp.ConfigurableFieldOptions
---@param alternatives table<string, any>
---@param opts { default_key: string?, prefix_keys: boolean? }?
---@return mp.Runnable
function Runnable:configurable_alternatives(spec, alternatives, opts) end

---The step as a tool that a model may call.
---@param opts mp.AsToolOptions
---@return mp.RunnableTool
function Runnable:as_tool(opts) end

---The step, whose models may call [tools]: of `mp.tool`, of `as_tool`, or tables.
---@param tools any[]
---@param opts mp.BindToolsOptions?
---@return mp.Runnable
function Runnable:bind_tools(tools, opts) end

---The model, whose answers are values that fit a JSON Schema.
---@param schema table
---@param opts mp.StructuredOptions?
---@return mp.Runnable
function Runnable:with_structured_output(schema, opts) end

---The step, run again where it fails.
---@param opts mp.RetryOptions?
---@return mp.RunnableRetry
function Runnable:with_retry(opts) end

---The step, or where it fails the first of [others] that does not.
---@param others any[]
---@param opts mp.FallbacksOptions?
---@return mp.RunnableWithFallbacks
function Runnable:with_fallbacks(others, opts) end

---The step, run a second time where it takes longer than `after` seconds.
---@param opts mp.HedgeOptions
---@return mp.RunnableHedge
function Runnable:with_hedge(opts) end

---The step, which must answer in time: within so many seconds, or as the limits say.
---@param limits number|mp.TimeoutOptions
---@return mp.RunnableTimeout
function Runnable:with_timeout(limits) end

---The chain, drawn: `chain:get_graph():draw_ascii()`.
---@return mp.Graph
function Runnable:get_graph() end

---The prompts in the chain.
---@return mp.BasePromptTemplate[]
function Runnable:get_prompts() end

---Says step by step what streams, where streaming stops, and why.
---@return string
function Runnable:explain_stream() end

---What it takes, as a JSON Schema, as far as it can be known.
---@return table
function Runnable:input_schema() end

---What it gives, as a JSON Schema, as far as it can be known.
---@return table
function Runnable:output_schema() end

---What a call may choose in its config, as a JSON Schema.
---@return table
function Runnable:config_schema() end

---The name in errors and traces.
---@return string
function Runnable:get_name() end
