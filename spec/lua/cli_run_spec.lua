--- The options of moonpipe run, which stand before its file.
local helper = require "spec.helper"
local server = require("spec.support.server").use()

local function run(words, text, ...)
  words[#words + 1] = helper.temp(text)
  for _, word in ipairs { ... } do words[#words + 1] = word end
  return helper.moonpipe({ "run", unpack(words) }, nil, { OPENAI_API_KEY = "sk-test",
    OPENAI_BASE_URL = server:with "usage=1000,2000" })
end

describe("moonpipe run", function()
  it("prints what the script returns with --json", function()
    assert.same({ 'said\n{"a":[1,2]}\n', "", 0 }, { run({ "--json" }, "print 'said' return { a = { 1, 2 } }") })
    assert.same({ "null\n", "", 0 }, { run({ "--json" }, "local x = 1") })
    assert.same({ '"x"\n', "", 0 }, { run({ "--json", "--sandbox" }, "return ...", "x") })
  end)

  it("says what is no value", function()
    local stdout, stderr, code = run({ "--json" }, "return require('moonpipe').const(1)")
    assert.same({ "", 1 }, { stdout, code })
    assert.truthy(stderr:find("--json: input: the script returns a chain", 1, true), stderr)
    stdout, stderr, code = run({ "--json" }, "return print")
    assert.same({ "", 1 }, { stdout, code })
    assert.truthy(stderr:find("moonpipe: --json: ", 1, true), stderr)
  end)

  it("tells with --usage what all calls used, also of a script that failed", function()
    local text = "local m = require('moonpipe').ChatOpenAI { model = 'gpt-5.4-mini' } m 'a' m 'b' "
    local _, stderr, code = run({ "--usage" }, text)
    assert.same({ "moonpipe: 2000 tokens in, 4000 out, $0.0195 (gpt-5.4-mini)\n", 0 },
      { stderr, code })
    _, stderr, code = run({ "-u" }, text .. "error('no')")
    assert.equal(1, code)
    assert.truthy(stderr:find("moonpipe: 2000 tokens in, 4000 out", 1, true), stderr)
    _, stderr = run({ "-u" }, "local x = 1")
    assert.equal("moonpipe: nobody told what the calls used\n", stderr)
  end)

  it("leaves what stands behind the file to the script", function()
    assert.equal("--json\t-v\n", (run({}, "print(...)", "--json", "-v")))
  end)
end)
