--- Tools, agents, servers of tools, and scripts of others.
---@meta

---@class moonpipe
---@field mcp { connect: fun(opts: mp.McpOptions): mp.McpClient }  of the Model Context Protocol
local mp = {}

---Whether a tool may be called, and why not.
---@alias mp.Confirm fun(call: table, ctx: mp.Context): boolean, string?

---@class mp.RunnableTool: mp.Runnable
---@operator call(any): any
---@operator bor(any): mp.RunnableSequence
---@field name string
---@field description string
---@field args_schema table
---@field args table  its properties
local RunnableTool = {}

---@class mp.ToolOptions
---@field name string
---@field description string
---@field schema table?  a JSON schema of an object: the arguments
---@field fn any  a function of the table of arguments, or a step
---@field confirm boolean|mp.Confirm|nil  asked before each call

---`mp.tool{ name = "add", description = "Adds.", schema = { … }, fn = function(args) … end }`.
---@param opts mp.ToolOptions
---@return mp.RunnableTool
function mp.tool(opts) end

---@class mp.AsToolOptions
---@field name string?  that of the step where it has one
---@field description string
---@field args_schema table?  a JSON schema of an object
---@field arg_types table<string, string>|string|nil
---@field confirm boolean|mp.Confirm|nil

---@class mp.BindToolsOptions
---@field tool_choice "auto"|"none"|"required"|"any"|string|boolean|table|nil
---@field strict boolean?  arguments must be as the schema says, where the provider can promise that
---@field parallel_tool_calls boolean?

---@class mp.AgentAnswer
---@field messages mp.Message[]
---@field output any
---@field usage_metadata table

---@class mp.Agent: mp.Runnable
---@operator call(any): mp.AgentAnswer
---@operator bor(any): mp.RunnableSequence
local Agent = {}

---@class mp.AgentOptions
---@field model any  a chat model, any step that takes its place, or its name
---@field tools any[]?
---@field system_prompt string|mp.Message|nil
---@field max_rounds integer?  of tool calls; 8
---@field name string?
---@field strict boolean?
---@field parallel_tool_calls boolean?

---Asks the model and runs the tools that it calls, until it answers.
---@param opts mp.AgentOptions
---@return mp.Agent
function mp.create_agent(opts) end

---@class mp.McpOptions
---@field command string[]?  a program and its arguments
---@field env table<string, string|boolean>|nil  what it gets besides HOME, PATH, …; true: our value
---@field cwd string?
---@field url string?  of a server behind HTTP
---@field headers table<string, string|mp.Secret>|nil
---@field allow_http boolean?
---@field ca_file string?
---@field proxy string?
---@field timeout number|false|nil  seconds of one request; 60
---@field confirm boolean|mp.Confirm|nil  before a tool that may write; true
---@field name string?  for messages and logs

---@class mp.McpClient
---@field name string
---@field version string  of the protocol
---@field server table
---@field instructions string?
---@field capabilities table
local McpClient = {}

---The server's tools, for bind_tools and create_agent.
---@async
---@return mp.RunnableTool[]
function McpClient:tools() end

---@async
---@param name string
---@param args table?
---@return string|table[] content
---@return table? structured
function McpClient:call(name, args) end

---@async
---@return table[]
function McpClient:resources() end

---@async
---@param uri string
---@return table[]
function McpClient:read(uri) end

---@async
---@return table[]
function McpClient:prompts() end

---@async
---@param name string
---@param args table<string, string>?
---@return mp.Message[]
function McpClient:prompt(name, args) end

---@async
function McpClient:ping() end

---@async
function McpClient:close() end

---@class mp.SandboxOptions
---@field models table<string, any>?  there `mp.models.NAME`, and `default`
---@field tools mp.RunnableTool[]?  `mp.tools.NAME`
---@field steps table<string, any>?  `mp.steps.NAME`
---@field files string?  a folder that `mp.read_file` and `require` read below
---@field memory number?  bytes of a script's VM; 32 MiB
---@field seconds number?  CPU time of a script between two waits; 0.08
---@field instructions number?  of the same; no limit
---@field isolate boolean?  each script runs in a process that can compute and nothing else
---@field print (fun(line: string))?  takes what it prints; standard output

---@class mp.Sandbox
local Sandbox = {}

---A script that returns a step; each call of it runs in a VM of its own.
---@async
---@param text string
---@param name string?  for messages
---@return mp.SandboxedChain
function Sandbox:load(text, name) end

---@async
---@param path string
---@return mp.SandboxedChain
function Sandbox:load_file(path) end

---Runs a script to its end, and gives what it returns, which must be data.
---@async
---@param text string
---@param name string?
---@param arguments string[]?
---@return any
function Sandbox:run(text, name, arguments) end

---@async
---@param path string
---@param arguments string[]?
---@return any
function Sandbox:run_file(path, arguments) end

---@class mp.SandboxedChain: mp.Runnable
---@operator call(any): any
---@operator bor(any): mp.RunnableSequence
local SandboxedChain = {}

---Frees the script's VM; calls that run fail with kind `closed`.
function SandboxedChain:close() end

---Bytes of the script's VM.
---@return number used
---@return number peak
function SandboxedChain:memory() end

---What a script of somebody else's may use, and its limits.
---@param opts mp.SandboxOptions?
---@return mp.Sandbox
function mp.sandbox(opts) end
