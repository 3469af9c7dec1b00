--- A stream that is left in its middle, with a model call below each kind of step: the
--- server must be left with no open request, however it is left.
local calls = require "spec.support.calls"
local helper = require "spec.helper"
local log = require "moonpipe.log"
local mp = require "moonpipe"
local server = require("spec.support.server").use()

local function model(script)
  return mp.ChatOpenAI { base_url = server:with(script) }
end

-- Each around a stream that gives a chunk and then stands still.
local around = {
  alternatives = function(m) return m:configurable_alternatives({ id = "z" }, { other = m }) end,
  after = function(m)
    return mp.RunnableAssign({ a = mp.pipe(mp.itemgetter "q", m), b = mp.const(1) }, { after = { b = "a" } })
  end,
  assign = function(m) return mp.RunnableAssign { a = mp.pipe(mp.itemgetter "q", m) } end,
  binding = function(m) return m:with_config { timeout = 60 } end,
  branch = function(m) return mp.RunnableBranch({ mp.const(true), m }, mp.const(1)) end,
  each = function(m) return mp.pipe(mp.const { "a", "b" }, m:map()) end,
  fallbacks = function(m) return model("status=400"):with_fallbacks { m } end,
  generator = function(m)
    return mp.RunnableGenerator(function(chunks, emit)
      for value in m:stream(chunks().q) do emit(value) end
    end)
  end,
  hedge = function(m) return m:with_hedge { after = 60 } end,
  history = function(m)
    local get = function() return mp.InMemoryChatMessageHistory() end
    return mp.RunnableWithMessageHistory(m, get, { input_messages_key = "q" })
  end,
  lambda = function(m) return mp.RunnableLambda(function() return m end) end,
  listeners = function(m) return m:with_listeners(function() end) end,
  map = function(m) return mp.RunnableParallel { a = m, b = { c = m } } end,
  map_chunks = function(m) return mp.pipe(m, mp.StrOutputParser(), mp.map_chunks(string.upper)) end,
  pick = function(m) return mp.pipe({ a = m, b = m }, mp.RunnablePick "a") end,
  retry = function(m) return m:with_retry() end,
  route = function(m)
    return mp.pipe({ key = mp.const "k", input = m }, mp.RouterRunnable { k = mp.RunnablePassthrough() })
  end,
  router = function(m)
    return mp.pipe({ key = mp.const "k", input = mp.RunnablePassthrough() }, mp.RouterRunnable { k = m })
  end,
  tee = function(m)
    return mp.pipe(m, { a = mp.RunnablePassthrough(), b = { c = mp.RunnablePassthrough() } })
  end,
  timeout = function(m) return m:with_timeout { total = 60, idle = 60 } end,
  tool = function(m) return m:as_tool { name = "t", description = "d", arg_types = { q = "string" } } end,
}

-- Some give a chunk before the model is asked.
local function wait_for_call()
  calls.wait(server, function(stats) return stats.in_flight > 0 end)
end

local ways = {}

function ways.closed(step)
  local stream = step:stream { q = "hi" }
  stream()
  wait_for_call()
  stream:close()
end

local function begin(step)
  local stream = step:stream { q = "hi" }
  stream()
  wait_for_call()
end

function ways.forgotten(step)
  begin(step)
  collectgarbage()
  collectgarbage()
  mp.sleep(0.001)
end

function ways.cancelled(step)
  local shown = false
  local task = step:start({ q = "hi" }, { on_token = function() shown = true end })
  while not shown do mp.sleep(0.001) end
  wait_for_call()
  task:cancel()
  task:wait(10)
end

function ways.unwatched(step)
  local events = step:stream_events { q = "hi" }
  repeat local event = events() until event.event == "on_chat_model_stream"
  events:close()
end

describe("a stream that is left #concurrency", function()
  before_each(function() log.sink = function() return true end end)
  after_each(function() log.sink = nil end)

  for name, wrap in pairs(around) do
    it("leaves no open request, through " .. name, function()
      for how, way in pairs(ways) do
        server:reset()
        local stream = mp.pipe(mp.RunnableLambda(function(input) return input.q or input end),
          model { token = { "a ", "b " }, gap = "60s" })
        helper.run(function()
          way(wrap(stream))
          calls.wait(server, function(stats) return stats.in_flight == 0 end)
        end, 30)
        local stats = server:stats()
        assert.is_true(stats.requests > 0, how)
        assert.equal(stats.requests, stats.completed + stats.aborted, how)
      end
    end)
  end
end)
