--- The module in somebody else's LuaJIT: scripts that plain `luajit` runs.
local helper = require "spec.helper"

local modules = helper.bin:gsub("[^/]*$", "") .. "module/?.so"

-- A sanitized module needs its runtime from the start. Leaks are then those of
-- luajit's too, which frees nothing at os.exit.
local function sanitizer()
  local libraries = helper.execute({ "ldd", (modules:gsub("%?", "moonpipe")) })
  return libraries:match("(/%S*/lib[at]san%S*)")
end

local environment = {
  LUA_CPATH = modules,
  LUA_PATH = false,
  LD_PRELOAD = sanitizer() or false,
  ASAN_OPTIONS = "detect_leaks=0",
}

local PRELUDE = [[
local mp = require "moonpipe"
local scheduler = require "moonpipe.scheduler"
local now = require("moonpipe.native").c.now
local step = mp.RunnableLambda
local function sleeper(seconds, value)
  return step(function() mp.sleep(seconds) return value end)
end
]]

-- Runs a text as a guest's main program; at most a minute.
local function guest(text, ...)
  local path = helper.temp(PRELUDE .. text)
  return helper.execute({ "timeout", "60", "luajit", path, ... }, nil, environment)
end

local function prints(expected, text)
  local stdout, stderr, code = guest(text)
  assert.equal("", stderr)
  assert.equal(expected, stdout)
  assert.equal(0, code)
end

describe("guest", function()
  it("runs branches at the same time, called from the main thread #concurrency", function()
    prints("2\n", [[
      local running, peak = 0, 0
      local function branch()
        running = running + 1
        peak = math.max(peak, running)
        mp.sleep(0.02)
        running = running - 1
      end
      mp.RunnableParallel({ a = branch, b = branch }):invoke(1)
      print(peak)]])
  end)
end)
