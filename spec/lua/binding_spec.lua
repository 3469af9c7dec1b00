local helper = require "spec.helper"
local mp = require "moonpipe"

local function told()
  return mp.RunnableLambda(function(_, config) return (config.kwargs or {}).k end)
end

local function echo(x)
  return x
end

describe("bind", function()
  it("keeps the arguments that it was given, whatever becomes of their table", function()
    local kwargs, config = { k = "v" }, { metadata = { m = 1 } }
    local step, tagged = told():bind(kwargs), told():bind({ k = "v" }):with_config(config)
    kwargs.k, config.timeout = "changed", 0
    assert.equal("v", step:invoke(1))
    assert.equal("v", tagged:with_config({ tags = { "t" } }):invoke(1))
  end)

  -- Each of these gives "v" where the argument has reached the step within.
  local around = {
    sequence = function(step) return mp.pipe(echo, step, echo) end,
    map = function(step) return mp.pipe({ a = step, b = echo }, mp.itemgetter "a") end,
    assign = function(step)
      return mp.pipe({ b = echo }, mp.RunnablePassthrough.assign { a = step }, mp.itemgetter "a")
    end,
    branch = function(step) return mp.RunnableBranch({ mp.const(true), step }, echo) end,
    condition = function(step)
      return mp.RunnableBranch({ mp.pipe(step, function(k) return k == "v" end), mp.const "v" }, mp.const "lost")
    end,
    router = function(step)
      return mp.pipe({ key = mp.const "a", input = echo }, mp.RouterRunnable { a = step, b = echo })
    end,
    each = function(step)
      return mp.pipe(function(x) return { x } end, step:map(), function(list) return list[1] end)
    end,
    loop = function(step) return mp.loop { body = step, until_ = mp.const(true) } end,
    config = function(step) return step:with_config { tags = { "t" } } end,
    inner = function(step) return mp.pipe(echo, step:bind({ other = 1 }):with_config { tags = { "t" } }) end,
    types = function(step) return step:with_types { input_type = "string" } end,
    listeners = function(step) return step:with_listeners(function() end) end,
    retry = function(step) return step:with_retry() end,
    fallbacks = function(step)
      return mp.RunnableLambda(function(_, config) error(config.kwargs and "first" or "lost", 0) end)
        :with_fallbacks { step }
    end,
    timeout = function(step) return step:with_timeout(10) end,
    hedge = function(step) return step:with_hedge { after = 10 } end,
    after = function(step)
      return mp.pipe({ b = echo }, mp.RunnableAssign({ a = step, c = echo }, { after = { c = "a" } }),
        mp.itemgetter "a")
    end,
    tool = function(step) return step:as_tool { name = "t", description = "d", arg_types = "number" } end,
    alternatives = function(step)
      return mp.RunnableLambda(echo):configurable_alternatives({ id = "a" }, { b = step })
        :with_config { configurable = { a = "b" } }
    end,
    generator = function()
      return mp.RunnableGenerator(function(_, emit, config) emit(config.kwargs.k) end)
    end,
    tap = function()
      local seen
      return mp.pipe(mp.RunnablePassthrough(function(_, config) seen = config.kwargs.k end), function() return seen end)
    end,
  }

  for name, wrap in pairs(around) do
    it("reaches the step through " .. name .. ", invoked and streamed", function()
      local bound = wrap(told()):bind { k = "v" }
      assert.equal("v", bound:invoke(1))
      assert.equal("v", bound:stream(1):collect())
    end)
  end

  for name, wrap in pairs(around) do
    if not ({ generator = true, tap = true, inner = true, fallbacks = true })[name] then
      it("raises where nothing takes arguments through " .. name, function()
        local step = wrap(mp.RunnableLambda(echo))
        helper.raises("would be lost", step.bind, step, { k = "v" })
      end)
    end
  end

  it("merges, the newer winning", function()
    local step = mp.RunnableLambda(function(_, config) return config.kwargs end)
    assert.same({ a = 2, b = 1, c = 3 }, step:bind({ a = 1, b = 1 }):bind({ a = 2, c = 3 }):invoke(1))
    assert.same({ a = 2, b = 1, c = 3 }, mp.pipe(echo, step:bind { a = 1, b = 1 }):bind({ a = 2, c = 3 }):invoke(1))
  end)

  it("is of the bound step only", function()
    local chain = mp.pipe({ a = told():bind { k = "v" }, b = told() }, echo)
    assert.same({ a = "v" }, chain:invoke(1))
  end)

  it("gives arguments that can be read", function()
    assert.same({ k = "v" }, told():bind({ k = "v" }).kwargs)
  end)
end)
