local helper = require "spec.helper"
local mp = require "moonpipe"

local function double(x)
  return x * 2
end

local function over(limit)
  return function(x) return x > limit end
end

describe("loop", function()
  local loop = mp.loop { body = double, until_ = over(20), max = 10 }

  it("runs the body on its own answer until the condition holds", function()
    assert.equal(24, loop:invoke(3))
  end)

  it("runs the body at least once", function()
    assert.equal(200, loop:invoke(100))
  end)

  it("ends with an error that names it, and the last answer", function()
    local named = mp.loop { body = double, until_ = over(1000), max = 3, name = "grow" }
    local err = helper.failure(named.invoke, named, 1)
    assert.equal("limit", err.kind)
    assert.equal("grow: until_ did not hold within 3 rounds", err.message)
    assert.equal(8, err.partial)
    assert.equal("grow", err.step)
  end)

  it("makes 25 rounds where nothing is said", function()
    local rounds = 0
    local endless = mp.loop { body = function() rounds = rounds + 1 end, until_ = mp.const(false) }
    helper.raises("within 25 rounds", endless.invoke, endless, 1)
    assert.equal(25, rounds)
  end)

  it("takes any steps, and JSON's null for false", function()
    local seen = 0
    local done = mp.loop {
      body = { n = mp.pipe(mp.itemgetter "n", function(n) return n + 1 end), done = function(x)
        seen = seen + 1
        return x.n >= 2 or mp.null
      end },
      until_ = mp.itemgetter "done",
    }
    assert.same({ n = 3, done = true }, done:invoke { n = 0 })
    assert.equal(3, seen)
  end)

  it("gives its answer as one chunk", function()
    local stream = loop:stream(3)
    assert.equal(24, stream())
    assert.is_nil(stream())
  end)

  it("names the round in which its body or its condition failed", function()
    local bad = mp.loop {
      body = function(x) if x > 4 then error("too much", 0) end return x * 2 end,
      until_ = over(1000),
    }
    local err = helper.failure(bad.invoke, bad, 2)
    assert.equal("round 3", err.path)
    assert.matches("loop_until_spec.lua:%d+$", err.where)
    local vague = mp.loop { body = double, until_ = function() error("what?", 0) end }
    assert.equal("condition 1", helper.failure(vague.invoke, vague, 2).path)
  end)

  it("ends when it is cancelled #concurrency", function()
    local rounds = 0
    local slow = mp.loop { body = function() rounds = rounds + 1 mp.sleep(10) end, until_ = over(1) }
    local task = slow:start(1)
    mp.sleep(0)
    task:cancel()
    local _, err = task:wait(5)
    assert.equal("cancelled", err.kind)
    assert.is_true(rounds <= 1)
  end)

  it("refuses options that it cannot be made of", function()
    assert.matches("^body of loop: nil is not a step", helper.said(mp.loop, { until_ = double }))
    assert.matches("^until_ of loop: nil is not a step", helper.said(mp.loop, { body = double }))
    assert.equal("max of loop takes a whole number from 1, got the number 0",
      helper.said(mp.loop, { body = double, until_ = double, max = 0 }))
    assert.equal("max of loop takes a whole number from 1, got the number inf",
      helper.said(mp.loop, { body = double, until_ = double, max = math.huge }))
    assert.equal("name of loop takes a string, got the number 5",
      helper.said(mp.loop, { body = double, until_ = double, name = 5 }))
    helper.raises("unknown option 'till' of loop", mp.loop, { body = double, till = double })
  end)

  it("refuses a body that cannot take what it gives", function()
    local prompt = mp.ChatPromptTemplate.from_template "{question}"
    helper.raises("in a second round of loop: ChatPromptTemplate", mp.loop,
      { body = mp.pipe(prompt, { answer = mp.RunnablePassthrough() }), until_ = over(1) })
  end)

  it("hands bound arguments on", function()
    local told = mp.loop { body = function(_, config) return config.kwargs.k end, until_ = mp.const(true) }
    assert.equal("v", told:bind({ k = "v" }):invoke(1))
    helper.raises("takes bound arguments", function() return loop:bind { k = 1 } end)
  end)
end)

describe("chain", function()
  local letters = mp.RunnableGenerator(function(chunks, emit)
    for c in chunks do for letter in c:gmatch "." do emit(letter) end end
  end)

  it("is a function that may call steps, by its name", function()
    local shout = mp.chain("shout", function(x) return letters:invoke(x):upper() end)
    assert.equal("AB", shout:invoke "ab")
    assert.equal("shout", shout:get_name())
    assert.equal("AB", mp.chain(string.upper):invoke "ab")
  end)

  it("streams a step that the function returns", function()
    local seen = {}
    for c in mp.chain("spell", function() return letters end):stream "ab" do seen[#seen + 1] = c end
    assert.same({ "a", "b" }, seen)
  end)

  it("hands the config on to what it calls", function()
    local inner = mp.RunnableLambda(function(_, config) return config.tags[1] end)
    assert.equal("t", mp.chain(function(x) return inner:invoke(x) end):invoke(1, { tags = { "t" } }))
  end)

  it("refuses what is no function", function()
    helper.raises("takes a function, got nil", mp.chain, "name")
    helper.raises("takes a function, got a list of 1", mp.chain, { 1 })
  end)
end)
