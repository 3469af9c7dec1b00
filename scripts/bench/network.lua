-- Prints the table of scripts/bench/network: runs ours (calls.lua) and the floor
-- (floor.c) in turns, PAIRS times, each in a fresh process, and the peers once.
--
--   luajit network.lua SERVER OURS FLOOR PEERS [NAME...]
--
-- SERVER is http://127.0.0.1:PORT; the next three are commands, PEERS may be "".
-- A figure of ours and of the floor is the median over the pairs; the ratio is
-- the median of the pairs' own ratios, for times hold within a pair only; `held` or
-- `MISSED` is said of these medians. What is measured alone has no floor.
local figures = dofile(arg[0]:match("^(.-)[^/]*$") .. "figures.lua")
local load_average, median, wanted = figures.load_average, figures.median, figures.wanted

local server, ours, floor, peers = unpack(arg, 1, 4)

local PAIRS = tonumber(os.getenv("PAIRS")) or 5

local PEERS = { "openai", "langchain" }

local TOKENS = 10000

local function per_second(found) return TOKENS / found.whole_ms * 1e3 end
local function kib(found) return found.bytes / 1024 end
local function at(name)
  return function(found) return found[name] end
end

-- Each bench is one command of the three programs; `script` is what the server
-- does with its calls. A goal of `ratio` is for ours over the floor's, one of
-- `ours` for the figure itself.
local function wide(width, shards, goals)
  return {
    name = "map" .. width,
    script = "delay=100",
    command = "wide",
    args = { width, 5 },
    floor_args = { width, 5, shards },
    rows = {
      { "cold", "ms", at "cold_ms", "%.1f", ratio = goals.cold },
      { "warm", "ms", at "warm_ms", "%.1f", ratio = goals.warm },
      { "cpu of a call", "us", at "cpu_us", "%.1f" },
    },
  }
end

local function frame(name, streams)
  return {
    name = name,
    alone = true,
    script = "tokens=4000;gap=50",
    command = "frame",
    args = { streams, 1000 },
    rows = { { "over its budget", "ms", at "over_ms", "%.2f", ours = "<= 0.2" } },
  }
end

local benches = {
  { name = "two", script = "delay=600", command = "two", args = { 1 }, floor_args = { 1 },
    rows = { { "both / the slower", "x", at "ratio", "%.4f", ours = "<= 1.002" } } },
  wide(10, 1, {}),
  wide(100, 1, {}),
  wide(1000, 16, { cold = "<= 1.5", warm = "<= 1.15" }),
  wide(5000, 64, { warm = "<= 1.2" }),
  { name = "calls64", command = "calls", args = { 64, 20000, 3 }, floor_args = { 64, 20000, 3, 1 },
    peer_args = { 64, 3000, 3 },
    rows = {
      { "rate", "calls/s", at "rate", "%.0f" },
      { "cpu of a call", "us", at "cpu_us", "%.1f", ratio = "<= 1.35" },
    } },
  { name = "stream", script = "tokens=" .. TOKENS, command = "stream", args = { 7, TOKENS },
    floor_args = { 7 },
    rows = { { "whole", "tokens/s", per_second, "%.0f", ours = ">= 400000" } } },
  { name = "first", script = "tokens=20", command = "stream", args = { 60, 20 },
    floor_args = { 60 },
    rows = { { "first token", "ms", at "first_ms", "%.3f", ours = "<= 0.6" } } },
  { name = "memory", script = "never", command = "memory", args = { 1000 }, floor_args = { 1000 },
    rows = { { "a call in flight", "KiB", kib, "%.1f", ours = "<= 20" } } },
  frame("frame", 1000),
  frame("frame200", 200),
}

local function run(program, bench, args)
  local url = ("%s%s/v1/chat/completions"):format(server,
    bench.script and "/with/" .. bench.script or "")
  return figures.read(("%s %s '%s' %s"):format(program, bench.command, url,
    table.concat(args, " ")))
end

local FAILED = {}

local function measure(bench)
  local pairs_of, of_peer = {}, {}
  local loads = { load_average() }
  for i = 1, PAIRS do
    pairs_of[i] = {
      run(ours, bench, bench.args), not bench.alone and run(floor, bench, bench.floor_args),
    }
    loads[#loads + 1] = load_average()
  end
  for _, who in ipairs(peers ~= "" and not bench.alone and PEERS or {}) do
    -- a peer may fail at what is too wide for it: that is a figure too
    local ok, found = pcall(run, peers .. " " .. who, bench, bench.peer_args or bench.args)
    of_peer[who] = ok and found or FAILED
  end
  return pairs_of, of_peer, median(loads)
end

-- Whether `<= 1.35` or `>= 400000` holds for [value].
local function holds(goal, value)
  local sign, bound = goal:match("^([<>])= (%S+)$")
  bound = tonumber(bound)
  if sign == "<" then return value <= bound end
  return value >= bound
end

local function verdict(row, mine, ratio)
  local goal = row.ratio or row.ours
  if not goal then return "", "" end
  return (row.ratio and "ratio " or "") .. goal,
    holds(goal, row.ratio and ratio or mine) and "held" or "MISSED"
end

local function row_of(bench, row, pairs_of, of_peer, load)
  local what, unit, figure, format = unpack(row)
  local mine, floors, ratios = {}, {}, {}
  for i, pair in ipairs(pairs_of) do
    mine[i] = figure(pair[1])
    floors[i] = pair[2] and figure(pair[2]) or nil
    ratios[i] = pair[2] and mine[i] / floors[i] or nil
  end
  local own, ratio = median(mine), median(ratios)
  local cells = { ("%-8s %-17s %-8s %9s %9s  %-20s"):format(bench.name, what, unit,
    format:format(own), ratio and format:format(median(floors)) or "-",
    ratio and ("%5.2f (%.2f - %.2f)"):format(ratio, ratios[1], ratios[#ratios]) or "-"),
    ("%-13s  %-6s"):format(verdict(row, own, ratio)) }
  for _, who in ipairs(PEERS) do
    local found = of_peer[who]
    cells[#cells + 1] = ("%10s"):format(found == FAILED and "failed"
      or found and format:format(figure(found)) or "-")
  end
  cells[#cells + 1] = ("%5.1f"):format(load)
  return table.concat(cells, "  ")
end

io.stdout:setvbuf("line")
print(("%-8s %-17s %-8s %9s %9s  %-20s  %-13s  %-6s  %10s  %10s  %5s"):format("bench", "figure",
  "unit", "ours", "floor", "ours / floor", "goal", "", "openai npm", "LangChain.js", "load"))
for _, bench in ipairs(benches) do
  if wanted(bench.name) then
    local pairs_of, of_peer, load = measure(bench)
    for _, row in ipairs(bench.rows) do print(row_of(bench, row, pairs_of, of_peer, load)) end
  end
end
