local cjson = require "cjson"
local helper = require "spec.helper"
local mp = require "moonpipe"
local names = require "moonpipe.models.names"
local server = require("spec.support.server").use()

local function read(name, provider)
  local home, model = names.read(name, provider, "init_chat_model")
  return { home, model }
end

describe("the name of a model", function()
  it("says its provider", function()
    for name, expected in pairs {
      ["openai:gpt-x"] = { "openai", "gpt-x" }, ["anthropic:claude-x"] = { "anthropic", "claude-x" },
      ["gemini:gemini-x"] = { "google", "gemini-x" }, ["google_genai:x"] = { "google", "x" },
      ["ollama:llama3.2:3b"] = { "ollama", "llama3.2:3b" }, ["groq"] = { "groq" },
      ["openrouter:meta/llama:free"] = { "openrouter", "meta/llama:free" },
    } do
      assert.same(expected, read(name))
    end
  end)

  it("tells its provider", function()
    for name, provider in pairs {
      ["gpt-x"] = "openai", ["o3-mini"] = "openai", ["ft:gpt-4o:me"] = "openai",
      ["claude-x"] = "anthropic", ["gemini-x"] = "google", ["mistral-small"] = "mistralai",
      ["grok-4"] = "xai", ["deepseek-chat"] = "deepseek", ["deepseek-r1:7b"] = "ollama",
      ["mistral:7b"] = "ollama", ["llama3.2:3b"] = "ollama", ["anything"] = "openai",
      ["phi3:mini"] = "ollama", ["codellama:code"] = "ollama", ["gemma3n:e4b"] = "ollama",
      ["mistral:latest"] = "ollama", ["orca:v1.5"] = "ollama", ["llama3:mine"] = "ollama",
      ["hf.co/somebody/model:Q4_K_M"] = "ollama", ["gpt-oss:20b"] = "ollama",
    } do
      assert.same({ provider, name }, read(name))
    end
    assert.same({ "groq", "gpt-oss" }, read("gpt-oss", "groq"))
  end)

  it("is refused where its provider is not known", function()
    helper.raises("init_chat_model knows no provider 'opanai'; did you mean 'openai'?", read,
      "opanai:gpt-x")
    helper.raises("knows no provider 'nowhere'; it knows anthropic, deepseek,", read, "x", "nowhere")
    helper.raises("knows no provider 'cohere'; it knows anthropic, deepseek,", read,
      "cohere:command-r-plus")
    helper.raises('of your own write "ollama:foo:bar"', read, "foo:bar")
    helper.raises("it is a family of models of 'xai': write \"xai:grok-5\"", read, "grok:5")
    helper.raises('write "anthropic:claude-x"', read, "claude:claude-x")
  end)

  it("is refused where it is empty", function()
    helper.raises("init_chat_model takes the name of a model, got an empty one",
      mp.init_chat_model, "")
  end)
end)

-- The usual answer of each provider's API, and what its model is made with.
local function openai_answer()
  return { choices = { { message = { content = "hello" }, finish_reason = "stop" } } }
end

local ANSWERS = {
  anthropic = { content = { { type = "text", text = "hello" } }, stop_reason = "end_turn" },
  google = { candidates = { { content = { parts = { { text = "hello" } } },
    finishReason = "STOP" } } },
  ollama = { message = { content = "hello" }, done = true, done_reason = "stop" },
}

describe("one script", function()
  for _, provider in ipairs(names.providers()) do
    if provider ~= "extractive" then
      it("runs on " .. provider .. " by another string", function()
        local base_url = server:lane("one-" .. provider, { content_type = "application/json",
          body = cjson.encode(ANSWERS[provider] or openai_answer()) })
        local chain = mp.ChatPromptTemplate.from_messages {
          { "system", "be {mood}" }, { "human", "{question}" } }
          :pipe(mp.init_chat_model(provider .. ":some-model", {
            base_url = base_url, api_key = "sk-x", temperature = 0, max_tokens = 9 }),
            mp.StrOutputParser())
        assert.equal("hello", chain:invoke { mood = "kind", question = "hi" })
        local all = server:requests()
        local body = all[#all].body
        assert.truthy(body:find("be kind", 1, true) and body:find("hi", 1, true))
        assert.truthy((all[#all].path .. body):find("some-model", 1, true))
      end)
    end
  end
end)

describe("a model that calls choose", function()
  local function chosen(model, configurable)
    model:invoke("x", { configurable = configurable })
    local all = server:requests()
    return cjson.decode(all[#all].body)
  end

  local function make(fields)
    local opts = { base_url = server:lane "chosen", api_key = "k" }
    for key, value in pairs(fields) do opts[key] = value end
    return mp.init_chat_model("gpt-a", opts)
  end

  it("is the one named where a call chooses none", function()
    local model = make { configurable_fields = { "model" } }
    assert.equal("gpt-a", chosen(model).model)
    assert.equal("gpt-b", chosen(model, { model = "gpt-b", temperature = 1 }).model)
    assert.is_nil(chosen(model, { model = "gpt-b", temperature = 1 }).temperature)
  end)

  it("may be another provider's", function()
    server:lane("chosen", { content_type = "application/json",
      body = cjson.encode(ANSWERS.anthropic) })
    local body = chosen(make { configurable_fields = { "model" } }, { model = "claude-b" })
    assert.same({ "claude-b", 8192 }, { body.model, body.max_tokens })
  end)

  it("has a prefix, and any option, where that is said", function()
    local model = make { configurable_fields = "any", config_prefix = "first" }
    local body = chosen(model, { first_model = "gpt-c", first_temperature = 0.5, model = "no" })
    assert.same({ "gpt-c", 0.5 }, { body.model, body.temperature })
  end)

  it("keeps what was bound", function()
    local model = make { configurable_fields = { "model" } }:bind { stop = "E" }
    assert.same({ "gpt-d", "E" }, { chosen(model, { model = "gpt-d" }).model,
      chosen(model, { model = "gpt-d" }).stop })
  end)

  it("may have a key of the call's, which nobody can read in it", function()
    local model = make { configurable_fields = "any", api_key = "sk-canary-0123456789" }
    for _, key in ipairs { "sk-canary-1123456789", mp.secret "sk-canary-2123456789" } do
      model:invoke("x", { configurable = { api_key = key } })
    end
    model:invoke "x"
    local sent = {}
    for i, request in ipairs(server:requests()) do sent[i] = request.headers.authorization end
    assert.same({ "Bearer sk-canary-1123456789", "Bearer sk-canary-2123456789",
      "Bearer sk-canary-0123456789" }, sent)
    assert.is_nil(model.opts)
    assert.is_nil(mp.inspect(model.made):find("canary", 1, true))
  end)

  it("keeps as many as are asked for often, and takes what has no name", function()
    local model = make { configurable_fields = "any", api_key = false }
    for i = 1, 150 do
      model:invoke("x", { configurable = { temperature = i / 1000 } })
    end
    local count = 0
    for _ in pairs(model.made) do count = count + 1 end
    assert.truthy(count <= 64)
    local function key() return "sk-of-a-function-012" end
    model:invoke("x", { configurable = { api_key = key, cache = mp.InMemoryCache() } })
    local all = server:requests()
    assert.equal("Bearer sk-of-a-function-012", all[#all].headers.authorization)
  end)

  it("refuses fields that are none", function()
    helper.raises("configurable_fields of init_chat_model takes \"any\" or a list of names", make,
      { configurable_fields = true })
  end)
end)
