local helper = require "spec.helper"
local mp = require "moonpipe"
local server = require("spec.support.server").use()

-- Emits the letters of its input, a turn or `seconds` apart.
local function letters(seconds, note)
  return mp.RunnableGenerator(function(chunks, emit)
    local ok, err = pcall(function()
      for letter in chunks():gmatch "." do
        mp.sleep(seconds or 0)
        emit(letter)
      end
    end)
    if note and not ok then note(err) end
    if not ok then error(err, 0) end
  end)
end

-- A map whose reader `x` pulls the source when `y`, after some chunks and turns, fails.
local function breaking(count, turns)
  local failing = mp.RunnableGenerator(function(chunks)
    for _ = 1, count do chunks() end
    for _ = 1, turns do mp.sleep(0) end
    error("enough", 0)
  end)
  return mp.RunnableParallel({ x = mp.RunnablePassthrough(), y = failing })
    :with_config { on_error = "cancel" }
end

describe("a source that is shared", function()
  it("goes on for the others when a reader is cancelled that waits for it #concurrency", function()
    local told
    local source = letters(0.001, function(err) told = err end)
    local map = mp.RunnableParallel { a = breaking(0, 1), b = mp.RunnablePassthrough() }
    local out = mp.pipe(source, map):stream("abc", { on_error = "collect" }):collect()
    assert.equal("abc", out.b)
    assert.same({ "enough", "map.a > map.y" }, { out.a.message, out.a.path })
    assert.is_nil(told)
  end)

  it("goes on for the others when a reader has failed in the middle #concurrency", function()
    for i = 0, 11 do
      local map = mp.RunnableParallel {
        a = breaking(i % 4, math.floor(i / 4)), b = mp.RunnablePassthrough(),
      }
      local out = mp.pipe(letters(), map):stream("abcdef", { on_error = "collect" }):collect()
      assert.same({ "abcdef", "enough" }, { out.b, out.a.message })
    end
  end)

  it("goes on for the others when a reader's time is over #concurrency", function()
    local slow = mp.RunnableGenerator(function(chunks, emit)
      emit(chunks())
      mp.sleep(60)
    end):with_timeout(0.01)
    local out = mp.pipe(letters(0.01), { a = slow, b = mp.RunnablePassthrough() })
      :stream("abcd", { on_error = "collect" }):collect()
    assert.same({ "abcd", "timeout_total" }, { out.b, out.a.kind })
  end)

  it("of a model is one call, which goes on for the others #concurrency", function()
    local model = mp.ChatOpenAI { base_url = server:with { gap = 5 } }
    local map = mp.RunnableParallel { a = breaking(1, 1), b = mp.RunnablePassthrough() }
    local out = mp.pipe(model, mp.StrOutputParser(), map)
      :stream("a b c d", { on_error = "collect" }):collect()
    assert.equal("a b c d", out.b)
    assert.same({ 1, 1 }, { server:stats().requests, server:stats().completed })
  end)

  it("ends when the stream of its readers is closed #concurrency", function()
    local model = mp.ChatOpenAI { base_url = server:with { gap = "60s" } }
    local map = { a = mp.RunnablePassthrough(), b = mp.RunnablePassthrough() }
    local stream = mp.pipe(model, mp.StrOutputParser(), map):stream "a b"
    assert.equal("a ", stream:next().a)
    stream:close()
    local stats = server:wait(function(stats) return stats.in_flight == 0 end)
    assert.equal(1, stats.aborted)
  end)

  it("is blamed for its own failure, not its readers #concurrency", function()
    local broken = mp.RunnableGenerator(function(_, emit)
      emit "a"
      mp.sleep(0)
      error("cut", 0)
    end, { name = "broken" })
    local chain = mp.pipe(broken, { a = mp.RunnablePassthrough(), b = mp.RunnablePassthrough() })
    local err = helper.failure(function() chain:stream(1, { on_error = "collect" }):collect() end)
    assert.same({ "cut", "step 1 of 2 broken" }, { err.message, err.path })
  end)
end)
