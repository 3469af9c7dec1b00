local calls = require "spec.support.calls"
local child = require "spec.support.child"
local helper = require "spec.helper"
local log = require "moonpipe.log"
local mp = require "moonpipe"
local server = require("spec.support.server").use()

local lanes = 0

-- A model with [cache], and how often its server was asked.
local function model(cache, scripts, opts)
  lanes = lanes + 1
  local name = "cache-" .. lanes
  local all = { base_url = server:lane(name, scripts), cache = cache, max_retries = 0 }
  for key, value in pairs(opts or {}) do all[key] = value end
  return mp.ChatOpenAI(all), function()
    local lane = server:stats().lanes[name]
    return lane and lane.requests or 0
  end
end

-- What is told in the log while fn runs.
local function warnings(fn)
  local told = {}
  log.sink = function(_, text)
    told[#told + 1] = text
    return true
  end
  local ok, err = pcall(fn)
  log.sink = nil
  assert(ok, err)
  return table.concat(told, "\n")
end

for _, kind in ipairs { "InMemoryCache", "SQLiteCache" } do
  describe(kind, function()
    local function make(opts)
      opts = opts or {}
      if kind == "SQLiteCache" then opts.path = helper.fresh() end
      return mp[kind](opts)
    end

    it("gives an answer again, in whole and in streams", function()
      local m, asked = model(make(), { answer = "one two" })
      local first = m:invoke "hi"
      local again = m:invoke "hi"
      assert.same({ "one two", "one two", 1 }, { first.content, again.content, asked() })
      assert.is_nil(first.response_metadata.from_cache)
      assert.is_true(again.response_metadata.from_cache)
      assert.same({ first.id, first.usage_metadata }, { again.id, again.usage_metadata })
      assert.equal("one two", m:stream("hi"):collect().content)
      assert.equal(1, asked())
    end)

    it("keeps what was streamed", function()
      local m, asked = model(make(), { token = { "a", "b", "c" } })
      local texts = {}
      for chunk in m:stream "hi" do texts[#texts + 1] = chunk.content end
      assert.same({ "a", "b", "c", "" }, texts)
      assert.equal("abc", m:invoke("hi").content)
      assert.equal(1, asked())
    end)

    it("tells apart what would be asked otherwise", function()
      local cache = make()
      local m, asked = model(cache)
      m:invoke "hi"
      m:invoke "ho"
      m:bind({ temperature = 0 }):invoke "hi"
      model(cache, nil, { base_url = server:lane "other" }):invoke "hi"
      assert.equal(3, asked())
      m:bind({ temperature = 0 }):invoke "hi"
      assert.equal(3, asked())
    end)

    it("keeps no failure, and no stream that was left", function()
      local m, asked = model(make(), { "status=400", default = "tokens=500; gap=2" })
      assert.is_nil((m:try_invoke "hi"))
      local stream = m:stream "hi"
      stream()
      stream:close()
      m:invoke "hi"
      assert.equal(3, asked())
    end)

    it("asks once for equal calls in flight", function()
      local m, asked = model(make(), { delay = 50, answer = "x" })
      local got = mp.RunnableParallel { a = m, b = m, c = m:pipe(mp.StrOutputParser()) }:invoke "hi"
      assert.same({ "x", "x", "x", 1 }, { got.a.content, got.b.content, got.c, asked() })
    end)

    it("gives a stream that waits for another its answer", function()
      local m, asked = model(make(), { gap = 5, token = { "a", "b" } })
      helper.run(function()
        local left, right = m:stream "hi", m:stream "hi"
        assert.equal("a", left().content)
        assert.equal("ab", right:collect().content) -- although nobody reads on
        assert.equal("b", left:collect().content)
      end)
      assert.equal(1, asked())
    end)

    it("lets a failure be that of all who waited for it", function()
      local m, asked = model(make(), { "delay=50; status=400", default = "answer=ok" })
      local got = mp.RunnableParallel { a = m, b = m }
        :invoke("hi", { on_error = "collect" })
      assert.same({ "refused_request", "refused_request", 1 }, { got.a.kind, got.b.kind, asked() })
      assert.equal("ok", m:invoke("hi").content)
    end)

    it("asks anew where the call that was waited for is cancelled", function()
      local m, asked = model(make(), { "never", default = "answer=ok" })
      helper.run(function()
        local first = m:start "hi"
        calls.wait(server, function(stats) return stats.requests >= 1 end)
        local second = m:start "hi"
        mp.sleep(0.02)
        first:cancel()
        assert.equal("ok", assert(second:wait()).content)
      end)
      assert.equal(2, asked())
    end)
  end)
end

describe("a cache in memory", function()
  it("forgets what was not used for longest", function()
    local cache = mp.InMemoryCache { max_entries = 2 }
    cache:store("a", "1")
    cache:store("b", "2")
    cache:lookup "a"
    cache:store("c", "3")
    assert.same({ "1", nil, "3" }, { cache:lookup "a", cache:lookup "b", cache:lookup "c" })
    cache:store("c", "4")
    assert.same({ "4", 2 }, { cache:lookup "c", cache.count })
    cache:drop "a"
    assert.is_nil(cache:lookup "a")
    cache:clear()
    assert.same({ 0, nil }, { cache.count, cache:lookup "c" })
  end)

  it("forgets what is old", function()
    local cache = mp.InMemoryCache { ttl = 0.02 }
    cache:store("a", "1")
    assert.equal("1", cache:lookup "a")
    mp.sleep(0.03)
    assert.is_nil(cache:lookup "a")
  end)
end)

describe("a cache in a file", function()
  it("is there for the next program, and for its owner alone", function()
    local path = helper.fresh()
    local text = ([[
      local mp = require "moonpipe"
      local m = mp.ChatOpenAI { base_url = %q, cache = mp.SQLiteCache { path = %q } }
      print(m:invoke("hi").content)
    ]]):format(server:lane("file", { answer = "kept" }), path)
    assert.equal("kept", child.run({}, text))
    assert.equal("kept", child.run({}, text))
    assert.equal(1, server:stats().lanes.file.requests)
    local pipe = io.popen("stat -c %a " .. path)
    assert.equal("600\n", pipe:read "*a")
    pipe:close()
  end)

  it("gives nothing that is old", function()
    local cache = mp.SQLiteCache { path = helper.fresh(), ttl = 1 }
    cache:store("a", "1")
    assert.equal("1", cache:lookup "a")
    cache.file:run "UPDATE llm_cache SET made_at = made_at - 2"
    assert.is_nil(cache:lookup "a")
    cache:clear()
    assert.equal(0, #cache.file:rows "SELECT * FROM llm_cache")
  end)

  it("drops what is damaged, and asks anew", function()
    local cache = mp.SQLiteCache { path = helper.fresh() }
    local m, asked = model(cache, { answer = "x" })
    m:invoke "hi"
    cache.file:run "UPDATE llm_cache SET answer = '{\"type\":'"
    local answer
    local told = warnings(function() answer = m:invoke "hi" end)
    assert.same({ "x", 2 }, { answer.content, asked() })
    assert.truthy(told:find("an answer in SQLiteCache cannot be read", 1, true))
    assert.is_true(m:invoke("hi").response_metadata.from_cache)
  end)

  it("that cannot be used costs nothing but the call", function()
    local m = model(mp.SQLiteCache { path = "/nowhere/at/all.db" }, { answer = "x" })
    local answer
    local told = warnings(function() answer = m:invoke "hi" end)
    assert.equal("x", answer.content)
    assert.truthy(told:find("SQLiteCache: lookup failed", 1, true))
    assert.equal(1, select(2, told:gsub("failed:", "")))
    assert.equal("", warnings(function() m:invoke "once more" end))
  end)
end)

describe("the cache of all models", function()
  it("serves those that have none of their own, and may be refused", function()
    finally(function() mp.set_llm_cache(nil) end)
    mp.set_llm_cache(mp.InMemoryCache())
    local m, asked = model()
    m:invoke "hi"
    m:invoke "hi"
    assert.equal(1, asked())
    local without, count = model(false)
    without:invoke "hi"
    without:invoke "hi"
    assert.equal(2, count())
  end)

  it("is refused where it is none", function()
    helper.raises("set_llm_cache takes a cache, got the number 1", mp.set_llm_cache, 1)
    helper.raises("cache of ChatOpenAI must be a cache or false, got a string", model, "x")
    helper.raises("max_entries of InMemoryCache must be a whole number more than 0",
      mp.InMemoryCache, { max_entries = 0 })
    helper.raises("ttl of InMemoryCache must be seconds, more than 0", mp.InMemoryCache, { ttl = -1 })
    helper.raises("SQLiteCache needs the path of a file", mp.SQLiteCache, {})
  end)
end)
