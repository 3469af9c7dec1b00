--- The classes of steps, and what makes them.
---@meta

---@class moonpipe
---@field RunnablePassthrough mp.RunnablePassthroughClass
local mp = {}

---@class mp.RunnableSequence: mp.Runnable
---@operator call(any): any
---@operator bor(any): mp.RunnableSequence
---@field steps mp.Runnable[]
local RunnableSequence = {}

---@class mp.RunnableParallel: mp.Runnable
---@operator call(any): table
---@operator bor(any): mp.RunnableSequence
---@field steps table<string|integer, mp.Runnable>
---@field keys (string|integer)[]  sorted
local RunnableParallel = {}

---@class mp.RunnableParallelClass
---@overload fun(steps: table<string|integer, any>): mp.RunnableParallel
local RunnableParallelClass = {}

---@class mp.RunnableLambda: mp.Runnable
---@operator call(any): any
---@operator bor(any): mp.RunnableSequence
local RunnableLambda = {}

---@class mp.RunnableGenerator: mp.Runnable
---@operator call(any): any
---@operator bor(any): mp.RunnableSequence
local RunnableGenerator = {}

---@class mp.RunnablePassthrough: mp.Runnable
---@operator call(any): any
---@operator bor(any): mp.RunnableSequence
local RunnablePassthrough = {}

---@class mp.RunnableAssign: mp.Runnable
---@operator call(any): table
---@operator bor(any): mp.RunnableSequence
local RunnableAssign = {}

---@class mp.RunnablePick: mp.Runnable
---@operator call(any): any
---@operator bor(any): mp.RunnableSequence
local RunnablePick = {}

---@class mp.RunnableBinding: mp.Runnable
---@operator call(any): any
---@operator bor(any): mp.RunnableSequence
---@field bound mp.Runnable
---@field kwargs table
---@field config mp.Config
local RunnableBinding = {}

---@class mp.RunnableBranch: mp.Runnable
---@operator call(any): any
---@operator bor(any): mp.RunnableSequence
local RunnableBranch = {}

---@class mp.RouterRunnable: mp.Runnable
---@operator call(any): any
---@operator bor(any): mp.RunnableSequence
---@field steps table<string|integer, mp.Runnable>
local RouterRunnable = {}

---@class mp.RunnableEach: mp.Runnable
---@operator call(any): any[]
---@operator bor(any): mp.RunnableSequence
---@field bound mp.Runnable
local RunnableEach = {}

---@class mp.RunnableRetry: mp.Runnable
---@operator call(any): any
---@operator bor(any): mp.RunnableSequence
---@field bound mp.Runnable
local RunnableRetry = {}

---@class mp.RunnableWithFallbacks: mp.Runnable
---@operator call(any): any
---@operator bor(any): mp.RunnableSequence
---@field bound mp.Runnable
---@field fallbacks mp.Runnable[]
local RunnableWithFallbacks = {}

---@class mp.RunnableHedge: mp.Runnable
---@operator call(any): any
---@operator bor(any): mp.RunnableSequence
---@field bound mp.Runnable
local RunnableHedge = {}

---@class mp.RunnableTimeout: mp.Runnable
---@operator call(any): any
---@operator bor(any): mp.RunnableSequence
---@field bound mp.Runnable
local RunnableTimeout = {}

---`RunnableSequence(a, b, …)`: at least two steps.
---@param ... any
---@return mp.RunnableSequence
function mp.RunnableSequence(...) end

---`RunnableParallel{ key = step }`: each step on the same input, all at once.
---@param steps table<string|integer, any>
---@return mp.RunnableParallel
function mp.RunnableParallel(steps) end

---@class mp.LambdaOptions
---@field name string?  in errors and traces

---A function as a step; with two parameters it is given the config too.
---@param fn fun(input: any, config: mp.Context?): any
---@param opts mp.LambdaOptions?
---@return mp.RunnableLambda
function mp.RunnableLambda(fn, opts) end

---@class mp.GeneratorOptions
---@field name string?

---A step of a stream: `chunks()` gives the next chunk or nil, `emit(v)` passes one on.
---@param fn fun(chunks: (fun(): any), emit: fun(chunk: any), config: mp.Context)
---@param opts mp.GeneratorOptions?
---@return mp.RunnableGenerator
function mp.RunnableGenerator(fn, opts) end

---`RunnablePassthrough()` gives its input; a function is called with it besides.
---@class mp.RunnablePassthroughClass
---@overload fun(tap: (fun(input: any): any)?): mp.RunnablePassthrough
local RunnablePassthroughClass = {}

---The input, and new keys beside it.
---@param map table<string, any>  of steps
---@param opts mp.AssignOptions?
---@return mp.RunnableAssign
function RunnablePassthroughClass.assign(map, opts) end

---@class mp.AssignOptions
---@field after table<string, string|string[]>|nil  `{ answer = "context" }`: computed after the
---  other key

---@param map table<string, any>  of steps
---@param opts mp.AssignOptions?
---@return mp.RunnableAssign
function mp.RunnableAssign(map, opts) end

---`RunnablePick("key")` gives its value, `RunnablePick{ "a", "b" }` a table.
---@param keys string|string[]
---@return mp.RunnablePick
function mp.RunnablePick(keys) end

---What `bind`, `with_config` and `with_types` make; a class without a constructor.
---@type table
mp.RunnableBinding = {}

---`RunnableBranch({ condition, step }, …, default)`.
---@param ... any
---@return mp.RunnableBranch
function mp.RunnableBranch(...) end

---`RouterRunnable{ key = step }`, on an input `{ key =, input = }`.
---@param routes table<string|integer, any>
---@return mp.RouterRunnable
function mp.RouterRunnable(routes) end

---@class mp.EachOptions
---@field return_exceptions boolean?  a failed item leaves its mp.Error in the slot

---@param step any
---@param opts mp.EachOptions?
---@return mp.RunnableEach
function mp.RunnableEach(step, opts) end

---Pauses between attempts, in seconds.
---@class mp.WaitTimes
---@field initial number?
---@field max number?
---@field exp_base number?
---@field jitter number?  added, up to so much; default: up to a quarter is taken off

---@class mp.RetryOptions
---@field stop_after_attempt integer?  attempts in all; 3
---@field retry_if ((fun(err: mp.Error): boolean)|mp.ErrorKind|mp.ErrorKind[])?  default: what may
---  pass
---@field wait_exponential_jitter boolean|mp.WaitTimes|nil  true
---@field on_retry (fun(err: mp.Error, attempt: integer, seconds: number))?

---@param step any
---@param opts mp.RetryOptions?
---@return mp.RunnableRetry
function mp.RunnableRetry(step, opts) end

---@class mp.FallbacksOptions
---@field exceptions_to_handle ((fun(err: mp.Error): boolean)|mp.ErrorKind|mp.ErrorKind[])?
---  default: all
---@field exception_key string?  under which the next finds the error in its input
---@field circuit false|{ failures: integer?, seconds: number? }|nil  5 in a row, and 10 seconds
---@field on_switch (fun(switch: { from: string, to: string, error: mp.Error }))?

---@param step any
---@param others any[]
---@param opts mp.FallbacksOptions?
---@return mp.RunnableWithFallbacks
function mp.RunnableWithFallbacks(step, others, opts) end

---@class mp.HedgeOptions
---@field after number  seconds until the second attempt begins

---@param step any
---@param opts mp.HedgeOptions
---@return mp.RunnableHedge
function mp.RunnableHedge(step, opts) end

---@class mp.TimeoutOptions
---@field total number?  seconds
---@field first_chunk number?  seconds, while somebody waits for it
---@field idle number?  seconds between chunks, while somebody waits

---@param step any
---@param limits number|mp.TimeoutOptions
---@return mp.RunnableTimeout
function mp.RunnableTimeout(step, limits) end

---@class mp.ConfigurableFieldOptions
---@field id string  in `config.configurable`
---@field name string?
---@field description string?
---@field annotation any?
---@field is_shared boolean?

---Names what a call may choose.
---@param spec mp.ConfigurableFieldOptions
---@return mp.ConfigurableFieldOptions
function mp.ConfigurableField(spec) end
