-- What to try, for each kind of failure.
local errors = require "moonpipe.error"
local hint = require "moonpipe.tool.hints"

local function of(kind, fields)
  fields = fields or {}
  fields.kind, fields.message = kind, fields.message or "x"
  return hint(errors.new(fields))
end

-- What a hint must name; `false`: there is none without more to go by.
local EXPECTED = {
  auth = "option api_key", cancelled = false, closed = "close it after the last", config = false,
  connect = "base_url", content_filter = "another model", context_length = "mp.trim_messages",
  decode = false, dns = "base_url", fds = "ulimit -n", http = false, input = false,
  internal = "please report it", io = "path", limit = false, lua = false,
  memory = "max_concurrency", protocol = "base_url", quota = "with_fallbacks",
  rate_limit = "max_concurrency", refused_request = "model's name", reset = "with_retry",
  schema = false, timeout_connect = "timeout = { connect", timeout_first_byte = "first_byte =",
  timeout_idle = "idle =", timeout_total = "`timeout`", tls = "ca_file", too_large = "smaller",
  tool = "err.cause", truncated = "with_retry", unsupported = "moonpipe doctor",
}

-- { kind, fields, what the hint names }
local CASES = {
  { "auth", { provider = "openai" }, "OPENAI_API_KEY or option api_key" },
  { "auth", { provider = "google" }, "of google goes into GOOGLE_API_KEY" },
  { "auth", { provider = "cohere" }, "of cohere goes into option api_key" },
  { "config", { message = "ChatOpenAI needs a key: set X" }, "moonpipe doctor" },
  { "connect", { provider = "ollama" }, "`ollama serve`" },
  { "connect", { provider = "llamacpp" }, "llama-server" },
  { "connect", { provider = "vllm" }, "vllm serve" },
  { "decode", { partial = "{" }, "mp.OutputFixingParser" },
  { "http", { status = 404 }, "name of the model" },
  { "http", { status = 503 }, "with_fallbacks" },
  { "input", { message = "PromptTemplate misses {a}: expected {a}" }, ":assign" },
  { "limit", { message = "recursion limit reached" }, "recursion_limit" },
  { "limit", { message = "the model went on calling tools after 3 rounds" }, "max_rounds" },
  { "limit", { message = "GenericFakeChatModel has no message left" }, "another message" },
  { "lua", { message = "a.lua:1: attempt to call global 'x' (a nil value)" }, "written right" },
  { "lua", { message = "a.lua:1: attempt to call method 'invok' (a nil value)" }, "':invoke'" },
  { "lua", { message = "a.lua:1: attempt to call method 'batch' (a nil value)" },
    "`mp.RunnableParallel(map)` has `:batch`" },
  { "lua", { message = "a.lua:1: attempt to call method 'zzz' (a nil value)" }, "written right" },
  { "lua", { message = "a.lua:1: bad argument #1 to 'write' (string expected, got table)" },
    "`.content`" },
  { "lua", { message = "a.lua:1: 'then' expected near '!'" }, "`~=`" },
  { "lua", { message = "a.lua:1: stack overflow" }, "calls itself" },
  { "lua", { message = "moonpipe:chunk.lua:7: boo" }, "please report it" },
  { "quota", { provider = "openai" }, "the account of openai" },
  { "rate_limit", { retry_after = 7 }, "asks to wait 7 s" },
  { "schema", { partial = "{}" }, "`max_retries`" },
}

describe("hints", function()
  for kind in pairs(errors.KINDS) do
    it("know what to say of " .. kind, function()
      local expected = EXPECTED[kind]
      assert.not_nil(expected, "the spec does not know the kind")
      if not expected then return assert.is_nil(of(kind)) end
      assert.truthy(of(kind):find(expected, 1, true), of(kind))
    end)
  end

  for _, case in ipairs(CASES) do
    it(("name '%s' for %s"):format(case[3], case[1]), function()
      local text = of(case[1], case[2])
      assert.truthy(text and text:find(case[3], 1, true), text)
    end)
  end

  it("do not repeat what the message says", function()
    assert.is_nil(of("io", { message = "'x' is damaged: …; take a copy of it" }))
    assert.is_nil(of("unsupported", { message = "svg needs Graphviz: install graphviz" }))
  end)

  it("take any message", function()
    assert.is_nil(of("lua", { message = 7 }))
    assert.is_nil(of("limit", { message = {} }))
  end)
end)
