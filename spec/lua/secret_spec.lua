local helper = require "spec.helper"
local json = require "moonpipe.json"
local mp = require "moonpipe"
local redact = require "moonpipe.redact"
local secret = require "moonpipe.secret"

local KEY = "sk-canary-0123456789abcdef-wxyz"

describe("secret", function()
  it("prints as its mask", function()
    assert.equal("sk-…wxyz", tostring(secret.of(KEY)))
    assert.equal("…6789", tostring(secret.of("0123456789-0123456789")))
    assert.equal("…", tostring(secret.of("sk-short")))
  end)

  it("is one value for equal keys", function()
    assert.equal(secret.of(KEY), secret.of(KEY))
    assert.equal(secret.of(KEY), secret.of("  " .. KEY .. "\n"))
    assert.not_equal(secret.of(KEY), secret.of(KEY .. "x"))
    assert.equal(secret.id(secret.of(KEY)), secret.id(secret.of(KEY)))
    assert.not_equal(secret.id(secret.of(KEY)), secret.id(secret.of(KEY .. "x")))
    assert.truthy(secret.id(secret.of(KEY)):find("^%x+$"))
  end)

  it("of a secret is the secret", function()
    local key = secret.of(KEY)
    assert.equal(key, secret.of(key))
    assert.is_true(secret.is(key))
    assert.is_false(secret.is(KEY))
    assert.is_false(secret.is(io.stdout))
    assert.is_false(secret.is(nil))
  end)

  it("with a prefix keeps its mask and is another value", function()
    local bearer = secret.prefixed(secret.of(KEY), "Bearer ")
    assert.equal("sk-…wxyz", tostring(bearer))
    assert.not_equal(secret.of(KEY), bearer)
    assert.not_equal(secret.prefixed(secret.of(KEY), "Abcdef "), bearer)
    assert.equal(secret.prefixed(secret.of(KEY), "Bearer "), bearer)
  end)

  it("cannot become part of a text", function()
    helper.raises("a secret cannot be made part of a text", function()
      return "Bearer " .. secret.of(KEY)
    end)
    helper.raises("a secret cannot be made part of a text", function()
      return secret.of(KEY) .. ""
    end)
  end)

  it("cannot be encoded, indexed, measured or looked into", function()
    local key = secret.of(KEY)
    local err = helper.raises("cannot encode a userdata", json.encode, { key = key })
    assert.equal("input", err.kind)
    assert.is_false(pcall(function() return key.x end))
    assert.is_false(pcall(function() return #key end))
    assert.equal("secret", getmetatable(key))
    assert.is_false(pcall(setmetatable, key, {}))
    assert.equal('{ key = sk-…wxyz }', mp.inspect({ key = key }))
  end)

  it("is refused where it cannot be a key", function()
    local err = helper.raises("api_key: the key is empty", secret.of, " \n", "api_key")
    assert.equal("config", err.kind)
    err = helper.raises("byte 6 of the key is no printable character", secret.of, "sk-ab\ncd")
    assert.equal("config", err.kind)
    assert.is_nil(tostring(err):find("sk-ab", 1, true))
    helper.raises("byte 4 of the key", secret.of, "sk-\195\164")
    helper.raises("a key: the key has 20000 bytes", secret.of, ("x"):rep(20000))
  end)

  it("is a text or a secret", function()
    helper.raises("api_key is a text or a secret, got the number 3", secret.of, 3, "api_key")
    helper.raises("a key is a text or a secret, got nil", secret.of, nil)
  end)

  it("is known to mp", function()
    assert.equal(secret.of(KEY), mp.secret(KEY))
    assert.equal(secret.getpass, mp.getpass)
  end)
end)

describe("redact.text", function()
  it("masks every key that the program holds", function()
    local odd = secret.of("notakeyshape0123456789")
    assert.equal("a …6789 b …6789", redact.text(
      "a notakeyshape0123456789 b notakeyshape0123456789"))
    assert.is_true(secret.is(odd))
  end)

  it("masks what looks like a key", function()
    assert.equal('{"message":"bad key sk-…"}', redact.text(
      '{"message":"bad key sk-proj-AAAAAAAAAAAAAAAAAAAAAAAA"}'))
    assert.equal("x … y", redact.text("x gsk_aaaaaaaaaaaaaaaaaaaaaaaaaa y"))
  end)

  it("masks a key of which another is a part as a whole", function()
    for i = 1, 20 do -- the order in which a table is gone through is no order
      local long = secret.of(("part-of-a-key-%02d-and-more"):format(i))
      local short = secret.of(("part-of-a-key-%02d"):format(i))
      local bearer = secret.prefixed(short, "Bearer ")
      assert.equal("a …more b " .. tostring(short), redact.text(
        ("a part-of-a-key-%02d-and-more b part-of-a-key-%02d"):format(i, i)))
      assert.is_true(secret.is(long) and secret.is(bearer))
    end
  end)

  it("leaves the rest as it is", function()
    for _, text in ipairs({ "", "task-force", "a risk-averse-and-long-sentence-here", "sk-…wxyz" }) do
      assert.equal(text, redact.text(text))
    end
  end)

  it("does not look for keys so short that words hold them", function()
    local short = secret.of("word")
    assert.equal("a word", redact.text("a word"))
    assert.is_true(secret.is(short))
  end)

  it("forgets keys that nobody holds", function()
    assert.equal("…5678", tostring(secret.of("temporary-key-12345678")))
    collectgarbage()
    collectgarbage()
    assert.equal("a temporary-key-12345678", redact.text("a temporary-key-12345678"))
  end)
end)

describe("secret.env", function()
  it("reads the environment without the value becoming a text", function()
    local out, _, code = helper.moonpipe({ "-e", [[
      local secret = require "moonpipe.secret"
      print(secret.env "CANARY", secret.env "NOT_SET", secret.env "EMPTY")]] }, nil,
      { CANARY = KEY, EMPTY = "", NOT_SET = false })
    assert.same({ "sk-…wxyz\tnil\tnil\n", 0 }, { out, code })
  end)

  it("names the variable that holds no key, not what it holds", function()
    local _, err, code = helper.moonpipe({ "-e", [[require "moonpipe.secret".env "CANARY"]] },
      nil, { CANARY = "sk-ab cd" })
    assert.equal("moonpipe: config: CANARY: byte 6 of the key is no printable character\n"
      .. '  at (command line):1\n    1 | require "moonpipe.secret".env "CANARY"\n', err)
    assert.equal(3, code)
  end)
end)

describe("mp.getpass", function()
  local ask = [[print((require "moonpipe").getpass "CANARY")]]

  it("gives the key of the environment without asking", function()
    local out = helper.moonpipe({ "-e", ask }, nil, { CANARY = KEY })
    assert.equal("sk-…wxyz\n", out)
  end)

  it("raises kind config where there is no terminal", function()
    local out, err, code = helper.execute({ "setsid", "-w", helper.bin, "-e", ask }, nil,
      { CANARY = false })
    assert.same({ "", 3 }, { out, code })
    assert.equal("moonpipe: config: CANARY is not set, and there is no terminal\n"
      .. "  at (command line):1\n    1 | " .. ask .. "\n", err)
  end)

  it("takes the name of a key", function()
    helper.raises("getpass takes the name of a key, got nil", mp.getpass)
  end)
end)
