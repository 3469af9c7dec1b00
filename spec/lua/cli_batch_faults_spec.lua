--- moonpipe batch when things go wrong: killed, interrupted, a damaged journal, a full disk.
local batch = require "spec.support.batch"
local helper = require "spec.helper"
local server_of = require "spec.support.server"

local KILLED, INTERRUPTED, ITEMS_FAILED = 137, 130, 6

local function folder(files, env)
  local made = batch.folder(files, env)
  finally(function() made:remove() end)
  return made
end

local function numbers(count)
  local list = {}
  for i = 1, count do list[i] = "item " .. i end
  return table.concat(list, "\n") .. "\n"
end

local MODEL = [[
  local mp = require "moonpipe"
  return mp.ChatOpenAI { model = "gpt-5.4-mini", max_retries = 0 } | mp.StrOutputParser()
]]

-- Each item has exactly one result, its own; gives how many failed.
local function check_all(here, count)
  local seen, before = {}, 0
  for _, one in ipairs(here:results()) do
    assert.is_true(one.index > before, "out of order, or twice")
    assert.equal("item " .. one.index, one.output)
    seen[one.index], before = true, one.index
  end
  local failed = here:failures()
  for _, one in ipairs(failed) do
    assert.is_nil(seen[one.index])
    assert.equal("item " .. one.index, one.input)
    seen[one.index] = true
  end
  for i = 1, count do assert.is_true(seen[i], "item " .. i .. " is lost") end
  assert.is_nil(seen[count + 1])
  return #failed
end

describe("row 51: moonpipe batch, killed at any moment", function()
  local server = server_of.use()

  -- One of twenty requests is refused, breaks off or is answered with an error. No connection is
  -- reset: that may take the answer's first bytes with it, and curl then sends again what it sent
  -- on a connection that had been used before.
  local function faulty(count, delay)
    local faults = { "status=400", "status=500", "delay=5; cut=20" }
    local list = {}
    for i = 1, count do
      list[i] = math.random() < 0.05 and faults[math.random(#faults)] or delay
    end
    list.default = delay
    return list
  end

  it("has one result for each item, none lost, none doubled", function()
    local seed = os.time()
    math.randomseed(seed)
    local kills = helper.long and 1000 or 20
    local items, jobs = helper.long and 10000 or 1500, 8
    local faults = faulty(items, helper.long and "delay=40" or "delay=20") -- none is killed idle
    local here = folder({ ["chain.lua"] = MODEL, ["in.txt"] = numbers(items) }, {
      OPENAI_API_KEY = "sk-test", OPENAI_BASE_URL = server:lane("killed", faults),
    })
    local killed, longest = 0, helper.long and 0.08 or 0.2
    for i = 1, kills do
      local code, _, err = here:run_until("KILL", 0.01 + math.random() * longest, "in.txt", "-j",
        jobs, "--resume")
      assert.equal(KILLED, code, ("kill %d, seed %d: %s"):format(i, seed, err))
      killed = killed + 1
    end
    local code, _, err = here:run("in.txt", "-j", "64", "--resume")
    assert.equal(ITEMS_FAILED, code, err)
    local failed = check_all(here, items)
    local requests = server:stats().lanes.killed.requests
    assert.is_true(requests >= items and requests <= items + killed * jobs,
      ("%d requests for %d items and %d kills, seed %d"):format(requests, items, killed, seed))
    server:lane("killed", { default = "delay=20" })
    for _ = 1, 5 do
      here:run_until("KILL", 0.05 + math.random() * 0.2, "in.txt", "-j", "2", "--retry-failed")
    end
    code, _, err = here:run("in.txt", "--retry-failed")
    assert.equal(0, code, err)
    assert.equal(0, check_all(here, items))
    helper.figure(("batch: %d items, %d kills (seed %d), %d failed and were retried, %d calls "
      .. "repeated, at most %d by the rule"):format(items, killed, seed, failed, requests - items,
      killed * jobs))
  end)

  it("row 32: repeats no call where it was only asked to end #signal", function()
    local items = helper.long and 5000 or 400
    local here = folder({ ["chain.lua"] = MODEL, ["in.txt"] = numbers(items) }, {
      OPENAI_API_KEY = "sk-test", OPENAI_BASE_URL = server:lane("asked", { default = "delay=20" }),
    })
    local signals = { "TERM", "HUP", "INT" }
    for i = 1, helper.long and 100 or 12 do
      local code, _, err = here:run_until(signals[i % 3 + 1], 0.05 + math.random() * 0.15, "in.txt",
        "-j", "8", "--resume")
      assert.is_true(code == 0 or code >= 129 and code <= 143, err)
    end
    local code, _, err = here:run("in.txt", "-j", "64", "--resume")
    assert.equal(0, code, err)
    assert.equal(0, check_all(here, items))
    assert.equal(items, server:stats().lanes.asked.requests)
  end)

  it("row 52: has what was answered where the end of its log is cut or spoilt", function()
    local items = 400
    local here = folder({ ["chain.lua"] = MODEL, ["in.txt"] = numbers(items) }, {
      OPENAI_API_KEY = "sk-test", OPENAI_BASE_URL = server:lane("torn", { default = "delay=20" }),
    })
    for _ = 1, 5 do
      here:run_until("KILL", 0.1 + math.random() * 0.1, "in.txt", "-j", "8", "--resume")
      local log = here:read "out.jsonl.journal-wal"
      if log and #log > 0 then
        local keep = math.random(0, #log)
        here:write("out.jsonl.journal-wal", log:sub(1, keep) .. ("x"):rep(math.random(0, 300)))
      end
    end
    local code, _, err = here:run("in.txt", "--resume")
    assert.equal(0, code, err)
    assert.equal(0, check_all(here, items))
  end)
end)

describe("moonpipe batch, interrupted", function()
  local SLOW = [[
    local mp = require "moonpipe"
    return function(text) mp.sleep(0.01) return text end
  ]]

  it("says what is safe, and goes on there", function()
    local here = folder { ["in.txt"] = numbers(1000), ["chain.lua"] = [[
      return function(text)
        if text == "item 50" then os.execute "(sleep 0.05; kill -INT $PPID) &" end
        require("moonpipe").sleep(0.01)
        return text
      end]] }
    local code, _, err = here:run("in.txt", "-j", "2")
    assert.equal(INTERRUPTED, code, err)
    here:write("chain.lua", SLOW)
    assert.is_true(#here:results() < 1000)
    assert.matches("%d+ results are safe; %-%-resume goes on\nmoonpipe: interrupted\n$", err)
    assert.equal(0, (here:run("in.txt", "--resume", "-j", "100")))
    assert.equal(0, check_all(here, 1000))
  end)

  it("row 50: does one batch in one process at a time", function()
    local here = folder { ["chain.lua"] = SLOW, ["in.txt"] = numbers(40) }
    here:write("second.lua", ([[
      local words = { %s }
      return function(text)
        if text == "item 1" then return os.execute(table.concat(words, " ") .. " 2>%s") end
        return text
      end]]):format("'" .. table.concat(here:words("in.txt", "--resume"), "','") .. "'",
      here:path "said"))
    local words = here:words "in.txt"
    words[3] = here:path "second.lua"
    local _, err, code = helper.execute(words)
    assert.equal(0, code, err)
    assert.matches("another process is at work on this batch", here:read "said", 1, true)
    assert.equal(256, here:outputs()[1]) -- exit code 1, as os.execute gives it
  end)
end)

describe("row 52: moonpipe batch's journal", function()
  local ECHO = "return function(text) return text end"

  it("is refused where it is damaged, and the output stays as it is", function()
    local here = folder { ["chain.lua"] = ECHO, ["in.txt"] = numbers(3000) }
    assert.equal(0, (here:run "in.txt"))
    local whole, output = here:read "out.jsonl.journal", here:read "out.jsonl"
    local spoilt = whole:sub(1, 40960) .. ("x"):rep(4096) .. whole:sub(45057)
    local cases = { whole:sub(1, #whole / 2), whole:sub(1, 5000), whole:sub(1, 50), spoilt,
      ("no database "):rep(1000) }
    for i, bytes in ipairs(cases) do
      here:write("out.jsonl.journal", bytes)
      local code, _, err = here:run("in.txt", "--resume")
      assert.equal(1, code, ("case %d: %s"):format(i, err))
      assert.matches("out.jsonl.journal' is damaged", err, 1, true)
      assert.equal(output, here:read "out.jsonl")
    end
    here:write("out.jsonl.journal", whole)
    os.remove(here:path "out.jsonl")
    assert.equal(0, (here:run("in.txt", "--resume")))
    assert.equal(output, here:read "out.jsonl")
  end)

  it("is refused where it is somebody else's database", function()
    local here = folder { ["chain.lua"] = ECHO, ["in.txt"] = "a\n" }
    helper.run(function()
      local other = require("moonpipe.db").open(here:path "out.jsonl.journal",
        { application_id = 77, schema = { "CREATE TABLE t (x)" } })
      other:close()
    end)
    local code, _, err = here:run("in.txt", "--resume")
    assert.equal(1, code)
    assert.matches("out.jsonl.journal'", err, 1, true)
    assert.is_nil(here:read "out.jsonl")
  end)
end)

describe("row 50: moonpipe batch on a full disk", function()
  -- Files may not grow beyond [blocks] of 512 bytes.
  local function run_small(here, blocks, ...)
    local words = {}
    for i, word in ipairs(here:words("in.txt", ...)) do words[i] = "'" .. word .. "'" end
    return helper.execute { "sh", "-c", ("trap '' XFSZ; ulimit -f %d; exec %s"):format(blocks,
      table.concat(words, " ")) }
  end

  local LONG = [[return function(text) return text .. (" long"):rep(50) end]]

  it("stops, loses nothing, and goes on when there is room", function()
    local here = folder { ["chain.lua"] = LONG, ["in.txt"] = numbers(4000) }
    local _, err, code = run_small(here, 800, "-j", "20")
    assert.equal(1, code, err)
    assert.matches("io: ", err, 1, true)
    local safe = tonumber(err:match("(%d+) results are safe"))
    assert.is_true(safe > 0 and safe < 4000, err)
    here:write("chain.lua", "return function(text) return 'again' end")
    assert.equal(0, (here:run("in.txt", "--resume", "-q")))
    local again = 0
    for i, output in ipairs(here:outputs()) do
      if output == "again" then again = again + 1 end
      assert.truthy(output == "again" or output:find("item " .. i .. " long", 1, true))
    end
    assert.equal(4000 - safe, again)
  end)

  it("tells which file could not be written, and that the journal has it", function()
    local here = folder { ["chain.lua"] = LONG, ["in.txt"] = numbers(2000) }
    assert.equal(0, (here:run "in.txt"))
    local output = here:read "out.jsonl"
    local _, err, code = run_small(here, 400, "--resume")
    assert.equal(1, code, err)
    assert.matches("cannot write '" .. here:path "out.jsonl", err, 1, true)
    assert.equal(0, (here:run("in.txt", "--resume")))
    assert.equal(output, here:read "out.jsonl")
  end)
end)

-- A disk of one's own needs a namespace of one's own, which not every machine gives.
local NAMESPACE = { "unshare", "-rm", "sh", "-ec" }

local function may_mount()
  local _, _, code = helper.execute { NAMESPACE[1], NAMESPACE[2], "mount", "-t", "tmpfs", "none",
    "/mnt" }
  return code == 0
end

describe("row 50: moonpipe batch on a small disk", function()
  local disk_it = may_mount() and it or pending

  -- A shell script with `disk`, which holds `kilobytes`, and `run`, a batch on it.
  local function on_disk(here, kilobytes, script)
    local words = here:words "in.txt"
    words[6] = here:path "disk/out.jsonl"
    return helper.execute { NAMESPACE[1], NAMESPACE[2], NAMESPACE[3], NAMESPACE[4],
      ("disk=%s/disk; mkdir $disk; mount -t tmpfs -o size=%dk none $disk; run='%s'\n%s"):format(
        here.root, kilobytes, table.concat(words, " "), script) }
  end

  local LONG = [[return function(text) return text .. (" long"):rep(50) end]]

  disk_it("stops where it is full, loses nothing, and goes on when there is room", function()
    local here = folder { ["chain.lua"] = LONG, ["in.txt"] = numbers(4000) }
    local _, err, code = on_disk(here, 1000, [[
      set +e
      $run -j 20; echo "code $?" >&2
      mount -o remount,size=20m $disk
      $run -j 20 -q --resume; echo "code $?" >&2
      cp $disk/out.jsonl $disk/..]])
    assert.equal(0, code, err)
    local safe = tonumber(err:match "(%d+) results are safe; %-%-resume goes on\nmoonpipe: io: ")
    assert.is_true(safe and safe > 0 and safe < 4000, err)
    assert.matches("code 1\n.*code 0\n$", err)
    local results = here:results()
    assert.equal(4000, #results)
    for i, one in ipairs(results) do assert.equal(i, one.index) end
  end)

  disk_it("tells that it may not be written", function()
    local here = folder { ["chain.lua"] = LONG, ["in.txt"] = numbers(10) }
    local _, err, code = on_disk(here, 1000, [[
      set +e
      $run -q; echo "code $?" >&2
      mount -o remount,ro $disk
      $run -q --resume; echo "code $?" >&2]])
    assert.equal(0, code, err)
    assert.matches("^code 0\nmoonpipe: io: .-out.jsonl.*\ncode 1\n$", err)
  end)
end)

describe("moonpipe batch's input", function()
  local ECHO = "return function(value) return value end"

  it("has lines of up to 64 MiB, and says where a longer one begins", function()
    local here = folder { ["chain.lua"] = "return function(text) return #text end" }
    local file = assert(io.open(here:path "in.txt", "w"))
    file:write("first\n", ("x"):rep(2 ^ 20):rep(3), "\n")
    for i = 1, 65 do file:write(i, ("y"):rep(2 ^ 20)) end
    file:close()
    local code, _, err = here:run "in.txt"
    assert.equal(1, code)
    assert.matches("in.txt: what follows line 2 has more than 64 MiB", err, 1, true)
    assert.same({ 5, 3 * 2 ^ 20 }, here:outputs())
  end)

  it("may begin with a byte order mark, end without an end of line, and is UTF-8", function()
    local here = folder { ["chain.lua"] = ECHO, ["a.jsonl"] = '\239\187\191{"a":1}\r\n{"a":2}',
      ["b.csv"] = '\239\187\191a\r\n"1\r\n2"\r\n3', ["c.jsonl"] = "\255\254{\0}\0",
      ["d.csv"] = "a,a\n1,2\n" }
    assert.equal(0, (here:run "a.jsonl"))
    assert.same({ { a = 1 }, { a = 2 } }, here:outputs())
    os.execute("rm " .. here:path "out*")
    assert.equal(0, (here:run "b.csv"))
    assert.same({ { a = "1\r\n2" }, { a = "3" } }, here:outputs())
    for name, said in pairs { ["c.jsonl"] = "is UTF-16; it must be UTF-8",
      ["d.csv"] = "d.csv:1: two columns are named 'a'" } do
      os.execute("rm " .. here:path "out*")
      local code, _, err = here:run(name)
      assert.equal(1, code)
      assert.matches(said, err, 1, true)
    end
  end)
end)

describe("row 58: moonpipe batch on a long input", function()
  -- Gives what was most in memory, in KiB, at each `step`-th item; else 0.
  local function measuring(step)
    return ([[
      return function(line)
        if tonumber(line) %% %d ~= 0 then return 0 end
        local file = io.open "/proc/self/status"
        local text = file:read "*a"
        file:close()
        return tonumber(text:match "VmHWM:%%s*(%%d+)")
      end]]):format(step)
  end

  local function peaks(here)
    local list = {}
    for line in io.lines(here:path "out.jsonl") do
      local peak = tonumber(line:match '"output":([%d.]+)}$')
      if peak > 0 then list[#list + 1] = peak end
    end
    return list
  end

  local function write_numbers(here, count)
    local file = assert(io.open(here:path "in.txt", "w"))
    for i = 1, count do file:write(i, "\n") end
    file:close()
  end

  it("needs no more memory for more items", function()
    local count = helper.long and 1000000 or helper.sanitized and 20000 or 50000
    local here = folder { ["chain.lua"] = measuring(count / 10) }
    write_numbers(here, count)
    local began = require("moonpipe").now()
    os.execute(("%s 2>%s"):format(table.concat(here:words("in.txt", "-j", "1000"), " "),
      here:path "said")) -- without the limit of a minute
    local seconds, said = require("moonpipe").now() - began, here:read "said"
    assert.matches((": %d results (%d new)\n$"):format(count, count):gsub("[()]", "%%%0"), said)
    local most = peaks(here)
    assert.equal(10, #most)
    assert.is_true(helper.sanitized or most[10] - most[3] < 4096,
      ("%d KiB after 30 %% of the items, %d after all"):format(most[3], most[10]))
    helper.figure(("batch: 1,000,000 lines through a lambda, -j 1000: %d items/s; most in memory "
      .. "%d KiB after 100,000 lines, %d after 500,000, %d after all"):format(count / seconds,
      most[1], most[5], most[10]))
  end)

  it("takes less than 1 KiB for each of 100,000 items that wait for their turn", function()
    local count = helper.long and 100000 or 20000
    local here = folder { ["chain.lua"] = measuring(count) }
    write_numbers(here, count)
    -- The first is slow: all others wait for it in the journal, not in memory.
    here:write("chain.lua", ([[
      local measure, mp = (function() %s end)(), require "moonpipe"
      return function(line)
        if line == "1" then mp.sleep(2) end
        return measure(line)
      end]]):format(measuring(count)))
    local code, _, err = here:run("in.txt", "-j", "1000")
    assert.equal(0, code, err)
    local most = peaks(here)[1]
    here:write("in.txt", count .. "\n")
    os.execute("rm " .. here:path "out*")
    assert.equal(0, (here:run "in.txt"))
    local alone = peaks(here)[1]
    assert.is_true(helper.sanitized or (most - alone) / count < 1,
      ("%d KiB for %d items, %d KiB for one"):format(most, count, alone))
    helper.figure(("batch: %d items done behind a slow first one: %.2f KiB in memory for each"):format(
      count, (most - alone) / count))
  end)
end)
