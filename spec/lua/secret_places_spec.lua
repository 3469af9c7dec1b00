-- Where keys come from besides the environment: files, commands; and that no core dump has them.
local guest = require "spec.support.guest"
local helper = require "spec.helper"
local mp = require "moonpipe"
local native = require "moonpipe.native"
local scheduler = require "moonpipe.scheduler"
local secret = require "moonpipe.secret"

local server = require("spec.support.server").use()

local KEY = "sk-canary-0123456789abcdef-wxyz"
local MASK = "sk-…wxyz"

local folder

local function file(name, text, mode)
  local path = folder .. "/" .. name
  helper.write(path, text)
  assert(os.execute(("chmod %s '%s'"):format(mode or "600", path)) == 0)
  return path
end

local function use_folder()
  before_each(function()
    folder = os.tmpname()
    assert(os.execute(("rm '%s' && mkdir -m 700 '%s'"):format(folder, folder)) == 0)
  end)
  after_each(function() os.execute(("rm -rf '%s'"):format(folder)) end)
end

local function refused(fn, value)
  local err = helper.failure(fn, value)
  assert.equal("config", err.kind)
  assert.is_nil(err.message:find("canary", 1, true), err.message)
  return err.message
end

describe("mp.secret_file", function()
  use_folder()

  it("reads a key that only its owner may read", function()
    for _, mode in ipairs { "600", "400" } do
      assert.equal(MASK, tostring(mp.secret_file(file("key", KEY .. "\n", mode))))
    end
    assert.equal(secret.of(KEY), mp.secret_file(folder .. "/key"))
    os.execute(("ln -s key '%s/link'"):format(folder))
    assert.equal(secret.of(KEY), mp.secret_file(folder .. "/link"))
  end)

  it("refuses one to which others have access", function()
    for _, mode in ipairs { "640", "604", "620", "644", "601", "777" } do
      local path = file("key" .. mode, KEY, mode)
      assert.equal(("secret_file: '%s': others have access to it; chmod 600"):format(path),
        refused(mp.secret_file, path))
    end
  end)

  it("refuses one of somebody else", function()
    local path = file("key", KEY)
    if os.execute(("chown 12345 '%s' 2>/dev/null"):format(path)) ~= 0 then
      return pending "only root can give a file away"
    end
    assert.truthy(refused(mp.secret_file, path):find("belongs to somebody else$"))
  end)

  it("refuses what is no file, without waiting for it", function()
    assert(os.execute(("mkfifo -m 600 '%s/fifo'"):format(folder)) == 0)
    assert.truthy(refused(mp.secret_file, folder .. "/fifo"):find("it is no regular file$"))
    assert.truthy(refused(mp.secret_file, folder):find("it is no regular file$"))
    assert.truthy(refused(mp.secret_file, "/dev/null"):find("it is no regular file$"))
    assert.truthy(refused(mp.secret_file, folder .. "/none"):find("cannot open it: No such file"))
  end)

  it("refuses what is no key", function()
    assert.truthy(refused(mp.secret_file, file("a", "")):find("the key is empty"))
    assert.truthy(refused(mp.secret_file, file("b", KEY .. "\n" .. KEY)):find("no printable"))
    assert.truthy(refused(mp.secret_file, file("c", ("x"):rep(20000))):find("too long for a key"))
    assert.truthy(refused(mp.secret_file, file("d", ("x"):rep(16384))):find("too long for a key"))
    assert.equal("secret_file takes the path of a file, got nil", helper.said(mp.secret_file))
  end)

  it("does not show a key that was given for a path", function()
    refused(mp.secret_file, KEY)
  end)
end)

describe("mp.secret_cmd", function()
  use_folder()

  it("gives what a command prints, without the newline at its end", function()
    local key = mp.secret_cmd("printf '%s\\n' " .. KEY)
    assert.same({ MASK, true }, { tostring(key), key == secret.of(KEY) })
  end)

  it("runs a command once, however many ask at the same time #concurrency", function()
    local command = ("echo x >>'%s/runs'; sleep 0.1; echo %s"):format(folder, KEY)
    local ask = mp.RunnableLambda(function() return tostring(mp.secret_cmd(command)) end)
    assert.same({ MASK, MASK, MASK, n = 3 }, ask:batch { 1, 2, 3 })
    assert.equal(MASK, tostring(mp.secret_cmd(command)))
    assert.equal("x\n", helper.read(folder .. "/runs"))
  end)

  it("lets other tasks go on meanwhile", function()
    local order = {}
    mp.RunnableParallel({
      key = function()
        mp.secret_cmd(("while [ ! -e '%s/go' ]; do sleep 0.01; done; echo %s"):format(folder, KEY))
        order[#order + 1] = "key"
      end,
      other = function()
        mp.sleep(0.02)
        order[#order + 1] = "other"
        file("go", "")
      end,
    }):invoke(1)
    assert.same({ "other", "key" }, order)
  end)

  it("says how the command ended, never what it printed", function()
    for command, message in pairs {
      ["echo %s; exit 3"] = "the command ended with exit code 3",
      ["echo %s; kill -9 $$"] = "the command ended with signal 9",
      ["no-such-program-%s 2>/dev/null"] = "the command ended with exit code 127",
      ["yes %s"] = "the command printed more than a key",
      ["echo %s >/dev/null"] = "the command printed no key",
      ["echo a %s"] = "byte 2 of the key is no printable character",
    } do
      assert.equal("secret_cmd: " .. message, refused(mp.secret_cmd, (command:gsub("%%s", KEY))))
    end
  end)

  it("runs one that failed again", function()
    local command = ("[ -e '%s/there' ] && echo %s"):format(folder, KEY)
    refused(mp.secret_cmd, command)
    file("there", "")
    assert.equal(MASK, tostring(mp.secret_cmd(command)))
  end)

  it("does not wait for what the command leaves behind, and ends it", function()
    local command = ("(echo >'%s/began'; sleep 30; echo >'%s/alive') & sleep 0.1; echo %s"):format(
      folder, folder, KEY)
    local before = mp.now()
    assert.equal(MASK, tostring(mp.secret_cmd(command)))
    assert.truthy(mp.now() - before < 20)
    assert.equal("\n", helper.read(folder .. "/began"))
    assert.is_nil(io.open(folder .. "/alive"))
  end)

  it("is no place for anything but a command", function()
    assert.equal("secret_cmd takes a command, got nil", helper.said(mp.secret_cmd))
    assert.truthy(helper.said(mp.secret_cmd, ""):find "^secret_cmd takes a command")
  end)

  -- The job itself, with a shorter time.
  local function run(command, seconds, timeout)
    return helper.run(function()
      local id, place = native.c.secret_command(command, seconds)
      scheduler.await(id)
      return place
    end, timeout)
  end

  it("ends a command that takes too long, with all that it has started", function()
    local command = ("sleep 30 & echo $! >'%s/pid'; wait"):format(folder)
    local err = helper.failure(run, command, 0.3)
    assert.same({ "config", "the command gave no key within 0.3 s" }, { err.kind, err.message })
    local pid = tonumber(helper.read(folder .. "/pid"))
    assert.not_equal(0, os.execute(("kill -0 %d 2>/dev/null && ! grep -q 'State:.Z' /proc/%d/status")
      :format(pid, pid)))
  end)

  it("ends the command of a call that is cancelled", function()
    local err = helper.failure(run, ("echo $$ >'%s/pid'; exec sleep 30"):format(folder), 30, 0.5)
    assert.equal("timeout_total", err.kind)
    local pid = tonumber(helper.read(folder .. "/pid"))
    local gone = ("for i in $(seq 500); do kill -0 %d 2>/dev/null || exit 0; sleep 0.02; done; exit 1")
    assert.equal(0, os.execute(gone:format(pid)))
  end)

  it("gives a key that is in no event", function()
    local place = run("echo " .. KEY, 10)
    assert.is_nil(tostring(place):find("canary", 1, true))
    assert.equal(MASK, tostring(native.c.secret_take(place)))
    assert.is_nil(native.c.secret_take(place))
  end)
end)

describe("the key of a provider", function()
  use_folder()

  local function model(env, code)
    env.OPENAI_BASE_URL, env.OPENAI_API_KEY = server.base_url, env.OPENAI_API_KEY or false
    local out, err, exit = helper.moonpipe({ "-e", code or [[
      local mp = require "moonpipe"
      print(mp.ChatOpenAI().endpoint.key, mp.ChatOpenAI():invoke("x").content)]] }, nil, env)
    return out, err, exit
  end

  it("is in a file that NAME_FILE names, or printed by NAME_CMD", function()
    for _, env in ipairs {
      { OPENAI_API_KEY_FILE = file("key", KEY .. "\n") },
      { OPENAI_API_KEY_CMD = "cat " .. folder .. "/key" },
    } do
      local out, err = model(env)
      assert.same({ MASK .. "\tx\n", "" }, { out, err })
      assert.equal("Bearer " .. KEY, server:requests()[1].headers.authorization)
    end
  end)

  it("is looked for in NAME, NAME_FILE and NAME_CMD, in that order", function()
    local print_key = 'print((require "moonpipe").ChatOpenAI().endpoint.key)'
    local env = {
      OPENAI_API_KEY = "first-0123456789-1111", OPENAI_API_KEY_FILE = file("key", "file-0123456789-2222"),
      OPENAI_API_KEY_CMD = "echo command-0123456789-3333",
    }
    assert.equal("…1111\n", (model(env, print_key)))
    env.OPENAI_API_KEY = ""
    assert.equal("…2222\n", (model(env, print_key)))
    env.OPENAI_API_KEY, env.OPENAI_API_KEY_FILE = false, ""
    assert.equal("…3333\n", (model(env, print_key)))
  end)

  it("that cannot be had names the variable", function()
    local _, err, exit = model { OPENAI_API_KEY_CMD = "echo " .. KEY .. "; false" }
    assert.same({ "moonpipe: config: OPENAI_API_KEY_CMD: the command ended with exit code 1"
      .. "\n  at (command line):2", 3 }, { err:match("^[^\n]*\n[^\n]*"), exit })
    _, err, exit = model { OPENAI_API_KEY_FILE = file("key", KEY, "644") }
    assert.truthy(err:find("OPENAI_API_KEY_FILE: '" .. folder .. "/key': others have access", 1, true))
    assert.equal(3, exit)
    assert.equal(0, server:stats().requests)
  end)

  it("is not looked for in files and commands where a cassette is played", function()
    local tape = folder .. "/tape.jsonl"
    local text = [[
      local mp = require "moonpipe"
      mp.cassette(os.getenv "TAPE", function() print(mp.ChatOpenAI():invoke("x").content) end)]]
    local env = { TAPE = tape, OPENAI_API_KEY_CMD = ("echo x >>'%s/ran'; echo %s"):format(folder, KEY) }
    assert.same({ "x\n", "", 0 }, { model(env, text) })
    assert.same({ "x\n", "", 0 }, { model(env, text) })
    assert.equal("x\n", helper.read(folder .. "/ran"))
    env.OPENAI_API_KEY_CMD, env.OPENAI_API_KEY_FILE = "false", "/no/such/file"
    assert.same({ "x\n", "", 0 }, { model(env, text) })
    assert.equal(1, server:stats().requests)
  end)

  it("makes init_chat_model choose it", function()
    local out, err = model({ OPENAI_API_KEY_CMD = "echo " .. KEY, MOONPIPE_MODEL = false },
      'print((require "moonpipe").init_chat_model().endpoint.key)')
    assert.equal(MASK .. "\n", out)
    assert.truthy(err:find("OPENAI_API_KEY_CMD", 1, true), err)
  end)
end)

describe("a program that holds a key", function()
  use_folder()

  local DUMPABLE = [[
    local ffi = require "ffi"
    ffi.cdef "int prctl(int option, ...);"
    print(ffi.C.prctl(3))]] -- PR_GET_DUMPABLE

  local function dumpable(before, env)
    local out, err = helper.moonpipe({ "-e", before .. DUMPABLE }, nil, env)
    assert.equal("", err)
    return out
  end

  it("cannot be dumped", function()
    assert.equal("1\n", dumpable("local mp = require 'moonpipe' ", { MOONPIPE_CORES = false }))
    local key = "require 'moonpipe'.secret '" .. KEY .. "' "
    assert.equal("0\n", dumpable(key, { MOONPIPE_CORES = false }))
    assert.equal("1\n", dumpable(key, { MOONPIPE_CORES = 1 }))
  end)

  it("leaves that to its host where it is a library", function()
    guest.prints("1\n", ('mp.secret "%s" %s'):format(KEY, DUMPABLE))
  end)

  -- Ends by [signal] in the folder; gives how many core files there are.
  local function cores(signal, env)
    local code = ("require 'moonpipe'.getpass 'CANARY' os.execute 'kill -%s $PPID'"):format(signal)
    local bin = helper.bin:sub(1, 1) == "/" and helper.bin or "$OLDPWD/" .. helper.bin
    env.CANARY = KEY
    local _, _, exit = helper.execute({ "sh", "-c", ([[cd '%s' || exit; ulimit -c unlimited
      "%s" -e "$1"]]):format(folder, bin), "sh", code }, nil, env)
    assert.truthy(exit > 128, exit)
    local pipe = assert(io.popen(("ls '%s' | wc -l; rm -f '%s'/*"):format(folder, folder)))
    local count = pipe:read("*n")
    pipe:close()
    return count
  end

  it("leaves no core file #signal", function()
    if helper.sanitized then return end -- has an address space that nobody dumps
    for _, signal in ipairs { "ABRT", "SEGV" } do
      assert.equal(0, cores(signal, { MOONPIPE_CORES = false }))
      local pattern = helper.read("/proc/sys/kernel/core_pattern")
      local may = os.execute "sh -c 'ulimit -c unlimited' 2>/dev/null" == 0
      if may and not pattern:find("^[|/]") then assert.equal(1, cores(signal, { MOONPIPE_CORES = 1 })) end
    end
  end)
end)
