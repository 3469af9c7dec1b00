local helper = require "spec.helper"
local mp = require "moonpipe"
local origin = require "moonpipe.http.endpoint_origin"
local secret = require "moonpipe.secret"

local KEY = "sk-canary-0123456789abcdef"

describe("endpoint: origins", function()
  it("are read from base URLs", function()
    local base = origin.parse("HTTPS://API.Example.com:443/v1/", "x")
    assert.same({ "https://api.example.com/v1", "https://api.example.com", "443", false },
      { base.url, base.name, base.port, base.is_loopback })
    base = origin.parse("http://127.0.0.1:8080", "x")
    assert.same({ "http://127.0.0.1:8080", "http://127.0.0.1:8080", "8080", true },
      { base.url, base.name, base.port, base.is_loopback })
    assert.equal("http://[::1]:9/a", origin.parse("http://[::1]:9/a///", "x").url)
  end)

  it("know what is loopback", function()
    for url, yes in pairs({
      ["http://localhost"] = true, ["http://a.localhost"] = true, ["http://127.1.2.3"] = true,
      ["http://[::1]"] = true, ["http://127.evil.test"] = false, ["http://localhost.evil"] = false,
      ["http://10.0.0.1"] = false, ["http://[::2]"] = false, ["http://127.0.0.1.x"] = false,
    }) do
      assert.equal(yes, origin.parse(url, "x").is_loopback, url)
    end
  end)

  it("are refused where they are none", function()
    for _, url in ipairs({
      "", "api.openai.com/v1", "ftp://x/", "http://", "https:///v1", "https://a b/", "https://a/b c",
      "https://x/v1?key=1", "https://x/#a", "https://x:99999", "https://x:y", "https://[zz]/",
    }) do
      local err = helper.raises("base_url", origin.parse, url, "base_url")
      assert.equal("config", err.kind, url)
    end
  end)

  it("hold no user and no key", function()
    local err = helper.raises("base_url holds a user name or a key; write it as api_key",
      origin.parse, "https://user:" .. KEY .. "@x/v1", "base_url")
    assert.is_nil(tostring(err):find(KEY, 1, true))
  end)

  it("carry queries that are sorted and escaped", function()
    assert.equal("", origin.query(nil))
    assert.equal("?a%20b=c%26d&api-version=2024-10-21&n=1", origin.query({
      n = 1, ["a b"] = "c&d", ["api-version"] = "2024-10-21",
    }))
  end)
end)

-- Runs a script that prints what becomes of a model; nil for "no error".
local function model(opts, env)
  local out, err = helper.moonpipe({ "-e", ([[
    local mp = require "moonpipe"
    local ok, err = pcall(mp.ChatOpenAI, %s)
    if ok then print("ok", err.endpoint.key, err.endpoint.origin.name)
    else print(type(err) == "table" and err.kind or "usage", tostring(err)) end
  ]]):format(opts) }, nil, env)
  assert.equal("", err)
  return (out:gsub("\n$", ""))
end

local NO_ENV = {
  OPENAI_API_KEY = false, OPENAI_BASE_URL = false, OPENAI_API_BASE = false, OPENAI_ORG_ID = false,
}

local function with(env)
  local out = {}
  for name, value in pairs(NO_ENV) do out[name] = value end
  for name, value in pairs(env) do out[name] = value end
  return out
end

describe("endpoint: keys", function()
  it("come from the environment, for the provider itself", function()
    assert.equal("ok\tsk-…cdef\thttps://api.openai.com", model("{}", with { OPENAI_API_KEY = KEY }))
  end)

  it("are missed where they are needed", function()
    local out = model("{}", NO_ENV)
    assert.truthy(out:find("^config\tconfig: ChatOpenAI needs a key: set OPENAI_API_KEY %(or"
      .. ' OPENAI_API_KEY_FILE, OPENAI_API_KEY_CMD%), call mp.getpass "OPENAI_API_KEY" before, or'
      .. " give api_key"), out)
    assert.equal(out, model("{}", with { OPENAI_API_KEY = "" }))
  end)

  it("of the environment go to no server that a script names", function()
    local out = model('{ base_url = "https://evil.test/v1" }', with { OPENAI_API_KEY = KEY })
    assert.equal("config\tconfig: ChatOpenAI: base_url 'https://evil.test/v1' is written in the"
      .. " script, so it needs an api_key of its own: OPENAI_API_KEY goes to https://api.openai.com"
      .. " only (api_key = false sends none) (at (command line):2)", out)
  end)

  it("of the environment do not go to loopback either", function()
    assert.equal("ok\tnil\thttp://127.0.0.1:1", model('{ base_url = "http://127.0.0.1:1" }',
      with { OPENAI_API_KEY = KEY }))
  end)

  it("of the environment go where the environment says", function()
    for _, name in ipairs({ "OPENAI_BASE_URL", "OPENAI_API_BASE" }) do
      assert.equal("ok\tsk-…cdef\thttps://proxy.test",
        model("{}", with { OPENAI_API_KEY = KEY, [name] = "https://proxy.test/v1" }))
    end
    assert.equal("ok\tsk-…cdef\thttps://proxy.test", model('{ base_url = "https://proxy.test/v2" }',
      with { OPENAI_API_KEY = KEY, OPENAI_BASE_URL = "https://proxy.test/v1" }))
    assert.truthy(model('{ base_url = "https://api.openai.com/v1" }', with {
      OPENAI_API_KEY = KEY, OPENAI_BASE_URL = "https://proxy.test/v1",
    }):find("OPENAI_API_KEY goes to https://proxy.test only", 1, true))
  end)

  it("that a script gives go where it says", function()
    assert.equal("ok\tsk-…cdef\thttps://x.test",
      model(('{ base_url = "https://x.test/v1", api_key = %q }'):format(KEY), NO_ENV))
    assert.equal("ok\tsk-…cdef\thttps://api.openai.com",
      model(("{ api_key = function() return %q end }"):format(KEY), NO_ENV))
    assert.equal("ok\tsk-…cdef\thttps://api.openai.com",
      model(('{ api_key = require "moonpipe".secret(%q) }'):format(KEY), NO_ENV))
  end)

  it("can be none", function()
    assert.equal("ok\tnil\thttps://x.test",
      model('{ base_url = "https://x.test/v1", api_key = false }', with { OPENAI_API_KEY = KEY }))
  end)

  it("do not cross a network in the open", function()
    local out = model(('{ base_url = "http://x.test", api_key = %q }'):format(KEY), NO_ENV)
    assert.equal("config\tconfig: ChatOpenAI: a key would cross the network in the open to"
      .. " 'http://x.test'; use https, or say allow_http = true (at (command line):2)", out)
    assert.equal("ok\tsk-…cdef\thttp://x.test", model(
      ('{ base_url = "http://x.test", api_key = %q, allow_http = true }'):format(KEY), NO_ENV))
    assert.equal("ok\tnil\thttp://x.test",
      model('{ base_url = "http://x.test", api_key = false }', NO_ENV))
    assert.truthy(model(([[{ base_url = "http://x.test", api_key = false, default_headers = {
      ["api-key"] = require "moonpipe".secret(%q) } }]]):format(KEY), NO_ENV):find("in the open"))
  end)

  it("are asked of the options' author where they cannot be keys", function()
    assert.truthy(model('{ api_key = "" }', NO_ENV):find(
      "config\tconfig: api_key of ChatOpenAI: the key is empty", 1, true))
    assert.truthy(model("{ api_key = 3 }", NO_ENV):find(
      "api_key of ChatOpenAI is a text or a secret, got the number 3", 1, true))
  end)

  it("are one and the same for equal texts", function()
    local a = mp.ChatOpenAI { api_key = KEY }
    assert.equal(secret.of(KEY), a.endpoint.key)
  end)
end)

describe("endpoint: options", function()
  local function refused(fragment, opts)
    opts.base_url = opts.base_url or "http://127.0.0.1:1/v1"
    local ok, err = pcall(mp.ChatOpenAI, opts)
    assert.is_false(ok)
    assert.truthy(tostring(err):find(fragment, 1, true), tostring(err))
  end

  it("that are unknown are named with the nearest", function()
    refused("unknown option 'modle' of ChatOpenAI; allowed: allow_http, api_key, base_url", {
      modle = "x" })
    refused("did you mean 'model'?", { modle = "x" })
    refused("unknown option 'openai_api_key'", { openai_api_key = "x" })
  end)

  it("of a wrong type are named", function()
    refused("base_url of ChatOpenAI must be a string, got the number 3", { base_url = 3 })
    refused("proxy of ChatOpenAI must be a string, got a function", { proxy = print })
    refused("default_headers of ChatOpenAI must be a table", { default_headers = "x" })
    refused("timeout of ChatOpenAI must be seconds, more than 0, got the number 0", { timeout = 0 })
    refused("timeout of ChatOpenAI must be seconds", { timeout = "5" })
    refused("timeout of ChatOpenAI must be seconds", { timeout = 0 / 0 })
    refused("timeout.idle of ChatOpenAI must be seconds", { timeout = { idle = -1 } })
    refused("unknown option 'conect' of timeout of ChatOpenAI", { timeout = { conect = 1 } })
    refused("max_retries of ChatOpenAI must be a whole number from 0", { max_retries = -1 })
    refused("max_retries of ChatOpenAI must be a whole number from 0", { max_retries = 1.5 })
  end)

  it("that could begin another header are refused", function()
    refused('default_headers of ChatOpenAI: "a b" is no name of a header', {
      default_headers = { ["a b"] = "x" } })
    refused("the number 1 is no name of a header", { default_headers = { "x" } })
    refused("the value of X-A must be a text of one line or a secret", {
      default_headers = { ["X-A"] = "a\r\nB: c" } })
    refused("the value of X-A must be a text of one line or a secret", {
      default_headers = { ["X-A"] = 3 } })
  end)

  it("give finite times", function()
    local loopback = mp.ChatOpenAI { base_url = "http://127.0.0.1:1/v1" }
    assert.same({ connect = 5, first_byte = 600, idle = 60, total = 600 },
      loopback.endpoint.timeouts)
    local remote = mp.ChatOpenAI { api_key = KEY, timeout = 30 }
    assert.same({ connect = 5, first_byte = 120, idle = 60, total = 30 }, remote.endpoint.timeouts)
    remote = mp.ChatOpenAI { api_key = KEY, timeout = { connect = 1, first_byte = 2, idle = 3 } }
    assert.same({ connect = 1, first_byte = 2, idle = 3, total = 600 }, remote.endpoint.timeouts)
  end)
end)

describe("endpoint: headers of the user's", function()
  local function headers_of(headers)
    local given = { base_url = "http://127.0.0.1:1", api_key = false, default_headers = headers }
    local out = {}
    for _, header in ipairs(mp.ChatOpenAI(given).endpoint.headers) do out[header[1]] = header[2] end
    assert.equal(headers, given.default_headers)
    return out
  end

  it("are secrets where their names tell of keys", function()
    local given = { Authorization = "Bearer " .. KEY, ["x-api-KEY"] = KEY, Cookie = "a=1; b=2",
      ["X-Token"] = "", ["X-Team"] = "blue", ["x-secret"] = secret.of(KEY) }
    local got = headers_of(given)
    assert.same({ "sk-…cdef", "sk-…cdef", "a=1; b=2", "", "blue", "sk-…cdef" }, {
      tostring(got.Authorization), tostring(got["x-api-KEY"]), got.Cookie, got["X-Token"],
      got["X-Team"], tostring(got["x-secret"]),
    })
    assert.equal(secret.prefixed(secret.of(KEY), "Bearer "), got.Authorization)
    assert.equal("Bearer " .. KEY, given.Authorization)
  end)

  it("and the password of a proxy are not shown", function()
    local given = { base_url = "http://127.0.0.1:1", api_key = false,
      proxy = "http://user:" .. KEY .. "@proxy.test:3128" }
    for _, made in ipairs { mp.ChatOpenAI(given), mp.OpenAIEmbeddings(given) } do
      local shown = mp.inspect({ made, made.endpoint, made.opts }, { depth = 20, max_items = 1000 })
      assert.is_nil(shown:find("canary", 1, true))
      assert.equal("proxy.test:3128", made.endpoint.who.proxy)
    end
  end)

  it("do not cross the network in the open either", function()
    local err = helper.raises("a key would cross the network in the open", mp.ChatOpenAI, {
      base_url = "http://x.test", api_key = false, default_headers = { ["X-Api-Key"] = KEY },
    })
    assert.equal("config", err.kind)
  end)
end)
