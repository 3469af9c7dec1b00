--- Exit codes of the program, deadlines, and what -q and -v say.
local helper = require "spec.helper"
local server = require("spec.support.server").use()

local SCRIPT = [[
local mp = require "moonpipe"
print(mp.ChatOpenAI { model = "gpt-x", max_retries = 1 }:invoke "hi")
]]

local function user(base_url)
  return { OPENAI_API_KEY = "sk-test", OPENAI_BASE_URL = base_url or server.base_url,
    MOONPIPE_MODEL = "openai:gpt-x", MOONPIPE_BASE_URL = false }
end

-- A script ends with [code] and says [said].
local function fails(code, said, base_url, words)
  local _, stderr, got = helper.moonpipe(words or { "run", helper.temp(SCRIPT) }, nil,
    user(base_url))
  assert.equal(code, got, stderr)
  assert.truthy(stderr:find(said, 1, true), stderr)
end

-- A question too.
local function ends(code, said, script)
  fails(code, said, server:with(script))
  fails(code, said, server:with(script), { "ask", "hi" })
end

describe("exit code", function()
  it("is 0 where all went well, and nothing is said beside it", function()
    local stdout, stderr, code = helper.moonpipe({ "run", helper.temp(SCRIPT) }, nil, user())
    assert.same({ "hi\n", "", 0 }, { stdout, stderr, code })
  end)

  it("is 1 where a chain fails", function()
    local _, stderr, code = helper.script "error('no')"
    assert.equal(1, code)
    assert.truthy(stderr:find("no", 1, true))
  end)

  it("is 1 where standard output took not all: row 50", function()
    for _, case in ipairs { { "/dev/full", "No space left on device" },
      { "&-", "Bad file descriptor" } } do
      for _, words in ipairs { "--version", "-e 'print(1)'", "help ask" } do
        local _, stderr, code = helper.execute { "sh", "-c",
          ("%s %s >%s"):format(helper.bin, words, case[1]) }
        assert.equal(1, code, words)
        assert.equal("moonpipe: io: standard output: " .. case[2] .. "\n", stderr)
      end
    end
    local _, stderr, code = helper.execute { "sh", "-c",
      helper.bin .. " -e 'print((\"x\"):rep(1e5)) print(1)' >/dev/full" }
    assert.equal(1, code)
    assert.matches("^moonpipe: io: standard output: ", stderr)
  end)

  it("is no failure to print nothing where nobody takes it", function()
    for _, words in ipairs { "-e 'x = 1'", "-e 'io.open([[/dev/null]]):close()'" } do
      local _, stderr, code = helper.execute { "sh", "-c", helper.bin .. " " .. words .. " >&-" }
      assert.same({ "", 0 }, { stderr, code })
    end
  end)

  it("prints into no file of a script where standard output was closed", function()
    local file = helper.temp ""
    local script = helper.temp(([[local f = io.open(%q, "w") print "lost" f:close()]]):format(file))
    local _, _, code = helper.execute { "sh", "-c", helper.bin .. " " .. script .. " >&-" }
    assert.equal(1, code)
    assert.equal("", helper.read(file))
  end)

  it("is 2 for words that are none", function()
    for _, words in ipairs { { "ask" }, { "ask", "--no-such", "x" }, { "nosuch" }, { "run" },
      { "--timeout=x", "-e", "" } } do
      local stdout, stderr, code = helper.moonpipe(words)
      assert.same({ "", 2 }, { stdout, code })
      assert.truthy(stderr:find("^moonpipe: "), stderr)
    end
  end)

  it("is 2 for a key among the words, which is not told again", function()
    for _, words in ipairs { { "ask", "--api-key=sk-told", "x" }, { "--key=sk-told", "ask", "x" } } do
      local stdout, stderr, code = helper.moonpipe(words)
      assert.same({ "", 2 }, { stdout, code })
      assert.matches("unknown option '%-%-[%a-]+' of ", stderr)
      assert.is_nil(stderr:find("sk-told", 1, true), stderr)
    end
  end)

  it("is 3 without a key", function()
    local env = user(false)
    env.OPENAI_API_KEY, env.OPENAI_BASE_URL = false, false
    for _, words in ipairs { { "run", helper.temp(SCRIPT) }, { "ask", "hi" } } do
      local _, stderr, code = helper.moonpipe(words, nil, env)
      assert.equal(3, code)
      assert.truthy(stderr:find("OPENAI_API_KEY", 1, true), stderr)
    end
  end)

  it("is 4 where the provider refuses", function()
    ends(4, "auth", "status=401")
    ends(4, "http 404", "status=404")
    ends(4, "refused_request", "status=400; message=no such parameter")
  end)

  it("is 5 where provider or network fail, also the second time", function()
    ends(5, "http 503", { status = 503, header = "retry-after-ms: 1" })
    fails(5, "connect", server.closed_url .. "/v1")
    fails(5, "reset", server:with "reset=h3")
    fails(5, "decode", server:with "body={; stream=no")
    assert.equal(2 + 3 + 2 + 2, server:stats().requests)
  end)

  it("is 5 where the answer is not whole", function()
    local _, stderr, code = helper.moonpipe({ "ask", "hi" }, nil, user(server:with "cut=700; tokens=50"))
    assert.equal(5, code)
    assert.truthy(stderr:find("truncated", 1, true), stderr)
  end)

  it("is 124 at a deadline, whose calls are closed", function()
    for _, words in ipairs { { "run", "--timeout", "0.2", helper.temp(SCRIPT) },
      { "--timeout=0.2", helper.temp(SCRIPT) }, { "ask", "--timeout=0.2", "hi" } } do
      local _, stderr, code = helper.moonpipe(words, nil, user(server:with "never"))
      assert.equal(124, code)
      assert.truthy(stderr:find("timeout_total: no end within 0.2 s", 1, true), stderr)
    end
    assert.equal(3, server:wait(function(stats) return stats.aborted == 3 end).aborted)
  end)

  it("is 124 where what a script started has not ended", function()
    local path = helper.temp [[
      local mp = require "moonpipe"
      mp.RunnableLambda(function() mp.sleep(50) end):start(1)
      print "begun"]]
    local stdout, _, code = helper.moonpipe { "run", "--timeout=0.2", path }
    assert.same({ "begun\n", 124 }, { stdout, code })
    assert.equal(7, select(3, helper.moonpipe { "--timeout=9", "-e", "os.exit(7)" }))
  end)

  it("ends loops that never wait, compiled ones too #signal", function()
    local began = os.time()
    local loop = "while true do end"
    local stdout, stderr, code = helper.moonpipe { "--timeout=0.1", "--jit=off", "-e", loop }
    assert.same({ "", 124 }, { stdout, code })
    assert.truthy(stderr:find("timeout_total: no end within 0.1 s", 1, true), stderr)
    stdout, stderr, code = helper.moonpipe { "--timeout=0.1", "-e", loop }
    assert.same({ "", 124 }, { stdout, code })
    assert.truthy(stderr:find("timeout_total: a loop that hears of no end", 1, true), stderr)
    assert.is_true(os.time() - began < 70)
  end)

  it("is 130 and 143 after a signal #signal", function()
    for name, code in pairs { INT = 130, TERM = 143 } do
      local base_url = server:lane("wait" .. code, { "hold" })
      local command = ([[%s ask hi & pid=$!
        while ! curl -s %s/stats | grep -q '"wait%d":{[^}]*"requests":1'; do sleep 0.05; done
        kill -%s $pid; wait $pid]]):format(helper.bin, server.control_url, code, name)
      local _, stderr, got = helper.execute({ "bash", "-mc", command }, nil, user(base_url))
      assert.equal(code, got, stderr)
      assert.truthy(stderr:find("moonpipe: interrupted", 1, true), stderr)
    end
  end)
end)

describe("-v", function()
  it("tells of each attempt, and not the key", function()
    local base_url = server:lane("twice", { { status = 503, header = "retry-after-ms: 1" }, "" })
    local stdout, stderr, code = helper.moonpipe({ "run", "-v", helper.temp(SCRIPT) }, nil,
      user(base_url))
    assert.same({ "hi\n", 0 }, { stdout, code })
    local url = base_url:gsub("%p", "%%%0") .. "/chat/completions"
    assert.truthy(stderr:find("^moonpipe: POST " .. url .. ": 503, %d+ ms\nmoonpipe: POST " .. url
      .. ": 200, %d+ ms, attempt 2\n$"), stderr)
  end)

  it("tells of attempts that no server answered", function()
    local _, stderr = helper.moonpipe({ "-v", helper.temp(SCRIPT) }, nil,
      user(server.closed_url .. "/v1"))
    assert.truthy(stderr:find("/v1/chat/completions: connect: ", 1, true), stderr)
  end)

  it("adds all of a traceback", function()
    local path = helper.temp "local function f() error('no') end\nf()\n"
    local _, short = helper.moonpipe { "run", path }
    local _, long = helper.moonpipe { "run", "-v", path }
    assert.is_nil(short:find("moonpipe:", 12, true))
    assert.truthy(long:find("[C]: in function 'error'", 1, true), long)
  end)
end)

describe("-q", function()
  it("leaves results and errors", function()
    local stdout, stderr, code = helper.moonpipe({ "ask", "-q", "hi" }, nil, user())
    assert.same({ "hi\n", "", 0 }, { stdout, stderr, code })
    stdout, stderr, code = helper.moonpipe({ "ask", "-q", "hi" }, nil, user(server:with "status=401"))
    assert.same({ "", 4 }, { stdout, code })
    assert.truthy(stderr:find("^moonpipe: http 401 auth"), stderr)
  end)
end)
