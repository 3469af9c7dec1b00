local cjson = require "cjson"
local mp = require "moonpipe"
local server = require("spec.support.server").use()

local lanes = 0

local function model(class, opts, scripts)
  lanes = lanes + 1
  local all = { base_url = server:lane("compatible-" .. lanes, scripts), max_retries = 0 }
  for key, value in pairs(opts or {}) do all[key] = value end
  return mp[class](all)
end

local function seen()
  local all = server:requests()
  return cjson.decode(all[#all].body)
end

describe("a server that speaks as OpenAI's does", function()
  for _, class in ipairs { "ChatDeepSeek", "ChatGroq", "ChatLlamaCpp", "ChatMistralAI",
    "ChatOpenRouter", "ChatTogether", "ChatVLLM", "ChatXAI" } do
    it("is " .. class, function()
      local m = model(class, nil, { answer = "hello" })
      local got = m:invoke "hi"
      assert.equal("hello", got.content)
      assert.equal(m.api.spec.name, got.response_metadata.model_provider)
      assert.equal(m.model, seen().model)
      assert.equal("hello", m:stream("hi"):collect().content)
      assert.equal(class, tostring(m))
    end)
  end

  it("is told in its own words", function()
    local schema = { type = "json_schema", json_schema = { name = "n", schema = {} } }
    local m = model("ChatMistralAI", { seed = 3, max_completion_tokens = 5 })
    m:bind({ tool_choice = "required" }):stream("x"):collect()
    local body = seen()
    assert.same({ 3, 5, "any" }, { body.random_seed, body.max_tokens, body.tool_choice })
    assert.is_nil(body.stream_options)
    model("ChatDeepSeek"):bind({ response_format = schema }):invoke "x"
    assert.same({ type = "json_object" }, seen().response_format)
  end)

  it("gets thoughts back that it wants with calls of tools", function()
    local function sent(class, kwargs, calls)
      model(class):invoke { { "human", "x" },
        mp.AIMessage { content = "so", additional_kwargs = kwargs, tool_calls = calls } }
      return seen().messages[2]
    end
    local calls = { { name = "f", args = {}, id = "1" } }
    local thought = { reasoning_content = "hm", reasoning_details = { { type = "t", data = "e" } } }
    assert.equal("hm", sent("ChatDeepSeek", thought, calls).reasoning_content)
    assert.equal("", sent("ChatDeepSeek", nil, calls).reasoning_content)
    assert.is_nil(sent("ChatDeepSeek", thought).reasoning_content)
    assert.same({ { type = "t", data = "e" } }, sent("ChatOpenRouter", thought).reasoning_details)
    assert.is_nil(sent("ChatOpenRouter", nil, calls).reasoning_details)
    local plain = sent("ChatGroq", thought, calls)
    assert.same({ "so" }, { plain.content, plain.reasoning_content, plain.reasoning_details })
  end)

  it("has a key of its own name", function()
    local ok, err = pcall(mp.ChatGroq, {})
    assert.is_false(ok)
    assert.truthy(err.message:find("ChatGroq needs a key: set GROQ_API_KEY", 1, true))
    assert.truthy(pcall(mp.ChatVLLM, {}))
  end)

  it("may end a stream without saying so, where that is allowed", function()
    local scripts = { { no_done = true, no_finish = true, answer = "all of it" } }
    assert.equal("all of it", model("ChatVLLM", { require_finish = false }, scripts)
      :stream("x"):collect().content)
    local _, err = pcall(function()
      model("ChatVLLM", nil, scripts):stream("x"):collect()
    end)
    assert.equal("truncated", err.kind)
  end)
end)
