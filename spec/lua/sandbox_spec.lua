--- Scripts of others: what they may use, and the ways in which they try for more, in a VM of their
--- own and in a process of their own.
local mp = require "moonpipe"

local levels = require "spec.support.sandbox"
local at_each_level, box = levels.each, levels.box

local function message_of(fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  return tostring(err)
end

at_each_level("sandbox", function()
  it("runs a script's chain in a VM of its own", function()
    local chain = box():load([[
      local mp = require "moonpipe"
      return mp.PromptTemplate.from_template "Hello, {name}." | function(value) return value.text end
    ]], "mod.lua")
    assert.equal("Hello, you.", chain:invoke { name = "you" })
    local used, peak = chain:memory()
    assert.is_true(used > 0 and used <= peak)
    chain:close()
    assert.matches("closed: the sandbox was closed", message_of(chain.invoke, chain, {}))
  end)

  it("asks granted models, whole and in pieces", function()
    local model = mp.FakeListChatModel { responses = { "one", "two" } }
    local chain = box { models = { default = model } }:load([[
      local mp = require "moonpipe"
      return mp.init_chat_model() | mp.StrOutputParser()
    ]])
    assert.equal("one", chain:invoke "?")
    local pieces = {}
    for piece in chain:stream "?" do pieces[#pieces + 1] = piece end
    assert.same({ "t", "w", "o" }, pieces)
  end)

  it("lets a script read streams, and leave them", function()
    local chain = box({ models = { default = mp.FakeListChatModel { responses = { "one two" } } } }):load [[
      local mp = require "moonpipe"
      local talk = mp.init_chat_model() | mp.StrOutputParser()
      return function(x)
        local text = ""
        for piece in talk:stream(x) do text = text .. "(" .. piece .. ")" end
        local left = talk:stream(x)
        text = text .. left()
        left:close()
        return text
      end]]
    assert.matches("^%(o%)%(n%)%(e%).*%)o$", chain:invoke "?")
  end)

  it("gives messages, Documents and errors as what they are", function()
    local chain = box():load [[
      return function(list)
        return { list[1]:text(), list[2].page_content, list[1], list[2], list[3].deep[2] }
      end
    ]]
    local out = chain:invoke { mp.HumanMessage "a", mp.Document("b", { n = 1 }), { deep = { 1, "c" } } }
    assert.same({ "a", "b", "c" }, { out[1], out[2], out[5] })
    assert.equal("human", out[3].type)
    assert.equal(1, out[4].metadata.n)
  end)

  it("lets an agent in it use granted tools", function()
    local seen
    local add = mp.tool { name = "add", description = "Adds.",
      schema = { type = "object", properties = { a = { type = "number" } } },
      fn = function(args) seen = args.a return args.a + 1 end }
    local answers = { mp.AIMessage { content = "", tool_calls = { { name = "add", args = { a = 2 },
      id = "1" } } }, mp.AIMessage "three" }
    local model = mp.GenericFakeChatModel { messages = answers }
    local chain = box { models = { m = model }, tools = { add } }:load [[
      local mp = require "moonpipe"
      return mp.create_agent { model = mp.models.m, tools = { mp.tools.add } }
    ]]
    assert.equal("three", tostring(chain:invoke("?").output))
    assert.equal(2, seen)
  end)

  it("runs granted steps at the same time, and the call's timeouts in it", function()
    local step = mp.RunnableLambda(function(x) mp.sleep(0.05) return x end)
    local chain = box { steps = { slow = step } }:load [[
      local mp = require "moonpipe"
      local slow = mp.steps.slow
      local late = slow:with_timeout(0.001)
      return { a = slow, b = slow, c = function(x) return select(2, late:try_invoke(x)).kind end }
    ]]
    assert.same({ a = 1, b = 1, c = "timeout_total" }, chain:invoke(1))
  end)

  it("cancels what a cancelled call has asked for", function()
    local cancelled
    local step = mp.RunnableLambda(function()
      local ok, err = pcall(mp.sleep, 30)
      cancelled = not ok and err.kind
    end)
    local chain = box { steps = { slow = step } }:load 'return require("moonpipe").steps.slow'
    local task = chain:start(1)
    mp.sleep(0.05)
    task:cancel()
    local _, err = task:wait(10)
    assert.equal("cancelled", err.kind)
    assert.equal("cancelled", cancelled)
  end)

  it("tells of the script's errors, with its name and lines", function()
    assert.matches("mod.lua:2: boom", message_of(box().load, box(), "\nerror 'boom'", "mod.lua"))
    assert.matches("mod.lua:1: '=' expected", message_of(box().load, box(), "bad code", "mod.lua"))
    assert.matches("the chunk returns no step", message_of(box().load, box(), "", "mod.lua"))
    assert.matches("undefined global 'oops'", message_of(box().run, box(), "return oops"))
    assert.matches("yielded nil", message_of(box().run, box(), "coroutine.yield()"))
  end)

  it("runs scripts with arguments, and gives their data", function()
    local lines = {}
    local sandbox = box { print = function(line) lines[#lines + 1] = line end }
    local out = sandbox:run("print('got', ...) return { count = #arg, same = arg[1] == ... }", "s", { "x" })
    assert.same({ "got\tx" }, lines)
    assert.is_nil(box():run "return nil")
    assert.same({ count = 1, same = true }, out)
  end)

  it("reads files below the granted folder alone", function()
    local helper = require "spec.helper"
    local folder = helper.temp("return { twice = function(x) return 2 * x end }"):match("^(.*)/")
    local name = "sandbox_module_" .. tostring(mp.now()):gsub("%D", "")
    helper.write(folder .. "/" .. name .. ".lua", "return { twice = function(x) return 2 * x end }")
    local granted = box { files = folder }
    assert.equal(6, granted:run(("return require('%s').twice(3)"):format(name)))
    assert.matches("twice", granted:run(("return require 'moonpipe'.read_file '%s.lua'"):format(name)))
    os.remove(folder .. "/" .. name .. ".lua")
    for _, path in ipairs { "../etc/passwd", "/etc/passwd", "a/../../etc/passwd" } do
      local script = "return require 'moonpipe'.read_file(...)"
      assert.is_false((pcall(granted.run, granted, script, "s", { path })))
    end
    assert.matches("grants no files",
      message_of(box().run, box(), "require 'moonpipe'.read_file 'a'"))
  end)

  it("refuses what is no data at the wall", function()
    assert.matches("input", message_of(box().run, box(), "return function() end"))
    assert.matches("only data can", message_of(box().run, box(),
      "return require('moonpipe').RunnablePassthrough()"))
    assert.matches("only data can", message_of(box().run, box(), "return setmetatable({}, {})"))
  end)

  it("names wrong options", function()
    assert.matches("unknown option 'model' of sandbox", message_of(box, { model = 1 }))
    assert.matches("memory of sandbox must be a number", message_of(box, { memory = 1 }))
    assert.matches("models of sandbox", message_of(box, { models = { a = 1 } }))
    assert.matches("tools of sandbox takes tools", message_of(box, { tools = { 1 } }))
    assert.matches("isolate of sandbox is true or false", message_of(mp.sandbox, { isolate = 1 }))
  end)
end)

-- Each gives what it got hold of, or true, if it has got out.
local ATTEMPTS = {
  "return io.open('/etc/passwd')", "return _G.io", "return os.execute", "return os.getenv",
  "return os.exit", "return os.remove", "return os.rename", "return os.tmpname",
  "return _G.package", "return _G.ffi", "return _G.jit", "return require 'ffi'",
  "return require 'jit.util'", "return require 'io'", "return require 'moonpipe.c'",
  "return require 'moonpipe.native'", "return require 'moonpipe.http.http'", "return require '../x'",
  "return require(setmetatable({}, {__tostring = function() return 'ffi' end}))",
  "local x = 1LL return require 'ffi'", "local x = 1LL return getmetatable(x)",
  "return string.dump(print)", "return ('').dump", "return loadstring(string.dump(function() end))",
  "return load('\\27LJ\\2\\0')", "return loadstring('\\27LJ\\2\\0')",
  "return load('\\27LJ', 'x', 'b')", "return load(function() return '\\27LJ' end)",
  "return dofile('/etc/passwd')", "return loadfile('/etc/passwd')", "return _G.loadfile",
  "return getfenv", "return setfenv", "return getfenv(0)", "return newproxy(true)",
  "return module", "return debug.getregistry", "return debug.getinfo", "return debug.sethook",
  "return debug.getupvalue", "return debug.setmetatable", "return debug.getlocal",
  "return getmetatable('')", "getmetatable('').__index = nil return true",
  "string.rep = nil return true", "rawset(string, 'rep', nil) return true",
  "setmetatable(string, {}) return true", "table.insert(table, 1, 1) return true",
  "_G.string.x = 1 return true", "require('moonpipe').x = 1 return true",
  "rawset(require 'moonpipe', 'StrOutputParser', 1) return true",
  "setmetatable(require 'moonpipe', nil) return true",
  "return getmetatable(require 'moonpipe')",
  "return getmetatable(require('moonpipe').StrOutputParser())",
  "return getmetatable(require('moonpipe').RunnableLambda)",
  "return getmetatable(require('moonpipe').HumanMessage 'x')",
  "setmetatable(require('moonpipe').StrOutputParser(), {}) return true",
  "return require('moonpipe').ChatOpenAI", "return require('moonpipe').cassette 'x'",
  "return require('moonpipe').db", "return require('moonpipe').mcp",
  "return require('moonpipe').TextLoader('/etc/passwd'):load()",
  "return require('moonpipe').load_prompt '/etc/passwd'",
  "return require('moonpipe').PromptTemplate.from_file('/etc/passwd')",
  "return require('moonpipe').secret_file '/etc/passwd'",
  "return require('moonpipe').secret_cmd 'id'", "return require('moonpipe').getpass 'X'",
  "return require('moonpipe').dofile '/etc/passwd'", "return require('moonpipe').sandbox {}",
  "return require('moonpipe').FAISS", "return require('moonpipe').SQLiteCache",
  "return require('moonpipe').update", "return require('moonpipe').install_loader",
  "return require('moonpipe').host", "return require('moonpipe').models.other",
  "return require('moonpipe').init_chat_model 'openai:gpt'",
  "return collectgarbage('stop')", "return collectgarbage('collect')",
  "local f = load('return io', 'x', 't', {io = 1}) assert(f() == 1) return _G.io",
  "return select(2, pcall(error, setmetatable({}, {__index = _G}))).io",
  "return coroutine.wrap(function() return io end)()",
  "return require('moonpipe').models.secret.api_key",
  "return require('moonpipe').models.secret.model",
  "local s = require('moonpipe').models.secret; for _, v in pairs(s) do "
    .. "if type(v) ~= 'string' or #v > 6 then return v end end error 'nothing'",
  "return require('moonpipe').models.secret:bind({ base_url = 'http://127.0.0.1:1' }):invoke 'x'",
  "return require('moonpipe').models.secret:bind({ api_key = 'x' }):invoke 'x'",
  "return require('moonpipe').models.secret:bind({ extra_body = { a = 1 } }):invoke 'x'",
}

at_each_level("sandbox escape", function()
  local KEY = "sk-canary-4f1d2a9b8c7e6d5f"

  local function snapshot()
    local list = {}
    for name in pairs(_G) do list[#list + 1] = tostring(name) end
    for name in pairs(string) do list[#list + 1] = "string." .. name end
    for name in pairs(package.loaded) do list[#list + 1] = "loaded " .. name end
    table.sort(list)
    return table.concat(list, "\n")
  end

  local granted
  setup(function()
    granted = box { models = { secret = mp.ChatOpenAI { model = "m", api_key = KEY,
      base_url = "http://127.0.0.1:1/v1", max_retries = 0 } }, print = function() end,
      seconds = levels.SLOWER }
    pcall(granted.run, granted, "return 1") -- what loads at first use is loaded
    mp.load "return 1"
    pcall(granted.run, granted, ATTEMPTS[#ATTEMPTS])
  end)

  it("lets a script do what it may", function()
    assert.equal(1, granted:run "return 1")
  end)

  for i, attempt in ipairs(ATTEMPTS) do
    it(("is blocked: %d %s"):format(i, attempt:gsub("[%c]", "?")), function()
      local before = snapshot()
      local script = "local ok, value = pcall(function() " .. attempt .. " end) "
        .. "return { tried = true, got = ok and value ~= nil and value ~= false or nil, "
        .. "said = tostring(value) }"
      assert(mp.load(script))
      local out = granted:run(script, "attempt")
      assert.same({ true, nil }, { out.tried, out.got }, out.said)
      assert.is_nil(out.said:find(KEY, 1, true))
      assert.equal(before, snapshot())
      assert.equal("aa", ("a"):rep(2))
    end)
  end

  it("finds no key anywhere that can be reached", function()
    local script = [[
      local mp, seen, found = require "moonpipe", {}, {}
      local function walk(value, depth)
        if type(value) == "string" then found[#found + 1] = value end
        if type(value) ~= "table" or seen[value] or depth > 8 then return end
        seen[value] = true
        for k, v in pairs(value) do walk(k, depth + 1) walk(v, depth + 1) end
      end
      walk(_G, 1) walk(mp.models.secret, 1)
      local ok, err = mp.models.secret:try_invoke "hello"
      walk(err, 1)
      return table.concat(found, "\n") .. tostring(err) .. tostring(ok)
    ]]
    local text = granted:run(script)
    assert.matches("connect", text)
    assert.is_nil(text:find("canary", 1, true))
  end)
end)

describe("run --sandbox", function()
  local helper = require "spec.helper"

  it("runs a script with what another grants", function()
    local grants = helper.temp [[
      local mp = require "moonpipe"
      return { models = { default = mp.FakeListChatModel { responses = { "granted" } } } }
    ]]
    local script = helper.temp [[
      local mp = require "moonpipe"
      print((mp.init_chat_model() | mp.StrOutputParser()):invoke "?", ...)
    ]]
    local stdout, stderr, code = helper.moonpipe { "run", "--sandbox=" .. grants, script, "word" }
    assert.same({ "granted\tword\n", "", 0 }, { stdout, stderr, code })
  end)

  it("grants nothing without, and fails as other scripts do", function()
    local script = helper.temp "require('moonpipe').init_chat_model()"
    local _, stderr, code = helper.moonpipe { "run", "--sandbox", script }
    assert.equal(1, code)
    assert.matches("the host grants no model 'default'; it grants no models at all: its option is "
      .. "models = { default = … }", stderr, 1, true)
    local _, told, usage = helper.moonpipe { "run", "--sandbox" }
    assert.equal(2, usage)
    assert.matches("run %-%-sandbox takes a file", told)
  end)

  it("ends what does not end", function()
    local _, stderr, code = helper.moonpipe { "run", "--sandbox", helper.temp "while true do end" }
    assert.equal(1, code)
    assert.matches("computed for too long", stderr)
  end)
end)
