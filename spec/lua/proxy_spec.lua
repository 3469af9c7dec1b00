-- What stands before the test server: the fault proxy and TLS, asked by curl.
local curl = require "spec.support.curl"
local proxies = require "spec.support.proxy"
local servers = require "spec.support.server"

describe("the fault proxy", function()
  local server = servers.use()
  local proxy

  local function through(toxics, body, ...)
    proxy = proxies.start({ to = server.port, toxics = toxics })
    return curl.chat(proxy.url .. "/v1", body, ...)
  end

  after_each(function()
    if proxy then proxy:stop() end
    proxy = nil
  end)

  it("passes everything on", function()
    assert.equal(server.port ~= nil and 200, through().status)
    assert.equal(3, #curl.contents(curl.chat(proxy.url .. "/v1", curl.STREAM).body))
  end)

  it("has latency", function()
    local took = curl.timed(function() assert.equal(200, through({ latency = 100 }).status) end)
    assert.truthy(took >= 0.09)
  end)

  it("has little bandwidth", function()
    server:script({ body = ("x"):rep(20000) })
    local took = curl.timed(function() through({ bandwidth = 100 }) end)
    assert.truthy(took >= 0.17)
  end)

  it("slices", function()
    server:script({ body = ("x"):rep(300) })
    local answer
    local took = curl.timed(function() answer = through({ slicer = 10, slicer_delay = 2000 }) end)
    assert.equal(300, #answer.body)
    assert.truthy(took >= 0.07)
  end)

  it("closes late", function()
    server:script("framing=close")
    assert.truthy(curl.timed(function() through({ slow_close = 100 }) end) >= 0.09)
  end)

  it("lets nothing through, for a while or for ever", function()
    assert.equal(52, through({ timeout = 50 }).code)
    proxy:stop()
    assert.equal(28, through({ timeout = 0 }, nil, "-m", "0.2").code)
  end)

  it("resets", function()
    server:script("never")
    assert.equal(56, through({ reset_peer = 50 }).code)
  end)

  it("limits", function()
    server:script({ body = ("x"):rep(1000) })
    assert.equal(18, through({ limit_data = 500 }).code)
  end)

  it("passes a reset of the server on", function()
    server:script("reset=20")
    assert.equal(56, through().code)
  end)

  it("refuses when it is down", function()
    assert.equal(7, through({ down = 1 }).code)
  end)

  it("is an HTTP proxy for CONNECT, with a password", function()
    proxy = proxies.start({ to = server.port, connect = true, auth = "dTpw" })
    local url = "http://elsewhere.invalid/v1"
    assert.equal(56, curl.chat(url, nil, "-p", "-x", proxy.url).code) -- 407
    local answer = curl.chat(url, nil, "-p", "-x", "http://u:p@127.0.0.1:" .. proxy.port)
    assert.equal(0, answer.code)
    assert.equal("elsewhere.invalid", server:requests()[1].headers.host)
  end)
end)

describe("TLS in front of the test server", function()
  local server = servers.use()

  local function with_tls(opts, fn)
    opts.to = server.port
    local tls = proxies.tls(opts)
    local ok, err = pcall(fn, tls)
    tls:stop()
    if not ok then error(err, 0) end
  end

  it("speaks HTTP/2, and trusts its own authority", function()
    with_tls({}, function(tls)
      local answer = curl.chat(tls.url .. "/v1", curl.STREAM, "--cacert", tls.ca_file)
      assert.truthy(answer.head:find("^HTTP/2 200"))
      assert.equal(3, #curl.contents(answer.body))
      assert.equal(60, curl.chat(tls.url .. "/v1").code)
    end)
  end)

  it("speaks HTTP/1.1 alone, too", function()
    with_tls({ protocols = "http/1.1" }, function(tls)
      local answer = curl.chat(tls.url .. "/v1", nil, "--cacert", tls.ca_file)
      assert.truthy(answer.head:find("^HTTP/1.1 200"))
    end)
  end)

  for _, certificate in ipairs({ "expired", "wrong_name", "self_signed" }) do
    it("has a bad certificate: " .. certificate, function()
      with_tls({ certificate = certificate }, function(tls)
        assert.equal(60, curl.chat(tls.url .. "/v1", nil, "--cacert", tls.ca_file).code)
        assert.equal(200, curl.chat(tls.url .. "/v1", nil, "-k").status)
      end)
    end)
  end
end)
