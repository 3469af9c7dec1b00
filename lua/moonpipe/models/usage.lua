--- What calls have used and cost: a callback that adds it up.
--
--     local usage = mp.UsageTotals()
--     chain:invoke(input, { callbacks = { usage } })
--     print(usage.total.total_tokens, usage.total.cost)
--
-- By model and by branch of the maps around it too. Answers out of a cache are
-- counted, and cost nothing.
local errors = require "moonpipe.error"
local record = require "moonpipe.tracers.record"
local settings = require "moonpipe.settings"

---@class moonpipe.Usage
---@field calls integer          answers
---@field cached_calls integer   of these out of a cache of ours
---@field input_tokens integer
---@field output_tokens integer
---@field total_tokens integer
---@field cost number            US dollars, of the models whose price is known

---@class moonpipe.UsageTotals
---@field total moonpipe.Usage
---@field by_model table<string, moonpipe.Usage>
---@field by_branch table<string, moonpipe.Usage>  `poem`, `outer.inner`; "" outside of maps
---@field unpriced table<string, true>  models whose price is not known
---@field prices table<string, moonpipe.Price>
local methods = {}
local mt = { __name = "moonpipe.UsageTotals", __index = methods }

local MILLION = 1e6

local function new_usage()
  return { calls = 0, cached_calls = 0, input_tokens = 0, output_tokens = 0, total_tokens = 0,
    cost = 0 }
end

-- ---- prices ------------------------------------------------------------------------------

local function check_prices(prices)
  for name, price in pairs(prices) do
    if type(price) ~= "table" or type(price.input) ~= "number"
      or type(price.output) ~= "number" then
      errors.usage(("the price of '%s' is %s; write { input = dollars, output = dollars } a"
        .. " million tokens"):format(errors.text(name), errors.shape(price)))
    end
  end
  return prices
end

-- The price of the longest name that [model] begins with.
local function longest(prices, model)
  local best
  for name in pairs(prices) do
    if model:sub(1, #name) == name and (not best or #name > #best) then best = name end
  end
  return best and prices[best]
end

local function price_of(self, model)
  return longest(self.prices, model) or longest(settings.written "prices" or {}, model)
    or longest(require "moonpipe.models.prices", model)
end

local function cost_of(price, usage)
  local details = usage.input_token_details or {}
  local cached, written = details.cache_read or 0, details.cache_creation or 0
  local fresh = (usage.input_tokens or 0) - cached - written
  return (fresh * price.input + cached * (price.cached or price.input)
    + written * (price.written or price.input)
    + (usage.output_tokens or 0) * price.output) / MILLION
end

-- ---- counting ----------------------------------------------------------------------------

-- The keys of the maps around a run, joined by dots.
local function branch_of(run)
  local keys = {}
  while run do
    local key = run.tag and run.tag:match("^map:key:(.*)$")
    if key then table.insert(keys, 1, key) end
    run = run.parent
  end
  return table.concat(keys, ".")
end

local function entry(list, key)
  list[key] = list[key] or new_usage()
  return list[key]
end

local function add(usage, told, cost, is_cached)
  usage.calls = usage.calls + 1
  if is_cached then
    usage.cached_calls = usage.cached_calls + 1
    return
  end
  for _, name in ipairs { "input_tokens", "output_tokens", "total_tokens" } do
    usage[name] = usage[name] + (told[name] or 0)
  end
  usage.cost = usage.cost + cost
end

-- Counts the run of a model that has ended.
local function count(self, run)
  local told, model = record.usage(run), record.model(run) or "?"
  if not told then return end
  local metadata = run.outputs.response_metadata
  local price = price_of(self, model)
  if not price then self.unpriced[model] = true end
  local cost = price and cost_of(price, told) or 0
  local is_cached = metadata and metadata.from_cache
  for _, usage in ipairs { self.total, entry(self.by_model, model),
    entry(self.by_branch, branch_of(run)) } do
    add(usage, told, cost, is_cached)
  end
end

---Begins anew.
function methods:reset()
  self.total, self.by_model, self.by_branch, self.unpriced = new_usage(), {}, {}, {}
end

function mt.__tostring(self)
  local total = self.total
  return ("%d calls, %d tokens in, %d out, $%.4f"):format(total.calls, total.input_tokens,
    total.output_tokens, total.cost)
end

---`UsageTotals{ prices = { ["my-model"] = { input = 1, output = 2 } } }`: a callback.
---@param opts { prices: table<string, moonpipe.Price>? }?
---@return moonpipe.UsageTotals
local function UsageTotals(opts)
  opts = errors.options(opts, { "prices" }, "UsageTotals")
  local self = setmetatable({ prices = check_prices(opts.prices or {}) }, mt)
  self:reset()
  function self.on_chat_model_end(run) count(self, run) end
  return self
end

---What a model's answer cost, in US dollars; nil where its price is not known.
---@async
---@param model string
---@param told table  its usage_metadata
---@return number?
local function cost(model, told)
  local price = price_of({ prices = {} }, model)
  return price and cost_of(price, told)
end

return { UsageTotals = UsageTotals, cost = cost }
