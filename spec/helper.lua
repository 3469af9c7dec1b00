--- What specs share: the binary under test, scripts, and the state that every
--- test must leave clean. busted loads it once, before any spec.
local busted = require "busted"

local helper = {}

--- The binary under test; scripts/test sets it for each build.
helper.bin = os.getenv("MOONPIPE_BIN") or "build/moonpipe"

--- True in a build with sanitizers: they keep freed memory, so what the process
--- occupies says nothing there.
helper.sanitized = (os.getenv("MOONPIPE_SANITIZED") or "") ~= ""

--- True in the long tier: tests that know two sizes take the full one; not with
--- sanitizers, which run all specs, ten times slower.
helper.long = (os.getenv("MOONPIPE_LONG") or "") ~= "" and not helper.sanitized

--- Notes a figure of the long tier: a line of spec/LONG.md.
---@param text string
function helper.figure(text)
  if not helper.long then return end
  local path = os.getenv("MOONPIPE_FIGURES")
  local file = path and assert(io.open(path, "a")) or io.stdout
  file:write(text, "\n")
  if path then file:close() end
end

--- Gives `it` for tests that need vectors: pending where the build has no FAISS.
---@param it fun(name: string, fn: function)
function helper.with_vectors(it)
  local _, message = require("moonpipe.native").c.index_new { dim = 1 }
  if not (message or ""):find("there is no moonpipe_vector.so", 1, true) then return it end
  return function(name, fn)
    it(name, function() getfenv(fn).pending("built without FAISS") end) -- the test's, not ours
  end
end

-- --- files and processes -------------------------------------------------------

local function quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

--- Writes a file; the next tests may not see it: see helper.temp.
function helper.write(path, text)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
end

--- Returns the text of a file.
function helper.read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

--- CPU time of processes of ours that have ended, in seconds; the kernel counts hundredths.
function helper.children_seconds()
  local user, system = helper.read("/proc/self/stat"):match("%) %S" .. (" %-?%d+"):rep(12)
    .. " (%d+) (%d+)")
  return (user + system) / 100
end

local temps = {}

--- Returns the name of a file that is removed after the test, written when
--- there is a text.
function helper.temp(text)
  local path = os.tmpname()
  temps[#temps + 1] = path
  if text then helper.write(path, text) end
  return path
end

--- Returns a name at which there is no file; what is there after the test is
--- removed, also what SQLite keeps beside a database.
function helper.fresh()
  local path = helper.temp()
  for _, rest in ipairs { "-wal", "-shm" } do temps[#temps + 1] = path .. rest end
  os.remove(path)
  return path
end

local function words(list)
  local out = {}
  for i, word in ipairs(list) do out[i] = quote(tostring(word)) end
  return table.concat(out, " ")
end

local function settings(env)
  local out, all = {}, { XDG_CONFIG_HOME = "/dev/null" } -- whose settings the user's are not
  for name, value in pairs(env or {}) do all[name] = value end
  for name, value in pairs(all) do
    -- false unsets
    out[#out + 1] = value and name .. "=" .. quote(tostring(value)) or "-u " .. name
  end
  table.sort(out)
  return "timeout -s KILL 60 env " .. table.concat(out, " ") .. " "
end

--- Runs a program and returns its stdout, its stderr and its exit code
--- (128 + n after signal n; after a minute it is killed). `env` names variables
--- to set, false unsets one.
---@param command string[]  the program and its arguments
---@param stdin? string  the bytes it reads; nothing by default
---@param env? table<string, string|number|false>
---@return string stdout, string stderr, integer code
function helper.execute(command, stdin, env)
  local out, err, code = helper.temp(), helper.temp(), helper.temp()
  local input = stdin and helper.temp(stdin) or "/dev/null"
  os.execute(("%s%s <%s >%s 2>%s; echo $? >%s"):format(settings(env), words(command),
    quote(input), quote(out), quote(err), quote(code)))
  return helper.read(out), helper.read(err), tonumber(helper.read(code))
end

--- Runs the binary under test.
---@param args string[]
function helper.moonpipe(args, stdin, env)
  return helper.execute({ helper.bin, unpack(args) }, stdin, env)
end

--- Runs a script text through `moonpipe run FILE`, with arguments for it.
---@param text string
function helper.script(text, ...)
  return helper.moonpipe({ "run", helper.temp(text), ... })
end

-- --- tasks -----------------------------------------------------------------------

--- Runs `fn` as a task of its own, at most `timeout` seconds (10), and returns
--- its value; an error is raised again.
---@param fn fun(): any
---@param timeout? number
function helper.run(fn, timeout)
  local mp = require "moonpipe"
  local task = mp.RunnableLambda(fn):start(nil, { timeout = timeout or 10 })
  local value, err = task:wait()
  if err ~= nil then error(err, 0) end
  return value
end

--- Checks that `fn` raises, and that its message holds `fragment`. Returns the
--- error, for a look at its kind.
---@param fragment string
---@param fn function
function helper.raises(fragment, fn, ...)
  local ok, err = pcall(fn, ...)
  if ok then error("nothing was raised; expected: " .. fragment, 2) end
  if not tostring(err):find(fragment, 1, true) then
    error(("expected: %s\nraised:   %s"):format(fragment, tostring(err)), 2)
  end
  return err
end

--- What a programmer is told of a wrong call, without the place, which must be
--- that of the spec.
function helper.said(fn, ...)
  local ok, err = pcall(fn, ...)
  if ok then error("nothing was raised", 2) end
  local text, places = tostring(err):gsub("^[^:]*spec[^:]*%.lua:%d+: ", "")
  if places ~= 1 then error("no place of the spec in: " .. text, 2) end
  return text
end

--- The mp.Error that `fn` raises.
function helper.failure(fn, ...)
  local ok, err = pcall(fn, ...)
  if ok then error("nothing was raised", 2) end
  if not require("moonpipe.error").is(err) then error("no mp.Error: " .. tostring(err), 2) end
  return err
end

--- The message of the mp.Error of kind `input` that `fn` raises.
function helper.input_failure(fn, ...)
  local err = helper.failure(fn, ...)
  if err.kind ~= "input" then error("kind " .. err.kind .. ": " .. err.message, 2) end
  return err.message
end

-- --- after each test -------------------------------------------------------------

local known = {}

local function new_globals()
  local found = {}
  for name in pairs(_G) do
    if not known[name] then
      known[name] = true
      found[#found + 1] = tostring(name)
    end
  end
  table.sort(found)
  return table.concat(found, ", ")
end

local function check_globals()
  local names = new_globals()
  if names ~= "" then error("the test left globals: " .. names, 0) end
end

-- A cancelled native job still answers, a little later: it has a second.
local function check_pending()
  local scheduler = package.loaded["moonpipe.scheduler"]
  if not scheduler then return end
  local deadline = os.time() + 2 -- whole seconds: at least one
  while scheduler.pending() > 0 and os.time() < deadline do
    require("moonpipe").sleep(0.005)
  end
  local count = scheduler.pending()
  if count ~= 0 then error(("the test left %d tasks or jobs"):format(count), 0) end
end

local function remove_temps()
  for i = #temps, 1, -1 do
    os.remove(temps[i])
    temps[i] = nil
  end
end

-- busted reports an error here as `suite after_each`, which names no test.
local current

busted.subscribe({ "test", "start" }, function(element)
  current = element
  return nil, true
end)

busted.after_each(function()
  remove_temps()
  collectgarbage()
  collectgarbage()
  for _, check in ipairs({ check_globals, check_pending }) do
    local ok, message = pcall(check)
    if not ok then error(("%s: %s"):format(current and current.name, message), 0) end
  end
end)

new_globals() -- those that are there before the first test

return helper
