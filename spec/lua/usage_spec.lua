local helper = require "spec.helper"
local mp = require "moonpipe"
local server = require("spec.support.server").use()

local function model(name, script, opts)
  local all = { model = name, base_url = server:lane(name .. "-usage", script) }
  for key, value in pairs(opts or {}) do all[key] = value end
  return mp.ChatOpenAI(all)
end

local function usage_of(chain, usage, how)
  usage = usage or mp.UsageTotals()
  if how == "stream" then
    chain:stream("hi", { callbacks = { usage } }):collect()
  else
    chain:invoke("hi", { callbacks = { usage } })
  end
  return usage
end

describe("UsageTotals", function()
  it("adds up tokens and cost, by model and by branch", function()
    local cheap = model("gpt-4o-mini-2024", { usage = "1000,200" })
    local dear = model("gpt-4o-2024", { usage = "10,20" })
    for _, how in ipairs { "invoke", "stream" } do
      local usage = usage_of(mp.RunnableParallel { a = cheap, b = { x = dear, y = cheap } }
        :pipe(function() return "next" end, cheap), nil, how)
      assert.same({ 4, 3010, 620, 3630 }, { usage.total.calls, usage.total.input_tokens,
        usage.total.output_tokens, usage.total.total_tokens })
      assert.equal(3, usage.by_model["gpt-4o-mini-2024"].calls)
      assert.equal(20, usage.by_model["gpt-4o-2024"].output_tokens)
      assert.same({ 1, 1, 1, 1 }, { usage.by_branch.a.calls, usage.by_branch["b.x"].calls,
        usage.by_branch["b.y"].calls, usage.by_branch[""].calls })
      local each, other = (1000 * 0.15 + 200 * 0.6) / 1e6, (10 * 2.5 + 20 * 10) / 1e6
      assert.near(each, usage.by_branch.a.cost, 1e-12)
      assert.near(3 * each + other, usage.total.cost, 1e-12)
    end
  end)

  it("takes prices of one's own, and says which it does not know", function()
    local usage = mp.UsageTotals { prices = { mine = { input = 1, output = 2 } } }
    usage_of(model("mine-x", { usage = "1000000,500000" }), usage)
    usage_of(model("other", { usage = "1,1" }), usage)
    assert.near(2, usage.total.cost, 1e-12)
    assert.same({ other = true }, usage.unpriced)
    assert.equal("2 calls, 1000001 tokens in, 500001 out, $2.0000", tostring(usage))
    usage:reset()
    assert.same({ 0, {} }, { usage.total.calls, usage.by_model })
  end)

  it("counts answers out of a cache, at no cost", function()
    local usage = mp.UsageTotals()
    local m = model("gpt-4o-mini", { usage = "10,1" }, { cache = mp.InMemoryCache() })
    usage_of(m, usage)
    usage_of(m, usage)
    assert.same({ 2, 1, 11 },
      { usage.total.calls, usage.total.cached_calls, usage.total.total_tokens })
  end)

  it("passes by models that tell nothing", function()
    local usage = usage_of(mp.FakeListChatModel { responses = { "x" } })
    assert.equal(0, usage.total.calls)
  end)

  it("counts what a provider's cache holds at its own price", function()
    local usage = mp.UsageTotals { prices = { m = { input = 10, cached = 1, written = 20,
      output = 0 } } }
    usage.on_chat_model_end { kind = "chat_model", step = { model = "m" }, outputs = {
      usage_metadata = { input_tokens = 10, output_tokens = 0, total_tokens = 10,
        input_token_details = { cache_read = 5, cache_creation = 2 } } } }
    assert.near((3 * 10 + 5 * 1 + 2 * 20) / 1e6, usage.total.cost, 1e-15)
  end)

  it("refuses what is no price", function()
    helper.raises("the price of 'x' is the number 1; write { input = dollars, output = dollars }",
      mp.UsageTotals, { prices = { x = 1 } })
  end)
end)
