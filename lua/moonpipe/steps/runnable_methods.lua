--- What a step can be made into: the methods of composition.
--
-- Each says what it makes and hands over to the module of that noun, which is
-- loaded when somebody asks for it. runnable.lua gives them to every step.
---@class moonpipe.Runnable
local methods = {}

---`self | a | b`, for those who write plain Lua.
---@return moonpipe.Runnable
function methods:pipe(...)
  return require("moonpipe.compose").pipe(self, ...)
end

---Picks a key, or a list of keys, of the answer.
---@param keys string|string[]
---@return moonpipe.Runnable
function methods:pick(keys)
  return self:pipe(require("moonpipe.steps.pick").RunnablePick(keys))
end

---Adds keys to the answer, which must be a table: computed from it, in parallel.
---With `after = { answer = "context" }` that key is computed after the other.
---@param map table
---@param opts { after: table<string, string|string[]>? }?
---@return moonpipe.Runnable
function methods:assign(map, opts)
  return self:pipe(require("moonpipe.steps.assign").RunnableAssign(map, opts))
end

---The step on each item of a list, all at once; gives a list. With
---`return_exceptions` a failed item leaves its mp.Error in the slot.
---@param opts { return_exceptions: boolean? }?
---@return moonpipe.RunnableEach
function methods:map(opts)
  return require("moonpipe.steps.each").RunnableEach(self, opts)
end

---Gives arguments to every call: options of a model, `config.kwargs` of a
---function. Raises where no step takes any.
---@param kwargs table
---@return moonpipe.Runnable
function methods:bind(kwargs)
  return require("moonpipe.steps.binding").bind(self, kwargs)
end

---A step with a config of its own, merged into that of each call.
---@param config table
---@return moonpipe.Runnable
function methods:with_config(config)
  return require("moonpipe.steps.binding").with_config(self, config)
end

---The same step, of which is said what it takes and gives: lists of keys, names of
---JSON types, or JSON schemas. Compositions are held against it.
---@param given { input_type: string|table|nil, output_type: string|table|nil }
---@return moonpipe.Runnable
function methods:with_types(given)
  return require("moonpipe.steps.binding").with_types(self, given)
end

---A step whose runs are listened to; each listener gets the run, and the config.
---@param on_start function|{ on_start: function?, on_end: function?, on_error: function? }|nil
---@param on_end function?
---@param on_error function?
---@return moonpipe.Runnable
function methods:with_listeners(on_start, on_end, on_error)
  return require("moonpipe.steps.listeners").with(self, on_start, on_end, on_error)
end

---A step of which calls may choose options, by `config.configurable[id]`:
---`model:configurable_fields{ temperature = mp.ConfigurableField{ id = "t" } }`.
---@param fields table<string, { id: string }>
---@return moonpipe.Runnable
function methods:configurable_fields(fields)
  return require("moonpipe.steps.configurable").fields(self, fields)
end

---A step in whose place calls may choose another, by `config.configurable[id]`. A
---function without parameters makes its step at the first use.
---@param spec { id: string }  such as mp.ConfigurableField
---@param alternatives table<string, any>
---@param opts { default_key: string?, prefix_keys: boolean? }?
---@return moonpipe.Runnable
function methods:configurable_alternatives(spec, alternatives, opts)
  return require("moonpipe.steps.configurable").alternatives(self, spec, alternatives, opts)
end

---The step as a tool that a model may call. What it takes is given by `arg_types`
---(`{ question = "string" }`, or `"string"` for a text) or a JSON schema, where the
---step does not know it.
---@param opts moonpipe.ToolOptions
---@return moonpipe.RunnableTool
function methods:as_tool(opts)
  return require("moonpipe.agents.as_tool").make(self, opts)
end

---The step, whose models may call [tools]: what `mp.tool` or `as_tool` made, tables `{ name,
---description, schema }`, OpenAI's form, or tools of the provider's own. [opts]: `tool_choice`
---("auto", "none", "required" or "any" or true, the name of a tool, a table), `strict` (arguments
---must be as the schema says, where the provider can promise that), `parallel_tool_calls`.
---@param tools any[]
---@param opts moonpipe.BindToolsOptions?
---@return moonpipe.Runnable
function methods:bind_tools(tools, opts)
  return require("moonpipe.agents.bind_tools").bind(self, tools, opts)
end

---The model, or what is around one, whose answers are values that fit a JSON Schema. One that does
---not fit goes back to the model, once or `max_retries` times; then it is an error of kind `schema`
---or `decode`, with the text in `partial`. A stream gives what is known so far, and is judged at
---its end.
---@param schema table
---@param opts moonpipe.StructuredOptions?
---@return moonpipe.StructuredOutput
function methods:with_structured_output(schema, opts)
  return require("moonpipe.structured").make(self, schema, opts)
end

---Says step by step what streams, where streaming stops, and why.
---@return string
function methods:explain_stream()
  return require("moonpipe.explain").stream(self)
end

---The chain as a graph: `draw_ascii`, `draw_mermaid`, `to_json`.
---@return moonpipe.Graph
function methods:get_graph()
  return require("moonpipe.graphs.graph").of(self)
end

---The prompts in the chain, in the order in which they are drawn.
---@return moonpipe.Runnable[]
function methods:get_prompts()
  local prompts = {}
  require("moonpipe.graphs.graph").walk(self, function(step)
    if step.run_kind == "prompt" then prompts[#prompts + 1] = step end
  end)
  return prompts
end

---The step, run again where it fails: three times in all, by the formula of
---attempts.lua, or as [opts] say: `stop_after_attempt`, `retry_if` (a function of the
---error, a kind, a list of kinds), `wait_exponential_jitter` (true, false, or
---`{ initial, max, exp_base, jitter }`), `on_retry(err, attempt, seconds)`.
---@param opts table?
---@return moonpipe.Runnable
function methods:with_retry(opts)
  return require("moonpipe.steps.retrying").RunnableRetry(self, opts)
end

---The step, or where it fails the first of [others] that does not. [opts]:
---`exceptions_to_handle` (a function of the error, a kind, a list of kinds),
---`exception_key` (under which the next finds the error in its input), `circuit`
---(false, or `{ failures, seconds }`), `on_switch({ from, to, error })`.
---@param others any[]
---@param opts table?
---@return moonpipe.Runnable
function methods:with_fallbacks(others, opts)
  return require("moonpipe.steps.fallbacks").RunnableWithFallbacks(self, others, opts)
end

---The step, run a second time where it takes longer than `after` seconds: who
---answers first, wins, and the other is ended.
---@param opts { after: number }
---@return moonpipe.Runnable
function methods:with_hedge(opts)
  return require("moonpipe.steps.hedge").RunnableHedge(self, opts)
end

---The step, which must answer in time: within so many seconds, or within
---`{ total, first_chunk, idle }`; the last two count while somebody waits for a chunk.
---@param limits number|moonpipe.Limits
---@return moonpipe.Runnable
function methods:with_timeout(limits)
  return require("moonpipe.steps.timeout").RunnableTimeout(self, limits)
end

---What it takes, as a JSON Schema, as far as it can be known: keys of prompts and
---itemgetters, types that with_types gave. An empty table: nothing is known.
---@return table
function methods:input_schema()
  return require("moonpipe.schemas").input(self)
end

---What a call may choose in its config, as a JSON Schema: ids of configurable fields and
---alternatives, keys of sessions.
---@return table
function methods:config_schema()
  return require("moonpipe.steps.configurable_schema").of(self)
end

---What it gives, as a JSON Schema, as far as it can be known.
---@return table
function methods:output_schema()
  return require("moonpipe.schemas").output(self)
end

return methods
