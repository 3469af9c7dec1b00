-- What it costs to run a script of somebody else's in a VM of its own or in a
-- process of its own, and what a lane loses without the compiler.
--
--   build/moonpipe run scripts/bench/sandbox.lua
--
-- Times are CPU time: ratios that which the script itself measures, each the median
-- of five turns; the others that of this process and of those it has started.
local mp = require "moonpipe"

local figures = dofile(arg[0]:match("^(.-)[^/]*$") .. "figures.lua")

local TURNS = 5
local LEVELS = { { "in a VM of its own", false }, { "in a process of its own", true } }

local LOADS = {
  { "a loop over numbers", "local n = 0 for i = 1, 2e6 do n = n + i % 7 end" },
  { "vectors multiplied", "local a, n = {}, 0 for i = 1, 1000 do a[i] = i / 7 end "
    .. "for _ = 1, 500 do for i = 1, 1000 do n = n + a[i] * a[1001 - i] end end" },
  { "tables filled and read", "local t = {} for i = 1, 1e5 do t[i] = { i } end "
    .. "local n = 0 for _ = 1, 5 do for i = 1, #t do n = n + t[i][1] end end" },
  { "a table sorted", "local t, x = {}, 1 "
    .. "for i = 1, 2e4 do x = x * 16807 % 2147483647 t[i] = x end table.sort(t)" },
  { "text taken apart by patterns", "local s, n = ('key = value; '):rep(20000), 0 "
    .. "for k, v in s:gmatch '(%w+)%s*=%s*(%w+)' do n = n + #k + #v end" },
}

local function timed(code)
  return "return function() local began = os.clock() " .. code .. " return os.clock() - began end"
end

-- ---- loads ----------------------------------------------------------------------

-- In a VM that runs nothing else: that of a lane.
local function lane_of(code, jit)
  return mp.lane(loadstring(timed(code))(), { jit = jit })
end

local function sandboxed(code, isolate)
  return mp.sandbox { isolate = isolate, seconds = 60, memory = 256 * 2 ^ 20 }:load(timed(code))
end

local function median_of(step)
  local list = {}
  for turn = 1, TURNS do list[turn] = step:invoke(0) end
  return figures.median(list)
end

local function print_loads()
  for _, load in ipairs(LOADS) do
    local name, code = load[1], load[2]
    local floor = median_of(lane_of(code, true))
    print(("%s: %.1f ms compiled"):format(name, floor * 1e3))
    print(("  a lane with { jit = false }: %.1f x"):format(median_of(lane_of(code, false)) / floor))
    for _, level in ipairs(LEVELS) do
      local chain = sandboxed(code, level[2])
      print(("  %s: %.1f x"):format(level[1], median_of(chain) / floor))
      chain:close()
    end
  end
end

-- ---- the walls ------------------------------------------------------------------

-- Of this process, and of those that have ended, which the kernel counts in hundredths.
local function spent()
  mp.sleep(0.05)
  local file = assert(io.open "/proc/self/stat")
  local user, system = file:read("*a"):match("%) %S" .. (" %-?%d+"):rep(12) .. " (%d+) (%d+)")
  file:close()
  return os.clock() + (user + system) / 100
end

local function ms_of(count, fn)
  local began = spent()
  for i = 1, count do fn(i) end
  return (spent() - began) / count * 1e3
end

local function print_walls()
  for _, level in ipairs(LEVELS) do
    local box, used = mp.sandbox { isolate = level[2] }, 0
    local opening = ms_of(100, function()
      local chain = box:load "return function(x) return x end"
      used = chain:memory()
      chain:close()
    end)
    local calling = ms_of(1, function()
      local chain = box:load "return function(x) return x end"
      for _ = 1, 2000 do chain:invoke(1) end
      chain:close()
    end)
    local ending = ms_of(10, function() pcall(box.run, box, "while true do end") end)
    print(("%s: opened and closed in %.1f ms, %.2f MB; a call %.3f ms; the limit is 80 ms, "
      .. "`while true do end` takes %.0f ms"):format(level[1], opening, used / 1e6,
      (calling - opening) / 2000, ending - opening))
  end
end

local function print_lanes()
  for _, kind in ipairs { { "in a thread", false }, { "in a process", true } } do
    local lane = mp.lane(function(x) return x end, { process = kind[2] })
    print(("a lane %s: %.1f ms a call"):format(kind[1], ms_of(100, function() lane:invoke(1) end)))
  end
end

print_walls()
print_lanes()
print_loads()
