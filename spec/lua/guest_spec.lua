--- The module in somebody else's LuaJIT: scripts that plain `luajit` runs.
local guests = require "spec.support.guest"
local helper = require "spec.helper"

local guest, prints = guests.execute, guests.prints
local with_vectors = helper.with_vectors(it)
local PRELUDE, VMS, environment = guests.PRELUDE, guests.VMS, guests.environment

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

  it("waits in place in a coroutine of the user's own #concurrency", function()
    prints("1\t2\tdead\n", [[
      local co = coroutine.create(function()
        coroutine.yield(sleeper(0.001, 1):invoke())
        return (mp.RunnableParallel({ a = sleeper(0.001, 2) }):invoke(1).a)
      end)
      local _, first = coroutine.resume(co)
      local _, second = coroutine.resume(co)
      print(first, second, coroutine.status(co))]])
  end)

  it("locks scripts of others in", function()
    prints("2\thi\nlimit\n2\thi\nlimit\n", [[
      local model = mp.FakeListChatModel { responses = { "hi" } }
      for _, isolate in ipairs { false, true } do
        local box = mp.sandbox { models = { default = model }, isolate = isolate }
        local chain = box:load "local mp = require 'moonpipe' return mp.init_chat_model()"
        print(box:run "return 1 + 1", chain:invoke("?").content)
        local _, err = pcall(box.run, box, "while true do pcall(function() while true do end end) end")
        print(err.kind)
      end]])
  end)

  it("waits in place in a coroutine inside of a step #concurrency", function()
    prints("2\n", [[
      local function in_coroutine(x)
        return coroutine.wrap(function() return sleeper(0.005, x):invoke() end)()
      end
      local out = mp.RunnableParallel({ a = in_coroutine, b = in_coroutine }):invoke(1)
      print(out.a + out.b)]])
  end)

  it("lets tasks wait in coroutines once asked to #concurrency", function()
    prints("3\n", [[
      mp.wrap_coroutines()
      local running, peak = 0, 0
      local function branch()
        coroutine.wrap(function()
          running = running + 1
          peak = math.max(peak, running)
          mp.sleep(0.02)
          running = running - 1
        end)()
      end
      mp.RunnableParallel({ branch, branch, branch }):invoke(1)
      print(peak)]])
  end)

  it("goes on in mp.update, which never blocks #concurrency", function()
    prints("token 1\ndone 1\nerror boom\ntrue\n", [[
      local open = 2
      sleeper(0.01, 1):start(1, {
        on_token = function(v) print("token " .. v) end,
        on_done = function(v) print("done " .. v) open = open - 1 end,
      })
      step(function() mp.sleep(0.03) error("boom", 0) end):start(1, {
        on_error = function(err) print("error " .. err.message) open = open - 1 end,
      })
      local longest, deadline = 0, now() + 30
      while open > 0 and now() < deadline do
        local begin = now()
        mp.update(0.001)
        longest = math.max(longest, now() - begin)
      end
      print(longest < 5)]])
  end)

  it("returns from update without a budget while tasks are ready for ever", function()
    prints("true\ttrue\trunning\n", [[
      local endless = mp.RunnableGenerator(function(_, emit)
        while true do emit(1) end
      end)
      local count = 0
      local task = step(function()
        for _ in mp.RunnableParallel({ a = endless, b = endless }):stream(1) do count = count + 1 end
      end):start(1)
      local ready = mp.update()
      print(ready > 0, count > 100, task:status())
      task:cancel()]])
  end)

  it("keeps to the budget of update while tasks are ready", function()
    prints("true\ttrue\n", [[
      local function busy()
        for _ = 1, 5 do
          local stop = now() + 0.002
          while now() < stop do end
          mp.sleep(0)
        end
      end
      for _ = 1, 50 do step(busy):start(1) end
      local begin = now()
      local ready = mp.update(0.001)
      print(ready > 40, now() - begin < 0.05)]])
  end)

  it("leaves events for the next update where its budget is over", function()
    prints("true\t0\n", [[
      local left = false
      for _ = 1, 50 do -- on a busy machine the events may come later
        local told = 0
        for _ = 1, 200 do
          step(function() mp.sleep(0.001) told = told + 1 end):start(1)
        end
        while mp.update(0) > 0 and told == 0 do end -- all have begun
        local stop = now() + 0.05
        while now() < stop do end
        local ready, least = mp.update(0), told
        left = left or ready > 0 and least < 200
        local deadline = now() + 30
        while (ready > 0 or told < 200) and now() < deadline do ready = mp.update(0) end
        if left then break end
      end
      print(left, mp.update(0))]])
  end)

  it("closes the VM with tasks and jobs in flight #concurrency", function()
    prints("end\n", [[
      for i = 1, 100 do
        mp.RunnableParallel({ a = sleeper(60), b = sleeper(60):pipe(sleeper(1)) }):start(1)
        sleeper(60):stream(1, { timeout = 60 })
      end
      step(function() ("x"):gsub(".", function() mp.sleep(0.01) end) end):start(1)
      mp.update()
      print("end")]])
  end)

  for _, close in ipairs { "", ", true" } do
    it("exits with jobs in flight and keeps the code: os.exit(7" .. close .. ")", function()
      local _, stderr, code = guest(([[
        for i = 1, 100 do sleeper(60):start(1) end
        step(function()
          mp.sleep(0.001)
          os.exit(7%s)
        end):invoke(1)]]):format(close))
      assert.equal("", stderr)
      assert.equal(7, code)
    end)
  end

  it("keeps going under a merciless collector #concurrency", function()
    prints("200\n", [[
      collectgarbage("setpause", 1)
      collectgarbage("setstepmul", 1000)
      local sum = 0
      for i = 1, 20 do
        local map = { a = sleeper(0.0005, 5), b = { c = sleeper(0.0002, 5) } }
        local out = mp.RunnableParallel(map):stream(1):collect()
        mp.RunnableParallel(map):stream(1)() -- abandoned
        sum = sum + out.a + out.b.c
        if i % 5 == 0 then collectgarbage() end
      end
      print(sum)]])
  end)

  it("stands in finalizers, also those of the closing VM", function()
    prints("1\ntrue\nend\ntrue\n", [[
      local function at_end(fn)
        local guard = newproxy(true)
        getmetatable(guard).__gc = fn
        return guard
      end
      at_end(function() print((sleeper(0.001, 1):invoke())) end)
      collectgarbage()
      kept = at_end(function() print((pcall(mp.sleep, 0.001))) end)
      kept_too = at_end(function() print "end" end)
      print(true)]])
  end)

  with_vectors("finds its vectors where it was opened by a path from here", function()
    local folder, name = environment.LUA_CPATH:match("^(.-)([^/]*/[^/]*)$")
    local script = helper.temp(PRELUDE .. [[
      local index, message = require("moonpipe.native").c.index_new { dim = 2 }
      print(index and "found" or message)]])
    local here = {}
    for key, value in pairs(environment) do here[key] = value end
    here.LUA_CPATH, here.LD_PRELOAD = "./" .. name, false -- the shell cannot bear a sanitizer
    local stdout = helper.execute({ "sh", "-c", [[cd "$1" && LD_PRELOAD=$3 exec luajit "$2"]], "sh",
      folder, script, environment.LD_PRELOAD or "" }, nil, here)
    assert.equal("found\n", stdout)
  end)

  it("ends at Ctrl-C as luajit does #signal", function()
    local script = helper.temp(PRELUDE .. [[
      print "ready"
      io.flush()
      mp.RunnableParallel({ sleeper(60), sleeper(60) }):invoke(1)]])
    local out = helper.temp()
    local _, stderr, code = helper.execute({ "sh", "-c", [[
      luajit "$1" >"$2" & pid=$!
      until [ -s "$2" ]; do sleep 0.01; done
      sleep 0.05
      kill -INT $pid
      wait $pid]], "sh", script, out }, nil, environment)
    assert.matches("interrupted!", stderr, 1, true)
    assert.equal(1, code)
  end)
end)

describe("several VMs", function()
  it("share the process, each with its own loop #concurrency", function()
    prints("ok\n", VMS .. [[
      local vms = {}
      for i = 1, 8 do
        vms[i] = open()
        run(vms[i], "mp = require 'moonpipe' task = mp.RunnableLambda(function() " ..
          "mp.sleep(0.02) return 'vm' end):start(1) mp.update()")
      end
      assert(sleeper(0.01, "mine"):invoke() == "mine")
      for i = 1, 8 do run(vms[i], "assert(task:wait() == 'vm')") end
      for i = 1, 8 do C.lua_close(vms[i]) end
      print "ok"]])
  end)

  it("come and go with jobs in flight #concurrency", function()
    prints("ok\n", VMS .. [[
      local mine = sleeper(0.2, "mine"):start(1)
      mp.update()
      for i = 1, 200 do
        local L = open()
        run(L, "mp = require 'moonpipe' for i = 1, 10 do mp.RunnableLambda(function() " ..
          "mp.sleep(60) end):start(1) end mp.update()")
        C.lua_close(L)
      end
      assert(mine:wait() == "mine")
      print "ok"]])
  end)

  it("may be opened and run inside of a step #concurrency", function()
    prints("ok\n", VMS .. [[
      step(function()
        local L = open()
        run(L, "local mp = require 'moonpipe' mp.sleep(0.001)")
        C.lua_close(L)
      end):invoke(1)
      print "ok"]])
  end)
end)
