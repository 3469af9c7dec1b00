--- The steps that choose, repeat and look on, for random chains: see chaos.lua,
--- which gives the tools and takes the builders.
local mp = require "moonpipe"

local tools, builders = {}, {}

-- ---- choices ------------------------------------------------------------------

local function is_odd(value)
  return tools.digest(value) % 2 == 1
end

function builders.branch(self, depth)
  local odd, even = tools.build(self, depth - 1), tools.build(self, depth - 1)
  local habit, random = tools.habits[tools.pick(self, tools.HABITS)], tools.local_random(self)
  local function condition(input)
    tools.tick()
    habit(random)
    return is_odd(input)
  end
  return {
    step = mp.RunnableBranch({ condition, odd.step }, even.step),
    oracle = function(input, mode)
      local chosen, part = even, "branch default"
      if is_odd(input) then chosen, part = odd, "branch 1" end
      local ok, value = chosen.oracle(input, mode)
      return ok, ok and value or tools.behind(part, value)
    end,
  }
end

function builders.router(self, depth)
  local routes = { odd = tools.build(self, depth - 1), even = tools.build(self, depth - 1) }
  local function address(input)
    return { key = is_odd(input) and "odd" or "even", input = input }
  end
  local addressed = tools.lambda(self, function(input)
    tools.tick()
    return address(input)
  end, function(input) return true, address(input) end)
  return tools.sequence_of { addressed, {
    step = mp.RouterRunnable { odd = routes.odd.step, even = routes.even.step },
    oracle = function(input, mode)
      local ok, value = routes[input.key].oracle(input.input, mode)
      return ok, ok and value or tools.behind("router." .. input.key, value)
    end,
  } }
end

function builders.alternative(self, depth)
  local default, other = tools.build(self, depth - 1), tools.build(self, depth - 1)
  local id, chosen = "id " .. tools.next_id(self), self.random(2) == 1
  local step = default.step:configurable_alternatives({ id = id }, {
    other = function() return other.step end,
  })
  if chosen then step = step:with_config({ configurable = { [id] = "other" } }) end
  return { step = step, oracle = chosen and other.oracle or default.oracle }
end

-- ---- many ---------------------------------------------------------------------

function builders.each(self, depth)
  local inner, count = tools.build(self, depth - 1), self.random(4) - 1
  local function list_of(input)
    local list = { n = count }
    for i = 1, count do list[i] = i == 1 and input or tools.digest(input) + i end
    return list
  end
  local listed = tools.lambda(self, function(input)
    tools.tick()
    return list_of(input)
  end, function(input) return true, list_of(input) end)
  return tools.sequence_of { listed, { step = inner.step:map(), oracle = function(input, mode)
    local out, failures = { n = count }, {}
    for i = 1, count do
      local ok, value = inner.oracle(input[i], mode)
      if not ok then
        value = { failures = tools.behind(("each[%d]"):format(i), value) }
        tools.append(failures, value.failures)
      end
      out[i] = value
    end
    if mode ~= "collect" and #failures > 0 then return false, failures end
    return true, out
  end } }
end

local ROUNDS = 3

function builders.loop(self, depth)
  local body, name = tools.build(self, depth - 1), "l" .. tools.next_id(self)
  local function held(value) return tools.digest(value) % 3 ~= 0 end
  return { step = mp.loop { body = body.step, until_ = held, max = ROUNDS, name = name },
    oracle = function(input, mode)
      for i = 1, ROUNDS do
        local ok, value = body.oracle(input, mode)
        if not ok then return false, tools.behind("round " .. i, value) end
        if held(value) then return true, value end
        input = value
      end
      return false, { { name .. ": until_ did not hold within 3 rounds", "" } }
    end }
end

-- The failures of a key that waits for one that has failed.
local function in_vain(failures)
  local out = {}
  for i, failure in ipairs(failures) do
    out[i] = { ("'a', which it waits for, failed: %s"):format(failure[1]), "map.b" }
  end
  return out
end

local function copy_of(input)
  local out = {}
  for key, field in pairs(input) do out[key] = field end
  return out
end

function builders.after(self, depth)
  local base = tools.builders.map(self, depth)
  local a, b = tools.build(self, depth - 1), tools.build(self, depth - 1)
  local step = mp.RunnableAssign({ a = a.step, b = b.step }, { after = { b = "a" } })
  return tools.sequence_of { base, { step = step, oracle = function(input, mode)
    local out = copy_of(input)
    local ok, value = a.oracle(input, mode)
    if not ok then
      value = tools.behind("map.a", value)
      if mode ~= "collect" then return false, value end
      out.a, out.b = { failures = value }, { failures = in_vain(value) }
      return true, out
    end
    out.a = value
    ok, value = b.oracle(copy_of(out), mode) -- who gives its input gives no part of the answer
    if not ok then
      value = { failures = tools.behind("map.b", value) }
      if mode ~= "collect" then return false, value.failures end
    end
    out.b = value
    return true, out
  end } }
end

-- ---- conversations ------------------------------------------------------------

-- A history that takes its time, and forgets: what a chain gives must not depend on
-- what was said before. Turns must come whole, and one after the other.
local function forgetful(self)
  local random, history, under = tools.local_random(self), {}, nil
  function history.lock_key() return history end
  function history.messages()
    assert(not under, "two calls of one conversation at once")
    under = true
    local ok, err = pcall(tools.nap, random(3) / 4000)
    under = nil
    if not ok then error(err, 0) end
    return {}
  end
  function history.add_messages(_, list)
    assert(#list == 2 and list[1].type == "human" and list[2].type == "ai", "half a turn")
    tools.nap(random(2) / 4000)
  end
  return history
end

function builders.remembering(self, depth)
  local inner, history = tools.build(self, depth - 1), forgetful(self)
  local whole = tools.sequence_of {
    tools.lambda(self, function(list) return tonumber(tostring(list[#list])) end,
      function(text) return true, tonumber(text) end),
    inner,
    tools.lambda(self, function(value) return tostring(tools.digest(value)) end,
      function(value) return true, tostring(tools.digest(value)) end),
  }
  return tools.sequence_of {
    tools.lambda(self, function(input) return tostring(tools.digest(input)) end,
      function(input) return true, tostring(tools.digest(input)) end),
    { step = mp.RunnableWithMessageHistory(whole.step, function() return history end),
      oracle = whole.oracle },
  }
end

-- ---- what only looks on ----------------------------------------------------------

function builders.listened(self, depth)
  local inner = tools.build(self, depth - 1)
  local function listen(run) assert(run.id and run.started) end
  return { step = inner.step:with_listeners(listen, listen, listen), oracle = inner.oracle }
end

function builders.chunks(self)
  return tools.sequence_of { tools.builders.text(self), {
    step = mp.map_chunks(string.upper),
    oracle = function(input) return true, input:upper() end,
  } }
end

return { tools = tools, builders = builders }
