--- moonpipe test: a user's specs, offline or recorded.
local helper = require "spec.helper"
local server = require("spec.support.server").use()

local bin = helper.bin:match "^/" and helper.bin or io.popen("pwd"):read() .. "/" .. helper.bin

describe("moonpipe test", function()
  local here

  before_each(function()
    here = helper.fresh()
    os.execute("mkdir " .. here)
  end)
  after_each(function() os.execute("rm -r " .. here) end)

  local function moonpipe(words, env)
    local set = { OPENAI_API_KEY = false, MOONPIPE_MODEL = "extractive", LUA_PATH = false,
      MOONPIPE_BIN = false, MOONPIPE_CASSETTE_MODE = false, NO_COLOR = false }
    for name, value in pairs(env or {}) do set[name] = value end
    return helper.execute({ "sh", "-c", ("cd %s && '%s' %s"):format(here, bin, words) }, nil, set)
  end

  local function passes(words, said)
    local stdout, stderr, code = moonpipe(words)
    assert.equal(0, code, stdout .. stderr)
    assert.truthy(stdout:find(said, 1, true), stdout)
  end

  -- A test that fails, and what is said of it.
  local function fails(words, ...)
    local stdout, stderr, code = moonpipe(words)
    assert.equal(1, code, stdout .. stderr)
    for _, said in ipairs { ... } do assert.truthy(stdout:find(said, 1, true), stdout .. stderr) end
  end

  local function refused(said, wanted, words, env)
    local stdout, stderr, code = moonpipe(words, env)
    assert.same({ "", wanted }, { stdout, code })
    assert.truthy(stderr:find(said, 1, true), stderr)
  end

  local function write(name, text)
    os.execute(("mkdir -p $(dirname %s/%s)"):format(here, name))
    helper.write(here .. "/" .. name, text)
  end

  -- A spec with a test that asks the server for each of the questions.
  local function asking(...)
    local out = { ([[
      local mp = require "moonpipe"
      local chain = mp.PromptTemplate.from_template "{q}"
        | mp.ChatOpenAI { model = "m", base_url = %q, api_key = "sk-secret", max_retries = 0 }
        | mp.StrOutputParser()
      describe("chain", function()]]):format(server.base_url) }
    for _, question in ipairs { ... } do
      out[#out + 1] = ([[it("answers %s", function()
        assert.equal("yes", chain:invoke { q = %q })
      end)]]):format(question, question)
    end
    return table.concat(out, "\n") .. " end)"
  end

  it("passes in an empty folder after `moonpipe new`", function()
    refused("there is no spec here; `moonpipe new NAME` writes a chain and its spec", 2, "test")
    moonpipe "new joke"
    passes("test", "1 success / 0 failures / 0 errors")
    passes("test joke_spec.lua --color=always", "●")
  end)

  it("finds specs here and in the folder spec, and those that it is given", function()
    for name, path in pairs { one = "one_spec.lua", two = "spec/deep/two_spec.lua",
      three = "other/three_spec.lua", four = "spec/.hidden/four_spec.lua", five = "spec/five.lua" } do
      write(path, ("it(%q, function() end)"):format(name))
    end
    passes("test", "2 successes")
    passes("test other", "1 success")
    passes("test other/three_spec.lua spec", "2 successes")
    passes("test spec/five.lua", "1 success")
    refused("there is no file 'nosuch_spec.lua'", 2, "test nosuch_spec.lua")
    os.execute("mkdir " .. here .. "/empty")
    refused("there is no *_spec.lua in 'empty'", 2, "test empty")
  end)

  it("runs specs in which | joins steps, and fails with them", function()
    write("a_spec.lua", [[
      local mp = require "moonpipe"
      it("is right #fast", function()
        assert.equal(3, (mp.RunnableLambda(function(x) return x end) | function(x) return x + 1 end)
          :invoke(2))
      end)
      it("is wrong", function() assert.equal(1, 2) end)]])
    fails("test", "1 success / 1 failure / 0 errors", "a_spec.lua:6")
    passes("test --filter=right", "1 success / 0 failures")
    passes("test -t fast", "1 success / 0 failures")
    write("b_spec.lua", "it('is no Lua'")
    fails("test b_spec.lua", "0 successes / 0 failures / 1 error", "b_spec.lua")
  end)

  it("refuses the network, and names the request and the way", function()
    write("spec/net_spec.lua", asking "this")
    local before = server:stats().requests
    fails("test", "there is no cassette 'spec/cassettes/net_spec.jsonl' with an answer to POST "
      .. server.base_url .. "/chat/completions (`moonpipe test --record` asks")
    assert.equal(before, server:stats().requests)
    write("spec/own_spec.lua", 'it("own", function() require("moonpipe").cassette "own.jsonl" end)')
    fails("test spec/own_spec.lua", "there is no cassette 'own.jsonl' to replay")
  end)

  it("records what servers say, and plays it without them", function()
    server:script { answer = "yes" }
    write("net_spec.lua", asking("this", "that"))
    passes("test --record", "2 successes")
    local asked, path = server:stats().requests, here .. "/cassettes/net_spec.jsonl"
    assert.is_nil(helper.read(path):find("sk-secret", 1, true))
    passes("test", "2 successes")
    assert.equal(asked, server:stats().requests)
    write("net_spec.lua", asking("this", "that", "more"))
    fails("test", "2 successes / 0 failures / 1 error", "the cassette 'cassettes/net_spec.jsonl' has "
      .. "no answer to POST", "more")
    passes("test --record --filter=more", "1 success")
    assert.equal(asked + 1, server:stats().requests)
    passes("test", "3 successes")
    passes("test --live", "3 successes")
    assert.equal(asked + 4, server:stats().requests)
    refused("--record and --live exclude one another", 2, "test --record --live")
  end)

  it("ends at its deadline", function()
    write("a_spec.lua", [[it("hangs", function() require("moonpipe").sleep(50) end)
      it("follows", function() end)]])
    local stdout, stderr, code = moonpipe "test --timeout=0.2"
    assert.equal(124, code, stdout)
    assert.truthy(stderr:find("no end within 0.2 s", 1, true), stderr)
  end)

  it("says how to get busted where it is missing", function()
    write("a_spec.lua", "")
    refused("busted, which runs the specs, is not installed: `apt-get install lua-busted`", 3, "test",
      { LUA_PATH = "/no/such/?.lua" })
  end)
end)
