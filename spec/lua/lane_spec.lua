local helper = require "spec.helper"
local mp = require "moonpipe"
local guests = require "spec.support.guest"

describe("lane", function()
  it("calls a function in a VM of its own #concurrency", function()
    _G.seen = "here" -- luacheck: ignore
    local lane = mp.lane(function(x)
      local before = _G.seen
      _G.seen = x
      return tostring(before) .. x
    end)
    assert.equal("nil1", lane:invoke(1))
    assert.equal("nil2", lane:invoke(2)) -- and it keeps nothing
    assert.equal("here", _G.seen)
    _G.seen = nil -- luacheck: ignore
  end)

  it("copies values as data", function()
    local same = mp.lane(function(x) return x end)
    local value = { 1.5, "a\0\255", { deep = { true, mp.null } }, n = -0.25, [7] = "seven" }
    local out = same:invoke(value)
    assert.same(value, out)
    assert.are_not.equal(value, out)
    assert.is_nil(same:invoke(nil))
    assert.is_false(same:invoke(false))
    assert.is_nil(getmetatable(same:invoke(mp.HumanMessage "hi")))
  end)

  it("runs the function that a file returns", function()
    local path = helper.temp "local factor = 3 return function(x) return x * factor end"
    assert.equal(12, mp.pipe(mp.lane(path), mp.RunnableLambda(function(x) return x + 0 end)):invoke(4))
  end)

  it("finds the modules that its caller finds", function()
    local path = helper.temp "return { name = 'mine' }"
    local saved = package.path
    package.path = path .. ";" .. saved
    local ok, name = pcall(function()
      return mp.lane(function() return require("mine").name end):invoke(1)
    end)
    package.path = saved
    assert.same({ true, "mine" }, { ok, name })
  end)

  it("is a step of its chain: named, in a map, streamed whole", function()
    local lane = mp.lane(function(x) return x .. "!" end, { name = "shout" })
    assert.equal("shout", lane:get_name())
    assert.same({ a = "x!", b = "x!" }, mp.RunnableParallel({ a = lane, b = lane }):invoke("x"))
    assert.same({ "1!", "2!", n = 2 }, lane:batch { 1, 2 })
    assert.same({ "x!" }, require("spec.support.steps").chunks_of(lane:stream("x")))
    assert.matches("^lane .*lane_spec.lua:%d+$", mp.lane(function() end):get_name())
  end)

  it("raises what its function raises, at its place", function()
    local function err_of(fn, input)
      local _, err = mp.lane(fn):try_invoke(input)
      return err
    end
    local err = err_of(function(x) return x.y.z end, {})
    assert.equal("lua", err.kind)
    assert.matches("lane_spec.lua:%d+: attempt to index field 'y'", err.message)
    assert.matches("stack traceback", err.traceback)
    assert.equal("{}", err.input)
    err = err_of(function() error({ kind = "tool", message = "mine" }, 0) end)
    assert.same({ "tool", "mine" }, { err.kind, err.message })
    err = err_of(function() error({ kind = "no such", message = "mine" }, 0) end)
    assert.same({ "lua", "mine" }, { err.kind, err.message })
    assert.equal("no such city", err_of(function() return nil, "no such city" end).message)
    assert.equal("nil", err_of(function() error(nil, 0) end).message)
    assert.matches("stack overflow", err_of(function()
      local function deeper() return 1 + deeper() end
      return deeper()
    end).message)
  end)

  it("refuses what is no data", function()
    local _, err = mp.lane(function(x) return x end):try_invoke { print }
    assert.equal("input", err.kind)
    assert.matches("a lane takes data only: cannot serialize 'function'", err.message, 1, true)
    _, err = mp.lane(function() return print end):try_invoke(1)
    assert.same({ "lua", "a lane gives back data only: cannot serialize 'function'" },
      { err.kind, err.message })
    local loop = {}
    loop.loop = loop
    _, err = mp.lane(function(x) return x end):try_invoke(loop)
    assert.equal("a lane takes data only: too deep to serialize", err.message)
  end)

  it("refuses what cannot run in another VM", function()
    local outside = 1
    helper.raises("a lane's function runs in another VM: 'outside' is a local outside of it",
      mp.lane, function() return outside end)
    helper.raises("a lane takes no function of C", mp.lane, print)
    helper.raises("lane takes a function or the name of a file, got an empty table", mp.lane, {})
    helper.raises("cannot open /nowhere.lua", mp.lane, "/nowhere.lua")
    helper.raises("unknown option 'jitt' of lane", mp.lane, function() end, { jitt = false })
    local path = helper.temp "return 1"
    local _, err = mp.lane(path):try_invoke(1)
    assert.equal(path .. " must return a function, got number", err.message)
  end)

  it("lets others run meanwhile, in both VMs #concurrency", function()
    local busy = mp.lane(function(seconds)
      local co = coroutine.wrap(function() while true do coroutine.yield(1) end end)
      local stop, sum = os.clock() + seconds, 0
      while os.clock() < stop do sum = sum + co() end
      return sum > 0
    end)
    local ticks, task = 0, busy:start(0.3)
    while task:status() == "pending" or task:status() == "running" do
      mp.sleep(0.005)
      ticks = ticks + 1
    end
    assert.is_true(task:wait())
    assert.is_true(ticks > 3, ticks)
  end)

  -- More of them than cores, none of which ends before all have begun: they take turns.
  it("takes turns with other lanes #concurrency", function()
    local lane = mp.lane(function(given)
      io.open(given.path .. given.i, "w"):close()
      local there = 0
      while there < given.n do
        there = 0
        for i = 1, given.n do
          local file = io.open(given.path .. i)
          if file then there = there + 1 file:close() end
        end
      end
      return there
    end, { jit = false })
    local path, inputs = helper.fresh(), {}
    for i = 1, 5 do inputs[i] = { path = path, i = i, n = 5 } end
    local ok, out = pcall(lane.batch, lane, inputs, { timeout = 30 })
    for i = 1, 5 do os.remove(path .. i) end
    assert.same({ true, { 5, 5, 5, 5, 5, n = 5 } }, { ok, out })
  end)

  local ENDLESS = {
    ["a loop"] = function() while true do end end,
    ["a loop that catches errors"] = function()
      while true do pcall(function() while true do end end) end
    end,
    ["a coroutine"] = function() coroutine.wrap(function() while true do end end)() end,
    ["a function that C calls"] = function()
      return (("x"):gsub(".", function() while true do end end))
    end,
  }
  for name, fn in pairs(ENDLESS) do
    it("is cancelled in " .. name .. " #concurrency", function()
      local _, err = mp.lane(fn, { jit = false }):try_invoke(1, { timeout = 0.1 })
      assert.equal("timeout_total", err.kind)
      helper.run(function()
        while require("moonpipe.native").c.live() > 0 do mp.sleep(0.01) end
      end)
    end)
  end

  for name, fn in pairs(ENDLESS) do
    it("is killed in a process, compiled, in " .. name, function()
      local began = mp.now()
      local _, err = mp.lane(fn, { process = true }):try_invoke(1, { timeout = 0.3 })
      assert.equal("timeout_total", err.kind)
      assert.is_true(mp.now() - began < 10)
    end)
  end

  it("in a process is the same step", function()
    local path = helper.temp "local factor = 3 return function(x) return { x * factor } end"
    local lane = mp.lane(path, { process = true })
    assert.same({ { 3 }, { 6 }, { 9 }, { 12 }, { 15 }, n = 5 }, lane:batch { 1, 2, 3, 4, 5 })
    local deep = { { "a\0\255", 1.5, true } }
    assert.same(deep, mp.lane(function(x) return x end, { process = true }):invoke(deep))
    local function about() return { os.getenv "PATH", (jit.status()) } end
    assert.same({ os.getenv "PATH", true }, mp.lane(about, { process = true }):invoke(1))
    assert.same({ os.getenv "PATH", false },
      mp.lane(about, { process = true, jit = false }):invoke(1))
  end)

  it("in a process keeps its channel to itself", function()
    local function pipes()
      local list = io.popen("ls -l /proc/self/fd"):read "*a"
      local found = {}
      for fd in list:gmatch "(%d+) %-> pipe:" do found[#found + 1] = fd ~= "2" and fd or nil end
      return found
    end
    assert.same({ "1" }, mp.lane(pipes, { process = true }):invoke(1)) -- that of popen
  end)

  it("in a process needs the program for it", function()
    local c = require("moonpipe.native").c
    local original, answer = c.sandbox_program, nil
    c.sandbox_program = function() return unpack(answer, 1, 3) end
    local lane = mp.lane(function() end, { process = true })
    answer = { nil, "there is none", "unsupported" }
    local _, missing = lane:try_invoke(1)
    answer = { "/nonexistent/moonpipe-cell", 1, 1 }
    local _, unstarted = lane:try_invoke(1)
    c.sandbox_program = original
    assert.equal("unsupported: there is none", missing.kind .. ": " .. missing.message)
    assert.matches("cannot start '/nonexistent/moonpipe%-cell'", unstarted.message)
  end)

  it("in a process tells what ended it", function()
    local function err_of(fn)
      local _, err = mp.lane(fn, { process = true }):try_invoke(1)
      return err
    end
    assert.matches("lane_spec.lua:%d+: attempt to index", err_of(function(x)
      return x.y.z
    end).message)
    local err = err_of(function() os.exit(3) end)
    assert.same({ "internal", "the process of a lane ended: the program ended (exit code 3)" },
      { err.kind, err.message })
    if helper.sanitized then return end -- which takes the signal itself
    err = err_of(function() require("ffi").cast("int *", 0)[0] = 1 end)
    assert.equal("internal", err.kind)
    assert.matches("signal 11", err.message)
  end)

  it("ends with its caller's VM #concurrency", function()
    guests.prints("end\n", [[
      local endless = mp.lane(function() while true do end end, { jit = false })
      for _ = 1, 5 do endless:start(1) end
      local compiled = mp.lane(function() while true do end end, { process = true })
      for _ = 1, 5 do compiled:start(1) end
      mp.sleep(0.05)
      print "end"]])
  end)

  it("uses both cores", function()
    local function count(n)
      local x = 1
      for _ = 1, n do x = (x * 16807) % 2147483647 end
      return x
    end
    local lane, n, best = mp.lane(count), helper.long and 3e7 or 3e6, math.huge
    for _ = 1, 3 do
      local begin, cpu = mp.now(), os.clock()
      local one = { count(n), count(n), n = 2 }
      local middle, cpu_middle = mp.now(), os.clock()
      local out = mp.RunnableParallel({ lane, lane }):invoke(n)
      assert.same(one, out)
      best = math.min(best, (mp.now() - middle) / (middle - begin))
      -- on a busy machine only this is sure: two VMs compute no more than one
      assert.is_true(os.clock() - cpu_middle < 10 * (cpu_middle - cpu) + 0.5)
    end
    helper.figure(("two lanes took %.2f of the time in one VM"):format(best))
  end)
end)
