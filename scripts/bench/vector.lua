-- Prints the table of scripts/bench/vector: runs ours (searches.lua,
-- kinds.lua) and bare FAISS (faiss.cpp, kinds.cpp) in turns, PAIRS times, each in a fresh process.
--
--   luajit vector.lua SERVER MOONPIPE FOLDER CORES [NAME...]
--
-- A process gives the least time of its rounds, for what else runs on a machine
-- only adds; the table has the medians of the pairs' times and of their ratios,
-- for times hold within a pair only. FAISS has one thread in the row `one`; in
-- the others all cores or one, whichever took less: on a busy machine its threads
-- wait for one another. We always have all cores.
-- The rows `flat` and `hnsw` are of the native index alone and one thread of
-- FAISS's: adding all vectors, 1,000 at once, one search for the 10 best, of all,
-- of every second and of every tenth vector, and 64 searches at once, to which
-- FAISS has all threads. FAISS's graphs are small, for
-- it takes minutes to build them; `graph` searches large ones, of ours.
--
-- The row `timing` has no floor but its own: the map over the slower branch.
local figures = dofile(arg[0]:match("^(.-)[^/]*$") .. "figures.lua")
local load_average, median, wanted = figures.load_average, figures.median, figures.wanted

local server, moonpipe, folder, cores = unpack(arg, 1, 4)
local faiss = folder .. "/faiss"

local PAIRS = tonumber(os.getenv("PAIRS")) or 5

local SHAPE = "10000 1536 4 %d %s" -- vectors, numbers in each, k, rounds, queries

local benches = {
  { name = "one", threads = { 1 }, rounds = 25, queries = { { 1, "<= 0.3" } } },
  { name = "few", threads = { 1, cores }, rounds = 9,
    queries = { { 1, "<= 1" }, { 2, "<= 1" }, { 4, "<= 1" }, { 8, "<= 1" }, { 16, "<= 1" } } },
  { name = "together", threads = { 1, cores }, rounds = 15,
    queries = { { 20, "<= 1" }, { 32, "<= 1" }, { 64, "<= 1.15" } } },
}

local function run(program, bench)
  local counts = {}
  for i, query in ipairs(bench.queries) do counts[i] = query[1] end
  return figures.read(program .. " " .. SHAPE:format(bench.rounds, table.concat(counts, " ")))
end

-- The least of FAISS's times over its numbers of threads.
local function run_floor(bench)
  local least = {}
  for _, threads in ipairs(bench.threads) do
    for name, value in pairs(run(faiss .. " " .. threads, bench)) do
      least[name] = math.min(least[name] or value, value)
    end
  end
  return least
end

local function print_row(name, queries, ours, floor, ratios, goal)
  local middle = median(ratios)
  print(("%-9s %8s %10s %10s   %5.3f (%.3f - %.3f)  %-8s %5.1f"):format(name, queries, ours, floor,
    middle, ratios[1], ratios[#ratios], goal, load_average()))
end

local function measure(bench)
  local ours, floors = {}, {}
  for i = 1, PAIRS do
    ours[i] = run(moonpipe .. " run scripts/bench/searches.lua", bench)
    floors[i] = run_floor(bench)
  end
  for _, query in ipairs(bench.queries) do
    local count, goal = unpack(query)
    local key, mine, bare, ratios = "nq" .. count, {}, {}, {}
    for i = 1, PAIRS do
      mine[i], bare[i] = ours[i][key], floors[i][key]
      ratios[i] = mine[i] / bare[i]
    end
    print_row(bench.name, count, ("%.2f"):format(median(mine)), ("%.2f"):format(median(bare)),
      ratios, goal)
  end
end

local kinds = {
  { kind = "flat", rows = 10000, dim = 1536, one = "<= 0.3" },
  { kind = "flat", rows = 100000, dim = 384, one = "<= 0.3" },
  { kind = "hnsw", rows = 1000, dim = 1536, one = "<= 1" },
  { kind = "hnsw", rows = 5000, dim = 384, one = "<= 1" },
}

-- Graphs that bare FAISS takes minutes to make: ours makes them, once, and both search them. Only
-- where `graph` is asked for.
local graphs = {
  { kind = "hnsw", rows = 10000, dim = 1536, one = "<= 1", file = "hnsw-1536.mp" },
  { kind = "hnsw", rows = 100000, dim = 384, one = "<= 1", file = "hnsw-384.mp" },
}

-- M = 16.
local function measure_kind(bench)
  local shape = ("%s %d %d 16"):format(bench.kind, bench.rows, bench.dim)
  if bench.file then shape = shape .. " " .. folder .. "/" .. bench.file end
  local ours, floors = {}, {}
  for i = 1, math.min(PAIRS, 3) do
    ours[i] = figures.read(moonpipe .. " run scripts/bench/kinds.lua " .. shape)
    floors[i] = figures.read(folder .. "/kinds " .. shape)
  end
  print(("%s, %d x %d%s"):format(bench.kind, bench.rows, bench.dim, bench.file and ", made by ours"
    or ""))
  local goals = { add = "<= 1.11", one = bench.one, half = "<= 1", tenth = "<= 1",
    together = "<= 1.15" }
  local measured = { "one", "half", "tenth", "together" }
  if not bench.file then table.insert(measured, 1, "add") end
  for _, what in ipairs(measured) do
    local mine, bare, ratios = {}, {}, {}
    for i = 1, #ours do
      mine[i], bare[i] = ours[i][what], floors[i][what]
      ratios[i] = mine[i] / bare[i]
    end
    print_row("", what, ("%.2f"):format(median(mine)), ("%.2f"):format(median(bare)), ratios,
      goals[what])
  end
end

-- scripts/timing.lua against a model that takes 600 ms.
local function measure_timing()
  local command = ("MOONPIPE_MODEL=openai:gpt-4o-mini OPENAI_API_KEY=sk-mock"
    .. " OPENAI_BASE_URL=%s/with/delay=600/v1 %s run scripts/timing.lua 3"):format(server, moonpipe)
  local ratios, maps, slower = {}, {}, {}
  for i = 1, PAIRS do
    local least = {}
    for _, line in ipairs(figures.lines(command .. " 2>/dev/null")) do
      local name, ms = line:match("^(%a+) .* least ([%d.]+) ms$")
      if name then least[name] = tonumber(ms) end
    end
    maps[i], slower[i] = least.map, math.max(least.joke, least.poem)
    ratios[i] = maps[i] / slower[i]
  end
  print_row("timing", "-", ("%.1f"):format(median(maps)), ("%.1f"):format(median(slower)), ratios,
    "<= 1.002")
end

io.stdout:setvbuf("line")
print(("%-9s %8s %10s %10s   %-21s  %-8s %5s"):format("bench", "searches", "ours ms", "floor ms",
  "ours / floor", "goal", "load"))
for _, bench in ipairs(benches) do
  if wanted(bench.name) then measure(bench) end
end
for _, bench in ipairs(kinds) do
  if wanted(bench.kind) then measure_kind(bench) end
end
for _, bench in ipairs(graphs) do
  if arg[5] and wanted("graph") then measure_kind(bench) end
end
if wanted("timing") then measure_timing() end
