-- Names that are slow to look up, many calls to one, and what is wrong with them. The
-- resolver is spec/support/slow_resolver.c, in a child.
local child = require "spec.support.child"
local guests = require "spec.support.guest"
local helper = require "spec.helper"
local process = require "spec.support.process"
local proxies = require "spec.support.proxy"
local server = require("spec.support.server").use()

-- Runs a text whose first argument is a base URL with a name; gives what it printed
-- and how many lookups there were.
local function resolved(name, text, ...)
  local log = helper.temp("")
  local url = server.base_url:gsub("127.0.0.1", name)
  -- at os.exit the VM is not closed, and what Lua's libraries hold is not freed
  local env = { RESOLVER_LOG = log, ASAN_OPTIONS = text:find("os.exit") and "detect_leaks=0" }
  local out = child.run({ preload = "slow_resolver", env = env }, text, url, server.base_url, ...)
  return out, #helper.read(log)
end

describe("a name", function()
  it("is looked up once for any number of calls at once", function()
    local out, lookups = resolved("slow-50.test", [[
      print(outcomes(arg[1], 200))
      local threads = io.open("/proc/self/status"):read("*a"):match("Threads:%s*(%d+)")
      assert(tonumber(threads) <= 4, threads)]])
    assert.same({ "200 x 200", 1 }, { out, lookups })
  end)

  it("is looked up once in a process with few descriptors, too", function()
    local log = helper.temp("")
    local url = server.base_url:gsub("127.0.0.1", "slow-20.test")
    local out = child.run({ preload = "slow_resolver", env = { RESOLVER_LOG = log },
      limits = "-n 64" }, "print(outcomes(arg[1], 200))", url)
    assert.same({ "200 x 200", 1 }, { out, #helper.read(log) })
  end)

  it("that nobody knows fails for all who wait for it, with one lookup", function()
    local out, lookups = resolved("unknown-50.test", "print(outcomes(arg[1], 50))")
    assert.same({ "dns x 50", 1 }, { out, lookups })
  end)

  it("leads many calls at once to one HTTP/2 connection", function()
    local tls = proxies.tls({ to = server.port })
    local out = child.run({ preload = "slow_resolver" }, [[
      io.write(outcomes(arg[1], 100, { ca_file = arg[2] }))
      local port, count = (":%04X 01 "):format(arg[3]), 0
      for line in io.lines("/proc/self/net/tcp") do
        if line:find(port, 20, true) then count = count + 1 end
      end
      print(", " .. count .. " connection")]],
      ("https://slow-50.test:%d/v1"):format(tls.port), tls.ca_file, tls.port)
    tls:stop()
    assert.equal("200 x 100, 1 connection", out)
  end)

  it("is asked for by the next one where the first gives up", function()
    local out, lookups = resolved("slow-100.test", [[
      local first = mp.RunnableLambda(function() return outcomes(arg[1], 1) end):start()
      local second = mp.RunnableLambda(function() return outcomes(arg[1], 3) end):start()
      mp.sleep(0.02)
      first:cancel()
      print(second:wait())]])
    assert.same({ "200 x 3", 2 }, { out, lookups })
  end)

  it("is asked for a few times in a second, however often one gives up", function()
    local out, lookups = resolved("slow-700.test", [[
      local step = mp.RunnableLambda(function() return outcomes(arg[1], 1) end)
      local begun = calls.now()
      for _ = 1, 40 do
        local task = step:start()
        mp.sleep(0.005)
        task:cancel()
        local _, err = task:wait()
        assert(err.kind == "cancelled")
      end
      local last, seconds = step:invoke(), calls.now() - begun
      print(last, seconds)]])
    local last, seconds = out:match("^(.*)\t(.*)$")
    assert.equal("200 x 1", last)
    assert.is_true(lookups <= 8 * (1 + math.floor(tonumber(seconds))), lookups)
  end)
end)

describe("a resolver that takes five seconds", function()
  -- the text has 5 s to end, for it may wait for no lookup
  local function check(expected, text, ...)
    local begun = os.time()
    local out = resolved("slow-5000.test", text, ...)
    assert.equal(expected, out)
    assert.truthy(os.time() - begun < 5)
  end

  it("does not hold up a cancel", function()
    check("cancelled true", [[
      local task = mp.RunnableLambda(function() return outcomes(arg[1], 10) end):start()
      mp.sleep(0.05)
      local begun = calls.now()
      task:cancel()
      local _, err = task:wait()
      io.write(err.kind, " ")
      print(calls.now() - begun < 0.2)]])
  end)

  it("does not hold up the connect timeout, for any of those who wait", function()
    check("timeout_connect x 10 true", [[
      local begun = calls.now()
      io.write(outcomes(arg[1], 10, { connect = 0.1 }))
      local took = calls.now() - begun
      print(took >= 0.1 and took < 1 and " true" or took)]])
  end)

  it("does not hold up the total time", function()
    check("timeout_total x 10", [[
      local plan = calls.plan(arg[1])
      local step = mp.RunnableLambda(function()
        local _, err = pcall(http.send, plan, calls.BODY, calls.now() + 0.1)
        return err.kind
      end)
      local seen = 0
      for _, kind in ipairs(step:batch({ 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 })) do
        assert(kind == "timeout_total", kind)
        seen = seen + 1
      end
      print("timeout_total x " .. seen)]])
  end)

  it("does not hold up the end of the process", function()
    check("", "mp.RunnableLambda(function() calls.send(arg[1]) end):start() mp.sleep(0.05) os.exit(0)")
    check("", [[
      mp.RunnableLambda(function() pcall(calls.send, arg[1]) end):start():cancel()
      mp.sleep(0.05)]])
  end)

  it("holds up nobody else: a hundred streams go on meanwhile", function()
    check("100 streams true", [[
      local waiting = mp.RunnableLambda(function() return outcomes(arg[1], 10) end):start()
      mp.sleep(0.02)
      local stream = mp.RunnableLambda(function()
        local records = calls.read(calls.open(arg[3]))
        return records[#records]
      end)
      local inputs, done = {}, 0
      for i = 1, 100 do inputs[i] = i end
      local begun = calls.now()
      for _, last in ipairs(stream:batch(inputs)) do
        if last == "[DONE]" then done = done + 1 end
      end
      local took = calls.now() - begun
      io.write(done, " streams ")
      print(took < 2 and waiting:status() == "running")
      waiting:cancel()]], server:with({ tokens = 10, gap = 10 }))
  end)
end)

-- A guest, for it can close a VM of its own while the others go on.
describe("a resolver that takes five seconds, and a hundred streams", function()
  it("hold up neither a cancel, nor the connect timeout, nor the close of a VM", function()
    local environment = {}
    for name, value in pairs(guests.environment) do environment[name] = value end
    local runtime = environment.LD_PRELOAD
    environment.LD_PRELOAD = (runtime and runtime .. ":" or "") .. process.helper("slow_resolver.so")
    local text = guests.PRELUDE .. guests.VMS .. [[
      local slow = mp.ChatOpenAI { base_url = arg[1], api_key = false, max_retries = 0,
        timeout = { connect = 0.3 } }
      local patient = mp.ChatOpenAI { base_url = arg[1], api_key = false, timeout = { connect = 60 } }
      local quick = mp.ChatOpenAI { base_url = arg[2] }
      local L = open()
      local heard, tasks = 0, {}
      for i = 1, 100 do
        tasks[i] = quick:start("hi", { on_token = function() heard = heard + 1 end })
      end
      run(L, ("url = '%s'"):format(arg[1]) .. [=[
        mp = require "moonpipe"
        local model = mp.ChatOpenAI { base_url = url, api_key = false, timeout = { connect = 60 } }
        for i = 1, 5 do model:start("hi") end
        mp.update()
        mp.sleep(0.02)]=])
      local late, cancelled = slow:start("hi"), patient:start("hi")
      while heard < 100 do mp.sleep(0.002) end
      local function timed(what, limit, fn)
        local begun = now()
        local kind = fn()
        local took = now() - begun
        io.write(what, " ", tostring(kind), took < limit and " in time" or took, "\n")
      end
      timed("cancel", 0.2, function() cancelled:cancel() return select(2, cancelled:wait()).kind end)
      timed("connect", 1, function() return select(2, late:wait()).kind end)
      timed("close", 1, function() C.lua_close(L) end)
      local whole = 0
      for i = 1, 100 do
        local text = assert(tasks[i]:wait()).content
        if text:find("^tok0 .*tok59$") then whole = whole + 1 end
      end
      print(whole .. " streams")]]
    local begun = os.time()
    local out, err, code = helper.execute({ "timeout", "60", "luajit", helper.temp(text),
      (server.base_url:gsub("127.0.0.1", "slow-5000.test")), server:with({ tokens = 60, gap = 20 }) },
      nil, environment)
    assert.same({ "cancel cancelled in time\nconnect timeout_connect in time\nclose nil in time\n"
      .. "100 streams\n", "", 0 }, { out, err, code })
    assert.truthy(os.time() - begun < 5)
    assert.equal(100, server:stats().completed)
  end)
end)

describe("row 60: a server whose IPv6 address does not answer", function()
  it("is reached by IPv4 soon", function()
    local port = server.deaf_url:match("%d+$")
    local out = resolved("broken6-" .. port .. ".test", [[
      local begun = calls.now()
      io.write(calls.send(arg[1], { connect = 5 }).status)
      local took = calls.now() - begun
      print(took < 2 and " soon" or took)]])
    assert.equal("200 soon", out)
  end)

  it("is reached at once where only IPv4 is asked for", function()
    local port = server.deaf_url:match("%d+$")
    local out = resolved("broken6-" .. port .. ".test", [[
      local begun = calls.now()
      io.write(calls.send(arg[1], { connect = 5, ip = 4 }).status)
      local took = calls.now() - begun
      print(took < 0.15 and " at once" or took)]])
    assert.equal("200 at once", out)
  end)
end)
