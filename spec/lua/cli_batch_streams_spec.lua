--- moonpipe batch between programs: standard input and output, signals, what bounds it.
local batch = require "spec.support.batch"
local helper = require "spec.helper"

local ECHO = "return function(value) return value end"

-- Fails for "bad"; notes each call in CALLS.
local NOTED = [[
local mp = require "moonpipe"
local where = os.getenv "FOLDER"
return function(text)
  local calls = io.open(where .. "/calls", "a")
  calls:write(text, "\n")
  calls:close()
  if text == "bad" then error("it is bad", 0) end
  return text:upper()
end
]]

local function folder(files, env)
  local made = batch.folder(files, env)
  finally(function() made:remove() end)
  return made
end

local function noted(files)
  files["chain.lua"] = NOTED
  local made = folder(files)
  made.env = { FOLDER = made.root }
  return made
end

-- `moonpipe batch` on standard input, into `out`.
local function words(here, out, ...)
  return { helper.bin, "batch", here:path "chain.lua", "-", "-o", out, ... }
end

local function outputs_of(text)
  local list = {}
  for line in text:gmatch "(.-)\n" do list[#list + 1] = require("cjson").decode(line).output end
  return list
end

describe("moonpipe batch on standard input", function()
  it("reads lines, or what --format says, and goes on when the same items come again", function()
    local here = noted {}
    local out = here:path "out.jsonl"
    local _, err, code = helper.execute(words(here, out, "-n", "2"), "a\nb\nc\n", here.env)
    assert.equal(0, code, err)
    _, err, code = helper.execute(words(here, out, "--resume"), "a\nb\nc\n", here.env)
    assert.equal(0, code, err)
    assert.same({ "A", "B", "C" }, here:outputs())
    assert.equal("a\nb\nc\n", here:read "calls")
    _, err, code = helper.execute(words(here, out, "--resume"), "a\nother\n", here.env)
    assert.equal(1, code)
    assert.matches("standard input:2: this is not what item 2 was", err, 1, true)
    local json = folder { ["chain.lua"] = ECHO }
    helper.execute(words(json, json:path "out.jsonl", "--format", "csv"), "a,b\n1,2\n")
    assert.same({ { a = "1", b = "2" } }, json:outputs())
  end)

  it("has results while it waits for more, and takes a file or nothing", function()
    local here = folder { ["chain.lua"] = ECHO, ["in.txt"] = "x\ny\n" }
    local run = table.concat(words(here, "-", "-q"), " ")
    local out, err, code = helper.execute { "bash", "-c", ([[
      mkfifo %s/pipe
      { echo a; cat %s/pipe; echo b; } | %s | { read first; echo go >%s/pipe; echo "$first"; cat; }
    ]]):format(here.root, here.root, run, here.root) }
    assert.same({ "", 0 }, { err, code })
    assert.same({ "a", "go", "b" }, outputs_of(out))
    out = helper.execute { "sh", "-c", run .. " <" .. here:path "in.txt" }
    assert.same({ "x", "y" }, outputs_of(out))
    assert.same({}, outputs_of((helper.execute { "sh", "-c", run .. " </dev/null" })))
  end)

  it("ends on a signal while it waits", function()
    local here = folder { ["chain.lua"] = ECHO }
    local out, err, code = helper.execute { "bash", "-c", ("{ echo a; sleep 1.5; } | "
      .. "timeout --preserve-status -s TERM 0.5 %s"):format(table.concat(words(here, "-"), " ")) }
    assert.equal(143, code, err)
    assert.same({ "a" }, outputs_of(out))
  end)

  it("says how to take what it does not read", function()
    local here = folder { ["chain.lua"] = ECHO, ["in.jsonl.gz"] = "\31\139" }
    local code, _, err = here:run "in.jsonl.gz"
    assert.equal(2, code)
    assert.matches("is compressed: `zcat " .. here:path "in.jsonl.gz" .. "`, piped into this", err,
      1, true)
    code, _, err = here:run "in.json"
    assert.equal(2, code)
    assert.matches("in.json' is one document, and not a line for each item: `jq -c '.[]' ", err, 1,
      true)
    local _, said, exit = helper.execute { "bash", "-c", ("%s batch %s <(echo a) -o -"):format(
      helper.bin, here:path "chain.lua") }
    assert.equal(2, exit)
    assert.matches("is no file that can be read again; pipe it in, with - for INPUT", said, 1, true)
  end)
end)

describe("moonpipe batch on standard output", function()
  it("writes results alone, in order, and failures to standard error", function()
    local here = noted {}
    local out, err, code = helper.execute(words(here, "-"), "a\nbad\nb\n", here.env)
    assert.equal(6, code)
    assert.same({ "A", "B" }, outputs_of(out))
    assert.matches('{"index":2,"line":2,"error":{.-},"input":"bad"}\nstandard output: 2 results'
      .. " %(3 new%); 1 failed\nmoonpipe: the first failure: it is bad", err)
    assert.is_nil(here:read "-.journal")
  end)

  it("goes on where a journal is named, and writes what was there again", function()
    local here = noted {}
    local journal, errors = here:path "journal", here:path "errors"
    for _, n in ipairs { "2", "4" } do
      local out, err, code = helper.execute(words(here, "-", "-n", n, "--journal", journal,
        "--errors", errors, "--resume"), "a\nbad\nb\nc\n", here.env)
      assert.equal(6, code, err)
      assert.equal(tonumber(n) - 1, #outputs_of(out))
    end
    assert.equal("a\nbad\nb\nc\n", here:read "calls")
    assert.equal(1, #here:results "errors")
    here:write("precious", "not ours\n")
    local _, said, refused = helper.execute(words(here, here:path "precious", "--journal", journal,
      "--errors", errors, "--resume"), "a\nbad\nb\nc\n", here.env)
    assert.equal(1, refused)
    assert.matches("precious' is there, and '" .. journal .. "' is of a batch whose output was '-'",
      said, 1, true)
    assert.equal("not ours\n", here:read "precious")
    for _, option in ipairs { "--resume", "--retry-failed" } do
      local _, err, code = helper.execute(words(here, "-", option), "a\n", here.env)
      assert.equal(2, code)
      assert.matches("-o - keeps no journal to go on with; name one by --journal", err, 1, true)
    end
  end)

  it("row 33: ends quietly when nobody reads", function()
    local here = folder { ["chain.lua"] = ECHO }
    local run = table.concat(words(here, "-", "-q"), " ")
    local out, err = helper.execute { "bash", "-c", ("seq 100000 | %s | head -n 1; "
      .. "echo ${PIPESTATUS[1]}"):format(run) }
    assert.matches('"output":"1"}\n141\n$', out)
    assert.equal("", err)
  end)

  it("row 50: tells of one that is full", function()
    local here = folder { ["chain.lua"] = ECHO }
    local _, err, code = helper.execute({ "sh", "-c",
      table.concat(words(here, "-"), " ") .. " >/dev/full" }, "a\n")
    assert.equal(1, code)
    assert.matches("cannot write 'standard output': No space left on device", err, 1, true)
  end)
end)

describe("row 32: moonpipe batch, asked to end #signal", function()
  -- Sends the program a signal with its third item; items take `seconds`.
  local function chain(signal, seconds)
    return ([[
      local mp, count = require "moonpipe", 0
      local where = os.getenv "FOLDER"
      return function(text)
        count = count + 1
        local calls = io.open(where .. "/calls", "a")
        calls:write(text, "\n")
        calls:close()
        if count == 3 then os.execute "(sleep 0.02; kill -%s $PPID) &" end
        mp.sleep(%g)
        return text
      end]]):format(signal, seconds)
  end

  local function lines_of(text)
    return select(2, text:gsub("\n", ""))
  end

  for signal, exit in pairs { TERM = 143, HUP = 129, INT = 130 } do
    it(("lets items under way end on SIG%s, and exits with %d"):format(signal, exit), function()
      local here = folder { ["chain.lua"] = chain(signal, 0.2), ["in.txt"] = ("x\n"):rep(50) }
      here.env = { FOLDER = here.root }
      local code, _, err = here:run("in.txt", "-j", "8")
      assert.equal(exit, code, err)
      local begun = lines_of(here:read "calls")
      assert.is_true(begun >= 3 and begun <= 8, begun .. " were begun")
      assert.equal(begun, #here:results())
      assert.matches(("moonpipe: %d results are safe; --resume goes on\nmoonpipe: interrupted\n")
        :format(begun), err, 1, true)
      here:write("chain.lua", NOTED)
      code, _, err = here:run("in.txt", "--resume")
      assert.equal(0, code, err)
      assert.matches("moonpipe: the chain is not the one that this batch began with", err, 1, true)
      assert.equal(50, lines_of(here:read "calls"))
    end)
  end

  it("cancels after five seconds what does not end, and keeps the rest", function()
    local here = folder { ["chain.lua"] = chain("TERM", 60), ["in.txt"] = ("x\n"):rep(50) }
    here.env = { FOLDER = here.root }
    local began = os.time()
    local code, _, err = here:run("in.txt", "-j", "8")
    assert.equal(143, code, err)
    assert.is_true(os.time() - began >= 4)
    assert.matches("moonpipe: stopping; %d items are under way, and have 5 seconds\n"
      .. "moonpipe: 0 results are safe", err)
  end)

  it("is not told that the terminal goes where it is to outlive it", function()
    local here = folder { ["chain.lua"] = chain("HUP", 0.2), ["in.txt"] = ("x\n"):rep(9) }
    local _, err, code = helper.execute({ "sh", "-c", "trap '' HUP; exec "
      .. table.concat(here:words "in.txt", " ") }, nil, { FOLDER = here.root })
    assert.equal(0, code, err)
    assert.equal(9, #here:results())
  end)
end)

describe("moonpipe batch's bounds", function()
  it("stop it after so many failures, which are all in the file", function()
    local here = noted { ["in.txt"] = "a\n" .. ("bad\n"):rep(50) .. "b\n" }
    local code, _, err = here:run("in.txt", "-j", "1", "--max-failures", "3")
    assert.equal(6, code, err)
    assert.matches("stopped after 3 failures; 1 results are safe; --resume goes on", err, 1, true)
    assert.same({ "A", 3 }, { here:outputs()[1], #here:failures() })
    code, _, err = here:run("in.txt", "-j", "1", "--max-failures", "2", "--resume")
    assert.equal(6, code, err)
    assert.equal(5, #here:failures())
    code = here:run("in.txt", "--resume", "--max-failures", "100")
    assert.equal(6, code)
    assert.same({ "A", "B" }, here:outputs())
    assert.equal(50, #here:failures())
  end)

  it("take no failure for a result where the time is over", function()
    local here = folder { ["in.txt"] = ("x\n"):rep(20), ["chain.lua"] = [[
      local mp, count = require "moonpipe", 0
      return function(text)
        count = count + 1
        mp.sleep(count % 5 == 0 and 60 or 0)
        return text
      end]] }
    local code, _, err = here:run("in.txt", "-j", "4", "--timeout", "0.5")
    assert.equal(124, code, err)
    assert.matches("moonpipe: %d+ results are safe; %-%-resume goes on\nmoonpipe: timeout_total: ",
      err)
    here:write("chain.lua", ECHO)
    code, _, err = here:run("in.txt", "--resume")
    assert.equal(0, code, err)
    assert.same({ 20, 0 }, { #here:results(), #here:failures() })
  end)

  it("stop it at a share of failures, once there are a hundred items", function()
    local here = noted { ["in.txt"] = ("bad\na\na\na\n"):rep(100) }
    assert.equal(6, (here:run("in.txt", "-j", "4", "--max-failures", "20%")))
    assert.equal(25, #here:failures())
    local _, stderr, code = helper.execute(here:words("in.txt", "--max-failures", "none"))
    assert.equal(2, code)
    assert.matches("--max-failures takes a number or a share, such as 10 or 5%, got 'none'", stderr,
      1, true)
  end)

  it("are lifted by a larger --limit, and -v names each failure", function()
    local here = noted { ["in.txt"] = "a\nbad\nb\nbad\n" }
    assert.equal(0, (here:run("in.txt", "--limit", "1")))
    local code, _, err = here:run("in.txt", "--limit", "3", "--resume", "-v")
    assert.equal(6, code)
    assert.matches("moonpipe: it is bad (in item 2, " .. here:path "in.txt" .. ":2)\n", err, 1, true)
    assert.is_nil(err:find("the first failure", 1, true))
    assert.equal(6, (here:run("in.txt", "--limit", "1", "--retry-failed", "-q")))
    assert.equal("a\nbad\nb\n", here:read "calls")
    assert.same({ "A", "B" }, here:outputs()) -- though what is between them was not tried again
    assert.equal(1, #here:failures())
  end)
end)

describe("moonpipe batch's rate", function()
  local function run_all(here, count, ...)
    local parts = {}
    for i = 1, count do
      local one = here:words("in.txt", "-q", "--shard", i .. "/" .. count, ...)
      one[6] = here:path("out" .. i)
      parts[i] = table.concat(one, " ") .. " &"
    end
    parts[#parts + 1] = "wait"
    local began = require("moonpipe").now()
    local _, err = helper.execute({ "sh", "-c", table.concat(parts, "\n") }, nil, here.env)
    assert.equal("", err)
    return require("moonpipe").now() - began
  end

  it("is one for all processes that run a chain", function()
    local here = folder { ["chain.lua"] = ECHO, ["in.txt"] = ("x\n"):rep(61) }
    here.env = { XDG_STATE_HOME = here:path "state" }
    assert.is_true(run_all(here, 3, "--rate", "60/s") >= 1) -- sixty gaps
    local all = 0
    for i = 1, 3 do all = all + #here:results("out" .. i) end
    assert.equal(61, all)
    os.execute("rm " .. here:path "out*")
    assert.is_true(run_all(here, 1, "--rate", "3600/m") >= 1)
  end)

  it("is each process's own where they cannot meet, which is told", function()
    local here = folder { ["chain.lua"] = ECHO, ["in.txt"] = "x\n" }
    here.env = { XDG_STATE_HOME = "/proc/none" }
    local code, _, err = here:run("in.txt", "--rate", "10/s")
    assert.equal(0, code, err)
    assert.matches("--rate is not shared with other processes: ", err, 1, true)
    local _, stderr, exit = helper.execute(here:words("in.txt", "--rate", "fast"))
    assert.equal(2, exit)
    assert.matches("--rate takes items per s, m or h, such as 10/s, got 'fast'", stderr, 1, true)
  end)
end)
