--- The language for editors: what `require "moonpipe"` gives.
--
-- Definitions for lua-language-server (LuaCATS); nothing here runs. README.md says how an editor
-- finds them, and a spec holds their names against the real ones.
---@meta moonpipe

---@class moonpipe
---@field version string  of the library
---@field null userdata  JSON's null, in data that was asked for
---@field host table<string, mp.Runnable>  the functions of a C host as steps, by name
---@field RunnableMap mp.RunnableParallelClass
---@field StructuredOutputParser mp.SchemaOutputParserClass
---@field RetryWithErrorOutputParser mp.RetryOutputParserClass
local mp = {}

-- ---- composing ---------------------------------------------------------------------------------

---`mp.pipe(a, b, c)`: `a | b | c` in plain Lua.
---@param first any  what can be a step: a step, a function, a table of steps
---@param ... any
---@return mp.RunnableSequence
function mp.pipe(first, ...) end

---A function that may call steps, as a step: `mp.chain(fn)`, or `mp.chain("name", fn)`.
---@overload fun(fn: fun(input: any, config: mp.Context?): any): mp.RunnableLambda
---@param name string
---@param fn fun(input: any, config: mp.Context?): any
---@return mp.RunnableLambda
function mp.chain(name, fn) end

---A step that gives [value] whatever its input is.
---@param value any  not nil
---@return mp.Runnable
function mp.const(value) end

---A step that gives the value of a key, or of several keys an array of their values.
---@param ... string
---@return mp.Runnable
function mp.itemgetter(...) end

---@class mp.MapChunksOptions
---@field name string?  in errors and traces

---A step that gives each chunk of a stream to a function; what gives nil is left out.
---@param fn fun(chunk: any, config: mp.Context?): any
---@param opts mp.MapChunksOptions?
---@return mp.RunnableLambda
function mp.map_chunks(fn, opts) end

---@class mp.LoopOptions
---@field body any  a step, run at least once
---@field until_ any  a step on what each round gave; nil, false and null do not hold
---@field max integer?  rounds; 25
---@field name string?

---Runs a step again and again, until a condition holds.
---@param opts mp.LoopOptions
---@return mp.Runnable
function mp.loop(opts) end

---@class mp.LaneOptions
---@field name string?
---@field jit boolean?  compile its loops; true
---@field process boolean?  in a process of its own, which ends at once where it is cancelled

---A step that runs a function in a VM and a thread of its own.
---@param what fun(input: any): any|string  the function, without locals of outside, or a file
---@param opts mp.LaneOptions?
---@return mp.Runnable
function mp.lane(what, opts) end

---The key whose branch ended with this chunk of a map's stream, or nil.
---@param chunk any
---@return string|integer?
function mp.finished(chunk) end

---The running config, anywhere; outside of a task the empty one.
---@return mp.Context
function mp.current() end

---Tells the callbacks of the running call of an event of one's own.
---@param name string
---@param data any
function mp.dispatch_custom_event(name, data) end

---The step of the function that the C host registered as [name].
---@param name string
---@return mp.Runnable
function mp.host_step(name) end

-- ---- values ------------------------------------------------------------------------------------

---@class mp.InspectOptions
---@field depth integer?  tables in each other; 8
---@field max_items integer?  members of one table; 100
---@field max_string integer?  bytes of one string; 1000

---A readable text of any value: `AIMessage{ content = "hi" }`.
---@param value any
---@param opts mp.InspectOptions?
---@return string
function mp.inspect(value, opts) end

---The text without what a terminal would obey.
---@param text string
---@return string
function mp.printable(text) end

---Marks a table as an array of JSON, so that it is one even when empty.
---@generic T: table
---@param t T?  default: a new one
---@return T
function mp.array(t) end

---Numbers in 32 bits, a vector or a matrix: `mp.Floats{ 1, 2 }`, `mp.Floats{ { 1, 2 }, { 3, 4 } }`.
---@class mp.Floats
---@operator len: integer
---@field [integer] any  of a vector a number, of a matrix a row; from 1
local Floats = {}

---Its rows, and the numbers in each.
---@return integer rows
---@return integer columns
function Floats:shape() end

---@param i integer
---@return mp.Floats
function Floats:row(i) end

---@return number[]|number[][]
function Floats:totable() end

---float32 in this machine's order.
---@return string
function Floats:bytes() end

---@param values number[]|number[][]
---@return mp.Floats
function mp.Floats(values) end

---What a failure of the world is raised as; `error(err, 0)` raises it again.
---@class mp.Error
---@field kind mp.ErrorKind
---@field message string
---@field path string?       `map.context > step 2 of 3 ChatOpenAI`
---@field where string?      file:line at which the failing step was composed
---@field span string?       file:line:column-column of it, where `|` has it
---@field step string?       name of the failing step
---@field input string?      what that was given, at a glance
---@field provider string?
---@field model string?
---@field status integer?    of HTTP
---@field request_id string?
---@field attempts integer?
---@field elapsed number?    seconds
---@field retryable boolean?
---@field retry_after number? seconds
---@field partial any        what had arrived
---@field problems table[]?  of kind `schema`: what is wrong and where
---@field siblings table?    key -> what became of the other branches
---@field cause any          the value that was raised, where it was no mp.Error
---@field traceback string?

---@alias mp.ErrorKind
---| "auth"
---| "cancelled"
---| "closed"
---| "config"
---| "connect"
---| "content_filter"
---| "context_length"
---| "decode"
---| "dns"
---| "fds"
---| "http"
---| "input"
---| "internal"
---| "io"
---| "limit"
---| "lua"
---| "memory"
---| "protocol"
---| "quota"
---| "rate_limit"
---| "refused_request"
---| "reset"
---| "schema"
---| "timeout_connect"
---| "timeout_first_byte"
---| "timeout_idle"
---| "timeout_total"
---| "tls"
---| "too_large"
---| "tool"
---| "truncated"
---| "unsupported"

---An error for a step of one's own to raise.
---@param fields { kind: mp.ErrorKind, message: string, [string]: any }
---@return mp.Error
function mp.Error(fields) end

-- ---- time and hosts ----------------------------------------------------------------------------

---Stops the running task for [seconds]; others run meanwhile.
---@async
---@param seconds number
function mp.sleep(seconds) end

---Seconds since some moment in the past.
---@return number
function mp.now() end

---Runs what is ready, without blocking: for hosts with a loop of their own.
---@param seconds number?  at most so long; default: all that is ready, at most a second
---@return integer ready   tasks that are still ready
function mp.update(seconds) end

---A descriptor that is readable while `mp.update` has something to do; -1 once it is closed.
---@return integer
function mp.fd() end

---Replaces coroutine.resume, status and wrap, so that a chain may wait inside of coroutines.
function mp.wrap_coroutines() end

-- ---- loading text that uses `|` ----------------------------------------------------------------

---@async
---@param chunk string|fun(): string?
---@param chunkname string?  "@file", "=name" or the text itself
---@param mode string?       "t", "b" or "bt"
---@param env table?
---@return function? fn
---@return string? message
function mp.load(chunk, chunkname, mode, env) end

---@param path string?  standard input if not given
---@param mode string?
---@param env table?
---@return function? fn
---@return string? message
function mp.loadfile(path, mode, env) end

---@async
---@param path string?  standard input if not given
---@return any ...
function mp.dofile(path) end

---Makes LuaJIT's own `require` understand `|` in modules whose names begin so.
---@param prefixes string[]
function mp.install_loader(prefixes) end

-- ---- keys --------------------------------------------------------------------------------------

---A text that neither tostring nor an error nor a trace shows.
---@class mp.Secret

---Makes a text opaque; white space around it is dropped.
---@param value string|mp.Secret
---@param what string?  what it is, for messages
---@return mp.Secret
function mp.secret(value, what) end

---The key that a command prints.
---@async
---@param command string  such as "pass show openai"
---@return mp.Secret
function mp.secret_cmd(command) end

---The key in a file, which must be the user's own and closed to others.
---@param path string
---@return mp.Secret
function mp.secret_file(path) end

---The key of the environment, or else asked for at the terminal, without echo.
---@param name string     such as "OPENAI_API_KEY"
---@param prompt string?  default: the name
---@return mp.Secret
function mp.getpass(name, prompt) end

return mp
