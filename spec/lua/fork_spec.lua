--- A process that forks while its jobs are in flight. The child has one thread:
--- what it waited for answers `closed`, what it begins anew works.
local helper = require "spec.helper"

local PRELUDE = [[
local mp = require "moonpipe"
local ffi = require "ffi"
ffi.cdef "int fork(void); int waitpid(int, int *, int);"
local step = mp.RunnableLambda
local function sleeper(seconds, value)
  return step(function() mp.sleep(seconds) return value end)
end
-- Runs fn in a child, and gives its exit code, or 128 + the signal that ended it.
local function fork(fn)
  io.stdout:flush()
  local pid = ffi.C.fork()
  if pid == 0 then
    local ok, err = pcall(fn)
    if not ok then io.stderr:write(tostring(err), "\n") end
    os.exit(ok and 0 or 1)
  end
  return function()
    local status = ffi.new("int[1]")
    ffi.C.waitpid(pid, status, 0)
    local signal = bit.band(status[0], 127)
    return signal > 0 and 128 + signal or bit.rshift(status[0], 8)
  end
end
]]

-- LeakSanitizer looks for the parent's threads in the child, and ThreadSanitizer
-- knows no child that starts threads.
local environment = { ASAN_OPTIONS = "detect_leaks=0" }
local it = helper.execute({ "ldd", helper.bin }):find("libtsan", 1, true) and pending or it

local function prints(expected, text)
  local script = helper.temp(PRELUDE .. text)
  local stdout, stderr, code = helper.moonpipe({ "run", script }, nil, environment)
  assert.equal("", stderr)
  assert.equal(expected, stdout)
  assert.equal(0, code)
end

describe("fork", function()
  it("answers closed in the child and leaves the parent alone", function()
    prints("closed\nslept\n0\n", [[
      local task = sleeper(0.1, "slept"):start(1)
      mp.sleep(0.001)
      local child = fork(function()
        local _, err = task:wait()
        print(err.kind)
      end)
      local code = child()
      print((task:wait()))
      print(code)]])
  end)

  it("lets the child begin anew", function()
    prints("3\n0\n", [[
      sleeper(60):start(1)
      mp.sleep(0.001)
      print((fork(function()
        local out = mp.RunnableParallel({ a = sleeper(0.002, 1), b = sleeper(0.001, 2) }):invoke(1)
        print(out.a + out.b)
      end)()))
      os.exit(0)]])
  end)

  it("lets the child cancel and close what it inherits", function()
    prints("cancelled\n0\n", [[
      local task = mp.RunnableParallel({ sleeper(60), sleeper(60) }):start(1)
      local stream = mp.RunnableParallel({ a = sleeper(60) }):stream(1, { timeout = 60 })
      step(function() pcall(stream) end):start(1)
      mp.sleep(0.001)
      print((fork(function()
        task:cancel()
        stream:close()
        stream = nil
        collectgarbage()
        local _, err = task:wait()
        print(err.kind)
        mp.sleep(0.001)
      end)()))
      os.exit(0)]])
  end)

  it("fails a map of which a branch forks, and only in the child", function()
    prints("closed map.b\n1 2\n0\n", [[
      local child
      local ok, out = pcall(function()
        return mp.RunnableParallel({
          a = function()
            mp.sleep(0.01)
            local pid = ffi.C.fork()
            child = child or pid
            return 1
          end,
          b = sleeper(0.1, 2),
        }):invoke(1)
      end)
      if child == 0 then
        print(out.kind .. " " .. out.path)
        os.exit(0)
      end
      local status = ffi.new("int[1]")
      ffi.C.waitpid(child, status, 0)
      print(out.a .. " " .. out.b)
      print(status[0])]])
  end)

  for name, ending in pairs({
    ["by os.exit"] = "os.exit(7)",
    ["by os.exit that closes the VM"] = "os.exit(7, true)",
    ["by os.exit after a call"] = "mp.sleep(0.001) os.exit(7, true)",
  }) do
    it("lets the child end " .. name, function()
      prints("7\nslept\n", ([[
        local task = sleeper(0.05, "slept"):start(1)
        mp.sleep(0.001)
        print((fork(function() %s end)()))
        print((task:wait()))]]):format(ending))
    end)
  end

  it("lets the child run to the end of the script", function()
    prints("child\nparent 0\n", [[
      local task = sleeper(0.05):start(1)
      mp.sleep(0.001)
      local pid = ffi.C.fork()
      if pid == 0 then
        print "child"
        io.stdout:flush()
        return
      end
      local status = ffi.new("int[1]")
      ffi.C.waitpid(pid, status, 0)
      print("parent " .. status[0])]])
  end)

  it("holds while the I/O thread is busy, again and again", function()
    prints("0\n400\n", [[
      local steps = {}
      for i = 1, 20 do
        steps[i] = function()
          for _ = 1, 20 do mp.sleep(0.001) end
          return 20
        end
      end
      local task = mp.RunnableParallel(steps):start(1)
      local children = {}
      for i = 1, 20 do
        mp.sleep(0.0007)
        children[i] = fork(function()
          mp.sleep(0.001)
          assert(sleeper(0.001, i):invoke() == i)
        end)
      end
      local codes, sum = 0, 0
      for _, child in ipairs(children) do codes = codes + child() end
      for _, value in ipairs((task:wait())) do sum = sum + value end
      print(codes)
      print(sum)]])
  end)

  it("lets children fork too", function()
    prints("5\n", [[
      local task = sleeper(60):start(1)
      mp.sleep(0.001)
      print((fork(function()
        mp.sleep(0.001)
        local code = fork(function()
          assert(task:wait() == nil)
          mp.sleep(0.001)
          os.exit(5)
        end)()
        os.exit(code)
      end)()))
      os.exit(0)]])
  end)
end)
