-- A key that must be seen nowhere: whatever a program prints, and however its
-- calls end.
local helper = require "spec.helper"
local server = require("spec.support.server").use()

local CANARY = "sk-canary-7f3a9c51e2d84b60"
local ECHO = "Incorrect API key provided: " .. CANARY .. ". Bearer " .. CANARY

-- All that a script can print about a model, an error and a stream.
local PRELUDE = [[
local mp = require "moonpipe"
local json = require "moonpipe.json"
local function show(...)
  for i = 1, select("#", ...) do
    local value = select(i, ...)
    print(tostring(value), mp.inspect(value, { depth = 20, max_items = 1000 }))
    print(pcall(json.encode, value))
    print(pcall(function() return "x" .. value end))
  end
end
local function call(m, input)
  local value, err = m:try_invoke(input)
  show(value, err)
  if type(err) == "table" then
    for key, field in pairs(err) do print(key, tostring(field)) end
  end
  print(pcall(function() return m:stream(input):collect() end))
end
]]

-- Runs a script with the canary as OPENAI_API_KEY and gives all that it printed.
local function printed(script, text, env)
  env = env or {}
  env.OPENAI_API_KEY = CANARY
  env.OPENAI_BASE_URL = server:with(script)
  local out, err = helper.moonpipe({ "-e", PRELUDE .. text }, nil, env)
  return out .. "\n" .. err
end

local function check(text)
  assert.is_true(#text > 20, text)
  assert.is_nil(text:find("canary", 1, true), text)
  assert.is_nil(text:find("7f3a9c51", 1, true), text)
  return text
end

describe("a canary key", function()
  it("reaches its server, as a header", function()
    check(printed("status=200", 'show(mp.ChatOpenAI():invoke "hi")'))
    assert.equal("Bearer " .. CANARY, server:requests()[1].headers.authorization)
  end)

  it("is not seen in what a model prints", function()
    local text = check(printed("status=200", [[
      local m = mp.ChatOpenAI()
      show(m, m.endpoint, m.endpoint.key, m.endpoint.headers, m.unbound, m.params, mp.getpass "OPENAI_API_KEY")
      show(mp.OpenAIEmbeddings(), mp.OpenAIEmbeddings().endpoint)
      show(m:pipe(mp.StrOutputParser()), m:bind { stop = "a" })
      print(debug.traceback(tostring(m.endpoint.key)))]]))
    assert.truthy(text:find("sk-…4b60", 1, true))
  end)

  it("is not seen where the server repeats it", function()
    for _, script in ipairs({
      { status = 401, error = "invalid_api_key", message = ECHO },
      { status = 400, message = ECHO }, { status = 500, body = ECHO }, { status = 502, body = "<p>" .. ECHO },
      { body = "<html>" .. ECHO }, { body = '{"error":{"message":"' .. ECHO .. '"}}' },
      { body = '{"choices":null,"x":"' .. ECHO .. '"}' }, { redirect = "https://" .. CANARY .. ".test/" },
      { error = "server_error", message = ECHO, after = 1 },
      { content_type = "text/event-stream", body = "data: " .. ECHO .. "\n\n" },
      { content_type = "text/event-stream", body = "event: error\ndata: " .. ECHO .. "\n\n" },
    }) do
      check(printed(script, 'call(mp.ChatOpenAI { max_retries = 0 }, "hi")'))
    end
  end)

  it("is not seen where the server repeats it to embeddings", function()
    check(printed({ status = 401, message = ECHO }, [[
      show(pcall(mp.OpenAIEmbeddings { max_retries = 0 }.embed_query,
        mp.OpenAIEmbeddings { max_retries = 0 }, "x"))]]))
    check(printed({ body = "<html>" .. ECHO }, [[
      local e = mp.OpenAIEmbeddings { max_retries = 0 }
      show(pcall(e.embed_query, e, "x"))]]))
  end)

  it("is not seen where the server repeats it to a reranker", function()
    for _, script in ipairs { { status = 401, message = ECHO }, { body = "<html>" .. ECHO },
      { body = '{"results":[{"index":"' .. ECHO .. '"}]}' }, { body = '{"x":"' .. ECHO .. '"}' } } do
      check(printed("status=200", ([[
        local r = mp.Reranker { max_retries = 0, base_url = %q,
          api_key = os.getenv "OPENAI_API_KEY" }
        show(r, r.endpoint, r.opts)
        call(r, { documents = { mp.Document "a" }, query = "x" })]]):format(
        server:lane("rerank", { default = script }))))
    end
  end)

  it("is not seen when the transport fails", function()
    for _, url in ipairs({ server.closed_url, "http://no-such-host.invalid", server:with("cut=0"),
      server:with("reset=10") }) do
      check(printed("status=200", ([[call(mp.ChatOpenAI { base_url = %q, api_key = mp.getpass
        "OPENAI_API_KEY", max_retries = 0, allow_http = true }, "hi")]]):format(url .. "/v1")))
    end
  end)

  it("is not seen in an error that ends the program", function()
    local text = check(printed({ status = 401, message = ECHO },
      'mp.ChatOpenAI { max_retries = 0 }:pipe(mp.StrOutputParser()):invoke "hi"'))
    assert.truthy(text:find("check OPENAI_API_KEY", 1, true), text)
  end)

  it("is not seen where it is refused", function()
    check(printed("status=200", (([[
      print(pcall(mp.ChatOpenAI, { base_url = "https://x.test/v1" }))
      print(pcall(mp.ChatOpenAI, { base_url = "https://%s@x.test/v1" }))
      print(pcall(mp.ChatOpenAI, { base_url = "http://x.test/v1", api_key = mp.getpass "OPENAI_API_KEY" }))
      print(pcall(mp.ChatOpenAI, { default_headers = { ["a"] = "x\n" .. "%s" } }))
      print(pcall(mp.secret, "%s\n%s"))]]):gsub("%%s", CANARY))))
  end)
end)
