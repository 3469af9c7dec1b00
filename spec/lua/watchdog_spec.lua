-- The times are of the process's own computing, so that a
-- busy machine changes nothing.
local helper = require "spec.helper"

local SECONDS = 0.2

-- Runs a script whose step is `body`, with `burn(seconds)` to compute.
local function run(body, options, seconds)
  local path = helper.temp([[
local mp = require "moonpipe"
local function burn(seconds)
  local begun = os.clock()
  while os.clock() - begun < seconds do end
end
local step = mp.RunnableLambda(function()
]] .. body .. [[

end)
]] .. (options and options.main or "step:invoke(1)") .. [[

io.write "done"
]])
  local args = { "run", path }
  if options and options.jit == false then table.insert(args, 1, "--jit=off") end
  local out, err = helper.moonpipe(args, nil, { MOONPIPE_WATCHDOG = seconds or SECONDS })
  assert.equal("done", out, err)
  return err, path
end

describe("row 44: the watchdog #signal", function()
  it("names a function that does not come back, and where it is", function()
    local err, path = run("burn(0.6)", { jit = false })
    assert.truthy(err:find("moonpipe: lambda at " .. path .. ":6 has not yielded for 0.2 s, it is at "
      .. path .. ":4; nothing else runs\n", 1, true), err)
    assert.equal(1, select(2, err:gsub("\n", "")))
  end)

  it("names the place that was compiled last, where that is a loop", function()
    local err, path = run([[
  local begun, n = os.clock(), 0
  repeat
    for i = 1, 1e6 do n = n + i end
  until os.clock() - begun > 1.5]])
    assert.truthy(err:find("has not yielded for 0.2 s", 1, true), err)
    assert.truthy(err:find("moonpipe: lambda at " .. path .. ":6", 1, true), err)
  end)

  it("says nothing of a function that waits now and then", function()
    assert.equal("", (run("for _ = 1, 40 do burn(0.02) mp.sleep(0) end", { jit = false })))
  end)

  it("says nothing of many that are quick", function()
    assert.equal("", (run("burn(0.02)", { jit = false, main = [[
      for _ = 1, 5 do step:batch { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 } end]] })))
  end)

  it("says nothing of a function that waits for the system", function()
    assert.equal("", (run('os.execute "sleep 1"')))
  end)

  it("says nothing of a script that computes alone", function()
    assert.equal("", (run("", { jit = false, main = "burn(0.6)" })))
  end)

  it("speaks of a script that keeps others waiting", function()
    local err = run("mp.sleep(0.01)", { jit = false, main = [[
      local task = step:start(1)
      mp.sleep(0)
      burn(0.6)
      task:wait()]] })
    assert.truthy(err:find("has not yielded for 0.2 s", 1, true), err)
  end)

  it("can be told to say nothing", function()
    assert.equal("", (run("burn(0.6)", { jit = false }, 0)))
  end)
end)
