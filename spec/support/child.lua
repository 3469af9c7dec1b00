--- Texts that specs run in a process of its own: with less of what the system has,
--- with libraries before libc, with signals.
local helper = require "spec.helper"
local process = require "spec.support.process"

local child = {}

--- What the texts begin with: calls, http and mp, and outcomes(base_url, count):
--- how often which status or kind of error came of so many calls at once.
child.PRELUDE = [[
local calls = require "spec.support.calls"
local http = require "moonpipe.http.http"
local mp = require "moonpipe"

local function outcomes(base_url, count, fields)
  local plan = calls.plan(base_url, fields)
  local step = mp.RunnableLambda(function()
    local ok, value = pcall(http.send, plan, calls.BODY)
    return ok and value.status or value.kind
  end)
  local inputs, seen = {}, {}
  for i = 1, count do inputs[i] = i end
  for _, outcome in ipairs(step:batch(inputs)) do seen[outcome] = (seen[outcome] or 0) + 1 end
  local list = {}
  for outcome, number in pairs(seen) do list[#list + 1] = outcome .. " x " .. number end
  table.sort(list)
  return table.concat(list, ", ")
end
]]

--- The setting that loads a library of spec/support first. Before all others a
--- sanitizer wants its own; the shell wants neither.
function child.preloaded(name)
  local libraries = helper.execute({ "ldd", helper.bin })
  local runtime = libraries:match("(/%S*/lib[at]san%S*)")
  return ("LD_PRELOAD=%s%s"):format(runtime and runtime .. ":" or "", process.helper(name .. ".so"))
end

--- Runs a text; gives what it printed, its stderr and its exit code.
---@param opts { limits: string?, preload: string?, env: table? }  limits of ulimit, a
---  library of spec/support, the environment
---@param text string
function child.execute(opts, text, ...)
  local setup = opts.limits and "ulimit " .. opts.limits .. " && " or ""
  return helper.execute({ "bash", "-c", setup .. 'exec env "$@"', "bash",
    opts.preload and child.preloaded(opts.preload) or "TESTING=1", helper.bin,
    helper.temp(child.PRELUDE .. text), ... }, nil, opts.env)
end

--- As execute, for one that must end well; gives what it printed, without the last
--- newline.
function child.run(opts, text, ...)
  local stdout, stderr, code = child.execute(opts, text, ...)
  if stderr ~= "" or code ~= 0 then
    error(("exit code %s, stdout: %s, stderr: %s"):format(code, stdout, stderr), 2)
  end
  return (stdout:gsub("\n$", ""))
end

return child
