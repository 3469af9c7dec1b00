local choice = require "moonpipe.models.choice"
local helper = require "spec.helper"
local server = require("spec.support.server").use()

-- What a script prints that ends in [text], in this environment.
local function chosen(env, text)
  local all = {
    OPENAI_API_KEY = false, OPENAI_BASE_URL = false, OPENAI_API_BASE = false,
    MOONPIPE_MODEL = false, MOONPIPE_EMBEDDINGS = false,
  }
  for name, value in pairs(env) do all[name] = value end
  local stdout, stderr = helper.moonpipe({ "run", helper.temp(text) }, nil, all)
  return stdout:gsub("\n$", ""), stderr
end

local CHAT = [[
local mp = require "moonpipe"
require("moonpipe.models.choice").SERVERS = {
  { name = "Test", provider = "openai", url = arg[0] and os.getenv "LOCAL" } }
local model = mp.init_chat_model()
print(tostring(model), model.model)
]]

local EMBED = [[
local embeddings = require("moonpipe").init_embeddings()
print(tostring(embeddings), embeddings.model)
]]

local function chat(env)
  env.LOCAL = env.LOCAL or server.closed_url .. "/v1"
  return chosen(env, CHAT)
end

describe("init_chat_model", function()
  it("takes the model that the environment names", function()
    local said, stderr = chat { MOONPIPE_MODEL = "gpt-x", OPENAI_API_KEY = "k" }
    assert.equal("ChatOpenAI\tgpt-x", said)
    assert.equal("moonpipe: model ChatOpenAI gpt-x (MOONPIPE_MODEL)\n", stderr)
    assert.equal("ChatOpenAI\tgpt-y", (chat { MOONPIPE_MODEL = "openai:gpt-y", OPENAI_API_KEY = "k" }))
  end)

  it("takes the extractive model by its name", function()
    assert.equal("ExtractiveChatModel\tnil",
      (chat { MOONPIPE_MODEL = "extractive", OPENAI_API_KEY = "k" }))
  end)

  it("takes the key that is there", function()
    local said, stderr = chat { OPENAI_API_KEY = "sk-secret" }
    assert.equal("ChatOpenAI\tgpt-5.4-mini", said)
    assert.equal("moonpipe: model ChatOpenAI gpt-5.4-mini (OPENAI_API_KEY)\n", stderr)
  end)

  it("takes a server on this machine", function()
    server:script { body = '{"data":[{"id":"llama-9"}]}' }
    local said, stderr = chat { LOCAL = server.base_url }
    assert.equal("ChatOpenAI\tllama-9", said)
    assert.equal("moonpipe: model ChatOpenAI llama-9 (Test on this machine)\n", stderr)
  end)

  it("passes by servers that are slow, broken or no server of models", function()
    for _, script in ipairs({ { delay = 2000 }, { status = 404 }, { body = "[1]" }, { html = true } }) do
      server:reset()
      server:script(script)
      assert.equal("ExtractiveChatModel\tnil", (chat { LOCAL = server.base_url }))
    end
  end)

  it("falls back to the extractive model and says what would help", function()
    local said, stderr = chat {}
    assert.equal("ExtractiveChatModel\tnil", said)
    assert.equal("moonpipe: model ExtractiveChatModel (no key, no local server); set a"
      .. " provider's key (OPENAI_API_KEY, …) or MOONPIPE_MODEL, or start a local server\n", stderr)
  end)

  it("gives the extractive model its options where it is named, and no other's", function()
    local named = 'local mp = require "moonpipe"\n'
      .. 'print(mp.init_chat_model("extractive", { max_sentences = 1 }).max_sentences)'
    assert.equal("1", (chosen({}, named)))
    local said, stderr = chosen({ MOONPIPE_MODEL = "extractive" },
      (named:gsub('"extractive", { max_sentences = 1 }', "nil, { temperature = 0 }")))
    assert.equal("3", said)
    assert.matches("does not take the options of another; they are left out", stderr)
    helper.raises("unknown option 'max_sentence' of ExtractiveChatModel", choice.init_chat_model,
      "extractive", { max_sentence = 1 })
    helper.raises("unknown option 'dimension' of HashEmbeddings", choice.init_embeddings, "hash",
      { dimension = 1 })
  end)

  it("refuses what is no name", function()
    assert.equal("init_chat_model takes the name of a model, got the number 1",
      helper.said(choice.init_chat_model, 1))
  end)
end)

describe("init_embeddings", function()
  it("hashes where there is no key", function()
    assert.equal("HashEmbeddings\thash-1024-v1", (chosen({}, EMBED)))
    assert.equal("HashEmbeddings\thash-1024-v1",
      (chosen({ OPENAI_API_KEY = "k", MOONPIPE_EMBEDDINGS = "hash" }, EMBED)))
  end)

  it("asks OpenAI where there is one", function()
    assert.equal("OpenAIEmbeddings\ttext-embedding-3-small",
      (chosen({ OPENAI_API_KEY = "k" }, EMBED)))
    assert.equal("OpenAIEmbeddings\tother",
      (chosen({ OPENAI_API_KEY = "k", MOONPIPE_EMBEDDINGS = "openai:other" }, EMBED)))
  end)

  it("does not follow a local chat server", function()
    assert.equal("HashEmbeddings\thash-1024-v1",
      (chosen({ OPENAI_BASE_URL = server.base_url }, EMBED)))
  end)

  it("refuses what is no name", function()
    assert.equal("init_embeddings takes the name of a model, got an empty table",
      helper.said(choice.init_embeddings, {}))
  end)
end)
