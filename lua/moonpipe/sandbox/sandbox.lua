--- Scripts that one did not write oneself: `mp.sandbox{ … }`.
--
-- A script is loaded into a VM of its own (bind_cell.h), in which there are the steps that compute
-- and nothing that reaches out. What it may use the host grants by name; models are asked from
-- outside, where their keys are. This stops accidents and lazy attackers, and not who knows a fault
-- of LuaJIT's: with `isolate` the VM is in a process that has no rights (confine.h).
local codec = require "moonpipe.sandbox.codec"
local cells = require "moonpipe.sandbox.cell"
local context = require "moonpipe.context"
local errors = require "moonpipe.error"
local lock = require "moonpipe.lock"
local native = require "moonpipe.native"
local runnable = require "moonpipe.steps.runnable"
local scheduler = require "moonpipe.scheduler"
local terminal = require "moonpipe.terminal"

---@class moonpipe.Sandbox
---@field grants table
---@field limits { memory: number, seconds: number, instructions: number? }
---@field isolate boolean  each script has a process of its own
---@field print fun(line: string)
local Sandbox = {}
local mt = { __name = "moonpipe.Sandbox", __index = Sandbox }

---@class moonpipe.SandboxedChain: moonpipe.Runnable
---@field cell moonpipe.SandboxCell
---@field load fun(): { cell: moonpipe.SandboxCell }  runs the script anew, elsewhere
local SandboxedChain, methods = runnable.class("SandboxedChain")

local MEMORY, MEMORY_LEAST = 32 * 2 ^ 20, 8 * 2 ^ 20
local SECONDS = 0.08 -- so that what does not end has ended within 0.1
local TEXT_MAX = 2 ^ 20 -- bytes of a script's file

-- ---- the chain ----------------------------------------------------------------

local reviving = {} -- chains whose script is being loaded anew

local function revive(self)
  if self.cell:is_lost() then self.cell = self.load().cell end
end

-- Where calls go: after the end of its process to another one, which all who come meanwhile share.
local function cell_of(self)
  if not self.cell:is_lost() then return self.cell end
  local hold = lock.take(reviving, self, "a script waits for itself to be loaded")
  local ok, err = pcall(revive, self)
  hold:free()
  if not ok then error(err, 0) end
  return self.cell
end

function methods:_invoke(input, ctx)
  local cell = cell_of(self)
  local call = cell:begin("call", codec.encode(input), false)
  cell:serve(call, ctx)
  if call.err then error(call.err, 0) end
  return codec.decode(call.text)
end

local function serve_stream(cell, call, ctx)
  pcall(cell.serve, cell, call, ctx) -- the reader is told of what fails
end

function methods:_stream(input, ctx)
  local cell, call
  return function()
    if not call then
      cell = cell_of(self)
      call = cell:begin("call", codec.encode(input), true)
      scheduler.spawn(ctx, nil, serve_stream, cell, call, ctx)
    end
    return cell:next_chunk(call)
  end
end

---Frees the script's VM, or ends its process; calls that run fail with kind `closed`.
function methods:close()
  self.cell:close()
end

---Bytes of the script's VM: now, and at most so far; of a process, after its last turn.
---@return number used
---@return number peak
function methods:memory()
  return self.cell:memory()
end

-- ---- options ------------------------------------------------------------------

local OPTIONS = { "files", "instructions", "isolate", "memory", "models", "print", "seconds",
  "steps", "tools" }

local function number_of(opts, name, usual, least)
  local value = opts[name]
  if value == nil then return usual end
  local good = type(value) == "number" and value == value and value >= least and value <= 2 ^ 52
  if not good then
    errors.usage(("%s of sandbox must be a number, at least %g, got %s"):format(name, least,
      type(value) == "number" and tostring(value) or errors.shape(value)))
  end
  return value
end

local function steps_of(given, what)
  if given == nil then return {} end
  if type(given) ~= "table" or runnable.is(given) then
    errors.usage(("%s of sandbox takes a table of steps by name, got %s"):format(what,
      errors.shape(given)))
  end
  local out = {}
  for name, step in pairs(given) do
    if type(name) ~= "string" or not runnable.is(step) then
      errors.usage(("%s of sandbox: '%s' is %s; it must be a step with a name"):format(what,
        errors.text(name), errors.shape(step)))
    end
    out[name] = step
  end
  return out
end

local function tools_of(given)
  if given ~= nil and type(given) ~= "table" then
    errors.usage("tools of sandbox takes a list of tools, got " .. errors.shape(given))
  end
  local out = {}
  for _, tool in pairs(given or {}) do
    if not runnable.is(tool) or type(tool.args_schema) ~= "table" then
      errors.usage("tools of sandbox takes tools (mp.tool, as_tool); one is "
        .. errors.shape(tool))
    end
    out[tool.name] = tool
  end
  return out
end

local function isolate_of(given)
  if given == nil or type(given) == "boolean" then return given == true end
  errors.usage("isolate of sandbox is true or false, got " .. errors.shape(given))
end

local function print_line(line)
  io.stdout:write(terminal.printable(line), "\n")
end

local sandbox = {}

---@class moonpipe.SandboxOptions
---@field models table<string, moonpipe.Runnable>?  there `mp.models.NAME`, and `default` what
---  `mp.init_chat_model()` gives
---@field tools moonpipe.RunnableTool[]?  `mp.tools.NAME`
---@field steps table<string, moonpipe.Runnable>?  `mp.steps.NAME`: retrievers, the host's functions
---@field files string?         a folder: `mp.read_file(path)` and `require` read below it
---@field isolate boolean?      each script runs in a process that can compute and nothing else;
---  where the system has no such thing that is an error of kind `unsupported`
---@field memory number?        bytes of a script's VM; 32 MiB
---@field seconds number?       CPU time of a script between two waits; 0.08
---@field instructions number?  of the same; no limit
---@field print fun(line: string)?  takes what it prints; standard output

---`mp.sandbox{ models = { default = model }, tools = { weather }, files = "mods/bear" }`: what a
---script may use, and its limits.
---@param opts moonpipe.SandboxOptions?
---@return moonpipe.Sandbox
function sandbox.sandbox(opts)
  opts = errors.options(opts, OPTIONS, "sandbox")
  if opts.files ~= nil and (type(opts.files) ~= "string" or opts.files == "") then
    errors.usage("files of sandbox takes the path of a folder, got " .. errors.shape(opts.files))
  end
  return setmetatable({
    grants = {
      models = steps_of(opts.models, "models"),
      steps = steps_of(opts.steps, "steps"),
      tools = tools_of(opts.tools),
      files = opts.files,
    },
    limits = {
      memory = number_of(opts, "memory", MEMORY, MEMORY_LEAST),
      seconds = number_of(opts, "seconds", SECONDS, 0.001),
      instructions = number_of(opts, "instructions", nil, 1),
    },
    isolate = isolate_of(opts.isolate),
    print = opts.print or print_line,
  }, mt)
end

-- ---- loading ------------------------------------------------------------------

-- What the script's VM is told of the grants.
local function told(grants)
  local out = { models = {}, steps = {}, tools = {}, files = grants.files ~= nil }
  for name, model in pairs(grants.models) do
    out.models[name] = { structured_method = model.structured_method }
  end
  for name in pairs(grants.steps) do out.steps[name] = {} end
  for name, tool in pairs(grants.tools) do
    out.tools[name] = { description = tool.description, schema = tool.args_schema }
  end
  return codec.encode(out)
end

local function load_script(self, name, text, arguments, keeps)
  local cell = cells.open(self.limits, self.grants, self.print, self.isolate)
  cell:say("grant", told(self.grants))
  local call = cell:begin("load", name, text, codec.encode(arguments or {}), keeps)
  cell:serve(call, context.current())
  if call.err then
    cell:close()
    error(call.err, 0)
  end
  return { cell = cell, text = call.text }
end

local function check_text(text, name, what)
  if type(text) ~= "string" then
    errors.usage(("%s takes the text of a script, got %s"):format(what, errors.shape(text)))
  elseif name ~= nil and type(name) ~= "string" then
    errors.usage(("%s takes a name for messages, got %s"):format(what, errors.shape(name)))
  end
end

local function load_chain(self, source, text, name)
  local function load()
    return load_script(self, source, text, nil, true)
  end
  return runnable.instance(SandboxedChain, { cell = scheduler.call(load).cell, load = load,
    name = name })
end

---Runs a script, which must return a step (a chain, a function, a map), in a VM of its own, and
---gives that step. Each call of it runs in there.
---@async
---@param text string
---@param name string?  for messages
---@return moonpipe.SandboxedChain
function Sandbox:load(text, name)
  check_text(text, name, "load")
  name = name or "script"
  return load_chain(self, "=" .. name, text, name)
end

local function read_file(path)
  return native.check(native.c.read_file(path, nil, TEXT_MAX))
end

---The same with a file.
---@async
---@param path string
---@return moonpipe.SandboxedChain
function Sandbox:load_file(path)
  check_text(path, nil, "load_file")
  return load_chain(self, "@" .. path, read_file(path), path)
end

---Runs a script to its end, and gives what it returns, which must be data.
---@async
---@param text string
---@param name string?       for messages
---@param arguments string[]?  its `...` and `arg`
---@return any
function Sandbox:run(text, name, arguments)
  check_text(text, name, "run")
  name = "=" .. (name or "script")
  local loaded = scheduler.call(load_script, self, name, text, arguments, false)
  loaded.cell:close()
  return codec.decode(loaded.text)
end

---The same with a file.
---@async
---@param path string
---@param arguments string[]?
---@return any
function Sandbox:run_file(path, arguments)
  check_text(path, nil, "run_file")
  return self:run(read_file(path), path, arguments)
end

return sandbox
