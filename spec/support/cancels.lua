--- Runs of real model calls that are cancelled at random moments, and what came of
--- it: how long each took to end, and what was seen too late.
--
-- A way starts one run and gives its task. What user code finds of its run is
-- `run`; after the cancel `run.over` is set, and nothing of the run may show.
local chaos = require "spec.support.chaos"
local errors = require "moonpipe.error"
local http = require "moonpipe.http.http"
local mp = require "moonpipe"
local native = require "moonpipe.native"

local now = native.c.now

local cancels = {}

-- ---- ways to call ------------------------------------------------------------------

-- User code of a run: at a moment that was chosen it cancels the run itself.
local function tick(run)
  run.ticks = run.ticks + 1
  if run.ticks == run.cancel_at then run.cancel() end
end

local function ticking(run)
  return function(value)
    tick(run)
    return value
  end
end

-- What a caller is shown, who has cancelled the run perhaps.
local function show(run)
  if run.over then run.late = true end
  tick(run)
end

local function map_of(step, count)
  local steps = {}
  for i = 1, count do steps["key" .. i] = step end
  return mp.RunnableParallel(steps)
end

local TEXTS = { "a b c d", "e f g h", "i", "j k l", "m", "n o p" }

local function invoke(models, run)
  return mp.pipe(models.slow, ticking(run)):start "a b c"
end

local function stream(models, run)
  return mp.RunnableLambda(function()
    local parts = {}
    for text in mp.pipe(models.stream, mp.StrOutputParser()):stream "a b c d e f g h" do
      show(run)
      parts[#parts + 1] = text
    end
    return table.concat(parts)
  end):start()
end

-- A stream that is left open: its task ends while nobody reads it.
local function abandon(models, run)
  return mp.RunnableLambda(function()
    local open = models.stream:stream "a b c d"
    open:next()
    tick(run)
    models.slow:invoke "x"
    return open:next()
  end):start()
end

local function tokens(models, run)
  return mp.pipe(models.stream, mp.StrOutputParser()):start("a b c d e f", {
    on_token = function() show(run) end,
    on_done = function() show(run) end,
  })
end

local function map(models, run)
  return mp.RunnableParallel({
    a = mp.pipe(models.slow, ticking(run)), b = models.stream, c = models.never,
  }):start "a b c"
end

local function nested(models, run)
  return map_of(map_of(mp.pipe(models.slow, ticking(run)), 3), 3):start "x"
end

local function retries(models, run)
  return mp.pipe(models.failing, ticking(run)):start "x"
end

local function gate(models, run)
  return map_of(mp.pipe(models.gated, ticking(run)), 2):start "x"
end

local function limiter(models, run)
  return map_of(mp.pipe(models.slow, ticking(run)), 4):start("x", { max_concurrency = 1 })
end

-- Streams that wait for the slot of another one.
local function limited_streams(models, run)
  return map_of(models.stream, 3):start("a b c d", {
    max_concurrency = 1, on_token = function() show(run) end,
  })
end

local function batch(models, run)
  return mp.RunnableLambda(function()
    return mp.pipe(models.slow, ticking(run)):batch(TEXTS, { max_concurrency = 3 })
  end):start()
end

local function as_completed(models, run)
  return mp.RunnableLambda(function()
    local count = 0
    for _ in models.slow:batch_as_completed(TEXTS) do
      show(run)
      count = count + 1
    end
    return count
  end):start()
end

local function embeddings(models, run)
  return mp.RunnableLambda(function()
    local rows = models.embeddings:embed_documents(TEXTS)
    tick(run)
    return #rows
  end):start()
end

-- A retriever that asks a model about each document, and a server for their order, in parts.
local function compression(models, run)
  return mp.ContextualCompressionRetriever {
    base_retriever = function()
      tick(run)
      return { mp.Document "a", mp.Document "b", mp.Document "c" }
    end,
    base_compressor = mp.DocumentCompressorPipeline { transformers = {
      mp.LLMChainExtractor { model = models.slow }, models.reranker, mp.BM25Reranker(),
    } },
  }:start("x")
end

local function deadline(models, run)
  return mp.pipe(models.never, ticking(run)):start("x", { timeout = 0.015 })
end

-- Each of the steps that choose, and one that listens.
local function choices(models, run)
  local slow = mp.pipe(models.slow, ticking(run))
  return mp.RunnableParallel({
    branch = mp.RunnableBranch({ slow, models.stream }, models.never),
    router = mp.pipe({ key = mp.const "a", input = slow }, mp.RouterRunnable { a = models.slow }),
    other = models.never:configurable_alternatives({ id = "model" }, { slow = slow })
      :with_config({ configurable = { model = "slow" } }),
    heard = models.stream:with_listeners(function() tick(run) end),
  }):start "a b c"
end

local function each(models, run)
  return mp.pipe(mp.const(TEXTS), mp.pipe(models.slow, ticking(run)):map()):start "x"
end

local function each_stream(models, run)
  return mp.pipe(mp.const(TEXTS), models.stream:map()):start("x", {
    on_token = function() show(run) end,
  })
end

local function rounds(models, run)
  return mp.loop({ body = mp.pipe(models.slow, ticking(run)), until_ = mp.const(false), max = 100 })
    :start "a b c"
end

local function after(models, run)
  return mp.pipe({ x = mp.RunnablePassthrough() }, mp.RunnableAssign({
    a = mp.pipe(mp.itemgetter "x", models.slow, ticking(run)),
    b = mp.pipe(mp.itemgetter "a", models.slow),
  }, { after = { b = "a" } })):start "a b c"
end

local function hedge(models, run)
  return mp.pipe(models.slow:with_hedge { after = 0.002 }, ticking(run)):start "a b c"
end

local function hedge_stream(models, run)
  return mp.pipe(models.stream:with_hedge { after = 0.001 }, mp.StrOutputParser()):start("a b c d", {
    on_token = function() show(run) end,
  })
end

local function with_retry(models, run)
  return mp.pipe(models.refusing, ticking(run))
    :with_retry({ stop_after_attempt = 9, wait_exponential_jitter = { initial = 0.003, max = 0.01 },
      retry_if = function(err) return err.kind ~= "cancelled" end }):start "x"
end

-- The first fails, the second is slow; some wait for a slot when the circuit opens.
local function fallbacks(models, run)
  local step = mp.pipe(models.refusing, ticking(run))
    :with_fallbacks({ mp.pipe(models.slow, ticking(run)) }, { circuit = { failures = 2, seconds = 1 } })
  return map_of(step, 5):start("a b", { max_concurrency = 2 })
end

local function with_timeout(models, run)
  return mp.RunnableParallel({
    a = models.never:with_timeout(0.01), b = models.stream:with_timeout { first_chunk = 0.02, idle = 0.02 },
    c = mp.pipe(models.slow, ticking(run)),
  }):start("a b c d", { on_error = "wait" })
end

-- A few conversations that all runs share, one call of each at a time.
local function history(models, run, random)
  local step = mp.RunnableWithMessageHistory(mp.pipe(models.slow, ticking(run)), models.history)
  return map_of(step, 2):start("a", { configurable = { session_id = "s" .. random(3) } })
end

local function history_stream(models, run, random)
  local step = mp.RunnableWithMessageHistory(models.stream, models.history)
  return map_of(step, 2):start("a b", {
    configurable = { session_id = "s" .. random(3) }, on_token = function() show(run) end,
  })
end

cancels.WAYS = {
  { "invoke", invoke }, { "stream", stream }, { "abandon", abandon }, { "tokens", tokens },
  { "map", map }, { "nested", nested }, { "retries", retries }, { "gate", gate },
  { "limiter", limiter }, { "limited_streams", limited_streams }, { "batch", batch },
  { "as_completed", as_completed }, { "choices", choices }, { "each", each },
  { "each_stream", each_stream }, { "rounds", rounds }, { "after", after },
  { "embeddings", embeddings }, { "compression", compression }, { "deadline", deadline },
  { "hedge", hedge },
  { "hedge_stream", hedge_stream }, { "with_retry", with_retry }, { "fallbacks", fallbacks },
  { "with_timeout", with_timeout }, { "history", history }, { "history_stream", history_stream },
}

-- One name after another, each looked up once for all that wait for it.
local function lookup(models, run, random)
  models.count = models.count + 1
  local name = random(2) == 1 and "unknown-20" or "slow-20-" .. math.floor(models.count / 20)
  local url = models.base_url:gsub("127.0.0.1", name .. ".test")
  local model = mp.ChatOpenAI { base_url = url, allow_http = true, api_key = "none" }
  return map_of(mp.pipe(model, ticking(run)), 1 + random(3)):start "x"
end

cancels.LOOKUPS = { { "lookup", lookup } }

local SLOTS = 2 -- of the gate

--- The models that the ways call; `with` is the method of the test server, or what
--- gives the same base URLs.
---@param with fun(script: table|string): string
---@param history_of (fun(session_id: string): moonpipe.ChatMessageHistory)?
function cancels.models(with, history_of)
  local function model(script, name)
    return mp.ChatOpenAI { base_url = with(script), model = name }
  end
  local models = {
    count = 0,
    base_url = with("delay=5"),
    slow = model({ delay = 4 }),
    stream = model({ gap = 1 }),
    never = model("never"),
    failing = model({ status = 503, header = "retry-after-ms: 4" }, "failing"),
    refusing = model({ status = 400 }, "refusing"),
    history = history_of,
    gated = model({ delay = 4 }, "gated"),
    held = model("hold", "gated"),
    embeddings = mp.OpenAIEmbeddings { base_url = with({ delay = 4 }), chunk_size = 2 },
    reranker = mp.Reranker {
      base_url = with({ delay = 4, body = '{"results":[{"index":0,"relevance_score":1}]}' }),
      chunk_size = 1,
    },
  }
  http.gate(models.gated.endpoint:plan("/chat/completions", models.gated.model).gate, { slots = SLOTS })
  return models
end
cancels.SLOTS = SLOTS

-- ---- driving -----------------------------------------------------------------------

---@class spec.Cancels
---@field seed integer
---@field random fun(n: integer): integer
---@field taken number[]                  seconds from each cancel to the end of its task
---@field ended table<string, integer>    name of a way -> runs that had ended before
---@field cancelled table<string, integer>
local Cancels = {}
local mt = { __index = Cancels }

---@param seed integer
function cancels.new(seed)
  return setmetatable({
    seed = seed, random = chaos.random(seed), taken = {}, ended = {}, cancelled = {},
  }, mt)
end

local SPAN = 0.016 -- seconds: what runs take

-- Lets the run go on until its moment has come: at once, after a turn, later, or
-- when its own code says so.
local function let_go(run, random)
  local when = random(6)
  if when == 1 then return end
  if when == 2 then return mp.sleep(0) end
  if when == 3 then run.cancel_at = random(5) end
  run.task:wait(random(1000) / 1000 * SPAN)
end

local function note(counts, name)
  counts[name] = (counts[name] or 0) + 1
end

local function check_end(run, value, err)
  local problem = value ~= nil and "a result after the cancel: " .. tostring(value)
    or not errors.is(err) and "no error: " .. tostring(err)
    or run.task:status() == "running" and "it did not end"
    or run.late and "something was shown after the cancel"
  if problem then error(run.way .. ": " .. problem, 0) end
end

local function new_run(way)
  local run = { way = way, ticks = 0, over = false, late = false }
  function run.cancel()
    if run.over or run.task.state == "ended" then return end
    run.over, run.at = true, now()
    run.task:cancel()
  end
  return run
end

local function run_one(self, models, ways)
  local way = ways[self.random(#ways)]
  local run = new_run(way[1])
  run.task = way[2](models, run, self.random)
  let_go(run, self.random)
  run.cancel()
  local value, err = run.task:wait(60)
  if not run.over then return note(self.ended, way[1]) end
  self.taken[#self.taken + 1] = now() - run.at
  note(self.cancelled, way[1])
  check_end(run, value, err)
end

--- Cancels [count] runs, [width] of them at a time; some more end before.
---@async
function Cancels:run(models, ways, count, width)
  local goal, places = #self.taken + count, {}
  for i = 1, width do places[i] = i end
  mp.RunnableLambda(function()
    while #self.taken < goal do
      local ok, err = pcall(run_one, self, models, ways)
      if not ok then error(("MOONPIPE_SEED=%d: %s"):format(self.seed, tostring(err)), 0) end
    end
  end):batch(places)
end

--- The share [p] (0 to 1) of the runs took no longer than this, in seconds.
function Cancels:percentile(p)
  table.sort(self.taken)
  return self.taken[math.max(1, math.ceil(p * #self.taken))]
end

return cancels
