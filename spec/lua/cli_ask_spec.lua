--- moonpipe ask, as a person calls it: without an index, against the test server.
local cjson = require "cjson"
local helper = require "spec.helper"
local server = require("spec.support.server").use()

local KEY = "sk-test-0123456789-abcdefgh"

-- The environment of a user whose model is on the test server.
local function user(base_url)
  return { MOONPIPE_MODEL = "openai:gpt-5.4-mini", OPENAI_API_KEY = KEY,
    OPENAI_BASE_URL = base_url or server.base_url, MOONPIPE_BASE_URL = false }
end

local function ask(words, stdin, base_url)
  return helper.moonpipe({ "ask", unpack(words) }, stdin, user(base_url))
end

local function answers(expected, words, stdin, base_url)
  local stdout, stderr, code = ask(words, stdin, base_url)
  assert.equal(0, code, stderr)
  assert.equal(expected, stdout)
  return stderr
end

local function refused(code, said, words, stdin, base_url)
  local stdout, stderr, got = ask(words, stdin, base_url)
  assert.equal(code, got, stderr)
  assert.truthy(stderr:find(said, 1, true), stderr)
  return stdout, stderr
end

-- The body of the last request.
local function sent()
  local list = server:requests()
  return cjson.decode(list[#list].body)
end

describe("moonpipe ask's question", function()
  it("has what is piped in before it", function()
    answers("a diff\n\nexplain it\n", { "explain", "it" }, "a diff\n\n")
    assert.equal("a diff\n\nexplain it", sent().messages[1].content)
    answers("alone\n", {}, "alone\n")
  end)

  it("has it where - is", function()
    answers("before a diff behind\n", { "before", "-", "behind" }, "a diff")
  end)

  it("may begin with the name of a folder, and names a file that is no index", function()
    answers("spec of what?\n", { "spec", "of", "what?" })
    refused(1, "'README.md' is no index; `moonpipe index README.md -o docs.mp` makes one",
      { "README.md", "what?" })
  end)

  it("needs some text", function()
    refused(2, "ask takes a question", {}, "  \n")
  end)

  it("goes to the model of --model, with what else is said", function()
    answers("hi\n", { "-m", "openai:gpt-x", "--system", "Be brief.", "--temperature=0.5",
      "--max-tokens", "7", "hi" })
    local body = sent()
    assert.equal("gpt-x", body.model)
    assert.equal(0.5, body.temperature)
    assert.equal(7, body.max_tokens or body.max_completion_tokens)
    assert.same({ role = "system", content = "Be brief." }, body.messages[1])
  end)

  it("takes images and texts along", function()
    local image, text = helper.temp "\137PNG\r\n\26\nrest", helper.temp "a note"
    answers("what is it?\n", { "-a", image, "--attach", text, "-a", "https://example.com/i.png",
      "what", "is", "it?" }, nil, server:with "answer=what is it?")
    local content = sent().messages[1].content
    assert.equal("data:image/png;base64,iVBORw0KGgpyZXN0", content[1].image_url.url)
    assert.equal(("The file %s:\n\na note"):format(text), content[2].text)
    assert.equal("https://example.com/i.png", content[3].image_url.url)
    assert.equal("what is it?", content[4].text)
    refused(1, "no image that models read", { "-a", helper.temp "\0\1", "x" })
    refused(1, "/no/such/file", { "-a", "/no/such/file", "x" })
  end)
end)

describe("moonpipe ask's answer", function()
  it("is printed as it comes", function()
    local base_url = server:lane("slow", { token = { "one", " two" }, gap = 300 })
    local stdout, stderr = helper.execute({ "bash", "-c", helper.bin .. [[ ask -q hi |
      while IFS= read -r -N 1 byte; do echo "${EPOCHREALTIME/./}"; done]] }, nil, user(base_url))
    local times = {}
    for time in stdout:gmatch "%d+" do times[#times + 1] = tonumber(time) end
    assert.same({ "", 8 }, { stderr, #times })
    assert.truthy(times[4] - times[3] > 1e5, "the second token came with the first")
  end)

  it("is one object with --json", function()
    local stdout = ask({ "--json", "hi" }, nil, server:with "answer=you; usage=3,2")
    local value = cjson.decode(stdout)
    assert.equal(1, select(2, stdout:gsub("\n", "")))
    assert.same({ question = "hi", answer = "you", model = "gpt-5.4-mini", usage = value.usage },
      value)
    assert.same({ 3, 2, 5 }, { value.usage.input_tokens, value.usage.output_tokens,
      value.usage.total_tokens })
    assert.truthy(value.usage.cost > 0)
  end)

  it("is an object for each event with --jsonl", function()
    local stdout = ask({ "--jsonl", "hi" }, nil, server:with { token = { "a", "b" } })
    local list = {}
    for line in stdout:gmatch "[^\n]+" do list[#list + 1] = cjson.decode(line) end
    assert.same({ "token", "token", "end" }, { list[1].event, list[2].event, list[3].event })
    assert.equal("ab", list[1].text .. list[2].text)
    assert.equal("ab", list[3].answer)
    assert.equal("gpt-5.4-mini", list[3].model)
    stdout = refused(4, "auth", { "--jsonl", "hi" }, nil, server:with "status=401")
    assert.equal("auth", cjson.decode(stdout).kind)
  end)

  it("tells tokens and price with --usage, beside it", function()
    local stderr = answers("hi\n", { "--usage", "hi" }, nil, server:with "usage=1000,2000")
    assert.truthy(stderr:find("moonpipe: 1000 tokens in, 2000 out, $0.00975 (gpt-5.4-mini)\n", 1,
      true), stderr)
    stderr = answers("hi\n", { "-u", "-m", "openai:mine", "hi" })
    assert.truthy(stderr:find("at an unknown price (mine)", 1, true), stderr)
  end)

  it("is a block of code with -x", function()
    local text = "See:\n```sh\nls | wc\n```\nand\n~~~\n```\n~~~\n"
    local base_url = server:with { answer = text }
    answers("ls | wc\n", { "-x", "hi" }, nil, base_url)
    answers("```\n", { "--extract-last", "hi" }, nil, base_url)
    local value = cjson.decode((ask({ "-x", "--json", "hi" }, nil, base_url)))
    assert.equal("ls | wc", value.answer)
    local stdout = refused(1, "the answer has no fenced block of code", { "-x", "rm -rf" })
    assert.equal("", stdout)
  end)

  it("is JSON of the form in --schema", function()
    local form = { type = "object", properties = { name = { type = "string" } },
      required = { "name" }, additionalProperties = false }
    local in_json = helper.fresh() .. ".json"
    helper.write(in_json, cjson.encode(form))
    finally(function() os.remove(in_json) end)
    local base_url = server:with { answer = '{"name": "Ann"}' }
    answers('{\n  "name": "Ann"\n}\n', { "--schema", in_json, "who?" }, nil, base_url)
    assert.same(form, sent().response_format.json_schema.schema)
    local in_lua = helper.fresh() .. ".lua"
    helper.write(in_lua, 'return require("moonpipe").schema.object { name = "string" }')
    local value = cjson.decode((ask({ "--schema", in_lua, "--json", "who?" }, nil, base_url)))
    os.remove(in_lua)
    assert.same({ name = "Ann" }, value.answer)
    refused(1, "schema", { "--schema", in_json, "who?" }, nil, server:with "answer={}")
    refused(1, "is no JSON", { "--schema", helper.temp "{", "who?" })
    refused(1, "cannot open", { "--schema", "/no/such.json", "who?" })
  end)

  it("is an error where it is not whole", function()
    local stdout = refused(5, "truncated: the answer is not whole", { "hi" }, nil,
      server:with "finish=length; answer=half")
    assert.equal("half\n", stdout)
    stdout = refused(5, "truncated", { "hi" }, nil, server:with "token=one; token=two; cut=700")
    assert.truthy(stdout:find "^one.*\n$", stdout)
    refused(4, "content_filter", { "hi" }, nil, server:with "finish=content_filter")
  end)

  it("does not take options that contradict each other", function()
    refused(2, "--json and --jsonl do not go together", { "--json", "--jsonl", "hi" })
    refused(2, "--extract and --schema do not go together", { "-x", "--schema=s", "hi" })
    refused(2, "--temperature takes a number from 0, got 'hot'", { "--temperature=hot", "hi" })
  end)
end)

describe("moonpipe ask --dry-run", function()
  it("prints the request without the key, and sends nothing", function()
    local stdout = ask { "--dry-run", "hi" }
    assert.truthy(stdout:find("POST " .. server.base_url .. "/chat/completions\n", 1, true), stdout)
    assert.truthy(stdout:find("\nAuthorization: sk-…", 1, true), stdout)
    assert.truthy(stdout:find('"content": "hi"', 1, true), stdout)
    assert.is_nil(stdout:find("0123456789", 1, true))
    local value = cjson.decode((ask { "--dry-run", "--json", "hi" }))
    assert.equal("hi", value.body.messages[1].content)
    assert.equal("POST", value.method)
    assert.equal(0, server:stats().requests)
  end)

  it("needs no key, and says where there would be no request", function()
    local stdout, stderr, code = helper.moonpipe({ "ask", "--dry-run", "-m", "anthropic", "hi" }, nil,
      { ANTHROPIC_API_KEY = false, ANTHROPIC_BASE_URL = false, MOONPIPE_BASE_URL = false })
    assert.equal(0, code, stderr)
    assert.truthy(stdout:find("POST https://api.anthropic.com/v1/messages", 1, true), stdout)
    refused(1, "nothing would be sent", { "--dry-run", "-m", "extractive", "hi" })
  end)
end)
