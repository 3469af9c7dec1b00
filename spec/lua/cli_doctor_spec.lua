--- moonpipe models and doctor: what this machine has, as a person asks for it.
local cjson = require "cjson"
local helper = require "spec.helper"
local server = require("spec.support.server").use()

-- No key, no model and no server of the machine's.
local BARE = { MOONPIPE_MODEL = false, MOONPIPE_EMBEDDINGS = false, OPENAI_API_KEY = false,
  ANTHROPIC_API_KEY = false, OPENAI_BASE_URL = false, OLLAMA_HOST = false, GOOGLE_API_KEY = false,
  MOONPIPE_BASE_URL = false }

local function moonpipe(words, env)
  local all = {}
  for _, set in ipairs { BARE, env or {} } do
    for name, value in pairs(set) do all[name] = value end
  end
  return helper.moonpipe(words, nil, all)
end

local function run(words, env)
  local stdout, stderr, code = moonpipe(words, env)
  assert.equal(0, code, stdout .. stderr)
  return stdout
end

local function refused(said, wanted, words, env)
  local stdout, stderr, code = moonpipe(words, env)
  assert.same({ "", wanted }, { stdout, code })
  assert.truthy(stderr:find(said, 1, true), stderr)
end

local function has(text, ...)
  for _, part in ipairs { ... } do assert.truthy(text:find(part, 1, true), part .. "\n" .. text) end
end

describe("moonpipe models", function()
  it("lists providers, and marks the one that would be taken", function()
    has(run { "models" }, "  openai       ChatOpenAI               set OPENAI_API_KEY",
      "needs no key", "\n* is what init_chat_model() takes: ")
    local stdout = run({ "models" }, { ANTHROPIC_API_KEY = "sk-ant-x" })
    has(stdout, "* anthropic    ChatAnthropic            ANTHROPIC_API_KEY is set",
      "takes: anthropic (ANTHROPIC_API_KEY).")
    assert.is_nil(stdout:find("sk-ant-x", 1, true))
    has(run({ "models" }, { ANTHROPIC_API_KEY_CMD = "false" }), "ANTHROPIC_API_KEY_CMD is set")
  end)

  it("marks what MOONPIPE_MODEL names", function()
    has(run({ "models" }, { OPENAI_API_KEY = "sk-x", MOONPIPE_MODEL = "groq:llama-9" }),
      "\n* groq ", "takes: groq:llama-9 (MOONPIPE_MODEL).")
  end)

  it("gives JSON", function()
    local value = cjson.decode(run({ "models", "--json" }, { MOONPIPE_MODEL = "extractive" }))
    assert.is_true(#value.providers >= 12)
    for _, row in ipairs(value.providers) do
      assert.equal("string", type(row.provider))
      assert.equal("boolean", type(row.ready))
      assert.equal(row.provider == "extractive" or nil, row.chosen)
    end
    assert.same({ provider = "extractive", from = "MOONPIPE_MODEL" }, value.chosen)
  end)

  local function lists(provider, variable, path, body)
    local before = server:stats().requests
    server:script { body = body }
    local stdout = run({ "models", provider }, { [variable] = server.base_url,
      [provider:upper() .. "_API_KEY"] = "sk-x", GOOGLE_API_KEY = "sk-x" })
    assert.equal(before + 1, server:stats().requests)
    local list = server:requests()
    assert.same({ "GET", path }, { list[#list].method, list[#list].path })
    return stdout
  end

  it("lists the models of a provider, as --model takes them", function()
    assert.equal("openai:a-1\nopenai:b-2\n", lists("openai", "OPENAI_BASE_URL", "/v1/models",
      '{"data":[{"id":"b-2"},{"id":"a-1"},{"x":1}]}'))
    assert.equal("anthropic:claude-x\n", lists("anthropic", "ANTHROPIC_BASE_URL",
      "/v1/v1/models", '{"data":[{"id":"claude-x"}]}'))
    assert.equal("google:gemini-x\n", lists("google", "GOOGLE_GEMINI_BASE_URL",
      "/v1/models", '{"models":[{"name":"models/gemini-x"}]}'))
    assert.equal("ollama:llama9:8b\n", lists("ollama", "OLLAMA_HOST", "/v1/api/tags",
      '{"models":[{"name":"llama9:8b"}]}'))
    assert.equal("", run { "models", "extractive" })
  end)

  it("lists them as JSON, without what a terminal would obey", function()
    server:script { body = '{"data":[{"id":"a\\u001b[2J"}]}' }
    local env = { OPENAI_BASE_URL = server.base_url }
    assert.equal("openai:a\n", run({ "models", "openai" }, env))
    server:script { body = '{"data":[{"id":"a"}]}' }
    assert.same({ { provider = "openai", model = "a" } },
      cjson.decode(run({ "models", "openai", "--json" }, env)))
  end)

  it("says why it cannot list them", function()
    refused("there is no provider 'opnai'; did you mean 'openai'?", 2, { "models", "opnai" })
    refused("ChatOpenAI needs a key: set OPENAI_API_KEY", 3, { "models", "openai" })
    server:script { status = 401, error = "invalid_api_key" }
    refused("auth", 4, { "models", "openai" }, { OPENAI_BASE_URL = server.base_url })
  end)
end)

describe("moonpipe doctor", function()
  it("says what there is and what is missing, by groups", function()
    has(run { "doctor" }, "the program:\n  ok      moonpipe ", "\n\npackages:\n  ok      libcurl",
      "  ok      libseccomp (run --isolate) ",
      "  ok      busted (moonpipe test) ", "\n\nkeys and models:\n  missing keys ", "none is set",
      "\n\nlimits:\n  ok      open files ")
    local list = cjson.decode(run { "doctor", "--json" })
    assert.is_true(#list >= 14)
    for _, one in ipairs(list) do assert.is_true(one.ok or not one.needed, one.name) end
    assert.same({ "the program", "limits" }, { list[1].group, list[#list].group })
  end)

  it("names keys and a model by their variables, and never a key", function()
    local stdout = run({ "doctor" }, { OPENAI_API_KEY = "sk-secret-key", VOYAGE_API_KEY = "pa-secret" })
    has(stdout, "OPENAI_API_KEY is set, VOYAGE_API_KEY is set", "openai (OPENAI_API_KEY)",
      "OpenAIEmbeddings")
    assert.is_nil(stdout:find("sk-secret", 1, true))
    assert.is_nil(stdout:find("pa-secret", 1, true))
    refused("doctor takes no words", 2, { "doctor", "x" })
  end)

  it("looks at a file that shall have a key", function()
    local path = helper.temp "sk-secret-key\n"
    os.execute("chmod 600 " .. path)
    has(run({ "doctor" }, { OPENAI_API_KEY_FILE = path }), "ok      keys ",
      "OPENAI_API_KEY_FILE: " .. path)
    os.execute("chmod 644 " .. path)
    has(run({ "doctor" }, { OPENAI_API_KEY_FILE = path }), "missing keys ", path)
    has(run({ "doctor" }, { OPENAI_API_KEY_FILE = "/no/such" }), "missing keys ", "/no/such")
  end)

  it("says what programs are missing, and what brings them", function()
    local folder = helper.fresh()
    os.execute("mkdir " .. folder)
    for _, name in ipairs { "sh", "env", "timeout", "nproc", "sed", "cut" } do
      os.execute(("ln -s $(command -v %s) %s/%s"):format(name, folder, name))
    end
    local stdout = run({ "doctor" }, { PATH = folder, LUA_PATH = "/no/?.lua" })
    os.execute("rm -r " .. folder)
    has(stdout, "install the package graphviz", "install the package poppler-utils",
      "install the package lua-busted")
  end)

  it("asks the server of each key, where it is told to", function()
    server:script { body = '{"data":[{"id":"a"},{"id":"b"}]}' }
    local env = { OPENAI_BASE_URL = server.base_url, OPENAI_API_KEY = "sk-x" }
    has(run({ "doctor", "--online" }, env), "\n\nasked:\n  ok      openai ", "answers, 2 models\n")
    server:script { status = 401, error = "invalid_api_key" }
    local stdout, _, code = moonpipe({ "doctor", "--online" }, env)
    assert.equal(1, code)
    has(stdout, "  missing openai ")
  end)
end)
