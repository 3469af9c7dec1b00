-- Calls over TLS, HTTP/2 and proxies: nghttpx and the fault proxy stand before the
-- test server.
local calls = require "spec.support.calls"
local helper = require "spec.helper"
local http = require "moonpipe.http.http"
local json = require "moonpipe.json"
local mp = require "moonpipe"
local proxies = require "spec.support.proxy"

local server = require("spec.support.server").use()
local it = calls.it

-- TLS in front of the server for the tests of a describe.
local function use_tls(opts)
  local self = {}
  setup(function()
    opts.to = server.port
    self.tls = proxies.tls(opts)
  end)
  teardown(function() self.tls:stop() end)

  -- The base URL of a lane or script, and the fields of a plan.
  function self.url(base_url)
    local url = (base_url or server.base_url):gsub("^http://127%.0%.0%.1:%d+", self.tls.url)
    return url
  end

  function self.fields(more)
    local fields = { ca_file = self.tls.ca_file }
    for name, value in pairs(more or {}) do fields[name] = value end
    return fields
  end

  function self.open(base_url)
    return calls.open(self.url(base_url), self.fields())
  end

  -- Our connections to it that are open.
  function self.connections()
    local port, count = (":%04X 01 "):format(self.tls.port), 0
    for line in io.lines("/proc/net/tcp") do
      if line:find(port, 20, true) then count = count + 1 end
    end
    return count
  end

  return self
end

-- Many calls at once; gives their statuses, counted.
local function batch(plan, count)
  local step = mp.RunnableLambda(function() return http.send(plan, calls.BODY).status end)
  local inputs, counts = {}, {}
  for i = 1, count do inputs[i] = i end
  for _, status in ipairs(step:batch(inputs)) do counts[status] = (counts[status] or 0) + 1 end
  return counts
end

describe("HTTP/2 over TLS", function()
  local h2 = use_tls({})

  it("carries whole answers and streams", function()
    local answer = calls.send(h2.url(), h2.fields())
    assert.equal(200, answer.status)
    assert.equal("application/json", answer.header("content-type"))
    assert.same({ "one two three", true }, { calls.text(calls.read(h2.open())) })
  end)

  it("carries a hundred calls at once over one connection", function()
    local plan = calls.plan(h2.url(server:with({ delay = 200 })), h2.fields())
    assert.same({ [200] = 100 }, batch(plan, 100))
    assert.equal(100, server:stats().peak)
    assert.equal(1, h2.connections())
  end)

  it("cancels one stream and leaves the others", function()
    local cut = h2.open(server:lane("cut", { { tokens = 3, gap = 60000 } }))
    local left = h2.open(server:with({ tokens = 3, gap = 20 }))
    cut:read()
    left:read()
    cut:close()
    local text, done = calls.text(calls.read(left))
    assert.same({ "tok1 tok2", true }, { text:match("tok1.*"), done })
    server:wait(function(stats) return stats.lanes.cut.aborted == 1 end)
    assert.equal(1, h2.connections())
  end)

  it("lets others go on while one stream is not read", function()
    local slow = h2.open(server:lane("slow", { { tokens = 100000 } }))
    mp.sleep(0.3) -- time to fill the window
    assert.equal(1, server:stats().lanes.slow.in_flight)
    for _ = 1, 3 do
      local records = calls.read(h2.open(server:with({ tokens = 1000 })))
      assert.equal("[DONE]", records[#records])
    end
    local records = calls.read(slow)
    assert.equal("[DONE]", records[#records])
  end)

  it("fails with reset where a stream is broken off, and leaves the others", function()
    local left = h2.open(server:with({ tokens = 3, gap = 30 }))
    local _, err = calls.read(h2.open(server:with({ reset = 600, gap = 10 })))
    assert.equal("reset", err.kind)
    assert.truthy(select(2, calls.text(calls.read(left))))
  end)

  it("trusts the authority that it is given, and no other", function()
    assert.equal("tls", helper.failure(calls.send, h2.url()).kind)
    local err = helper.failure(calls.send, h2.url(), { ca_file = "/no/such/file.pem" })
    assert.equal("tls", err.kind)
    assert.matches("/no/such/file.pem", err.message, 1, true)
    assert.equal(0, server:stats().requests)
  end)

  it("that the server never begins is timeout_connect", function()
    local url = "https://127.0.0.1:" .. server.port .. "/v1"
    assert.equal("timeout_connect", helper.failure(calls.send, url, { connect = 0.1 }).kind)
  end)
end)

describe("HTTP/1.1 over TLS", function()
  local h1 = use_tls({ protocols = "http/1.1" })

  it("spreads calls over connections, and keeps these", function()
    local plan = calls.plan(h1.url(server:with({ delay = 1000 })), h1.fields())
    assert.same({ [200] = 20 }, batch(plan, 20))
    assert.equal(20, server:stats().peak)
    local before = h1.connections()
    assert.same({ [200] = 20 }, batch(plan, 20))
    assert.equal(before, h1.connections())
  end)

  it("streams", function()
    assert.same({ "one two three", true }, { calls.text(calls.read(h1.open())) })
  end)
end)

-- Trust is that of a process, so is OpenSSL's configuration: a child for each.
local function invoke(options, env)
  local stdout, stderr, code = helper.moonpipe({ "-e", ([[
    local mp = require "moonpipe"
    local ok, value = mp.ChatOpenAI(%s):try_invoke "hi"
    print(ok and ok.content or value and value.kind)]]):format(options) }, nil, env)
  assert.equal(0, code, stderr)
  return stdout, stderr
end

describe("the certificate of a server", function()
  local good = use_tls({})

  it("is believed where SSL_CERT_FILE vouches for it", function()
    local options = ("{ base_url = %q, api_key = false }"):format(good.url())
    assert.same({ "tls\n", "" }, { invoke(options, { SSL_CERT_FILE = false }) })
    assert.same({ "hi\n", "" }, { invoke(options, { SSL_CERT_FILE = good.tls.ca_file }) })
    assert.equal(1, server:stats().requests)
  end)

  it("is believed by none but who asks for it, where one does not care", function()
    local url = good.url()
    local out = invoke(([[{ base_url = %q, api_key = false, insecure = true }):try_invoke "x"
      ok, value = mp.ChatOpenAI({ base_url = %q, api_key = false }]]):format(url, url))
    assert.equal("tls\n", out)
    assert.equal(1, server:stats().requests)
  end)
end)

describe("insecure = true", function()
  for _, certificate in ipairs { "expired", "wrong_name", "self_signed" } do
    local bad = use_tls({ certificate = certificate })

    it("takes a certificate that is " .. certificate .. ", and warns, once", function()
      local options = ("{ base_url = %q, api_key = false, insecure = true }"):format(bad.url())
      local out, err = invoke(options .. "):try_invoke 'hi'; mp.ChatOpenAI(" .. options)
      assert.equal("hi\n", out)
      assert.equal(("moonpipe: ChatOpenAI: insecure = true: nobody checks that %s is who it says; whoever"
        .. " stands between can read all, the key too\n"):format(bad.url():match("^(.-%d+)/")), err)
    end)
  end

  it("is said of a provider, with true or false", function()
    helper.raises("insecure of ChatOpenAI must be a boolean, got a string", mp.ChatOpenAI,
      { insecure = "yes" })
  end)
end)

describe("a server that speaks TLS 1.1 alone", function()
  local old = use_tls({ protocols = "tls1.1" })

  it("is no server, whatever the system would allow", function()
    local lax = helper.temp([[
openssl_conf = all
[all]
ssl_conf = ssl
[ssl]
system_default = lax
[lax]
MinProtocol = TLSv1
CipherString = DEFAULT@SECLEVEL=0
]])
    local env = { OPENSSL_CONF = lax, SSL_CERT_FILE = old.tls.ca_file }
    local _, _, code = helper.execute({ "curl", "-sS", "--tlsv1.0", "--cacert", old.tls.ca_file,
      old.url() .. "/models" }, nil, env)
    assert.equal(0, code)
    local out = invoke(("{ base_url = %q, api_key = false }"):format(old.url()), env)
    assert.equal("tls\n", out)
  end)
end)

for certificate, what in pairs({
  expired = "whose time is over",
  wrong_name = "of another name",
  self_signed = "that nobody vouches for",
}) do
  describe("row 3: a certificate " .. what, function()
    local bad = use_tls({ certificate = certificate })

    it("fails with tls, and nothing is sent", function()
      local err = helper.failure(calls.send, bad.url(), bad.fields())
      assert.equal("tls", err.kind)
      assert.matches("certificate", err.message)
      assert.equal(0, server:stats().requests)
    end)

    it("is never tried again", function()
      local model = mp.ChatOpenAI({ base_url = bad.url(), ca_file = bad.tls.ca_file,
        max_retries = 5 })
      local err = helper.failure(model.invoke, model, "x")
      assert.same({ "tls", 1, 0 }, { err.kind, err.attempts, server:stats().requests })
    end)
  end)
end

describe("row 59: a proxy", function()
  local proxy

  local function start(opts)
    opts.to, opts.connect = server.port, true
    proxy = proxies.start(opts)
    return proxy.url
  end

  after_each(function()
    if proxy then proxy:stop() end
    proxy = nil
  end)

  it("is asked for a tunnel where the call is for TLS", function()
    local tls = proxies.tls({ to = server.port })
    proxy = proxies.start({ to = tls.port, connect = true })
    local answer = calls.send("https://localhost:1/v1", { proxy = proxy.url, ca_file = tls.ca_file })
    tls:stop()
    assert.equal(200, answer.status)
    assert.equal("localhost:1", server:requests()[1].headers.host)
  end)

  it("that refuses connections fails with connect, and its name", function()
    local err = helper.failure(calls.send, server.base_url, { proxy = server.closed_url })
    assert.equal("connect", err.kind)
    assert.matches(server.closed_url:match("%d+$"), err.message, 1, true)
    assert.equal(0, server:stats().requests)
  end)

  it("whose name is unknown fails with dns", function()
    local err = helper.failure(calls.send, server.base_url, { proxy = "http://proxy.invalid:3128" })
    assert.equal("dns", err.kind)
    assert.matches("proxy.invalid", err.message, 1, true)
  end)

  it("that wants a password says so with connect, and is not asked again", function()
    local url = start({ auth = "dTpw" })
    local model = mp.ChatOpenAI({ base_url = "https://localhost:1/v1", proxy = url })
    local err = helper.failure(model.invoke, model, "x")
    assert.same({ "connect", 1, url:match("127.*") }, { err.kind, err.attempts,
      err.message:match("^the proxy (%S+) refused the tunnel: 407") })
  end)

  -- The test server in a proxy's place.
  it("that refuses a tunnel fails with connect and its name, and hears of no key", function()
    for _, status in ipairs { 403, 502 } do
      server:script({ status = status })
      local model = mp.ChatOpenAI({ base_url = "https://api.elsewhere.test/v1",
        api_key = "sk-canary-0123456789", proxy = "http://localhost:" .. server.port, max_retries = 0 })
      local err = helper.failure(model.invoke, model, "x")
      assert.same({ "connect", ("the proxy localhost:%d refused the tunnel: %d"):format(server.port,
        status) }, { err.kind, err.message })
    end
    local requests = server:requests()
    assert.equal(2, #requests)
    for _, request in ipairs(requests) do
      assert.equal("CONNECT", request.method)
      assert.is_nil(json.encode(request):find("canary", 1, true))
    end
  end)

  it("that wants a password for a plain call says so with connect, and is not asked again", function()
    server:script("status=407")
    local model = mp.ChatOpenAI({ base_url = "http://elsewhere.test/v1", api_key = false,
      proxy = "u:secret@localhost:" .. server.port, max_retries = 2 })
    local err = helper.failure(model.invoke, model, "x")
    assert.same({ "connect", "the proxy localhost:" .. server.port .. " refused the call: 407", 1 },
      { err.kind, err.message, err.attempts })
  end)

  it("gets its password from its URL, which no error shows", function()
    local url = start({ auth = "dTpw" })
    local with_password = url:gsub("//", "//u:p@")
    -- past the proxy nobody speaks TLS
    local err = helper.failure(calls.send, "https://localhost:1/v1", { proxy = with_password,
      connect = 0.2 })
    assert.equal("timeout_connect", err.kind)
    proxy:stop()
    err = helper.failure(calls.send, "https://localhost:1/v1", { proxy = with_password })
    assert.equal("connect", err.kind)
    assert.is_nil(err.message:find("u:p@", 1, true))
  end)
end)

-- The environment is that of the process: a child for each.
describe("row 59: the environment's proxy", function()
  local SCRIPT = [[
    local http = require "moonpipe.http.http"
    local plan = http.plan { url = arg[1], ca_file = arg[2] }
    local ok, value = pcall(http.send, plan)
    print(ok and value.status or value.kind)]]

  local function ask(url, env, ca_file)
    env.http_proxy, env.https_proxy = env.http_proxy or false, env.https_proxy or false
    env.no_proxy, env.NO_PROXY = env.no_proxy or false, env.NO_PROXY or false
    local stdout, stderr, code = helper.moonpipe({ "-e", SCRIPT, url, ca_file }, nil, env)
    assert.same({ "", 0 }, { stderr, code })
    return stdout:gsub("%s", "")
  end

  it("is used", function()
    local proxy = proxies.start({ to = server.port, connect = true })
    local url = server.url .. "/v1/models"
    assert.equal("connect", ask(url, { http_proxy = server.closed_url }))
    assert.equal("200", ask(url, {}))
    proxy:stop()
  end)

  it("is left aside for what NO_PROXY names", function()
    local url = server.url .. "/v1/models"
    for name, value in pairs({ NO_PROXY = "127.0.0.1", no_proxy = "*" }) do
      assert.equal("200", ask(url, { http_proxy = server.closed_url, [name] = value }))
    end
    assert.equal("connect", ask(url, { http_proxy = server.closed_url, NO_PROXY = "elsewhere" }))
  end)

  it("may be OpenAI's alone, unless a script names another", function()
    local function asked(options)
      local stdout, stderr = helper.moonpipe({ "-e", ([[
        local mp = require "moonpipe"
        local model = mp.ChatOpenAI { base_url = arg[1], max_retries = 0, %s }
        local _, err = model:try_invoke "x"
        print(err and err.kind or "none")]]):format(options), server.base_url }, nil,
        { OPENAI_PROXY = server.closed_url:gsub("//", "//u:secret@"), no_proxy = false, NO_PROXY = false })
      assert.is_nil((stdout .. stderr):find("secret", 1, true))
      return (stdout:gsub("%s", ""))
    end
    assert.same({ "connect", "none" }, { asked "", asked 'proxy = ""' })
  end)

  it("is no concern of a plan without one", function()
    assert.equal(200, calls.send(server.base_url, { proxy = "" }).status)
  end)
end)
