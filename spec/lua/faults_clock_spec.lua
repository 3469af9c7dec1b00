-- What time does to calls that are under way: a process that stands still, as all do
-- while a machine sleeps, and clocks that jump. Row 49 of the fault list.
local child = require "spec.support.child"
local helper = require "spec.helper"
local process = require "spec.support.process"
local server = require("spec.support.server").use()

-- Runs a text; when it has printed something it stands still for [seconds], and
-- [meanwhile] is run. Gives what it printed.
local function stopped(seconds, meanwhile, text, ...)
  local out = helper.temp("")
  local _, stderr, code = helper.execute({ "sh", "-c", [[
    out=$1 seconds=$2 meanwhile=$3; shift 3
    "$@" >"$out" & pid=$!
    until [ -s "$out" ]; do sleep 0.01; done
    kill -STOP $pid; eval "$meanwhile"; sleep "$seconds"; kill -CONT $pid
    wait $pid]], "sh", out, seconds, meanwhile, helper.bin, helper.temp(child.PRELUDE .. text), ... })
  assert.same({ "", 0 }, { stderr, code })
  return helper.read(out)
end

-- More streams than one look at the sockets tells of, and how they end. All are under
-- way when it prints the first line; by then libcurl's own timers, which would look at
-- the sockets too, have fired.
local STREAMS = [[
  local plan = calls.plan(arg[1], { idle = tonumber(arg[2]), first_byte = tonumber(arg[3]) })
  local open, waits = 0, tonumber(arg[4])
  local function begun()
    open = open + 1
    if open < 400 then return end
    mp.sleep(waits)
    print "open"
    io.flush()
  end
  local step = mp.RunnableLambda(function()
    if arg[3] then begun() end
    local reader = http.open(plan, calls.STREAM, calls.now() + 60)
    if not arg[3] then begun() end
    local records, err = calls.read(reader)
    return err and err.kind or records[#records]
  end)
  waits = waits or 0.5
  local inputs, seen = {}, {}
  for i = 1, 400 do inputs[i] = i end
  for _, outcome in ipairs(step:batch(inputs, { return_exceptions = true })) do
    outcome = type(outcome) == "table" and outcome.kind or outcome
    seen[outcome] = (seen[outcome] or 0) + 1
  end
  for outcome, count in pairs(seen) do print(outcome, count) end]]

describe("row 49: a process that stood still", function()
  it("reads what came meanwhile before it looks at the idle time", function()
    assert.equal("open\n[DONE]\t400\n",
      stopped(2, ":", STREAMS, server:with({ tokens = 30, gap = 100 }), 1.2))
  end)

  it("reads first bytes that came meanwhile", function()
    local base_url = server:lane("held", { default = { hold = true, tokens = 3 } })
    local release = ("curl -sS -X POST %s/release >/dev/null"):format(server.control_url)
    -- all must be under way before the first one's time is over
    local seconds = helper.sanitized and 9 or 3
    assert.equal("open\n[DONE]\t400\n",
      stopped(seconds, release, STREAMS, base_url, 20, seconds))
  end)

  it("finds that nothing came, too", function()
    assert.equal("open\ntimeout_idle\t400\n",
      stopped(1.5, ":", STREAMS, server:with({ tokens = 3, stall = 400 }), 1.2))
  end)
end)

-- The clocks of spec/support/clocks.c; mp.sleep makes the I/O thread look at them.
local CLOCKS = [[
  local ffi = require "ffi"
  ffi.cdef "void clocks_jump(double seconds); void clocks_wander(void);"
  local clocks = ffi.load(arg[1])
  local function jump(seconds)
    clocks.clocks_jump(seconds)
    mp.sleep(0)
  end
]]

local function with_clocks(text, ...)
  return child.run({ preload = "clocks" }, CLOCKS .. text, process.helper("clocks.so"), ...)
end

describe("row 49: a gap of more than half a minute", function()
  it("ends what waited too long once, and that is tried again", function()
    local base_url = server:lane("gap", { "never", default = "tokens=2" })
    assert.equal("tok0 tok1", with_clocks([[
      local model = mp.ChatOpenAI { base_url = arg[2], timeout = { first_byte = 30 } }
      local stream = mp.RunnableLambda(function() return model:stream("hi"):collect() end):start()
      mp.sleep(0.3)
      jump(40)
      print(assert(stream:wait()).content)]], base_url))
    local stats = server:wait(function(s) return s.aborted == 1 end)
    assert.same({ 2, 1 }, { stats.requests, stats.completed })
  end)

  it("ends what stood still in the middle, with what had come", function()
    assert.equal("timeout_idle\t1\ttrue", with_clocks([[
      local model = mp.ChatOpenAI { base_url = arg[2], timeout = { idle = 30 } }
      local task = mp.RunnableLambda(function() return model:stream("hi"):collect() end):start()
      mp.sleep(0.3)
      jump(40)
      local _, err = task:wait()
      print(err.kind, err.attempts, #err.partial > 0)]],
      server:with({ tokens = 30, stall = 600 })))
    assert.equal(1, server:stats().requests)
  end)

  it("leaves alone what has time left", function()
    assert.equal("hi", with_clocks([[
      local task = mp.ChatOpenAI { base_url = arg[2] }:start("hi")
      mp.sleep(0.1)
      jump(40)
      print(assert(task:wait()).content)]], server:with({ delay = 400 })))
    assert.equal(1, server:stats().requests)
  end)
end)

describe("row 49: a time of day that jumps", function()
  it("is no time that calls go by", function()
    -- forward and back by days at each look
    assert.equal("hi\ttok0 tok1 tok2\ttimeout_total\ttrue", with_clocks([[
      clocks.clocks_wander()
      local begun = calls.now()
      local whole = mp.ChatOpenAI { base_url = arg[2], timeout = { idle = 20 } }
      local text = whole:invoke("hi").content
      local streamed = mp.ChatOpenAI { base_url = arg[3], timeout = { idle = 20 } }
        :stream("hi"):collect().content
      local _, err = whole:try_invoke("hi", { timeout = 0.05 })
      print(text, streamed, err.kind, calls.now() - begun < 10)]],
      server:with({ delay = 100 }), server:with({ tokens = 3, gap = 50 })))
  end)
end)
