--- moonpipe graph and new, as a person calls them.
local cjson = require "cjson"
local helper = require "spec.helper"

local moonpipe = helper.moonpipe

-- No key and no model of the machine's.
local BARE = { MOONPIPE_MODEL = false, MOONPIPE_EMBEDDINGS = false, OPENAI_API_KEY = false,
  ANTHROPIC_API_KEY = false, OPENAI_BASE_URL = false }

local function run(...)
  local stdout, stderr, code = moonpipe({ ... }, nil, BARE)
  assert.equal(0, code, stderr)
  return stdout, stderr
end

local function refused(said, code, ...)
  local stdout, stderr, got = moonpipe({ ... }, nil, BARE)
  assert.same({ "", code }, { stdout, got })
  assert.truthy(stderr:find(said, 1, true), stderr)
end

local CHAIN = [[
local mp = require "moonpipe"
local chain = { a = mp.RunnablePassthrough(), ["b \"q\""] = function(x) return x end }
  | mp.RunnableLambda(function(x) return x end, { name = "last" })
return ]]

describe("moonpipe graph", function()
  it("draws the chain of a script in each form", function()
    local path = helper.temp(CHAIN .. "chain")
    assert.truthy(run("graph", path):find("| last |", 1, true))
    assert.truthy(run("graph", path, "--form", "mermaid"):find("^graph TD\n"))
    assert.truthy(#cjson.decode((run("graph", "--form=json", path))).nodes > 3)
    local dot = run("graph", path, "-f", "dot")
    assert.truthy(dot:find("^digraph chain {\n"))
    assert.truthy(dot:find('label="b \\"q\\""', 1, true), dot)
  end)

  it("draws one of a table of chains", function()
    local path = helper.temp(CHAIN .. "{ first = chain }")
    assert.truthy(run("graph", path, "--chain", "first"):find("last", 1, true))
    refused("no chain: end it with `return chain`", 1, "graph", path)
    refused("gives nil as 'second', no chain", 1, "graph", path, "-c", "second")
  end)

  it("says what it cannot draw", function()
    refused("gives nil, no chain", 1, "graph", helper.temp "local x = 1")
    refused("gives a string, no table with a chain 'a'", 1, "graph", helper.temp "return 'x'", "-c", "a")
    refused("'<eof>' expected near '='", 1, "graph", helper.temp "return 1 = 2")
    refused("cannot open", 1, "graph", "/no/such/file.lua")
    refused("graph takes one file", 2, "graph")
    refused("--form takes one of ascii, dot, json, mermaid, svg, got 'mermiad'; did you mean 'mermaid'?",
      2, "graph", "--form=mermiad", "x")
  end)

  it("makes svg with Graphviz", function()
    local stdout = run("graph", helper.temp(CHAIN .. "chain"), "-f", "svg")
    assert.truthy(stdout:find "^<%?xml", stdout)
    assert.truthy(stdout:find(">last</text>.*</svg>\n$"), stdout)
  end)

  it("says where Graphviz is missing", function()
    local folder = helper.fresh()
    os.execute(("mkdir -p %s"):format(folder))
    helper.write(folder .. "/dot", "#!/bin/sh\ngrep -c digraph; echo \"$1\"\n")
    os.execute(("chmod +x %s/dot"):format(folder))
    local path = helper.temp(CHAIN .. "chain")
    local stdout = moonpipe({ "graph", path, "-f", "svg" }, nil,
      { PATH = folder .. ":/usr/bin:/bin" })
    assert.equal("1\n-Tsvg\n", stdout)
    os.remove(folder .. "/dot")
    for _, name in ipairs { "sh", "env", "timeout" } do
      os.execute(("ln -s $(command -v %s) %s/%s"):format(name, folder, name))
    end
    local _, stderr, code = moonpipe({ "graph", path, "-f", "svg" }, nil, { PATH = folder })
    os.execute("rm -r " .. folder)
    assert.equal(1, code)
    assert.truthy(stderr:find("svg needs Graphviz", 1, true), stderr)
  end)
end)

describe("moonpipe new", function()
  local here

  before_each(function()
    here = helper.fresh()
    os.execute("mkdir " .. here)
  end)
  after_each(function() os.execute("rm -r " .. here) end)

  local bin = helper.bin:match("^/") and helper.bin or io.popen("pwd"):read() .. "/" .. helper.bin

  local function inside(command)
    return helper.execute({ "sh", "-c", ("cd %s && %s"):format(here, command:gsub("moonpipe", bin)) },
      nil, { MOONPIPE_MODEL = "extractive", MOONPIPE_BIN = false })
  end

  it("writes a chain that runs, is drawn, and passes its test", function()
    assert.equal("joke.lua\njoke_spec.lua\n.luarc.json\n", (inside "moonpipe new joke"))
    local stdout, stderr, code = inside "moonpipe run joke.lua bears"
    assert.equal(0, code, stderr)
    assert.truthy(#stdout > 1)
    assert.truthy(inside("moonpipe graph joke.lua"):find("ExtractiveChatModel", 1, true))
    stdout, stderr, code = inside "moonpipe test"
    assert.equal(0, code, stdout .. stderr)
    assert.truthy(stdout:find("1 success", 1, true), stdout)
  end)

  it("leaves what is there", function()
    helper.write(here .. "/joke_spec.lua", "mine")
    local _, stderr, code = inside "moonpipe new joke.lua"
    assert.equal(1, code)
    assert.truthy(stderr:find("'joke_spec.lua' is there already", 1, true), stderr)
    assert.equal("mine", helper.read(here .. "/joke_spec.lua"))
    assert.is_nil(io.open(here .. "/joke.lua"))
  end)

  it("takes one name, which a file may have", function()
    refused("new takes one name", 2, "new")
    refused("a name is letters, digits, _ and -", 2, "new", "a b")
    refused("cannot write", 1, "new", "/no/such/folder/x")
  end)
end)
