--- What Ctrl-C and SIGTERM do to a script that runs.
local helper = require "spec.helper"

-- Runs a text, sends signals once it has printed something, and returns its
-- exit code: the shell reports 128 + n for a program that a signal ended.
---@return string stderr, integer code
local function interrupt(signals, code, options)
  local script = [[
    out=$1; shift; signals=$1; shift
    "$@" >"$out" & pid=$!
    until [ -s "$out" ]; do sleep 0.01; done
    for signal in $signals; do kill -"$signal" $pid; sleep 0.5; done
    wait $pid]]
  local command = { "sh", "-c", script, "sh", helper.temp(), signals, helper.bin }
  for _, option in ipairs(options or {}) do command[#command + 1] = option end
  command[#command + 1] = "-e"
  command[#command + 1] = code
  return select(2, helper.execute(command))
end

-- TSan holds a signal back until the program calls something: a bare loop never
-- hears it, so scripts/test leaves #signal out there.
describe("Ctrl-C #signal", function()
  local SLEEP = [[
    local mp = require "moonpipe"
    print "ready"
    io.flush()
    mp.sleep(60)
    print "slept"]]
  local SPIN = [[
    print "ready"
    io.flush()
    while true do end]]

  it("cancels what waits and ends with 130", function()
    local stderr, code = interrupt("INT", SLEEP)
    assert.matches("interrupted", stderr)
    assert.equal(130, code)
  end)

  it("lets the script clean up", function()
    local stderr, code = interrupt("INT", [[
      local mp = require "moonpipe"
      print "ready"
      io.flush()
      local ok, err = pcall(mp.sleep, 60)
      io.stderr:write(tostring(ok), " ", err.kind, "\n")]])
    assert.matches("false cancelled", stderr, 1, true)
    assert.equal(130, code)
  end)

  it("ends a compiled loop at once when it comes twice", function()
    local _, code = interrupt("INT INT", SPIN)
    assert.equal(130, code)
  end)

  it("ends a loop at once with --jit=off", function()
    local _, code = interrupt("INT", SPIN, { "--jit=off" })
    assert.equal(130, code)
  end)

  it("ends with 143 when it was SIGTERM", function()
    local _, code = interrupt("TERM", SLEEP)
    assert.equal(143, code)
  end)

  -- What each of these prints on stderr comes after the signal.
  local ready = [[
    local mp = require "moonpipe"
    local function say(...) io.stderr:write(table.concat({ ... }, " "), "\n") end
    local function ready() print "ready" io.flush() end
    local function sleeper(name, last)
      return function()
        if last then ready() end
        local ok, err = pcall(mp.sleep, 60)
        say(name, tostring(ok), err and err.kind or "")
        error(err, 0)
      end
    end
  ]]

  it("cancels the branches of a map, and their branches", function()
    local stderr, code = interrupt("INT", ready .. [[
      mp.RunnableParallel({ a = sleeper "a", b = { c = sleeper("c", true) } }):invoke(1)
    ]])
    assert.matches("a false cancelled\n", stderr, 1, true)
    assert.matches("c false cancelled\n", stderr, 1, true)
    assert.equal(130, code)
  end)

  it("cancels started tasks and streams", function()
    local stderr, code = interrupt("TERM", ready .. [[
      mp.RunnableLambda(sleeper "task"):start(1, { on_error = function(err) say("told", err.kind) end })
      mp.sleep(0.001) -- it begins at the next turn
      for _ in mp.RunnableParallel({ a = sleeper("stream", true) }):stream(1) do end
    ]])
    assert.matches("task false cancelled\n", stderr, 1, true)
    assert.matches("told cancelled\n", stderr, 1, true)
    assert.matches("stream false cancelled\n", stderr, 1, true)
    assert.equal(143, code)
  end)

  it("runs finalizers", function()
    local stderr, code = interrupt("INT", ready .. [[
      local guard = newproxy(true)
      getmetatable(guard).__gc = function() say "finalized" end
      ready()
      mp.sleep(60)
      return guard
    ]])
    assert.matches("finalized\n", stderr, 1, true)
    assert.equal(130, code)
  end)

  it("reaches what waits inside of gsub", function()
    local stderr, code = interrupt("INT", ready .. [[
      ready();
      ("x"):gsub(".", sleeper "gsub")
    ]])
    assert.matches("gsub false cancelled\n", stderr, 1, true)
    assert.equal(130, code)
  end)

  it("ends a loop in one branch, and cancels the others, with --jit=off", function()
    local stderr, code = interrupt("INT", ready .. [[
      mp.RunnableParallel({
        a = sleeper "other",
        b = function()
          mp.sleep(0.001)
          ready()
          while true do end
        end,
      }):invoke(1)
    ]], { "--jit=off" })
    assert.matches("other false cancelled\n", stderr, 1, true)
    assert.equal(130, code)
  end)

  it("ends a loop of calls that never wait, with --jit=off", function()
    local _, code = interrupt("INT", ready .. [[
      local map = mp.RunnableParallel({ a = function(x) return x end, b = { function() end } })
      ready()
      while true do map:invoke(1) end
    ]], { "--jit=off" })
    assert.equal(130, code)
  end)

  it("ends a script that catches all errors when it comes twice", function()
    local stderr, code = interrupt("INT TERM", ready .. [[
      ready()
      while true do pcall(mp.sleep, 60) end
    ]])
    assert.equal("", stderr)
    assert.equal(143, code)
  end)

  it("ends a finalizer that does not end when it comes twice", function()
    local _, code = interrupt("TERM TERM", ready .. [[
      local guard = newproxy(true)
      getmetatable(guard).__gc = function() while true do end end
      ready()
      mp.sleep(60)
      return guard
    ]])
    assert.equal(143, code)
  end)
end)
