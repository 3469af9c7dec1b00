-- Allocations of the engine that fail while a script calls models: the call fails with
-- memory, nothing leaks, and the next one works. Row 35 of the fault list.
local guests = require "spec.support.guest"
local helper = require "spec.helper"
local process = require "spec.support.process"

local server = require("spec.support.server").use()

local module = process.helper("failing/moonpipe.so")
local environment = {}
for name, value in pairs(guests.environment) do environment[name] = value end
environment.LUA_CPATH = module

-- Runs `call`, that a text defines, with each allocation failing in turn, once and for
-- good, until it needs no more of them; prints how often that was.
local TORTURE = [[
local failing = package.loadlib(arg[1], "luaopen_failing")()
local url = arg[2]

local function settle()
  while scheduler.pending() > 0 do mp.sleep(0.001) end
  collectgarbage()
  collectgarbage()
end

local function check(nth, forever, call)
  failing.at(nth, forever)
  local ok, err = pcall(call)
  local reached = failing.count() >= nth
  failing.at(0)
  local kind = not ok and (type(err) == "table" and err.kind or tostring(err)) or "done"
  -- what is done has checked its answer: not all memory is needed for that
  if reached and kind ~= "memory" and kind ~= "done" then
    print(("%d %s: %s"):format(nth, forever, tostring(err)))
  end
  settle()
  return reached
end

local function torture(call)
  call()
  settle()
  call()
  settle()
  local before, nth, reached = failing.live(), 0, true
  while reached and nth < 2000 do
    nth = nth + 1
    reached = check(nth, false, call)
    check(nth, true, call)
  end
  assert(call() ~= false, "it works no more")
  settle()
  local more = failing.live() - before
  print(nth > 1 and nth < 2000, more)
end
]]

local function tortured(call)
  local path = helper.temp(guests.PRELUDE .. TORTURE .. call .. "\ntorture(call)")
  local out, err, code = helper.execute({ "timeout", "-s", "KILL", "60", "luajit", path, module,
    server.base_url }, nil, environment)
  assert.same({ "", 0 }, { err, code })
  return out
end

describe("row 35: memory that fails", function()
  it("in a model call", function()
    -- a long one: a short one that is not the first needs no memory at all
    assert.equal("true\t0\n", tortured([[
      local model = mp.ChatOpenAI { base_url = url, api_key = "sk-of-row-35", max_retries = 0 }
      local text = ("long "):rep(60000)
      local function call() assert(model:invoke(text).content == text) end]]))
  end)

  it("in a stream", function()
    assert.equal("true\t0\n", tortured([[
      local model = mp.ChatOpenAI { base_url = url, api_key = "sk-of-row-35", max_retries = 0 }
      local function call() assert(model:stream("a b c"):collect().content == "a b c") end]]))
  end)

  it("in a map of calls", function()
    assert.equal("true\t0\n", tortured([[
      local model = mp.ChatOpenAI { base_url = url, api_key = "sk-of-row-35", max_retries = 0 }
      local map = mp.RunnableParallel { a = model, b = { c = model } }
      local text = ("long "):rep(20000)
      local function call()
        local out = map:invoke(text)
        assert(out.a.content == text and out.b.c.content == text)
      end]]))
  end)

  it("in making a model and its key", function()
    assert.equal("true\t0\n", tortured([[
      local function call()
        local model = mp.ChatOpenAI { base_url = url, api_key = "sk-of-row-35", max_retries = 0 }
        assert(model:invoke("hi").content == "hi")
      end]]))
  end)

  it("in streams that go on a cassette, and are played from it", function()
    assert.equal("true\t0\n", tortured(("local path = %q\n"):format(helper.temp()) .. [[
      local model = mp.ChatOpenAI { base_url = url, api_key = "sk-of-row-35", max_retries = 0 }
      local function asked() return model:stream("a b c"):collect().content end
      local function call()
        assert(mp.cassette(path, { mode = "record" }, asked) == "a b c")
        assert(mp.cassette(path, { mode = "replay" }, asked) == "a b c")
      end]]))
  end)

  it("in a lane", function()
    assert.equal("true\t0\n", tortured([[
      local lane = mp.lane(function(x) return { x } end)
      local function call() assert(lane:invoke("copied")[1] == "copied") end]]))
  end)

  it("in embeddings", function()
    assert.equal("true\t0\n", tortured([[
      local model = mp.OpenAIEmbeddings { base_url = url, api_key = "sk-of-row-35", max_retries = 0 }
      local function call() assert(#model:embed_documents({ "a", "b" }) == 2) end]]))
  end)
end)
