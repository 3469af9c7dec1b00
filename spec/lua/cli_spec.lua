local helper = require "spec.helper"

local moonpipe = helper.moonpipe

local function check(expected, stdout, stderr, code)
  assert.equal("", stderr)
  assert.equal(expected, stdout)
  assert.equal(0, code)
end

describe("moonpipe -e", function()
  it("runs a text in which | composes", function()
    check("7\n", moonpipe({ "-e", "print(1 | 6)" }))
  end)

  it("hands over the arguments after it", function()
    check("2\tone\ttwo words\n", moonpipe({ "-e", "print(#arg, ...)", "one", "two words" }))
  end)

  it("needs a text", function()
    local stdout, stderr, code = moonpipe({ "-e" })
    assert.equal("", stdout)
    assert.matches("-e takes a value: CODE", stderr, 1, true)
    assert.equal(2, code)
  end)

  it("ends with 1 where the text does not parse, and says where", function()
    local stdout, stderr, code = moonpipe({ "-e", "\nlocal = 1" })
    assert.equal("", stdout)
    assert.matches("%(command line%):2: ", stderr)
    assert.equal(1, code)
  end)

  it("raises on an undefined global", function()
    local _, stderr, code = moonpipe({ "-e", "\n\nprint(undefined_name)" })
    assert.matches(":3: .*undefined_name", stderr)
    assert.equal(1, code)
  end)
end)

describe("moonpipe -", function()
  it("runs what comes from standard input", function()
    check("3\ta\n", moonpipe({ "-", "a" }, "print(1 | 2, ...)"))
  end)

  it("shows nothing of an error's text that a terminal would obey", function()
    local _, stderr, code = moonpipe({ "-e",
      "require 'moonpipe'; require('moonpipe.error').raise('auth', 'no\\27]0;title\\7 key')" })
    assert.equal("moonpipe: auth: no key\n  try: a valid key goes into option api_key\n", stderr)
    assert.equal(4, code)
  end)

  it("names standard input in errors", function()
    local _, stderr, code = moonpipe({ "-" }, "\nerror('broken')")
    assert.matches("stdin:2: broken", stderr)
    assert.equal(1, code)
  end)
end)

describe("moonpipe FILE", function()
  it("runs a file as `run FILE` does", function()
    local path = helper.temp("print(4 | 1, arg[0], ...)")
    check(("5\t%s\tx\n"):format(path), moonpipe({ path, "x" }))
  end)

  it("is what #! names", function()
    local bin = helper.execute({ "readlink", "-f", helper.bin }):gsub("\n$", "")
    local path = helper.temp(("#!%s\nprint(2 | 1, ...)\n"):format(bin))
    helper.execute({ "chmod", "+x", path })
    check("3\tx\n", helper.execute({ path, "x" }))
  end)

  it("ends with 2 where the file cannot be read, and names it", function()
    local stdout, stderr, code = moonpipe({ "run", "spec/no/such/file.lua" })
    assert.equal("", stdout)
    assert.matches("spec/no/such/file.lua", stderr, 1, true)
    assert.equal(2, code)
  end)

  it("ends with 2 for a folder", function()
    local _, stderr, code = moonpipe({ "run", "spec" })
    assert.matches("spec", stderr, 1, true)
    assert.equal(2, code)
  end)

  it("ends with 1 where the file does not parse, and says where", function()
    local path = helper.temp("print 'never'\nlocal x = = 1\n")
    local stdout, stderr, code = moonpipe({ "run", path })
    assert.equal("", stdout)
    assert.matches(path .. ":2: ", stderr, 1, true)
    assert.equal(1, code)
  end)

  it("ends with 1 where | has one operand only, and says where", function()
    local path = helper.temp("local a = 1\nlocal b = a | | 1\n")
    local _, stderr, code = moonpipe({ "run", path })
    assert.matches(path .. ":2: ", stderr, 1, true)
    assert.equal(1, code)
  end)

  it("needs a file after `run`", function()
    local _, stderr, code = moonpipe({ "run" })
    assert.matches("run takes a file", stderr, 1, true)
    assert.equal(2, code)
  end)
end)

describe("moonpipe", function()
  it("prints its version", function()
    local stdout, stderr, code = moonpipe({ "--version" })
    assert.matches("^moonpipe %d+%.%d+%.%d+ ", stdout)
    assert.equal("", stderr)
    assert.equal(0, code)
  end)

  for _, option in ipairs({ "--help", "-h" }) do
    it("prints its help for " .. option, function()
      local stdout, stderr, code = moonpipe({ option })
      assert.matches("^usage: moonpipe ", stdout)
      assert.equal("", stderr)
      assert.equal(0, code)
    end)
  end

  it("prints its help on stderr and ends with 2 when nothing is asked", function()
    local stdout, stderr, code = moonpipe({})
    assert.equal("", stdout)
    assert.matches("^usage: moonpipe ", stderr)
    assert.equal(2, code)
  end)

  it("refuses an unknown option by name", function()
    local stdout, stderr, code = moonpipe({ "--jti=off", "-e", "print(1)" })
    assert.equal("", stdout)
    assert.matches("unknown option '--jti=off'", stderr, 1, true)
    assert.equal(2, code)
  end)

  it("interprets only with --jit=off", function()
    check("false\n", moonpipe({ "--jit=off", "-e", "print((jit.status()))" }))
    check("true\n", moonpipe({ "-e", "print((jit.status()))" }))
  end)
end)
