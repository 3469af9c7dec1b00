local helper = require "spec.helper"
local mp = require "moonpipe"

local function worker()
  return mp.RunnableLambda(function(x)
    if x == "bad" then error("bad item", 0) end
    mp.sleep(x / 1000)
    return x * 10
  end)
end

describe("batch", function()
  it("gives results by index, whatever ends first #concurrency", function()
    assert.same({ 300, 10, 200, n = 3 }, worker():batch { 30, 1, 20 })
  end)

  it("has no barrier between steps #concurrency", function()
    local order, through = {}, false
    local function first(x)
      while x == 2 and not through do mp.sleep(0.001) end -- for ever, behind a barrier
      order[#order + 1] = "a" .. x
      return x
    end
    local function second(x)
      order[#order + 1] = "b" .. x
      through = true
      return x
    end
    mp.pipe(first, second):batch({ 2, 1 }, { timeout = 20 })
    assert.same({ "a1", "b1", "a2", "b2" }, order)
  end)

  it("gives nothing for nothing", function()
    assert.same({ n = 0 }, worker():batch {})
  end)

  it("raises the first failure, naming the item, and cancels the rest", function()
    local begun = 0
    local step = mp.RunnableLambda(function(x)
      begun = begun + 1
      if x == 2 then error("no", 0) end
      mp.sleep(10)
    end)
    local ok, err = pcall(step.batch, step, { 1, 2, 3 })
    assert.is_false(ok)
    assert.equal("batch[2]", err.path)
    assert.equal(2, begun)
  end)

  it("leaves errors in their slots with return_exceptions", function()
    local out = worker():batch({ 1, "bad", 2 }, { return_exceptions = true })
    assert.equal(10, out[1])
    assert.equal("bad item", out[2].message)
    assert.equal("batch[2]", out[2].path)
    assert.equal(20, out[3])
  end)

  it("refuses what is no list", function()
    local step = worker()
    helper.raises("batch takes a list of inputs, or a function that gives them, got a table with "
      .. "keys {n}", step.batch, step, { n = "five" })
    helper.raises("got a string", step.batch, step, "five")
  end)

  it("counts inputs that are nil", function()
    local out = mp.RunnableLambda(function(x) return x == nil end):batch { 1, nil, 3, n = 3 }
    assert.same({ false, true, false, n = 3 }, out)
  end)

  it("takes a config for each input", function()
    local step = mp.RunnableLambda(function(_, config) return config.tags[1] end)
    assert.same({ "a", "b", n = 2 }, step:batch({ 1, 2 }, { { tags = { "a" } }, { tags = { "b" } } }))
    helper.raises("batch got 2 configs for 1 inputs", step.batch, step, { 1 }, { {}, {} })
  end)

  it("gives each item the timeout", function()
    local out = worker():batch({ 1, 10000 }, { timeout = 0.05, return_exceptions = true })
    assert.equal(10, out[1])
    assert.equal("timeout_total", out[2].kind)
  end)

  it("tells its progress", function()
    local seen = {}
    worker():batch({ 1, 2 }, { on_progress = function(ended, all) seen[#seen + 1] = ended .. "/" .. all end })
    assert.same({ "1/2", "2/2" }, seen)
  end)

  it("tells its progress in the task that asked, which may wait #concurrency", function()
    local seen = {}
    worker():batch({ 2, 1, 3 }, { on_progress = function(done)
      mp.sleep(0.001)
      seen[#seen + 1] = done
    end })
    assert.same({ 1, 2, 3 }, seen)
  end)

  it("ends where telling its progress fails", function()
    local step = worker()
    helper.raises("no more", step.batch, step, { 1, 60000 }, {
      on_progress = function() error("no more", 0) end,
    })
  end)

  it("gives a config once, with a timeout too", function()
    local step = mp.RunnableLambda(function(_, config) return #config.callbacks end)
    assert.same({ 1, n = 1 }, step:batch({ 1 }, { callbacks = { {} }, timeout = 10 }))
  end)

  it("refuses inputs that are no list", function()
    local step = worker()
    helper.raises("batch takes a list of inputs, or a function that gives them, got a string",
      step.batch, step, "abc")
  end)
end)

describe("batch of inputs that are read lazily", function()
  local function numbers(n, note)
    local i = 0
    return function()
      i = i + 1
      if note then note(i) end
      if i <= n then return i end
    end
  end

  local double = mp.RunnableLambda(function(x) return x * 2 end)

  it("reads a function until it gives nil", function()
    assert.same({ 2, 4, 6, n = 3 }, double:batch(numbers(3)))
    assert.same({ n = 0 }, double:batch(numbers(0)))
  end)

  it("reads what can be called, such as a stream", function()
    local words = mp.RunnableGenerator(function(_, emit)
      for word in ("a b c"):gmatch "%a" do emit(word) end
    end)
    assert.same({ "A", "B", "C", n = 3 }, mp.RunnableLambda(string.upper):batch(words:stream(1)))
  end)

  it("has under way at most four items for each call that may run #concurrency", function()
    local under, peak, read = 0, 0, 0
    local step = mp.RunnableLambda(function()
      under = under + 1
      peak = math.max(peak, under)
      assert(read <= 12)
      mp.sleep(0)
      under = under - 1
      read = read - 1
    end)
    local out = step:batch(numbers(100, function() read = read + 1 end), { max_concurrency = 2 })
    assert.equal(100, out.n)
    assert.equal(8, peak)
  end)

  it("has under way at most a thousand items where nothing is said #concurrency", function()
    local under, peak = 0, 0
    local step = mp.RunnableLambda(function()
      under = under + 1
      peak = math.max(peak, under)
      mp.sleep(0)
      under = under - 1
    end)
    for _ in step:batch_as_completed(numbers(1500)) do end
    assert.equal(1000, peak)
  end)

  it("reads no more than is asked for", function()
    local read = 0
    local records = double:batch_as_completed(numbers(1e6, function(i) read = i end))
    local i, record = records()
    assert.equal(1, i)
    assert.equal(2, record.value)
    assert.equal(1, read)
  end)

  it("costs no memory for a million items", function()
    local count = helper.sanitized and 50000 or 1000000
    local chain, sum, peak = mp.pipe(double, double), 0, 0
    collectgarbage()
    local before = collectgarbage "count"
    for i, record in chain:batch_as_completed(numbers(count)) do
      sum = sum + record.value
      if i % (count / 10) == 0 then
        collectgarbage() -- what is left is what the batch holds
        peak = math.max(peak, collectgarbage "count")
      end
    end
    assert.equal(4 * count * (count + 1) / 2, sum)
    assert.is_true(peak - before < 1024) -- KiB
  end)

  it("tells its progress, and the number once it is known", function()
    local seen = {}
    double:batch(numbers(2), { on_progress = function(ended, all) seen[#seen + 1] = ended .. "/" .. tostring(all) end })
    assert.same({ "1/nil", "2/nil" }, seen)
    seen = {}
    mp.RunnableLambda(function() mp.sleep(0) end):batch(numbers(2), {
      on_progress = function(ended, all) seen[#seen + 1] = ended .. "/" .. tostring(all) end,
    })
    assert.same({ "1/2", "2/2" }, seen)
  end)

  it("takes a config for each input, and says when there are too few", function()
    local step = mp.RunnableLambda(function(_, config) return config.tags[1] end)
    local configs = { { tags = { "a" } }, { tags = { "b" } } }
    assert.same({ "a", "b", n = 2 }, step:batch(numbers(2), configs))
    helper.raises("batch got 2 configs, and more inputs", step.batch, step, numbers(3), configs)
  end)

  it("leaves errors in their slots with return_exceptions", function()
    local out = mp.RunnableLambda(function(x) if x == 2 then error("two", 0) end return x end)
      :batch(numbers(3), { return_exceptions = true })
    assert.equal("batch[2]", out[2].path)
    assert.equal(3, out[3])
  end)

  it("cancels what runs where reading fails #concurrency", function()
    local stopped = 0
    local step = mp.RunnableLambda(function()
      if not pcall(mp.sleep, 10) then stopped = stopped + 1 end
    end)
    local function broken()
      return numbers(3, function(i) if i == 3 then error("cannot read", 0) end end)
    end
    helper.raises("cannot read", step.batch, step, broken())
    assert.equal(2, stopped)
    helper.raises("cannot read", step:batch_as_completed(broken()))
    mp.sleep(0.001) -- the stream is closed, and its tasks have their turn
    assert.equal(4, stopped)
  end)

  it("may wait for its inputs #concurrency", function()
    local slow = numbers(3)
    assert.same({ 2, 4, 6, n = 3 }, double:batch(function()
      mp.sleep(0.001)
      return slow()
    end))
  end)
end)

describe("batch_as_completed", function()
  it("gives records in the order in which they end #concurrency", function()
    local order = {}
    for i, record in worker():batch_as_completed { 30, 1, "bad" } do
      order[#order + 1] = i .. ":" .. tostring(record.ok) .. ":" .. tostring(record.value)
      assert.equal(i, record.index)
      if not record.ok then assert.equal("batch[3]", record.error.path) end
    end
    assert.same({ "3:false:nil", "2:true:10", "1:true:300" }, order)
  end)

  it("ends its work when its task ends #concurrency", function()
    local stopped = 0
    local step = mp.RunnableLambda(function(x)
      if x == 1 then return x end
      local ok = pcall(mp.sleep, 10)
      if not ok then stopped = stopped + 1 end
    end)
    mp.RunnableLambda(function()
      step:batch_as_completed { 1, 2, 3 }()
    end):start(1):wait(5)
    assert.equal(2, stopped)
  end)
end)

describe("stream", function()
  local function counter()
    return mp.RunnableGenerator(function(_, emit)
      for i = 1, 3 do emit(tostring(i)) end
    end)
  end

  it("iterates, and is closed at its end", function()
    local stream, seen = counter():stream(1), {}
    for c in stream do seen[#seen + 1] = c end
    assert.same({ "1", "2", "3" }, seen)
    assert.equal("stream (closed)", tostring(stream))
    assert.is_nil(stream())
  end)

  it("gives the rest merged", function()
    local stream = counter():stream(1)
    stream()
    assert.equal("23", stream:collect())
  end)

  it("is closed when each is left by an error", function()
    local stream = counter():stream(1)
    helper.raises("enough", stream.each, stream, function() error("enough", 0) end)
    assert.is_nil(stream())
  end)

  it("is cancelled when its task ends #concurrency", function()
    local stopped = false
    local map = mp.RunnableParallel { a = mp.const(1), b = function()
      stopped = not pcall(mp.sleep, 10)
    end }
    mp.RunnableLambda(function() map:stream(1)() end):start(1):wait(5)
    assert.is_true(stopped)
  end)

  it("is cancelled when nobody holds it any more #concurrency", function()
    local stopped = false
    local map = mp.RunnableParallel { a = mp.const(1), b = function()
      stopped = not pcall(mp.sleep, 10)
    end }
    do
      local stream = map:stream(1)
      stream()
    end
    for _ = 1, 100 do
      if stopped then break end
      collectgarbage()
      mp.sleep(0.001)
    end
    assert.is_true(stopped)
  end)

  it("transforms only what gives chunks", function()
    helper.raises("transform takes a function that gives chunks, got an empty table",
      counter().transform, counter(), setmetatable({}, { __metatable = true }))
    helper.raises("transform takes a function that gives chunks, got a string", counter().transform,
      counter(), "x")
  end)
end)
