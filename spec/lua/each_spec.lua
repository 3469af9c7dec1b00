local helper = require "spec.helper"
local mp = require "moonpipe"
local steps = require "spec.support.steps"

local read = steps.chunks_of

-- Gives its input letter by letter, each after a turn of the others.
local letters = mp.RunnableGenerator(function(chunks, emit)
  for c in chunks do
    for letter in c:gmatch "." do
      emit(letter)
      mp.sleep(0)
    end
  end
end)

local function emitting(...)
  local list = { ... }
  return mp.RunnableGenerator(function(_, emit)
    for _, value in ipairs(list) do emit(value) end
  end)
end

local function double(x)
  if x == "bad" then error("bad item", 0) end
  return x * 2
end

local doubling = mp.RunnableLambda(double):map()

-- Waits for ever, but for the inputs "bad" and 0.
local function patient(note)
  return mp.RunnableLambda(function(x)
    if x == "bad" then error("bad item", 0) end
    if x == 0 then return 0 end
    if not pcall(mp.sleep, 10) then note() end
  end):map()
end

describe("each", function()
  it("gives a list for a list, in its order", function()
    assert.same({ 2, 4, 6, n = 3 }, doubling:invoke { 1, 2, 3 })
    local slow = mp.RunnableLambda(function(x) mp.sleep(x / 1000) return x end):map()
    assert.same({ 3, 1, 2, n = 3 }, slow:invoke { 3, 1, 2 })
  end)

  it("gives an empty list for one", function()
    assert.same({ n = 0 }, doubling:invoke {})
    assert.same({ n = 0 }, doubling:invoke(mp.array {}))
    assert.same({ { n = 0 } }, read(doubling:stream {}))
  end)

  it("counts items and answers that are nil", function()
    local known = mp.RunnableLambda(function(x) return x and x * 2 end):map()
    assert.same({ 2, nil, 6, n = 3 }, known:invoke { 1, nil, 3, n = 3 })
    assert.same({ 2, nil, 6, n = 3 }, known:stream({ 1, nil, 3, n = 3 }):collect())
  end)

  it("runs its items at the same time #concurrency", function()
    local under, peak = 0, 0
    mp.RunnableLambda(function()
      under = under + 1
      peak = math.max(peak, under)
      mp.sleep(0)
      under = under - 1
    end):map():invoke { 1, 2, 3, 4 }
    assert.equal(4, peak)
  end)

  it("runs in place what never waits", function()
    local picked = mp.itemgetter("a"):map()
    assert.is_true(picked.sync)
    assert.same({ 1, 2, n = 2 }, picked:invoke { { a = 1 }, { a = 2 } })
    assert.equal("each[2]", helper.failure(picked.invoke, picked, { { a = 1 }, {} }).path)
  end)

  it("works below itself", function()
    assert.same({ { 2, n = 1 }, { 4, 6, n = 2 }, n = 2 }, doubling:map():invoke { { 1 }, { 2, 3 } })
  end)

  it("has a step of a chain for its items", function()
    local chain = mp.pipe({ a = mp.const(1), b = mp.RunnablePassthrough() }, mp.itemgetter("b", "a"), doubling)
    assert.same({ 10, 2, n = 2 }, chain:invoke(5))
  end)

  it("cancels the others where an item fails, and says what became of them #concurrency", function()
    local stopped = 0
    local each = patient(function() stopped = stopped + 1 end)
    local err = helper.failure(each.invoke, each, { 0, 1, "bad", 2 })
    assert.equal("each[3]", err.path)
    assert.equal("bad item", err.message)
    assert.matches("each_spec.lua:%d+$", err.where)
    assert.same({ "done", "cancelled", nil, "not started" }, err.siblings)
    assert.equal(1, stopped)
  end)

  it("lets the others end with on_error = wait", function()
    local ended = 0
    local each = mp.RunnableLambda(function(x)
      if x == 1 then error("one", 0) end
      mp.sleep(0)
      ended = ended + 1
      if x == 3 then error("three", 0) end
    end):map()
    local err = helper.failure(each.invoke, each, { 1, 2, 3 }, { on_error = "wait" })
    assert.equal("one", err.message)
    assert.equal(2, ended)
    assert.equal("three", err.siblings[3].message)
    ended = 0
    local streamed = helper.failure(read, each:stream({ 1, 2, 3 }, { on_error = "wait" }))
    assert.equal("each[1]", streamed.path)
    assert.equal(2, ended)
  end)

  it("leaves the error in the slot with return_exceptions, or on_error = collect", function()
    local each = mp.RunnableLambda(double):map({ return_exceptions = true })
    local out = each:invoke { 1, "bad", 3 }
    assert.same({ 2, 6 }, { out[1], out[3] })
    assert.equal("each[2]", out[2].path)
    assert.equal("bad item", doubling:invoke({ "bad" }, { on_error = "collect" })[1].message)
    local streamed = each:stream({ 1, "bad" }):collect()
    assert.equal(2, streamed[1])
    assert.equal("each[2]", streamed[2].path)
  end)

  it("says what ran when it is ended from outside #concurrency", function()
    local each = mp.RunnableLambda(function(x) if x > 0 then mp.sleep(x) end return x end, { name = "sleep" }):map()
    for how, way in pairs {
      invoke = function(list) return each:invoke(list, { timeout = 0.02 }) end,
      stream = function(list) return each:stream(list, { timeout = 0.02 }):collect() end,
    } do
      local err = helper.failure(way, { 0, 60 })
      assert.same({ "timeout_total", "each[2]", "done" }, { err.kind, err.path, err.siblings[1] }, how)
      err = helper.failure(way, { 60, 0, 60 })
      assert.same({ "timeout_total", "done", "timeout_total", "timeout_total" },
        { err.kind, err.siblings[2], err.siblings[1].kind, err.siblings[3].kind }, how)
    end
  end)

  it("takes only lists", function()
    assert.matches("^RunnableEach<function .*> takes a list, got a table with keys {a}$",
      helper.input_failure(doubling.invoke, doubling, { a = 1 }))
    assert.matches("got a string$", helper.input_failure(read, doubling:stream "abc"))
    assert.matches("got an? .*Message", helper.input_failure(doubling.invoke, doubling, mp.HumanMessage "x"))
    helper.raises("takes a list, not a table with keys {a}", mp.pipe, { a = double }, doubling)
    helper.raises("RunnableEach: a string is not a step", mp.RunnableEach, "x")
    helper.raises("unknown option 'n' of RunnableEach", mp.RunnableEach, double, { n = 1 })
  end)

  it("hands bound arguments on", function()
    local told = mp.RunnableLambda(function(_, config) return config.kwargs.k end):map()
    assert.same({ "v", n = 1 }, told:bind({ k = "v" }):invoke { 1 })
    helper.raises("takes bound arguments", function() return doubling:bind { k = 1 } end)
  end)

  it("keeps to the run's window of items", function()
    local under, peak = 0, 0
    mp.RunnableLambda(function()
      under = under + 1
      peak = math.max(peak, under)
      mp.sleep(0)
      under = under - 1
    end):map():invoke({ 1, 2, 3, 4, 5, 6, 7, 8, 9 }, { max_concurrency = 1 })
    assert.equal(4, peak)
  end)

  it("is shown as it is written", function()
    assert.equal("RunnablePassthrough:map()", tostring(mp.RunnablePassthrough():map()))
    assert.equal("(pick \"a\" | pick \"b\"):map()", tostring(mp.pipe(mp.RunnablePick "a", mp.RunnablePick "b"):map()))
    assert.equal("RunnableEach<RunnablePick<a>>", mp.RunnablePick("a"):map():get_name())
  end)
end)

describe("stream of each", function()
  it("gives one key a chunk as they come, and the end of each item #concurrency", function()
    local seen = {}
    for c in letters:map():stream { "ab", "xyz" } do
      local key = mp.finished(c)
      seen[#seen + 1] = key and "end " .. key or (c[1] or "") .. "|" .. (c[2] or "")
      if not key then assert.equal(2, c.n) end
    end
    assert.same({ "a|", "|x", "b|", "|y", "end 1", "|z", "end 2" }, seen)
  end)

  it("adds up to what invoke gives", function()
    assert.same({ "ab", "xyz", n = 2 }, letters:map():stream({ "ab", "xyz" }):collect())
    assert.same({ "ab", "", n = 2 }, mp.map_chunks(function(x) return x end):map():stream({ "ab", "" }):collect())
  end)

  it("begins items as lists come", function()
    local order = {}
    local source = mp.RunnableGenerator(function(_, emit)
      for i = 1, 2 do
        order[#order + 1] = "made " .. i
        emit { i }
      end
    end)
    for c in mp.pipe(source, doubling):stream(1) do
      if not mp.finished(c) then order[#order + 1] = "got " .. (c[1] or c[2]) end
    end
    assert.same({ "made 1", "got 2", "made 2", "got 4" }, order)
    assert.same({ 2, 4, n = 2 }, mp.pipe(source, doubling):invoke(1))
  end)

  it("runs the items of a list parser while the model still speaks", function()
    local model = mp.GenericFakeChatModel { messages = { "a, b, c", "a, b, c" } }
    local chain = mp.pipe(model, mp.CommaSeparatedListOutputParser(), mp.RunnableLambda(string.upper):map())
    assert.same({ "A", "B", "C", n = 3 }, chain:stream("x"):collect())
    assert.same({ "A", "B", "C", n = 3 }, chain:invoke "x")
  end)

  it("reads no more lists than its window of items takes #concurrency", function()
    local made, under, peak = 0, 0, 0
    local source = function()
      made = made + 1
      return made <= 100 and { made, made } or nil
    end
    local busy = mp.RunnableLambda(function(x)
      under = under + 1
      peak = math.max(peak, under)
      mp.sleep(0)
      under = under - 1
      return x
    end):map()
    local stream = busy:transform(source, { max_concurrency = 2 }) -- eight items
    assert.equal(1, stream()[1])
    mp.sleep(0.002)
    assert.is_true(made <= 6, made)
    assert.equal(200, stream:collect().n)
    assert.is_true(peak <= 8, peak)
    peak = 0
    assert.equal(20, busy:stream({ 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20 },
      { max_concurrency = 1 }):collect().n)
    assert.equal(4, peak)
  end)

  it("is endless if its source is", function()
    local made, before = 0, nil
    local stream = doubling:transform(function()
      made = made + 1
      return { made }
    end)
    local count = helper.long and 1000000 or 20000
    for i = 1, count do
      stream()
      if i == count / 2 then
        collectgarbage()
        before = collectgarbage("count")
      end
    end
    collectgarbage()
    local more = collectgarbage("count") - before -- KiB; what is compiled meanwhile counts, too
    assert.is_true(more < math.max(300, count / 500), more)
    stream:close()
  end)

  it("waits for the whole of a list whose items come in pieces", function()
    local source = mp.RunnableParallel { emitting("a", "b"), emitting("c") }
    assert.same({ "AB", "C", n = 2 }, mp.pipe(source, mp.RunnableLambda(string.upper):map()):stream(1):collect())
  end)

  it("gives nothing for nothing", function()
    assert.same({}, read(mp.pipe(emitting(), doubling):stream(1)))
    assert.same({ { n = 0 } }, read(mp.pipe(emitting(mp.array {}), doubling):stream(1)))
  end)

  it("tells how many there are where the last ones say nothing", function()
    local quiet = mp.RunnableLambda(function(x) if x < 2 then return x end end):map()
    assert.same({ 1, n = 3 }, mp.pipe(emitting({ 1 }, { 2, 3 }), quiet):stream(1):collect())
  end)

  it("ends with the failure of an item", function()
    local err = helper.failure(read, mp.pipe(emitting({ 1, "bad", 3 }), doubling):stream(1))
    assert.matches("^step 2 of 2 RunnableEach.* > each%[2%]$", err.path)
    assert.same({ "cancelled", nil, "not started" }, err.siblings)
  end)

  it("says of items that did not begin that they did not", function()
    local err = helper.failure(read, doubling:stream { "bad", 2 })
    assert.same({ "each[1]", "not started" }, { err.path, err.siblings[2] })
  end)

  it("ends with the failure of its source, which is no item's #concurrency", function()
    local stopped = 0
    local source = mp.RunnableGenerator(function(_, emit)
      emit { 1, 2 }
      mp.sleep(0.001)
      error("no more", 0)
    end, { name = "source" })
    local err = helper.failure(read, mp.pipe(source, patient(function() stopped = stopped + 1 end)):stream(1))
    assert.equal("step 1 of 2 source", err.path)
    assert.equal(2, stopped)
  end)

  it("refuses a stream of what is no list", function()
    helper.raises("takes a list, got a string", read, mp.pipe(emitting("a"), doubling):stream(1))
    helper.raises("takes a list, got a string", read, mp.pipe(emitting({ 1 }, "a"), doubling):stream(1))
  end)

  it("cancels its items where it is closed #concurrency", function()
    local stopped = 0
    local stream = patient(function() stopped = stopped + 1 end):stream { 0, 1, 2 }
    stream()
    stream:close()
    mp.sleep(0.001)
    assert.equal(2, stopped)
  end)
end)
