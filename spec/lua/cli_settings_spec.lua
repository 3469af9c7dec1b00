--- The file of settings, and what of the environment and the command line comes before it.
local cjson = require "cjson"
local helper = require "spec.helper"
local server = require("spec.support.server").use()

local KEY = "sk-test-0123456789-abcdefgh"

local home

before_each(function()
  home = helper.fresh()
  os.execute(("mkdir -p %s/moonpipe"):format(home))
end)
after_each(function() os.execute("rm -r " .. home) end)

local function write(text)
  helper.write(home .. "/moonpipe/config.lua", text)
end

-- No key, no model, no server but those of the settings.
local function moonpipe(words, env)
  local all = { XDG_CONFIG_HOME = home, MOONPIPE_MODEL = false, MOONPIPE_BASE_URL = false,
    MOONPIPE_EMBEDDINGS = false, OPENAI_API_KEY = false, OPENAI_BASE_URL = false }
  for name, value in pairs(env or {}) do all[name] = value end
  return helper.moonpipe(words, nil, all)
end

local function last()
  local list = server:requests()
  return list[#list], cjson.decode(list[#list].body)
end

describe("settings", function()
  it("say the model, its server and its key", function()
    write(([[return {
      model = "openai:gpt-y", base_url = "%s", key_cmd = { openai = "echo %s" },
      system = "Be brief.", temperature = 0.25,
    }]]):format(server.base_url, KEY))
    local stdout, stderr, code = moonpipe { "ask", "hi" }
    assert.same({ "hi\n", 0 }, { stdout, code })
    assert.truthy(stderr:find(("model ChatOpenAI gpt-y (model in %s/moonpipe/config.lua)"):format(home),
      1, true), stderr)
    local request, body = last()
    assert.same({ "gpt-y", 0.25, "Be brief." },
      { body.model, body.temperature, body.messages[1].content })
    assert.equal("Bearer " .. KEY, request.headers.authorization)
  end)

  it("hold for scripts, too", function()
    write(([[return { base_url = { openai = "%s" }, key_cmd = { openai = "echo k" } }]]):format(
      server.base_url))
    local path = helper.temp 'print(require("moonpipe").ChatOpenAI { model = "gpt-z" }:invoke "hi")'
    assert.same({ "hi\n", "", 0 }, { moonpipe { "run", path } })
    assert.same({ "hi\n", "", 0 }, { moonpipe { path } })
  end)

  it("come behind the environment, which comes behind the command line", function()
    write(([[return { model = "openai:of-file", base_url = "%s" }]]):format(server.closed_url))
    local env = { MOONPIPE_MODEL = "openai:of-env", MOONPIPE_BASE_URL = server.base_url }
    assert.equal("hi\n", (moonpipe({ "ask", "hi" }, env)))
    assert.equal("of-env", select(2, last()).model)
    assert.equal("hi\n", (moonpipe({ "ask", "-m", "openai:of-line", "hi" }, env)))
    assert.equal("of-line", select(2, last()).model)
    assert.equal("hi\n", (moonpipe({ "ask", "hi" }, { OPENAI_BASE_URL = server.base_url })))
    assert.equal("of-file", select(2, last()).model)
  end)

  it("name the server of the model's provider, and of no other", function()
    local env = { MOONPIPE_BASE_URL = server.base_url, ANTHROPIC_API_KEY = "a", OPENAI_API_KEY = "o",
      MOONPIPE_MODEL = "anthropic:claude-x", ANTHROPIC_BASE_URL = false }
    local url = function(text)
      return (moonpipe({ "-e", "local mp = require 'moonpipe' print(" .. text
        .. ".endpoint.origin.url)" }, env):gsub("\n", ""))
    end
    assert.equal(server.base_url, url "mp.init_chat_model()")
    assert.equal("https://api.openai.com/v1", url "mp.ChatOpenAI()")
    env.MOONPIPE_MODEL = false
    assert.equal(server.base_url, url "mp.ChatOpenAI()")
  end)

  it("name the server of the model beside it, not of one that --model asks for", function()
    local env = { ANTHROPIC_API_KEY = KEY, ANTHROPIC_BASE_URL = false }
    local function url(words)
      return (moonpipe({ "ask", "--dry-run", "hi", unpack(words) }, env):match("^POST ([^\n]*)"))
    end
    local anthropic = "https://api.anthropic.com/v1/messages"
    write(([[return { model = "openai:gpt-y", base_url = %q }]]):format(server.base_url))
    assert.equal(server.base_url .. "/chat/completions", url {})
    assert.equal(anthropic, url { "-m", "anthropic:claude-x" })
    env.MOONPIPE_BASE_URL = server.base_url
    assert.equal(anthropic, url { "-m", "anthropic:claude-x" })
    write "return {}"
    assert.equal(server.base_url .. "/v1/messages", url { "-m", "anthropic:claude-x" })
    env.MOONPIPE_MODEL = "openai:gpt-y"
    assert.equal(anthropic, url { "-m", "anthropic:claude-x" })
  end)

  it("are another file's, or nobody's", function()
    write "return { model = 'extractive' }"
    local other = helper.temp(("return { base_url = %q }"):format(server.base_url))
    local _, stderr = moonpipe { "ask", "--config", other, "hi" }
    assert.truthy(stderr:find("(base_url in " .. other, 1, true), stderr)
    _, stderr = moonpipe({ "--no-config", "ask", "hi" }, { MOONPIPE_BASE_URL = server.base_url })
    assert.truthy(stderr:find("(MOONPIPE_BASE_URL)", 1, true), stderr)
    local _, said, code = moonpipe { "ask", "--config", "/no/such.lua", "hi" }
    assert.equal(3, code)
    assert.truthy(said:find("cannot open /no/such.lua", 1, true), said)
  end)

  it("give prices", function()
    write(([[return { model = "openai:mine", base_url = "%s",
      prices = { mine = { input = 1, output = 2 } } }]]):format(server.base_url))
    local _, stderr = moonpipe { "ask", "-u", "hi" }
    assert.truthy(stderr:find("out, $0.0000", 1, true), stderr)
    assert.is_nil(stderr:find("unknown price", 1, true))
  end)

  it("are not read where nothing of them is asked for", function()
    write "this is no Lua"
    assert.same({ "1\n", "", 0 }, { moonpipe { "-e", "print(1)" } })
  end)
end)

describe("a file of settings that is wrong", function()
  local function refused(said, text)
    write(text)
    local stdout, stderr, code = moonpipe { "ask", "hi" }
    assert.same({ "", 3 }, { stdout, code })
    assert.truthy(stderr:find(said, 1, true), stderr)
  end

  it("is told with its line, and the nearest right name", function()
    refused("/moonpipe/config.lua:3: there is no setting 'modle'; did you mean 'model'?",
      "-- modle =\nreturn {\n  modle = 'x',\n}")
    refused("config.lua:2: 'color' takes one of always, auto, never, got 'alwys'; did you mean 'always'?",
      "return {\n  color = 'alwys' }")
    refused("config.lua:1: 'model' takes a string, got the number 1", "return { model = 1 }")
    refused("config.lua:1: 'key_cmd' knows no provider 'opanai'; did you mean 'openai'?",
      "return { key_cmd = { opanai = 'x' } }")
    refused("'key_cmd' takes a table such as { openai = \"…\" }, got a string", "return { key_cmd = 'x' }")
    refused("'key_cmd' 'ollama' needs no key", "return { key_cmd = { ollama = 'x' } }")
    refused("'base_url' takes a text for 'openai', got the number 1",
      "return { base_url = { openai = 1 } }")
    refused("config.lua:1: 'prices': the price of 'a' is a table with keys {input}",
      "return { prices = { a = { input = 1 } } }")
  end)

  it("is named where its model is of no provider", function()
    write "return { model = 'opanai:gpt-5' }"
    local _, stderr = moonpipe { "ask", "hi" }
    assert.matches("moonpipe: model in ", stderr, 1, true)
    assert.matches("config.lua: init_chat_model knows no provider 'opanai'; did you mean 'openai'?",
      stderr, 1, true)
  end)

  it("is told where it is no table, or no Lua", function()
    refused("config.lua gives nil; end it with `return { model = \"…\" }`", "local x = 1")
    refused("config.lua:1: '=' expected near 'is'", "this is no Lua")
  end)

  it("can reach nothing", function()
    refused("getenv", "return { model = os.getenv 'HOME' }")
    refused("'io'", "return { model = io.open '/etc/passwd' }")
  end)
end)

describe("moonpipe doctor", function()
  it("tells what settings are in force, and from where", function()
    write "return { model = 'openai:gpt-y', color = 'never', key_cmd = { openai = 'echo k' } }"
    local stdout = moonpipe({ "doctor" }, { MOONPIPE_MODEL = "openai:gpt-x" })
    assert.truthy(stdout:find("settings", 1, true), stdout)
    assert.truthy(stdout:find(home .. "/moonpipe/config.lua: color, key_cmd, model", 1, true), stdout)
    assert.truthy(stdout:find("openai:gpt-x (MOONPIPE_MODEL)", 1, true), stdout)
    write "return { modle = 'x' }"
    local stderr, code
    stdout, stderr, code = moonpipe { "doctor" }
    assert.equal("", stderr)
    assert.truthy(stdout:find("config.lua:1: there is no setting 'modle'", 1, true), stdout)
    assert.equal(1, code)
    assert.truthy(stdout:find("ok      libcurl", 1, true), stdout)
  end)
end)
