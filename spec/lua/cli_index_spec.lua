--- moonpipe index and moonpipe ask, as a person calls them: offline, on files.
local cjson = require "cjson"
local helper = require "spec.helper"

local moonpipe = helper.moonpipe

local OFFLINE = { MOONPIPE_MODEL = "extractive", MOONPIPE_EMBEDDINGS = "hash" }

-- A folder with [files]; path of an index in it.
local function folder(files)
  local root = os.tmpname()
  os.remove(root)
  os.execute(("mkdir -p %s/docs"):format(root))
  for name, text in pairs(files) do helper.write(root .. "/docs/" .. name, text) end
  finally(function() os.execute("rm -rf " .. root) end)
  return root .. "/docs", root .. "/docs.mp"
end

local FILES = {
  ["bears.md"] = "# Bears\n\nA bear sleeps through the winter.\n",
  ["bees.txt"] = "A bee makes honey in the summer.\n",
  ["tea.txt"] = "Tea is grown in the hills of Darjeeling.\n",
}

local function run(...)
  local stdout, stderr, code = moonpipe({ ... }, nil, OFFLINE)
  assert.equal(0, code, stderr)
  return stdout, stderr
end

describe("moonpipe index", function()
  it("makes an index that moonpipe ask answers from", function()
    local docs, index = folder(FILES)
    assert.equal(index .. ": 3 texts (3 added, 0 unchanged, 0 removed)\n",
      (run("index", docs, "-o", index)))
    local answer = run("ask", index, "When does a bear sleep?")
    assert.equal("A bear sleeps through the winter.\n", answer)
  end)

  it("embeds only what has changed, and forgets what is gone", function()
    local docs, index = folder(FILES)
    run("index", docs, "-o", index, "-q")
    helper.write(docs .. "/bees.txt", "A bee makes wax in the summer.\n")
    os.remove(docs .. "/tea.txt")
    assert.equal(index .. ": 2 texts (1 added, 1 unchanged, 2 removed)\n",
      (run("index", docs, "-o", index)))
    local found = run("ask", "--find", index, "honey wax tea")
    assert.truthy(found:find("wax", 1, true))
    assert.is_nil(found:find("honey", 1, true) or found:find("Tea", 1, true))
  end)

  it("goes on behind a file that cannot be read, where told to", function()
    local docs, index = folder(FILES)
    helper.write(docs .. "/broken.json", "{")
    local _, stderr, code = moonpipe({ "index", docs, "-o", index }, nil, OFFLINE)
    assert.equal(1, code)
    assert.truthy(stderr:find("broken.json", 1, true))
    local stdout
    stdout, stderr, code = moonpipe({ "index", docs, "-o", index, "--keep-going" }, nil, OFFLINE)
    assert.equal(1, code)
    assert.truthy(stderr:find("broken.json", 1, true))
    assert.equal(index .. ": 3 texts (3 added, 0 unchanged, 0 removed, 1 failed)\n", stdout)
  end)

  it("tells what is wrong with its words", function()
    for said, arguments in pairs {
      ["index takes files or folders"] = { "index", "-o", "x.mp" },
      ["index takes -o FILE, where the index goes"] = { "index", "docs" },
      ["-o takes a value: FILE"] = { "index", "docs", "-o" },
      ["--chunk-size takes a positive integer, got 'many'"] = { "index", "--chunk-size=many" },
      ["--index takes one of flat, hnsw, ivf, sq, got 'hns'; did you mean 'hnsw'?"] = {
        "index", "--index=hns" },
      ["--quiet takes no value"] = { "index", "--quiet=1" },
      ["unknown option '--outptu' of index; did you mean '--output'?"] = { "index", "--outptu" },
    } do
      local stdout, stderr, code = moonpipe(arguments, nil, OFFLINE)
      assert.same({ "", 2 }, { stdout, code })
      assert.truthy(stderr:find("moonpipe: " .. said, 1, true), stderr)
    end
  end)

  it("has a help with an example", function()
    local help = run("index", "--help")
    assert.truthy(help:find("usage: moonpipe index [OPTIONS] PATHS... -o FILE", 1, true))
    assert.truthy(help:find("example:\n  moonpipe index ", 1, true))
  end)
end)

describe("moonpipe ask", function()
  it("answers without an index, and takes - for standard input", function()
    local stdout, _, code = moonpipe({ "ask", "-", "Question: What is grown in Darjeeling?" },
      "Tea is grown in Darjeeling.\n", OFFLINE)
    assert.equal(0, code)
    assert.equal("Tea is grown in Darjeeling.\n", stdout)
  end)

  it("names its sources", function()
    local docs, index = folder(FILES)
    run("index", docs, "-o", index, "-q")
    local _, stderr = run("ask", "-s", "-k", "1", index, "What does a bee make?")
    assert.truthy(stderr:find("[1] " .. docs .. "/bees.txt", 1, true), stderr)
    assert.is_nil(stderr:find("[2]", 1, true))
  end)

  it("gives one JSON object", function()
    local docs, index = folder(FILES)
    run("index", docs, "-o", index, "-q")
    for _, way in ipairs { "vector", "words", "hybrid" } do
      local value = cjson.decode((run("ask", "--json", "--search", way, index, "What is Darjeeling's tea?")))
      assert.equal("What is Darjeeling's tea?", value.question)
      assert.equal("Tea is grown in the hills of Darjeeling.", value.answer)
      assert.equal(docs .. "/tea.txt", value.sources[1].metadata.source)
    end
  end)

  it("streams what a model says, without what a terminal would obey", function()
    local server = require("spec.support.server").start()
    finally(function() server:stop() end)
    local stdout = moonpipe({ "ask", "one \27]0;title\7two" }, nil, {
      MOONPIPE_MODEL = "openai:gpt-5.4-mini", OPENAI_API_KEY = "sk-test",
      OPENAI_BASE_URL = server:lane("ask", ""),
    })
    assert.equal("one two\n", stdout)
  end)

  it("refuses what is no index, and what is none of its words", function()
    local docs = folder(FILES)
    for said, case in pairs {
      ["bees.txt"] = { 1, "ask", docs .. "/bees.txt", "what?" },
      ["none.mp"] = { 1, "ask", docs .. "/none.mp", "what?" },
      ["ask takes a question"] = { 2, "ask" },
      ["--find needs an index"] = { 2, "ask", "--find", "what" },
      ["--search takes one of vector, words, hybrid, got 'magic'"] = { 2, "ask", "--search=magic", "x" },
    } do
      local stdout, stderr, code = moonpipe({ unpack(case, 2) }, nil, OFFLINE)
      assert.same({ "", case[1] }, { stdout, code })
      assert.truthy(stderr:find(said, 1, true), stderr)
    end
  end)
end)
