-- Processes that end, close their VM or fork while model calls are under way: in our
-- program, in a guest's luajit, in a C host. The numbers are the rows of the fault list.
local guests = require "spec.support.guest"
local helper = require "spec.helper"
local process = require "spec.support.process"
local proxies = require "spec.support.proxy"

local server = require("spec.support.server").use()

-- Streams that do not end, and calls that are not answered.
local ENDLESS, NEVER = { tokens = 100000, gap = 1, stream = "yes" }, "never"

local function behind(tls, script)
  return (server:with(script):gsub("^http://127%.0%.0%.1:%d+", tls.url))
end

-- Waits until the server has lost the connections of all requests: [most], or a little
-- less, where some had not reached it yet.
local function check_closed(most)
  local stats = server:wait(function(s) return s.in_flight == 0 end)
  assert.same({ stats.requests, 0 }, { stats.aborted, stats.completed })
  assert.truthy(stats.requests > most / 4 and stats.requests <= most, stats.requests)
end

-- Calls of two models, the first of which streams: returns when tokens have come.
local CALLS = [[
local heard, ended = 0, {}
local function begin(count)
  local function model(url)
    return mp.ChatOpenAI { base_url = url, ca_file = arg[3] ~= "" and arg[3] or nil, api_key = false }
  end
  local streams, whole = model(arg[1]), model(arg[2])
  local tasks = {}
  for i = 1, count do
    tasks[#tasks + 1] = streams:start("hi", { on_token = function() heard = heard + 1 end })
    tasks[#tasks + 1] = whole:start("hi")
  end
  while heard < 2 * count do mp.sleep(0.002) end
  return tasks
end
]]

describe("row 39: a VM that is closed", function()
  it("ends the calls of a guest, and joins #concurrency", function()
    guests.prints("end\n", CALLS .. [[
      begin(20)
      print "end"]], server:with(ENDLESS), server:with(NEVER), "")
    check_closed(40)
  end)

  it("ends the calls of a guest over TLS", function()
    local tls = proxies.tls({ to = server.port })
    guests.prints("end\n", CALLS .. [[
      begin(20)
      print "end"]], behind(tls, ENDLESS), behind(tls, NEVER), tls.ca_file)
    check_closed(40)
    tls:stop()
  end)

  it("ends the calls of a C host, and tells it #concurrency", function()
    local out, err, code = helper.execute({ process.helper("embed_host"), "close",
      server:with(ENDLESS) })
    assert.same({ "20 cancelled, 0 others\n", "", 0 }, { out, err, code })
    check_closed(20)
  end)

  it("leaves nothing behind in a C host, however often #concurrency", function()
    local count = helper.sanitized and 30 or helper.long and 500 or 99
    for _ = 1, helper.long and 20 or 1 do
      local out, err, code = helper.execute({ process.helper("embed_host"), count,
        server:with(ENDLESS) })
      assert.same({ 2 * count .. " cancelled, 0 others, 0 threads, 0 descriptors\n", "", 0 },
        { out, err, code })
    end
    helper.figure(("%d engines opened and closed with calls in flight: no thread and no descriptor left")
      :format(count * (helper.long and 20 or 1)))
    server:wait(function(stats) return stats.in_flight == 0 end)
  end)

  -- The host's plug-in that has the engine is unloaded while its threads work.
  it("may come behind the library's: dlclose", function()
    guests.prints("closed\n", [[
      local ffi = require "ffi"
      ffi.cdef "void *dlopen(const char *, int); void *dlsym(void *, const char *); int dlclose(void *);"
      local RTLD_NOW = 2
      for i = 1, 3 do
        local library = assert(ffi.C.dlopen(arg[1], RTLD_NOW))
        local function get(kind, name) return ffi.cast(kind, ffi.C.dlsym(library, "moonpipe_" .. name)) end
        local open, close = get("void *(*)(void *)", "open"), get("void (*)(void *)", "close")
        local load = get("uint64_t (*)(void *, const char *, const char *, size_t)", "load_text")
        local start = get("uint64_t (*)(void *, uint64_t, const char *, size_t, void *)", "start")
        local update = get("int64_t (*)(void *, int64_t)", "update")
        local engine = open(nil)
        local text = "local mp = require 'moonpipe' return mp.ChatOpenAI { base_url = '" .. arg[2] ..
          "', api_key = false }"
        local chain = load(engine, "plug-in", text, #text)
        for _ = 1, 5 do assert(start(engine, chain, '"hi"', 4, nil) ~= 0) end
        update(engine, -1)
        if i > 1 then mp.sleep(0.05) end
        if i < 3 then close(engine) end -- the last one is never closed
        ffi.C.dlclose(library)
        mp.sleep(0.05)
      end
      print "closed"]], (helper.bin:match("^(.*)/") or ".") .. "/libmoonpipe.so", server:with(ENDLESS))
    server:wait(function(stats) return stats.in_flight == 0 end)
  end)
end)

describe("row 40: a process that exits", function()
  -- Exits many times, each at another moment; gives what else than code 7 came of it.
  local function exits(times, command, env)
    local seen = {}
    for i = 1, helper.sanitized and math.ceil(times / 5) or times do
      local _, err, code = helper.execute(command(i), nil, env)
      if code ~= 7 or err ~= "" then seen[#seen + 1] = code .. ": " .. err end
    end
    return seen
  end

  local text = guests.PRELUDE .. CALLS .. [[
    begin(10)
    os.exit(7, arg[4] == "close")]]

  -- at os.exit what Lua's libraries hold is not freed
  local quiet = { ASAN_OPTIONS = "detect_leaks=0" }

  local function program(url, never, ca_file)
    return function(i)
      return { helper.bin, "run", helper.temp(text), url, never, ca_file, i % 5 == 0 and "close" or "" }
    end
  end

  local function guest(url, never, ca_file)
    return function(i)
      return { "luajit", helper.temp(text), url, never, ca_file, i % 5 == 0 and "close" or "" }
    end
  end

  it("keeps its code, with plain transfers under way", function()
    local plain = { server:with(ENDLESS), server:with(NEVER), "" }
    assert.same({}, exits(8, program(unpack(plain)), quiet))
    assert.same({}, exits(8, guest(unpack(plain)), guests.environment))
    server:wait(function(stats) return stats.in_flight == 0 end)
  end)

  -- OpenSSL frees what it has when a process exits, whoever still uses it
  for _, protocols in ipairs { "http/1.1", "h2" } do
    it("keeps its code, with TLS transfers under way: " .. protocols, function()
      local tls = proxies.tls({ to = server.port, protocols = protocols })
      local secure = { behind(tls, { tokens = 100000 }), behind(tls, NEVER), tls.ca_file }
      assert.same({}, exits(7, program(unpack(secure)), quiet))
      assert.same({}, exits(7, guest(unpack(secure)), guests.environment))
      assert.same({}, exits(3, function()
        return { process.helper("embed_host"), "exit", secure[1], tls.ca_file }
      end, quiet))
      tls:stop()
    end)
  end

  it("may close its engine at the very end", function()
    local tls = proxies.tls({ to = server.port })
    assert.same({}, exits(3, function()
      return { process.helper("embed_host"), "atexit", behind(tls, ENDLESS), tls.ca_file }
    end, quiet))
    tls:stop()
  end)
end)

describe("row 41: several VMs", function()
  it("call at the same time, and each hears its own #concurrency", function()
    guests.prints("64 x 3\n", guests.VMS .. [[
      local vms, count = {}, 0
      for i = 1, 64 do
        vms[i] = open()
        run(vms[i], ("url, me = '%s', 'vm%d'"):format(arg[1], i) .. [=[
          mp = require "moonpipe"
          local model = mp.ChatOpenAI { base_url = url }
          tasks = {}
          for k = 1, 3 do tasks[k] = model:start(me .. " " .. k) end
          mp.update()]=])
      end
      for i = 1, 64 do
        run(vms[i], "for k, task in ipairs(tasks) do " ..
          "assert(assert(task:wait()).content == me .. ' ' .. k) end")
      end
      for i = 1, 64 do C.lua_close(vms[i]) end
      print "64 x 3"]], server:with({ delay = 300 }))
    local stats = server:stats()
    assert.same({ 192, 0 }, { stats.completed, stats.aborted })
    assert.truthy(stats.peak > 10, stats.peak)
  end)

  it("close with calls under way, and the others' go on #concurrency", function()
    guests.prints("mine: hi\n", guests.VMS .. [[
      local mine = mp.ChatOpenAI { base_url = arg[1] }:start("hi")
      mp.update()
      for i = 1, 5 do
        local L = open()
        run(L, ("url = '%s'"):format(arg[2]) .. [=[
          mp = require "moonpipe"
          local model, heard = mp.ChatOpenAI { base_url = url }, 0
          for k = 1, 4 do model:start("hi", { on_token = function() heard = heard + 1 end }) end
          while heard < 8 do mp.sleep(0.002) end]=])
        C.lua_close(L)
      end
      print("mine: " .. assert(mine:wait()).content)]], server:with({ delay = 500 }),
      server:with(ENDLESS))
    local stats = server:wait(function(s) return s.in_flight == 0 end)
    assert.same({ 1, 20 }, { stats.completed, stats.aborted })
  end)
end)

describe("row 47: a handle that is used where it is not known", function()
  it("is closed for an engine that has no such call or chain", function()
    -- 0: nothing was cancelled; the calls of the other engine go on
    local out, err, code = helper.execute({ process.helper("embed_host"), "two",
      server:with(ENDLESS) })
    assert.same({ "0 0 1 closed 20 40\n", "", 0 }, { out, err, code })
    check_closed(40)
  end)

  it("is closed after its VM's engine, in a finalizer", function()
    local path = helper.temp([[
      local model, task, stream
      local guard = newproxy(true) -- older than the engine, so it outlives that
      getmetatable(guard).__gc = function()
        for _, use in ipairs {
          function() return model:invoke("hi") end,
          function() return assert(task:wait()) end,
          function() return model:stream("hi")() end,
        } do
          local ok, err = pcall(use)
          print(ok, type(err) == "table" and err.kind or err)
        end
        print(pcall(stream.collect, stream)) -- what had come before is there
        task:cancel()
        stream:close()
      end
      _G.guard = guard
      local mp = require "moonpipe"
      model = mp.ChatOpenAI { base_url = arg[1] }
      task = model:start("hi", { on_token = function() end })
      stream = model:stream("hi")
      stream()
    ]])
    local out, err, code = helper.execute({ "timeout", "60", "luajit", path, server:with(ENDLESS) },
      nil, guests.environment)
    assert.matches(("^" .. ("false\tclosed\n"):rep(3) .. "false\tc[la][on][sc]e"), out)
    assert.same({ "", 0 }, { err, code })
    check_closed(2)
  end)
end)

-- ThreadSanitizer knows no child that starts threads.
local fork_it = helper.execute({ "ldd", helper.bin }):find("libtsan", 1, true) and pending or it

describe("row 48: a process that forks with calls under way", function()
  local FORK = CALLS .. [[
    local ffi = require "ffi"
    ffi.cdef "int fork(void); int waitpid(int, int *, int);"
    local function fork(fn)
      io.stdout:flush()
      local pid = ffi.C.fork()
      if pid == 0 then
        local ok, err = pcall(fn)
        if not ok then io.stderr:write(tostring(err), "\n") end
        os.exit(ok and 0 or 1, true)
      end
      local status = ffi.new("int[1]")
      ffi.C.waitpid(pid, status, 0)
      return status[0]
    end]]

  local function forks(expected, text, ...)
    local out, err, code = helper.execute({ helper.bin, "run",
      helper.temp(guests.PRELUDE .. FORK .. text), ... }, nil, { ASAN_OPTIONS = "detect_leaks=0" })
    assert.same({ expected, "", 0 }, { out, err, code })
  end

  -- The child closes its VM at its end; the parent's streams go on to their end.
  local PARENT = [[
    local tasks = begin(5)
    print(fork(function()
      for _, task in ipairs(tasks) do
        local _, err = task:wait()
        assert(err.kind == "closed", err.kind)
      end
      local model = mp.ChatOpenAI { base_url = arg[4], ca_file = arg[3] ~= "" and arg[3] or nil,
        api_key = false }
      print(model:invoke("child").content, model:stream("streamed"):collect().content)
    end))
    for _, task in ipairs(tasks) do assert(task:wait()) end
    print(assert(tasks[1]:wait()).content:sub(1, 9))]]

  fork_it("goes on as if nothing was, and its child makes its own", function()
    forks("child\tstreamed\n0\ntok0 tok1\n", PARENT, server:with({ tokens = 100, gap = 10 }),
      server:with({ delay = 800 }), "", server:with({ delay = 1 }))
    assert.same({ 12, 0, 0 }, { server:stats().completed, server:stats().aborted,
      server:stats().broken })
  end)

  fork_it("goes on over TLS, too", function()
    local tls = proxies.tls({ to = server.port })
    forks("child\tstreamed\n0\ntok0 tok1\n", PARENT, behind(tls, { tokens = 100, gap = 10 }),
      behind(tls, { delay = 800 }), tls.ca_file, behind(tls, { delay = 1 }))
    tls:stop()
    assert.same({ 12, 0, 0 }, { server:stats().completed, server:stats().aborted,
      server:stats().broken })
  end)
end)
