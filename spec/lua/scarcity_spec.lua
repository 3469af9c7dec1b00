-- Calls in a process that is short of something: descriptors, threads. Each is a
-- child, which is started with less of it.
local child = require "spec.support.child"
local helper = require "spec.helper"
local servers = require "spec.support.server"

describe("row 34: a process with few descriptors", function()
  local server, other = servers.use(), servers.use()

  it("queues its calls", function()
    assert.equal("200 x 200", child.run({ limits = "-n 64" }, "print(outcomes(arg[1], 200))",
      server:with({ delay = 10 })))
    assert.truthy(server:stats().peak < 64)
  end)

  it("has some for each server that it calls", function()
    -- connections that are kept for the next call must not use them all
    assert.equal("200 x 100\n200 x 100\n200 x 100", child.run({ limits = "-n 64" }, [[
      for i = 1, 3 do print(outcomes(arg[i], 100)) end]],
      server:with({ delay = 10 }), other:with({ delay = 10 }), server.base_url))
  end)

  it("waits for those that others hold", function()
    assert.equal("EMFILE, 200 x 20", child.run({ limits = "-n 64" }, [[
      assert(outcomes(arg[2], 1) == "200 x 1") -- starts all that need descriptors
      local files = {}
      while true do
        local file = io.open("/dev/null")
        if not file then break end
        files[#files + 1] = file
      end
      local waiting = mp.RunnableLambda(function() return outcomes(arg[1], 20) end):start()
      mp.sleep(0.2)
      io.write(waiting:status() == "running" and "EMFILE, " or waiting:status())
      for _, file in ipairs(files) do file:close() end
      print(waiting:wait())]], server.base_url, other.base_url))
    assert.equal(20, server:stats().requests)
  end)

  it("cancels calls that wait for them", function()
    assert.equal("cancelled", child.run({ limits = "-n 40" }, [[
      local step = mp.RunnableLambda(function() return outcomes(arg[1], 100) end)
      local task = step:start()
      mp.sleep(0.1)
      task:cancel()
      local _, err = task:wait()
      print(err.kind)]], server:with("never")))
    assert.equal(0, server:wait(function(stats) return stats.in_flight == 0 end).in_flight)
  end)

  it("lets no child have its connections", function()
    -- one that lives on would keep that of a cancelled call open
    child.run({}, [[
      local task = mp.RunnableLambda(function() return outcomes(arg[1], 1) end):start()
      mp.sleep(0.2)
      os.execute("sleep 5 >/dev/null 2>&1 &")
      task:cancel()]], server:with("never"))
    assert.equal(1, server:wait(function(stats) return stats.aborted == 1 end, 1).aborted)
  end)
end)

describe("row 38: a process without threads", function()
  local server = servers.use()
  -- TSan starts one for itself, with the first of ours
  local own = helper.execute({ "ldd", helper.bin }):find("libtsan") and 1 or 0

  it("fails with memory, and lives on", function()
    assert.equal("memory x 2", child.run({ preload = "few_threads", env = { FEW_THREADS = 0 } },
      "print(outcomes(arg[1], 2))", server.base_url))
  end)

  it("needs one, whatever it calls", function()
    assert.equal("200 x 50", child.run({ preload = "few_threads", env = { FEW_THREADS = 1 + own } },
      "print(outcomes(arg[1], 50))", server.base_url))
  end)

  it("cannot look up names, which is no fault of the names", function()
    local url = server.base_url:gsub("127.0.0.1", "slow-0.test")
    assert.equal("memory x 3", child.run({ preload = "few_threads", env = { FEW_THREADS = 1 + own } },
      "print(outcomes(arg[1], 3))", url))
  end)
end)
