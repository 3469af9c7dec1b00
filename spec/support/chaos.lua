--- Random chains that sleep, fail, start tasks and abandon streams, each with an
--- oracle: what it must give, found without any of the library.
--
-- A node is { step, oracle, list }. oracle(input, mode) gives true and the value,
-- or false and a list of { message, path }: of these failures one must be
-- reported. `list` are the nodes of a sequence, which is spliced into another.
local chunk = require "moonpipe.chunk"
local errors = require "moonpipe.error"
local chooser = require "spec.support.chaos_steps"
local mp = require "moonpipe"

local chaos = {}

local MODULUS = 9973

-- ---- random numbers, the same everywhere ---------------------------------------

---A generator of numbers from 1 to n.
function chaos.random(seed)
  local state = seed % 2147483646 + 1
  return function(n)
    state = state * 16807 % 2147483647
    return math.floor(state / 2147483647 * n) + 1
  end
end

-- ---- values ----------------------------------------------------------------------

local digest

local function digest_table(value)
  if errors.is(value) or value.failures then return 7 end
  local sum = 0
  for key, field in pairs(value) do -- a sum has no order
    sum = sum + digest(tostring(key)) * 31 + digest(field) * 17
  end
  return sum % MODULUS
end

---A number that stands for any value: what steps compute with.
function digest(value)
  if type(value) == "number" then return value % MODULUS end
  if type(value) == "table" then return digest_table(value) end
  local sum = 0
  for i = 1, #tostring(value) do sum = (sum * 31 + tostring(value):byte(i)) % MODULUS end
  return sum
end

---Whether [err] is one of [failures], and knows where it happened.
function chaos.is_one_of(err, failures)
  for _, failure in ipairs(failures) do
    if err.message == failure[1] and (err.path or "") == failure[2] then return true end
  end
  return false
end

---Whether [got] is the value [expected], in which `{ failures = }` stands for an
---error of these.
function chaos.same(got, expected)
  if type(expected) ~= "table" then return got == expected end
  if type(got) ~= "table" then return false end
  if expected.failures then
    return errors.is(got) and chaos.is_one_of(got, expected.failures)
  end
  for key in pairs(got) do if expected[key] == nil then return false end end
  for key, value in pairs(expected) do
    if not chaos.same(got[key], value) then return false end
  end
  return true
end

local function behind(part, failures)
  local out = {}
  for i, failure in ipairs(failures) do
    out[i] = { failure[1], failure[2] == "" and part or part .. " > " .. failure[2] }
  end
  return out
end

local function append(list, more)
  for _, one in ipairs(more) do list[#list + 1] = one end
  return list
end

-- ---- user code -------------------------------------------------------------------

-- Called wherever user code runs: notes what runs too late, and cancels the run at
-- the moment that was chosen.
local function tick()
  local run = mp.current().metadata.run
  if run.over then run.ran_late = true end
  run.ticks = run.ticks + 1
  if run.ticks == run.cancel_at and run.task then run.task:cancel("chaos") end
end

local function nap(seconds)
  mp.sleep(seconds)
  tick()
end

-- A failure of ours, or one that the run was ended with: that one goes on.
local function ended(err)
  return err.kind == "cancelled" or err.kind == "timeout_total"
end

local function rethrow(err)
  if ended(err) then error(err, 0) end
end

-- What a step does before it gives its value, none of which changes it.
local habits = {
  none = function() end,
  sleep = function(random) nap(random(3) / 4000) end,
  yield = function() nap(0) end,
  coroutine = function(random)
    local count = 0
    for i in coroutine.wrap(function()
      for i = 1, random(3) do
        nap(0)
        coroutine.yield(i)
      end
    end) do
      count = count + i
    end
  end,
  sort = function()
    local list = { 3, 1, 2 }
    table.sort(list, function(a, b)
      nap(0)
      return a < b
    end)
  end,
  gsub = function() ("ab"):gsub(".", function() nap(0.0002) end) end,
  stubborn = function()
    pcall(mp.sleep, 0.0005)
    tick()
  end,
  garbage = function() collectgarbage("step", 50) end,
}

local HABITS = {}
for name in pairs(habits) do HABITS[#HABITS + 1] = name end
table.sort(HABITS)

-- ---- nodes -----------------------------------------------------------------------

local builders, KINDS = {}, nil

local function pick(self, list)
  return list[self.random(#list)]
end

local function next_id(self)
  self.ids = self.ids + 1
  return self.ids
end

local function build(self, depth)
  local kind = depth == 0 and pick(self, { "number", "number", "text" }) or pick(self, KINDS)
  return builders[kind](self, depth)
end

local function lambda(self, fn, oracle)
  local name = "f" .. next_id(self)
  return { step = mp.RunnableLambda(fn, { name = name }), oracle = oracle }
end

-- The numbers of a step that are drawn when it is built: while chains run the
-- order of draws is nobody's.
local function local_random(self)
  return chaos.random(self.random(1000000))
end

-- A function that computes, and may fail.
function builders.number(self)
  local habit, random = habits[pick(self, HABITS)], local_random(self)
  local factor, failure = self.random(50), self.random(self.failing) == 1 and "boom " .. next_id(self)
  return lambda(self, function(input)
    tick()
    habit(random)
    if failure then error(failure, 0) end
    return (digest(input) * factor + 1) % MODULUS
  end, function(input)
    if failure then return false, { { failure, "" } } end
    return true, (digest(input) * factor + 1) % MODULUS
  end)
end

-- A generator that emits a text piece by piece, and may fail on the way.
function builders.text(self)
  local habit, random = habits[pick(self, HABITS)], local_random(self)
  local failure = self.random(self.failing) == 1 and "boom " .. next_id(self)
  local function oracle(input)
    if failure then return false, { { failure, "" } } end
    return true, "t" .. digest(input)
  end
  return { oracle = oracle, step = mp.RunnableGenerator(function(chunks, emit)
    tick()
    local text = "t" .. digest((chunk.collect(chunks)))
    for i = 1, #text do
      if failure and i == 2 then error(failure, 0) end
      habit(random)
      emit(text:sub(i, i))
    end
  end, { name = "g" .. next_id(self) }) }
end

local function sequence_of(nodes)
  local list, steps = {}, {}
  for _, node in ipairs(nodes) do append(list, node.list or { node }) end
  for i, node in ipairs(list) do steps[i] = node.step end
  return { step = mp.RunnableSequence(unpack(steps)), list = list, oracle = function(input, mode)
    for i, node in ipairs(list) do
      local ok, value = node.oracle(input, mode)
      if not ok then
        return false, behind(("step %d of %d %s"):format(i, #list, node.step:get_name()), value)
      end
      input = value
    end
    return true, input
  end }
end

function builders.sequence(self, depth)
  local nodes = {}
  for i = 1, 1 + self.random(3) do nodes[i] = build(self, depth - 1) end
  return sequence_of(nodes)
end

-- What a map must give, or the failures of which it must report one.
local function map_oracle(nodes, array)
  return function(input, mode)
    local out, failures = { n = array }, {}
    for key, node in pairs(nodes) do
      local ok, value = node.oracle(input, mode)
      if not ok then
        value = { failures = behind("map." .. key, value) }
        append(failures, value.failures)
      end
      out[key] = value
    end
    if mode ~= "collect" and #failures > 0 then return false, failures end
    return true, out
  end
end

function builders.map(self, depth, named)
  local steps, nodes, count = {}, {}, self.random(4)
  local array = not named and self.random(4) == 1
  for i = 1, count do
    local key = array and i or ("abcd"):sub(i, i)
    nodes[key] = build(self, depth - 1)
    steps[key] = nodes[key].step
  end
  return { step = mp.RunnableParallel(steps), oracle = map_oracle(nodes, array and count or nil) }
end

function builders.assign(self, depth)
  local base, added = builders.map(self, depth), builders.map(self, depth, true)
  local step = mp.RunnableAssign(added.step.steps)
  local assign = { step = step, oracle = function(input, mode)
    local ok, value = added.oracle(input, mode)
    if not ok then return false, value end
    local out = {}
    for key, field in pairs(input) do out[key] = field end
    for key, field in pairs(value) do out[key] = field end
    return true, out
  end }
  return sequence_of { base, assign }
end

-- ---- functions that use chains ------------------------------------------------

local function wrapper(self, depth, use)
  local inner = build(self, depth - 1)
  local random = local_random(self)
  return lambda(self, function(input)
    tick()
    return use(inner.step, input, random)
  end, inner.oracle)
end

function builders.returning(self, depth)
  return wrapper(self, depth, function(step) return step end)
end

function builders.invoking(self, depth)
  return wrapper(self, depth, function(step, input) return step:invoke(input) end)
end

function builders.streaming(self, depth)
  return wrapper(self, depth, function(step, input) return step:stream(input):collect() end)
end

function builders.starting(self, depth)
  return wrapper(self, depth, function(step, input)
    local value, err = step:start(input):wait()
    if err then error(err, 0) end
    return value
  end)
end

-- Waits a while, gives up waiting, waits again.
function builders.impatient(self, depth)
  return wrapper(self, depth, function(step, input)
    local task = step:start(input)
    local value, err = task:wait(0.0003)
    if err and task:status() ~= "cancelled" then value, err = task:wait() end
    if err then error(err, 0) end
    return value
  end)
end

local function aside(self, depth, use)
  local inner = build(self, depth - 1)
  local random = local_random(self)
  return lambda(self, function(input)
    tick()
    use(inner.step, input, random)
    return digest(input)
  end, function(input) return true, digest(input) end)
end

-- Starts a task and leaves it to the end of its parent.
function builders.leaving(self, depth)
  return aside(self, depth, function(step, input) step:start(input) end)
end

function builders.cancelling(self, depth)
  return aside(self, depth, function(step, input, random)
    local task = step:start(input)
    nap(random(4) / 4000)
    task:cancel()
  end)
end

-- Reads some chunks, and closes the stream or forgets it.
function builders.abandoning(self, depth)
  return aside(self, depth, function(step, input, random)
    local stream = step:stream(input)
    for _ = 1, random(4) do
      local ok, value = pcall(stream)
      if not ok then rethrow(value) end
      if not ok or value == nil then return end
    end
    if random(2) == 1 then stream:close() end
  end)
end

function builders.trying(self, depth)
  return aside(self, depth, function(step, input)
    local _, err = step:try_invoke(input)
    if err then rethrow(err) end
  end)
end

function builders.racing(self, depth)
  return aside(self, depth, function(step, input)
    local _, record = step:batch_as_completed({ input, input, input })()
    if record.error then rethrow(record.error) end
  end)
end

function builders.batch(self, depth)
  local inner = build(self, depth - 1)
  return lambda(self, function(input)
    tick()
    return inner.step:batch { input, digest(input) }
  end, function(input, mode)
    local out, failures = { n = 2 }, {}
    for i, item in ipairs { input, digest(input) } do
      local ok, value = inner.oracle(item, mode)
      if ok then out[i] = value else append(failures, behind(("batch[%d]"):format(i), value)) end
    end
    if #failures > 0 then return false, failures end
    return true, out
  end)
end

-- ---- configs -----------------------------------------------------------------------

function builders.policy(self, depth)
  local inner, mode = build(self, depth - 1), pick(self, { "cancel", "wait", "collect" })
  return {
    step = inner.step:with_config({ on_error = mode }),
    oracle = function(input) return inner.oracle(input, mode) end,
  }
end

function builders.patient(self, depth)
  local inner = build(self, depth - 1)
  return { step = inner.step:with_config({ timeout = 60 }), oracle = inner.oracle }
end

function builders.hasty(self, depth)
  local inner = build(self, depth - 1)
  return { step = inner.step:with_config({ timeout = self.random(4) / 2000 }), oracle = inner.oracle }
end

-- ---- trying again ------------------------------------------------------------------

-- What fails, fails each time.
function builders.retried(self, depth)
  local inner = build(self, depth - 1)
  return { oracle = inner.oracle, step = inner.step:with_retry({
    stop_after_attempt = self.random(3), wait_exponential_jitter = false,
    retry_if = function(err) return not ended(err) end,
  }) }
end

function builders.hedged(self, depth)
  local inner = build(self, depth - 1)
  return { oracle = inner.oracle, step = inner.step:with_hedge({ after = self.random(4) / 4000 }) }
end

function builders.timed(self, depth)
  local inner = build(self, depth - 1)
  return { oracle = inner.oracle, step = inner.step:with_timeout({ idle = 60, total = 60 }) }
end

-- Invoked, for of a stream only the beginning can be another's.
function builders.falling(self, depth)
  local first, second = build(self, depth - 1), build(self, depth - 1)
  local step = first.step:with_fallbacks({ second.step }, {
    circuit = false, exceptions_to_handle = function(err) return not ended(err) end,
  })
  return lambda(self, function(input) return step:invoke(input) end, function(input, mode)
    local ok, value = first.oracle(input, mode)
    if ok then return true, value end
    local failures = behind("primary " .. first.step:get_name(), value)
    ok, value = second.oracle(input, mode)
    if ok then return true, value end
    return false, failures
  end)
end

function builders.tap(self)
  local habit, random = habits[pick(self, HABITS)], local_random(self)
  return { step = mp.RunnablePassthrough(function()
    tick()
    habit(random)
  end), oracle = function(input) return true, input end }
end

for name, tool in pairs {
  HABITS = HABITS, append = append, behind = behind, build = build, builders = builders,
  digest = digest, habits = habits, lambda = lambda, local_random = local_random,
  nap = nap, next_id = next_id, pick = pick, sequence_of = sequence_of, tick = tick,
} do
  chooser.tools[name] = tool
end
for name, builder in pairs(chooser.builders) do builders[name] = builder end

KINDS = {
  "number", "number", "number", "number", "text", "text", "sequence", "sequence", "sequence",
  "map", "map", "map", "map", "assign", "assign", "returning", "invoking", "streaming", "starting",
  "impatient", "leaving", "cancelling", "abandoning", "trying", "racing", "batch", "policy",
  "patient", "tap", "retried", "hedged", "timed", "falling", "branch", "branch", "router",
  "alternative", "each", "each", "loop", "after", "listened", "chunks", "remembering", "remembering",
}

---A random chain. `failing`: about one step of so many fails.
---@return { step: table, oracle: function }
function chaos.tree(random, opts)
  local self = { random = random, failing = opts.failing, ids = 0 }
  local root = builders.map(self, opts.depth)
  if opts.hasty then
    root = sequence_of { root, builders.hasty(self, opts.depth) }
  end
  return root
end

return chaos
