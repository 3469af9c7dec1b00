--- The example document's chains, each in scripts/: offline, and against the test server, which
--- gives the document's answers.
local helper = require "spec.helper"
local server = require("spec.support.server").use()

local it_with_vectors = helper.with_vectors(it)

local OFFLINE = {
  OPENAI_API_KEY = false, OPENAI_BASE_URL = false, OPENAI_API_BASE = false,
  MOONPIPE_MODEL = "extractive", MOONPIPE_EMBEDDINGS = false,
}

local function run(env, name, ...)
  local stdout, stderr, code = helper.moonpipe({ "run", "scripts/" .. name, ... }, nil, env)
  assert.equal(0, code, stderr)
  return stdout, stderr
end

-- The test server stands for OpenAI, chat and embeddings alike.
local function online(lane, scripts)
  return {
    OPENAI_API_KEY = "sk-test", OPENAI_BASE_URL = server:lane(lane, scripts),
    OPENAI_API_BASE = false, MOONPIPE_MODEL = false, MOONPIPE_EMBEDDINGS = false,
  }
end

local function requests(path)
  local list = {}
  for _, request in ipairs(server:requests()) do
    if request.path:find(path, 1, true) then list[#list + 1] = request end
  end
  return list
end

local KENSHO = "harrison worked at kensho"

local JOKE = {
  answer = "Why don't bears like fast food? Because they can't catch it!", usage = "13,15",
  fingerprint = "fp_d9767fc5b9",
  answer_id = "run-fe024170-c251-4b7a-bfd4-64a3737c67f2-0", delay = 100,
}
local POEM = {
  answer = "In the quiet of the forest, the bear roams free\nMajestic and wild, a sight to see.",
  usage = "15,24", fingerprint = "fp_c2295e73ad",
  answer_id = "run-2707913e-a743-4101-b6ec-840df4568a76-0", delay = 100,
}

describe("scripts/rag.lua", function()
  it_with_vectors("answers from its files offline", function()
    local stdout, stderr = run(OFFLINE, "rag.lua", helper.temp(KENSHO), "where did harrison work?")
    assert.equal(KENSHO .. "\n", stdout)
    assert.truthy(stderr:find("no language model", 1, true))
  end)

  it_with_vectors("answers from the README without arguments", function()
    assert.truthy(run(OFFLINE, "rag.lua"):find("run at the same time", 1, true))
  end)

  it_with_vectors("finds the one text among many", function()
    local texts = {}
    for i = 1, 200 do texts[i] = ("Paragraph %d is about bears and honey.\n\n"):format(i):rep(20) end
    texts[120] = KENSHO .. "\n\n"
    local stdout = run(OFFLINE, "rag.lua", helper.temp(table.concat(texts)),
      "where did harrison work?")
    assert.equal(KENSHO .. "\n", stdout)
  end)

  it_with_vectors("asks with what it found", function()
    local stdout = run(online("rag", { {}, {}, { answer = "Harrison worked at Kensho." } }),
      "rag.lua", helper.temp(KENSHO), "where did harrison work?")
    assert.equal("Harrison worked at Kensho.\n", stdout)
    assert.equal(2, #requests("/embeddings"))
    local asked = requests("/chat/completions")
    assert.equal(1, #asked)
    assert.truthy(asked[1].body:find('"data%-(%x+)\\n' .. KENSHO
      .. "\\ndata%-%1\\n\\nQuestion: where"), asked[1].body)
  end)
end)

describe("scripts/rag_language.lua", function()
  it_with_vectors("answers offline, in the language of the text", function()
    assert.equal(KENSHO .. "\n", (run(OFFLINE, "rag_language.lua")))
  end)

  it_with_vectors("asks with three keys", function()
    local answer = "Harrison ha lavorato a Kensho."
    assert.equal(answer .. "\n", (run(online("lang", { {}, {}, { answer = answer } }),
      "rag_language.lua")))
    local body = requests("/chat/completions")[1].body
    assert.truthy(body:find(KENSHO, 1, true))
    assert.truthy(body:find("Question: where did harrison work\\n", 1, true))
    assert.truthy(body:find("following language: italian", 1, true))
  end)
end)

describe("scripts/joke_poem.lua", function()
  it("gives a map of two messages offline", function()
    local stdout = run(OFFLINE, "joke_poem.lua")
    assert.truthy(stdout:find("joke = AIMessage{", 1, true))
    assert.truthy(stdout:find("poem = AIMessage{", 1, true))
  end)

  -- Which of the two asks first is open, so which key has which answer; but what is said of an
  -- answer stands in its message.
  it("gives both answers with what is said of them", function()
    local env = online("both", { JOKE, POEM })
    env.MOONPIPE_MODEL = "gpt-3.5-turbo"
    local stdout = run(env, "joke_poem.lua")
    local first, second = stdout:match("^{\n  joke = (AIMessage%b{}),\n  poem = (AIMessage%b{}),\n}\n$")
    assert.truthy(second, stdout)
    if first:find(POEM.fingerprint, 1, true) then first, second = second, first end
    for message, fragments in pairs({
      [first] = { JOKE.answer, JOKE.answer_id, "completion_tokens = 15", "prompt_tokens = 13",
        "total_tokens = 28", "fp_d9767fc5b9" },
      [second] = { "In the quiet of the forest, the bear roams free\\nMajestic and wild, a sight to see.",
        POEM.answer_id, "completion_tokens = 24", "prompt_tokens = 15", "total_tokens = 39",
        "fp_c2295e73ad" },
    }) do
      fragments[#fragments + 1] = 'finish_reason = "stop"'
      fragments[#fragments + 1] = 'model_name = "gpt-3.5-turbo"'
      for _, fragment in ipairs(fragments) do
        assert.truthy(message:find(fragment, 1, true), fragment .. " is not in " .. message)
      end
    end
  end)

  it("asks both at once", function()
    run(online("at-once", { JOKE, POEM }), "joke_poem.lua")
    local a, b = unpack(requests("/chat/completions"))
    assert.is_true(a.start_us < b.end_us and b.start_us < a.end_us)
    local topics = a.body .. b.body
    assert.truthy(topics:find("tell me a joke about bear", 1, true))
    assert.truthy(topics:find("write a 2-line poem about bear", 1, true))
  end)
end)

describe("scripts/timing.lua", function()
  it("runs offline", function()
    assert.truthy(run(OFFLINE, "timing.lua", "1"):find("map / slower", 1, true))
  end)

  it("takes for the map as long as for the slower chain", function()
    local stdout = run(online("time", { default = { delay = 200 } }), "timing.lua", "2")
    assert.is_true(tonumber(stdout:match("joke  [^\n]* least ([%d.]+) ms")) >= 200)
    assert.is_true(tonumber(stdout:match("map   [^\n]* least ([%d.]+) ms")) < 390)
    assert.is_true(tonumber(stdout:match("slower  ([%d.]+)")) < 1.5)
  end)
end)
