-- Keys that must be in no file that a program leaves: traces, cassettes, histories, caches.
local cjson = require "cjson"
local helper = require "spec.helper"
local server = require("spec.support.server").use()

local CANARY = "sk-canary-7f3a9c51e2d84b60"
local HEADER = "canary-in-a-header-11aa22bb33cc"
local ECHO = ("bad key %s, Bearer %s, header %s"):format(CANARY, CANARY, HEADER)
local BODY = "q8-body-of-an-answer"

-- ---- what providers answer -------------------------------------------------------------

local function whole(value)
  return { body = cjson.encode(value), content_type = "application/json" }
end

local function events(records)
  local out = {}
  for i, record in ipairs(records) do
    out[i] = ("%sdata: %s\n\n"):format(record.type and "event: " .. record.type .. "\n" or "",
      cjson.encode(record))
  end
  return { body = table.concat(out), content_type = "text/event-stream" }
end

local USAGE = { input_tokens = 1, output_tokens = 1 }
local OLLAMA = { model = "m", message = { role = "assistant", content = BODY }, done = true,
  done_reason = "stop" }
local GEMINI = { candidates = { { content = { role = "model", parts = { { text = BODY } } },
  finishReason = "STOP", index = 0 } } }
local RESPONSE = { id = "r", object = "response", model = "m", status = "completed", output = { {
  type = "message", role = "assistant", id = "m", content = { { type = "output_text", text = BODY } },
} } }
local OPENAI_WHOLE = whole { id = "c", model = "m", choices = { { index = 0, finish_reason = "stop",
  message = { role = "assistant", content = BODY } } } }
local OPENAI_STREAM = { body = "data: " .. cjson.encode { id = "c", model = "m", choices = { {
  index = 0, finish_reason = "stop", delta = { content = BODY } } } } .. "\n\ndata: [DONE]\n\n",
  content_type = "text/event-stream" }

-- By class: how it is made beside what all take, what it answers, and the header of its key.
local PROVIDERS = {
  ChatOpenAI = { options = "", whole = OPENAI_WHOLE, stream = OPENAI_STREAM, header = "authorization" },
  ["ChatOpenAI, Responses"] = { class = "ChatOpenAI", options = "use_responses_api = true,",
    whole = whole(RESPONSE), header = "authorization",
    stream = events {
      { type = "response.output_text.delta", output_index = 0, content_index = 0, delta = BODY },
      { type = "response.completed", response = RESPONSE },
    } },
  ChatDeepSeek = { options = 'model = "m",', whole = OPENAI_WHOLE, stream = OPENAI_STREAM,
    header = "authorization" },
  ChatGroq = { options = 'model = "m",', whole = OPENAI_WHOLE, stream = OPENAI_STREAM,
    header = "authorization" },
  ChatMistralAI = { options = 'model = "m",', whole = OPENAI_WHOLE, stream = OPENAI_STREAM,
    header = "authorization" },
  ChatAnthropic = { options = "", header = "x-api-key",
    whole = whole { id = "m", type = "message", role = "assistant", model = "m", usage = USAGE,
      content = { { type = "text", text = BODY } }, stop_reason = "end_turn" },
    stream = events {
      { type = "message_start", message = { id = "m", model = "m", usage = USAGE } },
      { type = "content_block_start", index = 0, content_block = { type = "text", text = "" } },
      { type = "content_block_delta", index = 0, delta = { type = "text_delta", text = BODY } },
      { type = "content_block_stop", index = 0 },
      { type = "message_delta", delta = { stop_reason = "end_turn" }, usage = USAGE },
      { type = "message_stop" },
    } },
  ChatGoogleGenerativeAI = { options = "", header = "x-goog-api-key", whole = whole(GEMINI),
    stream = events { GEMINI } },
  ChatOllama = { options = 'model = "m",', header = "authorization", whole = whole(OLLAMA),
    stream = { body = cjson.encode(OLLAMA) .. "\n", content_type = "application/x-ndjson" } },
}

-- What a server may say that repeats the keys.
local FAILURES = {
  { status = 401, error = "invalid_api_key", message = ECHO },
  { status = 400, body = ("x"):rep(180) .. ECHO }, -- the key lies across the end of what is shown
  { status = 500, body = "<html>" .. ECHO, content_type = "text/html" },
  { body = "<html>" .. ECHO },
  { content_type = "text/event-stream", body = "data: " .. ECHO .. "\n\n" },
  { content_type = "text/event-stream",
    body = 'event: error\ndata: {"type":"error","error":{"message":"' .. ECHO .. '"}}\n\n' },
  { content_type = "application/x-ndjson", body = '{"error":"' .. ECHO .. '"}\n' },
}

-- ---- the program -------------------------------------------------------------------------

-- Whole answers and a stream, recorded or cached, and failures, with all that watches them.
local PROGRAM = [[
local mp = require "moonpipe"
local json = require "moonpipe.json"
local folder, whole_url, stream_url, otlp_url = arg[1], arg[2], arg[3], arg[4]
local failures = { unpack(arg, 5) }

local function show(...)
  for i = 1, select("#", ...) do
    local value = select(i, ...)
    print(tostring(value), mp.inspect(value, { depth = 20, max_items = 1000 }))
    print(pcall(json.encode, value))
  end
end

local callbacks = {
  mp.RunLog(folder .. "/run.jsonl", { contents = true }),
  mp.ChromeTracer(folder .. "/run.json", { contents = true }),
  mp.TimelineTracer(folder .. "/run.txt", { contents = true }),
  mp.OTLPTracer { endpoint = otlp_url, contents = true },
}

local function model(url, more)
  local options = {
    %s base_url = url, api_key = mp.getpass "CANARY", max_retries = 0,
    default_headers = { ["X-Other-Key"] = "%s", Authorization2 = "Bearer %s" },
  }
  for name, value in pairs(more or {}) do options[name] = value end
  return mp.%s(options)
end

local config = { callbacks = callbacks, configurable = { session_id = "s" } }
local function conversation(m)
  return mp.RunnableWithMessageHistory(m, function(id)
    return mp.SQLiteChatMessageHistory(id, { path = folder .. "/history.db" })
  end)
end

local m = model(whole_url)
show(m, m.endpoint, m.endpoint.headers, m.endpoint.key, m.unbound, m.params, config)
mp.cassette(folder .. "/whole.jsonl", function()
  show(conversation(m):invoke({ mp.HumanMessage "hi" }, config))
end)
local cached = model(whole_url, { cache = mp.SQLiteCache { path = folder .. "/cache.db" } })
show(cached:invoke("hi", config).content, cached:invoke("hi", config).content)
mp.cassette(folder .. "/stream.jsonl", function()
  show(conversation(model(stream_url)):stream({ mp.HumanMessage "ho" }, config):collect())
end)
for i, url in ipairs(failures) do
  local failing = model(url)
  mp.cassette(folder .. "/failure" .. i .. ".jsonl", function()
    local _, err = failing:try_invoke("hi", config)
    show(err)
    for name, field in pairs(err) do print(name, tostring(field)) end
    print(pcall(function() return failing:stream("hi", config):collect() end))
  end)
end
callbacks[4].flush()
error(select(2, model(failures[1]):try_invoke("hi", config)))
]]

local folder

local function run(provider, class, scripts, env, args)
  local urls = { server:lane("whole", { scripts.whole, scripts.whole }), server:lane("stream", { scripts.stream }) }
  local otlp = server:lane("otlp", { body = "{}" }):gsub("/v1$", "")
  local words = { folder, urls[1], urls[2], otlp }
  for i, failure in ipairs(FAILURES) do
    words[#words + 1] = server:lane("failure" .. i, { failure, failure, failure })
  end
  local text = PROGRAM:format(provider.options, HEADER, HEADER, provider.class or class)
  local arguments = { unpack(args or {}) }
  for _, word in ipairs { "-e", text, unpack(words) } do arguments[#arguments + 1] = word end
  return helper.moonpipe(arguments, nil, env)
end

local function files()
  local list, pipe = {}, assert(io.popen(("find '%s' -type f"):format(folder)))
  for path in pipe:lines() do list[#list + 1] = path end
  pipe:close()
  table.sort(list)
  return list
end

local function check_clean(text, what)
  for _, piece in ipairs { CANARY, "7f3a9c51", HEADER, "11aa22bb", "sk-can", "canary-in" } do
    local at = text:find(piece, 1, true)
    assert.is_nil(at, at and ("%s: %s"):format(what, text:sub(math.max(at - 80, 1), at + 40)))
  end
end

local function check_all(out, err)
  check_clean(out, "standard output")
  check_clean(err, "standard error")
  local list = files()
  for _, path in ipairs(list) do check_clean(helper.read(path), path) end
  return list
end

describe("a canary key", function()
  before_each(function()
    folder = os.tmpname()
    assert(os.execute(("rm '%s' && mkdir -m 700 '%s'"):format(folder, folder)) == 0)
  end)
  after_each(function() os.execute(("rm -rf '%s'"):format(folder)) end)

  for class, provider in pairs(PROVIDERS) do
    it("of " .. class .. " is in nothing that a program leaves", function()
      local out, err, code = run(provider, class, provider, { CANARY = CANARY })
      assert.is_true(code > 1, out .. err)
      assert.truthy(select(2, out:gsub("q8%-body", "")) >= 4, out .. err)
      assert.truthy(err:find("moonpipe: ", 1, true) and out:find("…4b60", 1, true), out .. err)
      local list = check_all(out, err)
      assert.truthy(#list >= 7 + #FAILURES, table.concat(list, "\n"))
      local sent, exported = 0, 0
      for _, request in ipairs(server:requests()) do
        local headers = request.headers
        if request.lane == "otlp" then
          exported = exported + 1
          check_clean(cjson.encode(request), "OTLP")
        else
          assert.truthy((headers[provider.header] or ""):find(CANARY, 1, true))
          assert.equal(HEADER, headers["x-other-key"])
          assert.equal("Bearer " .. HEADER, headers.authorization2)
          sent = sent + 1
        end
      end
      assert.is_true(sent > #FAILURES and exported > 0)
    end)
  end

  it("from a file or a command is in nothing that a program leaves", function()
    local path = helper.temp(CANARY .. "\n") -- not in the folder, where no key may be
    assert(os.execute("chmod 600 " .. path) == 0)
    for _, env in ipairs { { CANARY_FILE = path }, { CANARY_CMD = "cat " .. path } } do
      env.CANARY = false
      local out, err = run(PROVIDERS.ChatOpenAI, "ChatOpenAI", PROVIDERS.ChatOpenAI, env)
      assert.truthy(select(2, out:gsub("q8%-body", "")) >= 4, out .. err)
      check_all(out, err)
      assert.truthy(server:requests()[1].headers.authorization:find(CANARY, 1, true))
      os.execute(("rm -f '%s'/*"):format(folder))
    end
  end)

  it("is in no form of --trace", function()
    local text = [[
      local mp = require "moonpipe"
      local m = mp.ChatOpenAI { base_url = arg[1], api_key = mp.getpass "CANARY", max_retries = 0,
        default_headers = { ["X-Other-Key"] = arg[2] } }
      m:try_invoke "hi"
      m:with_fallbacks { m }:invoke "ho"]]
    for form, where in pairs {
      ["--trace"] = false, ["--trace=otlp"] = false, ["--trace=" .. folder .. "/t.txt"] = "/t.txt",
      ["--trace=" .. folder .. "/t.json"] = "/t.json", ["--trace=" .. folder .. "/t.jsonl"] = "/t.jsonl",
    } do
      local otlp = server:lane("otlp", { body = "{}" }):gsub("/v1$", "")
      local out, err, code = helper.moonpipe({ form, "-e", text, server:with(FAILURES[1]), HEADER }, nil,
        { CANARY = CANARY, OTEL_EXPORTER_OTLP_ENDPOINT = otlp })
      assert.equal(4, code, err)
      check_all(out, err)
      if where then assert.truthy(helper.read(folder .. where):find("bad key sk-…4b60", 1, true)) end
    end
    for _, request in ipairs(server:requests()) do check_clean(request.body, "a request") end
  end)

  it("of embeddings is not in their cache", function()
    local out, err, code = helper.moonpipe({ "-e", [[
      local mp = require "moonpipe"
      local options = { base_url = arg[2], api_key = arg[4], max_retries = 0,
        default_headers = { ["X-Other-Key"] = arg[5] } }
      local embeddings = mp.OpenAIEmbeddings(options)
      local cached = mp.CacheBackedEmbeddings(embeddings, { path = arg[1] .. "/vectors.db" })
      print(mp.inspect({ embeddings, cached, embeddings.endpoint }, { depth = 20, max_items = 1000 }))
      print(#cached:embed_documents { "a", "b" }, #cached:embed_documents { "a", "b" })
      options.base_url = arg[3]
      print(pcall(function() return mp.OpenAIEmbeddings(options):embed_query "x" end))]], folder,
      server.base_url, server:with(FAILURES[1]), CANARY, HEADER })
    assert.equal(0, code, err)
    assert.truthy(out:find("\n2\t2\n", 1, true), out)
    assert.equal(folder .. "/vectors.db", check_all(out, err)[1])
    assert.equal(HEADER, server:requests()[1].headers["x-other-key"])
  end)

  -- What a model says is the program's, and in what it keeps; not in what watches it.
  it("that an answer repeats is in the answer, and in no trace or cassette", function()
    local out, err, code = helper.moonpipe({ "-e", [[
      local mp = require "moonpipe"
      local m = mp.ChatOpenAI { base_url = arg[2], api_key = mp.getpass "CANARY" }
      local config = { callbacks = { mp.RunLog(arg[1] .. "/a.jsonl", { contents = true }),
        mp.ChromeTracer(arg[1] .. "/a.json", { contents = true }),
        mp.TimelineTracer(arg[1] .. "/a.txt", { contents = true }) } }
      mp.cassette(arg[1] .. "/tape.jsonl", function()
        print(m:invoke(arg[3], config).content)
        print(m:stream(arg[3], config):collect().content)
      end)]], folder, server.base_url, CANARY }, nil, { CANARY = CANARY })
    assert.same({ CANARY .. "\n" .. CANARY .. "\n", "", 0 }, { out, err, code })
    assert.equal(4, #check_all("", ""))
  end)
end)
