-- What scripts/bench/network measures of us: the same commands and the same
-- figures as floor.c, one line `name value` each.
--
--   moonpipe run calls.lua two URL ROUNDS
--   moonpipe run calls.lua wide URL WIDTH ROUNDS
--   moonpipe run calls.lua calls URL CONCURRENCY TOTAL ROUNDS
--   moonpipe run calls.lua stream URL ROUNDS TOKENS
--   moonpipe run calls.lua memory URL COUNT
--   moonpipe run calls.lua frame URL COUNT FRAMES
--
-- URL is that of the chat completions.
local mp = require "moonpipe"
local native = require "moonpipe.native"

local figures = dofile(arg[0]:match("^(.-)[^/]*$") .. "figures.lua")
local median, now = figures.median, native.c.now

local what, url = arg[1], arg[2]

local model = mp.ChatOpenAI {
  model = "gpt-4o-mini",
  base_url = url:gsub("/chat/completions$", ""),
  api_key = "sk-mock",
  max_retries = 0,
}

local function chain(template)
  local prompt = mp.ChatPromptTemplate.from_template(template)
  return mp.pipe(prompt, model, mp.StrOutputParser())
end

local joke = chain "tell me a joke about {topic}"

-- Seconds that fn(...) took, of the clock and of the process's CPUs.
local function time(fn, ...)
  local start, cpu = now(), os.clock()
  fn(...)
  return now() - start, os.clock() - cpu
end

local commands = {}

-- Two calls one after the other, then both in a map: the map over the slower.
function commands.two(rounds)
  local poem = chain "write a 2-line poem about {topic}"
  local both = mp.RunnableParallel { joke = joke, poem = poem }
  local input, ratios = { topic = "bear" }, {}
  both:invoke(input)
  for i = 1, rounds do
    local a, b = time(joke.invoke, joke, input), time(poem.invoke, poem, input)
    ratios[i] = time(both.invoke, both, input) / math.max(a, b)
  end
  print(("ratio %.4f"):format(median(ratios)))
end

-- A map with a chain of its own for each call.
local function map_of(width)
  local branches = {}
  for i = 1, width do branches["b" .. i] = chain("tell me joke " .. i .. " about {topic}") end
  return mp.RunnableParallel(branches)
end

function commands.wide(width, rounds)
  local map, input = map_of(width), { topic = "bear" }
  local walls, cpus = {}, {}
  local function run()
    local answers = map:invoke(input)
    assert(answers["b" .. width] == "tell me joke " .. width .. " about bear")
  end
  joke:invoke(input)
  print(("cold_ms %.3f"):format(time(run) * 1e3))
  for i = 1, rounds do
    local wall, cpu = time(run)
    walls[i], cpus[i] = wall * 1e3, cpu * 1e6 / width
  end
  print(("warm_ms %.3f\ncpu_us %.3f"):format(median(walls), median(cpus)))
end

-- As many tasks as calls may be in flight, each makes one after the other.
function commands.calls(concurrency, total, rounds)
  local place, rates, cpus = {}, {}, {}
  local left = 0
  for i = 1, concurrency do place[i] = i end
  local worker = mp.RunnableLambda(function()
    while left > 0 do
      local topic = "t" .. left
      left = left - 1
      assert(joke:invoke { topic = topic } == "tell me a joke about " .. topic)
    end
  end)
  local function run(count)
    left = count
    worker:batch(place)
  end
  run(2 * concurrency)
  for i = 1, rounds do
    local wall, cpu = time(run, total)
    rates[i], cpus[i] = total / wall, cpu * 1e6 / total
  end
  print(("rate %.0f\ncpu_us %.3f"):format(median(rates), median(cpus)))
end

function commands.stream(rounds, tokens)
  local stream = mp.pipe(model, mp.StrOutputParser())
  local firsts, walls = {}, {}
  for i = 0, rounds do
    local start, first, count = now(), nil, 0
    for _ in stream:stream "go on" do
      first = first or now()
      count = count + 1
    end
    assert(count == tokens)
    -- the first round opens the connection
    if i > 0 then firsts[i], walls[i] = (first - start) * 1e3, (now() - start) * 1e3 end
  end
  print(("first_ms %.3f\nwhole_ms %.3f"):format(median(firsts), median(walls)))
end

local function resident()
  local file = assert(io.open("/proc/self/statm"))
  local _, pages = file:read("*n", "*n")
  file:close()
  return pages * 4096
end

local MEMORY_SECONDS = 2 -- until all calls have been sent

-- The calls are never answered. Their chain, and what a first call loads, are
-- there before.
function commands.memory(count)
  local tasks, input = {}, { topic = "bear" }
  joke:start(input):wait(0.2)
  collectgarbage()
  local before = resident()
  for i = 1, count do tasks[i] = joke:start(input) end
  mp.sleep(MEMORY_SECONDS)
  print(("bytes %.0f"):format((resident() - before) / count))
  for i = 1, count do tasks[i]:cancel() end
  os.exit(0)
end

local FRAME, BUDGET = 1 / 60, 0.002 -- seconds of one frame, and those that are ours

-- As a game would: COUNT streams are read in updates of a budget. What the thread
-- takes over it, at the 99.9th percentile of the frames.
function commands.frame(count, frames)
  local ffi = require "ffi"
  ffi.cdef "int usleep(unsigned)"
  local stream, tokens, over = mp.pipe(model, mp.StrOutputParser()), 0, {}
  local options = { on_token = function() tokens = tokens + 1 end }
  for _ = 1, count do stream:start("go on", options) end
  mp.sleep(MEMORY_SECONDS)
  for i = 1, frames do
    local start, cpu = now(), native.c.thread_cpu()
    mp.update(BUDGET)
    over[i] = (native.c.thread_cpu() - cpu - BUDGET) * 1e3
    ffi.C.usleep(math.max(0, FRAME - (now() - start)) * 1e6)
  end
  table.sort(over)
  print(("over_ms %.3f\ntokens %d"):format(over[math.ceil(frames * 0.999)], tokens))
  os.exit(0)
end

local numbers = {}
for i = 3, #arg do numbers[#numbers + 1] = tonumber(arg[i]) end
commands[what](unpack(numbers))
