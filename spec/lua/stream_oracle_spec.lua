-- Random chains: what a stream adds up to is what the chain gives when it is invoked.
local chunk = require "moonpipe.chunk"
local mp = require "moonpipe"

local CHAINS, DEPTH = 200, 4
local JSON = '{"a": "xy", "b": [1, {"k": "v"}, "s"], "c": {"d": "z", "n": 12}, "e": false}'

local state = 1 -- of a generator of its own: the same chains everywhere

local function random(n)
  state = state * 16807 % 2147483647
  return state % n + 1
end

-- Streams a text that its whole input names, now and then after a turn of the others.
local letters = mp.RunnableGenerator(function(chunks, emit)
  local input = chunk.collect(chunks)
  local text = type(input) == "table" and input.a or input
  text = type(text) == "string" and text or "other"
  for letter in text:gmatch "." do
    if random(3) == 1 then mp.sleep(0) end
    emit(letter)
  end
end, { name = "letters" })

local text_of_json = mp.RunnableGenerator(function(chunks, emit)
  chunk.collect(chunks)
  for piece in JSON:gmatch "..?" do emit(piece) end
end, { name = "text" })

local json = mp.pipe(text_of_json, mp.JsonOutputParser())

local function same(x) return x end

local any -- makes a step that takes anything

local TABLES = { -- make steps that give tables
  function() return json end,
  function(d) return mp.RunnableParallel { a = any(d), b = any(d) } end,
  function(d, t) return t(d):assign { c = any(d) } end,
  function(d, t)
    return t(d):assign({ c = any(d), f = mp.RunnablePick "c" }, { after = { f = "c" } })
  end,
  function(d, t) return mp.pipe(t(d), mp.RunnablePassthrough(same)) end,
  function(d, t)
    local has_a = function(x) return x.a ~= nil end
    return mp.pipe(t(d), mp.RunnableBranch({ has_a, mp.RunnablePassthrough() }, mp.const { a = "x" }))
  end,
  function(d, t) return mp.pipe(t(d), { a = any(d), b = mp.RunnablePick "b" }) end,
}

local function tables(depth)
  return TABLES[depth > 0 and random(#TABLES) or 1](depth - 1, tables)
end

local STEPS = {
  function() return letters end,
  tables, tables,
  function(d) return tables(d):pick(({ "a", "b", "c" })[random(3)]) end,
  function(d) return tables(d):pick { "a", "c" } end,
  function(d) return any(d):with_retry() end,
  function(d) return any(d):with_timeout { total = 60 } end,
  function(d) return any(d):with_hedge { after = 60 } end,
  function(d) return any(d):with_fallbacks { mp.const(1) } end,
  function() return mp.pipe(json, mp.RunnablePick "b", mp.RunnableLambda(same):map()) end,
  function(d)
    local router = mp.RouterRunnable { k = any(d) }
    return mp.pipe({ key = mp.const "k", input = mp.RunnablePassthrough() }, router)
  end,
  function(d) return mp.RunnableParallel { any(d), any(d) } end,
  function(d) return mp.pipe(any(d), function() return mp.RunnablePassthrough() end) end,
}

function any(depth)
  return STEPS[depth > 0 and random(#STEPS) or 1](depth - 1)
end

describe("a stream", function()
  it("adds up to what the chain gives when it is invoked", function()
    for i = 1, CHAINS do
      state = i * 7919
      local chain = any(DEPTH)
      local expected, err = chain:try_invoke "hello"
      local ok, streamed = pcall(function() return chain:stream("hello"):collect() end)
      assert.equal(err == nil, ok, tostring(chain))
      if ok then assert.same(expected, streamed, tostring(chain)) end
    end
  end)
end)
