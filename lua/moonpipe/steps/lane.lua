--- Lua that computes, in a VM of its own on another core.
--
-- Values cross as copies: nil, booleans, numbers, strings, null and tables of them, without
-- metatables. A VM begins with each call and ends with it, so nothing is kept between two.
local buffer = require "string.buffer"
local errors = require "moonpipe.error"
local native = require "moonpipe.native"
local runnable = require "moonpipe.steps.runnable"
local scheduler = require "moonpipe.scheduler"

local c, check = native.c, native.check

---@class moonpipe.RunnableLane: moonpipe.Runnable
---@field code string?  the function's
---@field file string?  or of which it is
---@field jit boolean
local RunnableLane, methods = runnable.class("RunnableLane")

local lane = {}

-- The bytes of a function, which take nothing of this VM along.
local function code_of(fn, where)
  if debug.getinfo(fn, "S").what == "C" then
    errors.usage("a lane takes no function of C", where)
  end
  local name = debug.getupvalue(fn, 1)
  if name then
    errors.usage(("a lane's function runs in another VM: '%s' is a local outside of it")
      :format(name), where)
  end
  return string.dump(fn)
end

local function check_file(path, where)
  local chunk, problem = loadfile(path)
  if not chunk then errors.usage(problem, where) end
  return path
end

local function place_of(what)
  if type(what) == "string" then return "lane " .. what end
  local info = debug.getinfo(what, "S")
  return ("lane %s:%d"):format(info.short_src, info.linedefined)
end

---`mp.lane(fn)`, or `mp.lane("file.lua")` where the file returns the function: a step that is
---called with its input in a VM of its own, which has LuaJIT's libraries and `package.path`. A
---cancelled one ends soon where it is interpreted, but a compiled loop runs to its end, and
---closing waits for it: `jit = false` compiles none. With `process = true` the VM is in a process,
---which is killed wherever it is; what it prints goes to standard error then.
---@param what function|string  the function without locals of outside
---@param opts { name: string?, jit: boolean?, process: boolean? }?
---@return moonpipe.RunnableLane
function lane.lane(what, opts)
  local where = errors.caller()
  opts = errors.options(opts, { "jit", "name", "process" }, "lane")
  local is_function = type(what) == "function"
  if not is_function and type(what) ~= "string" then
    errors.usage("lane takes a function or the name of a file, got " .. errors.shape(what), where)
  end
  return runnable.instance(RunnableLane, {
    code = is_function and code_of(what, where) or nil,
    file = not is_function and check_file(what, where) or nil,
    jit = opts.jit ~= false, process = opts.process == true,
    name = opts.name or place_of(what),
  })
end

local function encoded(self, input)
  local ok, text = pcall(buffer.encode, { code = self.code, file = self.file, value = input,
    path = package.path, cpath = package.cpath })
  if ok then return text end
  errors.raise("input", "a lane takes data only: " .. text)
end

function methods:_invoke(input)
  local given = encoded(self, input)
  local text = self.process and require("moonpipe.steps.lane_process").run(given, self.jit)
    or scheduler.await(check(c.lane(given, self.jit)))
  local out = buffer.decode(text)
  local err = out.err
  if not err then return out.value end
  if not errors.KINDS[err.kind] then err.kind = "lua" end
  error(errors.new(err):given(input), 0)
end

function methods:_flow()
  return "whole"
end

function methods:get_name()
  return self.name
end

methods._label = methods.get_name

return lane
