--- The module in somebody else's LuaJIT: texts that plain `luajit` runs.
local busted = require "busted"
local helper = require "spec.helper"

local guest = {}

local modules = helper.bin:gsub("[^/]*$", "") .. "module/?.so"

-- A sanitized module needs its runtime from the start. Leaks are then those of
-- luajit's too, which frees nothing at os.exit.
local function sanitizer()
  local libraries = helper.execute({ "ldd", (modules:gsub("%?", "moonpipe")) })
  return libraries:match("(/%S*/lib[at]san%S*)")
end

guest.environment = {
  LUA_CPATH = modules,
  LUA_PATH = false,
  LD_PRELOAD = sanitizer() or false,
  ASAN_OPTIONS = "detect_leaks=0",
}

--- What the texts begin with.
guest.PRELUDE = [[
local mp = require "moonpipe"
local scheduler = require "moonpipe.scheduler"
local now = require("moonpipe.native").c.now
local step = mp.RunnableLambda
local function sleeper(seconds, value)
  return step(function() mp.sleep(seconds) return value end)
end
]]

--- VMs that a text opens beside its own, by LuaJIT's C API: open(), run(L, text).
guest.VMS = [[
local ffi = require "ffi"
ffi.cdef "typedef struct lua_State lua_State; lua_State *luaL_newstate(void);"
ffi.cdef "void luaL_openlibs(lua_State *); int luaL_loadstring(lua_State *, const char *);"
ffi.cdef "int lua_pcall(lua_State *, int, int, int); void lua_close(lua_State *);"
ffi.cdef "const char *lua_tolstring(lua_State *, int, size_t *);"
local C = ffi.C
local function open()
  local L = C.luaL_newstate()
  C.luaL_openlibs(L)
  return L
end
local function run(L, text)
  if C.luaL_loadstring(L, text) ~= 0 or C.lua_pcall(L, 0, 1, 0) ~= 0 then
    error(ffi.string(C.lua_tolstring(L, -1, nil)))
  end
end
]]

--- Runs a text as a guest's main program; at most a minute.
function guest.execute(text, ...)
  local path = helper.temp(guest.PRELUDE .. text)
  return helper.execute({ "timeout", "60", "luajit", path, ... }, nil, guest.environment)
end

--- Runs a text that must print what is expected, and end well.
function guest.prints(expected, text, ...)
  local stdout, stderr, code = guest.execute(text, ...)
  busted.assert.equal("", stderr)
  busted.assert.equal(expected, stdout)
  busted.assert.equal(0, code)
end

return guest
