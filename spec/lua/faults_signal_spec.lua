-- Signals that come while model calls are under way: how the process ends, and what the
-- server sees of it. The numbers are the rows of the fault list.
local helper = require "spec.helper"
local proxies = require "spec.support.proxy"

local server = require("spec.support.server").use()

local ENDLESS, NEVER = { tokens = 100000, gap = 1, stream = "yes" }, "never"

-- Ten streams and ten calls that are not answered, in a map, in tasks, and one of them
-- in the main chunk; says "ready" when tokens have come from all streams.
local CALLS = [[
local mp = require "moonpipe"
local ca_file = arg[3] ~= "" and arg[3] or nil
local streams = mp.ChatOpenAI { base_url = arg[1], ca_file = ca_file, api_key = false }
local whole = mp.ChatOpenAI { base_url = arg[2], ca_file = ca_file, api_key = false }
local heard, count = {}, 0
local function say(...) io.stderr:write(table.concat({ ... }, " "), "\n") end
for i = 1, 10 do
  streams:start("hi", { on_token = function()
    if not heard[i] then heard[i], count = true, count + 1 end
  end })
end
for i = 1, 4 do whole:start("hi", { on_error = function(err) say("told", err.kind) end }) end
mp.RunnableParallel({ a = whole, b = { c = whole, d = whole }, e = whole, f = whole }):start("hi")
while count < 10 do mp.sleep(0.005) end
print "ready"
io.flush()
]]

-- Runs a text behind CALLS and sends it signals, when it is ready; gives what it said
-- and its exit code, and the seconds that it took to end.
local function interrupt(signals, text, ...)
  local ended = helper.temp()
  local _, stderr, code = helper.execute({ "sh", "-c", [[
    out=$1 signals=$2 ended=$3; shift 3
    "$@" >"$out" & pid=$!
    until [ -s "$out" ]; do sleep 0.01; done
    for signal in $signals; do begun=$(date +%s%N); kill -"$signal" $pid; sleep 0.2; done
    wait $pid; code=$?
    echo $(( ($(date +%s%N) - begun) / 1000000 )) >"$ended"
    exit $code]], "sh", helper.temp(""), signals, ended, helper.bin, "run",
    helper.temp(CALLS .. text), ... }, nil, { ASAN_OPTIONS = "detect_leaks=0" })
  return stderr, code, tonumber(helper.read(ended)) / 1000
end

-- The server has lost the connections of all requests.
local function check_closed()
  local stats = server:wait(function(s) return s.in_flight == 0 end)
  assert.same({ stats.requests, 0 }, { stats.aborted, stats.completed })
  assert.truthy(stats.requests >= 10)
end

-- TSan holds a signal back until the program calls something.
describe("row 31: SIGINT with model calls under way #signal", function()
  local WAIT = [[whole:invoke("hi")]]

  it("closes their connections, and ends with 130", function()
    local stderr, code, seconds = interrupt("INT", WAIT, server:with(ENDLESS), server:with(NEVER), "")
    assert.same({ 130, 4 }, { code, select(2, stderr:gsub("told cancelled\n", "")) })
    assert.truthy(seconds < 2, seconds)
    check_closed()
  end)

  it("closes their connections over TLS, too", function()
    local tls = proxies.tls({ to = server.port })
    local function behind(script)
      return (server:with(script):gsub("^http://127%.0%.0%.1:%d+", tls.url))
    end
    local _, code = interrupt("INT", WAIT, behind(ENDLESS), behind(NEVER), tls.ca_file)
    tls:stop()
    assert.equal(130, code)
    check_closed()
  end)

  it("lets the script go on from what it was waiting for", function()
    local stderr, code = interrupt("INT", [[
      local value, err = whole:try_invoke("hi")
      say("value", tostring(value), err.kind)]], server:with(ENDLESS), server:with(NEVER), "")
    assert.matches("value nil cancelled\n", stderr, 1, true)
    assert.equal(130, code)
    check_closed()
  end)

  it("ends at once when it comes twice", function()
    -- a script that takes no for no answer
    local stderr, code, seconds = interrupt("INT INT", [[
      while true do pcall(whole.invoke, whole, "hi") end]],
      server:with(ENDLESS), server:with(NEVER), "")
    assert.equal(130, code)
    assert.truthy(seconds < 2, seconds)
    assert.is_nil(stderr:find("traceback", 1, true))
    check_closed()
  end)

  it("ends a loop that never waits when it comes twice", function()
    local _, code = interrupt("INT INT", "while true do end", server:with(ENDLESS),
      server:with(NEVER), "")
    assert.equal(130, code)
    check_closed()
  end)

  it("ends with 143 when it was SIGTERM", function()
    local _, code = interrupt("TERM", WAIT, server:with(ENDLESS), server:with(NEVER), "")
    assert.equal(143, code)
    check_closed()
  end)
end)

describe("row 33: a standard output that nobody reads", function()
  -- Runs a text whose output goes to a reader; gives both exit codes, and stderr.
  local function piped(reader, text, url)
    local codes = helper.temp()
    local _, stderr = helper.execute({ "bash", "-c", [[
      codes=$1; shift
      "$@" | eval "$0"
      echo "${PIPESTATUS[@]}" >"$codes"]], reader, codes, helper.bin, "run",
      helper.temp([[
        local mp = require "moonpipe"
        local model = mp.ChatOpenAI { base_url = arg[1] }
      ]] .. text), url }, nil, { ASAN_OPTIONS = "detect_leaks=0" })
    return helper.read(codes):match("%d+"), stderr
  end

  local STREAM = [[
    for chunk in model:stream("hi") do
      io.write(chunk.content)
      io.flush()
    end]]

  it("ends a stream, closes its connection, and says nothing", function()
    assert.same({ "141", "" }, { piped("head -c 20 >/dev/null", STREAM, server:with(ENDLESS)) })
    local stats = server:wait(function(s) return s.in_flight == 0 end)
    assert.same({ 1, 1 }, { stats.requests, stats.aborted })
  end)

  it("ends other calls with it", function()
    assert.equal("141", (piped("head -c 20 >/dev/null", [[
      local other = model:start("x")
      local more = mp.RunnableLambda(function() model:stream("x"):collect() end):start()
    ]] .. STREAM, server:with(ENDLESS))))
    local stats = server:wait(function(s) return s.in_flight == 0 end)
    assert.same({ 3, 3 }, { stats.requests, stats.aborted })
  end)

  it("leaves a result that is complete as it is", function()
    assert.same({ "0", "" }, { piped("true", [[
      local answer = model:invoke("hi")
      os.execute("sleep 0.2") -- the reader is gone
      print(answer.content)]], server:with({ tokens = 3 })) })
    assert.equal(1, server:stats().completed)
  end)

  it("leaves a stream alone that is read to its end", function()
    assert.same({ "0", "" }, { piped("cat >/dev/null", STREAM, server:with({ tokens = 50 })) })
    assert.equal(1, server:stats().completed)
  end)

  it("is not the pipe of a child, whose end is the script's business", function()
    assert.same({ "0", "" }, { piped("cat >/dev/null", [[
      local pipe = io.popen("true", "w")
      mp.sleep(0.2)
      for chunk in model:stream("hi") do
        pipe:write(chunk.content)
        pipe:flush()
      end]], server:with({ tokens = 50 })) })
    assert.equal(1, server:stats().completed)
  end)
end)
