--- moonpipe batch, as a person calls it.
local helper = require "spec.helper"
local server_of = require "spec.support.server"
local batch = require "spec.support.batch"
local terminal = require "spec.support.terminal"

local ECHO = [[
local mp = require "moonpipe"
return mp.RunnableLambda(function(value) return value end)
]]

-- Fails for "bad", unless there is a file MENDED; notes each call in CALLS.
local PICKY = [[
local mp = require "moonpipe"
local where = os.getenv "FOLDER"
return mp.RunnableLambda(function(text)
  local calls = io.open(where .. "/calls", "a")
  calls:write(text, "\n")
  calls:close()
  if text == "bad" and not io.open(where .. "/mended") then error("it is bad", 0) end
  return text:upper()
end)
]]

local function folder(files, env)
  local made = batch.folder(files, env)
  finally(function() made:remove() end)
  return made
end

local function picky(lines)
  local made = folder { ["chain.lua"] = PICKY, ["in.txt"] = lines }
  made.env = { FOLDER = made.root }
  return made
end

describe("moonpipe batch", function()
  it("reads lines, JSON lines and CSV, and says where each item stood", function()
    local cases = {
      ["in.txt"] = { "a\r\n\n  \nb", { { 1, "a" }, { 4, "b" } } },
      ["in.jsonl"] = { '{"a":[1,null]}\n\n"b"\n7\n',
        { { 1, { a = { 1, require("cjson").null } } }, { 3, "b" }, { 4, 7 } } },
      ["in.csv"] = { 'a,b\n1,"x\ny"\n2,\n', { { 2, { a = "1", b = "x\ny" } },
        { 4, { a = "2", b = "" } } } },
      ["in.tsv"] = { "a\tb\n1\tx, y\n", { { 2, { a = "1", b = "x, y" } } } },
    }
    for name, case in pairs(cases) do
      local here = folder { ["chain.lua"] = ECHO, [name] = case[1] }
      assert.equal(0, here:run(name))
      local expected = {}
      for i, one in ipairs(case[2]) do
        expected[i] = { index = i, line = one[1], output = one[2] }
      end
      assert.same(expected, here:results())
      assert.is_nil(here:read "out.errors.jsonl")
    end
  end)

  it("takes a format by name, and a function or one of many chains", function()
    local here = folder { ["in.data"] = '{"n":2}\n{"n":3}\n', ["chain.lua"] =
      "return { double = function(v) return v.n * 2 end, half = function(v) return v.n / 2 end }" }
    assert.equal(0, (here:run("in.data", "--format", "jsonl", "--chain", "half")))
    assert.same({ 1, 1.5 }, here:outputs())
  end)

  it("keeps the order of the input, with as many items at once as -j says", function()
    local here = folder { ["in.txt"] = ("x\n"):rep(12), ["chain.lua"] = [[
      local mp = require "moonpipe"
      local under, most, count = 0, 0, 0
      return function()
        under, count = under + 1, count + 1
        most = math.max(most, under)
        mp.sleep(count == 1 and 0.2 or 0.01)
        under = under - 1
        return { count, most }
      end]] }
    assert.equal(0, here:run("in.txt", "-j", "3"))
    local out = here:results()
    assert.equal(12, #out)
    for i, one in ipairs(out) do assert.equal(i, one.index) end
    assert.equal(12, out[1].output[1]) -- the first ended last
    assert.equal(3, out[1].output[2])
  end)

  it("puts what failed in a file of its own, and exits with 6", function()
    local here = picky "a\nbad\nb\nbad\n"
    local code, stdout, stderr = here:run "in.txt"
    assert.same({ 6, "" }, { code, stdout })
    assert.same({ "A", "B" }, here:outputs())
    local failed = here:failures()
    assert.equal(2, #failed)
    assert.same({ 2, 2, "bad", "lua", "it is bad" }, { failed[1].index, failed[1].line,
      failed[1].input, failed[1].error.kind, failed[1].error.message })
    assert.equal(here:path "out.jsonl" .. ": 2 results (4 new); 2 failed ("
      .. here:path "out.errors.jsonl" .. ")\nmoonpipe: the first failure: it is bad\n  in item 2, "
      .. here:path "in.txt" .. ":2\n  input: \"bad\" (string, 3 bytes)\n", stderr)
  end)

  it("runs what failed again when it is told to, and only that", function()
    local here = picky "a\nbad\nb\nbad\n"
    assert.equal(6, (here:run("in.txt", "--errors", here:path "mine")))
    assert.equal(6, (here:run("in.txt", "--errors", here:path "mine", "--resume")))
    assert.equal("a\nbad\nb\nbad\n", here:read "calls")
    assert.equal(2, #here:results "mine")
    local code, _, stderr = here:run("in.txt", "--resume")
    assert.equal(1, code)
    assert.matches("with --errors " .. here:path "mine" .. "", stderr, 1, true)
    here:write("mended", "")
    here:write("chain.lua", PICKY .. "-- mended")
    local retried, _, said = here:run("in.txt", "--errors", here:path "mine", "--retry-failed")
    assert.same({ 0, here:path "out.jsonl" .. ": 4 results (2 new)\n" }, { retried, said })
    assert.equal("a\nbad\nb\nbad\nbad\nbad\n", here:read "calls")
    assert.same({ "A", "BAD", "B", "BAD" }, here:outputs())
    assert.is_nil(here:read "mine")
  end)

  it("takes a value that has no JSON as a failure, and none as null", function()
    local here = folder { ["in.txt"] = "1\n2\n3\n", ["chain.lua"] =
      'return function(t) if t == "1" then return print elseif t == "2" then return 0 / 0 end end' }
    assert.equal(6, (here:run "in.txt"))
    assert.same({ '{"index":3,"line":3,"output":null}\n', 2 }, { here:read "out.jsonl",
      #here:failures() })
  end)

  it("names the lines that it cannot read, and goes on", function()
    local here = folder { ["chain.lua"] = ECHO, ["in.jsonl"] = "1\n\n{oops\n3\n",
      ["in.csv"] = "a,b\n1,2\n1,2,3\n4,5\n" }
    assert.equal(6, (here:run "in.jsonl"))
    assert.same({ 1, 3 }, here:outputs())
    local failed = here:failures()[1]
    assert.same({ "decode", "{oops", 3 }, { failed.error.kind, failed.input, failed.line })
    assert.truthy(failed.error.message:find(here:path "in.jsonl" .. ":3: ", 1, true))
    os.execute(("rm %s/out*"):format(here.root))
    assert.equal(6, (here:run "in.csv"))
    assert.equal(2, #here:outputs())
    assert.equal(here:path "in.csv" .. ":3: the row has 3 fields, there are 2 columns",
      here:failures()[1].error.message)
  end)

  it("stops where nothing behind can be read, and goes on when that is mended", function()
    local here = folder { ["chain.lua"] = ECHO, ["in.csv"] = 'a,b\n1,2\n"3,4\n5,6\n' }
    local code, _, stderr = here:run "in.csv"
    assert.equal(1, code)
    assert.matches("in.csv:3: a quote is opened and never closed", stderr, 1, true)
    here:write("in.csv", 'a,b\n1,2\n"3",4\n5,6\n')
    assert.equal(0, (here:run("in.csv", "--resume")))
    assert.equal(3, #here:outputs())
  end)

  it("takes more items at the end of an input, and refuses other changes", function()
    local here = picky "a\nb\n"
    assert.equal(0, (here:run("in.txt", "--resume")))
    here:write("in.txt", "a\nb\nc\n")
    assert.equal(0, (here:run("in.txt", "--resume")))
    assert.same({ "A", "B", "C" }, here:outputs())
    assert.equal("a\nb\nc\n", here:read "calls")
    here:write("in.txt", "a\nx\nc\n")
    local code, _, stderr = here:run("in.txt", "--resume")
    assert.equal(1, code)
    assert.matches("in.txt:2: this is not what item 2 was", stderr, 1, true)
    here:write("in.txt", "a\nb\n")
    code, _, stderr = here:run("in.txt", "--resume")
    assert.equal(1, code)
    assert.matches("in.txt ends before item 3, which has a result", stderr, 1, true)
    here:write("in.txt", "a\nb\nc\n")
    assert.equal(0, (here:run("in.txt", "--resume")))
    assert.same({ "A", "B", "C" }, here:outputs())
  end)

  it("shares the items out to shards", function()
    local here, seen = folder { ["chain.lua"] = ECHO, ["in.txt"] = "a\nb\nc\nd\ne\nf\ng\n" }, {}
    for i = 1, 3 do
      local words = here:words("in.txt", "--shard", i .. "/3", "-q")
      words[6] = here:path("out" .. i)
      local stdout, stderr, code = helper.execute(words)
      assert.same({ "", "", 0 }, { stdout, stderr, code })
      for _, one in ipairs(here:results("out" .. i)) do
        assert.equal(i, (one.index - 1) % 3 + 1)
        seen[one.index] = one.output
      end
    end
    assert.equal("abcdefg", table.concat(seen))
    local words = here:words("in.txt", "--shard", "2/3", "--resume")
    words[6] = here:path "out1"
    local _, stderr, code = helper.execute(words)
    assert.equal(1, code)
    assert.matches("out1.journal' is of a batch with --shard 1/3, not --shard 2/3", stderr, 1, true)
  end)

  it("makes an empty output of an empty input", function()
    for name, text in pairs { ["in.txt"] = "", ["in.csv"] = "a,b\n", ["in.jsonl"] = "\n\n" } do
      local here = folder { ["chain.lua"] = ECHO, [name] = text }
      assert.equal(0, (here:run(name)))
      assert.equal("", here:read "out.jsonl")
      assert.equal(0, (here:run(name, "--resume")))
    end
  end)

  it("overwrites nothing that it has not been told of", function()
    local here = picky "a\n"
    here:write("out.jsonl", "precious\n")
    local code, _, stderr = here:run("in.txt", "--resume")
    assert.equal(2, code)
    assert.matches("out.jsonl' is there, and no journal of it", stderr, 1, true)
    os.remove(here:path "out.jsonl")
    assert.equal(0, (here:run "in.txt"))
    code, _, stderr = here:run "in.txt"
    assert.equal(2, code)
    assert.matches("--resume goes on with that batch", stderr, 1, true)
    assert.equal(1, #here:outputs())
  end)

  it("tells what is wrong with its words", function()
    local here = folder { ["chain.lua"] = ECHO, ["in.txt"] = "a\n", ["nothing.lua"] = "local x",
      ["wrong.lua"] = "return (", ["text.lua"] = "return 'a chain'" }
    local chain, input = here:path "chain.lua", here:path "in.txt"
    local out = here:path "out.jsonl"
    for said, case in pairs {
      ["batch takes a script and an input"] = { 2, chain },
      ["batch takes -o FILE, where the results go"] = { 2, chain, input },
      ["--shard takes I/N, such as 1/4, got '5/4'"] = { 2, chain, input, "-o", out, "--shard=5/4" },
      ["--format takes one of csv, jsonl, lines, tsv, got 'xml'"] = { 2, chain, input, "-o", out,
        "--format=xml" },
      ["--retry-failed needs the journal"] = { 2, chain, input, "-o", out, "--retry-failed" },
      ["--errors and -o name the same file"] = { 2, chain, input, "-o", out, "--errors", out },
      ["cannot open"] = { 2, chain, here:path "none.txt", "-o", out },
      ["none.lua: No such file"] = { 2, here:path "none.lua", input, "-o", out },
      ["nothing.lua' gives nil, no chain: end it with `return chain`"] = { 1,
        here:path "nothing.lua", input, "-o", out },
      ["wrong.lua:1: "] = { 1, here:path "wrong.lua", input, "-o", out },
      ["text.lua' gives a string, no chain"] = { 1, here:path "text.lua", input, "-o", out },
      ["none/out.jsonl.journal': No such file"] = { 1, chain, input, "-o", here:path "none/out.jsonl" },
    } do
      local stdout, stderr, code = helper.moonpipe { "batch", unpack(case, 2) }
      assert.same({ "", case[1] }, { stdout, code }, stderr)
      assert.truthy(stderr:find(said, 1, true), stderr)
    end
    assert.is_nil(here:read "out.jsonl.journal")
  end)

  it("has a help with an example", function()
    local help = helper.moonpipe { "batch", "--help" }
    assert.matches("usage: moonpipe batch [OPTIONS] CHAIN.lua INPUT -o OUTPUT", help, 1, true)
    assert.matches("examples:\n  moonpipe batch chain.lua in.jsonl", help, 1, true)
  end)
end)

describe("moonpipe batch with a model", function()
  local server = server_of.use()

  local CHAIN = [[
    local mp = require "moonpipe"
    return mp.ChatOpenAI { model = "gpt-4.1", max_retries = 0 } | mp.StrOutputParser()
  ]]

  local function here_with(lane, scripts, lines)
    return folder({ ["chain.lua"] = CHAIN, ["in.txt"] = lines }, {
      OPENAI_API_KEY = "sk-test-of-batch", OPENAI_BASE_URL = server:lane(lane, scripts),
    })
  end

  it("tells the tokens and what they cost", function()
    local here = here_with("usage", "usage=1000,500", "a\nb\n")
    local code, _, stderr = here:run("in.txt", "--usage")
    assert.equal(0, code)
    assert.equal(here:path "out.jsonl" .. ": 2 results (2 new); 3,000 tokens, $0.0120\n"
      .. "moonpipe: 2000 tokens in, 1000 out, $0.012 (gpt-4.1)\n", stderr)
  end)

  it("prints the request of the first item where it is to send nothing", function()
    local here = here_with("dry", "status=200", "first\nsecond\n")
    local code, stdout, stderr = here:run("in.txt", "--dry-run", "--shard", "2/2")
    assert.equal(0, code, stderr)
    assert.matches("^POST http://.*/chat/completions\n", stdout)
    assert.matches('"content": "second"', stdout, 1, true)
    assert.is_nil(stdout:find("sk-test-of-batch", 1, true))
    assert.same({}, { here:read "out.jsonl", here:read "out.jsonl.journal" })
    assert.is_nil(server:stats().lanes.dry)
    local none, _, said = here:run("in.txt", "--dry-run", "--shard", "3/3")
    assert.equal(2, none)
    assert.matches("the input has no item for this", said, 1, true)
  end)

  it("row 17: stops when the key is refused, which is no item's failure", function()
    local here = here_with("keys", { "status=200", "status=401" , default = "status=401" },
      ("a\n"):rep(100))
    local code, _, stderr = here:run("in.txt", "-j", "4")
    assert.equal(4, code)
    assert.matches("1 results are safe; --resume goes on", stderr, 1, true)
    assert.is_nil(here:read "out.errors.jsonl")
    assert.is_nil(stderr:find("sk-test-of-batch", 1, true))
    assert.matches("OPENAI_API_KEY", stderr, 1, true)
    assert.is_true(server:stats().lanes.keys.requests <= 8)
    server:lane("keys", "status=200")
    assert.equal(0, (here:run("in.txt", "--resume")))
    assert.equal(100, #here:outputs())
  end)

  it("has no more calls under way than -j", function()
    local here = here_with("narrow", "delay=5", ("a\n"):rep(40))
    assert.equal(0, (here:run("in.txt", "-j", "5")))
    assert.equal(5, server:stats().lanes.narrow.peak)
  end)
end)

describe("moonpipe batch's progress", function()
  local progress = require "moonpipe.tool.batch_progress"

  local function at(fields)
    local all = { done = 1200, taken = 1250, fresh = 1000, failed = 0, read = 500, size = 1000,
      ended = false, elapsed = 2.5 }
    for name, value in pairs(fields) do all[name] = value end
    return progress.line(all, fields.rate, fields.columns)
  end

  it("says how many items there are when it has seen them all, and not before", function()
    assert.equal("[=========>          ] 48 %, 1,200 items, 400/s, about 3 s left", at {})
    assert.equal("[===================>] 1,200 of 1,250 items, 400/s, 0 s left; 12 failed",
      at { ended = true, failed = 12 })
    assert.equal("0 items, 0.0/s", at { done = 0, taken = 0, fresh = 0, read = 0 })
    assert.equal("[====================] 0 of 0 items, 0.0/s",
      at { done = 0, taken = 0, fresh = 0, ended = true, elapsed = 0 })
    assert.equal("1,200 items, 400/s", at { size = false })
  end)

  it("tells what is left by the rate that it is given", function()
    for rate, said in pairs { [1] = "50 s left", [0.25] = "3 min left", [0.005] = "2 h 46 min left" } do
      assert.matches(said, at { ended = true, rate = rate }, 1, true)
    end
  end)

  it("leaves the bar out, then the last words, where the terminal is narrow", function()
    assert.equal("48 %, 1,200 items, 400/s, about 3 s left", at { columns = 60 })
    assert.equal("48 %, 1,200 items", at { columns = 17 })
  end)

  it("says what was used, and that a price is not known", function()
    local usage = { total = { total_tokens = 80000, cost = 0.1234 }, unpriced = {} }
    assert.equal("80,000 tokens, $0.1234", progress.used(usage))
    usage.unpriced.mine = true
    assert.equal("80,000 tokens, at least $0.1234", progress.used(usage))
    usage.total.cost = 0
    assert.equal("80,000 tokens", progress.used(usage))
    assert.matches("items, 400/s, about 3 s left; 80,000 tokens$", at { usage = usage })
  end)

  -- What is on the screen when the program has ended with [code].
  local function shown_by(words, code)
    local screen = terminal.start(words)
    local ok, err = pcall(screen.wait, screen, "exit " .. code)
    local shown = screen:screen()
    screen:stop()
    assert.is_true(ok, err)
    return shown
  end

  it("is drawn on a terminal, and stays there with the last figures", function()
    local here = folder { ["chain.lua"] = ECHO, ["in.txt"] = ("x\n"):rep(500) }
    local shown = shown_by(here:words "in.txt", 0)
    assert.matches("[====================] 500 of 500 items, ", shown, 1, true)
    assert.is_nil(shown:find(" left", 1, true))
  end)

  it("says no more than the journal has, and moves while nothing ends", function()
    local here = folder { ["in.txt"] = ("x\n"):rep(3000), ["chain.lua"] = [[
      local mp, count = require "moonpipe", 0
      return function(text)
        count = count + 1
        if count == 2500 then mp.sleep(0.2) end
        if count == 2600 then mp.sleep(1) os.execute "kill -9 $PPID" end
        return text
      end]] }
    local shown = shown_by(here:words("in.txt", "-j", "200"), 137)
    local said = tonumber((shown:match(".*%] ([%d,]+) of 3,000 items, "):gsub(",", "")))
    local counted = helper.run(function()
      local journal = require("moonpipe.db").open(here:path "out.jsonl.journal")
      local n = journal:rows("SELECT count(*) AS n FROM results")[1].n
      journal:close()
      return n
    end)
    assert.is_true(said <= counted, shown)
    assert.equal(2999, said) -- what ended within the last second, when nothing was read any more
  end)

  local long_it = helper.long and it or pending

  long_it("is a line each ten seconds where there is no terminal", function()
    local here = folder { ["chain.lua"] = "return function() require('moonpipe').sleep(10.5) end",
      ["in.txt"] = "x\n" }
    local code, _, stderr = here:run "in.txt"
    assert.equal(0, code)
    assert.equal("[>                   ] 0 of 1 items, 0.0/s\n" .. here:path "out.jsonl"
      .. ": 1 results (1 new)\n", stderr)
  end)
end)
