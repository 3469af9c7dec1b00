local cjson = require "cjson"
local helper = require "spec.helper"
local mp = require "moonpipe"
local server = require("spec.support.server").use()

local function embeddings(base_url, opts)
  opts = opts or {}
  opts.base_url, opts.dimensions = base_url or server.base_url, 4
  opts.max_retries = opts.max_retries or 0
  return mp.OpenAIEmbeddings(opts)
end

local function asking(e)
  return mp.RunnableLambda(function(text) return e:embed_query(text):totable() end)
end

-- The texts of each request that the server saw, those of the longest first.
local function inputs()
  local list = {}
  for i, request in ipairs(server:requests()) do list[i] = cjson.decode(request.body).input end
  table.sort(list, function(a, b) return #a > #b end)
  return list
end

local function texts_of(count)
  local texts = {}
  for i = 1, count do texts[i] = "text " .. i end
  return texts
end

describe("embed_query", function()
  it("goes out as one request for all that ask at once, each with its own vector", function()
    local e, texts = embeddings(), texts_of(20)
    local rows = asking(e):batch(texts)
    assert.same({ texts }, inputs())
    local whole = e:embed_documents(texts)
    for i = 1, #texts do assert.same(whole:row(i):totable(), rows[i]) end
  end)

  it("asks for equal texts once", function()
    local rows = asking(embeddings()):batch({ "a", "b", "a" })
    assert.same({ { "a", "b" } }, inputs())
    assert.same(rows[1], rows[3])
    assert.is_not.same(rows[1], rows[2])
  end)

  it("keeps to the texts of a request", function()
    asking(embeddings(nil, { chunk_size = 8 })):batch(texts_of(20))
    local sizes = {}
    for i, list in ipairs(inputs()) do sizes[i] = #list end
    assert.same({ 8, 8, 4 }, sizes)
  end)

  it("keeps to the bytes of a request", function()
    local long = ("x"):rep(500 * 1024)
    asking(embeddings()):batch({ long, long .. "y", "a" })
    assert.equal(2, server:stats().requests)
  end)

  it("does not wait for those who ask later", function()
    local e = embeddings(server:with { delay = 30 })
    mp.RunnableParallel {
      first = function() return e:embed_query("a"):totable() end,
      second = function()
        mp.sleep(0.005)
        return e:embed_query("b"):totable()
      end,
    }:invoke(1)
    assert.equal(2, server:stats().requests)
  end)

  it("is not shared by two embeddings, nor by runs with limits of their own", function()
    local one, other = embeddings(), embeddings()
    mp.RunnableParallel {
      a = function() return one:embed_query("a"):totable() end,
      b = function() return other:embed_query("b"):totable() end,
      c = function()
        return asking(one):invoke("c", { max_concurrency = 1 })
      end,
    }:invoke(1)
    assert.equal(3, server:stats().requests)
  end)

  it("takes one slot of its run", function()
    asking(embeddings()):batch(texts_of(6), { max_concurrency = 1 })
    -- four items under way for each slot
    assert.same({ 4, 2 }, { #inputs()[1], #inputs()[2] })
    assert.equal(1, server:stats().peak)
  end)
end)

describe("embed_query: a failure", function()
  it("is that of each who asked", function()
    local e = embeddings(server:with { status = 503 })
    local errs = asking(e):batch({ "a", "b", "c" }, { return_exceptions = true })
    assert.equal(1, server:stats().requests)
    for i = 1, 3 do
      assert.same({ "http", 503 }, { errs[i].kind, errs[i].status })
      assert.truthy(tostring(errs[i]):find(("batch[%d]"):format(i), 1, true))
    end
  end)

  it("is retried once for all", function()
    local url = server:lane("again", { { status = 503, header = "retry-after-ms: 5" } })
    assert.equal(3, #asking(embeddings(url, { max_retries = 1 })):batch({ "a", "b", "c" }))
    assert.equal(2, server:stats().lanes.again.requests)
  end)

  it("is repeated within the budget of the server, whoever repeats", function()
    local e = embeddings(server:lane("storm", { default = "status=503" }))
    local retrying = asking(e):with_retry { stop_after_attempt = 4,
      wait_exponential_jitter = false }
    retrying:batch(texts_of(100), { return_exceptions = true })
    local count = server:stats().lanes.storm.requests
    assert.is_true(count > 1 and count <= 8, count .. " requests")
  end)

  it("that one text may be the reason of is asked about one by one", function()
    local url = server:lane("one", { { status = 400 }, default = "status=200" })
    assert.equal(3, #asking(embeddings(url)):batch({ "a", "b", "c" }))
    assert.equal(4, server:stats().lanes.one.requests)
  end)

  it("of one who asks alone is asked about once", function()
    local e = embeddings(server:with { status = 400 })
    assert.equal("refused_request", helper.failure(e.embed_query, e, "a").kind)
    assert.equal(1, server:stats().requests)
  end)
end)

describe("embed_query: a cancel", function()
  local function begin(e, count)
    local tasks = {}
    for i = 1, count do tasks[i] = asking(e):start("text " .. i) end
    return tasks
  end

  local function until_seen(count)
    mp.RunnableLambda(function()
      for _ = 1, 500 do
        mp.sleep(0.01)
        if server:stats().in_flight >= count then return end
      end
      error("no request came")
    end):invoke(1)
  end

  it("of one who asks leaves the others their request", function()
    local e = embeddings(server:lane("held", { "hold" }))
    local tasks = begin(e, 3)
    until_seen(1)
    tasks[2]:cancel()
    local _, err = tasks[2]:wait(5)
    assert.equal("cancelled", err.kind)
    server:release("held")
    assert.equal(4, #tasks[1]:wait(5))
    assert.equal(4, #tasks[3]:wait(5))
    local stats = server:stats()
    assert.same({ 1, 0 }, { stats.requests, stats.aborted })
  end)

  it("of all who ask ends the request", function()
    local tasks = begin(embeddings(server:with "never"), 3)
    until_seen(1)
    for _, task in ipairs(tasks) do task:cancel() end
    for _, task in ipairs(tasks) do
      local _, err = task:wait(5)
      assert.equal("cancelled", err.kind)
    end
    server:wait(function(stats) return stats.aborted == 1 and stats.in_flight == 0 end)
  end)

  it("before the request goes out sends none", function()
    local e = embeddings()
    local map = mp.RunnableParallel {
      a = function() return e:embed_query("a") end,
      b = function() error("no", 0) end,
    }
    helper.raises("no", map.invoke, map, 1)
    assert.equal(0, server:stats().requests)
  end)

  it("by a time limit is that of the one alone", function()
    local e = embeddings(server:lane("late", { "hold" }))
    local slow = asking(e):start("a")
    local quick = asking(e):start("b", { timeout = 0.05 })
    local _, err = quick:wait(5)
    assert.equal("timeout_total", err.kind)
    server:release("late")
    assert.equal(4, #slow:wait(5))
    assert.equal(1, server:stats().requests)
  end)
end)

describe("embed_query in a trace", function()
  local it = helper.with_vectors(it)

  it("says of a retriever with how many it was embedded together", function()
    local e = embeddings()
    local store = mp.FAISS.from_texts({ "a", "b" }, { embedding = e })
    local find, told = store:as_retriever(), {}
    find:batch({ "x", "y", "z" }, { callbacks = { { on_retriever_end = function(run)
      told[#told + 1] = run.metadata.embedded_together
    end } }, metadata = { mine = 1 } })
    assert.same({ 3, 3, 3 }, told)
  end)

  it("says of searches, too, how many were done as one", function()
    local texts, told = {}, {}
    for i = 1, 1000 do texts[i] = "text " .. i end
    local store = mp.FAISS.from_texts(texts, { embedding = mp.HashEmbeddings() })
    local find = store:as_retriever()
    find:batch({ unpack(texts, 1, 200) }, { callbacks = { { on_retriever_end = function(run)
      told[#told + 1] = run.metadata.searched_together
    end } } })
    table.sort(told)
    assert.equal(200, #told)
    assert.is_true(told[1] >= 1 and told[200] > 1 and told[200] <= 200)
  end)

  it("says so in a timeline and a log", function()
    local store = mp.FAISS.from_texts({ "a", "b" }, { embedding = embeddings() })
    local find, path, log = store:as_retriever(), helper.temp(), helper.temp()
    local map = mp.RunnableParallel { one = find, two = find }
    local file = assert(io.open(path, "w"))
    map:invoke("x", { callbacks = { mp.TimelineTracer(file), mp.RunLog(log) } })
    file:close()
    assert.truthy(helper.read(path):find("one: VectorStoreRetriever[^\n]*2 embedded together"))
    assert.truthy(helper.read(log):find('"embedded_together":2', 1, true))
  end)
end)

describe("embed_query, asked and left at random", function()
  it("gives each its own vector, or what ended it, and leaves nothing behind", function()
    local e = embeddings(server:with { delay = 3 }, { chunk_size = 5 })
    local texts = texts_of(12)
    local whole, right = e:embed_documents(texts), {}
    for i, text in ipairs(texts) do right[text] = whole:row(i):totable() end
    local seed, answered = os.time(), 0
    math.randomseed(seed)
    local tasks = {}
    for i = 1, helper.long and 3000 or 200 do
      local text, pause, limit = texts[math.random(#texts)], math.random() * 0.03, nil
      if math.random(3) == 1 then limit = math.random() * 0.03 end
      local step = mp.RunnableLambda(function()
        mp.sleep(pause)
        return e:embed_query(text):totable()
      end)
      tasks[i] = { text = text, task = step:start(1, { timeout = limit }) }
      if math.random(4) == 1 then
        local victim = tasks[math.random(i)].task
        victim:cancel()
      end
    end
    for _, one in ipairs(tasks) do
      local value, err = one.task:wait(10)
      if err then
        assert.truthy(err.kind == "cancelled" or err.kind == "timeout_total",
          ("seed %d: %s"):format(seed, tostring(err)))
      else
        answered = answered + 1
        assert.same(right[one.text], value, "seed " .. seed)
      end
    end
    assert.is_true(answered > 0, "seed " .. seed)
    server:wait(function(stats) return stats.in_flight == 0 end)
  end)
end)
