--- Scripts of others in a process of their own: how it ends, what is left of it, what it says that is
--- no answer.
local helper = require "spec.helper"
local mp = require "moonpipe"
local native = require "moonpipe.native"
local processes = require "moonpipe.sandbox.process"
local scheduler = require "moonpipe.scheduler"

local c = native.c

local function settle()
  while scheduler.pending() > 0 do mp.sleep(0.005) end
end

local function read(path)
  local file = io.open(path, "rb")
  local text = file and file:read "*a"
  if file then file:close() end
  return text
end

-- The numbers of our moonpipe-cell processes, those that have ended and were not reaped too.
local function pids()
  local own = read("/proc/self/stat"):match "^%d+"
  local list, pipe = {}, assert(io.popen "cat /proc/[0-9]*/stat 2>/dev/null")
  for line in pipe:lines() do
    local pid, parent = line:match "^(%d+) %(moonpipe%-cell%) %S (%d+)"
    if parent == own then list[#list + 1] = tonumber(pid) end
  end
  pipe:close()
  return list
end

local function descriptors()
  local pipe = assert(io.popen "ls /proc/$PPID/fd | wc -l")
  local count = pipe:read "*n"
  pipe:close()
  return count
end

local function box(opts)
  opts = opts or {}
  opts.isolate = true
  return mp.sandbox(opts)
end

local ECHO = "return function(x) if x == 'loop' then while true do end end return x end"

local function raise_signal(name)
  local list = pids()
  assert.equal(1, #list)
  assert.equal(0, os.execute(("kill -%s %d"):format(name, list[1])))
end

-- Runs fn with a shell script in the place of moonpipe-cell.
local function with_program(script, own, fn)
  local path = helper.temp("#!/bin/sh\n" .. script .. "\n")
  os.execute("chmod +x " .. path)
  local original = c.sandbox_program
  c.sandbox_program = function() return path, own end
  local ok, err = pcall(fn)
  c.sandbox_program = original
  settle()
  if not ok then error(err, 0) end
end

describe("sandbox.process", function()
  it("has no right but to compute", function()
    local chain = box():load(ECHO)
    local pid = pids()[1]
    local status, limits = read(("/proc/%d/status"):format(pid)), read(("/proc/%d/limits"):format(pid))
    assert.matches("NoNewPrivs:%s+1\n", status)
    assert.matches("Seccomp:%s+2\n", status)
    for _, name in ipairs { "file size", "core file size", "processes", "open files" } do
      assert.matches("Max " .. name .. "%s+0%s+0%s", limits)
    end
    if not helper.sanitized then
      assert.is_true(tonumber(limits:match "Max address space%s+(%d+)") < 400 * 2 ^ 20)
      assert.equal("", read(("/proc/%d/environ"):format(pid)) or "") -- unreadable for who is not root
    end
    chain:close()
  end)

  it("that crashes is an error with the script's place, and the next calls start another", function()
    local chain = box():load(ECHO, "mod.lua")
    assert.equal(1, chain:invoke(1))
    local first = pids()[1]
    for _, signal in ipairs { "KILL", "SYS", not helper.sanitized and "SEGV" or nil } do
      raise_signal(signal)
      local _, err
      repeat _, err = (chain | mp.RunnablePassthrough()):try_invoke "loop" until err
      assert.equal(signal == "SYS" and "limit" or "internal", err.kind)
      assert.matches("the process of the script ended: it", err.message)
      assert.matches("mod.lua", tostring(err))
      assert.same({ a = 2, b = 2 }, mp.RunnableParallel { a = chain, b = chain }:invoke(2))
      assert.equal(1, #pids())
      assert.is_true(pids()[1] ~= first)
    end
    chain:close()
    assert.matches("closed", tostring(select(2, chain:try_invoke(1))))
  end)

  it("that computes on and on is killed, whatever it thinks of its limits", function()
    local real, own = c.sandbox_program()
    with_program(("exec '%s' $1 60000000 $3 $4"):format(real), own, function()
      local before = helper.children_seconds()
      local ok, err = pcall(function() return box():run "while true do end" end)
      assert.is_false(ok)
      assert.equal("limit: the script computed for too long without waiting; its process was killed",
        tostring(err))
      settle()
      assert.is_true(helper.children_seconds() - before < 1) -- the goal is 0.18
    end)
    assert.same({}, pids())
  end)

  it("that is silent is killed, too", function()
    local heard
    local process = processes.open({ memory = 2 ^ 24, seconds = 0.05 }, function(_, _, kind)
      heard = kind or "answered"
    end)
    while heard ~= "answered" do mp.sleep(0.005) end
    process.patience = 0.2
    raise_signal "STOP"
    process:say "go"
    while heard ~= "limit" do mp.sleep(0.005) end
    settle()
    assert.same({}, pids())
  end)

  it("ends when nobody knows its chain any more", function()
    do box():load(ECHO) end
    for _ = 1, 200 do
      collectgarbage()
      if scheduler.pending() == 0 then break end
      mp.sleep(0.01)
    end
    assert.same({}, pids())
  end)

  it("belongs to who has started it: a forked child starts its own", function()
    if helper.sanitized then return end -- they take no fork beside threads
    assert.same({ "old\tinternal\nagain\t2\nparent\t3\n", "", 0 }, { helper.moonpipe { "-e", [[
      local ffi, mp = require "ffi", require "moonpipe"
      ffi.cdef "int fork(void); int waitpid(int, int *, int); void _exit(int);"
      local chain = mp.sandbox { isolate = true }:load "return function(x) return x end"
      local pid = ffi.C.fork()
      if pid == 0 then
        local _, err = chain:try_invoke(1)
        io.write("old\t", err.kind, "\nagain\t", tostring(chain:invoke(2)), "\n")
        io.flush()
        ffi.C._exit(0)
      end
      ffi.C.waitpid(pid, nil, 0)
      print("parent", chain:invoke(3))]] } })
  end)

  it("leaves nothing behind", function()
    box():run "return 1"
    settle()
    local before = descriptors()
    for _ = 1, helper.long and 100 or 4 do
      local chains = {}
      for i = 1, 10 do chains[i] = box():load(ECHO) end
      assert.equal(10, #pids())
      assert.equal(7, chains[7]:invoke(7))
      for i = 1, 10 do chains[i]:close() end
      settle()
    end
    assert.same({}, pids())
    assert.is_true(descriptors() < before + 5) -- forty cells would leave many
  end)
end)

describe("sandbox.process's answers", function()
  -- What becomes of a script in whose place [bytes] are said.
  local function failure_after(bytes)
    local text
    with_program("cat " .. helper.temp(bytes) .. "\ncat >/dev/null", 1, function()
      local ok, err = pcall(function() return box { memory = 2 ^ 23 }:run "return 1" end)
      assert.is_false(ok)
      text = tostring(err)
    end)
    return text
  end

  local READY = c.frame(0, 0, {})

  it("say what the system lacks, and there is no other way then", function()
    assert.matches("unsupported: no filter here", failure_after(c.frame(0, 0, nil, "no filter here",
      "unsupported")))
    local original = c.sandbox_program
    c.sandbox_program = function() return nil, "there is none", "unsupported" end
    local ok, err = pcall(function() return box():run "return 1" end)
    c.sandbox_program = original
    assert.is_false(ok)
    assert.equal("unsupported: there is none", tostring(err))
    with_program("", 1, function()
      c.sandbox_program = function() return "/nonexistent/moonpipe-cell", 1 end
      assert.matches("^unsupported: cannot start", tostring(select(2, pcall(function() box():run "" end))))
    end)
  end)

  it("are checked to the last byte", function()
    local NO = "internal: the process of the script said what is no answer"
    local MUCH = "limit: the script said too much in one turn"
    for bytes, expected in pairs {
      ["\0\0\0\0"] = NO,
      ["\1\0\0\0x"] = NO,
      ["\5\0\0\0s\255\255\255\255"] = NO,
      ["\5\0\0\0l\255\255\255\255"] = NO,
      ["\255\255\255\255"] = MUCH,
      [c.frame("a", 0, {})] = NO,
      [c.frame(0, 0, {}) .. "\0\0\0\0"] = NO,
      [c.frame(0, 0, nil, "x", "auth")] = "limit: x",
      [c.frame(0, 0, nil, 1, 2)] = "limit: 1",
    } do
      assert.equal(expected, failure_after(bytes))
    end
    assert.equal(MUCH, failure_after(READY:rep(4)))
  end)

  it("cannot be made to take much more here than what was said", function()
    local long = ("[],"):rep(2 ^ 20 / 3 + 1) -- as JSON, thirty times its bytes; of a VM of 8 MiB
    assert.equal("limit: the script said too much in one turn",
      failure_after(READY .. READY .. c.frame(0, 0, { "done", 1, 0, "", "", long })))
    local list = {}
    for i = 1, 100001 do list[i] = true end
    assert.equal("internal: the process of the script said what is no answer",
      failure_after(READY .. c.frame(0, 0, list)))
  end)

  it("are data alone", function()
    local nan = 0 / 0
    for _, record in ipairs {
      { "ask", nan, 1, "step", "x", "null" }, { "ask", 1, nan, "file", nan, "null" },
      { "timer", 1, nan, "", "", "" }, { "chunk", 1, 1, 1, 1, "{" }, { "stop", 1, 1, 1, 1, "" },
      { "more", -1, 0, 0, 0, "" }, { "ask", 1, 1, "file", "x", '"/etc/passwd"' }, { "x" },
      { "ask", 2, 1, "models", "__index", "null" }, { 1, 2, 3, 4, 5, 6, 7 }, { nil, true, false },
    } do
      local bytes = READY .. c.frame(0, 0, record) .. c.frame(0, 0,
        { "fail", 1, 0, "", "", '{"$moonpipe":"error","kind":"lua","message":"end"}' })
      assert.equal("lua: end", (failure_after(bytes):gsub("^.-(lua: end).*$", "%1")))
    end
  end)
end)

describe("frames", function()
  it("give what they were given", function()
    local list = { "a", 1.5, true, false, "", ("x"):rep(1000) }
    local bytes = c.frame(1, nil, "two\0", list, false)
    assert.equal(#bytes, c.frame_len(bytes))
    assert.is_nil((c.frame_len "abc"))
    assert.same({ true, 1, nil, "two\0", list, false }, { c.unframe(bytes) })
    assert.same({ true }, { c.unframe(c.frame()) })
    for at = 0, #bytes - 1 do assert.is_false((c.unframe(bytes:sub(1, at)))) end
    assert.is_false((c.unframe(bytes .. "-")))
  end)
end)

describe("--isolate", function()
  local GRANTS = [[
    local mp = require "moonpipe"
    return { models = { default = mp.FakeListChatModel { responses = { "granted" } } } }
  ]]

  it("runs a script with what another grants, or nothing", function()
    local script = helper.temp [[
      local mp = require "moonpipe"
      print((mp.init_chat_model() | mp.StrOutputParser()):invoke "?", ...)
    ]]
    assert.same({ "granted\tword\n", "", 0 }, { helper.moonpipe { "run",
      "--sandbox=" .. helper.temp(GRANTS), "--isolate", script, "word" } })
    local _, stderr, code = helper.moonpipe { "run", "--isolate", script }
    assert.equal(1, code)
    assert.matches("the host grants no model 'default'", stderr)
    local _, told, usage = helper.moonpipe { "run", "--isolate" }
    assert.equal(2, usage)
    assert.matches("run %-%-isolate takes a file", told)
  end)

  it("runs a batch, in which an item that does not end is one failure", function()
    local script, input = helper.temp(ECHO), helper.temp "1\nloop\n3\n"
    local output = helper.temp ""
    os.remove(output)
    local _, stderr, code = helper.moonpipe { "batch", script, input, "-o", output, "--isolate",
      "-j", "1" }
    assert.equal(6, code, stderr)
    assert.equal('{"index":1,"line":1,"output":"1"}\n{"index":3,"line":3,"output":"3"}\n',
      read(output))
    for _, suffix in ipairs { "", ".journal", ".errors.jsonl" } do os.remove(output .. suffix) end
    local _, told = helper.moonpipe { "batch", script, input, "-o", output, "--isolate", "-c", "x" }
    assert.matches("%-%-chain names none", told)
  end)
end)
