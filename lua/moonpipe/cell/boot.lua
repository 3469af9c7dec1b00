--- The first code in a locked-in VM (bind_cell.h): takes out what is dangerous, for the library in
-- it too, and gives the function that C enters by.
--
-- The wall is the VM. What is not in it cannot be had by breaking out of the script's own
-- environment (world.lua), which is there to be clear and not to be strong.
local preload, loaded = package.preload, package.loaded

local LOADING = {} -- the mark of a module that is being loaded

---LuaJIT's require, for our own modules, which are all in `preload`.
function require(name)
  local module = loaded[name]
  if module == LOADING then error(("loop loading module '%s'"):format(name), 2) end
  if module ~= nil then return module end
  local load_module = preload[name]
  if not load_module then error(("module '%s' not found"):format(name), 2) end
  loaded[name] = LOADING
  module = load_module(name)
  loaded[name] = module == nil or module
  return loaded[name]
end

local c = require "moonpipe.c"
local guard = c.guard
local gmatch = string.gmatch -- the original, as long as there is no other

local function keep(library, names)
  local kept = {}
  for name in gmatch(names, "%S+") do kept[name] = true end
  for name in next, library do
    if not kept[name] then library[name] = nil end
  end
end

local function guard_all(library, names)
  for name in gmatch(names, "%S+") do library[name] = guard(library[name]) end
end

-- ---- Lua's own ----------------------------------------------------------------

keep(_G, [[assert bit collectgarbage coroutine debug error getmetatable ipairs load math newproxy
  next os package pairs pcall print rawequal rawget rawset require select setmetatable string table
  tonumber tostring type unpack xpcall _G _VERSION]])
keep(debug, "getfenv getinfo getlocal getmetatable getupvalue setfenv traceback")
keep(os, "clock date difftime time")
keep(coroutine, "create resume running status wrap yield")
keep(string, "byte char format len lower rep reverse sub upper")
keep(table, "concat")

guard_all(os, "date time")
guard_all(coroutine, "resume")
guard_all(string, "byte char format lower rep reverse sub upper")
guard_all(table, "concat")
guard_all(_G, "load tonumber tostring")
guard_all(c, "json_decode json_decoder json_encode rewrite thread_resume translate utf8_repair")

require "moonpipe.cell.protected"
require "moonpipe.cell.text"
require "moonpipe.cell.tables"

-- ---- what the library asks for ------------------------------------------------

local function none() end

function os.getenv() end

-- A file that gives random bytes is the only one that a computation needs.
local urandom = { setvbuf = none, read = function(_, count) return c.random(count) end }

io = {
  open = function(path)
    if path == "/dev/urandom" then return urandom end
    return nil, path .. ": there are no files in a sandbox"
  end,
}

for name in gmatch("bit coroutine debug io math os package string table _G", "%S+") do
  loaded[name] = _G[name]
end
package.config = "/\n;\n?\n!\n-\n"
package.loaders = {}

function c.secret_is() return false end
function c.secret_redact(text) return text end

require("moonpipe.cell.jobs")(c)

-- Streams note by finalizers that nobody holds them. LuaJIT runs those without hooks, so nobody
-- else may have any.
require "moonpipe.stream"
newproxy, debug.getfenv, debug.setfenv = nil, nil, nil

return require("moonpipe.cell.main").enter
